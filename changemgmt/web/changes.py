"""The list of changes: filters, pages, and the same as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render

from changemgmt.changes.queries import visible_to
from changemgmt.core.time import rfc3339
from changemgmt.lifecycle.saved_filters import OF_CHANGES

from .base import PageRequest, page
from .change_filters import ChangeFilters
from .paging import newest_first
from .saved_filters import kept

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from changemgmt.changes.models import Change

COLUMNS = (
    "number",
    "title",
    "type",
    "priority",
    "state",
    "risk_level",
    "risk_score",
    "requester",
    "owner",
    "planned_start",
    "planned_end",
    "created_at",
    "result",
)


@page()
def changes(request: PageRequest) -> HttpResponse | StreamingHttpResponse:
    """The changes this person may see, newest first, narrowed by the filters; `?as=csv` downloads them."""
    form = ChangeFilters(request.GET)
    valid = form.is_valid()
    rows = visible_to(request.user).select_related("requester", "owner")
    rows = form.narrow(rows, request.user, now=request.now) if valid else rows.none()
    if request.GET.get("as") == "csv" and valid:
        return as_csv(rows)
    shown = newest_first(rows, request)
    query = request.GET.copy()
    query.pop("at", None)
    given = [(name, value) for name in OF_CHANGES for value in request.GET.getlist(name) if value]
    narrowed = valid and any(value for name, value in form.cleaned_data.items() if name not in ("q", "awaiting"))
    context = {
        "form": form,
        "page": shown,
        "csv": f"?{query.urlencode()}{'&' if query else ''}as=csv",
        "used": form.used if valid else [],
        "narrowed": narrowed,
        "saved": kept(request.user, "changes", urlencode(given) if valid else ""),
    }
    return render(request, "changes/list.html", context, status=200 if valid else 400)


class Echo:
    """A file that hands back what is written, so that rows stream."""

    def write(self, text: str) -> str:
        return text


def as_csv(rows: QuerySet[Change]) -> StreamingHttpResponse:
    """The rows as CSV, streamed. A cell that a spreadsheet would run as a formula is quoted by an apostrophe."""
    response = StreamingHttpResponse(lines(rows.order_by("-created_at", "-pk")), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="changes.csv"'
    return response


def lines(rows: QuerySet[Change]) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield writer.writerow(COLUMNS)
    for change in rows.iterator(chunk_size=500):
        yield writer.writerow([cell(change, name) for name in COLUMNS])


def cell(change: Change, name: str) -> Any:
    """One value of the export."""
    value = getattr(change, name)
    if value is None:
        return ""
    if name.endswith(("_start", "_end", "_at")):
        return rfc3339(value)
    if hasattr(value, "username"):
        value = value.username
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
