"""Override: two named people decide a level instead of its seats. One asks with a reason, another confirms; the votes stay on record.

It is no way around a question, nor around content nobody looked at: what stops votes stops it too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role, same_person, usernames_with_role
from changemgmt.approvals import deciding
from changemgmt.approvals.actions import settle
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Override, RoundLevel, Seat
from changemgmt.approvals.overrides import state_of, votes_that_stood
from changemgmt.approvals.sitting import seat_open
from changemgmt.audit.actions import Personal, record
from changemgmt.changes.digest import digest_of, parts_of
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, OutOfDate, existing
from changemgmt.core.text import given_text
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.preview.queries import state_of as preview_state

from .cancel import reason_given
from .conclude import conclude
from .move import check_seen, locked
from .rights import settle_rights

ROLES = ("administrator", "change_manager")
FINISHED = ("ready", "conflict")


# --- who and when ---


def may_override(change: Change, *, actor: User) -> Verdict:
    """An administrator or change manager, a human being, who has no part in the change. Whether a level can be overridden is asked of the level."""
    if not has_role(actor, *ROLES) or actor.is_service or actor.is_guest:
        return Verdict(refusal="Only an administrator or a change manager may override a decision, with a second one.")
    part = involved_persons(change).get(actor.person)
    return Verdict(refusal=f"You can't override a decision on this change: you (or another account of yours) {part}." if part else "")


def level_open(level: RoundLevel) -> Verdict:
    """Whether the level waits to be decided now: what keeps votes from it keeps an override from it."""
    closed = seat_open(Seat(level=level))
    if closed:
        return Verdict(impossible=closed.replace("nobody votes", "nothing is decided"))
    state = preview_state(level.round.change)
    found = () if state in FINISHED else (Guard("preview_ready", f"The preview is {state}: a level is decided when it is ready."),)
    return Verdict(guards=found)


def check_content(level: RoundLevel, digest: str) -> None:
    """412 where what the level covers is not what it was."""
    if digest_of(parts_of(level.round.change), level.watches) != digest:
        raise OutOfDate("The content has changed since the override was asked for: look at it again, and ask anew.")


# --- asking ---


def ask_override(number: str, *, actor: User, now: datetime, level: Any, decision: Any, reason: Any, seen: str | None = None) -> Override:
    """Ask for a level (its name, number or id) to be approved or rejected in spite of its votes. It holds when a second person confirms it.

    Asked again in the same words by the same person, it is the same one.
    """
    with transaction.atomic():
        change = locked(number, actor)
        may_override(change, actor=actor).enforce()
        reason = read_words(decision, reason)
        there = level_named(change, level)
        level_open(there).enforce()
        if seen is not None:
            check_seen(change, seen)
        open_one = there.overrides.filter(confirmed_at=None, withdrawn_at=None).select_related("asked_by").first()
        if open_one is not None and same_person(open_one.asked_by, actor) and (open_one.decision, open_one.reason) == (decision, reason):
            return open_one
        may_ask(actor=actor, reason=reason, open_one=open_one).enforce()
        check_content(there, there.digest)
        row = Override.objects.create(change=change, level=there, decision=decision, reason=reason, digest=there.digest, asked_by=actor, asked_at=now)
        told(row, "override.asked", actor=actor, now=now)
    return row


def may_ask(*, actor: User, reason: str, open_one: Override | None) -> Verdict:
    """Where nobody asked about the level yet, with a reason."""
    if open_one is not None:
        return Verdict(impossible=f"{open_one.asked_by.display_name} asked for this level already: confirm that, or have it withdrawn.")
    return Verdict(guards=reason_given(reason, actor))


def read_words(decision: Any, reason: Any) -> str:
    """The reason as it is kept; Invalid at what can't be."""
    if decision not in tuple(Override.Decision.values):
        raise Invalid.field("decision", f"One of {', '.join(Override.Decision.values)}.")
    return given_text(reason, "reason")


def level_named(change: Change, named: Any) -> RoundLevel:
    """The level of the last round by its name, its number, or its id; of several that fit, the only one that is open."""
    if isinstance(named, bool) or not isinstance(named, str | int) or named == "":
        raise Invalid.field("level", "Name a level: by its name, its number, or its id.")
    last = change.rounds.last()
    levels = list(last.levels.all()) if last is not None else []
    text = str(named)
    fitting = [level for level in levels if level.name == text] or [level for level in levels if str(level.number) == text]
    fitting = fitting or [level for level in levels if str(level.pk) == text]
    if not fitting:
        raise Invalid.field("level", f"This approval has no such level. It has {', '.join(level.name for level in levels) or 'none'}.")
    if len(fitting) > 1:
        fitting = [level for level in fitting if level.state == RoundLevel.State.OPEN] or fitting[:1]
    if len(fitting) > 1:
        raise Invalid.field("level", f"Several levels fit; give the id of one: {', '.join(f'{level.pk} ({level.name})' for level in fitting)}.")
    level = fitting[0]
    level.round.change = change
    return level


