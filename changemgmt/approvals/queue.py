"""My approvals: everything that waits for my vote, in the order in which it is best done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change, State, Type
from changemgmt.changes.queries import visible_to
from changemgmt.core.time import parse_instant

from . import rules
from .casting import TAKEN_BACK
from .models import RoundLevel, Seat, Vote
from .sitting import claimed_away, open_seats, standing_of
from .standing import Sitter

WAITS = Q(level__round__change__state=State.IN_REVIEW) | Q(level__round__retrospective=True) & ~Q(
    level__round__change__state__in=[State.CLOSED, State.CANCELLED]
)
ASKED = Q(level__round__information_requests__isnull=False, level__round__information_requests__answered_at__isnull=True)


DUE_SOON = 2
"""The last of the steps of `rules.time_left` that counts as due: within a day."""


@dataclass(frozen=True)
class Waiting:
    """One vote that is asked of me: at which seat of which level, and whether the content moved since I voted.

    `my_last_vote` is the one at this level, `voted` the one they gave last on the change, at whichever of its levels.
    `repeatable`: what I said before can be said again as it is, since another round asks, nothing its level watches moved, I did not
    take it back, and none of its conditions ran out.
    """

    seat: Seat
    level: RoundLevel
    change: Change
    changed_since_my_vote: bool
    my_last_vote: Vote | None
    repeatable: bool = False
    on_behalf_of: User | None = None
    claimed_by: User | None = None
    voted: Vote | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it is late or due within a day."""
        return self.level.due_at is not None and rules.time_left(self.level.due_at, now) <= DUE_SOON

    def shape(self) -> dict[str, Any]:
        """As the API shows it."""
        change, level = self.change, self.level
        return {
            "id": self.seat.pk,
            "change": change.number,
            "title": change.title,
            "level": level.name,
            "label": self.seat.label,
            "power": self.seat.power,
            "on_behalf_of": self.on_behalf_of.username if self.on_behalf_of else None,
            "group": self.seat.group or None,
            "claimed_by": self.claimed_by.username if self.claimed_by else None,
            "claimed_until": self.seat.claimed_until if self.claimed_by else None,
            "chain": level.settings.get("chain", ""),
            "due_at": level.due_at,
            "risk_level": change.risk_level,
            "risk_score": change.risk_score,
            "type": change.type,
            "priority": change.priority,
            "version": level.round.version,
            "digest": level.digest,
            "changed_since_my_vote": self.changed_since_my_vote,
            "can_reconfirm": self.repeatable,
        }


def queue_of(user: User, now: datetime) -> list[Waiting]:
    """Every vote this person may cast now, one per level, in order. The number of queries does not depend on how many."""
    seats = list(open_seats(user, now=now).filter(WAITS, level__round__change__in=visible_to(user)).exclude(ASKED))
    votes = votes_beside(seats, user)
    standing = standing_of(user, seats, now=now, votes=votes)
    seats = strongest(
        [seat for seat in seats if seat.pk in standing and not claimed_away(seat, {user.person, standing[seat.pk].voice}, now=now)], now
    )
    mine = [vote for vote in votes if vote.person == user.person]
    earlier, voted = {key_of(vote.level): vote for vote in mine}, {vote.level.round.change_id: vote for vote in mine if not vote.carried_from_id}
    rows = [waiting(seat, earlier.get(key_of(seat.level)), standing[seat.pk], now, voted=voted.get(seat.level.round.change_id)) for seat in seats]
    return sorted(rows, key=lambda row: (*order(row, now), row.seat.pk))


def awaited_of(now: datetime) -> Callable[[User], list[int]]:
    """For the filter "awaiting" of lists: the primary keys of the changes that wait for somebody's vote at this moment."""
    return lambda user: [row.change.pk for row in queue_of(user, now)]


def order(row: Waiting, now: datetime) -> tuple[Any, ...]:
    change = row.change
    return rules.queue_key(
        due_at=row.level.due_at,
        emergency=change.type == Type.EMERGENCY,
        risk=change.risk_level,
        priority=change.priority,
        opened_at=row.level.opened_at or now,
        now=now,
    )


