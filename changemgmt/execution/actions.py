"""Writes to the rows of executions and tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change

from . import rules
from .models import Execution, Task


def create_execution(change: Change, plan: dict[str, Any], *, actor: User, now: datetime) -> Execution:
    """A running execution with the tasks of the plan as it was approved; those that can be done are ready."""
    execution = Execution.objects.create(
        change=change, digest=change.digest, started_by=actor, started_at=now, on_failure=plan["on_failure"], waiting_for="person"
    )
    add_tasks(execution, rules.tasks_for(plan["steps"]), offset=0)
    wake(execution)
    return execution


def add_tasks(execution: Execution, tasks: Sequence[rules.Task], *, offset: int) -> None:
    Task.objects.bulk_create(
        Task(
            execution=execution,
            step=task.step,
            kind=task.kind,
            position=offset + task.position,
            depends_on=list(task.depends_on),
            irreversible=task.irreversible,
            **task.values,
        )
        for task in tasks
    )


def plain(tasks: Iterable[Task]) -> list[rules.Task]:
    """Rows as the rules see them."""
    return [
        rules.Task(task.step, task.kind, task.position, "pending" if task.state == "ready" else task.state, tuple(task.depends_on), task.irreversible)
        for task in tasks
    ]


def wake(execution: Execution) -> None:
    """Mark what can be done now as ready."""
    rows = list(execution.tasks.all())
    now_ready = set(rules.ready(plain(rows)))
    for row in rows:
        if row.state == Task.State.PENDING and (row.step, row.kind) in now_ready:
            row.state = Task.State.READY
            row.save(update_fields=["state"])


def settle_task(task: Task, state: str, *, by: User, now: datetime, result: dict[str, Any] | None = None, error: str = "") -> None:
    """Write the outcome of a task."""
    task.state, task.by, task.ended_at, task.error = state, by, now, error
    task.started_at = task.started_at or now
    task.attempt += 1
    task.result = result or {}
    task.save()


def turn_back(execution: Execution, steps: Sequence[dict[str, Any]], *, reason: str) -> list[Task]:
    """From doing to undoing: what was not begun is skipped, and compensations stand ready in reverse order.

    Where an earlier way back stopped, it goes on there: what is undone stays undone.
    """
    rows = list(execution.tasks.exclude(kind=Task.Kind.COMPENSATE))
    undo = rules.to_undo(plain(rows), {step["id"]: step for step in steps})
    for row in rows:
        if row.state in {Task.State.PENDING, Task.State.READY}:
            row.state = Task.State.SKIPPED
            row.save(update_fields=["state"])
    begun = set(execution.tasks.filter(kind=Task.Kind.COMPENSATE).values_list("step", flat=True))
    execution.tasks.filter(kind=Task.Kind.COMPENSATE).exclude(state=Task.State.COMPENSATED).update(state=Task.State.PENDING, error="", ended_at=None)
    add_tasks(execution, [task for task in undo if task.step not in begun], offset=len(rows))
    execution.state, execution.waiting_for, execution.reason = Execution.State.ROLLING_BACK, "person" if undo else "", reason
    execution.ended_at = None
    execution.save()
    wake(execution)
    return list(execution.tasks.filter(kind=Task.Kind.COMPENSATE).exclude(state=Task.State.COMPENSATED))


def end(execution: Execution, state: str, *, now: datetime, reason: str = "") -> None:
    """Close an execution in this state."""
    execution.state, execution.waiting_for, execution.ended_at = state, "", now
    execution.reason = reason or execution.reason
    execution.save()
