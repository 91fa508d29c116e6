"""What somebody who is asked saw last of a change, and what moved since: shown to them above the brief and in the vote form."""

from __future__ import annotations

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
    stamp(change, user, last, round, now=now)
    return since(last, round, vote)


def unseen(change: Change, user: User, round: Round, my_last_vote: Vote | None) -> Since | None:
    """The same without a stamp: for what is only put before somebody who did not ask for it."""
    return since(Look.objects.filter(change=change, user=user).first(), round, my_last_vote)


def last_vote(change: Change, user: User) -> Vote | None:
    return Vote.objects.filter(level__round__change=change, by=user).select_related("level__round").order_by("at", "pk").last()


def was_asked(change: Change, round: Round, user: User, *, now: datetime) -> bool:
    """Whether a vote on this change is or was asked of this person: by an open seat, or by a vote they gave."""
    if user.is_service:
        return False
    if Vote.objects.filter(level__round__change=change, by=user).exists():
        return True
    return round.outcome == Round.Outcome.PENDING and open_seats(user, now=now).filter(level__round__change=change).exists()


def stamp(change: Change, user: User, last: Look | None, round: Round, *, now: datetime) -> None:
    """Write the look down; where the content is another than at the last one, that is kept beside it."""
    seen = {"version": change.version, "edits": change.edits, "parts": round.parts, "at": now}
    if last is None:
        Look.objects.bulk_create([Look(change=change, user=user, **seen)], ignore_conflicts=True)
    elif last.parts != round.parts:
        Look.objects.filter(pk=last.pk).update(before={"version": last.version, "parts": last.parts, "at": last.at.isoformat()}, **seen)
    elif now - last.at >= AGAIN:
        Look.objects.filter(pk=last.pk).update(**seen)


def since(last: Look | None, round: Round, vote: Vote | None) -> Since | None:
    """What moved between what this person saw before (`last` as it was before this look, else their last vote) and the round's content."""
    if last is not None and last.parts != round.parts:
        return moved(last.version, last.at, last.parts, round)
    if last is not None and last.before:
        return moved(last.before["version"], datetime.fromisoformat(last.before["at"]), last.before["parts"], round)
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
