"""What a policy rule can ask about: the fields of a component or relation as it would be. Pure."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from changemgmt.architecture.effects import DEGRADED, DOWN
from changemgmt.architecture.rules import COMPONENT, OPERATIONS, RELATION, STATUSES
from changemgmt.conditions.facts import Field, Kind, Vocabulary

SIDES = ("source", "target")
COUNTED = ("outgoing", "incoming")
OF_THE_CHANGE = {"operation", "effect"}
"""Fields that speak of the change, and not of what is."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names there are, so that a rule about another one is refused; none given: any."""

    layers: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    relation_types: tuple[str, ...] = ()


def component_fields(names: Names) -> dict[str, Field]:
    """What a component is by itself."""
    return {
        "key": Field(Kind.TEXT, "Key"),
        "name": Field(Kind.TEXT, "Name"),
        "type": Field(Kind.TEXT, "Type", names.types),
        "layer": Field(Kind.TEXT, "Layer", names.layers),
        "owner": Field(Kind.TEXT, "Owner"),
        "org_unit": Field(Kind.UNIT, "Org unit"),
        "criticality": Field(Kind.NUMBER, "Criticality"),
        "users": Field(Kind.NUMBER, "Users"),
        "status": Field(Kind.CHOICE, "Status", STATUSES),
        "environment": Field(Kind.TEXT, "Environment"),
        "tags": Field(Kind.TEXTS, "Tags"),
    }


def vocabulary(about: str, names: Names = Names()) -> Vocabulary:
    """What rules about components, or about relations, can ask."""
    operation = Field(Kind.CHOICE, "Operation", OPERATIONS)
    own = component_fields(names)
    if about == COMPONENT:
        effect = Field(Kind.CHOICE, "Effect", (DOWN, DEGRADED, "touched"))
        fields = own | {"relations": Field(Kind.NUMBER, "Relations"), "operation": operation, "effect": effect}
        return Vocabulary(fields, {"attributes.": Kind.ANY, "outgoing.": Kind.NUMBER, "incoming.": Kind.NUMBER})
    fields = {"key": own["key"], "type": Field(Kind.TEXT, "Type", names.relation_types), "operation": operation}
    fields |= {f"{side}.{name}": known._replace(label=f"{known.label} of the {side}") for side in SIDES for name, known in own.items()}
    return Vocabulary(fields, {f"{place}attributes.": Kind.ANY for place in ("", "source.", "target.")})


def either(names: Names) -> Vocabulary:
    """The fields of both, for a form in which it is not chosen yet what the rule is about."""
    one, two = vocabulary(COMPONENT, names), vocabulary(RELATION, names)
    return Vocabulary({**two.fields, **one.fields, "type": Field(Kind.TEXT, "Type")}, one.families | two.families)


KNOWN = {about: vocabulary(about) for about in (COMPONENT, RELATION)}


@dataclass(frozen=True, slots=True)
class Side:
    """A component or relation at one moment. `operation` and `effect` say what a change does to it.

    `counts` are numbers of relations, such as `outgoing.serving`; `ends` the components at the source and the target of a relation;
    `lines` each org unit with those above it.
    """

    about: str
    image: Mapping[str, Any]
    operation: str | None = None
    effect: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        if name in OF_THE_CHANGE:
            return self.operation if name == "operation" else self.effect
        first, _, rest = name.partition(".")
        if self.about == RELATION and first in SIDES:
            return plain(at(self.ends.get(first), rest))
        if self.about == COMPONENT and first in COUNTED:
            return self.counts.get(name, 0)
        if self.about == COMPONENT and name == "relations":
            return sum(self.counts.values())
        return plain(at(self.image, name))

    def known(self, name: str) -> Field | None:
        return KNOWN[self.about].get(name)

    def units(self, name: str) -> Container[Any]:
        unit = self.value(name)
        return self.lines.get(unit, (unit,)) if unit else ()


def at(value: Any, path: str) -> Any:
    """What stands at a dotted path; names may hold dots themselves. None where nothing does."""
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    places = [place for place, sign in enumerate(path) if sign == "."]
    found = (at(value.get(path[:place]), path[place + 1 :]) for place in places)
    return next((one for one in found if one is not None), None)


def plain(value: Any) -> Any:
    """A value as conditions compare it: numbers, texts, and lists of them; anything nested deeper as its text."""
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    return _written(value) or None if isinstance(value, Mapping) else value


def _written(value: Any) -> Any:
    return json.dumps(value, sort_keys=True, ensure_ascii=False) if value and isinstance(value, Mapping | list | tuple) else value


def counts_asked(values: Iterable[str]) -> bool:
    """Whether any of these fields is a number of relations."""
    return any(name == "relations" or name.partition(".")[0] in COUNTED for name in values)
