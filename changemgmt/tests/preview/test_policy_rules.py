"""Policy rules over a live architecture: in previews, on top of others, as guards, and at rest."""

from datetime import timedelta
from itertools import permutations

import pytest

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.models import Component, Layer
from changemgmt.architecture.queries import components, current_revision, relations
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, UnmetGuard
from changemgmt.lifecycle import edit, go_ahead, start, submit
from changemgmt.lifecycle.blockers import all_blockers
from changemgmt.lifecycle.configure_policy import delete_rule, save_rule
from changemgmt.preview.actions import store
from changemgmt.preview.compute import compute
from changemgmt.preview.models import PolicyRule
from changemgmt.preview.policies import as_policy
from changemgmt.preview.policy import Policy
from changemgmt.preview.queries import HIDDEN, state_of
from changemgmt.preview.scan import breaches, component_sides, relation_sides
from changemgmt.preview.stacked import stacked_preview
from changemgmt.tests import estate

from .conftest import NOW

pytestmark = pytest.mark.django_db


def asks(field, op, value):
    return {"field": field, "op": op, "value": value}


ANY = {"applies_when": asks("key", "is_set", True), "must": None}
OWNED = {"applies_when": asks("criticality", "gte", 4), "must": asks("owner", "is_set", True), "severity": "error", "blocks": True}


@pytest.fixture
def rule(cast):
    """`rule(name, …)` makes a policy rule by its verb."""
    return lambda name="Rule", **values: save_rule(None, {"name": name, **values}, actor=cast.ada, now=NOW)


@pytest.fixture
def shop(do):
    """till and clerk serve the shop, which serves the customers; the shelf hangs on the wall by a tie that conducts nothing."""
    parts = {"till": "Node", "clerk": "Node", "shop": "ApplicationComponent", "customers": "BusinessActor", "shelf": "Node", "wall": "Node"}
    links = [("till>shop", "till", "shop"), ("clerk>shop", "clerk", "shop"), ("shop>customers", "shop", "customers")]
    do(
        *(Operation("create", "component", key, data={"name": key, "type": kind, "criticality": 3}) for key, kind in parts.items()),
        *(Operation("create", "relation", key, one, two, "serving") for key, one, two in links),
        Operation("create", "relation", "shelf>wall", "shelf", "wall", "association"),
    )


def write(key, **data):
    return {"operation": "update", "object": "component", "key": key, "data": data}


def tie(source, kind, target):
    return {"operation": "create", "object": "relation", "source": source, "relation_type": kind, "target": target}


def cut(key, object="relation"):
    return {"operation": "delete", "object": object, "key": key}


def policy_of(change):
    """Key, rule, severity and whether it is so already, of what the rules find."""
    rows = [row for row in compute(change, now=NOW).checks if row["rule"] == "policy"]
    return [(row["key"], row["policy"]["name"], row["severity"], row["already"]) for row in rows]


def keys_of(change):
    return [key for key, *_ in policy_of(change)]


def ready(change, state="draft", **fields):
    store(change, compute(change, now=NOW), now=NOW)
    Change.objects.filter(pk=change.pk).update(state=state, **fields)
    return Change.objects.get(pk=change.pk)


# --- in a preview ---


@pytest.mark.parametrize(
    ("items", "touched", "reached"),
    [
        ([write("till", users=4)], ["till"], ["customers", "shop", "till"]),
        ([cut("till>shop")], ["shop", "till"], ["customers", "shop", "till"]),
        ([tie("wall", "association", "till")], ["till", "wall"], ["till", "wall"]),
        ([write("shelf", users=4)], ["shelf"], ["shelf"]),
    ],
)
def test_a_rule_looks_at_what_is_touched_and_where_it_says_so_at_what_is_reached(shop, rule, change_of, items, touched, reached):
    row = rule(**ANY)
    assert keys_of(change_of(*items)) == touched
    PolicyRule.objects.filter(pk=row.pk).update(reached=True)
    assert keys_of(change_of(*items)) == reached


