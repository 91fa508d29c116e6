"""The architecture as it was: what moved between two revisions or days, and who moved it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from changemgmt.architecture.exports import EXPORTS
from changemgmt.architecture.models import Revision
from changemgmt.architecture.past import images_between, revision_of
from changemgmt.architecture.queries import current_revision
from changemgmt.core.errors import Invalid
from changemgmt.preview.diff import diff_of_images
from changemgmt.preview.queries import revisions_shown

from .base import PageRequest, page
from .diff import groups_of

MOST_STEPS = 50


@page()
def history(request: PageRequest) -> HttpResponse:
    """What moved between two revisions or days, who moved it, and the architecture of either as a file."""
    asked = {name: request.GET.get(name, "").strip()[:40] for name in ("from", "to")}
    context: dict[str, Any] = {"asked": asked, "newest": current_revision(), "exports": list(EXPORTS)}
    try:
        last = revision_of(asked["to"], "to") if asked["to"] else current_revision()
        first = revision_of(asked["from"], "from") if asked["from"] else max(0, last - 1)
    except Invalid as refusal:
        return render(request, "architecture/history.html", context | {"problem": refusal}, status=400)
    diff = diff_of_images(images_between(first, last))
    entries = diff["components"] + diff["relations"]
    groups, left_out = groups_of(diff, [], {row["key"]: row["name"] for row in diff["components"]})
    steps = Revision.objects.filter(number__gt=min(first, last), number__lte=max(first, last)).order_by("-number")
    context |= {
        "first": first,
        "last": last,
        "count": len(entries),
        "groups": groups,
        "left_out": left_out,
        "steps": revisions_shown(list(steps[:MOST_STEPS]), request.user),
    }
    return render(request, "architecture/history.html", context)
