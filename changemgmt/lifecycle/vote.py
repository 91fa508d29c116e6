"""Vote: the one decision function behind page, API, command line and bulk. And the questions approvers ask.

It locks the change, reads seat, level, round and membership again, compares the digest, inserts the vote,
recomputes the level from all current votes, and carries the outcome into the change, all in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.approvals import actions, casting
from changemgmt.approvals.conditions import Condition, read_conditions
from changemgmt.approvals.models import Round, Seat, Vote
from changemgmt.approvals.sitting import can_vote, current_votes, may_sit, my_open_seats, open_seats, seat_now, seat_with, visible_seat
from changemgmt.approvals.taking import seat_to_take
from changemgmt.audit.actions import Personal, record, record_refusal
from changemgmt.changes.digest import digest_of, parts_of
from changemgmt.changes.models import APPROVED, Change, State
from changemgmt.core.errors import DomainError, Invalid, NotFound, OutOfDate, PreconditionMissing, existing
from changemgmt.core.text import given_text
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.preview.queries import state_of

from . import may
from .cancel import reason_given
from .conclude import conclude
from .move import locked, move
from .reopen_review import REASONS, reopen
from .review import renew_round
from .rights import settle_rights
from .signature import check_signature, signing

FINISHED = ("ready", "conflict")


@dataclass(frozen=True)
class Said:
    """What a person says at a seat, as it came in."""

    vote: Any
    digest: Any
    comment: Any
    conditions: Any


def cast_vote(
    seat_id: int,
    *,
    actor: User,
    now: datetime,
    vote: str,
    digest: str | None,
    comment: str = "",
    conditions: Sequence[Mapping[str, Any]] = (),
    password: str | None = None,
    code: str | None = None,
) -> Seat:
    """Vote at a seat and bring level, round and change as far as the votes bring them. Returns the seat that was taken.

    `password` and `code` (of the second factor) are asked for where the level demands a signature.

    Checked in this order: 404 not visible, 403 not yours, 400 malformed, 428 no digest, 409 not now, 412 other content, 403 no signature.
    The same vote again changes nothing and answers like the first.
    """
    said = Said(vote, digest, comment, conditions)
    with signing(actor, now=now), transaction.atomic():
        seat = locked_seat(seat_id, actor)
        Verdict(refusal=may_sit(seat, actor, now=now)).enforce()
        demands = check_form(seat, said, now)
        if not said.digest:
            raise PreconditionMissing("Send the digest of what you saw: it stands with the seat.")
        before = my_vote(seat, actor)
        if before is not None and repeats(before, said, demands):
            return before.seat
        check_moment(seat, actor, said, now)
        check_content(seat, said)
        taken, sitter = seat_to_take(seat, actor, vote, now=now)
        signature = check_signature(taken, actor, password=password, code=code, now=now, vote=vote, on_behalf_of=sitter.on_behalf_of)
        row = casting.record_vote(
            taken,
            sitter=sitter,
            vote=vote,
            digest=said.digest,
            comment=comment,
            conditions=[demand.shape() for demand in demands],
            signature=signature,
            now=now,
        )
        change = taken.level.round.change
        casting.add_obligations(row, [demand.owner or default_owner(change) for demand in demands], now=now)
        actions.settle(taken.level.round, now=now)
        conclude(change, taken.level.round, now=now, actor=actor)
    return taken


def locked_seat(seat_id: int, actor: User) -> Seat:
    """The seat that stands for this one now, its change locked; NotFound where the actor may not see the change."""
    seen = existing(visible_seat(seat_id, actor), "There is no vote with this id that you may see.")
    change = locked(seen.level.round.change.number, actor)
    seat = seat_now(seat_with(seat_id))
    seat.level.round.change = change
    return seat


def check_form(seat: Seat, said: Said, now: datetime) -> list[Condition]:
    """400: a vote that is none, or conditions that can't be."""
    if said.vote not in Vote.Kind.values:
        raise Invalid.field("vote", f"Vote one of {', '.join(Vote.Kind.values)}.")
    given_text(said.comment, "comment")
    if said.digest is not None and not isinstance(said.digest, str):
        raise Invalid.field("digest", "Give the digest as text.")
    demands = read_conditions(said.conditions, seat.level.round.change, now=now)
    if demands and said.vote != Vote.Kind.APPROVE:
        raise Invalid.field("conditions", "Only an approval carries conditions.")
    if demands and not seat.level.settings.get("allow_conditions", True):
        raise Invalid.field("conditions", "This level takes no conditions: approve, reject or abstain.")
    return demands


def my_vote(seat: Seat, actor: User) -> Vote | None:
    """The vote of this person that counts at this level, at whichever seat."""
    return next((vote for vote in current_votes(seat.level) if vote.person == actor.person), None)


