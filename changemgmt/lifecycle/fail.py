"""Fail: it can't be carried on, and it is not rolled back (yet)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change, Result, State
from changemgmt.core.verdict import Verdict
from changemgmt.execution.actions import end
from changemgmt.execution.models import Execution
from changemgmt.execution.queries import open_execution

from . import may
from .cancel import reason_given
from .move import check_seen, locked, move


def may_fail(change: Change, *, actor: User, reason: str = "") -> Verdict:
    refusal = may.implementer(actor, change)
    if refusal or change.state != State.IMPLEMENTING:
        return Verdict(refusal=refusal, impossible=f"A change that is {change.get_state_display().lower()} can't fail.")
    return Verdict(guards=reason_given(reason, actor))


def fail(number: str, *, actor: User, now: datetime, reason: str, seen: str | None = None) -> Change:
    """Say that the implementation failed. What was applied stays until it is rolled back."""
    with transaction.atomic():
        change = locked(number, actor)
        may_fail(change, actor=actor, reason=reason).enforce()
        check_seen(change, seen)
        execution = open_execution(change)
        if execution:
            end(execution, Execution.State.FAILED, now=now, reason=reason)
        change.result, change.actual_end = Result.FAILED, now
        move(change, "fail", actor=actor, now=now, data={"reason": reason})
    return change