def test_what_is_so_today_is_a_warning_and_what_the_change_brings_an_error(shop, rule, change_of, do):
    rule("Owned", **OWNED)
    do(Operation("update", "component", "clerk", data={"criticality": 5}))
    found = policy_of(change_of(write("till", criticality=4), write("clerk", users=7), write("shop", criticality=5, owner="max")))
    assert found == [("till", "Owned", "error", False), ("clerk", "Owned", "warning", True)]


def test_a_rule_that_is_switched_off_finds_nothing(shop, rule, change_of):
    rule(active=False, **ANY)
    assert policy_of(change_of(write("till", users=1))) == []


def test_relations_are_judged_with_their_ends_as_they_would_be(shop, rule, change_of):
    downward = {"all": [asks("source.layer", "eq", "technology"), asks("target.layer", "eq", "business")]}
    rule("Layers", about="relation", applies_when=downward, must=None, severity="error")
    assert keys_of(change_of(tie("till", "serving", "shop"))) == []
    (row,) = policy_of(change_of(tie("till", "serving", "customers")))
    assert row[1:] == ("Layers", "error", False)
    # The relation stays; it is the component that moves under it.
    assert policy_of(change_of(write("shop", layer="business"))) == [
        ("clerk>shop", "Layers", "error", False),
        ("till>shop", "Layers", "error", False),
    ]
    made = {"operation": "create", "object": "component", "key": "pos", "data": {"type": "Node"}}
    assert len(policy_of(change_of(made, tie("pos", "serving", "customers")))) == 1


def test_what_is_phased_out_gets_no_new_relations(shop, rule, change_of, do):
    rule("Old", about="relation", applies_when={"all": [asks("operation", "eq", "create"), asks("target.status", "eq", "deprecated")]})
    do(Operation("update", "component", "shop", data={"status": "deprecated"}))
    assert len(keys_of(change_of(tie("shelf", "serving", "shop")))) == 1
    assert keys_of(change_of(write("till", users=3))) == keys_of(change_of(cut("till>shop"))) == []


def test_relations_are_counted_as_they_would_be(shop, rule, change_of):
    rule("Two", applies_when=asks("type", "eq", "ApplicationComponent"), must=asks("incoming.serving", "gte", 2))
    assert keys_of(change_of(tie("shelf", "serving", "shop"))) == []
    assert policy_of(change_of(cut("till>shop"))) == [("shop", "Two", "warning", False)]
    assert policy_of(change_of(cut("till>shop"), tie("shelf", "serving", "shop"))) == []
    assert policy_of(change_of(cut("till", "component"), cascade=True)) == [("shop", "Two", "warning", False)]


def test_critical_components_are_not_deleted_and_do_not_go_down(shop, rule, change_of, do):
    rule("Kept", applies_when={"all": [asks("operation", "eq", "delete"), asks("criticality", "gte", 4)]}, severity="error")
    rule("Up", applies_when={"all": [asks("effect", "eq", "down"), asks("criticality", "gte", 4)]}, reached=True, severity="error")
    do(
        Operation("update", "component", "shop", data={"criticality": 5, "needs": {"serving": 2}}),
        Operation("update", "component", "till", data={"criticality": 4}),
    )
    assert policy_of(change_of(cut("till", "component"), cascade=True)) == [("shop", "Up", "error", False), ("till", "Kept", "error", False)]
    assert policy_of(change_of(write("till", users=9))) == []


def test_the_order_of_the_items_alters_no_finding(shop, rule, change_of):
    rule("Owned", **OWNED)
    rule("All", reached=True, **ANY)
    rule("Ties", about="relation", applies_when=asks("type", "is_set", True))
    Layer.objects.update(forbids_cycles=True)
    items = [write("till", criticality=5), tie("shelf", "serving", "till"), tie("till", "serving", "shelf"), cut("clerk>shop")]
    answers = [compute(change_of(*order), now=NOW).checks for order in permutations(items)]
    assert len(answers[0]) > 8 and all(answer == answers[0] for answer in answers)


