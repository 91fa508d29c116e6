"""What is said of conditions without a change agrees with what they say of every change."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.conditions.facts import FOUR_LEVELS, Facts
from changemgmt.conditions.proof import World, always, can_hold, dull_parts, every_test, example, implies
from changemgmt.conditions.rules import check, holds

from .test_rules import conditions, facts, test_of

MODEST = settings(max_examples=200, deadline=None)
CUSTOM = {"fast": "boolean", "size": "number", "day": "date", "word": "text", "odd": ""}
UNITS = {"company": ("company",), "payments": ("payments", "company"), "claims": ("claims", "company")}
WORLD = World(CUSTOM, UNITS)

# --- a small world in which every change can be written down ---

USERS = range(7)
PATTERNS = ("a", "b", "ab")


def answers(text):
    return tuple((text == one, one in text, text.startswith(one)) for one in PATTERNS)


# One text for each way the patterns can answer.
CATEGORIES = (None, *{answers(text): text for size in range(1, 6) for text in map("".join, product("abx", repeat=size))}.values())
UNIT_CHOICES = (None, *UNITS)
TAGS = ((), ("p",), ("q",), ("p", "q"), ("z",), ("p", "z"), ("q", "z"), ("p", "q", "z"))
SMALL = st.one_of(
    st.builds(test_of, st.just("risk_level"), st.sampled_from(("eq", "ne", "gt", "gte", "lt", "lte")), st.sampled_from(FOUR_LEVELS)),
    st.builds(test_of, st.just("risk_level"), st.sampled_from(("in", "not_in")), st.lists(st.sampled_from(FOUR_LEVELS), min_size=1, max_size=4)),
    st.builds(test_of, st.just("users"), st.sampled_from(("eq", "ne", "gt", "gte", "lt", "lte")), st.sampled_from((0, 1, 2.5, 4, "5.0"))),
    st.builds(test_of, st.just("category"), st.sampled_from(("eq", "ne", "contains", "starts_with")), st.sampled_from(PATTERNS)),
    st.builds(test_of, st.just("category"), st.just("is_set"), st.sampled_from((True, False, None))),
    st.builds(test_of, st.just("org_unit"), st.sampled_from(("eq", "ne", "within")), st.sampled_from(tuple(UNITS))),
    st.builds(test_of, st.just("tags"), st.sampled_from(("eq", "ne", "contains")), st.sampled_from(("p", "q"))),
    st.builds(test_of, st.just("tags"), st.sampled_from(("in", "not_in")), st.sampled_from((["p"], ["q"], ["p", "q"]))),
    st.builds(test_of, st.just("tags"), st.just("is_set"), st.booleans()),
)


def nested(leaves):
    return st.recursive(
        st.one_of(leaves, st.just({})),
        lambda inner: st.one_of(
            st.builds(lambda parts: {"all": parts}, st.lists(inner, max_size=3)),
            st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=6,
    )


def every_change(condition):
    """Every change as far as the fields of the condition go, the others as they are."""
    asked = {test["field"] for _, test in every_test(condition)}
    pools = {
        "risk_level": FOUR_LEVELS,
        "users": USERS,
        "category": CATEGORIES,
        "org_unit": UNIT_CHOICES,
        "tags": TAGS,
    }
    names = sorted(asked)
    for values in product(*(pools[name] for name in names)):
        given = dict(zip(names, values, strict=True))
        if given.get("org_unit"):
            given["org_unit_chain"] = UNITS[given["org_unit"]]
        yield Facts(**{"risk_level": "low", **given})


@settings(max_examples=400, deadline=None)
@given(nested(SMALL))
def test_possible_always_and_never_are_what_trying_every_change_says(condition):
    held = {holds(condition, one) for one in every_change(condition)}
    # Units other than these may be added, so only what the pool settles is compared both ways.
    if "org_unit" not in {test["field"] for _, test in every_test(condition)}:
        assert can_hold(condition, world=WORLD) is (True in held)
        assert always(condition, WORLD) is (False not in held)
    assert can_hold(condition, world=WORLD) or True not in held
    assert not always(condition, WORLD) or False not in held


@MODEST
@given(nested(SMALL), nested(SMALL))
def test_one_condition_implies_another_only_where_every_change_says_so(one, other):
    if implies(one, other, WORLD):
        both = {"all": [one, other]}
        assert all(holds(other, change) for change in every_change(both) if holds(one, change))


@MODEST
@given(conditions, facts)
def test_nothing_that_happens_is_called_impossible(condition, one):
    """Over all fields and operators: facts of which a condition holds prove that it can, unless they are not of this world."""
    if check(condition) or None in (one.risk_level, one.risk_score, one.priority, one.impact, one.urgency) or not one.type:
        return
    if not (0 <= one.max_criticality <= 5 and 0 <= float(one.risk_score) <= 1 and one.users >= 0 and one.affected_count >= 0):
        return
    if one.cost_estimate is not None and one.cost_estimate < 0:
        return
    world = World({}, {unit: one.org_unit_chain[one.org_unit_chain.index(unit) :] for unit in one.org_unit_chain})
    if holds(condition, one):
        assert can_hold(condition, world=world)
        assert example(condition, world=world) is not None
    else:
        assert not always(condition, world)


@MODEST
@given(nested(SMALL))
def test_dull_parts_name_a_place_inside_the_condition(condition):
    places = {path for path, _ in all_nodes(condition)}
    for part in dull_parts(condition, WORLD):
        assert part.path in places
        node = dict(all_nodes(condition))[part.path]
        assert all(holds(node, one) is part.always for one in every_change(node))


def all_nodes(node, path=""):
    yield path, node
    for group in ("all", "any"):
        for index, child in enumerate(node.get(group, ())):
            yield from all_nodes(child, f"{path}.{group}[{index}]".lstrip("."))
    if "not" in node:
        yield from all_nodes(node["not"], f"{path}.not".lstrip("."))


@pytest.mark.parametrize(
    ("condition", "possible", "sure"),
    [
        ({}, True, True),
        ({"all": []}, True, True),
        (test_of("type", "is_set"), True, True),
        (test_of("risk_score", "gt", 1), False, False),
        (test_of("risk_score", "lte", 1), True, True),
        (test_of("max_criticality", "gt", 5), False, False),
        ({"all": [test_of("risk_score", "gt", 0.5), test_of("risk_score", "lt", 0.51)]}, True, False),
        ({"all": [test_of("users", "gt", 2), test_of("users", "lt", 3)]}, False, False),
        ({"all": [test_of("cost_estimate", "gt", 2), test_of("cost_estimate", "lt", 3)]}, True, False),
        ({"any": [test_of("cost_estimate", "gt", 2), test_of("cost_estimate", "lte", 2)]}, True, False),
        ({"any": [test_of("cost_estimate", "gt", 2), {"not": test_of("cost_estimate", "gt", 2)}]}, True, True),
        ({"all": [test_of("category", "starts_with", "ab"), {"not": test_of("category", "contains", "b")}]}, False, False),
        ({"all": [test_of("category", "starts_with", "ab"), test_of("category", "ne", "ab")]}, True, False),
        ({"all": [test_of("category", "starts_with", "a"), test_of("category", "starts_with", "b")]}, False, False),
        ({"all": [test_of("layers", "eq", "data"), test_of("layers", "eq", "business")]}, True, False),
        ({"all": [test_of("layers", "eq", "data"), test_of("layers", "is_set", False)]}, False, False),
        ({"any": [test_of("operations", "in", ["create", "update", "delete"]), test_of("operations", "is_set", False)]}, True, True),
        ({"all": [test_of("components", "starts_with", "a/b"), {"not": test_of("components", "starts_with", "a/")}]}, False, False),
        ({"all": [test_of("org_unit", "within", "payments"), {"not": test_of("org_unit", "within", "company")}]}, False, False),
        ({"all": [test_of("org_unit", "within", "payments"), test_of("org_unit", "within", "claims")]}, False, False),
        ({"all": [test_of("org_unit", "within", "company"), test_of("org_unit", "not_in", list(UNITS))]}, True, False),
        ({"all": [test_of("custom.fast", "eq", True), test_of("custom.fast", "eq", False)]}, False, False),
        ({"any": [test_of("custom.fast", "eq", True), test_of("custom.fast", "eq", False)]}, True, False),
        ({"all": [test_of("custom.size", "gt", 3), test_of("custom.size", "lte", 3)]}, False, False),
        ({"all": [test_of("custom.day", "gt", "2026-01-01"), test_of("custom.day", "lt", "2026-01-02")]}, False, False),
        ({"all": [test_of("custom.day", "gt", "2026-01-01"), test_of("custom.day", "lt", "2026-01-03")]}, True, False),
        ({"all": [test_of("custom.odd", "gt", 3), test_of("custom.odd", "lt", 2)]}, True, False),  # free: nothing is claimed
    ],
)
def test_what_can_hold_and_what_always_does(condition, possible, sure):
    assert check(condition, custom=CUSTOM) == []
    assert can_hold(condition, world=WORLD) is possible
    assert always(condition, WORLD) is sure


def test_an_example_is_told_in_words():
    assert example(test_of("risk_level", "gt", "high"), world=WORLD) == "Risk level very_high"
    assert example(test_of("tags", "eq", "pci"), world=WORLD) == "Tags with pci"
    assert example({}, world=WORLD) == "any change"
    assert example(test_of("users", "lt", 0), world=WORLD) is None


def test_large_conditions_are_answered_quickly_or_left_alone():
    # Ten into nine: none of the ten fits, but finding that out takes too long, and then nothing is claimed.
    sits = [[test_of("custom.odd", "eq", f"{one} at {place}") for place in range(9)] for one in range(10)]
    everybody = [{"any": places} for places in sits]
    nobody_twice = [{"not": {"all": [sits[a][place], sits[b][place]]}} for place in range(9) for a in range(10) for b in range(a)]
    assert can_hold({"all": everybody + nobody_twice}, world=WORLD)
    assert example({"all": everybody + nobody_twice}, world=WORLD) is None
    big = test_of("tags", "in", [f"t{number}" for number in range(400)])
    assert not can_hold({"all": [big, {"not": big}]}, world=WORLD)
    free = [test_of("custom.odd", "eq", str(number)) for number in range(199)]
    assert can_hold({"all": free}, {"all": [test_of("category", "contains", str(number)) for number in range(199)]}, world=WORLD)
