"""What roles a kind of account may hold, and where votes go that people give to others, pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

SERVICE_ROLES = frozenset({"requester", "viewer", "agent"})


def roles_refused_to_services(roles: Iterable[str]) -> list[str]:
    """Those of `roles` that decide, run or administer something: a service account never holds them."""
    return sorted(set(roles) - SERVICE_ROLES)


# --- who stands in for whom ---


@dataclass(frozen=True, slots=True)
class StandIn:
    """One person (`taker`) votes for another (`giver`) from `start` up to, not including, `end`, within a scope.

    `scope` is empty for everything; a value deeper in a tree stands behind those above it, as in ("org_unit", "company", "payments").
    """

    giver: str
    taker: str
    start: datetime
    end: datetime
    scope: tuple[str, ...] = ()
    key: int = 0


Path = tuple[StandIn, ...]


def hold_at_once(path: Path) -> bool:
    """Whether there is a moment and a vote for which all of these hold."""
    return max(row.start for row in path) < min(row.end for row in path) and all(scopes_meet(a.scope, b.scope) for a, b in combinations(path, 2))


def scopes_meet(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether some vote can lie in both. Scopes of different kinds can: a change of a type may take any chain."""
    if not a or not b or a[0] != b[0]:
        return True
    shorter = min(len(a), len(b))
    return a[:shorter] == b[:shorter]


def forbidden_path(new: StandIn, others: Sequence[StandIn], *, hops: int) -> Path:
    """The way a vote would go that `new` may not make: back to whom it came from, or over more than `hops` people. Empty where there is none."""
    paths = [path for path in paths_through((new,), others, most=hops + 1) if len(path) > 1]
    circles = (path for path in paths if path[0].giver == path[-1].taker)
    return next(circles, None) or next((path for path in paths if len(path) > hops), ())


def paths_through(path: Path, others: Sequence[StandIn], *, most: int) -> Iterator[Path]:
    """The path, and every longer one of at most `most` steps that holds at once."""
    yield path
    if len(path) >= most or path[0].giver == path[-1].taker:
        return
    for row in others:
        longer = (*path, row) if row.giver == path[-1].taker else (row, *path) if row.taker == path[0].giver else ()
        if longer and hold_at_once(longer):
            yield from paths_through(longer, others, most=most)
