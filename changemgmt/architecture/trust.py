"""How far a relation can be relied upon: confirmed, stale, unconfirmed, or refuted. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from .rules import RELATION, Image

CONFIRMED, STALE, UNCONFIRMED, REFUTED = "confirmed", "stale", "unconfirmed", "refuted"
WORST = {CONFIRMED: 0, STALE: 1, UNCONFIRMED: 2}
# Among the keys that a revision touched: somebody judged this relation, which moves what is not sure anywhere.
JUDGED = "trust:"
# Seconds since 1970 of a relation nobody ever confirmed, and of one whose trust is not looked at.
NEVER, ALWAYS = -(2**62), 2**62


def trust_of(confirmed_at: datetime | None, refuted_at: datetime | None, since: datetime) -> str:
    """The trust of one relation; `since` is the moment before which a confirmation is too old."""
    if refuted_at is not None:
        return REFUTED
    return trust_at(seconds(confirmed_at), seconds(since))


def trust_at(confirmed: int, since: int) -> str:
    """The same of a relation that is not refuted, on seconds since 1970."""
    if confirmed >= since:
        return CONFIRMED
    return UNCONFIRMED if confirmed == NEVER else STALE


def seconds(moment: datetime | None) -> int:
    """Whole seconds since 1970; NEVER for no moment."""
    return NEVER if moment is None else int(moment.timestamp())


def said_now(steps: Sequence[Image], now: str) -> list[Image]:
    """The writes, with new relations confirmed `now` (as an image writes it): whoever makes a relation says that it is so."""
    return [
        replace(step, after=step.after | {"confirmed_at": now})
        if step.object == RELATION and step.before is None and step.after is not None and not step.after.get("confirmed_at")
        else step
        for step in steps
    ]
