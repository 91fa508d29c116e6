"""What is computed about a change: risk, preview, impact, windows, the gate."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.architecture.impact import in_words, trusted
from changemgmt.assessment.queries import assessment_of
from changemgmt.changes.models import Change
from changemgmt.core.time import rfc3339
from changemgmt.lifecycle import assess as assessing
from changemgmt.lifecycle.blockers import all_blockers
from changemgmt.lifecycle.compute_preview import ask_for_preview, cancel_preview
from changemgmt.lifecycle.start import gate_of
from changemgmt.preview.queries import impact_of, preview_of
from changemgmt.preview.rules import Drift
from changemgmt.preview.stacked import stacked_preview
from changemgmt.scheduling.queries import windows_for

from .call import Call
from .record import pairs


def assess(call: Call) -> None:
    """Answer what is asked about the business, or show the risk with its factors."""
    answers = pairs(call.business_impact or [])
    if answers:
        assessing.answer(call.number, answers, seen=call.seen, **call.acting)
    elif call.again:
        assessing.reassess(call.number, **call.acting)
    found = assessment_of(call.change)
    lines = [
        f"risk {found['level'] or 'not assessed'}"
        + (f" (technical {found['technical']:.2f}, business {found['business']:.2f}, overall {found['overall']:.2f})" if found["level"] else "")
    ]
    if call.business_impact is not None or call.all_factors:
        lines += [f"  {name}: {factor['score']:.2f} × {factor['weight']:.2f}  {factor['basis']}" for name, factor in found["factors"].items()]
    if call.technical_risk or call.all_factors:
        lines += [
            f"  {risk['category']}: likelihood {risk['likelihood']}, impact {risk['impact']}, score {risk['score']}; {risk['mitigation']}"
            for risk in found["risks"]
        ]
    if call.dependencies or call.all_factors:
        lines += [f"  {name}: {text}" for name, text in found["statements"].items()]
    call.answer(found, lines)


def preview(call: Call) -> None:
    """Show the preview; compute it first when asked to."""
    if call.cancel:
        cancel_preview(call.number, **call.acting)
    if call.compute:
        ask_for_preview(call.number, further={"max_depth": call.max_depth, "min_score": call.min_score}, progress=Told(), **call.acting)
    if call.wait:
        wait_for(call.change, call.reader)
    if call.stacked:
        stacked(call)
        return
    found = preview_of(call.change, call.reader)
    summary = found["summary"]
    lines = [
        f"{found['state']}: {summary['added']} added, {summary['changed']} changed, {summary['removed']} removed, {summary['affected']} affected"
    ]
    lines += [check_line(row) for row in found["checks"]]
    lines += [
        f"  drift: {row['key']} {row['field']}: {row['base']} → {row['live']}, proposed {row['proposed']} (by {row['moved_by']})"
        for row in found["drift"]
    ]
    call.answer(found, lines)


class Told:
    """Writes how far a computation is to standard error, once it takes longer than a second."""

    def __init__(self) -> None:
        self.began, self.said = time.monotonic(), ""

    def __call__(self, phase: str, share: float) -> None:
        line = f"{share:4.0%}  {phase or 'waiting for a worker'}"
        if line != self.said and time.monotonic() - self.began > 1:
            self.said = line
            sys.stderr.write(f"{line}\n")


def wait_for(change: Change, reader: User) -> None:
    """Until the preview is not computed any more."""
    told = Told()
    while (found := preview_of(change, reader))["state"] == "running":
        told(found["phase"], found["progress"])
        time.sleep(0.5)


def stacked(call: Call) -> None:
    """The preview on top of the approved changes that are not done yet."""
    found = stacked_preview(call.change, call.reader)
    lines = [f"{found['state']}: on top of {', '.join(row['number'] for row in found['below']) or 'nothing: no approved change is near it'}"]
    lines += [f"  conflict: {Drift(**row).sentence if row['key'] else 'with ' + row['moved_by']}" for row in found["conflicts"]]
    lines += [check_line(row) for row in found["checks"]]
    call.answer(found, lines)


def check_line(row: dict[str, Any]) -> str:
    """One finding, with the rule of an administrator that found it."""
    rule = f" [{row['policy']['name']}]" if row.get("policy") else ""
    more = [
        "blocks" if row.get("blocks") else "",
        "so today, too" if row.get("already") else "",
        "" if row.get("alone", True) else "only together with them",
    ]
    notes = ", ".join(filter(None, more))
    return f"  {row['severity']}: {row['key'] or ''} {row['message']}{rule}{f' ({notes})' if notes else ''}"


def impact(call: Call) -> None:
    """What the change reaches, with the path that explains each."""
    found = impact_of(call.change, call.reader)
    found = found | {"affected": found["affected"][: call.limit] if call.limit else found["affected"]}
    sure = trusted(found["affected"])
    lines = [
        f"{found['state']}: {len(sure)} components reached, {found['users']} users; "
        + ", ".join(f"{layer} {count}" for layer, count in found["by_layer"].items())
    ]
    lines += [reached_line(row) for row in sure]
    if found["untrusted"]:
        lines.append(f"  Not sure, over relations that nobody confirmed lately: {found['untrusted']} more.")
        lines += [reached_line(row) for row in found["affected"][len(sure) :]]
    lines += [f"  meets {row['number']} ({row['kind']}): {', '.join(row['keys'][:5])}".removesuffix(": ") for row in found["collisions"]]
    call.answer(found, lines)


def reached_line(row: dict[str, Any]) -> str:
    """One component that is reached, and why."""
    return f"  {row['score']:.2f}  {row['effect']:8}  {row['layer']:12}  {row['key']}  {in_words(row['path'])}"


def windows(call: Call) -> None:
    """The best windows for it."""
    found = [
        window.as_dict()
        for window in windows_for(
            call.change,
            earliest=call.moment("earliest"),
            latest=call.moment("latest"),
            duration=timedelta(minutes=call.duration),
            limit=call.limit,
            now=call.now,
            viewer=call.reader if call.reader.username else None,
        )
    ]
    lines = [
        f"{row['start']} to {row['end']}  score {row['score']:.2f}  " + ", ".join(f"{name} {value:g}" for name, value in row["factors"].items())
        for row in found
    ]
    call.answer(found, lines or "No window is free in this span.")


def blockers(call: Call) -> None:
    """Everything that keeps it from its next step, and who can clear each."""
    found = all_blockers(call.change, actor=call.reader, now=call.now)
    lines = []
    for one in found:
        who = f" Can be cleared by {', '.join(one['who_can_clear'])}." if one["who_can_clear"] else ""
        when = f" Clears by itself at {rfc3339(one['clears_at'])}." if one["clears_at"] else ""
        lines += [f"{one['what']}{who}{when}", *(f"  {line}" for line in (one["rule"], *one["facts"]) if line)]
    call.answer(found, lines or "Nothing.")


def gate(call: Call) -> None:
    """May it be deployed now? Ends with 1 when not."""
    found = gate_of(call.change, now=call.now, viewer=call.reader if call.reader.username else None)
    call.answer(found, "yes" if found["allowed"] else ["no", *(f"  {reason}" for reason in found["reasons"])])
    if not found["allowed"]:
        sys.exit(1)
