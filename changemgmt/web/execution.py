"""Doing it: the steps of an execution, ticked or failed by the people who do them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from changemgmt.changes.models import Change, State
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import NotFound
from changemgmt.execution.models import Execution, Task
from changemgmt.execution.queries import shape
from changemgmt.lifecycle import steps, verify_results
from changemgmt.lifecycle.verify_results import may_record_results

from .acts import offered
from .base import PageRequest, attempt, done, names_of, page, refused_status
from .items import described

if TYPE_CHECKING:
    from datetime import datetime

    from changemgmt.accounts.models import User

LOOKS = {
    "pending": ("", "circle"),
    "ready": ("acc", "play"),
    "running": ("acc", "play"),
    "succeeded": ("ok", "ccheck"),
    "failed": ("bad", "cx"),
    "skipped": ("", "skip"),
    "compensating": ("warn", "undo"),
    "compensated": ("warn", "undo"),
}


@dataclass(frozen=True)
class Shown:
    """A task as the page shows it: its row, the items it applies, and whether this person may tick it now."""

    row: Task
    items: list[str]
    may: Any
    look: str
    icon: str
    first_undo: bool = False


def tasks_shown(execution: Execution, change: Change, viewer: User, *, now: datetime) -> list[Shown]:
    """The tasks in order: doing first, then the way back."""
    names = {item.row.pk: item.name for item in described(change)}
    tasks = sorted(
        execution.tasks.select_related("by"), key=lambda task: (task.kind == Task.Kind.COMPENSATE, task.position, task.kind != Task.Kind.DO, task.pk)
    )
    shown, undoing = [], False
    for task in tasks:
        live = task.state in (Task.State.READY, Task.State.RUNNING)
        verdict = steps.may_tick(change, execution, task, actor=viewer, now=now) if live else None
        look, sign = LOOKS.get(task.state, ("", "dot"))
        first = task.kind == Task.Kind.COMPENSATE and not undoing
        undoing = undoing or first
        shown.append(Shown(task, [names[pk] for pk in task.items if pk in names], verdict, look, sign, first))
    return shown


def execution_for(request: PageRequest, number: int) -> tuple[Execution, Change]:
    """The execution and its change, where this person may see them."""
    execution = Execution.objects.select_related("change", "started_by").filter(pk=number, change__in=visible_to(request.user)).first()
    if execution is None:
        raise NotFound(_("There is no execution with this number that you may see."))
    return execution, execution.change


@page()
def execution(request: PageRequest, number: int) -> HttpResponse:
    """One run of a plan."""
    run, change = execution_for(request, number)
    return render(request, "executions/execution.html", run_context(request, run, change))


def run_context(request: PageRequest, run: Execution, change: Change) -> dict[str, Any]:
    """All that the page of an execution shows."""
    acts = offered(change, request.user, now=request.now)
    tasks = tasks_shown(run, change, request.user, now=request.now)
    doing = [task for task in tasks if task.row.kind != Task.Kind.COMPENSATE]
    finished = sum(task.row.state in (Task.State.SUCCEEDED, Task.State.SKIPPED) for task in doing)
    wanted = ("complete", "fail", "roll_back")
    return {
        "run": run,
        "execution": shape(run),
        "change": change,
        "tasks": tasks,
        "finished": finished,
        "total": len(doing),
        "share": 100 * finished / len(doing) if doing else 0,
        "acts": [answer for answer in acts["acts"] if answer.name in wanted],
        "blocked": [answer for answer in acts["blocked"] if answer.name in wanted],
        "may_tick": may_record_results(change, actor=request.user).allowed,
        "people": names_of(name for answer in acts["blocked"] for guard in answer.verdict.guards for name in guard.who_can_clear),
        "implementing": change.state == State.IMPLEMENTING,
    }


@page("POST")
def step_done(request: PageRequest, number: int, step: str) -> HttpResponse:
    """Tick a step, its verification or its compensation."""
    kind = request.POST.get("kind") or None
    return ticked(
        request,
        number,
        lambda: steps.finish_step(number, step, actor=request.user, now=request.now, note=request.POST.get("note", "").strip(), kind=kind),
        _("The step is done."),
    )


@page("POST")
def step_failed(request: PageRequest, number: int, step: str) -> HttpResponse:
    """Say that it failed, and why."""
    kind = request.POST.get("kind") or None
    return ticked(
        request,
        number,
        lambda: steps.fail_step(number, step, actor=request.user, now=request.now, reason=request.POST.get("reason", "").strip(), kind=kind),
        _("Noted: the step failed."),
    )


@page("POST")
def step_again(request: PageRequest, number: int, step: str) -> HttpResponse:
    """Try a failed step of an execution that is on hold again."""
    return ticked(
        request,
        number,
        lambda: steps.retry_step(number, step, actor=request.user, now=request.now, note=request.POST.get("note", "").strip()),
        _("The step may be done again."),
    )


def ticked(request: PageRequest, number: int, act: Any, text: str) -> HttpResponse:
    """Do it and come back; a refusal is shown on the page with everything as it was."""
    moved, refusal = attempt(request, act)
    if moved:
        return done(request, text, f"/executions/{number}/")
    run, change = execution_for(request, number)
    return render(
        request, "executions/execution.html", run_context(request, run, change) | {"problem": refusal}, status=refused_status(request, refusal)
    )


@page("POST")
def results(request: PageRequest, number: str) -> HttpResponse:
    """Tick the checklist and answer the success criteria."""
    data = request.POST
    checklist = [{"index": n, "done": f"check-{n}" in data} for n in indexes(data, "check-there-")]
    answers = {"yes": True, "no": False}
    criteria = [
        {"index": n, "met": answers.get(data.get(f"met-{n}", "")), "note": data.get(f"note-{n}", "").strip()} for n in indexes(data, "met-there-")
    ]
    verify_results.record_results(number, {"checklist": checklist, "success_criteria": criteria}, actor=request.user, now=request.now)
    return done(request, _("The results are recorded."), f"/changes/{number}/#results")


def indexes(data: Any, beginning: str) -> list[int]:
    """The numbers of the fields that were on the form."""
    return sorted(
        int(number) for key in data if key.startswith(beginning) and (number := key.removeprefix(beginning)).isdecimal() and len(number) < 5
    )
