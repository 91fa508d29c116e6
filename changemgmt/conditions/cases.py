"""The cases that the tests on one field can tell apart: values that stand for all others. Pure.

A field with few values has a case for each. Of numbers there is one at each bound, beside it and between two; of texts
every mixture of the patterns that are asked for. A field with several values (tags, layers …) has a case for each value
being there or not. What can't be enumerated counts as free: each test may hold or not, whatever the others do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any, NamedTuple

from changemgmt.conditions.checking import as_date, as_number
from changemgmt.conditions.facts import CUSTOM, Facts, Field, Kind, fields_with
from changemgmt.conditions.rules import test_holds, test_words, value_words

# ("is", variable, test), ("not", formula), ("all" or "any", formulas)
Formula = tuple[Any, ...]
Test = Mapping[str, Any]
# What every change in review has.
KNOWN = {"type", "priority", "risk_level", "risk_score", "impact", "urgency", "affected_count", "max_criticality", "users", "irreversible_steps"}
INTEGERS = {"affected_count", "max_criticality", "users", "irreversible_steps"}
RANGES: dict[str, tuple[int, int | None]] = {
    "affected_count": (0, None), "max_criticality": (0, 5), "users": (0, None), "irreversible_steps": (0, None), "risk_score": (0, 1), "cost_estimate": (0, None),
}  # fmt: skip
MOST_PATTERNS = 8


@dataclass(frozen=True)
class World:
    """What is known beside the condition: the custom fields with their kinds, and each org unit with itself and those above it."""

    custom: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Case(NamedTuple):
    """One way a field can be: what each test says of it, and the field and value in words."""

    holds: tuple[bool, ...]
    words: str


def cases_of(name: str, tests: Sequence[Test], world: World, *, first: int) -> tuple[list[list[Case]], list[Formula]]:
    """The variables of a field, numbered from `first`, each with its cases; and each test as a formula over them."""
    known = fields_with(world.custom).get(name) or Field(Kind.ANY, name)
    if known.kind is Kind.TEXTS:
        return several(name, known, tests, first)
    facts = sample_facts(name, known, tests, world)
    if facts is None:
        return free(tests, first)
    cases: dict[tuple[bool, ...], Case] = {}
    for one in facts:
        holds = tuple(test_holds(name, test["op"], test.get("value"), one) for test in tests)
        cases.setdefault(holds, Case(holds, f"{known.label} {value_words(one.value(name))}"))
    return [list(cases.values())], [("is", first, index) for index in range(len(tests))]


def free(tests: Sequence[Test], first: int) -> tuple[list[list[Case]], list[Formula]]:
    """Each test by itself: it holds or it does not."""
    variables = [[Case((True,), test_words(test)), Case((False,), f"not ({test_words(test)})")] for test in tests]
    return variables, [("is", first + index, 0) for index in range(len(tests))]


def sample_facts(name: str, known: Field, tests: Sequence[Test], world: World) -> list[Facts] | None:
    """Facts that stand for all values of a field of one value; None where they can't be enumerated."""
    if known.kind is Kind.UNIT:
        return unit_facts(tests, world)
    samples = samples_of(name, known, tests)
    if samples is None:
        return None
    if name not in KNOWN:
        samples = [*samples, None]
    return [Facts(custom={name.removeprefix(CUSTOM): one}) if name.startswith(CUSTOM) else Facts(**{name: one}) for one in samples]


def samples_of(name: str, known: Field, tests: Sequence[Test]) -> list[Any] | None:
    if known.choices:
        return list(known.choices)
    match known.kind:
        case Kind.NUMBER:
            return numbers(name, asked_values(tests))
        case Kind.BOOLEAN:
            return [True, False]
        case Kind.DATE:
            return dates(asked_values(tests))
        case Kind.TEXT:
            return texts(tests)
    return None


def asked_values(tests: Sequence[Test]) -> list[Any]:
    """Every value the tests compare with."""
    found = [test.get("value") for test in tests if test["op"] != "is_set"]
    return [one for value in found for one in (value if isinstance(value, list) else [value])]


# --- numbers and dates: at each bound, beside it, between two ---


