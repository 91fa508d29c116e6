"""Items of a change, checked as they are written."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changemgmt.architecture.models import ComponentType, RelationType
from changemgmt.architecture.validation import check_item, check_items
from changemgmt.core.errors import Invalid

from .test_writes import component, do, relation, types  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(types):  # noqa: F811
    do(
        component("a"),
        component("b"),
        component("c"),
        relation("a", "serving", "b", "r1"),
        relation("a", "flow", "b", "f1"),
        relation("a", "flow", "b", "f2"),
    )


def errors(item, **more):
    return check_items([item], **more).errors


def test_an_update_gets_its_before_its_base_and_its_layer(shop):
    item = check_item({"operation": "update", "object": "component", "key": "a", "data": {"criticality": 5}})
    assert (item.before["criticality"], item.base_revision, item.layer) == (3, 1, "application")


def test_a_relation_is_addressed_by_its_ends_where_that_is_unambiguous(shop):
    item = check_item({"operation": "delete", "object": "relation", "source": "a", "relation_type": "serving", "target": "b"})
    assert (item.key, item.before["type"]) == ("r1", "serving")
    found = errors({"operation": "delete", "object": "relation", "source": "a", "relation_type": "flow", "target": "b"})
    assert "f1, f2" in found[0]["key"][0]
    assert "key" in errors({"operation": "delete", "object": "relation", "source": "b", "relation_type": "flow", "target": "a"})[0]


def test_a_parallel_relation_gets_a_key_of_its_own(shop):
    wish = {"operation": "create", "object": "relation", "source": "a", "relation_type": "serving", "target": "c"}
    first = check_item(wish)
    second = check_item(wish, others=[first])
    assert (first.key, second.key) == ("a|serving|c", "a|serving|c|2")


def test_deleting_a_component_names_the_relations_that_have_to_go(shop):
    found = errors({"operation": "delete", "object": "component", "key": "b"})
    assert len(found[0]["key"]) == 3
    assert "r1" in " ".join(found[0]["key"])
    checked = check_items([{"operation": "delete", "object": "component", "key": "b"}], cascade=True)
    assert [item.key for item in checked.enforce()] == ["b", "f1", "f2", "r1"]


def test_no_two_items_are_about_the_same_thing(shop):
    item = {"operation": "update", "object": "component", "key": "a", "data": {"name": "x"}}
    assert "key" in check_items([item, item]).errors[1]
    assert "key" in errors(item, others=[check_item(item)])[0]


def test_a_new_relation_does_not_end_on_something_that_goes(shop):
    gone = {"operation": "delete", "object": "component", "key": "c"}
    new = {"operation": "create", "object": "relation", "source": "a", "relation_type": "serving", "target": "c"}
    assert "target" in check_items([gone, new]).errors[1]
    assert None in errors(gone, others=[check_item(new)])


def test_a_new_relation_may_end_on_a_component_made_by_the_same_change(shop):
    made = {"operation": "create", "object": "component", "key": "n", "data": {"type": "Node"}}
    new = {"operation": "create", "object": "relation", "source": "a", "relation_type": "serving", "target": "n"}
    assert not check_items([new, made]).errors
    assert "target" in errors(new)[0]


def test_attributes_follow_the_schema_of_the_type(shop):
    ComponentType.objects.filter(name="ApplicationComponent").update(schema={"properties": {"port": {"type": "integer"}}})
    assert "data.attributes.port" in errors({"operation": "update", "object": "component", "key": "a", "data": {"attributes": {"port": "x"}}})[0]
    assert not errors({"operation": "update", "object": "component", "key": "a", "data": {"attributes": {"port": 3}}})


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"criticality": 6}, "criticality"),
        ({"criticality": True}, "criticality"),
        ({"users": -1}, "users"),
        ({"users": 10**400}, "users"),
        ({"status": "gone"}, "status"),
        ({"type": "Unheard"}, "type"),
        ({"type": None}, "type"),
        ({"layer": ["x"]}, "layer"),
        ({"org_unit": "nowhere"}, "org_unit"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"tags": "x"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"x": float("nan")}}, "attributes"),
        ({"attributes": {"x": 10**400}}, "attributes"),
        ({"needs": {"serving": "one"}}, "needs"),
        ({"needs": {"unheard": 1}}, "needs"),
        ({"key": "z"}, "key"),
        ({"revision": 3}, "revision"),
    ],
)
def test_a_wrong_value_is_named_by_its_field(shop, data, field):
    assert f"data.{field}" in errors({"operation": "update", "object": "component", "key": "a", "data": data})[0]


def test_several_wrong_items_are_named_by_their_place(shop):
    with pytest.raises(Invalid) as caught:
        check_items([{"operation": "update", "object": "component", "key": "a", "data": {"users": "x"}}, {"operation": "burn"}]).enforce()
    assert {"items.0.data.users", "items.1.operation", "items.1.object"} <= set(caught.value.errors)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "operation": st.sampled_from(["create", "update", "delete"]) | JSON,
        "object": st.sampled_from(["component", "relation"]) | JSON,
        "key": st.sampled_from(["a", "new", "r1", "f1", "relation:x"]) | JSON,
        "source": st.sampled_from(["a", "relation:r1", None]) | JSON,
        "target": st.sampled_from(["b", "relation:r1", None]) | JSON,
        "relation_type": st.sampled_from(["flow", "serving", None]) | JSON,
        "data": st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "type", "criticality", "attributes", "tags", "needs"), JSON)) | JSON,
        "replace": JSON,
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(ITEM | JSON, max_size=3) | JSON)
def test_any_json_gives_errors_and_never_an_exception(shop, items):
    checked = check_items(items)
    assert isinstance(checked.errors, dict)


def test_the_relation_types_of_needs_are_known_ones(shop):
    RelationType.objects.create(name="carries")
    assert not errors({"operation": "update", "object": "component", "key": "a", "data": {"needs": {"carries": 2}}})


def test_the_items_that_stay_are_checked_without_being_written_anew(shop):
    items = check_items([{"operation": "delete", "object": "component", "key": "b"}], cascade=True).enforce()
    assert not check_items([], others=items).errors
    left = [item for item in items if item.key != "r1"]
    assert "r1" in str(check_items([], others=left).errors)