def repeats(before: Vote, said: Said, demands: list[Condition]) -> bool:
    """Whether this says again what was said."""
    withdrawn = before.level.round.outcome == Round.Outcome.WITHDRAWN
    same = (before.vote, before.digest, before.comment) == (said.vote, said.digest, said.comment)
    return same and not withdrawn and before.conditions == [demand.shape() for demand in demands]


def check_moment(seat: Seat, actor: User, said: Said, now: datetime) -> None:
    """409: a level that is not open, a preview that is not finished, a rejection without its reason."""
    can_vote(seat, actor=actor, now=now).enforce()
    change = seat.level.round.change
    guards = []
    if (state := state_of(change)) not in FINISHED:
        guards.append(Guard("preview_ready", f"The preview is {state}: votes are taken when it is ready.", (change.requester.username,)))
    if said.vote == Vote.Kind.REJECT and seat.level.settings.get("require_comment_on_reject", True) and not said.comment.strip():
        guards.append(Guard("reason_given", "Say why you reject it: the requester reads this.", (actor.username,)))
    Verdict(guards=tuple(guards)).enforce()


def check_content(seat: Seat, said: Said) -> None:
    """412: the vote is on something else than what is stored now."""
    level = seat.level
    if said.digest != level.digest:
        raise OutOfDate("The content has changed since you saw it: look at it again, then vote.")
    if digest_of(parts_of(level.round.change), level.watches) != level.digest:
        raise OutOfDate("The content moved under this approval; it is about to be asked for again.")


def default_owner(change: Change) -> User:
    """Who owns a condition unless it says: the first implementer, else the requester."""
    return change.implementers.order_by("pk").first() or change.requester


def bulk_vote(
    votes: Sequence[Mapping[str, Any]],
    *,
    actor: User,
    now: datetime,
    vote: str,
    comment: str = "",
    password: str | None = None,
    code: str | None = None,
) -> list[dict[str, Any]]:
    """The same vote at several seats, each in a transaction of its own. One that is not the actor's refuses them all (404).

    One password and one code sign them all, where their levels demand a signature.
    """
    seats = []
    for one in votes:
        seat = visible_seat(one["id"], actor)
        if seat is None or may_sit(seat_now(seat), actor, now=now):
            raise NotFound(f"The vote {one['id']} is not asked of you.")
        seats.append(seat_now(seat))
    refuse_together(seats)
    with signing(actor, now=now):
        return [bulk_one(one, actor=actor, now=now, vote=vote, comment=comment, password=password, code=code) for one in votes]


def refuse_together(seats: Sequence[Seat]) -> None:
    """400: votes are given together on changes of one template, or on changes that all have none."""
    if len({seat.level.round.change.template_id for seat in seats}) > 1:
        raise Invalid.field("votes", "Only changes of one template are voted on together: vote on the others one by one.")


def bulk_one(one: Mapping[str, Any], *, actor: User, now: datetime, vote: str, **said: Any) -> dict[str, Any]:
    """One vote of many: done, or what stood in its way, which is on the record too."""
    try:
        cast_vote(one["id"], actor=actor, now=now, vote=vote, digest=one.get("digest"), **said)
    except DomainError as error:
        seat = visible_seat(one["id"], actor)
        number = seat.level.round.change.number if seat else ""
        record_refusal("vote.cast", actor=actor.username, object=f"change:{number}", change=number, reason=error.detail, now=now)
        return {"id": one["id"], "ok": False, "problem": error}
    return {"id": one["id"], "ok": True, "problem": None}


# --- taking a vote back ---


def withdraw_vote(seat_id: int, *, actor: User, now: datetime, reason: str) -> Seat:
    """Take one's own vote back. Until the level is decided its seat is open again.

    After that the review is reopened, or, where later levels still decide, goes on in a new round.
    """
    with transaction.atomic():
        seat = locked_seat(seat_id, actor)
        may_take_back(seat, actor=actor).enforce()
        mine = existing(my_vote(seat, actor), "You have no vote at this level that counts.")
        reason = given_text(reason, "reason")
        may_withdraw(seat, actor=actor, reason=reason).enforce()
        change, undecided = seat.level.round.change, seat.level.state == "open"
        mine.level = seat.level
        casting.supersede(mine, reason, now=now, action="vote.withdrawn")
        if undecided:
            taken = mine.seat
            taken.level = seat.level
            casting.open_seat(taken)
            return taken
        if change.state == State.IN_REVIEW:
            renew_round(change, actor=actor, now=now, reason=REASONS["vote_withdrawn"], by_task=True)
        else:
            reopen(change, why="vote_withdrawn", now=now, actor=actor)
    return seat_now(seat_with(seat.pk))


def may_take_back(seat: Seat, *, actor: User) -> Verdict:
    """Who has a vote at the level that counts; whether it is the moment for it, `may_withdraw` says."""
    return Verdict(refusal="" if my_vote(seat, actor) else "You have no vote at this level that counts.")


