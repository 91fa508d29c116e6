"""The reads other packages use; each is written in the module it is about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change

from .blocking import blockers_of
from .eligibility import involved_persons
from .matching import chain_text, chains_for, match, unfilled
from .queue import queue_of
from .shapes import information_shape, levels_shape, round_of
from .sitting import can_vote, my_open_seats, visible_seat

__all__ = [
    "approval_of",
    "blockers_of",
    "can_vote",
    "chain_text",
    "chains_for",
    "involved_persons",
    "levels_shape",
    "match",
    "my_open_seats",
    "queue_of",
    "round_of",
    "unfilled",
    "visible_seat",
]


def approval_of(change: Change, viewer: User | None = None, *, now: datetime | None = None) -> dict[str, Any]:
    """The approval of a change as the API shows it."""
    round = round_of(change)
    blockers = [{name: row[name] for name in ("what", "who_can_clear", "clears_at")} for row in blockers_of(change, now)]
    if round is None:
        nothing: dict[str, Any] = {"round": 0, "chain": None, "chain_version": None, "expires_at": None, "outcome": "pending", "levels": []}
        return {**nothing, "information": [], "blockers": blockers}
    return {
        "round": round.number,
        "chain": round.chain,
        "chain_version": round.chain_version,
        "expires_at": round.expires_at,
        "outcome": round.outcome,
        "version": round.version,
        "digest": round.digest,
        "retrospective": round.retrospective,
        "levels": levels_shape(round),
        "information": information_shape(round),
        "blockers": blockers,
    }
