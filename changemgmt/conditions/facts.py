"""What a condition can ask about: the facts of a change, the fields with their kinds, and vocabularies about other things."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

FOUR_LEVELS = ("low", "medium", "high", "very_high")


class Kind(StrEnum):
    """What values a field has, and with that, what can be asked of it."""

    TEXT = "text"
    TEXTS = "texts"
    CHOICE = "choice"
    LEVEL = "level"
    NUMBER = "number"
    UNIT = "unit"
    BOOLEAN = "boolean"
    DATE = "date"
    ANY = "any"


EQUALITY = ("eq", "ne", "in", "not_in")
ORDER = ("gt", "gte", "lt", "lte")
TEXTUAL = ("contains", "starts_with")
OPERATORS: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: (*EQUALITY, *TEXTUAL, "is_set"),
    Kind.TEXTS: (*EQUALITY, *TEXTUAL, "is_set"),
    Kind.CHOICE: (*EQUALITY, "is_set"),
    Kind.LEVEL: (*EQUALITY, *ORDER, "is_set"),
    Kind.NUMBER: (*EQUALITY, *ORDER, "is_set"),
    Kind.UNIT: (*EQUALITY, *TEXTUAL, "within", "is_set"),
    Kind.BOOLEAN: ("eq", "ne", "is_set"),
    Kind.DATE: (*EQUALITY, *ORDER, "is_set"),
    Kind.ANY: (*EQUALITY, *ORDER, *TEXTUAL, "is_set"),
}
OPERATOR_WORDS = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "not_in": "is none of",
    "gt": "is more than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
    "contains": "contains",
    "starts_with": "starts with",
    "within": "is or lies within",
    "is_set": "is set",
}


class Field(NamedTuple):
    """One thing a condition can ask about. `choices` are the allowed values, lowest first for a level."""

    kind: Kind
    label: str
    choices: tuple[str, ...] = ()

    @property
    def operators(self) -> tuple[str, ...]:
        return OPERATORS[self.kind]


FIELDS: dict[str, Field] = {
    "type": Field(Kind.CHOICE, "Type", ("standard", "normal", "emergency", "major")),
    "category": Field(Kind.TEXT, "Category"),
    "priority": Field(Kind.LEVEL, "Priority", ("low", "medium", "high", "critical")),
    "risk_level": Field(Kind.LEVEL, "Risk level", FOUR_LEVELS),
    "risk_score": Field(Kind.NUMBER, "Risk score"),
    "impact": Field(Kind.LEVEL, "Impact", FOUR_LEVELS),
    "urgency": Field(Kind.LEVEL, "Urgency", ("low", "normal", "high")),
    "affected_count": Field(Kind.NUMBER, "Affected components"),
    "max_criticality": Field(Kind.NUMBER, "Highest criticality"),
    "users": Field(Kind.NUMBER, "Users reached"),
    "layers": Field(Kind.TEXTS, "Layers"),
    "components": Field(Kind.TEXTS, "Components"),
    "component_types": Field(Kind.TEXTS, "Component types"),
    "environments": Field(Kind.TEXTS, "Environments"),
    "services": Field(Kind.TEXTS, "Services"),
    "org_unit": Field(Kind.UNIT, "Org unit"),
    "requester_roles": Field(Kind.TEXTS, "Roles of the requester"),
    "cost_estimate": Field(Kind.NUMBER, "Cost estimate"),
    "tags": Field(Kind.TEXTS, "Tags"),
    "compliance_scope": Field(Kind.TEXTS, "Compliance scope"),
    "template": Field(Kind.TEXT, "Template"),
    "operations": Field(Kind.TEXTS, "Operations", ("create", "update", "delete")),
    "irreversible_steps": Field(Kind.NUMBER, "Irreversible steps"),
}


class Vocabulary(Mapping[str, Field]):
    """What conditions about something else than a change ask for: fields, and families of fields such as `attributes.<name>`."""

    def __init__(self, fields: Mapping[str, Field], families: Mapping[str, Kind]) -> None:
        self.fields, self.families = dict(fields), dict(families)

    def __getitem__(self, name: str) -> Field:
        if name in self.fields:
            return self.fields[name]
        for family, kind in self.families.items():
            if name.startswith(family) and len(family) < len(name) <= LONGEST_NAME:
                return Field(kind, name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)


class Askable(Protocol):
    """What a condition is evaluated over: the facts of a change, or of anything else that has fields."""

    def value(self, name: str) -> Any:
        """The value of the field; None when it is not known."""

    def known(self, name: str) -> Field | None:
        """The field, if there is one of this name."""

    def units(self, name: str) -> Container[Any]:
        """The org unit in this field, and those above it."""


LONGEST_NAME = 200
CUSTOM = "custom."
CUSTOM_KINDS = {"text": Kind.TEXT, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN, "choice": Kind.TEXT, "date": Kind.DATE}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a change. `org_unit_chain` is its org unit and every unit above it, nearest first."""

    type: str = ""
    category: str | None = None
    priority: str | None = None
    risk_level: str | None = None
    risk_score: float | None = None
    impact: str | None = None
    urgency: str | None = None
    affected_count: int = 0
    max_criticality: int = 0
    users: int = 0
    layers: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    component_types: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    org_unit: str | None = None
    org_unit_chain: tuple[str, ...] = ()
    requester_roles: tuple[str, ...] = ()
    cost_estimate: Decimal | float | None = None
    tags: tuple[str, ...] = ()
    compliance_scope: tuple[str, ...] = ()
    template: str | None = None
    operations: tuple[str, ...] = ()
    irreversible_steps: int = 0
    custom: Mapping[str, Any] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        """The value of the field `name`; None when it is not known."""
        if name.startswith(CUSTOM):
            return self.custom.get(name.removeprefix(CUSTOM))
        return getattr(self, name, None) if name in FIELDS else None

    def known(self, name: str) -> Field | None:
        return field_named(name)

    def units(self, name: str) -> Container[Any]:
        return (self.org_unit, *self.org_unit_chain)


def fields_with(custom: Mapping[str, str] | Iterable[str] = ()) -> Mapping[str, Field]:
    """Every field by name, with the custom ones: names, or names with their kind (text, number, boolean, choice, date).

    A vocabulary of its own stands for all of them.
    """
    if isinstance(custom, Vocabulary):
        return custom
    kinds = custom if isinstance(custom, Mapping) else dict.fromkeys(custom, "")
    return FIELDS | {f"{CUSTOM}{name}": Field(CUSTOM_KINDS.get(kind, Kind.ANY), name.replace("_", " ")) for name, kind in kinds.items()}


def field_named(name: str) -> Field | None:
    """The field as evaluation sees it; a custom one is of any kind there."""
    return Field(Kind.ANY, name.removeprefix(CUSTOM)) if name.startswith(CUSTOM) else FIELDS.get(name)
