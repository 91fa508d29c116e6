"""Which seat of a level somebody's vote counts at, and as whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from changemgmt.accounts.models import Delegation, User
from changemgmt.core.errors import NotPermitted, NotPossible
from changemgmt.core.verdict import Verdict

from . import rules
from .eligibility import involved_persons
from .models import RoundLevel, Seat
from .sitting import able, claimed_away, current_votes, may_sit, mine_of, sitters
from .standing import Sitter


def seat_to_take(seat: Seat, actor: User, vote: str, *, now: datetime) -> tuple[Seat, Sitter]:
    """The seat of the level at which this person's vote counts, the strongest they may take, and as whom. One person, one seat; one voice, one vote.

    Who is stood in for may always vote in person: that seat is free to them.
    """
    level = seat.level
    others = [row for row in current_votes(level) if actor.person not in (row.person, row.voice)]
    held, spoken = {row.seat_id for row in others}, {row.voice for row in others}
    free = with_level(level.seats.exclude(state=Seat.State.CLOSED).exclude(pk__in=held).select_related("claimed_by"), level)
    involved = involved_persons(level.round.change)
    fit = {pk: able(found, involved) for pk, found in sitters(free.values(), now=now).items()}
    mine = {pk: mine_at(free[pk], found, actor, spoken, now=now) for pk, found in fit.items()}
    people = {pk: frozenset(one.voice for one in found) - spoken | ({actor.person} if mine[pk] else set()) for pk, found in fit.items()}
    pk = rules.seat_for(actor.person, people, {pk: one.power for pk, one in free.items()}, vote=vote)
    if pk is None or not mine[pk]:
        # A delegation may have ended since they were let in: then it is theirs no more, not taken.
        Verdict(refusal=may_sit(seat, actor, now=now)).enforce()
        raise NotPossible("Every seat you could take at this level is taken or claimed, or the one you stand in for has voted.")
    hold(mine[pk][0])
    return free[pk], mine[pk][0]


def mine_at(seat: Seat, sitters: Iterable[Sitter], actor: User, spoken: Collection[str], *, now: datetime) -> list[Sitter]:
    """As whom the actor can take this seat: not for somebody who has voted, and not where a colleague's claim lasts."""
    mine = [one for one in mine_of(sitters, actor) if one.voice not in spoken]
    return [] if claimed_away(seat, {actor.person, *(one.voice for one in mine)}, now=now) else mine


def hold(sitter: Sitter) -> None:
    """Keep the delegation until the vote is in: one that is revoked at the same instant either gives no vote, or takes it back afterwards."""
    row = sitter.delegation
    if row and not Delegation.objects.select_for_update(no_key=True).filter(pk=row.pk, revoked_at=None).values_list("pk", flat=True).first():
        raise NotPermitted("This delegation was revoked just now.")


def with_level(seats: Iterable[Seat], level: RoundLevel) -> dict[int, Seat]:
    """The seats by their keys, each knowing its level as it is locked."""
    found = {seat.pk: seat for seat in seats}
    for seat in found.values():
        seat.level = level
    return found
