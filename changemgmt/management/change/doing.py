"""Schedule, execute, steps and review."""

from __future__ import annotations

import time
from typing import Any

from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, existing
from changemgmt.core.time import utc_now
from changemgmt.execution.models import Execution
from changemgmt.execution.queries import OPEN, open_execution, shape
from changemgmt.lifecycle import close, start, steps
from changemgmt.lifecycle import schedule as scheduling
from changemgmt.lifecycle.verify_results import record_results

from .call import Call
from .record import told

YES_OR_NO = {"yes": True, "no": False}


def schedule(call: Call) -> None:
    """Give it its window."""
    start, end = call.moment("start"), call.moment("end")
    told(call, scheduling.schedule(call.number, seen=call.seen, comment=call.comment, start=start, end=end, **call.acting))


def execute(call: Call) -> None:
    """Start it; on request follow it until it ends."""
    if call.executor and call.executor != call.actor.username:
        raise NotPermitted(f"Who executes proves it: {call.executor} has to run this, you are {call.actor.username}.")
    change = start.start(call.number, seen=call.seen, comment=call.comment, **call.acting)
    execution = existing(change.executions.last(), "Nothing was started.")
    if call.monitor_progress:
        follow(call, execution)
    found = shape(Execution.objects.get(pk=execution.pk))
    call.answer(found, in_words(found))


def follow(call: Call, execution: Execution) -> None:
    """Print what moves until the execution is over."""
    before: dict[str, Any] = {}
    while True:
        found = shape(Execution.objects.select_related("change", "started_by").get(pk=execution.pk))
        now = {f"{task['step']} ({task['kind']})": task["state"] for task in found["tasks"]}
        moved = [f"{utc_now():%H:%M:%S}  {name}: {state}" for name, state in now.items() if before.get(name) != state]
        if moved and not call.options.get("json"):
            call.write("\n".join([*moved, f"          {found['progress']:.0%}"]))
        if found["state"] not in OPEN:
            return
        before = now
        time.sleep(call.interval)


def in_words(execution: dict[str, Any]) -> list[str]:
    lines = [f"execution {execution['id']} is {execution['state']}, {execution['progress']:.0%} done"]
    return lines + [f"  {task['step']:20}  {task['kind']:10}  {task['state']:12}  {task['name']}" for task in execution["tasks"]]


def step(call: Call) -> None:
    """Say that a step is done or failed, or try it again."""
    call.reader = call.actor
    execution = open_execution(call.change)
    if execution is None:
        raise NotPossible("Nothing is being executed.")
    if call.done:
        steps.finish_step(execution.pk, call.step, note=call.note, kind=call.kind, **call.acting)
    elif call.fail:
        steps.fail_step(execution.pk, call.step, reason=call.note, kind=call.kind, **call.acting)
    else:
        steps.retry_step(execution.pk, call.step, note=call.note, **call.acting)
    found = shape(Execution.objects.get(pk=execution.pk))
    call.answer(found, in_words(found))


def review(call: Call) -> None:
    """Answer the success criteria and tick the checklist, and with a summary or a result close the change."""
    call.reader = call.actor
    results = {
        name: [{"index": index, field: value} for index, value in read(call.options.get(option) or [], option)]
        for name, option, field in (("success_criteria", "verify_success_criteria", "met"), ("checklist", "verify_checklist", "done"))
        if call.options.get(option)
    }
    if results:
        record_results(call.number, results, seen=call.seen, **call.acting)
    if call.summary or call.result:
        given = {name: call.options[name] for name in ("summary", "lessons", "issues") if call.options.get(name)}
        told(call, close.close(call.number, result=call.result, review=given, seen=call.seen, **call.acting))
        return
    change = Change.objects.get(pk=call.change.pk)
    shown = {"success_criteria": change.success_criteria, "verification_checklist": change.verification_checklist}
    words = {None: "open", True: "yes", False: "no"}
    lines = [f"{index:>3}  {words[entry['met']]:5}  {entry['group']:10}  {entry['text']}" for index, entry in enumerate(change.success_criteria)]
    lines += [f"{index:>3}  {words[entry['done']]:5}  checklist   {entry['text']}" for index, entry in enumerate(change.verification_checklist)]
    call.answer(shown, lines or "It has no success criteria and no checklist.")


def read(given: list[str], option: str) -> list[tuple[int, bool]]:
    """`INDEX=yes|no` options."""
    found = []
    for text in given:
        index, _, answer = text.partition("=")
        if not (index.isascii() and index.isdigit() and len(index) < 6) or answer not in YES_OR_NO:
            raise Invalid.field(option, f"“{text[:60]}”: write INDEX=yes or INDEX=no.")
        found.append((int(index), YES_OR_NO[answer]))
    return found