def test_a_change_of_rules_makes_previews_stale_unless_the_rule_is_off(shop, rule, change_of, cast):
    change = ready(change_of(write("till", users=2)))
    assert state_of(change) == "ready"
    row = rule(active=False, **ANY)
    assert state_of(change) == "ready"
    save_rule(row.pk, {"active": True}, actor=cast.ada, now=NOW)
    assert state_of(change) == "stale"
    change = ready(change)
    save_rule(row.pk, {"active": True}, actor=cast.ada, now=NOW)  # nothing moved
    assert state_of(change) == "ready"
    delete_rule(row.pk, actor=cast.ada, now=NOW)
    assert state_of(change) == "stale"


def test_circles_are_found_in_layers_that_forbid_them(shop, change_of):
    change = change_of(tie("shelf", "serving", "till"), tie("till", "serving", "wall"), tie("wall", "serving", "shelf"))
    assert "cycle" not in {row["rule"] for row in compute(change, now=NOW).checks}
    Layer.objects.filter(name="technology").update(forbids_cycles=True)
    (row,) = [row for row in compute(change, now=NOW).checks if row["rule"] == "cycle"]
    assert (row["severity"], row["key"]) == ("error", "shelf") and "shelf → till → wall → shelf" in row["message"]


def test_a_circle_that_the_change_also_opens_is_none(shop, change_of, do):
    Layer.objects.filter(name="technology").update(forbids_cycles=True)
    do(Operation("create", "relation", "shelf>till", "shelf", "till", "serving"))
    assert "cycle" in {row["rule"] for row in compute(change_of(tie("till", "serving", "shelf")), now=NOW).checks}
    assert "cycle" not in {row["rule"] for row in compute(change_of(cut("shelf>till"), tie("till", "serving", "shelf")), now=NOW).checks}


@pytest.mark.parametrize("more", [0, 40])
def test_the_cost_follows_the_change_and_not_the_architecture(shop, rule, change_of, do, more, django_assert_max_num_queries):
    do(*(Operation("create", "component", f"far{place}", data={"type": "Node"}) for place in range(more)))
    rule("Two", applies_when=asks("relations", "gte", 1))
    rule("Ties", about="relation", applies_when=asks("type", "is_set", True))
    Layer.objects.update(forbids_cycles=True)
    change = change_of(write("till", users=2))
    compute(change, now=NOW)
    with django_assert_max_num_queries(40):
        compute(change, now=NOW)


# --- on top of what is approved ---


def stacked(change, viewer):
    return [row for row in stacked_preview(change, viewer)["checks"] if row["rule"] == "policy"]


def test_stacked_on_nothing_or_on_what_is_unrelated_the_findings_are_those_it_brings(shop, rule, change_of, cast, do):
    rule("Owned", **OWNED)
    rule("All", reached=True, applies_when=asks("effect", "is_set", True))
    do(Operation("update", "component", "clerk", data={"criticality": 5}))
    change = ready(change_of(write("till", criticality=4), write("clerk", users=2)))
    alone = {key for key, *_, already in policy_of(change) if not already}
    assert alone == {"till", "shop", "customers"}
    assert {row["key"] for row in stacked(change, cast.vera)} == alone and all(row["alone"] for row in stacked(change, cast.vera))
    ready(change_of(write("shop", users=9)), "approved")
    assert {row["key"] for row in stacked(change, cast.vera)} == alone


def test_what_is_broken_only_together_is_found_and_said_so(shop, rule, change_of, cast):
    rule("Two", applies_when=asks("type", "eq", "ApplicationComponent"), must=asks("incoming.serving", "gte", 1), severity="error", blocks=True)
    mine, other = ready(change_of(cut("till>shop"))), change_of(cut("clerk>shop"))
    assert stacked(mine, cast.vera) == []
    ready(other, "approved")
    (row,) = stacked(mine, cast.vera)
    assert (row["key"], row["policy"]["name"], row["alone"]) == ("shop", "Two", False)


def test_what_another_brings_is_not_this_ones(shop, rule, change_of, cast):
    rule("Owned", **OWNED)
    mine = ready(change_of(write("till", users=2)))
    ready(change_of(write("till", criticality=5)), "approved")
    assert stacked(mine, cast.vera) == []


