"""What in the live architecture breaks a policy rule now: every component or relation it could be about is looked at. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from changemgmt.architecture.models import Component, Relation
from changemgmt.architecture.queries import component_image, components, images, relation_image, relations
from changemgmt.architecture.rules import COMPONENT, RELATION, ends

from .policies import lines_of_units, live_counts
from .policy import Policy
from .policy_fields import SIDES, Side, counts_asked

CHUNK = 1000
PAGE = 50
COLUMNS = {"layer": "layer__name", "owner": "owner", "status": "status", "environment": "environment"}


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
    count = 0
    everything: QuerySet[Any] = components() if policy.about == COMPONENT else relations().filter(refuted_at=None)
    asked = everything.filter(**narrowing(policy)).order_by("key")
    for side in component_sides(asked, policy) if policy.about == COMPONENT else relation_sides(asked):
        if policy.broken_by(side):
            count += 1
            if (page - 1) * size < count <= page * size:
                rows.append({"key": side.image["key"], "name": side.image.get("name", ""), "message": policy.sentence(side)})
    return Breaches(tuple(rows), count, everything.count(), page, size, about_the_change=False)


def narrowing(policy: Policy) -> dict[str, Any]:
    """What of the rule's first condition the database can ask, so that not every row is read. Nothing the rule is about is left out."""
    condition = policy.applies_when or {}
    found: dict[str, Any] = {}
    for test in condition.get("all", [condition]):
        first, dot, rest = test.get("field", "").partition(".")
        side, name = (f"{first}__", rest) if dot and first in SIDES and policy.about == RELATION else ("", test.get("field", ""))
        column = "type__name" if name == "type" else COLUMNS.get(name) if side or policy.about == COMPONENT else None
        if column and test["op"] in ("eq", "in"):
            found.setdefault(f"{side}{column}__in", test["value"] if test["op"] == "in" else [test["value"]])
    return found


def component_sides(rows: QuerySet[Component], policy: Policy) -> Iterator[Side]:
    lines, counts = lines_of_units(), live_counts(None) if counts_asked(policy.asks) else {}
    for row in rows.iterator(CHUNK):
        yield Side(COMPONENT, component_image(row), counts=counts.get(row.key, {}), lines=lines)


def relation_sides(rows: QuerySet[Relation]) -> Iterator[Side]:
    lines = lines_of_units()
    there: dict[str, Any] = {}
    for portion in chunks(rows):
        links = [relation_image(row) for row in portion]
        there |= images(COMPONENT, {key for link in links for kind, key in ends(link) if kind == COMPONENT} - there.keys())
        for link in links:
            known = zip(SIDES, ends(link), strict=True)
            yield Side(RELATION, link, ends={side: there.get(key) for side, (kind, key) in known if kind == COMPONENT}, lines=lines)


def chunks(rows: QuerySet[Any]) -> Iterable[list[Any]]:
    """The rows, some at a time."""
    found = iter(rows.iterator(CHUNK))
    while portion := list(islice(found, CHUNK)):
        yield portion
