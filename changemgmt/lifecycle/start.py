"""Start: the implementer begins, and the approved plan becomes an execution."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.audit.actions import record
from changemgmt.changes.models import Change, State
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.execution.actions import create_execution
from changemgmt.execution.models import Execution
from changemgmt.execution.queries import open_execution
from changemgmt.planning.queries import plan_of
from changemgmt.scheduling.queries import freeze_guard

from . import guards, may
from .move import check_seen, legal, locked, move
from .steps import do_guards


def may_start(change: Change, *, actor: User, now: datetime) -> Verdict:
    """Every guard of `start`, asked at once."""
    refusal = may.implementer(actor, change)
    if refusal or not legal(change, "start"):
        return Verdict(refusal=refusal, impossible=f"A change that is {change.get_state_display().lower()} can't be started: it has to be scheduled.")
    return Verdict(guards=tuple(start_guards(change, now=now, viewer=actor)))


def start_guards(change: Change, *, now: datetime, viewer: User | None) -> list[Guard]:
    freeze = freeze_guard(change, now, now=now)
    return [
        *guards.inside_window(change, now=now),
        *([freeze] if freeze else []),
        *guards.approval_valid(change, now=now),
        *guards.digest_matches(change),
        *guards.conditions(change, ["before_schedule", "before_start"], "conditions_before_start"),
        *guards.entry_gates(change),
        *guards.base_current(change, viewer=viewer),
        *guards.policy_rules(change),
        *guards.dependencies_done(change, viewer=viewer),
        *guards.not_blocked(change, viewer=viewer),
    ]


def start(number: str, *, actor: User, now: datetime, seen: str | None = None, comment: str = "") -> Change:
    """Begin. What runs is the plan as it was approved, copied into the tasks of an execution."""
    with transaction.atomic():
        change = locked(number, actor)
        may_start(change, actor=actor, now=now).enforce()
        check_seen(change, seen)
        change.actual_start, change.actual_end = now, None
        execution = create_execution(change, plan_of(change), actor=actor, now=now)
        move(change, "start", actor=actor, now=now, comment=comment, data={"execution": execution.pk})
        name, data = f"execution:{execution.pk}", {"digest": execution.digest, "steps": execution.tasks.filter(kind="do").count()}
        record("execution.started", actor=actor.username, object=name, change=change.number, now=now, data=data)
    return change


def gate_of(change: Change, *, now: datetime, viewer: User | None) -> dict[str, Any]:
    """May this change be carried out now: as long as it is under way, or every guard of its start is met. `until` ends what is said."""
    execution = open_execution(change)
    if change.state == State.IMPLEMENTING and execution:
        undoing = ["It is being rolled back."] if execution.state == Execution.State.ROLLING_BACK else []
        against = undoing + [guard.message for guard in do_guards(change, execution, now=now)]
        return {"allowed": not against, "reasons": against, "until": None if against else change.planned_end, "change": change.number}
    if change.state != State.SCHEDULED:
        reason = f"The change is {change.get_state_display().lower()}; it has to be scheduled."
        return {"allowed": False, "reasons": [reason], "until": None, "change": change.number}
    found = start_guards(change, now=now, viewer=viewer)
    clears = [guard.clears_at for guard in found]
    until = change.planned_end if not found else max((at for at in clears if at), default=None) if all(clears) else None
    return {"allowed": not found, "reasons": [guard.message for guard in found], "until": until, "change": change.number}
