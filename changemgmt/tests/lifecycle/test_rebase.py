"""The three-way re-base: each kind of conflict, each choice, and what it means for votes."""

import pytest

from changemgmt.approvals.models import Vote
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.queries import current_revision, images
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Preview
from changemgmt.core.errors import Invalid, NotPermitted, OutOfDate, PreconditionMissing
from changemgmt.lifecycle import edit
from changemgmt.planning.queries import plan_of
from changemgmt.preview.actions import apply_items
from changemgmt.preview.drift import base_of
from changemgmt.preview.queries import drift_of, state_of
from changemgmt.preview.rebasing import conflicts_of, digest_of

from .. import estate

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def live(now):
    """`live(operation, …)` moves the live architecture, as Ada or as a change."""

    def move(*operations, change=""):
        return apply_operations(operations, actor="ada", now=now, change=change, direct=not change)

    return move


@pytest.fixture
def draft_of(shop, cast, now):
    """`draft_of(item, …)` is a draft of Rita's with these items."""

    def make(*items, cascade=False):
        change = edit.create_change({"title": "A change"}, actor=cast.rita, now=now)
        return edit.add_items(change.number, list(items), actor=cast.rita, now=now, seen=None, cascade=cascade)

    return make


@pytest.fixture
def rebase(cast, now):
    """`rebase(change, choice, …)` as Rita, on what is true now."""

    def act(change, *choices, actor=None, digest=None, seen="*", **more):
        shown = digest if digest is not None else digest_of(conflicts(change))
        return edit.rebase_items(change.number, actor=actor or cast.rita, now=now, seen=seen, choices=list(choices), digest=shown, **more)

    return act


def conflicts(change):
    base = base_of(change)
    return conflicts_of(base.moved, base.live)


def update(key, object="component", **data):
    return {"operation": "update", "object": object, "key": key, "data": data}


def moved(key, **data):
    return Operation("update", "component", key, data=data)


def take(key, what, field=None, **more):
    return {"key": key, "take": what} | ({"field": field} if field else {}) | more


def as_applied(change, now):
    """The architecture once it is applied; without conflicts it can be."""
    assert drift_of(change) == [] and state_of(estate.fresh(change)) == "ready"
    apply_items(change, change.items.all(), actor="ian", now=now)
    return images


def test_a_field_that_moved_takes_what_is_chosen(draft_of, live, rebase, now):
    change = draft_of(update("shop/db", owner="max", environment="test", users=5, attributes={"version": "16", "size": "1"}))
    live(moved("shop/db", owner="sam", environment="prod", users=7, attributes={"version": "17", "edition": "x"}), change="CHG-2025-00009")
    found = {row.field: row for row in conflicts(change)}
    assert set(found) == {"owner", "environment", "users", "attributes.version"}
    assert (found["owner"].base, found["owner"].live, found["owner"].proposed, found["owner"].moved_by) == ("", "sam", "max", "CHG-2025-00009")
    rebase(change, take("shop/db", "live", "owner"), take("shop/db", "proposed"), take("shop/db", "value", "users", value=9))
    item = change.items.get()
    assert item.data == {"environment": "test", "users": 9, "attributes": {"version": "16", "size": "1"}}
    assert (item.before["owner"], item.base_revision) == ("sam", current_revision())
    image = as_applied(change, now)("component", ["shop/db"])["shop/db"]
    assert (image["owner"], image["environment"], image["users"]) == ("sam", "test", 9)
    assert image["attributes"] == {"version": "16", "size": "1", "edition": "x"}


def test_texts_are_merged_word_by_word_where_the_edits_do_not_touch(draft_of, live, rebase):
    live(moved("shop/db", attributes={"runbook": "call the duty DBA at night"}))
    change = draft_of(update("shop/db", attributes={"runbook": "call the duty DBA by day"}))
    live(moved("shop/db", attributes={"runbook": "ring the duty DBA at night"}))
    (row,) = conflicts(change)
    assert row.merged == "ring the duty DBA by day"
    rebase(change, take("shop/db", "merged"))
    assert change.items.get().data == {"attributes": {"runbook": "ring the duty DBA by day"}}


