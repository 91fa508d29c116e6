"""A change on top of what is approved and not done yet: where it does not fit, and what is wrong only together."""

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Change
from changemgmt.computations.queries import shared
from changemgmt.preview import stacked
from changemgmt.preview.actions import apply_items, store
from changemgmt.preview.compute import compute
from changemgmt.preview.queries import HIDDEN
from changemgmt.preview.rules import Proposal
from changemgmt.preview.stacked import stacked_preview
from changemgmt.preview.stacking import Stack, conflicts

from .conftest import NOW

database = pytest.mark.django_db
KEYS, FIELDS = "abc", ("owner", "users", "environment")


def thing(key):
    return {"key": key, "name": key, "type": "Node", "layer": "technology", "owner": "", "users": 0, "environment": "", "attributes": {}, "needs": {}}


LIVE = {("component", key): thing(key) for key in KEYS}


def update(key, **data):
    return Proposal(1, "update", "component", key, None, None, None, data, thing(key), 1)


def stack_of(*changes):
    stack = Stack(LIVE)
    for number, proposals in changes:
        stack.put(number, proposals)
    return stack


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(FIELDS), st.integers(1, 9)), max_size=4, unique_by=lambda write: write[:2]))
def test_the_order_of_changes_that_write_different_fields_alters_nothing(writes):
    changes = [(f"CHG-{place}", [update(key, **{field: value})]) for place, (key, field, value) in enumerate(writes)]
    mine = [update("a", attributes={"version": "2"})]
    verdicts = [(stack.images(), conflicts(stack, mine)) for stack in (stack_of(*order) for order in permutations(changes))]
    assert all(verdict == verdicts[0] for verdict in verdicts)
    assert verdicts[0][1] == []
    assert {image.key for image in verdicts[0][0]} == {key for key, _, _ in writes}


@given(first=st.integers(1, 5), second=st.integers(1, 5), mine=st.integers(1, 5))
def test_a_field_that_others_move_is_a_conflict_unless_they_write_the_same(first, second, mine):
    stack = stack_of(("CHG-1", [update("a", users=first)]), ("CHG-2", [update("a", users=second)]))
    found = conflicts(stack, [update("a", users=mine)])
    if mine == second:
        assert found == []
    else:
        (row,) = found
        assert (row.key, row.field, row.base, row.live, row.proposed, row.moved_by) == ("a", "users", 0, second, mine, "CHG-2")


def test_what_moved_live_and_not_by_the_others_is_none_of_theirs():
    mine = [Proposal(1, "update", "component", "a", None, None, None, {"users": 5}, thing("a") | {"users": 3}, 1)]
    assert conflicts(stack_of(("CHG-1", [update("a", owner="team-a")])), mine) == []


def test_a_change_does_not_fit_on_what_takes_its_component_away():
    stack = stack_of(("CHG-1", [Proposal(1, "delete", "component", "a", None, None, None, {}, thing("a"), 1)]))
    assert [(row.field, row.moved_by) for row in conflicts(stack, [update("a", users=1)])] == [("existence", "CHG-1")]
    link = Proposal(2, "create", "relation", "b>a", "b", "a", "serving", {}, None, 1)
    assert [(row.key, row.field, row.moved_by) for row in conflicts(stack, [link])] == [("b>a", "target", "CHG-1")]
    assert conflicts(stack, [Proposal(3, "delete", "component", "a", None, None, None, {}, thing("a"), 1)]) == []


def test_what_would_hang_on_a_component_that_goes_is_a_conflict():
    link = Proposal(2, "create", "relation", "b>a", "b", "a", "serving", {}, None, 1)
    gone = Proposal(1, "delete", "component", "a", None, None, None, {}, thing("a"), 1)
    stack = stack_of(("CHG-1", [link]))
    assert [(row.key, row.field, row.live, row.moved_by) for row in conflicts(stack, [gone])] == [("a", "relations", "b>a", "CHG-1")]
    too = Proposal(3, "delete", "relation", "b>a", "b", "a", "serving", {}, None, 1)
    assert [row for row in conflicts(stack, [gone, too]) if row.field == "relations"] == []


# --- with the tables ---


