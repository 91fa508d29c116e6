"""Whether a level can pass with the people there are, and whose absence makes it impossible. Pure.

A person is the key of a human being. Of a seat that the change decides on, nothing is known here: it counts as one that
somebody can take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from changemgmt.approvals.rules import PASSED, LevelRule, SeatVote, seating, tally


class Place(NamedTuple):
    """One seat a level would open: which configured slot it comes from, its power and weight, and who may take it."""

    slot: int
    power: str
    weight: int
    people: frozenset[str]


def empty(places: Sequence[Place], *, without: frozenset[str] = frozenset(), weighted: bool = False) -> list[int]:
    """Indexes of the counted seats that stay empty when everybody sits as well as possible, nobody twice.

    Seats with a veto are filled first, since a level waits for them; then the heaviest where weight counts.
    """
    order = [index for index, one in enumerate(places) if one.power != "advisory"]
    order.sort(key=lambda index: (places[index].power != "veto", -places[index].weight if weighted else 0, index))
    taken: dict[int, frozenset[str]] = {}
    left = []
    for index in order:
        tried = {**taken, index: places[index].people - without}
        if len(seating(tried)) == len(tried):
            taken = tried
        else:
            left.append(index)
    return sorted(left)


def passes(rule: Mapping[str, Any], places: Sequence[Place], *, without: frozenset[str] = frozenset()) -> tuple[bool, list[int]]:
    """Would the level pass if everybody who can sit approved, and which counted seats stay empty."""
    left = empty(places, without=without, weighted=rule["kind"] == "weight")
    votes = [SeatVote(one.power, one.weight, None if index in left else "approve", fillable=index not in left) for index, one in enumerate(places)]
    return tally(LevelRule(rule["kind"], rule.get("value")), votes).outcome in PASSED, left


def weak_points(
    rule: Mapping[str, Any], places: Sequence[Place], requesters: frozenset[str], implementers: frozenset[str]
) -> Iterator[tuple[frozenset[str], list[int]]]:
    """Who, by having a part in a change, makes a level impossible that passes otherwise: one requester or implementer, or one of each.

    Answers the smallest such sets with the seats that stay empty then. A pair is named only where neither alone suffices.
    """
    asked = frozenset().union(*(one.people for one in places if one.power != "advisory"))
    alone = {
        person: left
        for person in sorted((requesters | implementers) & asked)
        for ok, left in [passes(rule, places, without=frozenset({person}))]
        if not ok
    }
    yield from ((frozenset({person}), left) for person, left in alone.items())
    for pair in pairs(requesters & asked - alone.keys(), implementers & asked - alone.keys()):
        ok, left = passes(rule, places, without=pair)
        if not ok:
            yield pair, left


def pairs(requesters: Iterable[str], implementers: Iterable[str]) -> list[frozenset[str]]:
    return sorted({frozenset({one, other}) for one in requesters for other in implementers if one != other}, key=sorted)