def test_an_item_of_which_nothing_is_left_is_taken_out_of_change_and_plan(draft_of, live, rebase, cast, now):
    change = draft_of(update("shop/db", owner="max"), update("shop/api", owner="max"))
    first = change.items.get(key="shop/db")
    edit.set_plan(change.number, {"steps": [{"id": "one", "manual": True, "items": [first.pk]}]}, actor=cast.rita, now=now, seen="*")
    live(moved("shop/db", owner="sam"))
    rebase(change, everything="live")
    assert [item.key for item in change.items.all()] == ["shop/api"]
    assert plan_of(estate.fresh(change))["steps"][0]["items"] == []


def test_what_was_deleted_under_an_update_is_dropped_or_made_again(draft_of, live, rebase, now):
    live(Operation("create", "component", "shop/spare", data={"type": "Node", "name": "Spare", "users": 3}))
    one, two = draft_of(update("shop/spare", owner="max")), draft_of(update("shop/spare", owner="max"))
    live(Operation("delete", "component", "shop/spare"))
    assert [(row.kind, row.takes) for row in conflicts(one)] == [("gone", ("live", "proposed"))]
    rebase(one, everything="live")
    assert not one.items.exists()
    rebase(two, everything="proposed")
    item = two.items.get()
    assert (item.operation, item.before) == ("create", None)
    image = as_applied(two, now)("component", ["shop/spare"])["shop/spare"]
    assert (image["name"], image["users"], image["owner"]) == ("Spare", 3, "max")


def test_what_was_created_under_a_creation_is_dropped_or_becomes_an_update(draft_of, live, rebase, now):
    made = {"operation": "create", "object": "component", "key": "shop/cache", "data": {"type": "Node", "name": "Cache", "users": 4}}
    one, two = draft_of(made), draft_of(made)
    live(Operation("create", "component", "shop/cache", data={"type": "Node", "name": "Their cache", "owner": "sam"}))
    assert [row.kind for row in conflicts(one)] == ["there"]
    rebase(one, take("shop/cache", "live"))
    assert not one.items.exists()
    rebase(two, take("shop/cache", "proposed"))
    item = two.items.get()
    assert (item.operation, item.data) == ("update", {"name": "Cache", "users": 4})
    image = as_applied(two, now)("component", ["shop/cache"])["shop/cache"]
    assert (image["name"], image["users"], image["owner"]) == ("Cache", 4, "sam")


def test_what_was_changed_under_a_deletion_is_kept_or_deleted_anyway(draft_of, live, rebase, now):
    gone = {"operation": "delete", "object": "component", "key": "shop/checkout"}
    one, two = draft_of(gone, cascade=True), draft_of(gone, cascade=True)
    live(moved("shop/checkout", owner="sam", users=3))
    (row,) = conflicts(one)
    assert (row.kind, row.live) == ("changed", {"owner": "sam", "users": 3})
    rebase(one, take("shop/checkout", "live"))
    assert [item.object for item in one.items.all()] == ["relation"]
    rebase(two, take("shop/checkout", "proposed"))
    assert as_applied(two, now)("component", ["shop/checkout"]) == {}


def test_new_relations_at_what_is_deleted_go_too_or_it_stays(draft_of, live, rebase, now):
    gone = {"operation": "delete", "object": "component", "key": "shop/checkout"}
    one, two = draft_of(gone, cascade=True), draft_of(gone, cascade=True)
    live(
        Operation("create", "relation", "late", "shop/db", "shop/checkout", "serving"),
        Operation("create", "relation", "later", "shop/api", "relation:late", "association"),
    )
    (row,) = conflicts(one)
    assert (row.kind, sorted(row.live)) == ("relations", ["late", "later"])
    rebase(one, everything="proposed")
    assert {item.key for item in one.items.all()} == {"shop/checkout", "shop/api>shop/checkout", "late", "later"}
    rebase(two, everything="live")
    assert {item.key for item in two.items.all()} == {"shop/api>shop/checkout"}
    as_applied(one, now)


