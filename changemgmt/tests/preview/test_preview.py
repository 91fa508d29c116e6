"""The preview of a change over ArchiSurance: its reach, its checks, its drift; applying it, and taking it back."""

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changemgmt.architecture.exports import as_json
from changemgmt.architecture.models import Component, Relation
from changemgmt.architecture.queries import current_revision, images
from changemgmt.architecture.rules import Operation
from changemgmt.architecture.trust import said_now
from changemgmt.architecture.validation import check_items
from changemgmt.changes.models import Item
from changemgmt.core.errors import NotPossible
from changemgmt.core.time import rfc3339
from changemgmt.preview.actions import apply_items, revert_items, store
from changemgmt.preview.compute import compute
from changemgmt.preview.queries import HIDDEN, diff_of, drift_of, impact_of, later_changes, preview_of, state_of

from .conftest import NOW

pytestmark = pytest.mark.django_db


def update(key, **data):
    return {"operation": "update", "object": "component", "key": key, "data": data}


def delete(key, object="component"):
    return {"operation": "delete", "object": object, "key": key}


def everything():
    return "".join(as_json())


def applied_now(computed):
    """The images of a preview as applying leaves them: whoever makes a relation says by it, at this moment, that it is so."""
    return said_now(computed.images, rfc3339(NOW))


def keep(change):
    return store(change, compute(change, now=NOW), now=NOW)


def apply(change, **more):
    with transaction.atomic():
        return apply_items(change, change.items.all(), actor="ian", now=NOW, **more)


def revert(change, **more):
    with transaction.atomic():
        return revert_items(change, actor="ian", now=NOW, **more)


@pytest.fixture
def shop(do):
    """till -serving-> shop -serving-> customers; clerk -serving-> shop; shelf alone."""
    parts = {"till": "Node", "clerk": "Node", "shop": "ApplicationComponent", "customers": "BusinessActor", "shelf": "Node"}
    links = [("r1", "till", "shop"), ("r2", "clerk", "shop"), ("r3", "shop", "customers")]
    do(
        *(Operation("create", "component", key, data={"name": key.title(), "type": kind, "users": 10}) for key, kind in parts.items()),
        *(Operation("create", "relation", key, source, target, "serving") for key, source, target in links),
    )


def test_a_change_that_only_ties_two_components_reaches_on_from_them(shop, change_of):
    tie = {"operation": "create", "object": "relation", "key": "r4", "source": "shelf", "target": "till", "relation_type": "serving"}
    computed = compute(change_of(tie), now=NOW)
    assert [row["key"] for row in computed.impact["affected"]] == ["till", "shop", "customers"]
    assert computed.state == "ready" and computed.summary["added"] == 1


def test_an_update_reaches_the_business_and_says_why(surance, change_of):
    key = (
        Component.objects.filter(type__name="ApplicationComponent", outgoing__type__name__in=["serving", "realization", "assignment"])
        .order_by("key")[0]
        .key
    )
    change = change_of(update(key, attributes={"version": "2"}))
    computed = compute(change, now=NOW)
    assert computed.impact["direct"] == [key]
    reached = [row for row in computed.impact["affected"] if row["layer"] == "business"]
    assert reached
    assert all(row["path"][0]["key"] == key and row["path"][-1]["key"] == row["key"] and len(row["path"]) == row["distance"] + 1 for row in reached)
    assert sum(computed.impact["by_layer"].values()) == len(computed.impact["affected"]) == computed.summary["affected"]
    assert {node["state"] for node in computed.layout["nodes"]} >= {"changed"}
    assert computed.diff["components"][0]["fields"] == [{"path": "attributes.version", "before": None, "after": "2"}]


def test_the_deletion_of_a_relation_reaches_what_it_served(shop, change_of):
    change = change_of(delete("r1", "relation"))
    computed = compute(change, now=NOW)
    rows = {row["key"]: row for row in computed.impact["affected"]}
    assert (rows["shop"]["score"], rows["shop"]["distance"], rows["shop"]["effect"]) == (0.9, 1, "degraded")
    assert rows["customers"]["score"] == 0.81
    assert rows["shop"]["path"] == [{"key": "till"}, {"relation": "serving", "direction": "forward", "key": "shop"}]
    assert [check["rule"] for check in computed.checks] == ["orphaned_component", "single_point_of_failure"]
    assert "till" not in rows


def test_a_new_relation_reaches_over_the_new_graph(shop, change_of):
    made = {"operation": "create", "object": "component", "key": "web", "data": {"type": "Node", "name": "Web"}}
    tied = {"operation": "create", "object": "relation", "source": "web", "relation_type": "serving", "target": "shop"}
    computed = compute(change_of(made, tied), now=NOW)
    assert [(row["key"], round(row["score"], 4)) for row in computed.impact["affected"]] == [("shop", 0.54), ("customers", 0.486)]
    assert computed.impact["direct"] == ["web"]
    assert {node["key"]: node["state"] for node in computed.layout["nodes"]}["web"] == "added"


