"""What can be said of a condition without a change: can it hold at all, does it always, does one follow from another.

Fields are taken to be independent of each other, so everything that can happen is among what is considered: what is
called impossible is impossible. Where the search grows too long, nothing is claimed. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from changemgmt.conditions.cases import Case, Formula, World, cases_of
from changemgmt.conditions.checking import GROUPS, below, children

__all__ = ["Dull", "World", "always", "can_hold", "dull_parts", "example", "implies"]

STEPS, MOST_VARIABLES = 1500, 300
Condition = Mapping[str, Any]


class Undecided(Exception):
    """The search took longer than it may."""


class Dull(NamedTuple):
    """A part of a condition that tells nothing: `always` says which way, `whole` that it is the condition itself."""

    path: str
    always: bool
    whole: bool


def can_hold(*conditions: Condition, world: World) -> bool:
    """Can all of these hold of one change? True as well where that could not be decided."""
    try:
        return search(conditions, world) is not None
    except Undecided:
        return True


def always(condition: Condition, world: World) -> bool:
    """Does it hold of every change, provably?"""
    return not can_hold({"not": condition}, world=world)


def implies(one: Condition, other: Condition, world: World) -> bool:
    """Does `other` hold wherever `one` does, provably?"""
    return not can_hold(one, {"not": other}, world=world)


def example(*conditions: Condition, world: World) -> str | None:
    """What a change of which all of these hold looks like, in words; None when there is none or none was found."""
    try:
        found = search(conditions, world)
    except Undecided:
        return None
    return None if found is None else ", ".join(words for words in found if words) or "any change"


def dull_parts(condition: Condition, world: World) -> Iterator[Dull]:
    """The parts that hold always or never: the condition itself, or else the outermost ones inside it."""
    if not has_tests(condition):
        return
    if not can_hold(condition, world=world):
        yield Dull(impossible_place(condition, "", world), always=False, whole=True)
    elif always(condition, world):
        yield Dull("", always=True, whole=True)
    else:
        yield from dull_children(condition, "", world)


def dull_children(node: Condition, path: str, world: World) -> Iterator[Dull]:
    for place, child in steps(node, path):
        if not has_tests(child):
            continue
        if not can_hold(child, world=world):
            yield Dull(place, always=False, whole=False)
        elif always(child, world):
            yield Dull(place, always=True, whole=False)
        else:
            yield from dull_children(child, place, world)


def impossible_place(node: Condition, path: str, world: World) -> str:
    """The innermost part of an “all of” that is to blame by itself, else the place of the node."""
    for place, child in steps(node, path) if "all" in node else ():
        if not can_hold(child, world=world):
            return impossible_place(child, place, world)
    return path


def steps(node: Condition, path: str) -> Iterator[tuple[str, Condition]]:
    """What stands directly inside a group, each with its place."""
    group = next((key for key in GROUPS if key in node), None)
    if group == "not":
        yield below(path, "not"), node["not"]
    elif group:
        yield from ((f"{below(path, group)}[{index}]", child) for index, child in enumerate(node[group]))


def has_tests(node: Condition) -> bool:
    inner = children(node)
    return inner is None or any(has_tests(child) for child in inner)


def every_test(node: Condition, path: str = "") -> Iterator[tuple[str, Condition]]:
    """Every test of a condition with its place."""
    if node and children(node) is None:
        yield path, node
    for place, child in steps(node, path):
        yield from every_test(child, place)


# --- the search: choose a case for one field after the other ---


@dataclass
class Search:
    """Cases per field, what each test says in them, and the choices made so far."""

    formula: Formula
    variables: Sequence[Sequence[Case]]
    chosen: list[Case | None] = field(default_factory=list)
    left: int = STEPS

    def run(self) -> bool:
        """Choose until the formula is true; False when no choice makes it so."""
        self.left -= 1
        if self.left < 0:
            raise Undecided
        value, open_variable = self.evaluate(self.formula)
        if value is not None:
            return value
        for case in self.variables[open_variable]:
            self.chosen[open_variable] = case
            if self.run():
                return True
        self.chosen[open_variable] = None
        return False

    def evaluate(self, node: Formula) -> tuple[bool | None, int]:
        """The value as far as it is known, and the first variable it waits for."""
        kind = node[0]
        if kind == "is":
            case = self.chosen[node[1]]
            return (None, node[1]) if case is None else (case.holds[node[2]], 0)
        if kind == "not":
            value, waits = self.evaluate(node[1])
            return (None if value is None else not value), waits
        decisive, first = kind == "any", None
        for child in node[1]:
            value, waits = self.evaluate(child)
            if value is decisive:
                return decisive, 0
            first = waits if value is None and first is None else first
        return (not decisive, 0) if first is None else (None, first)


def search(conditions: Sequence[Condition], world: World) -> list[str] | None:
    """The chosen cases in words, or None when all of the conditions can't hold together."""
    tests: dict[str, list[Condition]] = defaultdict(list)
    for condition in conditions:
        for _, test in every_test(condition):
            if test not in tests[test["field"]]:
                tests[test["field"]].append(test)
    variables: list[Sequence[Case]] = []
    meaning: dict[str, list[tuple[Condition, Formula]]] = {}
    for name, asked in tests.items():
        own, formulas = cases_of(name, asked, world, first=len(variables))
        variables += own
        meaning[name] = list(zip(asked, formulas, strict=True))
    if len(variables) > MOST_VARIABLES:
        raise Undecided
    found = Search(("all", [formula_of(condition, meaning) for condition in conditions]), variables, [None] * len(variables))
    return [case.words for case in found.chosen if case is not None] if found.run() else None


def formula_of(node: Condition, meaning: Mapping[str, list[tuple[Condition, Formula]]]) -> Formula:
    """The condition with each test replaced by what the cases say of it."""
    if not node:
        return ("all", [])
    if "not" in node:
        return ("not", formula_of(node["not"], meaning))
    for group in ("all", "any"):
        if group in node:
            return (group, [formula_of(child, meaning) for child in node[group]])
    return next(formula for test, formula in meaning[node["field"]] if test == node)
