"""Writes of the architecture: whole or nothing, one revision, history, images that come back."""

from datetime import UTC, datetime

import pytest

from changemgmt.architecture import seed
from changemgmt.architecture.actions import apply_operations, write
from changemgmt.architecture.models import Component, ComponentType, Layer, Relation, RelationType, Revision
from changemgmt.architecture.queries import current_revision, images
from changemgmt.architecture.rules import Image, Operation, merge_patch
from changemgmt.core.errors import DomainError, NotPossible

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def types():
    seed.seed(now=NOW)


def component(key, **data):
    return Operation("create", "component", key, data={"name": key, "type": "ApplicationComponent"} | data)


def relation(source, kind, target, key=None):
    return Operation("create", "relation", key or f"{source}|{kind}|{target}", source, target, kind)


def do(*operations, **more):
    return apply_operations(operations, actor="max", now=NOW, **more)


def test_seeding_twice_changes_nothing():
    before = (Layer.objects.count(), ComponentType.objects.count(), RelationType.objects.count(), Revision.objects.count())
    RelationType.objects.filter(name="serving").update(weight=0.4)
    seed.seed(now=NOW)
    assert before == (Layer.objects.count(), ComponentType.objects.count(), RelationType.objects.count(), Revision.objects.count())
    assert RelationType.objects.get(name="serving").weight == 0.4


def test_one_call_makes_one_revision_with_history_of_every_row():
    applied = do(component("a"), component("b"), relation("a", "serving", "b"), change="CHG-2026-00001")
    assert applied.revision == current_revision() == 1
    assert Revision.objects.get(number=1).touched == ["a", "b", "a|serving|b"]
    row = Component.history.get(key="a")
    assert (row.history_type, row.revision, row.history_change_reason) == ("+", 1, "CHG-2026-00001")
    assert Relation.history.get().target_id == Component.objects.get(key="b").pk


def test_a_component_takes_the_layer_of_its_type_and_keeps_the_defaults():
    do(component("a"))
    image = images("component", ["a"])["a"]
    assert image["layer"] == "application"
    assert (image["criticality"], image["users"], image["status"], image["org_unit"]) == (3, 0, "live", None)


def test_an_update_is_a_merge_patch_and_null_takes_away():
    do(component("a", attributes={"version": "1", "port": {"http": 80}}, owner="team"))
    do(Operation("update", "component", "a", data={"attributes": {"version": None, "port": {"tls": 443}}, "owner": None}))
    image = images("component", ["a"])["a"]
    assert image["attributes"] == {"port": {"http": 80, "tls": 443}}
    assert image["owner"] == ""
    assert [row.history_type for row in Component.history.filter(key="a").order_by("history_id")] == ["+", "~"]


def test_deleting_a_component_needs_its_relations_to_go_as_well():
    do(component("a"), component("b"), relation("a", "serving", "b", "r"))
    with pytest.raises(NotPossible, match="r"):
        do(Operation("delete", "component", "a"))
    do(Operation("delete", "component", "a"), Operation("delete", "relation", "r"))
    assert list(Component.objects.values_list("key", flat=True)) == ["b"]
    assert Component.history.filter(key="a", history_type="-", revision=2).exists()


def test_relations_may_end_on_relations_in_any_order():
    do(
        component("a"),
        component("b"),
        relation("relation:r", "association", "relation:q", "s"),
        relation("a", "association", "relation:r", "q"),
        relation("a", "flow", "b", "r"),
    )
    assert images("relation", ["s"])["s"]["source"] == "relation:r"
    with pytest.raises(NotPossible, match="q, s"):
        do(Operation("delete", "relation", "r"))


def test_one_bad_operation_undoes_the_whole_call(transactional=None):
    from django.db import transaction

    for bad in (component("a"), Operation("delete", "component", "zz"), relation("a", "serving", "zz"), component("y", type="Unheard")):
        with pytest.raises(DomainError), transaction.atomic():
            do(component("x"), *([component("a")] if bad.key == "a" else []), bad)
    assert not Component.objects.exists()
    assert current_revision() == 0


def test_unknown_types_are_made_when_asked_for():
    do(component("a", type="Robot", layer="factory"), relation("a", "moves", "a"), create_types=True)
    assert ComponentType.objects.get(name="Robot").layer.name == "factory"
    assert RelationType.objects.get(name="moves").propagation == "none"


def test_writing_the_images_backwards_restores_everything():
    do(component("a", tags=["x"]), component("b"), relation("a", "serving", "b", "r"))
    before = images("component", ["a", "b"]), images("relation", ["r"])
    applied = do(
        Operation("delete", "relation", "r"),
        Operation("delete", "component", "b"),
        Operation("update", "component", "a", data={"name": "z"}),
        component("c"),
    )
    write([Image(step.object, step.key, step.after, step.before) for step in applied.images], actor="max", now=NOW)
    assert (images("component", ["a", "b", "c"]), images("relation", ["r"])) == before


def test_writing_what_is_there_already_makes_no_revision():
    do(component("a"))
    assert do(Operation("update", "component", "a", data={"name": "a"})).revision == 1
    assert Revision.objects.count() == 2


def test_merge_patch_follows_rfc_7386():
    assert merge_patch({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}) == {"a": {"b": "d"}}
    assert merge_patch({"a": [1]}, {"a": {"b": 1}}) == {"a": {"b": 1}}
    assert merge_patch({"a": "b"}, ["c"]) == ["c"]
    assert merge_patch({"e": None}, {"a": 1}) == {"e": None, "a": 1}
    assert merge_patch({}, {"a": {"bb": {"ccc": None}}}) == {"a": {"bb": {}}}


def test_the_architecture_as_of_a_revision_is_what_it_was():
    from changemgmt.architecture.graphs import graph_at
    from changemgmt.architecture.queries import images_at

    do(component("a", owner="x"), component("b"), relation("a", "serving", "b", "r"), relation("a", "association", "relation:r", "q"))
    before = {object: images(object, ["a", "b", "r", "q"]) for object in ("component", "relation")}
    do(Operation("delete", "relation", "q"), Operation("delete", "relation", "r"), Operation("delete", "component", "b"), component("c"))
    do(component("b", owner="other"))
    for object in ("component", "relation"):
        assert images_at(object, 1) == before[object]
        assert images_at(object, 3) == images(object, ["a", "b", "c"] if object == "component" else [])
    assert list(graph_at(1).keys) == ["a", "b", "relation:r"]
    assert list(graph_at(None).keys) == ["a", "b", "c"]
