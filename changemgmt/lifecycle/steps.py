"""Steps of an execution, done or failed by the implementer. Doing a step applies the items it names."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.approvals.models import Round
from changemgmt.architecture.actions import Applied
from changemgmt.audit.actions import record
from changemgmt.changes.digest import digest_of, parts_of
from changemgmt.changes.models import Change, OnWindowEnd, State
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import NotFound, NotPossible
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.execution.actions import settle_task, wake
from changemgmt.execution.models import Execution, Task
from changemgmt.preview.actions import apply_items
from changemgmt.scheduling.queries import freeze_guard

from . import may
from .cancel import reason_given
from .guards import conditions, step_gates
from .move import locked
from .undo import begin_undo, cannot_undo, finish_undo, undo_failed, undone

TICKABLE = (Execution.State.RUNNING, Execution.State.WAITING, Execution.State.ROLLING_BACK)


def execution_of(execution_id: int, actor: User) -> tuple[Change, Execution]:
    """The execution, its change locked; NotFound where the actor may not see it."""
    number = visible_to(actor).filter(executions=execution_id).values_list("number", flat=True).first()
    if number is None:
        raise NotFound("There is no execution with this id that you may see.")
    change = locked(number, actor)
    return change, Execution.objects.get(pk=execution_id)


def may_tick(change: Change, execution: Execution, task: Task, *, actor: User, now: datetime) -> Verdict:
    """Whether this person may say now that this task is done."""
    verdict = may_report(change, execution, task, actor=actor)
    if not verdict.allowed or task.kind == Task.Kind.COMPENSATE:
        return verdict
    found = do_guards(change, execution, now=now)
    if task.kind == Task.Kind.DO:
        freeze = freeze_guard(change, now, now=now)
        found += [*([freeze] if freeze else []), *step_gates(change, task.step)]
    return Verdict(guards=tuple(found))


def may_report(change: Change, execution: Execution, task: Task, *, actor: User) -> Verdict:
    """Whether it is this person's to say what became of this task, and whether it is its turn. That it failed can be said whatever the hour."""
    undoing = task.kind == Task.Kind.COMPENSATE
    refusal = may.implementer_or_manager(actor, change) if undoing else may.implementer(actor, change)
    if refusal or execution.state not in TICKABLE:
        return Verdict(refusal=refusal, impossible=f"The execution is {execution.get_state_display()}.")
    if task.state not in {Task.State.READY, Task.State.RUNNING}:
        return Verdict(
            impossible=f"Step “{task.step}” is {task.get_state_display()}; it waits for the steps before it."
            if task.state == "pending"
            else f"Step “{task.step}” is {task.get_state_display()} already."
        )
    return Verdict()


def do_guards(change: Change, execution: Execution, *, now: datetime) -> list[Guard]:
    """Before each step: nobody rejected it meanwhile, the content is what was approved, and the window is open or the change may finish."""
    found = []
    last = change.rounds.last()
    if last is not None and last.outcome == Round.Outcome.REJECTED:
        found.append(Guard("approval_valid", "It was rejected afterwards: roll it back.", may.managers(change)))
    if digest_of(parts_of(change)) != execution.digest:
        found.append(Guard("digest_matches", "The content is not what was approved.", may.managers(change)))
    if change.planned_end and now > change.planned_end and change.on_window_end != OnWindowEnd.FINISH:
        found.append(
            Guard("inside_window", "The window has ended and this change does not go on after it: fail it or roll it back.", may.managers(change))
        )
    return found


def current_task(execution: Execution, step: str, kind: str | None) -> Task:
    """The task of a step a person means: the one that is ready, else the first that is not over, else the last."""
    tasks = list(execution.tasks.filter(step=step, **({"kind": kind} if kind else {})))
    if not tasks:
        raise NotFound("This execution has no such step.")
    ready = [task for task in tasks if task.state in {Task.State.READY, Task.State.RUNNING}]
    waiting = [task for task in tasks if task.state == Task.State.PENDING]
    return (ready or waiting or tasks[::-1])[0]


