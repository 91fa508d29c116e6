"""Schedule: an approved change gets a window."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.changes.models import APPROVED, Change, State
from changemgmt.core.errors import Invalid
from changemgmt.core.time import rfc3339
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.scheduling.actions import hold_calendar
from changemgmt.scheduling.queries import window_guards

from . import may
from .guards import conditions, plan_complete
from .move import check_seen, legal, locked, move


def may_schedule(change: Change, *, actor: User, now: datetime, start: datetime | None = None, end: datetime | None = None) -> Verdict:
    """Whether this person may give it this window now. Without a window only what does not depend on one is asked."""
    refusal = may.owner_or_manager(actor, change)
    if refusal or not legal(change, "schedule"):
        state = change.get_state_display().lower()
        return Verdict(refusal=refusal, impossible=f"A change that is {state} has no approval to schedule on.")
    return Verdict(guards=tuple(schedule_guards(change, now=now, start=start, end=end, viewer=actor)))


def schedule_guards(change: Change, *, now: datetime, start: datetime | None, end: datetime | None, viewer: User) -> list[Guard]:
    """What stands in the way of this window, whoever gives it; changes the viewer may not see are not named."""
    guards = [*plan_complete(change), *conditions(change, ["before_schedule"], "conditions_before_schedule")]
    return [*window_guards(change, start, end, now=now, viewer=viewer), *guards] if start and end else guards


def schedule(
    number: str, *, actor: User, now: datetime, start: datetime | None, end: datetime | None, comment: str = "", seen: str | None = None
) -> Change:
    """Give the change its window, or another one."""
    if start is None or end is None:
        raise Invalid(
            "A window has a start and an end.", errors={name: ["Give a time."] for name, value in (("start", start), ("end", end)) if value is None}
        )
    if end <= start:
        raise Invalid.field("end", "The window has to end after it starts.")
    with transaction.atomic():
        change = locked(number, actor)
        hold_calendar()
        last = change.rounds.last()
        if change.retrospective and change.state == State.SCHEDULED and (last is None or last.outcome not in APPROVED):
            Verdict(refusal=may.owner_or_manager(actor, change), impossible="It runs on an emergency go-ahead; its window is set by that.").enforce()
        may_schedule(change, actor=actor, now=now, start=start, end=end).enforce()
        check_seen(change, seen)
        change.planned_start, change.planned_end = start, end
        move(change, "schedule", actor=actor, now=now, comment=comment, data={"start": rfc3339(start), "end": rfc3339(end)})
    return change
