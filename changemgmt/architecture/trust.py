"""How far a relation can be relied upon: confirmed, stale, unconfirmed, or refuted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from changemgmt.core.errors import Invalid
from changemgmt.core.time import parse_instant, rfc3339

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


def said_of(record: Mapping[str, Any], live: Mapping[str, Any] | None, *, confirms: bool, now: datetime) -> dict[str, Any]:
    """What the image of a relation becomes where a file says itself where it came from and who confirmed or refuted it when.

    A relation that is made takes all of it. One that is there only becomes newer confirmed: who refuted it here, stays right.
    A source that confirms nothing is not believed. Invalid for what is no moment, or is still to come.
    """
    found: dict[str, Any] = {}
    if live is None and isinstance(record.get("source_system"), str):
        found["source_system"] = record["source_system"][:100]
    if not confirms or "confirmed_at" not in record or (live and live.get("refuted_at")):
        return found
    confirmed = _past(record["confirmed_at"], "confirmed_at", now)
    if live is None:
        refuted = _past(record.get("refuted_at"), "refuted_at", now)
        reason = {"refuted_at": rfc3339(refuted), "refuted_reason": str(record.get("refuted_reason") or "")[:500]} if refuted else {}
        return found | {"confirmed_at": rfc3339(confirmed)} | reason
    before = _past(live["confirmed_at"], "confirmed_at", datetime.max.replace(tzinfo=UTC))
    return found | {"confirmed_at": rfc3339(max(filter(None, (confirmed, before)), default=None))}


def _past(text: Any, field: str, now: datetime) -> datetime | None:
    if text is None:
        return None
    moment = parse_instant(text, field=field)
    if moment > now:
        raise Invalid.field(field, f"{field} is {str(text)[:40]!r}, which is still to come.")
    return moment
