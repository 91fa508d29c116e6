"""The condition language: check what was written, evaluate it over facts, say row by row what held.

A condition is `{}` (everything), `{"all": […]}`, `{"any": […]}`, `{"not": c}` or a test
`{"field": …, "op": …, "value": …}`. Nothing is ever executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from changemgmt.conditions.checking import GROUPS, Finding, as_number, below, check, children
from changemgmt.conditions.facts import CUSTOM, FIELDS, OPERATOR_WORDS, Askable, Facts, Field, Kind, field_named

__all__ = ["FIELDS", "Facts", "Finding", "Row", "check", "describe", "explain", "holds", "uses"]


class Row(NamedTuple):
    """One line of an explanation: its place, what it asks in words, and whether it held."""

    path: str
    text: str
    holds: bool


def holds(condition: Mapping[str, Any] | None, facts: Askable) -> bool:
    """Does `condition` hold of `facts`? `{}` holds of everything. What is not known meets no test but `ne` and `not_in`."""
    if not condition:
        return True
    if "all" in condition:
        return all(holds(child, facts) for child in condition["all"])
    if "any" in condition:
        return any(holds(child, facts) for child in condition["any"])
    if "not" in condition:
        return not holds(condition["not"], facts)
    return test_holds(condition["field"], condition["op"], condition.get("value"), facts)


def test_holds(name: str, op: str, value: Any, facts: Askable) -> bool:
    field = facts.known(name)
    if field is None:
        return False
    actual = facts.value(name)
    if op == "is_set":
        return bool_set(actual) is (value is not False)
    if op in ("ne", "not_in"):
        return not test_holds(name, "eq" if op == "ne" else "in", value, facts)
    if op == "within":
        return value is not None and value in facts.units(name)
    values = actual if isinstance(actual, list | tuple | set | frozenset) else (actual,)
    wanted = value if op == "in" else (value,)
    compare = COMPARE["eq" if op == "in" or (op == "contains" and field.kind is Kind.TEXTS) else op]
    return any(one is not None and compare(*comparable(field, one, other)) for one in values for other in wanted)


def bool_set(actual: Any) -> bool:
    """Is there a value? Nought and false are values, an empty text or list is none."""
    return actual is not None and actual != "" and not (isinstance(actual, list | tuple | dict | set | frozenset) and not actual)


def never_ordered(order: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Values of different kinds have no order: that is false, never an error."""
    return lambda left, right: type(left) is type(right) and order(left, right)


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: type(left) is type(right) and left == right,
    "gt": never_ordered(lambda left, right: left > right),
    "gte": never_ordered(lambda left, right: left >= right),
    "lt": never_ordered(lambda left, right: left < right),
    "lte": never_ordered(lambda left, right: left <= right),
    "contains": lambda left, right: str(right) in str(left),
    "starts_with": lambda left, right: str(left).startswith(str(right)),
}


def comparable(field: Field, actual: Any, wanted: Any) -> tuple[Any, Any]:
    """Both values in the form in which this kind of field compares: levels by rank, numbers exactly, the rest as it is."""
    if field.kind is Kind.LEVEL:
        return rank(field, actual), rank(field, wanted)
    if field.kind is Kind.NUMBER or (field.kind is Kind.ANY and not isinstance(actual, str | bool | date)):
        return as_number(actual), as_number(wanted)
    return (actual.isoformat() if isinstance(actual, date) else actual), wanted


def rank(field: Field, level: Any) -> int | str:
    return field.choices.index(level) if level in field.choices else str(level)


def uses(condition: Mapping[str, Any] | None) -> set[str]:
    """The names of the fields a condition asks for."""
    inner = children(condition or {})
    return {condition["field"]} if inner is None and condition else {name for child in inner or () for name in uses(child)}


def explain(condition: Mapping[str, Any] | None, facts: Askable) -> list[Row]:
    """Every group and test in order, in words, with what the change has and whether it held."""
    return list(rows(condition or {}, "", facts))


def rows(node: Mapping[str, Any], path: str, facts: Askable) -> Iterator[Row]:
    held = holds(node, facts)
    group = next((key for key in GROUPS if key in node), None)
    if not node:
        yield Row(path, "Everything", True)
    elif group == "not":
        yield Row(path, "Not:", held)
        yield from rows(node["not"], below(path, "not"), facts)
    elif group:
        yield Row(path, "All of:" if group == "all" else "Any of:", held)
        for index, child in enumerate(node[group]):
            yield from rows(child, f"{below(path, group)}[{index}]", facts)
    else:
        yield Row(path, f"{test_words(node, facts.known)} (it is {value_words(facts.value(node['field']))})", held)


Known = Callable[[str], Field | None]


def describe(condition: Mapping[str, Any] | None, known: Known = field_named) -> str:
    """A condition as one sentence without a full stop: `Risk level is at least high and Layers is business`. `known` names its fields."""
    if not condition:
        return "everything"
    if "not" in condition:
        return f"not ({describe(condition['not'], known)})"
    for group, word in (("all", " and "), ("any", " or ")):
        if group in condition:
            parts = [describe(child, known) for child in condition[group]]
            return word.join(f"({part})" if " or " in part and group == "all" and len(parts) > 1 else part for part in parts) or "everything"
    return test_words(condition, known)


def test_words(test: Mapping[str, Any], known: Known = field_named) -> str:
    name, op, value = test["field"], test["op"], test.get("value")
    field = known(name)
    label = field.label if field else name.removeprefix(CUSTOM)
    if op == "is_set":
        return f"{label} {'is not set' if value is False else 'is set'}"
    return f"{label} {OPERATOR_WORDS[op]} {value_words(value)}"


def value_words(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(one) for one in value) or "empty"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None or value == "" else str(value)
