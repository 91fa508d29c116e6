"""Capture: things as they should be become the items that make them so."""

import json

import pytest

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.exports import as_json
from changemgmt.architecture.queries import current_revision, images
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, OutOfDate
from changemgmt.lifecycle import edit
from changemgmt.planning.queries import plan_of
from changemgmt.preview.actions import apply_items
from changemgmt.preview.sandbox import sandbox_of

from .. import estate

pytestmark = pytest.mark.django_db
CACHE = {"key": "shop/cache", "name": "Cache", "type": "Node", "users": 4, "attributes": {"size": 2, "zone": None}}


@pytest.fixture
def shop(seeded, now):
    estate.build(now)
    apply_operations([Operation("update", "component", "shop/db", data={"attributes": {"version": "15", "size": {"gb": 2}}})], actor="ada", now=now)


@pytest.fixture
def change(shop, cast, now):
    return edit.create_change({"title": "A change"}, actor=cast.rita, now=now)


@pytest.fixture
def capture(cast, now):
    def act(change, *, components=(), relations=(), gone=(), actor=None, seen="*", **more):
        removed = {part: [key for key in gone if (">" in key or "|" in key) == (part == "relations")] for part in ("components", "relations")}
        desired = {"components": list(components), "relations": list(relations), "removed": removed}
        return edit.capture(change.number, desired, actor=actor or cast.rita, now=now, seen=seen, **more)

    return act


def live(key, object="component"):
    return images(object, [key])[key]


def items(change):
    return {(item.operation, item.key): item.data for item in change.items.all()}


def test_an_edited_component_is_an_update_of_what_differs(change, capture):
    db = live("shop/db")
    found = capture(change, components=[db | {"owner": "max", "attributes": {"version": "16", "size": {"gb": 4}}}])
    assert items(change) == {("update", "shop/db"): {"owner": "max", "attributes": {"version": "16", "size": {"gb": 4}}}}
    assert [item.key for item in found.items] == ["shop/db"]
    item = change.items.get()
    assert (item.before, item.base_revision) == (db, current_revision())


def test_only_what_is_named_moves_and_attributes_are_meant_whole(change, capture):
    capture(change, components=[{"key": "shop/db", "users": 9}])
    capture(change, components=[{"key": "shop/db", "attributes": {"size": {}}}])
    assert items(change) == {("update", "shop/db"): {"users": 9, "attributes": {"version": None, "size": {"gb": None}}}}


def test_an_edit_that_puts_everything_back_takes_the_item_out(change, capture, cast, now):
    db = live("shop/db")
    capture(change, components=[db | {"owner": "max"}])
    plan = {"steps": [{"id": "one", "manual": True, "items": [change.items.get().pk]}]}
    edit.set_plan(change.number, plan, actor=cast.rita, now=now, seen="*")
    assert capture(change, components=[db]).dropped == ["shop/db"]
    assert items(change) == {} and plan_of(estate.fresh(change))["steps"][0]["items"] == []
    assert capture(change, components=[db]).items == []


def test_the_whole_export_captured_is_nothing(change, capture, cast, now):
    exported = json.loads("".join(as_json()))
    found = edit.capture(change.number, exported, actor=cast.rita, now=now, seen="*", revision=current_revision())
    assert (found.items, found.dropped, items(change)) == ([], [], {})


def test_something_new_is_created_edited_and_taken_back(change, capture, now):
    tie = {"key": "shop/cache>shop/api", "source": "shop/cache", "target": "shop/api", "type": "serving"}
    capture(change, components=[CACHE], relations=[tie])
    assert items(change) == {
        ("create", "shop/cache"): {"name": "Cache", "type": "Node", "users": 4, "attributes": {"size": 2}},
        ("create", "shop/cache>shop/api"): {},
    }
    would_be = sandbox_of(change).at("component", "shop/cache").after
    capture(change, components=[would_be | {"users": 5}], relations=[{"key": tie["key"], "attributes": {"since": "2026"}}])
    assert items(change)["create", "shop/cache"]["users"] == 5 and items(change)["create", tie["key"]] == {"attributes": {"since": "2026"}}
    would_be = sandbox_of(change).at("component", "shop/cache").after
    assert capture(change, gone=["shop/cache"]).dropped == ["shop/cache", tie["key"]]
    assert items(change) == {}
    capture(change, components=[would_be], relations=[tie])
    apply_items(change, change.items.all(), actor="ian", now=now)
    assert live("shop/cache") == would_be


