"""Checking a condition as it was written: every mistake with its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, NamedTuple

from changemgmt.conditions.facts import Field, Kind, Vocabulary, fields_with

MAX_DEPTH = 8
MAX_TESTS = 200
MAX_VALUES = 500
MAX_TEXT = 300
MAX_FINDINGS = 50
MOST_NAMED = 40
GROUPS = ("all", "any", "not")


class Finding(NamedTuple):
    """One mistake: the place, such as `all[0].value`, and a sentence."""

    path: str
    message: str


def below(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def check(data: Any, *, custom: Mapping[str, str] | Iterable[str] = ()) -> list[Finding]:
    """Every mistake in a condition, each with its place; none means it can be saved.

    `custom` names the custom fields, as names or as a mapping from name to kind; or is the vocabulary of something else than a change.
    """
    fields = fields_with(custom)
    findings = list(islice(check_node(data, "", fields, 1), MAX_FINDINGS))
    if not findings and count_tests(data) > MAX_TESTS:
        findings.append(Finding("", f"A condition has at most {MAX_TESTS} tests."))
    return findings


def check_node(node: Any, path: str, fields: Mapping[str, Field], depth: int) -> Iterator[Finding]:
    if not isinstance(node, dict):
        yield Finding(path, 'A condition is an object: {}, {"all": […]}, {"any": […]}, {"not": …} or a test with field, op and value.')
    elif depth > MAX_DEPTH:
        yield Finding(path, f"Conditions nest at most {MAX_DEPTH} deep.")
    elif not node:
        return
    elif groups := [key for key in GROUPS if key in node]:
        yield from check_group(node, groups[0], path, fields, depth)
    else:
        yield from check_test(node, path, fields)


def check_group(node: dict[str, Any], group: str, path: str, fields: Mapping[str, Field], depth: int) -> Iterator[Finding]:
    yield from (Finding(below(path, str(key)), f"Nothing may stand beside “{group}”.") for key in node if key != group)
    inner = node[group]
    place = below(path, group)
    if group == "not":
        yield from check_node(inner, place, fields, depth + 1)
    elif not isinstance(inner, list):
        yield Finding(place, "Give a list of conditions.")
    elif not inner and group == "any":
        yield Finding(place, "None of nothing ever holds: name at least one condition, or use {} for everything.")
    elif len(inner) > MAX_TESTS:
        yield Finding(place, f"A condition has at most {MAX_TESTS} tests.")
    else:
        for index, child in enumerate(inner):
            yield from check_node(child, f"{place}[{index}]", fields, depth + 1)


def check_test(test: dict[str, Any], path: str, fields: Mapping[str, Field]) -> Iterator[Finding]:
    unknown = [key for key in test if key not in ("field", "op", "value")]
    if unknown:
        yield from (Finding(below(path, str(key)), "Unknown; a test has field, op and value.") for key in unknown)
        return
    name, op = test.get("field"), test.get("op")
    field = fields.get(name) if isinstance(name, str) else None
    if field is None:
        yield Finding(below(path, "field"), f"Unknown field {shown(name)}; known are {', '.join(names_of(fields))}.")
    elif not isinstance(op, str) or op not in field.operators:
        yield Finding(below(path, "op"), f"{field.label} can be asked with {', '.join(field.operators)}.")
    elif message := wrong_value(field, op, test.get("value")):
        yield Finding(below(path, "value"), message)


def names_of(fields: Mapping[str, Field]) -> list[str]:
    """The names that can be asked for, in order; a family by its beginning."""
    families = fields.families if isinstance(fields, Vocabulary) else ()
    return sorted([*fields, *(f"{family}<name>" for family in families)])


def shown(value: Any) -> str:
    return f"“{str(value)[:60]}”" if value is not None else "(none)"


def wrong_value(field: Field, op: str, value: Any) -> str:
    """Why `value` can't be compared so with this field; empty when it can."""
    if op == "is_set":
        return "" if isinstance(value, bool) or value is None else "Give true or false."
    if op in ("in", "not_in"):
        if not isinstance(value, list) or not value:
            return "Give a list with at least one value."
        if len(value) > MAX_VALUES:
            return f"Give at most {MAX_VALUES} values."
        return next((message for one in value if (message := wrong_scalar(field, one))), "")
    if op in ("contains", "starts_with", "within") and not isinstance(value, str):
        return "Give a text."
    return wrong_scalar(field, value, partial=op in ("contains", "starts_with"))


def wrong_scalar(field: Field, value: Any, *, partial: bool = False) -> str:
    if field.choices and not partial:
        return "" if isinstance(value, str) and value in field.choices else f"Give one of {listed(field.choices)}."
    return SCALARS[field.kind](value)


def listed(choices: Sequence[str]) -> str:
    """The choices in a sentence, as many as a person reads."""
    more = len(choices) - MOST_NAMED
    return ", ".join(choices[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def wrong_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        return "Give a text."
    return f"Give at most {MAX_TEXT} characters." if len(value) > MAX_TEXT or "\x00" in value else ""


def wrong_number(value: Any) -> str:
    return "Give a number." if as_number(value) is None else ""


def wrong_date(value: Any) -> str:
    return "" if as_date(value) is not None else "Give a date such as 2026-11-22."


def wrong_any(value: Any) -> str:
    return "" if isinstance(value, bool) or not wrong_number(value) else wrong_text(value)


SCALARS: dict[Kind, Callable[[Any], str]] = {
    Kind.TEXT: wrong_text,
    Kind.TEXTS: wrong_text,
    Kind.CHOICE: wrong_text,
    Kind.LEVEL: wrong_text,
    Kind.UNIT: wrong_text,
    Kind.NUMBER: wrong_number,
    Kind.BOOLEAN: lambda value: "" if isinstance(value, bool) else "Give true or false.",
    Kind.DATE: wrong_date,
    Kind.ANY: wrong_any,
}


def as_number(value: Any) -> Decimal | None:
    """A finite number (or its decimal text, as money is written) exactly as it reads; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        number = Decimal(str(value)) if len(str(value)) <= 40 else None
    except (InvalidOperation, ValueError):
        return None
    return number if number is not None and number.is_finite() else None


def as_date(value: Any) -> date | None:
    try:
        return value if isinstance(value, date) else date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def count_tests(node: Mapping[str, Any]) -> int:
    match children(node):
        case None:
            return 1
        case inner:
            return sum(count_tests(child) for child in inner)


def children(node: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """What stands inside a group; None for a test."""
    for group in ("all", "any"):
        if group in node:
            return list(node[group])
    return [node["not"]] if "not" in node else None if node else []