def test_a_relation_that_lost_an_end_is_dropped_with_what_hangs_on_it_or_ends_elsewhere(draft_of, live, rebase, now):
    live(Operation("create", "component", "shop/spare", data={"type": "Node"}))
    tie = {"operation": "create", "object": "relation", "key": "tie", "source": "shop/spare", "relation_type": "serving", "target": "shop/api"}
    note = {"operation": "create", "object": "relation", "key": "note", "source": "shop/db", "relation_type": "association", "target": "relation:tie"}
    one, two, three = draft_of(tie, note), draft_of(tie), draft_of(tie | {"key": "other"}, update("shop/spare", owner="max"))
    live(Operation("delete", "component", "shop/spare"))
    assert [(row.kind, row.field) for row in conflicts(one)] == [("end", "source")]
    rebase(one, everything="live")
    assert not one.items.exists()
    with pytest.raises(Invalid, match="shop/spare"):
        rebase(two, everything="proposed")
    with pytest.raises(Invalid, match="nowhere"):
        rebase(two, take("tie", "value", value="nowhere"))
    rebase(two, take("tie", "value", "source", value="shop/db"))
    assert two.items.get().source == "shop/db"
    as_applied(two, now)
    rebase(three, everything="proposed")
    assert {(item.operation, item.key) for item in three.items.all()} == {("create", "other"), ("create", "shop/spare")}
    as_applied(three, now)


def test_what_moved_elsewhere_is_rebased_without_a_choice(draft_of, live, rebase):
    gone = {"operation": "delete", "object": "relation", "key": "shop/api>shop/checkout"}
    change = draft_of(update("shop/db", owner="max"), gone)
    live(moved("shop/db", users=9), Operation("delete", "relation", "shop/api>shop/checkout"))
    rebase(change, digest="")
    item = change.items.get()
    assert (item.before["users"], item.data, item.base_revision) == (9, {"owner": "max"}, current_revision())


def test_every_conflict_needs_a_choice_that_there_is(draft_of, live, rebase):
    change = draft_of(update("shop/db", owner="max", users=5))
    live(moved("shop/db", owner="sam", users=7))
    before = list(change.items.values())
    for choices, more in (
        ([], {}),
        ([take("shop/db", "live", "owner")], {}),
        ([take("shop/db", "merged")], {}),
        ([take("shop/db", "live"), take("shop/else", "live")], {}),
        ([take("shop/db", "live", object="relation")], {}),
        ([take("shop/db", "value")], {}),
        ([take("shop/db", "value", value="many")], {}),
        ([take("shop/db", "live", shade="red")], {}),
        ([{"key": 7, "take": "live"}], {}),
        (["live"], {}),
        ([], {"everything": "merged"}),
        ([take("shop/db", "live")], {"digest": ""}),
    ):
        with pytest.raises(Invalid):
            rebase(change, *choices, **more)
    assert list(change.items.values()) == before


def test_a_choice_about_what_moved_again_is_refused(draft_of, live, rebase, cast):
    change = draft_of(update("shop/db", owner="max"))
    live(moved("shop/db", owner="sam"))
    shown = digest_of(conflicts(change))
    live(moved("shop/db", owner="omar"))
    with pytest.raises(OutOfDate, match="moved again"):
        rebase(change, digest=shown, everything="live")
    with pytest.raises(OutOfDate):
        rebase(change, everything="live", seen="1.99")
    with pytest.raises(NotPermitted):
        rebase(change, everything="live", actor=cast.vera)
    rebase(change, everything="live")


def test_votes_hold_where_only_the_base_moves_and_the_result_stays(shop, cast, live, rebase, now):
    change = estate.in_review(cast, now)
    estate.decide(change, now)
    live(moved("shop/db", attributes={"version": "15"}))
    change = estate.fresh(change)
    edit.rebase_items  # noqa: B018  the verb under test
    with pytest.raises(PreconditionMissing):
        rebase(change, everything="proposed", seen=None)
    first = Preview.objects.get(change=change).result_digest
    rebase(change, everything="proposed", seen=change.etag)
    again = estate.fresh(change)
    assert again.version == 1 and Preview.objects.get(change=change).result_digest != first  # before and after differ elsewise: asked again
    assert again.state == "in_review"
    estate.decide(again, now)
    votes = set(Vote.objects.filter(level__round=estate.fresh(change).rounds.last()).values_list("pk", flat=True))
    live(moved("shop/db", users=99))
    rebase(estate.fresh(change), digest="")
    assert estate.fresh(change).state == "approved"
    assert set(Vote.objects.filter(level__round=estate.fresh(change).rounds.last()).values_list("pk", flat=True)) == votes


def test_votes_fall_where_the_choice_moves_the_content(shop, cast, live, rebase, now):
    change = estate.approved(cast, now)
    live(moved("shop/db", attributes={"version": "15"}))
    rebase(estate.fresh(change), take("shop/db", "value", value="17"))
    again = estate.fresh(change)
    assert (again.version, again.state) == (2, "in_review")
    assert estate.last_event("change.amended")["data"]["parts"] == ["items"]
