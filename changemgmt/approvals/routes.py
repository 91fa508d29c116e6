"""Which way a change takes through the chains, in numbers: its chains, the levels that open, votes asked and hours given. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changemgmt.conditions.rules import Facts, holds, uses

from . import rules

AUTOMATIC, CHAIN, BLOCKED = "automatic", "chain", "blocked"


@dataclass(frozen=True, slots=True)
class Route:
    """A way through. `votes` are the seats asked, `hours` the time given to levels that wait for one another."""

    kind: str
    chains: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    votes: int = 0
    hours: int = 0


def route_of(chains: Sequence[Mapping[str, Any]], facts: Facts, *, now: datetime) -> Route:
    """The way of a change with these facts through these chains: those that are in force at `now`, as a submission would choose them."""
    chosen = rules.choose(chains, lambda condition: holds(condition, facts), now)
    if all(chain["additive"] for chain in chosen):
        return Route(BLOCKED)
    opening = [level for chain in chosen for level in chain["levels"] if holds(level["applies_when"], facts)]
    if not opening:
        return Route(BLOCKED, names(chosen))
    opening.sort(key=lambda level: level["number"])
    return Route(CHAIN, names(chosen), tuple(level["name"] for level in opening), votes_asked(opening), hours_given(opening))


def names(chains: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(chain["name"] for chain in chains)


def votes_asked(levels: Iterable[Mapping[str, Any]]) -> int:
    """Seats that open: as many as a slot needs of its group. One that is found by the change counts once."""
    return sum(1 if seat.get("dynamic") else seat["required"] for level in levels for seat in level["seats"])


def hours_given(levels: Iterable[Mapping[str, Any]]) -> int:
    """Hours from the first level to the last: side by side the longest counts, one after the other they add up."""
    longest: dict[int, int] = defaultdict(int)
    for level in levels:
        longest[level["number"]] = max(longest[level["number"]], level["sla_hours"])
    return sum(longest.values())


def replaced(chains: Sequence[Mapping[str, Any]], draft: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The chains as they would be with the draft in force, whatever its dates.

    It takes the place of the chain with its id or name. Switched off, it takes the place of one that is in force, and
    leaves none there; one that never was in force is taken as switched on.
    """
    same = [chain for chain in chains if chain["name"] == draft["name"] or (draft.get("id") and chain["id"] == draft["id"])]
    active = draft["active"] or not any(chain["active"] for chain in same)
    others = [chain for chain in chains if chain not in same]
    return [*others, {**draft, "active": active, "valid_from": None, "valid_to": None}]


def fields_asked(chains: Iterable[Mapping[str, Any]]) -> set[str]:
    """The attributes that the conditions of these chains and their levels ask about."""
    return set().union(*(uses(part["applies_when"]) for chain in chains for part in (chain, *chain["levels"])))


@dataclass(slots=True)
class Move:
    """All changes that go from one route to another: how many, and what became of them."""

    before: Route
    after: Route
    outcomes: Counter[str]

    @property
    def changes(self) -> int:
        return self.outcomes.total()

    @property
    def moved(self) -> bool:
        return self.before != self.after


def moves_of(pairs: Iterable[tuple[Route, Route, str]]) -> list[Move]:
    """(before, after, outcome) of every change, added up: those that move first, the most frequent first."""
    found: dict[tuple[Route, Route], Move] = {}
    for before, after, outcome in pairs:
        found.setdefault((before, after), Move(before, after, Counter())).outcomes[outcome] += 1
    return sorted(found.values(), key=lambda move: (not move.moved, -move.changes, move.before.chains, move.after.chains, move.before.levels))
