"""Overrides as they are shown: who asked, who confirmed, why, and the votes that stood."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible_to

from .models import Override, RoundLevel, Vote

STATES = ("asked", "confirmed", "withdrawn", "lapsed")


def overrides_whole() -> QuerySet[Override]:
    """Overrides with everything `override_shape` shows, in a fixed number of queries."""
    votes = Vote.objects.select_related("seat", "by", "on_behalf_of").order_by("at", "pk")
    rows = Override.objects.select_related("change", "level__round", "asked_by", "confirmed_by")
    return rows.prefetch_related(Prefetch("level__votes", votes)).order_by("-asked_at", "-pk")


def overrides_of(change: Change) -> QuerySet[Override]:
    """Those of one change, the newest first."""
    return overrides_whole().filter(change=change)


def overrides_seen(viewer: User) -> QuerySet[Override]:
    """Those of every change this person may see."""
    return overrides_whole().filter(change__in=visible_to(viewer))


def state_of(row: Override) -> str:
    """One of STATES: one that nobody confirmed lapses when its level is decided otherwise or asked anew."""
    if row.confirmed_at:
        return "confirmed"
    if row.withdrawn_at:
        return "withdrawn"
    return "asked" if row.level.state == RoundLevel.State.OPEN else "lapsed"


def votes_that_stood(row: Override) -> list[Vote]:
    """The votes given at its level up to the override, or to this moment; those superseded say so."""
    return [vote for vote in row.level.votes.all() if row.confirmed_at is None or vote.at <= row.confirmed_at]


def override_shape(row: Override) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "id": row.pk,
        "change": row.change.number,
        "round": row.level.round.number,
        "level": row.level.name,
        "level_id": row.level_id,
        "decision": row.decision,
        "reason": row.reason,
        "state": state_of(row),
        "digest": row.digest,
        "asked_by": row.asked_by.username,
        "asked_at": row.asked_at,
        "confirmed_by": row.confirmed_by.username if row.confirmed_by else None,
        "confirmed_at": row.confirmed_at,
        "withdrawn_at": row.withdrawn_at,
        "votes": [vote_that_stood(vote) for vote in votes_that_stood(row)],
    }


def vote_that_stood(vote: Vote) -> dict[str, Any]:
    on_behalf_of = vote.on_behalf_of.username if vote.on_behalf_of else None
    said = {"vote": vote.vote, "comment": vote.comment, "at": vote.at, "superseded": vote.superseded}
    return {"label": vote.seat.label, "power": vote.seat.power, "by": vote.by.username, "on_behalf_of": on_behalf_of, **said}
