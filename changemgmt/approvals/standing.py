"""Who stands in for whom at which seat, by the delegations in force at a moment.

A delegate never adds a voice: they give the vote of the one they stand in for, who may always give it in person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q

from changemgmt.accounts.models import Delegation, User
from changemgmt.accounts.queries import unit_chains
from changemgmt.core.reading import once

from . import rules
from .models import Seat, Vote


class Sitter(NamedTuple):
    """Somebody who may take a seat: in their own name, or by a delegation for somebody who may."""

    user: User
    on_behalf_of: User | None = None
    delegation: Delegation | None = None

    @property
    def whose(self) -> User:
        """Whose vote it is."""
        return self.on_behalf_of or self.user

    @property
    def voice(self) -> str:
        """The person whose vote it is: a voice counts once at a level."""
        return self.whose.person


def in_force(now: datetime) -> Q:
    """The condition for delegations that hold at this moment, between people who both can act."""
    within = Q(revoked_at=None, starts_at__lte=now, ends_at__gt=now)
    return within & Q(delegator__is_active=True, delegate__is_active=True, delegate__is_service=False, delegate__is_guest=False)


@once
def delegators_of(user: User, now: datetime) -> set[int]:
    """Primary keys of those for whom this user may stand in somewhere now, over as many steps as are allowed."""
    found: set[int] = set()
    nearest = {user.pk}
    for _ in range(settings.DELEGATION_HOPS):
        given = Delegation.objects.filter(in_force(now), delegate__in=nearest).values_list("delegator", flat=True)
        nearest = set(given) - found - {user.pk}
        found |= nearest
    return found


def stand_ins(seats: Iterable[Seat], own: Mapping[int, list[User]], *, now: datetime) -> dict[int, list[Sitter]]:
    """The delegates of each seat's own people, one step after the other; the number of queries does not depend on how many."""
    seats = list(seats)
    found: dict[int, list[Sitter]] = {seat.pk: [] for seat in seats}
    frontier = {seat.pk: [Sitter(user) for user in own[seat.pk]] for seat in seats}
    for _ in range(settings.DELEGATION_HOPS):
        given = given_by({sitter.user.pk for sitters in frontier.values() for sitter in sitters}, now)
        if not given:
            break
        book = Book(seats, given)
        frontier = {seat.pk: next_in_line(frontier[seat.pk], seat, book) for seat in seats}
        for key, sitters in frontier.items():
            found[key] += sitters
    return found


def next_in_line(sitters: Iterable[Sitter], seat: Seat, book: Book) -> list[Sitter]:
    """Those who stand in for these sitters at the seat; the vote stays that of the first in line."""
    return [Sitter(row.delegate, sitter.whose, row) for sitter in sitters if (row := book.of(sitter, seat))]


def given_by(users: set[int], now: datetime) -> dict[int, list[Delegation]]:
    """The delegations in force of these people, by who gave them."""
    given: dict[int, list[Delegation]] = defaultdict(list)
    rows = Delegation.objects.filter(in_force(now), delegator__in=users) if len(users) < 500 else Delegation.objects.filter(in_force(now))
    for row in rows.select_related("delegate", "delegator", "created_by").order_by("pk"):
        given[row.delegator_id].append(row)
    return given


class Book:
    """The delegations that matter to some seats, with what their scopes are judged by read once."""

    def __init__(self, seats: list[Seat], given: Mapping[int, list[Delegation]]) -> None:
        self.given = given
        rows = [row for rows in given.values() for row in rows]
        self.units = unit_chains() if any(row.scope_kind == Delegation.Scope.ORG_UNIT for row in rows) else {}
        self.voted = first_votes({seat.level.round_id for seat in seats}, {row.delegator.person for row in rows})

    def of(self, sitter: Sitter, seat: Seat) -> Delegation | None:
        """The delegation by which somebody stands in for this sitter at this seat: the narrowest that covers it, the newest of equals."""
        rows = [row for row in self.given.get(sitter.user.pk, ()) if self.covers(row, seat) and not self.too_late(row, seat)]
        return min(rows, key=lambda row: (rules.NARROWEST.index(row.scope_kind), -row.pk), default=None)

    def covers(self, row: Delegation, seat: Seat) -> bool:
        change = seat.level.round.change
        units = frozenset(self.units.get(change.org_unit_id or "", ()))
        case = rules.Case(seat.level.settings.get("chain"), change.type, units, change.number)
        return rules.covers(row.scope_kind, row.scope_value, case)

    def too_late(self, row: Delegation, seat: Seat) -> bool:
        """Nobody picks who votes once a vote is open: not by a delegation for this change alone, nor after voting in person."""
        opened, voted = seat.level.opened_at, self.voted.get((seat.level.round_id, row.delegator.person))
        picked = row.scope_kind == Delegation.Scope.CHANGE and opened is not None and row.created_at > opened
        return picked or (voted is not None and row.created_at > voted)


def first_votes(rounds: set[int], persons: set[str]) -> dict[tuple[int, str], datetime]:
    """When each of these people first voted in each of these rounds, taken back or not."""
    votes = Vote.objects.filter(level__round__in=rounds, person__in=persons, on_behalf_of=None, carried_from=None).order_by("-at")
    return {(row[0], row[1]): row[2] for row in votes.values_list("level__round_id", "person", "at")}
