"""The whole impact of a change as a file, for spreadsheets and programs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse

from changemgmt.architecture.impact import in_words
from changemgmt.changes.queries import visible
from changemgmt.core.errors import Invalid
from changemgmt.preview.queries import impact_of

from .base import PageRequest, page
from .items import component_names

COLUMNS = ("key", "name", "layer", "type", "criticality", "users", "distance", "score", "effect", "trust", "path")
# With one of these in front a spreadsheet takes a cell for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@page()
def impact_export(request: PageRequest, number: str) -> HttpResponse:
    """Everything that is reached, ranked, with the path that explains each; `?as=csv` or `json`."""
    change = visible(request.user, number)
    wanted = request.GET.get("as", "csv")
    if wanted not in ("csv", "json"):
        raise Invalid.field("as", "One of: csv, json.")
    impact = impact_of(change, request.user)
    if wanted == "json":
        return download(json.dumps(impact, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1), "application/json", f"{change.number}-impact.json")
    return download(as_csv(impact["affected"]), "text/csv; charset=utf-8", f"{change.number}-impact.csv")


def download(text: str, content_type: str, name: str) -> HttpResponse:
    return HttpResponse(text, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def as_csv(affected: list[dict[str, Any]]) -> str:
    """One line for each reached component, in the order of the list."""
    names = component_names(row["key"] for row in affected)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in affected:
        shown = {"trust": "confirmed"} | row | {"name": names.get(row["key"], ""), "path": in_words(row["path"])}
        writer.writerow([cell(shown[name]) for name in COLUMNS])
    return out.getvalue()


def cell(value: Any) -> Any:
    """A value of the table; text that a spreadsheet would run is quoted by an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