def may_withdraw(seat: Seat, *, actor: User, reason: str) -> Verdict:
    """With a reason, until the work starts."""
    change, open_level = seat.level.round.change, seat.level.state == "open"
    if open_level and change.state not in (State.IN_REVIEW, State.INFO_REQUESTED) and not change.retrospective:
        return Verdict(impossible=f"A change that is {change.get_state_display().lower()} is not voted on.")
    if not open_level and (change.state not in (State.IN_REVIEW, *APPROVED, State.SCHEDULED) or change.retrospective):
        return Verdict(
            impossible=f"The level is decided, and a change that is {change.get_state_display().lower()} is not reviewed again for a vote."
        )
    return Verdict(guards=reason_given(reason, actor))


# --- asking and answering ---


def may_request_information(change: Change, *, actor: User, now: datetime, question: str = "") -> Verdict:
    """From an open seat of this person's, with a question."""
    if my_open_seats(change, actor, now=now):
        return Verdict(guards=question_given(question, actor))
    return no_seat(change, actor, now=now)


def no_seat(change: Change, actor: User, *, now: datetime) -> Verdict:
    """Why this person has no open seat here: never, or not now."""
    if all(may_sit(seat, actor, now=now) for seat in open_seats(actor, now=now).filter(level__round__change=change)):
        return Verdict(refusal="Only an approver whose vote is open may ask.")
    return Verdict(guards=(Guard("seat_open", "No seat of yours is open on this change.", ()),))


def question_given(question: str, actor: User) -> tuple[Guard, ...]:
    return () if question.strip() else (Guard("question_given", "Write the question.", (actor.username,)),)


def request_information_for(number: str, *, actor: User, now: datetime, question: str) -> Change:
    """Ask from whichever open seat of the change is this person's."""
    with transaction.atomic():
        change = locked(number, actor)
        may_request_information(change, actor=actor, now=now, question=question).enforce()
        seat = my_open_seats(change, actor, now=now)[0]
        seat.level.round.change = change
        ask(seat, actor=actor, now=now, question=question)
    return change


def request_information(seat_id: int, *, actor: User, now: datetime, question: str) -> Seat:
    """Ask from a seat; until it is answered nobody votes and the clocks of the open levels stand still."""
    with transaction.atomic():
        seat = locked_seat(seat_id, actor)
        verdict = can_vote(seat, actor=actor, now=now)
        if verdict.impossible:
            verdict = Verdict(guards=(Guard("seat_open", verdict.impossible, ()),))
        verdict.enforce()
        Verdict(guards=question_given(question, actor)).enforce()
        ask(seat, actor=actor, now=now, question=question)
    return seat


def ask(seat: Seat, *, actor: User, now: datetime, question: str) -> None:
    change, question = seat.level.round.change, given_text(question, "question")
    actions.ask_for_information(seat, by=actor, question=question, now=now)
    told(
        change,
        "request_info",
        "information.requested",
        actor=actor,
        now=now,
        data={"question": Personal(question), "level": seat.level.name, "seat": seat.pk},
    )


def told(change: Change, name: str, action: str, *, actor: User, now: datetime, data: dict[str, Any]) -> None:
    """The transition with its event; in a retrospective round, whose change goes on meanwhile, the event alone."""
    if change.retrospective:
        record(action, actor=actor.username, object=f"change:{change.number}", change=change.number, now=now, data=data)
        return
    move(change, name, actor=actor, now=now, data=data)
    settle_rights(change, now=now)


def may_provide_information(change: Change, *, actor: User, answer: str = "") -> Verdict:
    """The requester or the owner, with an answer, while a question is open."""
    refusal = may.requester_or_owner(actor, change)
    if refusal or not open_question(change):
        return Verdict(refusal=refusal, impossible="No question is open.")
    return Verdict(guards=() if answer.strip() else (Guard("answer_given", "Write the answer.", (actor.username,)),))


def open_question(change: Change) -> Round | None:
    """The pending round in which a question is open."""
    return change.rounds.filter(
        outcome=Round.Outcome.PENDING, information_requests__answered_at__isnull=True, information_requests__isnull=False
    ).first()


def provide_information(number: str, *, actor: User, now: datetime, answer: str) -> Change:
    """Answer what was asked; the approvers go on where they stopped."""
    with transaction.atomic():
        change = locked(number, actor)
        may_provide_information(change, actor=actor, answer=answer).enforce()
        round = existing(open_question(change), "No question is open.")
        answer = given_text(answer, "answer")
        answered = actions.answer_information(round, by=actor, answer=answer, now=now)
        data = {"answer": Personal(answer), "asked_by": [one.asked_by.username for one in answered]}
        told(change, "provide_info", "information.provided", actor=actor, now=now, data=data)
    return change
