"""What in the live architecture breaks a policy rule now: every component or relation it could be about is looked at. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from changemgmt.architecture.models import Component, Relation
from changemgmt.architecture.queries import components, portions, relations
from changemgmt.architecture.rules import COMPONENT, RELATION

from .policies import lines_of_units, live_counts
from .policy import Policy
from .policy_fields import SIDES, Side, counts_asked

CHUNK = 1000
PAGE = 50
PLAIN = ("key", "name", "owner", "criticality", "users", "status", "environment", "attributes", "tags")
# What rules ask of a component, by name, and where it is read; the key comes first.
PARTS = {name: name for name in PLAIN} | {"type": "type__name", "layer": "layer__name", "org_unit": "org_unit__slug"}
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
    for values in rows.values_list(*PARTS.values()).iterator(CHUNK):
        image = dict(zip(PARTS, values, strict=True))
        yield Side(COMPONENT, image, counts=counts.get(image["key"], {}), lines=lines)


def relation_sides(rows: QuerySet[Relation]) -> Iterator[Side]:
    """With the components at the ends, each read once."""
    lines = lines_of_units()
    there: dict[str, dict[str, Any]] = {}
    for links in chunks(rows.values_list("key", "type__name", "attributes", "source__key", "target__key")):
        wanted = sorted({key for *_, source, target in links for key in (source, target) if key} - there.keys())
        for portion in portions(wanted):
            parts = Component.objects.filter(key__in=portion).order_by().values_list(*PARTS.values())
            there |= {values[0]: dict(zip(PARTS, values, strict=True)) for values in parts}
        for key, name, attributes, *ends in links:
            known = {side: there.get(end) for side, end in zip(SIDES, ends, strict=True) if end}
            yield Side(RELATION, {"key": key, "type": name, "attributes": attributes}, ends=known, lines=lines)


def chunks(rows: QuerySet[Any]) -> Iterable[list[Any]]:
    """The rows, some at a time."""
    found = iter(rows.iterator(CHUNK))
    while portion := list(islice(found, CHUNK)):
        yield portion
