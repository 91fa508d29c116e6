"""Circles of components that rely on each other, which a change would close. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

MOST_VISITS = 100_000
"""So many steps are made in one layer; a search that needs more is given up, and says so."""

Next = Callable[[str], Iterable[str]]
Tie = tuple[str, str]


class GaveUp(Exception):
    """The search was longer than MOST_VISITS."""


def closed_cycles(new: Iterable[Tie], leads_to: Next, most: int = MOST_VISITS) -> list[tuple[str, ...]]:
    """For each new tie the shortest cycle through it, if there is one; each cycle once, beginning with its first key.

    `leads_to` are the neighbours after the change, in key order: of equally short cycles that whose keys come first is taken, and the
    order of the ties does not matter. Raises GaveUp.
    """
    found: set[tuple[str, ...]] = set()
    left = most
    for source, target in sorted(set(new)):
        way, visits = shortest(target, source, leads_to, left)
        left -= visits
        if way is not None:
            found.add(turned((source, *way[:-1]) if source != target else (source,)))
    return sorted(found)


def shortest(start: str, goal: str, leads_to: Next, most: int) -> tuple[tuple[str, ...] | None, int]:
    """The shortest way from `start` to `goal`, both included, and how many nodes were visited."""
    came_from: dict[str, str] = {start: ""}
    waiting = deque([start])
    visits = 0
    while waiting:
        visits += 1
        if visits > most:
            raise GaveUp
        node = waiting.popleft()
        if node == goal:
            return way_to(goal, came_from), visits
        for other in leads_to(node):
            if other not in came_from:
                came_from[other] = node
                waiting.append(other)
    return None, visits


def way_to(goal: str, came_from: dict[str, str]) -> tuple[str, ...]:
    way = [goal]
    while came_from[way[-1]]:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))


def turned(cycle: tuple[str, ...]) -> tuple[str, ...]:
    """The same cycle from its first key on."""
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]