def finish_step(execution_id: int, step: str, *, actor: User, now: datetime, note: str = "", kind: str | None = None) -> Execution:
    """Tick a step, its verification or its compensation."""
    with transaction.atomic():
        change, execution = execution_of(execution_id, actor)
        task = current_task(execution, step, kind)
        may_tick(change, execution, task, actor=actor, now=now).enforce()
        applied = apply_step(change, task, actor=actor, now=now)
        over = Task.State.COMPENSATED if task.kind == Task.Kind.COMPENSATE else Task.State.SUCCEEDED
        settle_task(task, over, by=actor, now=now, result={"note": note, **applied})
        told(task, change, execution, actor=actor, now=now, outcome=over, note=note)
        if task.kind == Task.Kind.COMPENSATE and undone(execution):
            finish_undo(change, execution, actor=actor, now=now)
        else:
            wake(execution)
    return execution


def apply_step(change: Change, task: Task, *, actor: User, now: datetime) -> dict[str, int]:
    """Apply the items this task names; answers the revision they made."""
    items = list(change.items.filter(pk__in=task.items)) if task.kind == Task.Kind.DO else []
    if not items:
        return {}
    applied = apply_items(change, items, actor=actor.username, now=now, step=task.step)
    say_applied(change, applied, actor=actor, now=now)
    return {"revision": applied.revision}


def say_applied(change: Change, applied: Applied, *, actor: User, now: datetime) -> None:
    data = {"revision": applied.revision, "keys": [image.key for image in applied.images]}
    record("architecture.applied", actor=actor.username, object=f"change:{change.number}", change=change.number, now=now, data=data)


def told(task: Task, change: Change, execution: Execution, *, actor: User, now: datetime, outcome: str, note: str) -> None:
    data = {"step": task.step, "kind": task.kind, "outcome": outcome, **({"note": note} if note else {})}
    record("task.finished", actor=actor.username, object=f"execution:{execution.pk}", change=change.number, now=now, data=data)


def fail_step(execution_id: int, step: str, *, actor: User, now: datetime, reason: str, kind: str | None = None) -> Execution:
    """Say that a step failed. The plan's `on_failure` decides: undo, or hold and call a person. What can't be undone always holds."""
    with transaction.atomic():
        change, execution = execution_of(execution_id, actor)
        task = current_task(execution, step, kind)
        may_report(change, execution, task, actor=actor).enforce()
        Verdict(guards=reason_given(reason, actor)).enforce()
        settle_task(task, Task.State.FAILED, by=actor, now=now, error=reason)
        told(task, change, execution, actor=actor, now=now, outcome="failed", note=reason)
        if task.kind == Task.Kind.COMPENSATE:
            undo_failed(change, execution, actor=actor, now=now, reason=f"Undoing “{task.step}” failed: {reason}")
        elif execution.on_failure == "roll_back" and not cannot_undo(execution):
            begin_undo(change, execution, actor=actor, now=now, reason=f"Step “{task.step}” failed: {reason}")
        else:
            hold(change, execution, actor=actor, now=now, reason=f"Step “{task.step}” failed: {reason}")
    return execution


def hold(change: Change, execution: Execution, *, actor: User, now: datetime, reason: str) -> None:
    """Stop where it is and call a person."""
    execution.state, execution.waiting_for, execution.reason = Execution.State.WAITING, "person", reason
    execution.save()
    stuck = cannot_undo(execution)
    data = {"reason": reason, "irreversible": stuck}
    record("execution.held", actor=actor.username, object=f"execution:{execution.pk}", change=change.number, now=now, data=data)


def retry_step(execution_id: int, step: str, *, actor: User, now: datetime, note: str = "") -> Execution:
    """After a hold: the failed step may be done again."""
    with transaction.atomic():
        change, execution = execution_of(execution_id, actor)
        Verdict(refusal=may.implementer(actor, change)).enforce()
        task = execution.tasks.filter(step=step, state=Task.State.FAILED).exclude(kind=Task.Kind.COMPENSATE).first()
        if execution.state != Execution.State.WAITING or task is None or change.state != State.IMPLEMENTING:
            raise NotPossible("Only a failed step of an execution that is on hold can be tried again.")
        Verdict(guards=tuple(conditions(change, ["before_schedule", "before_start"], "conditions_before_start"))).enforce()
        task.state, task.ended_at, task.error = Task.State.READY, None, ""
        task.save()
        execution.state, execution.waiting_for, execution.reason = Execution.State.RUNNING, "person", ""
        execution.save()
        told(task, change, execution, actor=actor, now=now, outcome="retried", note=note)
    return execution
