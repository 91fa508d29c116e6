"""What changed since somebody looked, as the pages show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy

from changemgmt.approvals.looks import Since, differences_since

from .diff import fields_of

if TYPE_CHECKING:
    from changemgmt.approvals.models import RoundLevel
    from changemgmt.changes.models import Change

MOST = 60
PARTS = {
    "texts": gettext_lazy("the texts"),
    "items": gettext_lazy("the items"),
    "impact": gettext_lazy("the impact"),
    "risk": gettext_lazy("what the risk rests on"),
    "plan": gettext_lazy("the plan"),
    "window": gettext_lazy("the requested window"),
    "chain": gettext_lazy("the approval chain"),
}
NOT_SHOWN = ("chain", "impact")
"""Parts that are kept as digests: that they moved is said, there are no values to show."""


def watched(level: RoundLevel, since: Since) -> bool:
    """Whether something moved that the level watches."""
    return not {*level.watches, "chain"}.isdisjoint(since.parts)


def since_context(change: Change, since: Since | None, level: RoundLevel | None = None, *, fields: bool = True) -> dict[str, Any]:
    """The note above the brief: which parts moved, which of them this level watches, and (with `fields`) each field before and after."""
    if since is None:
        return {"since": None}
    differences = differences_since(change, since) if fields else []
    found = [entry for entry in differences if entry["path"].partition(".")[0] not in NOT_SHOWN]
    return {
        "since": since,
        "since_parts": [str(PARTS.get(name, name)) for name in since.parts],
        "since_watched": level is None or watched(level, since),
        "since_fields": fields_of(found[:MOST]),
        "since_more": max(0, len(found) - MOST),
    }
