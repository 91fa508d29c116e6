"""The condition language."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.conditions.rules import FIELDS, Facts, check, describe, explain, holds, uses

FACTS = Facts(
    type="normal", category="database", priority="high", risk_level="high", risk_score=0.6, impact="medium", urgency="normal", affected_count=7, max_criticality=4,
    users=1200, layers=("application", "business"), components=("payments/orders-api",), component_types=("app",), environments=("production",), services=("shop",),
    org_unit="payments", org_unit_chain=("payments", "company"), requester_roles=("requester",), cost_estimate=Decimal("1200.50"), tags=("pci-zone",),
    compliance_scope=("sox",), template=None, operations=("update", "delete"), irreversible_steps=0, custom={"fast": True, "region": "eu", "size": 3},
)  # fmt: skip
MODEST = settings(max_examples=150, deadline=None)


def test_of(field, op, value=None):
    return {"field": field, "op": op, "value": value}


test_of.__test__ = False


@pytest.mark.parametrize(
    ("field", "op", "value", "wanted"),
    [
        ("type", "eq", "normal", True),
        ("type", "ne", "normal", False),
        ("type", "in", ["major", "normal"], True),
        ("type", "not_in", ["major"], True),
        ("risk_level", "gte", "high", True),
        ("risk_level", "gt", "high", False),
        ("risk_level", "lt", "very_high", True),
        ("priority", "gt", "medium", True),
        ("priority", "lt", "critical", True),
        ("urgency", "gt", "low", True),
        ("risk_score", "gte", 0.6, True),
        ("affected_count", "gt", 6, True),
        ("cost_estimate", "gt", 1200, True),
        ("cost_estimate", "eq", "1200.50", True),
        ("layers", "eq", "business", True),
        ("layers", "eq", "data", False),
        ("layers", "ne", "data", True),
        ("layers", "ne", "business", False),
        ("layers", "in", ["data", "business"], True),
        ("layers", "not_in", ["data", "business"], False),
        ("components", "starts_with", "payments/", True),
        ("components", "contains", "payments/orders-api", True),
        ("components", "contains", "orders", False),
        ("category", "contains", "base", True),
        ("tags", "contains", "pci-zone", True),
        ("operations", "eq", "delete", True),
        ("org_unit", "within", "company", True),
        ("org_unit", "within", "payments", True),
        ("org_unit", "within", "sales", False),
        ("org_unit", "eq", "company", False),
        ("template", "is_set", True, False),
        ("template", "is_set", False, True),
        ("template", "eq", "x", False),
        ("template", "ne", "x", True),
        ("category", "is_set", None, True),
        ("custom.fast", "eq", True, True),
        ("custom.region", "in", ["us", "eu"], True),
        ("custom.size", "gte", 3, True),
        ("custom.gone", "eq", "x", False),
        ("irreversible_steps", "is_set", True, True),
        ("irreversible_steps", "gt", 0, False),
    ],
)
def test_each_operator_means_what_it_says(field, op, value, wanted):
    assert check(test_of(field, op, value), custom={"fast": "boolean", "region": "text", "size": "number", "gone": "text"}) == []
    assert holds(test_of(field, op, value), FACTS) is wanted


def test_everything_all_any_and_not():
    yes, no = test_of("type", "eq", "normal"), test_of("type", "eq", "major")
    assert holds({}, FACTS) and holds(None, FACTS) and holds({"all": []}, FACTS)
    assert holds({"all": [yes, {}]}, FACTS) and not holds({"all": [yes, no]}, FACTS)
    assert holds({"any": [no, yes]}, FACTS) and not holds({"any": [no]}, FACTS)
    assert holds({"not": no}, FACTS) and not holds({"not": {"any": [no, yes]}}, FACTS)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ([], ""),
        ("x", ""),
        (None, ""),
        ({"all": {}}, "all"),
        ({"any": []}, "any"),
        ({"not": []}, "not"),
        ({"all": [], "any": [{}]}, "any"),
        ({"all": [{"field": "risk", "op": "eq", "value": 1}]}, "all[0].field"),
        ({"any": [{}, {"not": test_of("type", "gt", "normal")}]}, "any[1].not.op"),
        (test_of("type", "eq", "huge"), "value"),
        (test_of("type", "in", "normal"), "value"),
        (test_of("type", "in", []), "value"),
        (test_of("type", "in", ["normal", 3]), "value"),
        (test_of("risk_level", "gte", 3), "value"),
        (test_of("users", "gt", "many"), "value"),
        (test_of("users", "gt", True), "value"),
        (test_of("users", "gt", None), "value"),
        (test_of("users", "gt", float("nan")), "value"),
        (test_of("users", "gt", "9" * 400), "value"),
        (test_of("users", "contains", "1"), "op"),
        (test_of("layers", "gt", "a"), "op"),
        (test_of("layers", "eq", ""), "value"),
        (test_of("tags", "eq", "a" * 301), "value"),
        (test_of("type", "is_set", "yes"), "value"),
        (test_of("org_unit", "within", ["a"]), "value"),
        (test_of("layers", ["eq"], "a"), "op"),
        (test_of(["layers"], "eq", "a"), "field"),
        (test_of("custom.secret", "eq", 1), "field"),
        ({"field": "type", "op": "eq", "value": "normal", "extra": 1}, "extra"),
        ({"op": "eq", "value": 1}, "field"),
    ],
)
def test_a_mistake_is_refused_with_its_place(wrong, path):
    found = check(wrong)
    assert [finding.path for finding in found] == [path] and found[0].message


def test_depth_and_size_are_limited():
    deep = test_of("type", "eq", "normal")
    for _ in range(2000):
        deep = {"not": deep}
    assert "deep" in check(deep)[0].message
    assert check({"all": [test_of("type", "eq", "normal")] * 201})
    assert check({"all": [{"all": [test_of("type", "eq", "normal")] * 150}] * 2})
    assert len(check({"all": [3] * 200})) == 50


@pytest.mark.parametrize(
    ("kind", "value", "right"),
    [
        ("number", 3, True),
        ("number", "x", False),
        ("boolean", True, True),
        ("boolean", 1, False),
        ("date", "2026-11-22", True),
        ("date", "soon", False),
    ],
)
def test_custom_fields_are_checked_by_their_kind(kind, value, right):
    assert (check(test_of("custom.x", "eq", value), custom={"x": kind}) == []) is right


def test_explaining_says_row_by_row_what_held():
    condition = {
        "all": [test_of("risk_level", "gte", "very_high"), {"any": [test_of("layers", "eq", "business"), {"not": test_of("users", "gt", 5)}]}]
    }
    found = explain(condition, FACTS)
    assert [(row.path, row.holds) for row in found] == [
        ("", False), ("all[0]", False), ("all[1]", True), ("all[1].any[0]", True), ("all[1].any[1]", False), ("all[1].any[1].not", True),
    ]  # fmt: skip
    assert found[1].text == "Risk level is at least very_high (it is high)"
    assert describe(condition) == "Risk level is at least very_high and (Layers is business or not (Users reached is more than 5))"
    assert describe({}) == "everything" and uses(condition) == {"risk_level", "layers", "users"}


def test_every_published_field_is_there():
    published = (
        "type, category, priority, risk_level, risk_score, impact, urgency, affected_count, max_criticality, users, layers, components, component_types, "
        "environments, services, org_unit, requester_roles, cost_estimate, tags, compliance_scope, template, operations"
    )
    assert set(published.split(", ")) <= set(FIELDS)
    assert all(hasattr(FACTS, name) for name in FIELDS)


tests = st.one_of(
    st.builds(test_of, st.just("type"), st.sampled_from(["eq", "ne"]), st.sampled_from(["normal", "major"])),
    st.builds(
        test_of, st.just("risk_level"), st.sampled_from(["gt", "gte", "lt", "lte", "eq"]), st.sampled_from(["low", "medium", "high", "very_high"])
    ),
    st.builds(test_of, st.just("layers"), st.sampled_from(["in", "not_in"]), st.lists(st.sampled_from(["business", "data"]), min_size=1, max_size=2)),
    st.builds(test_of, st.just("users"), st.sampled_from(["gt", "lte"]), st.integers(0, 3000)),
    st.just({}),
)
conditions = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.builds(lambda found: {"all": found}, st.lists(inner, max_size=3)),
        st.builds(lambda found: {"any": found}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"not": one}, inner),
    ),
    max_leaves=8,
)
facts = st.builds(
    Facts, type=st.sampled_from(["normal", "major"]), risk_level=st.sampled_from(["low", "medium", "high", "very_high", None]),
    layers=st.lists(st.sampled_from(["business", "data"]), unique=True).map(tuple), users=st.integers(0, 3000),
)  # fmt: skip


@MODEST
@given(conditions, facts)
def test_logic_holds_and_explaining_agrees(condition, one):
    if check(condition):
        return
    held = holds(condition, one)
    assert holds({"not": condition}, one) is not held
    assert holds({"not": {"all": [condition, condition]}}, one) is holds({"any": [{"not": condition}]}, one)
    assert explain(condition, one)[0].holds is held
    assert holds(json.loads(json.dumps(condition)), one) is held
    assert describe(condition)


junk = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["type", "eq", "field", "op", "users", "is_set"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["all", "any", "not", "field", "op", "value", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@MODEST
@given(junk, facts)
def test_anything_is_either_refused_or_evaluated_and_never_breaks(data, one):
    if not check(data):
        assert holds(data, one) in (True, False)
        assert explain(data, one) and describe(data)
