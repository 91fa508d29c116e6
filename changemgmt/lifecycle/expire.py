"""Expire: a condition that was not met in time ends the approval that demanded it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.approvals import casting, deciding
from changemgmt.approvals.actions import settle
from changemgmt.approvals.conditions import WAITING
from changemgmt.approvals.deciding import end
from changemgmt.approvals.models import ActionItem, Round, RoundLevel, Vote
from changemgmt.audit.actions import record
from changemgmt.changes.models import APPROVED, Change, State

from .conclude import conclude
from .move import locked, move
from .reopen_review import REASONS, ask_afterwards_again, reopen
from .review import renew_round
from .rights import settle_rights

BEFORE_START = (State.IN_REVIEW, *APPROVED, State.SCHEDULED)
RESTS = (State.DRAFT, State.SUBMITTED, State.INFO_REQUESTED, State.REJECTED, State.CLOSED, State.CANCELLED)
"""States in which no condition expires: it is not decided on, or over."""
FOLLOWS = {
    "recommendation": "It was a recommendation: nothing follows.",
    "alarm": "The work has begun: it blocks its due point until it is met or waived.",
    "review": "The approval that demanded it counts no more and is asked for again.",
    "reject": "The approval that demanded it has become a rejection.",
}


def expire_condition(item_id: int, *, now: datetime) -> None:
    """What follows when a condition was not met in time: the review is opened again, or the level rejected; once the work has begun, an alarm alone.

    While information is requested nothing expires: it does as soon as the answer is there. Asked again, it changes nothing.
    """
    with transaction.atomic():
        change = locked(ActionItem.objects.values_list("change__number", flat=True).get(pk=item_id), None)
        item = ActionItem.objects.select_related("owner", "set_by").get(pk=item_id)
        if item.state not in WAITING or item.expires_at is None or item.expires_at > now or change.state in RESTS:
            return
        what = consequence(item, change)
        item.state = ActionItem.State.EXPIRED
        item.save(update_fields=["state"])
        data = {"text": item.text, "due": item.due, "owner": item.owner.username, "set_by": item.set_by.username, "done": what, "why": FOLLOWS[what]}
        record("condition.expired", actor="", object=f"condition:{item.pk}", change=change.number, now=now, data=data)
        vote = standing_vote(item, change) if what in ("review", "reject") else None
        if vote is not None:
            casting.supersede(vote, f"Its condition was not met in time: {item.text}", now=now)
            (ask_again if what == "review" else turn_down)(vote, change, why=f"A condition was not met in time: {item.text}", now=now)


def consequence(item: ActionItem, change: Change) -> str:
    """A key of FOLLOWS."""
    if item.advisory:
        return "recommendation"
    return str(item.on_expiry) if change.state in BEFORE_START and item.vote_id else "alarm"


def standing_vote(item: ActionItem, change: Change) -> Vote | None:
    """The vote that demanded it, as long as it counts."""
    vote = Vote.objects.select_related("seat", "by", "level__round").filter(action_items=item, superseded=False).first()
    if vote is not None:
        vote.level.round.change = change
    return vote


def ask_again(vote: Vote, change: Change, *, why: str, now: datetime) -> None:
    """The seat is asked again: at its open level, else in a new round that carries every other vote."""
    level = vote.level
    if level.round.outcome == Round.Outcome.PENDING and level.state == RoundLevel.State.OPEN:
        vote.seat.level = level
        casting.open_seat(vote.seat)
        settle_rights(change, now=now)
    elif change.retrospective:
        ask_afterwards_again(change, now=now)
    elif change.state == State.IN_REVIEW:
        renew_round(change, actor=None, now=now, reason=REASONS["condition_expired"], by_task=True)
    else:
        reopen(change, why="condition_expired", now=now)


def turn_down(vote: Vote, change: Change, *, why: str, now: datetime) -> None:
    """The level that demanded it is rejected, and with it its round and the change, which goes back into review for that."""
    round = vote.level.round
    deciding.decide_otherwise(vote.level, approve=False, why=why, now=now)
    if round.outcome == Round.Outcome.PENDING:
        settle(round, now=now)
    else:
        end(round, Round.Outcome.REJECTED, now=now)
    if change.state != State.IN_REVIEW and not change.retrospective:
        change.approval_expires_at, change.decided_at = None, None
        move(change, "reopen_review", actor=None, now=now, data={"why": "condition_expired", "reason": REASONS["condition_expired"]})
    conclude(change, round, now=now)
    settle_rights(change, now=now)
