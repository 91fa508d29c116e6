"""Reads of executions."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from changemgmt.changes.models import Change
from changemgmt.core.time import rfc3339

from . import rules
from .actions import plain
from .models import Execution, Task

OPEN = ("queued", "running", "paused", "waiting", "rolling_back")


def open_execution(change: Change) -> Execution | None:
    """The execution that is under way, if one is."""
    return change.executions.filter(state__in=OPEN).first()


def with_tasks(executions: QuerySet[Execution]) -> QuerySet[Execution]:
    """Executions with everything `shape` shows, in a number of queries that does not depend on how many they are."""
    return executions.select_related("change", "started_by").prefetch_related("tasks__by")


def shape(execution: Execution) -> dict[str, Any]:
    """An execution with its tasks as the API shows it; `with_tasks` reads many of them in as many queries as one."""
    prefetched = "tasks" in getattr(execution, "_prefetched_objects_cache", {})
    tasks = list(execution.tasks.all() if prefetched else execution.tasks.select_related("by"))
    return {
        "id": execution.pk,
        "change": execution.change.number,
        "state": execution.state,
        "tasks": [task_shape(task) for task in tasks],
        "progress": rules.progress(plain(tasks)),
        "waiting_for": execution.waiting_for or None,
        "digest": execution.digest,
        "started_by": execution.started_by.username,
        "started_at": rfc3339(execution.started_at),
        "ended_at": rfc3339(execution.ended_at),
        "reason": execution.reason,
    }


def task_shape(task: Task) -> dict[str, Any]:
    return {
        "id": str(task.uuid),
        "step": task.step,
        "kind": task.kind,
        "name": task.name,
        "action": task.action,
        "parameters": task.parameters,
        "items": task.items,
        "irreversible": task.irreversible,
        "depends_on": task.depends_on,
        "state": task.state,
        "attempt": task.attempt,
        "agent": task.agent,
        "by": task.by.username if task.by else None,
        "started_at": rfc3339(task.started_at),
        "ended_at": rfc3339(task.ended_at),
        "result": task.result,
        "error": task.error or None,
    }