# --- the second person ---


def locked_override(number: str, override_id: int, actor: User) -> Override:
    """The override, its change locked; NotFound where the actor may not see it or it is of another change."""
    change = locked(number, actor)
    row = Override.objects.select_related("level__round", "asked_by", "confirmed_by").filter(pk=override_id, change=change).first()
    row = existing(row, "This change has no override with this id.")
    row.change = row.level.round.change = change
    return row


def may_confirm(row: Override, *, actor: User) -> Verdict:
    """Another human being who might have asked it, while it waits, and as long as who asked might still ask."""
    verdict = may_override(row.change, actor=actor)
    if verdict.refusal:
        return verdict
    if same_person(actor, row.asked_by):
        return Verdict(refusal="You asked for this: another administrator or change manager has to confirm it.", guards=(second_person(row),))
    state = state_of(row)
    if state in ("confirmed", "withdrawn"):
        return Verdict(impossible=f"This override is {state}.")
    if not row.asked_by.is_active or may_override(row.change, actor=row.asked_by).refusal:
        return Verdict(impossible=f"{row.asked_by.display_name}, who asked for it, could not ask for it any more.")
    return level_open(row.level)


def second_person(row: Override) -> Guard:
    people = sorted({name for role in ROLES for name in usernames_with_role(role)} - {row.asked_by.username})
    return Guard("second_person", "An override takes two people.", tuple(people))


def confirm_override(number: str, override_id: int, *, actor: User, now: datetime, seen: str | None = None) -> Override:
    """Decide the level as it was asked. Confirmed again by the same person, nothing changes."""
    with transaction.atomic():
        row = locked_override(number, override_id, actor)
        if row.confirmed_by_id == actor.pk:
            return row
        verdict = may_confirm(row, actor=actor)
        Verdict(refusal=verdict.refusal, guards=verdict.guards if verdict.refusal else ()).enforce()
        if state_of(row) in ("asked", "lapsed"):
            check_content(row.level, row.digest)
        verdict.enforce()
        if seen is not None:
            check_seen(row.change, seen)
        row.confirmed_by, row.confirmed_at = actor, now
        row.save(update_fields=["confirmed_by", "confirmed_at"])
        told(row, "override.confirmed", actor=actor, now=now)
        decide(row, now=now, actor=actor)
    return row


def decide(row: Override, *, now: datetime, actor: User) -> None:
    """Close the level as the override says, and bring round and change as far as that brings them."""
    change, round = row.change, row.level.round
    why = f"Decided by override: asked by {row.asked_by.username}, confirmed by {actor.username}."
    deciding.decide_otherwise(row.level, approve=row.decision == Override.Decision.APPROVE, why=why, now=now)
    settle(round, now=now)
    conclude(change, round, now=now, actor=actor)
    settle_rights(change, now=now)


def may_withdraw_override(row: Override, *, actor: User) -> Verdict:
    """Who asked for it, before it is confirmed."""
    if not same_person(actor, row.asked_by):
        return Verdict(refusal=f"Only {row.asked_by.display_name}, who asked for it, can withdraw it.")
    return Verdict(impossible="It is confirmed: the level is decided." if row.confirmed_at else "")


def withdraw_override(number: str, override_id: int, *, actor: User, now: datetime) -> Override:
    """It is asked for no more. Withdrawn again, nothing changes."""
    with transaction.atomic():
        row = locked_override(number, override_id, actor)
        may_withdraw_override(row, actor=actor).enforce()
        if row.withdrawn_at is None:
            row.withdrawn_at = now
            row.save(update_fields=["withdrawn_at"])
            told(row, "override.withdrawn", actor=actor, now=now)
    return row


def told(row: Override, action: str, *, actor: User, now: datetime) -> None:
    """The event, with the votes that stand at the level."""
    votes = [{"label": vote.seat.label, "by": vote.by.username, "vote": vote.vote} for vote in votes_that_stood(row) if not vote.superseded]
    about = {"override": row.pk, "round": row.level.round.number, "level": row.level.name, "level_id": row.level_id, "digest": row.digest}
    said = {"decision": row.decision, "reason": Personal(row.reason), "asked_by": row.asked_by.username, "votes": votes}
    record(action, actor=actor.username, object=f"change:{row.change.number}", change=row.change.number, now=now, data=about | said)