def test_too_few_supporters_is_down_and_a_finding(shop, do, change_of):
    do(
        Operation("update", "component", "shop", data={"needs": {"serving": 2}}),
        Operation("update", "component", "customers", data={"needs": {"serving": 1}}),
    )
    computed = compute(change_of(delete("till"), cascade=True), now=NOW)
    assert {row["key"]: row["effect"] for row in computed.impact["affected"]} == {"shop": "down", "customers": "down"}
    assert [check["key"] for check in computed.checks if check["rule"] == "needs_unmet"] == ["customers", "shop"]


def test_touching_an_interface_attribute_weighs_more(shop, change_of):
    from changemgmt.architecture.models import ComponentType

    ComponentType.objects.filter(name="Node").update(interface_attributes=["port"])
    plain, weighty = change_of(update("till", attributes={"colour": "red"})), change_of(update("clerk", attributes={"port": 1}))
    assert [compute(change, now=NOW).impact["affected"][0]["score"] for change in (plain, weighty)] == [0.72, 0.81]


def test_a_preview_is_stale_once_its_items_or_its_reach_moved(shop, do, change_of):
    change = change_of(update("till", owner="max"))
    assert state_of(change) == "stale"
    keep(change)
    assert (state_of(change), preview_of(change)["summary"]) == ("ready", {"added": 0, "changed": 1, "removed": 0, "affected": 2})
    do(Operation("update", "component", "shelf", data={"owner": "x"}))
    assert state_of(change) == "ready"
    do(Operation("update", "component", "customers", data={"owner": "x"}))
    assert state_of(change) == "stale"
    keep(change)
    change.items.update(data={"owner": "omar"})
    assert state_of(change) == "stale"


def test_live_values_that_moved_are_a_conflict_with_three_values_and_who_moved_them(shop, do, change_of):
    change = change_of(update("till", owner="max", criticality=5))
    do(Operation("update", "component", "till", data={"owner": "sam"}), change="CHG-2026-00099")
    (row,) = drift_of(change)
    assert (row["field"], row["base"], row["live"], row["proposed"], row["moved_by"]) == ("owner", "", "sam", "max", "CHG-2026-00099")
    keep(change)
    assert state_of(change) == "conflict"
    before = everything()
    with pytest.raises(NotPossible, match="owner was '', is 'sam' now"):
        apply(change)
    assert everything() == before


def test_a_move_elsewhere_in_the_same_component_is_rebased_clean(shop, do, change_of):
    change = change_of(update("till", owner="max", attributes={"a": "1"}))
    do(Operation("update", "component", "till", data={"criticality": 1, "attributes": {"b": "2"}}))
    apply(change)
    image = images("component", ["till"])["till"]
    assert (image["owner"], image["criticality"], image["attributes"]) == ("max", 1, {"a": "1", "b": "2"})
    revert(change)
    assert images("component", ["till"])["till"]["attributes"] == {"b": "2"}


def test_relations_that_came_to_something_deleted_are_drift(shop, do, change_of):
    change = change_of(delete("shelf"))
    do(Operation("create", "relation", "late", "shelf", "shop", "serving"))
    assert [(row["key"], row["live"]) for row in drift_of(change)] == [("shelf", "late")]
    with pytest.raises(NotPossible):
        apply(change)


MIXED = [
    update("shop", name="Market", attributes={"x": {"y": 1}}),
    delete("till"),
    delete("r1", "relation"),
    {"operation": "create", "object": "component", "key": "web", "data": {"type": "Node", "name": "Web", "tags": ["new"]}},
    {"operation": "create", "object": "relation", "source": "web", "relation_type": "serving", "target": "shop"},
    {"operation": "create", "object": "relation", "source": "web", "relation_type": "association", "target": "relation:r2"},
    {"operation": "update", "object": "relation", "key": "r3", "data": {"attributes": {"since": "2026"}}},
]


def test_an_applied_change_leaves_the_architecture_equal_to_its_preview(shop, change_of):
    change = change_of(*MIXED)
    computed = compute(change, now=NOW)
    apply(change)
    for object in ("component", "relation"):
        expected = {image.key: image.after for image in applied_now(computed) if image.object == object}
        live = images(object, expected)
        assert live == {key: after for key, after in expected.items() if after is not None}
    assert state_of(change) in {"ready", "stale"}


