"""Complete: every step is done, verified, and the change is in the architecture."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.core.errors import existing
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.execution import rules
from changemgmt.execution.actions import end, plain
from changemgmt.execution.models import Execution
from changemgmt.execution.queries import open_execution
from changemgmt.preview.actions import apply_items

from . import may
from .guards import conditions, exit_gates
from .move import check_seen, legal, locked, move
from .steps import do_guards, hold, say_applied
from .undo import begin_undo, cannot_undo


def may_complete(change: Change, *, actor: User, now: datetime) -> Verdict:
    """Steps done, verification passed, technical criteria answered, conditions of this time met."""
    refusal = may.implementer(actor, change)
    execution = open_execution(change)
    if refusal or not legal(change, "complete") or execution is None:
        return Verdict(refusal=refusal, impossible=f"A change that is {change.get_state_display().lower()} can't be completed.")
    who = tuple(change.implementers.values_list("username", flat=True))
    found = list(do_guards(change, execution, now=now))
    tasks = plain(execution.tasks.all())
    if execution.state == Execution.State.ROLLING_BACK:
        found.append(Guard("steps_done", "It is being rolled back.", who))
    for kind, name in ((rules.DO, "steps_done"), (rules.VERIFY, "verification_passed")):
        left = [task.step for task in tasks if task.kind == kind and task.state not in {"succeeded", "skipped"}]
        if left:
            found.append(Guard(name, f"{'Not done' if kind == rules.DO else 'Not verified'}: {', '.join(left)}.", who))
    unticked = [entry["text"] for entry in change.verification_checklist if not entry.get("done")]
    if unticked:
        found.append(Guard("verification_passed", f"Not ticked on the verification checklist: {'; '.join(unticked)}.", who))
    unanswered = [entry["text"] for entry in technical(change) if entry.get("met") is None]
    if unanswered:
        found.append(Guard("technical_criteria", f"Technical success criteria without an answer: {'; '.join(unanswered)}.", who))
    return Verdict(guards=(*found, *exit_gates(change), *conditions(change, ["before_schedule", "before_start", "during"], "conditions_during")))


def technical(change: Change) -> list[dict[str, Any]]:
    return [entry for entry in change.success_criteria if entry["group"] == "technical"]


def complete(number: str, *, actor: User, now: datetime, seen: str | None = None, comment: str = "") -> Change:
    """End the execution. Items no step named are applied here; a technical criterion that is not met leads to the plan's `on_failure`."""
    with transaction.atomic():
        change = locked(number, actor)
        may_complete(change, actor=actor, now=now).enforce()
        check_seen(change, seen)
        execution = existing(open_execution(change), "No execution of this change is under way.")
        missed = [entry["text"] for entry in technical(change) if entry.get("met") is False]
        if missed:
            return turn(change, execution, actor=actor, now=now, reason=f"Not met: {'; '.join(map(str, missed))}")
        named = {item for task in execution.tasks.filter(kind="do") for item in task.items}
        left = list(change.items.exclude(pk__in=named))
        if left:
            say_applied(change, apply_items(change, left, actor=actor.username, now=now), actor=actor, now=now)
        end(execution, Execution.State.SUCCEEDED, now=now)
        change.actual_end = now
        move(change, "complete", actor=actor, now=now, comment=comment, data={"execution": execution.pk})
    return change


def turn(change: Change, execution: Execution, *, actor: User, now: datetime, reason: str) -> Change:
    """What the plan says for a failure: back, or hold."""
    if execution.on_failure == "roll_back" and not cannot_undo(execution):
        begin_undo(change, execution, actor=actor, now=now, reason=reason)
    else:
        hold(change, execution, actor=actor, now=now, reason=reason)
    return change
