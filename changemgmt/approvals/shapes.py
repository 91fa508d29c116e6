"""What a round, its levels, seats and votes look like from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Prefetch, QuerySet

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.core.reading import once

from . import rules
from .guests import invited
from .models import InformationRequest, Round, RoundLevel, Seat, Vote


def levels_whole() -> QuerySet[RoundLevel]:
    """Levels with everything `level_shape` shows, in a fixed number of queries."""
    votes = Vote.objects.select_related("by", "on_behalf_of").order_by("at", "pk")
    seats = Seat.objects.select_related("claimed_by").order_by("position").prefetch_related(Prefetch("people", User.objects.order_by("username")))
    return RoundLevel.objects.order_by("position").prefetch_related(Prefetch("seats", seats), Prefetch("votes", votes))


def rounds_whole() -> QuerySet[Round]:
    """Rounds with everything `levels_shape` shows, in a fixed number of queries."""
    return Round.objects.prefetch_related(Prefetch("levels", levels_whole()))


@once
def round_of(change: Change) -> Round | None:
    """The last round of a change, whole."""
    last = Round.objects.filter(change=change).order_by("-number").values("pk")[:1]
    levels = list(levels_whole().filter(round__in=last).select_related("round"))
    if not levels:
        return rounds_whole().filter(change=change).order_by("number").last()
    round = levels[0].round
    for level in levels:
        level.round = round
    round._prefetched_objects_cache = {"levels": levels}  # type: ignore[attr-defined]  # where prefetching keeps it
    return round


def levels_shape(round: Round) -> list[dict[str, Any]]:
    """The levels of a round (from `rounds_whole`) as the API shows them."""
    return [level_shape(level) for level in round.levels.all()]


def level_shape(level: RoundLevel) -> dict[str, Any]:
    votes = list(level.votes.all())
    voters = {vote.seat_id: vote.by.username for vote in votes if not vote.superseded}
    done = set(voters.values())
    guests = {seat: [guest.name for guest in found] for seat, found in invited(level).items()}
    return {
        "id": level.pk,
        "number": level.number,
        "name": level.name,
        "chain": level.settings.get("chain"),
        "state": level.state,
        "rule": {"kind": level.rule_kind, "value": level.rule_value},
        "rule_in_words": rules.in_words(rules.LevelRule(level.rule_kind, level.rule_value)),
        "watches": level.watches,
        "opened_at": level.opened_at,
        "due_at": level.due_at,
        "decided_at": level.decided_at,
        "expires_at": level.expires_at,
        "escalated_at": level.escalated_at,
        "timed_out_at": level.timed_out_at,
        "on_timeout": level.settings.get("on_timeout"),
        "allow_conditions": level.settings.get("allow_conditions", True),
        "require_comment_on_reject": level.settings.get("require_comment_on_reject", True),
        "require_signature": level.settings.get("require_signature", False),
        "allow_guests": level.settings.get("allow_guests", False),
        "seats": [seat_shape(seat, level, voters, done) | {"guests": guests.get(seat.pk, [])} for seat in level.seats.all()],
        "votes": [vote_shape(vote) for vote in votes],
    }


def seat_shape(seat: Seat, level: RoundLevel, voters: Mapping[int, str], done: set[str]) -> dict[str, Any]:
    people = [voters[seat.pk]] if seat.pk in voters else [user.username for user in seat.people.all() if user.username not in done]
    shown = {name: getattr(seat, name) for name in ("label", "power", "weight", "state", "explanation", "claimed_until", "reassigned_from")}
    claimed_by = seat.claimed_by.username if seat.claimed_by else None
    return {"id": seat.pk, **shown, "group": seat.group or None, "claimed_by": claimed_by, "people": people, "digest": level.digest}


def vote_shape(vote: Vote) -> dict[str, Any]:
    return {
        "id": vote.pk,
        "seat": vote.seat_id,
        "by": vote.by.username,
        "name": vote.printed_name,
        "on_behalf_of": vote.on_behalf_of.username if vote.on_behalf_of else None,
        "vote": vote.vote,
        "comment": vote.comment,
        "conditions": vote.conditions,
        "signature": vote.signature,
        "version": vote.version,
        "digest": vote.digest,
        "at": vote.at,
        "carried": vote.carried_from_id is not None,
        "superseded": vote.superseded,
        "superseded_why": vote.superseded_why,
    }


@once
def questions_of(round: Round) -> list[InformationRequest]:
    """What approvers asked in the round, answered or not."""
    return list(round.information_requests.select_related("asked_by", "answered_by"))


def information_shape(round: Round) -> list[dict[str, Any]]:
    return [
        {
            "id": row.pk,
            "question": row.question,
            "asked_by": row.asked_by.username,
            "asked_at": row.asked_at,
            "answer": row.answer,
            "answered_by": row.answered_by.username if row.answered_by else None,
            "answered_at": row.answered_at,
        }
        for row in questions_of(round)
    ]