def strongest(seats: list[Seat], now: datetime) -> list[Seat]:
    """One seat per level: the one with the strongest power, of equals the one that is claimed."""
    levels: dict[int, list[Seat]] = defaultdict(list)
    for seat in seats:
        levels[seat.level_id].append(seat)
    return [min(found, key=lambda seat: (rules.STRENGTH[rules.Power(seat.power)], not held(seat, now), seat.pk)) for found in levels.values()]


def held(seat: Seat, now: datetime) -> bool:
    """Whether somebody's claim on the seat lasts still."""
    return seat.claimed_by_id is not None and seat.claimed_until is not None and seat.claimed_until > now


def key_of(level: RoundLevel) -> tuple[int, str, str]:
    return level.round.change_id, level.settings.get("chain", ""), level.name


def votes_beside(seats: list[Seat], user: User) -> list[Vote]:
    """The votes that count at the levels of these seats, and all that this person ever gave on their changes, oldest first."""
    if not seats:
        return []
    changes, levels = {seat.level.round.change_id for seat in seats}, {seat.level_id for seat in seats}
    which = Q(level__in=levels, superseded=False) | Q(level__round__change__in=changes, person=user.person)
    return list(Vote.objects.filter(which).select_related("by", "on_behalf_of", "level__round").order_by("at", "pk"))


def earlier_votes(seats: list[Seat], user: User) -> dict[tuple[int, str, str], Vote]:
    """The last vote this person gave at the same level of an earlier round."""
    return {key_of(vote.level): vote for vote in votes_beside(seats, user) if vote.person == user.person}


def waiting(seat: Seat, before: Vote | None, sitter: Sitter, now: datetime, *, voted: Vote | None = None) -> Waiting:
    moved = before is not None and before.digest != seat.level.digest
    claimer = seat.claimed_by if held(seat, now) else None
    again = before is not None and repeats(before, seat.level, sitter.on_behalf_of, now)
    return Waiting(seat, seat.level, seat.level.round.change, moved, before, again, sitter.on_behalf_of, claimer, voted)


def repeats(before: Vote, level: RoundLevel, on_behalf_of: User | None, now: datetime) -> bool:
    """Whether this vote of an earlier round can be given at the level as it was: for the same person, on the same content,
    not taken back, and with every condition still ahead of its end."""
    same = before.digest == level.digest and before.on_behalf_of_id == (on_behalf_of.pk if on_behalf_of else None)
    ahead = all(parse_instant(one["expires_at"], field="expires_at") > now for one in before.conditions if one.get("expires_at"))
    return same and ahead and before.level.round_id != level.round_id and not before.superseded_why.startswith(TAKEN_BACK)


def vote_to_repeat(seat: Seat, user: User, *, now: datetime) -> Vote | None:
    """The vote of this person that can be given at the seat once more as it was, if there is one."""
    before = earlier_votes([seat], user).get(key_of(seat.level))
    standing = standing_of(user, [seat], now=now).get(seat.pk)
    return before if before and standing and repeats(before, seat.level, standing.on_behalf_of, now) else None


def boxes_beside(rows: list[Waiting], user: User) -> dict[int, list[dict[str, Any]]]:
    """For each round in these rows its levels as boxes: seats and votes as far as a picture of them needs, in two queries."""
    rounds, mine = {row.level.round_id for row in rows}, {row.seat.pk for row in rows}
    levels: dict[int, dict[str, Any]] = {}
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for seat in Seat.objects.filter(level__round__in=rounds).select_related("level").order_by("level__position", "position"):
        if seat.level_id not in levels:
            levels[seat.level_id] = {"name": seat.level.name, "state": seat.level.state, "seats": [], "votes": []}
            found[seat.level.round_id].append(levels[seat.level_id])
        levels[seat.level_id]["seats"].append({"id": seat.pk, "state": seat.state, "people": [user.username] if seat.pk in mine else []})
    for level, *values in Vote.objects.filter(level__round__in=rounds).values_list("level_id", *BOX):
        levels[level]["votes"].append(dict(zip(("seat", *BOX[1:]), values, strict=True)))
    return found


BOX = ("seat_id", "vote", "conditions", "superseded")