def test_apply_then_revert_is_identity(shop, change_of):
    before = everything()
    change = change_of(*MIXED)
    applied = apply(change)
    assert everything() != before
    reverted = revert(change)
    assert everything() == before
    assert (applied.revision, reverted.revision, current_revision()) == (2, 3, 3)
    assert revert(change) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_apply_then_revert_is_identity_for_any_items(surance, change_of, data):
    before = everything()
    keys = sorted(Component.objects.values_list("key", flat=True))
    links = sorted(Relation.objects.values_list("key", flat=True))
    gone = data.draw(st.sets(st.sampled_from(keys), max_size=3))
    items = [delete(key) for key in sorted(gone)]
    others = [key for key in keys if key not in gone]
    for key in sorted(data.draw(st.sets(st.sampled_from(others), max_size=4))):
        fields = {
            "name": st.text("ab", max_size=3),
            "criticality": st.integers(1, 5),
            "attributes": st.dictionaries(st.sampled_from("xy"), st.integers(0, 2), min_size=1),
        }
        items.append(update(key, **data.draw(st.fixed_dictionaries({"users": st.integers(0, 9)}, optional=fields))))
    for number in range(data.draw(st.integers(0, 2))):
        items.append({"operation": "create", "object": "component", "key": f"new{number}", "data": {"type": "Node"}})
        target = data.draw(st.sampled_from(others))
        items.append({"operation": "create", "object": "relation", "source": f"new{number}", "relation_type": "flow", "target": target})
    there = {item.key for item in check_items(items, cascade=True).enforce()}
    items += [delete(key, "relation") for key in sorted(data.draw(st.sets(st.sampled_from(links), max_size=3)) - there)]
    change = change_of(*items, cascade=True)
    computed = compute(change, now=NOW)
    apply(change)
    assert all(images(image.object, [image.key]).get(image.key) == image.after for image in applied_now(computed))
    revert(change)
    assert everything() == before


def test_steps_are_applied_and_taken_back_one_by_one(shop, change_of):
    change = change_of(update("till", owner="a"), update("clerk", owner="b"))
    one, two = change.items.all()
    apply_one = lambda item, step: apply_items(change, [item], actor="ian", now=NOW, step=step)  # noqa: E731
    with transaction.atomic():
        apply_one(one, "first")
        apply_one(two, "second")
    with pytest.raises(NotPossible, match="Applied already: till"), transaction.atomic():
        apply_one(one, "again")
    revert(change, step="first")
    assert images("component", ["till", "clerk"])["till"]["owner"] == ""
    assert images("component", ["till", "clerk"])["clerk"]["owner"] == "b"
    assert drift_of(change) == []


def test_a_revert_stops_where_a_later_change_stands_on_it_and_names_it(shop, do, change_of):
    change = change_of(*MIXED)
    apply(change)
    do(Operation("update", "component", "shop", data={"name": "Later"}), change="CHG-2026-00077")
    do(Operation("create", "relation", "late", "web", "shelf", "serving"))
    before = everything()
    with pytest.raises(NotPossible, match="CHG-2026-00077") as caught:
        revert(change)
    assert any("late" in sentence for sentence in caught.value.errors["items"])
    assert everything() == before
    assert len(later_changes(change)) == 2


def test_open_changes_that_meet_are_collisions_and_of_confidential_ones_nothing_is_told_but_that(shop, change_of, cast):
    one = change_of(update("till", owner="a"))
    two = change_of(update("till", owner="b"))
    three = change_of(update("till", criticality=2), confidential=True)
    four = change_of(update("clerk", owner="x"))
    for change in (one, two, three, four):
        keep(change)
    found = {(row["number"], row["kind"]): row["keys"] for row in impact_of(one, cast.vera)["collisions"]}
    assert found == {
        (two.number, "field"): ["till"],
        (HIDDEN, "component"): [],
        (two.number, "reach"): ["customers", "shop"],
        (HIDDEN, "reach"): [],
        (four.number, "reach"): ["customers", "shop"],
    }


def test_nothing_computed_yet_is_answered_in_the_same_shape(shop, change_of):
    change = change_of(update("till", owner="a"))
    assert preview_of(change)["summary"] == {"added": 0, "changed": 0, "removed": 0, "affected": 0}
    assert impact_of(change)["affected"] == []
    assert diff_of(change) == {"components": [], "relations": []}


def test_a_change_without_items_has_an_empty_preview(shop, change_of):
    change = change_of()
    keep(change)
    assert (state_of(change), preview_of(change)["checks"], Item.objects.count()) == ("ready", [], 0)


@pytest.mark.parametrize("number", [1e20, 1.5e300, -2.5e17, 0.1, 2**62])
def test_a_number_of_any_size_is_applied_and_taken_back(do, change_of, number):
    """PostgreSQL gives large floats back as whole numbers: that is no other value."""
    do(Operation("create", "component", "a", data={"name": "A", "type": "ApplicationComponent", "attributes": {"deep": [{"n": number}]}}))
    change = change_of({"operation": "update", "object": "component", "key": "a", "data": {"attributes": {"n": number}}})
    with transaction.atomic():
        apply_items(change, change.items.all(), actor="ada", now=NOW)
    assert float(Component.objects.get(key="a").attributes["n"]) == float(number)
    assert revert_items(change, actor="ada", now=NOW) is not None
    assert "n" not in Component.objects.get(key="a").attributes