def test_what_is_removed_takes_its_relations_along_and_may_come_back(change, capture):
    capture(
        change,
        relations=[
            {"key": "shop/db>shop/api", "attributes": {"x": 1}},
            {"key": "new|x", "source": "shop/db", "target": "relation:shop/db>shop/api", "type": "association"},
        ],
    )
    capture(change, gone=["shop/api"])
    assert set(items(change)) == {("delete", "shop/api"), ("delete", "shop/db>shop/api"), ("delete", "shop/api>shop/checkout")}
    capture(change, components=[live("shop/api")], relations=[live("shop/db>shop/api", "relation")])
    assert set(items(change)) == {("delete", "shop/api>shop/checkout")}


def test_what_would_be_wrong_is_refused_with_its_place_and_nothing_is_written(change, capture):
    capture(change, components=[live("shop/db") | {"owner": "max"}])
    before = list(change.items.values())
    wrong = [
        {"components": [{"key": "shop/db", "colour": "red"}]},
        {"components": [{"key": "shop/db", "criticality": 9}]},
        {"components": [{"key": "shop/db"}, {"key": "shop/db"}]},
        {"components": [{"key": "new"}]},
        {"components": [{"key": "new", "type": "Nothing"}]},
        {"components": [{"key": "shop/db", "external_references": ["x"]}]},
        {"components": [CACHE | {"external_references": ["x"]}]},
        {"components": [{"key": "nul\x00"}]},
        {"components": [{"key": "shop/db", "attributes": []}]},
        {"relations": [{"key": "shop/db>shop/api", "target": "shop/checkout"}]},
        {"relations": [{"key": "shop/db>shop/api"}], "gone": ["shop/api"]},
        {"relations": [{"key": "new|x", "source": "shop/db", "target": "nowhere", "type": "serving"}]},
        {"gone": ["nowhere"]},
        {},
    ]
    for desired in wrong:
        with pytest.raises(Invalid) as caught:
            capture(change, **desired)
        assert caught.value.detail
    for odd in (
        None,
        [],
        "x",
        {"else": 1},
        {"components": {}},
        {"removed": []},
        {"removed": {"components": [7]}},
        {"components": [[]]},
        {"components": [{"key": []}]},
    ):
        with pytest.raises(Invalid):
            edit.capture(change.number, odd, actor=change.requester, now=change.created_at, seen="*")
    assert list(change.items.values()) == before


def test_what_moved_live_since_it_was_looked_at_is_refused(change, capture, now):
    db, seen = live("shop/db"), current_revision()
    apply_operations([Operation("update", "component", "shop/db", data={"users": 77})], actor="ada", now=now)
    with pytest.raises(OutOfDate, match="shop/db"):
        capture(change, components=[db | {"owner": "max"}], revision=seen)
    for odd in ("1", True, -1, 2**70, [], 1.5):
        with pytest.raises(Invalid):
            capture(change, components=[db], revision=odd)
    capture(change, components=[{"key": "shop/api", "owner": "max"}], revision=seen)
    assert set(items(change)) == {("update", "shop/api")}


def test_a_conflict_is_not_decided_by_the_way(change, capture, now):
    capture(change, components=[{"key": "shop/db", "owner": "max"}])
    apply_operations([Operation("update", "component", "shop/db", data={"owner": "sam"})], actor="ada", now=now)
    with pytest.raises(NotPossible, match="re-base"):
        capture(change, components=[{"key": "shop/db", "users": 3}])
    capture(change, components=[{"key": "shop/api", "users": 3}])


def test_it_is_an_edit_as_any_other(shop, cast, capture, now):
    change = estate.in_review(cast, now)
    with pytest.raises(NotPermitted):
        capture(change, components=[{"key": "shop/api", "users": 3}], actor=cast.vera)
    with pytest.raises(OutOfDate):
        capture(change, components=[{"key": "shop/api", "users": 3}], seen="1.77")
    capture(change, components=[{"key": "shop/api", "users": 3}], seen=estate.fresh(change).etag)
    assert estate.fresh(change).version == 2
    assert Event.objects.filter(action="change.amended", change=change.number).exists()