def test_of_a_change_one_may_not_see_neither_rule_nor_new_things_are_told(shop, rule, change_of, cast):
    rule("Few", applies_when={"all": [asks("incoming.serving", "gte", 4)]}, severity="error")
    rule("Ties", about="relation", applies_when={"all": [asks("source.key", "eq", "secret"), asks("target.users", "gte", 5)]})
    made = {"operation": "create", "object": "component", "key": "secret", "data": {"type": "Node"}}
    ready(change_of(made, tie("secret", "serving", "shop"), confidential=True), "approved")
    mine = ready(change_of(tie("shelf", "serving", "shop"), write("shop", users=5)))
    found = stacked_preview(mine, cast.vera)
    assert "secret" not in str(found) and HIDDEN in str(found)
    assert {(row["rule"], row["key"]) for row in found["checks"] if not row["alone"]} == {("with_others", None)}


# --- what blocks ---


@pytest.fixture
def estate_of(seeded, cast, now):
    estate.build(now)
    return Component.objects.get(key="shop/db")


def unmet(act, *arguments, **options):
    with pytest.raises(UnmetGuard) as refused:
        act(*arguments, **options)
    return {guard.guard: guard for guard in refused.value.guards}


BACKED_UP = {"applies_when": asks("attributes.version", "is_set", True), "must": asks("attributes.backup", "is_set", True), "severity": "error"}


def test_an_error_of_a_rule_that_blocks_keeps_a_change_from_being_submitted(cast, estate_of, rule, now):
    row = rule("Backed up", message="Say how.", **BACKED_UP)
    change = estate.draft(cast, now)
    assert submit.may_submit(change, actor=cast.rita).allowed  # an error alone is shown to who decides
    save_rule(row.pk, {"blocks": True}, actor=cast.ada, now=now)
    guard = unmet(submit.submit, change.number, actor=cast.rita, now=now)["policy_rules"]
    assert guard.message == "shop/db would break the rule “Backed up”: Say how." and guard.who_can_clear == ("rita",)
    assert any("Backed up" in blocker["what"] for blocker in all_blockers(change, actor=cast.vera, now=now))
    item = change.items.get(key="shop/db")
    edit.change_item(change.number, item.pk, {"data": {"attributes": {"version": "16", "backup": "daily"}}}, actor=cast.rita, now=now, seen=None)
    assert submit.submit(change.number, actor=cast.rita, now=now).state == "in_review"


def test_what_is_so_already_blocks_nothing(cast, estate_of, rule, now):
    apply_operations([Operation("update", "component", "shop/db", data={"attributes": {"version": "15"}})], actor="ada", now=now)
    rule("Backed up", blocks=True, **BACKED_UP)
    assert submit.may_submit(estate.draft(cast, now), actor=cast.rita).allowed


def test_a_rule_made_meanwhile_keeps_it_from_starting_until_it_is_switched_off(cast, estate_of, rule, now):
    begins = now + timedelta(hours=1)
    change = estate.scheduled(cast, now, begins=begins, ends=begins + timedelta(hours=2))
    row = rule("Backed up", blocks=True, **BACKED_UP)
    assert unmet(start.start, change.number, actor=cast.ian, now=begins, seen=change.etag).keys() == {"policy_rules"}
    assert start.gate_of(change, now=begins, viewer=cast.vera)["allowed"] is False
    save_rule(row.pk, {"active": False}, actor=cast.ada, now=begins)
    assert start.start(change.number, actor=cast.ian, now=begins, seen=estate.fresh(change).etag).state == "implementing"


def test_what_is_reached_blocks_too(cast, estate_of, rule, now):
    rule(
        "Quiet", applies_when={"all": [asks("effect", "is_set", True), asks("layer", "eq", "business")]}, reached=True, severity="error", blocks=True
    )
    change = estate.draft(cast, now)
    store(change, compute(change, now=now), now=now)
    assert "shop/checkout" in unmet(submit.submit, change.number, actor=cast.rita, now=now)["policy_rules"].message


