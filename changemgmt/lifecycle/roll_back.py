"""Roll back: asking for it starts the compensations; the state follows when they are done."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.core.errors import existing
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.execution.models import Execution
from changemgmt.preview.queries import later_changes

from . import may
from .cancel import reason_given
from .move import check_seen, legal, locked
from .undo import begin_undo, cannot_undo


def may_roll_back(change: Change, *, actor: User, reason: str = "") -> Verdict:
    """Not while it is under way already, not where a step can't be undone, not where a later change built upon it."""
    refusal = may.implementer_or_manager(actor, change)
    execution = change.executions.last()
    if refusal or not legal(change, "roll_back") or execution is None:
        return Verdict(refusal=refusal, impossible=f"A change that is {change.get_state_display().lower()} can't be rolled back.")
    found = list(reason_given(reason, actor))
    if execution.state == Execution.State.ROLLING_BACK:
        left = execution.tasks.filter(kind="compensate").exclude(state="compensated").values_list("step", flat=True)
        found.append(
            Guard(
                "compensated",
                f"It is being rolled back; not undone yet: {', '.join(left)}.",
                tuple(change.implementers.values_list("username", flat=True)),
            )
        )
    stuck = cannot_undo(execution)
    if stuck:
        found.append(
            Guard("compensated", f"Can't be undone: {', '.join(stuck)}. Decide by hand what to do, then close it as failed.", may.managers(change))
        )
    found += [Guard("no_later_change", message, may.managers(change)) for message in later_changes(change, viewer=actor)]
    return Verdict(guards=tuple(found))


def roll_back(number: str, *, actor: User, now: datetime, reason: str, seen: str | None = None) -> Change:
    """Start the way back."""
    with transaction.atomic():
        change = locked(number, actor)
        may_roll_back(change, actor=actor, reason=reason).enforce()
        check_seen(change, seen)
        execution = existing(change.executions.last(), "No execution of this change has run.")
        begin_undo(change, execution, actor=actor, now=now, reason=reason)
    return change
