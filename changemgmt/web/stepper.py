"""The eight states of a change as a row of steps, with the side states in the place where they happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from changemgmt.changes.models import State

if TYPE_CHECKING:
    from typing import Any

    from changemgmt.changes.models import Change
    from changemgmt.core.labels import Label

STEPS = (State.DRAFT, State.SUBMITTED, State.IN_REVIEW, State.APPROVED, State.SCHEDULED, State.IMPLEMENTING, State.IMPLEMENTED, State.CLOSED)
PLACE = {State.INFO_REQUESTED: 2, State.REJECTED: 2, State.APPROVED_WITH_CONDITIONS: 3, State.FAILED: 5, State.ROLLED_BACK: 6, State.CANCELLED: 7}
SIDE = {
    State.INFO_REQUESTED: "info",
    State.REJECTED: "rejected",
    State.APPROVED_WITH_CONDITIONS: "warn",
    State.FAILED: "rejected",
    State.ROLLED_BACK: "warn",
    State.CANCELLED: "rejected",
}
WAITS = {
    State.DRAFT: _("being written"),
    State.SUBMITTED: _("being computed"),
    State.INFO_REQUESTED: _("waits for the answer"),
    State.APPROVED: _("waits for a window"),
    State.APPROVED_WITH_CONDITIONS: _("waits for a window"),
    State.SCHEDULED: _("waits for its start"),
    State.IMPLEMENTING: _("under way"),
    State.IMPLEMENTED: _("waits for the review"),
}


@dataclass(frozen=True)
class Step:
    """One step: done, current or to come, with its day or what it waits for."""

    label: Label
    look: str
    at: datetime | None
    waits: str = ""


def steps_of(change: Change, approval: dict[str, Any]) -> tuple[list[Step], str]:
    """The steps, and the class that colours a side state."""
    here = PLACE.get(change.state, STEPS.index(change.state) if change.state in STEPS else 0)
    dates = (
        change.created_at,
        change.submitted_at,
        change.submitted_at,
        change.decided_at,
        change.planned_start,
        change.actual_start,
        change.actual_end,
        change.closed_at,
    )
    steps = []
    for index, state in enumerate(STEPS):
        current = index == here
        label = State(change.state).label if current else state.label
        look = "done" if index < here or (current and change.state in (State.CLOSED, State.CANCELLED)) else "cur" if current else ""
        at = dates[index] if look == "done" and dates[index] else None
        steps.append(Step(label, look, at, waits_for(change, approval) if current else ""))
    return steps, SIDE.get(change.state, "")


def waits_for(change: Change, approval: dict[str, Any]) -> str:
    """What the current step waits for."""
    if change.state == State.IN_REVIEW:
        levels = [level for level in approval["levels"] if level["state"] not in ("skipped", "superseded")]
        open_level = next((level for level in levels if level["state"] == "open"), None)
        if open_level:
            return _("level %(n)d of %(total)d") % {"n": levels.index(open_level) + 1, "total": len(levels)}
    return str(WAITS.get(change.state, ""))
