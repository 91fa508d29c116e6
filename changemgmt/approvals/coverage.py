"""On which of the coming days a seat has nobody: everybody it asks is away, and nobody stands in for them.

Judged by what people said beforehand, for the chains in force. Seats that depend on the change (a manager, an owner) can't be known.
"""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db.models import Prefetch

from changemgmt.accounts.delegations import delegations, not_over
from changemgmt.accounts.models import Delegation, Team, User

from . import rules
from .eligibility import ABLE, able, team_people
from .matching import in_force
from .models import Chain

READERS = ("change_manager", "administrator", "auditor")
DAYS, MOST_DAYS = 30, 90
WORK_BEGINS, WORK_ENDS = time(9), time(17)
ON_CALL = "on_call:"


@dataclass(frozen=True, slots=True)
class Gap:
    """A seat and a day on which nobody can take it, or fewer than it needs."""

    date: date
    chain: str
    number: int
    level: str
    seat: str
    power: str

    def shape(self) -> dict[str, Any]:
        """As the API shows it."""
        return {name: getattr(self, name) for name in ("date", "chain", "level", "seat", "power")}


@dataclass(frozen=True, slots=True)
class Place:
    """A configured slot that asks people who are known without a change."""

    chain: Mapping[str, Any]
    level: Mapping[str, Any]
    slot: Mapping[str, Any]

    def gap(self, day: date) -> Gap:
        return Gap(day, self.chain["name"], self.level["number"], self.level["name"], self.slot["label"], self.slot["power"])


def gaps(*, now: datetime, days: int = DAYS) -> list[Gap]:
    """Every gap of the coming `days`, today first, in the order of the chains. The number of queries does not depend on how many."""
    found = places(now)
    asked, away = Asked(found), Absences(now, days)
    return [
        place.gap(day)
        for day in days_from(now, days)
        for place in found
        if rules.in_force(place.chain, noon(day)) and not enough(place, asked.of(place.slot), away, day)
    ]


def days_from(now: datetime, days: int) -> list[date]:
    return [now.date() + timedelta(days=count) for count in range(days)]


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=zoneinfo.ZoneInfo("UTC"))


def places(now: datetime) -> list[Place]:
    """The slots of all chains in force whose people are known, in order."""
    chains = sorted((in_force(chain) for chain in Chain.objects.filter(in_force__isnull=False)), key=lambda chain: (chain["order"], chain["name"]))
    return [
        Place(chain, level, slot)
        for chain in chains
        if chain["active"]
        for level in sorted(chain["levels"], key=lambda level: level["number"])
        for slot in level["seats"]
        if slot.get("group") or slot.get("user") or (slot.get("dynamic") or "").startswith(ON_CALL)
    ]


def enough(place: Place, people: list[User], away: Absences, day: date) -> bool:
    """Whether as many can be had on this day as the slot has seats, each giving one vote."""
    voices = {user.pk: frozenset(one.person for one in away.voting_for(user, place.chain["name"], day)) for user in people}
    return len(rules.seating(voices)) >= place.slot["required"]


class Asked:
    """Who is asked at each place, read once for all of them."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.slots = [place.slot for place in places]

    def of(self, slot: Mapping[str, Any]) -> list[User]:
        if slot.get("group"):
            return self.groups.get(slot["group"], [])
        if slot.get("user"):
            return self.users.get(slot["user"], [])
        return self.teams.get(slot["dynamic"].removeprefix(ON_CALL), [])

    def named(self, kind: str) -> set[str]:
        return {slot[kind] for slot in self.slots if slot.get(kind)}

    @cached_property
    def groups(self) -> dict[str, list[User]]:
        members = Prefetch("user_set", User.objects.filter(ABLE).order_by("username"))
        return {group.name: list(group.user_set.all()) for group in Group.objects.filter(name__in=self.named("group")).prefetch_related(members)}

    @cached_property
    def users(self) -> dict[str, list[User]]:
        return {user.username: [user] for user in User.objects.filter(ABLE, username__in=self.named("user"))}

    @cached_property
    def teams(self) -> dict[str, list[User]]:
        slugs = [name.removeprefix(ON_CALL) for name in self.named("dynamic")]
        teams = Team.objects.filter(slug__in=slugs).select_related("lead").prefetch_related("members")
        return {team.slug: list(able(team.lead) or team_people(team)) for team in teams}


class Absences:
    """Who is away on which day, and who stands in, by the delegations of the days ahead."""

    def __init__(self, now: datetime, days: int) -> None:
        self.now = now
        self.given: dict[int, list[Delegation]] = defaultdict(list)
        end = noon(now.date() + timedelta(days=days + 1))
        for row in delegations().filter(not_over(now), starts_at__lt=end).order_by("starts_at", "pk"):
            self.given[row.delegator_id].append(row)
        self.kept: dict[tuple[int, date], bool] = {}

    def voting_for(self, user: User, chain: str, day: date, *, hops: int | None = None) -> Iterator[User]:
        """Who can give this person's vote on this day: they themselves unless they are away, else who stands in for them and is there."""
        if not self.is_away(user, day):
            yield user
            return
        left = settings.DELEGATION_HOPS if hops is None else hops
        for row in self.given[user.pk] if left else ():
            if row.delegate.is_active and not row.delegate.is_service and reaches(row, chain) and covered([row], *self.working_hours(user, day)):
                yield from self.voting_for(row.delegate, chain, day, hops=left - 1)

    def is_away(self, user: User, day: date) -> bool:
        """Whether they gave all their votes away for the working hours of the day, on their own clocks."""
        key = user.pk, day
        if key not in self.kept:
            rows = [row for row in self.given.get(user.pk, ()) if row.scope_kind == Delegation.Scope.ALL]
            self.kept[key] = bool(rows) and covered(rows, *self.working_hours(user, day))
        return self.kept[key]

    def working_hours(self, user: User, day: date) -> tuple[datetime, datetime]:
        """From 9 to 17 on this person's clocks; of today what is left, after work the evening."""
        zone = zone_of(user)
        start, end = (datetime.combine(day, hour, tzinfo=zone) for hour in (WORK_BEGINS, WORK_ENDS))
        if end <= self.now:
            return self.now, self.now + timedelta(minutes=1)
        return max(start, self.now), end


def reaches(row: Delegation, chain: str) -> bool:
    """Whether it holds for every change of this chain."""
    return row.scope_kind == Delegation.Scope.ALL or (row.scope_kind == Delegation.Scope.CHAIN and row.scope_value == chain)


def covered(rows: Iterable[Delegation], start: datetime, end: datetime) -> bool:
    """Whether the rows, in order of their beginnings, cover the whole span together."""
    reached = start
    for row in rows:
        if row.starts_at > reached:
            return False
        reached = max(reached, row.ends_at)
        if reached >= end:
            return True
    return False


def zone_of(user: User) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(user.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")
