"""What somebody who is asked saw last of a change, and what moved since: shown to them above the brief and in the vote form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.changes.versions import content, difference
from changemgmt.core.errors import NotFound
from changemgmt.core.reading import active

from .models import Look, Round, Vote
from .shapes import round_of
from .sitting import open_seats

AGAIN = timedelta(minutes=1)
"""A look is stamped anew when the last stamp is older than this."""


@dataclass(frozen=True)
class Since:
    """What moved since a person saw the change last: the version and time of that, and the names of the parts. `voted` where it was their vote."""

    version: int
    at: datetime
    parts: tuple[str, ...]
    voted: bool = False


def look(change: Change, user: User, *, now: datetime, round: Round | None = None, asked: bool | None = None) -> Since | None:
    """Stamp that this person sees the change now, if they are asked; answers what moved since they saw other content, if anything did.

    The answer stays the same for as long as the content does, so that reading twice hides nothing. The last
    `round`, and whether they are `asked`, may be told where that is known.
    """
    round = round or (round_of(change) if active() else change.rounds.last())
    if round is None or not (was_asked(change, round, user, now=now) if asked is None else asked):
        return None
    last = Look.objects.filter(change=change, user=user).first()
    vote = last_vote(change, user) if last is None else None
    stamp(change, user, last, round, vote, now=now)
    return since(last, round, vote)


def looks_of(user: User, changes: Iterable[Change]) -> dict[int, Look]:
    """The last look of this person at each of the changes, by the change's key, in one query."""
    return {look.change_id: look for look in Look.objects.filter(user=user, change__in=[change.pk for change in changes])}


def not_looked_at(last: Look | None, round: Round) -> bool:
    """Whether the person has not seen the content as it is now."""
    return last is None or last.parts != round.parts


def last_vote(change: Change, user: User) -> Vote | None:
    """The last vote they gave on the change, in the round they gave it in; where it was carried to later is no act of theirs."""
    return Vote.objects.filter(level__round__change=change, by=user, carried_from=None).select_related("level__round").order_by("at", "pk").last()


def was_asked(change: Change, round: Round, user: User, *, now: datetime) -> bool:
    """Whether a vote on this change is or was asked of this person: by an open seat, or by a vote they gave."""
    if user.is_service:
        return False
    if Vote.objects.filter(level__round__change=change, by=user).exists():
        return True
    return round.outcome == Round.Outcome.PENDING and open_seats(user, now=now).filter(level__round__change=change).exists()


def stamp(change: Change, user: User, last: Look | None, round: Round, vote: Vote | None, *, now: datetime) -> None:
    """Write the look down; where the content is another than at the last one, or at the vote before the first, that is kept beside it."""
    seen = {"version": change.version, "edits": change.edits, "parts": round.parts, "at": now}
    if last is None:
        Look.objects.bulk_create([Look(change=change, user=user, before=voted_before(vote, round), **seen)], ignore_conflicts=True)
    elif last.parts != round.parts:
        Look.objects.filter(pk=last.pk).update(before={"version": last.version, "parts": last.parts, "at": last.at.isoformat()}, **seen)
    elif now - last.at >= AGAIN:
        Look.objects.filter(pk=last.pk).update(**seen)


def voted_before(vote: Vote | None, round: Round) -> dict[str, Any] | None:
    """What they voted on, as a look keeps it, if it was another content."""
    if vote is None or vote.level.round.parts == round.parts:
        return None
    return {"version": vote.version, "parts": vote.level.round.parts, "at": vote.at.isoformat(), "voted": True}


def since(last: Look | None, round: Round, vote: Vote | None) -> Since | None:
    """What moved between what this person saw before (`last` as it was before this look, else their last vote) and the round's content."""
    if last is not None and last.parts != round.parts:
        return moved(last.version, last.at, last.parts, round)
    if last is not None and last.before:
        seen = last.before
        return moved(seen["version"], datetime.fromisoformat(seen["at"]), seen["parts"], round, voted=seen.get("voted", False))
    return moved(vote.version, vote.at, vote.level.round.parts, round, voted=True) if vote and last is None else None


def moved(version: int, at: datetime, parts: dict[str, str], round: Round, *, voted: bool = False) -> Since | None:
    """The parts that differ; nothing where none does."""
    names = tuple(name for name in round.parts if parts.get(name) != round.parts[name])
    return Since(version, at, names, voted) if names else None


def differences_since(change: Change, found: Since) -> list[dict[str, Any]]:
    """Field by field what differs between the version that was seen and the one now; nothing where the version was not kept."""
    if found.version == change.version:
        return []
    try:
        return difference(content(change, found.version), content(change, change.version))
    except NotFound:
        return []


def shape(change: Change, found: Since | None) -> dict[str, Any] | None:
    """As the API shows it."""
    if found is None:
        return None
    return {"version": found.version, "at": found.at, "parts": list(found.parts), "differences": differences_since(change, found)}