def test_a_go_ahead_stands_in_for_a_rule(cast, estate_of, rule, now):
    change = estate.in_review(cast, now, type="emergency")
    rule("Backed up", blocks=True, **BACKED_UP)
    go_ahead.emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="It burns.", seen="*")
    assert start.start(change.number, actor=cast.ian, now=now, seen="*").state == "implementing"


# --- the verb ---


def test_only_administrators_write_rules_and_each_write_is_on_the_record(cast, types):
    for who in (cast.rita, cast.max, cast.aud, cast.vera):
        with pytest.raises(NotPermitted):
            save_rule(None, {"name": "A", **ANY}, actor=who, now=NOW)
    before = current_revision()
    row = save_rule(None, {"name": "A", **ANY}, actor=cast.ada, now=NOW)
    save_rule(row.pk, {"message": "No."}, actor=cast.ada, now=NOW)
    with pytest.raises(NotPermitted):
        delete_rule(row.pk, actor=cast.max, now=NOW)
    delete_rule(row.pk, actor=cast.otto, now=NOW)
    events = Event.objects.filter(object="policyrule:A").order_by("pk")
    assert [event.action for event in events] == ["policyrule.created", "policyrule.updated", "policyrule.deleted"]
    assert current_revision() == before + 3 and not PolicyRule.objects.exists()
    assert [version.history_user for version in PolicyRule.history.order_by("history_id")] == [cast.ada, cast.ada, cast.otto]
    with pytest.raises(NotFound):
        delete_rule(row.pk, actor=cast.ada, now=NOW)


def test_two_rules_of_one_name_are_refused_by_the_field(cast, rule, types):
    rule("A", **ANY)
    with pytest.raises(Invalid) as refused:
        rule("A", **ANY)
    assert refused.value.errors.keys() == {"name"}


# --- at rest ---


def test_what_breaks_a_rule_now_is_counted_whole_and_shown_in_pages(shop, rule):
    policy = as_policy(rule("Nodes", applies_when=asks("type", "eq", "Node"), must=asks("relations", "gte", 2), active=False))
    first, second = breaches(policy, page=1, size=3), breaches(policy, page=2, size=3)
    assert [row["key"] for row in (*first.rows, *second.rows)] == ["clerk", "shelf", "till", "wall"]
    assert (first.count, first.looked_at, first.pages) == (4, 6, 2) and breaches(policy, page=9).rows == ()


@pytest.mark.parametrize("about", ["component", "relation"])
@pytest.mark.parametrize(
    "condition",
    [
        {"field": "type", "op": "eq", "value": "Node"},
        {"field": "type", "op": "in", "value": ["Node", "serving"]},
        {"all": [{"field": "layer", "op": "eq", "value": "technology"}, {"field": "owner", "op": "ne", "value": "max"}]},
        {"all": [{"field": "target.layer", "op": "eq", "value": "business"}, {"field": "type", "op": "eq", "value": "serving"}]},
        {"all": [{"field": "type", "op": "eq", "value": "Node"}, {"field": "type", "op": "eq", "value": "serving"}]},
        {"any": [{"field": "layer", "op": "eq", "value": "business"}, {"field": "source.type", "op": "eq", "value": "Node"}]},
        {"not": {"field": "status", "op": "eq", "value": "planned"}},
        {"field": "source.owner", "op": "is_set", "value": False},
        {"field": "attributes.type", "op": "eq", "value": "Node"},
        {},
    ],
)
def test_what_the_database_narrows_leaves_nothing_out(shop, about, condition):
    policy = Policy("x", about=about, applies_when=condition)
    every = components() if about == "component" else relations()
    sides = component_sides(every, policy) if about == "component" else relation_sides(every)
    assert {row["key"] for row in breaches(policy).rows} == {side.image["key"] for side in sides if policy.broken_by(side)}


def test_relations_at_rest_and_rules_about_the_change(shop, rule):
    links = breaches(as_policy(rule("Links", about="relation", applies_when=asks("target.layer", "eq", "business"))))
    assert [row["key"] for row in links.rows] == ["shop>customers"] and links.looked_at == 4
    assert breaches(as_policy(rule("New", applies_when=asks("operation", "eq", "create")))).about_the_change