@pytest.fixture
def pair(do):
    """Two databases serve the shop, which needs one of them; a shelf stands alone."""
    parts = {"db-1": "Node", "db-2": "Node", "shop": "ApplicationComponent", "shelf": "Node", "wall": "Node"}
    do(
        *(
            Operation("create", "component", key, data={"name": key, "type": kind, "needs": {"serving": 1} if key == "shop" else {}})
            for key, kind in parts.items()
        ),
        *(Operation("create", "relation", f"{key}>shop", key, "shop", "serving") for key in ("db-1", "db-2")),
        Operation("create", "relation", "shelf>wall", "shelf", "wall", "serving"),
    )


def cut(key):
    return {"operation": "delete", "object": "relation", "key": key}


def write(key, **data):
    return {"operation": "update", "object": "component", "key": key, "data": data}


def ready(change, state="draft", **fields):
    store(change, compute(change, now=NOW), now=NOW)
    Change.objects.filter(pk=change.pk).update(state=state, **fields)
    return Change.objects.get(pk=change.pk)


@database
def test_what_is_fine_alone_and_not_together_is_found_and_said_so(pair, change_of, cast):
    mine, other = ready(change_of(cut("db-2>shop"))), change_of(cut("db-1>shop"))
    before = stacked_preview(mine, cast.vera)["checks"]
    assert all(row["alone"] for row in before) and "needs_unmet" not in {row["rule"] for row in before}
    ready(other, "approved")
    found = stacked_preview(mine, cast.vera)
    assert [row["number"] for row in found["below"]] == [other.number] and found["state"] == "ready"
    together = {(row["rule"], row["key"]) for row in found["checks"] if not row["alone"]}
    assert ("needs_unmet", "shop") in together


@database
def test_the_order_is_that_of_the_calendar_and_names_who_wrote_last(pair, change_of, cast):
    mine = ready(change_of(write("shop", owner="mine")))
    second = ready(change_of(write("shop", owner="second")), "scheduled", planned_start=NOW + timedelta(days=2))
    first = ready(change_of(write("shop", owner="first")), "approved", requested_start=NOW + timedelta(days=1))
    undated = ready(change_of(write("shop", environment="x")), "approved")
    found = stacked_preview(mine, cast.vera)
    assert [row["number"] for row in found["below"]] == [first.number, second.number, undated.number]
    assert [(row["field"], row["base"], row["live"], row["proposed"], row["moved_by"]) for row in found["conflicts"]] == [
        ("owner", "", "second", "mine", second.number)
    ]
    assert found["state"] == "conflict"


@database
def test_only_what_is_approved_near_and_not_done_lies_beneath(pair, change_of, cast):
    mine = ready(change_of(write("shop", owner="mine")))
    for state in ("draft", "submitted", "in_review", "rejected", "cancelled", "closed", "implemented"):
        ready(change_of(write("shop", owner=state)), state)
    ready(change_of(write("shelf", owner="far")), "approved")
    assert stacked_preview(mine, cast.vera)["below"] == []
    near = ready(change_of(write("db-1", owner="near")), "approved")
    assert [row["number"] for row in stacked_preview(mine, cast.vera)["below"]] == [near.number]


@database
def test_what_meets_it_through_another_lies_beneath_too(pair, change_of, cast):
    mine = ready(change_of(write("shop", owner="mine")))
    tie = {"operation": "create", "object": "relation", "key": "shelf>db-1", "source": "shelf", "target": "db-1", "relation_type": "serving"}
    between, far = ready(change_of(tie), "approved"), ready(change_of(write("shelf", owner="far")), "approved")
    assert {row["number"] for row in stacked_preview(mine, cast.vera)["below"]} == {between.number, far.number}


@database
def test_items_that_are_applied_are_live_and_not_pending(pair, change_of, cast):
    other = ready(change_of(write("shop", owner="other"), write("shop", users=1) | {"key": "db-1"}), "implementing")
    mine = ready(change_of(write("shop", owner="mine")))
    assert len(stacked_preview(mine, cast.vera)["conflicts"]) == 1
    apply_items(other, other.items.filter(key="shop"), actor="ian", now=NOW)
    assert stacked_preview(mine, cast.vera)["conflicts"] == []


