"""The sandbox: the architecture as a change would leave it, searched and looked at."""

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.models import Component
from changemgmt.architecture.queries import component_image, components, images, relations_at
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Change
from changemgmt.core.errors import NotFound
from changemgmt.preview.actions import apply_items
from changemgmt.preview.sandbox import Wanted, listed, sandbox_of, ties_of

from ..web.conftest import clean_html  # noqa: F401
from .conftest import NOW
from .test_preview import MIXED, delete, shop, update  # noqa: F401

pytestmark = pytest.mark.django_db


def found(change, size=50, start=0, **wanted):
    return [(row.image["key"], row.mark) for row in listed(sandbox_of(change), Wanted(**wanted), start=start, size=size).rows]


def test_the_list_shows_what_would_be_and_marks_what_the_change_does(shop, change_of):  # noqa: F811
    change = change_of(*MIXED)
    assert found(change) == [("shop", "changed"), ("till", "removed"), ("web", "added"), ("clerk", ""), ("customers", ""), ("shelf", "")]
    assert found(change, touched=True) == [("shop", "changed"), ("till", "removed"), ("web", "added")]
    assert found(change, q="market") == [("shop", "changed")] and found(change, q="shop") == [("shop", "changed")]
    assert found(change, layer="technology") == [("till", "removed"), ("web", "added"), ("clerk", ""), ("shelf", "")]


def test_a_filter_finds_what_the_change_makes_match_and_not_what_it_makes_differ(shop, do, change_of):  # noqa: F811
    do(Operation("update", "component", "clerk", data={"owner": "sam"}), Operation("update", "component", "shelf", data={"owner": "sam"}))
    change = change_of(update("till", owner="sam"), update("clerk", owner="max", name="Desk"))
    assert found(change, owner="sam") == [("till", "changed"), ("shelf", "")]
    assert found(change, owner="max") == [("clerk", "changed")]
    assert found(change, q="clerk") == [("clerk", "changed")] and found(change, q="desk") == [("clerk", "changed")]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(1, 7), owner=st.sampled_from(["", "max"]), layer=st.sampled_from(["", "technology", "business"]))
def test_the_pages_together_are_the_list_as_it_is_once_applied(shop, change_of, size, owner, layer):  # noqa: F811
    change = change_of(update("till", owner="max", name="Zebra"), update("shop", layer="business"), *MIXED[3:4], delete("shelf"))
    rows, start = [], 0
    while page := found(change, size=size, start=start, owner=owner, layer=layer):
        rows += page
        start += size
    assert len(rows) == len(set(rows))
    now = {key for key, mark in rows if mark != "removed"}
    sandbox = sandbox_of(change)
    wanted = {}
    for key in {*Component.objects.values_list("key", flat=True), "web"}:
        image = sandbox.at("component", key).after
        if image and (not owner or image["owner"] == owner) and (not layer or image["layer"] == layer):
            wanted[key] = image
    assert now == set(wanted)


def test_a_component_is_seen_with_its_relations_as_they_would_be(shop, change_of):  # noqa: F811
    change = change_of(*MIXED)
    box = sandbox_of(change)
    ties = {tie.image["key"]: (tie.mark, tie.outward, tie.other and tie.other.image["key"]) for tie in ties_of(box, "shop")}
    assert ties == {
        "r1": ("removed", False, "till"),
        "r2": ("", False, "clerk"),
        "r3": ("changed", True, "customers"),
        "web|serving|shop": ("added", False, "web"),
    }
    assert [(tie.mark, tie.other) for tie in ties_of(box, "web") if tie.image["type"] == "association"] == [("added", None)]
    with pytest.raises(NotFound):
        box.at("component", "nowhere")


def test_what_the_sandbox_shows_is_what_there_is_once_applied(shop, change_of):  # noqa: F811
    change = change_of(*MIXED)
    box = sandbox_of(change)
    shown = {key: {tie.image["key"] for tie in ties_of(box, key) if tie.mark != "removed"} for key in ("shop", "web", "clerk", "customers")}
    would_be = {key: box.at("component", key).after for key in ("shop", "web", "clerk", "till")}
    apply_items(change, change.items.all(), actor="ian", now=NOW)
    assert {key: {row.key for row in relations_at([key])} for key in shown} == shown
    assert {key: images("component", [key]).get(key) for key in would_be} == would_be
    assert {mark for _, mark in found(change)} == {""}
    apply_operations([Operation("update", "component", "shop", data={"name": "Later"})], actor="ada", now=NOW)
    assert {mark for _, mark in found(change)} == {""} and sandbox_of(change).touched == {}


@pytest.mark.parametrize("count", [5, 400])
def test_it_costs_what_the_change_and_the_page_cost(shop, change_of, cast, django_assert_max_num_queries, count):  # noqa: F811
    apply_operations(
        [Operation("create", "component", f"many/{n:04}", data={"type": "Node", "name": f"N {n}"}) for n in range(count)], actor="ada", now=NOW
    )
    change = change_of(*MIXED)
    client = browse(cast.vera)
    client.get("/changes/")
    for path in ("", "?q=n&page=2", "component/?key=shop", "component/?key=many/0003"):
        with django_assert_max_num_queries(15):
            assert client.get(f"/changes/{change.number}/sandbox/{path}").status_code == 200


def browse(user):
    client = Client()
    client.force_login(user)
    return client


def test_the_pages_show_it_and_only_to_those_who_may_see_the_change(shop, change_of, cast, clean_html):  # noqa: F811
    change = change_of(*MIXED)
    client = browse(cast.vera)
    html = clean_html(client.get(f"/changes/{change.number}/sandbox/")).content.decode()
    assert "Market" in html and "Web" in html and "Removed" in html
    html = clean_html(client.get(f"/changes/{change.number}/sandbox/component/?key=shop")).content.decode()
    assert "attributes.x.y" in html and f"/changes/{change.number}/sandbox/component/?key=customers" in html
    assert client.get(f"/changes/{change.number}/sandbox/component/?key=till").status_code == 200
    assert client.get(f"/changes/{change.number}/sandbox/component/?key=nowhere").status_code == 404
    assert client.get(f"/changes/{change.number}/sandbox/?layer=nowhere").status_code == 400
    assert client.get(f"/changes/{change.number}/sandbox/?page=99999&q=%25_%22'").status_code == 200
    Change.objects.filter(pk=change.pk).update(confidential=True)
    assert browse(cast.olga).get(f"/changes/{change.number}/sandbox/").status_code == 404
    assert browse(cast.olga).get(f"/changes/{change.number}/sandbox/component/?key=shop").status_code == 404
    assert Client().get(f"/changes/{change.number}/sandbox/").status_code == 302


def test_a_component_that_says_no_layer_has_that_of_its_type(shop, change_of):  # noqa: F811
    change = change_of({"operation": "create", "object": "component", "key": "web", "data": {"type": "Node"}})
    assert sandbox_of(change).at("component", "web").after["layer"] == "technology"
    assert component_image(components().get(key="till"))["layer"] == "technology"