def numbers(name: str, asked: Iterable[Any]) -> list[Decimal] | None:
    least, most = RANGES.get(name, (None, None))
    bounds = sorted({number for value in asked if (number := as_number(value)) is not None})
    if name in INTEGERS:
        found = {number.to_integral_value() + step for number in bounds for step in (-1, 0, 1)} if all(small(one) for one in bounds) else None
    else:
        between = {(left + right) / 2 for left, right in zip(bounds, bounds[1:], strict=False)}
        found = set(bounds) | between | ({bounds[0] - 1, bounds[-1] + 1} if bounds else set())
        found = found if all(small(one) for one in found) else None
    if found is None:
        return None
    found |= {Decimal(one) for one in (least, most) if one is not None} or {Decimal(0)}
    return sorted(one for one in found if (least is None or one >= least) and (most is None or one <= most))


def small(number: Decimal) -> bool:
    """Is it compared exactly? Longer ones are left to themselves."""
    return len(str(number)) <= 24 and abs(number) < Decimal(10) ** 20


def dates(asked: Iterable[Any]) -> list[str] | None:
    found: set[str] = set()
    for value in asked:
        day = as_date(value)
        if day is None or day.isoformat() != value or not date.min < day < date.max:
            return None
        found |= {(day + timedelta(days=step)).isoformat() for step in (-1, 0, 1)}
    return sorted(found) or ["2026-01-01"]


# --- texts: every mixture of what is asked for ---


def texts(tests: Sequence[Test]) -> list[str] | None:
    """The values named, and for others every mixture of a beginning and parts: no text with other answers exists."""
    named = {str(value) for test in tests if test["op"] in ("eq", "ne", "in", "not_in") for value in asked_values([test])}
    parts = sorted({str(test["value"]) for test in tests if test["op"] == "contains"})
    beginnings = sorted({str(test["value"]) for test in tests if test["op"] == "starts_with"})
    if len(parts) > MOST_PATTERNS:
        return None
    sign = stranger({*named, *parts, *beginnings})
    mixtures = [mixed for count in range(len(parts) + 1) for mixed in combinations(parts, count)]
    return sorted(named) + [f"{start}{sign}{sign.join(mixed)}" for start in ("", *beginnings) for mixed in mixtures]


def stranger(known: Iterable[str]) -> str:
    """A sign that stands in none of the texts."""
    used = set("".join(known))
    return next(chr(code) for code in (0x2026, *range(0xE000, 0xF8FF)) if chr(code) not in used)


# --- org units: those there are, those named, and one more anywhere ---


def unit_facts(tests: Sequence[Test], world: World) -> list[Facts] | None:
    if any(test["op"] in ("contains", "starts_with") for test in tests):
        return None
    named = {str(value): (str(value),) for value in asked_values(tests) if value not in world.units}
    lines = [*world.units.values(), *named.values()]
    other = stranger(slug for line in lines for slug in line)
    more = [(other, *line) for line in lines] + [(other,)]
    return [Facts(), *(Facts(org_unit=line[0], org_unit_chain=line) for line in [*lines, *more])]


# --- several values: each is there or not ---


def several(name: str, known: Field, tests: Sequence[Test], first: int) -> tuple[list[list[Case]], list[Formula]]:
    """A variable for each value that the tests tell apart, and for one more of each kind they could meet."""
    prefixes = sorted({str(test["value"]) for test in tests if test["op"] == "starts_with"})
    values = list(known.choices) or sorted({str(one) for test in tests if test["op"] != "starts_with" for one in asked_values([test])})
    elements = [(value, True, f"{known.label} with {value}") for value in values]
    if not known.choices:
        elements += [(prefix, False, f"{known.label} with another that starts with {prefix}") for prefix in prefixes]
        elements.append(("", False, f"{known.label} with another one"))
    answers: dict[tuple[bool, ...], str] = {}
    for text, exact, words in elements:
        answers.setdefault(tuple(meets(test, text, exact) for test in tests), words)
    variables = [[Case((True,), words), Case((False,), "")] for words in answers.values()]
    return variables, [
        among(test, [("is", first + number, 0) for number, met in enumerate(answers) if met[index]]) for index, test in enumerate(tests)
    ]


def meets(test: Test, text: str, exact: bool) -> bool:
    """Is one such value enough for the test, its negation left aside? What is not exact only begins so."""
    value = test.get("value")
    if test["op"] == "is_set":
        return True
    if test["op"] == "starts_with":
        return text.startswith(str(value))
    return exact and text in (value if isinstance(value, list) else [value])


def among(test: Test, there: list[Formula]) -> Formula:
    negated = test["op"] in ("ne", "not_in") or (test["op"] == "is_set" and test.get("value") is False)
    return ("not", ("any", there)) if negated else ("any", there)