@database
def test_of_a_change_that_one_may_not_see_nothing_is_said_but_that_it_is_there(pair, change_of, cast):
    secret = ready(change_of(write("shop", owner="secret"), cut("db-1>shop"), confidential=True), "approved")
    mine = ready(change_of(write("shop", owner="mine"), cut("db-2>shop")))
    found = stacked_preview(mine, cast.vera)
    assert secret.number not in str(found) and "secret" not in str(found)
    assert found["below"] == [{"number": HIDDEN, "title": "", "state": "", "start": None}]
    assert [(row["key"], row["field"], row["live"], row["moved_by"]) for row in found["conflicts"]] == [(None, None, None, HIDDEN)]
    told = {(row["rule"], row["key"], row["message"]) for row in found["checks"] if not row["alone"]}
    assert told == {("with_others", None, "It would not hold together with a change you may not see.")}


@database
def test_a_value_of_a_change_one_may_not_see_is_not_shown_under_the_name_of_a_later_one(pair, change_of, cast):
    """What lies underneath is cumulative: the last writer says nothing of whose the value is."""
    ready(change_of(write("shop", attributes={"plan": {"buyer": "TOPSECRET"}}), confidential=True), "approved")
    ready(change_of(write("shop", attributes={"plan": {"colour": "red"}})), "approved")
    found = stacked_preview(ready(change_of(write("shop", attributes={"plan": "x"}))), cast.vera)
    assert "TOPSECRET" not in str(found) and "buyer" not in str(found)
    assert found["state"] == "conflict" and HIDDEN in {row["moved_by"] for row in found["conflicts"]}


@database
@pytest.mark.parametrize("many", [1, 12])
def test_its_queries_do_not_grow_with_how_many_lie_beneath(pair, change_of, cast, many, django_assert_max_num_queries):
    mine = ready(change_of(write("shop", owner="mine")))
    for number in range(many):
        ready(change_of(write("shop", attributes={f"field{number}": 1})), "approved")
    stacked_preview(mine, cast.vera)
    shared().clear()
    with django_assert_max_num_queries(45):
        assert len(stacked_preview(mine, cast.vera)["below"]) == many


@database
def test_it_is_laid_once_until_anything_it_rests_on_moves(pair, change_of, cast, monkeypatch):
    mine, other = ready(change_of(write("shop", owner="mine"))), ready(change_of(write("shop", owner="other")), "approved")
    laid, lay = [], stacked._laid
    monkeypatch.setattr(stacked, "_laid", lambda *some: laid.append(some) or lay(*some))
    first = stacked_preview(mine, cast.vera)
    assert stacked_preview(mine, cast.max) == first == stacked_preview(mine, cast.vera) and len(laid) == 1
    Change.objects.filter(pk=other.pk).update(planned_start=NOW)
    assert stacked_preview(mine, cast.vera)["below"][0]["start"] == NOW and len(laid) == 2
    Change.objects.filter(pk=mine.pk).update(edits=mine.edits + 1)
    stacked_preview(Change.objects.get(pk=mine.pk), cast.vera)
    apply_items(other, other.items.all(), actor="ian", now=NOW)
    assert stacked_preview(mine, cast.vera)["conflicts"] == [] and len(laid) == 4


@database
def test_page_and_api_show_the_same(pair, change_of, cast, api, client):
    other = ready(change_of(write("shop", owner="other")), "approved")
    mine = ready(change_of(write("shop", owner="mine")))
    answer = api(cast.vera).get(f"/api/v1/changes/{mine.number}/preview/stacked/")
    assert answer.status_code == 200 and answer.json()["conflicts"][0]["moved_by"] == other.number
    client.force_login(cast.vera)
    page = client.get(f"/changes/{mine.number}/preview/stacked/").content.decode()
    assert other.number in page and "Where it does not fit" in page
    assert f"/changes/{mine.number}/preview/stacked/" in client.get(f"/changes/{mine.number}/preview/").content.decode()
    hidden = ready(change_of(write("shop", owner="x"), confidential=True))
    assert api(cast.vera).get(f"/api/v1/changes/{hidden.number}/preview/stacked/").status_code == 404
    assert client.get(f"/changes/{hidden.number}/preview/stacked/").status_code == 404
