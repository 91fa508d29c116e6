"""Policy rules and cycles, pure: what they find, and what they never do."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changemgmt.architecture.graph import Rule, build
from changemgmt.architecture.rules import Image
from changemgmt.conditions.rules import check
from changemgmt.preview.cycles import GaveUp, closed_cycles
from changemgmt.preview.policy import Case, Policy, findings
from changemgmt.preview.policy_fields import Names, Side, at, vocabulary
from changemgmt.preview.policy_mistakes import FIELDS, mistakes
from changemgmt.preview.reliance import cycles
from changemgmt.preview.seed import RULES


def component(key="db", **fields):
    plain = {"key": key, "name": key, "type": "database", "layer": "data", "owner": "", "org_unit": None, "criticality": 3, "users": 0}
    return plain | {"status": "live", "environment": "", "attributes": {}, "tags": []} | fields


def side(operation=None, effect=None, counts=None, lines=None, **fields):
    return Side("component", component(**fields), operation, effect, counts or {}, lines=lines or {})


def asks(field, op, value):
    return {"field": field, "op": op, "value": value}


OWNED = Policy("owned", applies_when=asks("criticality", "gte", 4), must=asks("owner", "is_set", True), severity="error", blocks=True)
EVERYTHING = Policy("everything", applies_when=asks("key", "is_set", True))


def found(policy, *cases):
    return [(row["key"], row["severity"], row["blocks"], row["already"]) for row in findings([policy], cases)]


# --- rules ---


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (side(criticality=3), side("update", criticality=4), [("db", "error", True, False)]),
        (None, side("create", criticality=5), [("db", "error", True, False)]),
        (side(criticality=5), side("update", criticality=5, users=7), [("db", "warning", False, True)]),
        (side(criticality=5), side("update", criticality=5, owner="max"), []),
        (side(criticality=5, owner="max"), side("update", criticality=5), [("db", "error", True, False)]),
        (side(criticality=5), side("delete", criticality=5), []),
        (side(criticality=3), side("update", criticality=3), []),
    ],
)
def test_what_a_change_brings_is_an_error_and_what_is_so_today_a_warning(before, after, expected):
    assert found(OWNED, Case("db", before, after)) == expected


def test_what_goes_is_judged_only_by_rules_that_ask_for_the_operation():
    goes = Case("db", side(criticality=5), side("delete", criticality=5))
    keep = Policy("keep", applies_when={"all": [asks("operation", "eq", "delete"), asks("criticality", "gte", 4)]}, severity="error")
    assert found(keep, goes) == [("db", "error", False, False)] and found(EVERYTHING, goes) == []


def test_a_rule_about_the_effect_is_never_already_broken():
    policy = Policy("down", applies_when=asks("effect", "eq", "down"), reached=True, severity="error")
    assert found(policy, Case("db", side(), side(effect="down"), touched=False)) == [("db", "error", False, False)]
    assert found(policy, Case("db", side(), side(effect="touched"), touched=False)) == []


@given(touched=st.booleans(), reached=st.booleans())
def test_what_is_only_reached_is_judged_by_rules_that_look_so_far(touched, reached):
    policy = Policy("all", applies_when=asks("key", "is_set", True), reached=reached)
    assert bool(found(policy, Case("db", None, side("create"), touched=touched))) == (touched or reached)


@given(st.permutations(["a", "b", "c", "d"]), st.permutations([OWNED, EVERYTHING]))
def test_the_order_of_things_and_of_rules_alters_no_finding(keys, policies):
    cases = [Case(key, None, side("create", key=key, criticality=5)) for key in keys]
    rows = findings(policies, cases)
    assert {(row["key"], row["policy"]["name"]) for row in rows} == {(key, policy.name) for key in keys for policy in policies}
    assert len(rows) == 8


def test_a_message_is_the_administrators_or_says_what_does_not_hold():
    (row,) = findings([OWNED], [Case("db", None, side("create", criticality=4))])
    assert row["message"] == "It has to hold that Owner is set: Owner is set (it is not set)."
    (row,) = findings([Policy("x", must=asks("owner", "is_set", True), message="Name one.")], [Case("db", None, side("create"))])
    assert row["message"] == "Name one."
    (row,) = findings([EVERYTHING], [Case("db", None, side("create"))])
    assert row["message"] == "There may be no component of which this holds: Key is set."


@pytest.mark.parametrize(
    ("condition", "fields", "holds"),
    [
        (asks("attributes.backup", "is_set", True), {"attributes": {"backup": {"daily": True}}}, True),
        (asks("attributes.backup", "is_set", True), {"attributes": {"backup": {}}}, False),
        (asks("attributes.backup.every", "lte", 24), {"attributes": {"backup": {"every": 12}}}, True),
        (asks("attributes.backup.every", "lte", 24), {"attributes": {"backup.every": 25}}, False),
        (asks("attributes.backup", "eq", "no"), {"attributes": {"backup": {"daily": True}}}, False),
        (asks("attributes.sites", "eq", "east"), {"attributes": {"sites": ["west", "east"]}}, True),
        (asks("attributes.port", "gt", 80), {"attributes": {"port": "443"}}, False),
        (asks("tags", "contains", "pci"), {"tags": ["gdpr", "pci"]}, True),
        (asks("relations", "gte", 3), {"counts": {"outgoing.serving": 2, "incoming.flow": 1}}, True),
        (asks("incoming.serving", "eq", 0), {"counts": {"outgoing.serving": 2}}, True),
        (asks("org_unit", "within", "company"), {"org_unit": "it", "lines": {"it": ("it", "company")}}, True),
        (asks("org_unit", "within", "claims"), {"org_unit": "it", "lines": {"it": ("it", "company")}}, False),
        (asks("org_unit", "within", "claims"), {"org_unit": None}, False),
    ],
)
def test_fields_of_a_component(condition, fields, holds):
    assert check(condition, custom=vocabulary("component")) == []
    policy = Policy("x", applies_when=condition)
    assert bool(found(policy, Case("db", None, side("create", **fields)))) is holds


def test_a_relation_is_asked_with_its_ends():
    ends = {"source": component("db", layer="technology"), "target": component("pay", layer="business", attributes={"tier": 1})}
    link = Side("relation", {"key": "r", "type": "uses", "attributes": {}}, "create", ends=ends)
    policy = Policy(
        "down", about="relation", applies_when={"all": [asks("source.layer", "eq", "technology"), asks("target.attributes.tier", "lt", 2)]}
    )
    assert [row["key"] for row in findings([policy, OWNED], [Case("r", None, link)])] == ["r"]
    nowhere = Side("relation", {"key": "r", "type": "uses", "attributes": {}}, "create", ends={"source": ends["source"]})
    assert findings([policy], [Case("r", None, nowhere)]) == []


@given(st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from(["a", "b", "a.b"]), inner, max_size=3), max_leaves=6))
def test_a_path_that_stands_nowhere_is_none(value):
    assert at(value, "c.a") is None
    assert at({"x": value}, "x") is value


# --- mistakes ---

RIGHT = {
    "name": "A", "about": "component", "applies_when": {}, "must": asks("owner", "is_set", True), "message": "", "severity": "error",
    "blocks": True, "reached": False, "active": True,
}  # fmt: skip
NAMES = Names(("business", "data"), ("database",), ("uses",))


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ({"name": " "}, "name", "1 to 100"),
        ({"name": 7}, "name", "1 to 100"),
        ({"about": "change"}, "about", "component, relation"),
        ({"severity": "bad"}, "severity", "error, warning"),
        ({"blocks": "yes"}, "blocks", "true or false"),
        ({"message": "x" * 501}, "message", "500"),
        ({"must": {"all": [asks("risk_level", "eq", "low")]}}, "must.all[0].field", "attributes.<name>"),
        ({"must": asks("source.owner", "is_set", True)}, "must.field", "Unknown field"),
        ({"applies_when": {"any": [asks("layer", "eq", "cloud")]}}, "applies_when.any[0].value", "business, data"),
        ({"applies_when": asks("criticality", "gte", "much")}, "applies_when.value", "number"),
        ({"applies_when": asks("tags", "gt", 3)}, "applies_when.op", "can be asked with"),
        ({"applies_when": []}, "applies_when", "object"),
        ({"applies_when": asks("attributes.", "is_set", True)}, "applies_when.field", "Unknown field"),
        ({"about": "relation", "must": asks("source.type", "eq", "server"), "reached": False}, "must.value", "database"),
        ({"about": "relation", "must": asks("type", "eq", "database"), "reached": False}, "must.value", "uses"),
        ({"must": {}}, "must", "Everything meets this"),
        ({"must": None}, "must", "forbid everything"),
        ({"severity": "warning"}, "blocks", "Only an error blocks"),
        ({"about": "relation", "must": asks("type", "eq", "uses"), "reached": True}, "reached", "touches"),
    ],
)
def test_every_mistake_is_named_with_its_place(change, place, words):
    found = mistakes({**RIGHT, **change}, NAMES)
    assert list(found) == [place] and words in found[place][0]


def test_what_is_right_has_no_mistakes():
    assert mistakes(RIGHT, NAMES) == {}
    assert mistakes({**RIGHT, "must": None, "applies_when": asks("effect", "eq", "down"), "reached": True}, NAMES) == {}


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_seeded_rules_have_no_mistakes(name):
    usual = {"about": "component", "must": None, "severity": "warning", "blocks": False, "reached": False, "active": False, "message": ""}
    rule = {"name": name, **usual, **RULES[name]}
    assert rule.keys() == set(FIELDS) and mistakes(rule, Names()) == {}


# --- cycles ---

KEYS = "abcdef"
TIES = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=12)


def flow(ties):
    return lambda key: sorted({two for one, two in ties if one == key})


def reaches(one, two, ties):
    seen, waiting = {one}, [one]
    while waiting:
        waiting += [other for other in flow(ties)(waiting.pop()) if other not in seen and not seen.add(other)]
    return two in seen


@given(old=TIES, new=TIES)
def test_a_circle_is_found_exactly_where_a_new_tie_closes_one(old, new):
    ties = {*old, *new}
    circles = closed_cycles(new, flow(ties))
    for circle in circles:
        around = list(zip(circle, (*circle[1:], circle[0]), strict=True))
        assert set(around) <= ties and set(around) & set(new) and len(set(circle)) == len(circle) and circle[0] == min(circle)
    closing = {(one, two) for one, two in new if reaches(two, one, ties)}
    covered = {tie for circle in circles for tie in zip(circle, (*circle[1:], circle[0]), strict=True)}
    assert closing <= covered


@given(old=TIES, new=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=4))
def test_the_order_of_the_ties_alters_no_circle(old, new):
    ties = {*old, *new}
    answers = {tuple(closed_cycles(order, flow(ties))) for order in permutations(new)}
    assert len(answers) == 1


def test_a_search_that_is_too_long_says_so():
    chain = {(f"{place:03}", f"{place + 1:03}") for place in range(100)}
    with pytest.raises(GaveUp):
        closed_cycles([("x", "000")], flow(chain), most=50)
    assert closed_cycles([("x", "000")], flow(chain), most=200) == []


# --- who relies on whom ---

RULES_OF = {"serving": Rule("forward", 0.9), "dependsOn": Rule("backward", 0.9), "flow": Rule("both", 0.5), "association": Rule()}


def graph_of(layers, *links):
    parts = [(key, layer, "Node", 3, 0, {}) for key, layer in layers.items()]
    return build(1, parts, [(f"{one}-{name}-{two}", name, one, two) for one, name, two in links])


def made(one, name, two):
    image = {"key": f"new {one}-{name}-{two}", "source": one, "target": two, "type": name}
    return Image("relation", image["key"], None, image)


def circles(graph, *steps, layers=("technology",)):
    return [row[3].rpartition(": ")[2].removesuffix(".") for row in cycles(steps, graph, RULES_OF, layers)]


ALL = dict.fromkeys("abc", "technology")


def test_circles_follow_who_relies_on_whom_over_types_of_either_direction():
    graph = graph_of(ALL, ("a", "serving", "b"), ("c", "dependsOn", "b"))  # b relies on a, c on b
    assert circles(graph, made("a", "dependsOn", "c")) == ["a → b → c → a"]
    assert circles(graph, made("c", "serving", "a")) == ["a → b → c → a"]
    assert circles(graph, made("c", "dependsOn", "a")) == [] and circles(graph, made("a", "serving", "c")) == []
    assert circles(graph, made("c", "flow", "a")) == [] and circles(graph, made("c", "association", "a")) == []
    assert circles(graph, made("a", "serving", "a")) == ["a → a"]


def test_only_within_a_layer_that_forbids_them_and_only_new_ones():
    graph = graph_of(ALL | {"b": "data"}, ("a", "serving", "b"), ("b", "serving", "c"))
    assert circles(graph, made("c", "serving", "a")) == []
    moved = Image("component", "b", {"key": "b", "layer": "data"}, {"key": "b", "layer": "technology"})
    assert circles(graph, made("c", "serving", "a"), moved) == ["a → b → c → a"]
    assert circles(graph, made("c", "serving", "a"), moved, layers=()) == []
    round_about = graph_of(ALL, ("a", "serving", "b"), ("b", "serving", "a"))
    assert circles(round_about, made("a", "serving", "b")) == []
    cut = Image("relation", "a-serving-b", {"key": "a-serving-b", "source": "a", "target": "b", "type": "serving"}, None)
    assert circles(round_about, cut) == []
    again = graph_of(ALL, ("a", "serving", "b"))
    assert circles(again, cut, made("b", "serving", "a")) == []
