"""What may be done next in an execution, and what has to be undone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DO, VERIFY, COMPENSATE = "do", "verify", "compensate"
SUCCEEDED = "succeeded"
STARTED = frozenset({"running", "succeeded", "failed", "unknown"})


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the rules see it. `depends_on` names steps; `position` is the order of the plan."""

    step: str
    kind: str
    position: int
    state: str = "pending"
    depends_on: tuple[str, ...] = ()
    irreversible: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


def tasks_for(steps: Sequence[Mapping[str, Any]]) -> list[Task]:
    """The tasks of a plan: doing each step and, where it says how, verifying it.

    Where no step says what it depends on, each waits for the one before: a plain list is done in its order.
    """
    in_order = not any(step["depends_on"] for step in steps)
    tasks = []
    for index, step in enumerate(steps):
        needs = (steps[index - 1]["id"],) if in_order and index else tuple(step["depends_on"])
        common = {"position": index + 1, "irreversible": step["irreversible"]}
        values = {name: step[name] for name in ("name", "agent", "action", "parameters", "items")}
        tasks.append(Task(step["id"], DO, depends_on=needs, values=values, **common))
        if step["verification"]:
            tasks.append(Task(step["id"], VERIFY, depends_on=(step["id"],), values=act(step, "verification", "Verify"), **common))
    return tasks


def act(step: Mapping[str, Any], kind: str, verb: str) -> dict[str, Any]:
    """The values of the task that verifies or undoes a step."""
    told = step[kind]
    agent = told.get("agent", step["agent"])
    return {
        "name": f"{verb}: {step['name']}"[:200],
        "agent": agent,
        "action": told.get("action", ""),
        "parameters": told.get("parameters", {}),
        "items": [],
    }


def ready(tasks: Iterable[Task]) -> list[tuple[str, str]]:
    """(step, kind) of every pending task that may be done now."""
    tasks = list(tasks)
    state = {(task.step, task.kind): task.state for task in tasks}
    done = {
        step for (step, kind) in state if kind == DO and all(state.get((step, other), SUCCEEDED) in {SUCCEEDED, "skipped"} for other in (DO, VERIFY))
    }
    undoing = [task for task in tasks if task.kind == COMPENSATE]
    if undoing:
        left = [task for task in undoing if task.state == "pending"]
        busy = any(task.state not in {"pending", "compensated"} for task in undoing)
        return [] if busy or not left else [(min(left, key=lambda task: task.position).step, COMPENSATE)]
    answer = []
    for task in tasks:
        if task.state != "pending":
            continue
        if task.kind == VERIFY and state[(task.step, DO)] == SUCCEEDED or task.kind == DO and set(task.depends_on) <= done:
            answer.append((task.step, task.kind))
    return answer


def finished(tasks: Iterable[Task]) -> bool:
    """Every step is done and verified."""
    return all(task.state in {SUCCEEDED, "skipped"} for task in tasks if task.kind != COMPENSATE)


def to_undo(tasks: Iterable[Task], steps: Mapping[str, Mapping[str, Any]]) -> list[Task]:
    """Compensations for every step that was started and says how to undo it, the last step first."""
    begun = sorted((task for task in tasks if task.kind == DO and task.state in STARTED), key=lambda task: -task.position)
    wanted = [task for task in begun if steps.get(task.step, {}).get("compensation")]
    return [
        Task(task.step, COMPENSATE, position, values=act(steps[task.step], "compensation", "Undo")) for position, task in enumerate(wanted, start=1)
    ]


def irreversible_done(tasks: Iterable[Task]) -> list[str]:
    """Steps that were done and can't be undone."""
    return [task.step for task in tasks if task.kind == DO and task.irreversible and task.state in {"succeeded", "unknown"}]


def progress(tasks: Iterable[Task]) -> float:
    """Share of the tasks that are over, 0 to 1; 1 when there are none."""
    tasks = list(tasks)
    over = sum(task.state in {SUCCEEDED, "skipped", "compensated"} for task in tasks)
    return round(over / len(tasks), 4) if tasks else 1.0
