"""Risk: answer what is asked, compute it again, and override the level with a reason."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role, same_person, usernames_with_role
from changemgmt.assessment.actions import assess_change, store_override
from changemgmt.assessment.queries import last_of
from changemgmt.assessment.rules import ASKED, LEVELS
from changemgmt.audit.actions import record
from changemgmt.changes.models import AMENDABLE, Change, State
from changemgmt.core.diff import Difference
from changemgmt.core.errors import Invalid
from changemgmt.core.verdict import YES, Guard, Verdict

from .edit.editing import editing, may_edit
from .move import check_seen, locked, move
from .review import renew_round

ANSWERS = {"revenue": "revenue_at_stake", "reputation": "reputation_at_stake"}


def answer(number: str, answers: dict[str, Any], *, actor: User, now: datetime, seen: str | None = None) -> Change:
    """Answer what is asked about the business (revenue, reputation: 0, 0.25, 0.5, 0.75 or 1). Beyond draft it makes the next version."""
    values = checked(answers)
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        for name, value in values.items():
            setattr(edit.change, ANSWERS[name], value)
        if edit.change.state == State.DRAFT:
            edit.change.save(update_fields=[ANSWERS[name] for name in values])
            assess_change(edit.change, now=now)
    return edit.change


def checked(answers: dict[str, Any]) -> dict[str, float]:
    errors = {}
    for name, value in answers.items():
        if name not in ANSWERS:
            errors[name] = [f"Only {' and '.join(ANSWERS)} are asked."]
        elif isinstance(value, bool) or not isinstance(value, int | float) or value not in ASKED:
            errors[name] = ["Answer with 0, 0.25, 0.5, 0.75 or 1."]
    if errors or not answers:
        raise Invalid("The answers are not right.", errors=errors or {"revenue": ["Answer at least one of the questions."]})
    return {name: float(value) for name, value in answers.items()}


def reassess(number: str, *, actor: User, now: datetime) -> Change:
    """Compute the risk of a draft from what is stored now. Beyond draft the assessment that was signed stays."""
    with transaction.atomic():
        change = locked(number, actor)
        may_edit(change, actor=actor).enforce()
        if change.state != State.DRAFT:
            return change
        before = last_of(change)
        row = assess_change(change, now=now)
        change.save(update_fields=["risk_level", "risk_score"])
        if before is None or before.pk != row.pk:
            data = {"level": change.risk_level, "overall": row.overall, "version": change.version}
            record("change.assessed", actor=actor.username, object=f"change:{number}", change=number, now=now, data=data)
    return change


def may_override(change: Change, *, actor: User, reason: str = "", lift: bool = False) -> Verdict:
    """A change manager who did not request the change may, up to its start, with a reason."""
    who = tuple(name for name in usernames_with_role("change_manager") if name != change.requester.username)
    if not has_role(actor, "change_manager"):
        return Verdict(refusal=f"Only a change manager may override the risk level ({', '.join(who) or 'there is none'}).")
    if same_person(actor, change.requester):
        return Verdict(refusal="The requester can't override the risk of their own change: ask another change manager.")
    if change.state not in (State.DRAFT, *AMENDABLE):
        return Verdict(impossible=f"The risk of a change that is {change.get_state_display().lower()} can't be overridden any more.")
    if not reason.strip():
        return Verdict(guards=(Guard("reason_given", "Give the reason: it is kept and shown.", (actor.username,)),))
    if lift and not getattr(last_of(change), "override_level", ""):
        return Verdict(impossible="The risk of this change is not overridden.")
    return YES


def override(number: str, *, actor: User, now: datetime, level: str | None, reason: str, seen: str | None = None) -> Change:
    """Set the risk level by hand; None lifts it. Beyond draft it makes the next version, since votes rest on the risk.

    Whoever does it can't vote on this change any more.
    """
    if level is not None and level not in LEVELS:
        raise Invalid.field("level", f"One of {', '.join(LEVELS)}, or null to lift it.")
    with transaction.atomic():
        change = locked(number, actor)
        verdict = may_override(change, actor=actor, reason=reason, lift=level is None)
        if verdict.allowed:
            check_seen(change, seen)
        verdict.enforce()
        write_override(change, level or "", reason.strip()[:2000], actor=actor, now=now)
    return change


def write_override(change: Change, level: str, reason: str, *, actor: User, now: datetime) -> None:
    before, drafting = change.risk_level, change.state == State.DRAFT
    store_override(change, level, reason, version=change.version + (not drafting), by=actor, now=now)
    moved = [Difference("risk.level", before, change.risk_level)]
    data = {"level": change.risk_level, "reason": reason, "lifted": not level}
    record(
        "assessment.overridden", actor=actor.username, object=f"change:{change.number}", change=change.number, now=now, differences=moved, data=data
    )
    if drafting:
        change.edits += 1
        change.updated_at = now
        change.save()
    else:
        change.version, change.edits, change.approval_expires_at = change.version + 1, 1, None
        change.retrospective, change.go_ahead_by, change.decided_at = False, None, None
        move(change, "amend", actor=actor, now=now, comment=reason, differences=moved, data={"parts": ["risk"]})
        renew_round(change, actor=actor, now=now, reason=f"risk level set by hand in version {change.version}")
