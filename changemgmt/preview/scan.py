"""What in the live architecture breaks a policy rule now: every component or relation is looked at. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from changemgmt.architecture.queries import component_image, components, images, relation_image, relations
from changemgmt.architecture.rules import COMPONENT, RELATION, ends

from .policies import lines_of_units, live_counts
from .policy import Policy
from .policy_fields import Side, counts_asked

CHUNK = 1000
PAGE = 50


@dataclass(frozen=True)
class Breaches:
    """One page of what breaks a rule, by key; `count` of `looked_at` do so in all. What only a change can break is not at rest."""

    rows: tuple[dict[str, str], ...]
    count: int
    looked_at: int
    page: int
    size: int
    about_the_change: bool

    @property
    def pages(self) -> int:
        return max(1, -(-self.count // self.size))


def breaches(policy: Policy, *, page: int = 1, size: int = PAGE) -> Breaches:
    """What breaks the rule now, in key order. A rule about what a change does has nothing to find without one."""
    if policy.about_the_change:
        return Breaches((), 0, 0, page, size, about_the_change=True)
    rows: list[dict[str, str]] = []
    count = looked_at = 0
    for side in sides(policy):
        looked_at += 1
        if policy.broken_by(side):
            count += 1
            if (page - 1) * size < count <= page * size:
                rows.append({"key": side.image["key"], "name": side.image.get("name", ""), "message": policy.sentence(side)})
    return Breaches(tuple(rows), count, looked_at, page, size, about_the_change=False)


def sides(policy: Policy) -> Iterator[Side]:
    """Everything the rule could be about, as it is, in key order."""
    lines = lines_of_units()
    if policy.about == COMPONENT:
        counts = live_counts(None) if counts_asked(policy.asks) else {}
        for row in components().order_by("key").iterator(CHUNK):
            yield Side(COMPONENT, component_image(row), counts=counts.get(row.key, {}), lines=lines)
        return
    for portion in chunks(relations().filter(refuted_at=None).order_by("key")):
        links = [relation_image(row) for row in portion]
        there = images(COMPONENT, {key for link in links for kind, key in ends(link) if kind == COMPONENT})
        for link in links:
            known = zip(("source", "target"), ends(link), strict=True)
            yield Side(RELATION, link, ends={side: there.get(key) for side, (kind, key) in known if kind == COMPONENT}, lines=lines)


def chunks(rows: QuerySet[Any]) -> Iterable[list[Any]]:
    """The rows, some at a time."""
    found = iter(rows.iterator(CHUNK))
    while portion := list(islice(found, CHUNK)):
        yield portion
