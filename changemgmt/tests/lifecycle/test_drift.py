"""What a controlled source shows unasked: one case for each burst, adopted by a change or put back at the source, settled by the imports."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction

from changemgmt.accounts.models import Team, User
from changemgmt.api.imports import zipped
from changemgmt.architecture.importers.files import of_upload
from changemgmt.architecture.models import Claim, Component, ImportRun, Relation, Revision, Source
from changemgmt.audit.models import Event
from changemgmt.changes.documents import write_documents
from changemgmt.changes.models import Change, Item
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.cancel import cancel
from changemgmt.lifecycle.complete import complete
from changemgmt.lifecycle.decide_drift import adopt_drift, drift_case, may_adopt, may_decide, revert_drift
from changemgmt.lifecycle.edit_architecture import edit_component, edit_relation
from changemgmt.lifecycle.import_architecture import apply_preview, finish_import, import_architecture, keep_for_apply, queue_import
from changemgmt.lifecycle.schedule import schedule
from changemgmt.lifecycle.start import start
from changemgmt.lifecycle.submit import submit
from changemgmt.notifications.actions import tell
from changemgmt.notifications.models import Notification
from changemgmt.preview.drift_cases import concerning, requested
from changemgmt.preview.models import DriftCase, DriftRow
from changemgmt.sla.tasks import act_on

from ..estate import decide, last_event, snapshot

pytestmark = pytest.mark.django_db

NODES = {
    "db": {"type": "Node", "owner": "ian", "version": "15"},
    "api": {"type": "ApplicationComponent", "owner": "shopkeepers", "version": "2"},
    "site": {"type": "BusinessService", "owner": "", "version": "7"},
}
EDGES = {"e1": ("db", "api", "serving"), "e2": ("api", "site", "serving")}


def table(rows, columns):
    text = io.StringIO()
    writer = csv.DictWriter(text, ["key", *columns])
    writer.writeheader()
    writer.writerows({"key": key} | dict(zip(columns, row, strict=True)) for key, row in rows.items())
    return text.getvalue().encode()


def files(nodes=NODES, edges=EDGES):
    """The tables of a source, as a zip of nodes and edges."""
    tables = {
        "nodes": table({key: list(row.values()) for key, row in nodes.items()}, ["type", "owner", "version"]),
        "edges": table(edges, ["source", "target", "type"]),
    }
    return of_upload(zipped({name: SimpleUploadedFile(f"{name}.csv", content) for name, content in tables.items()}))


def moved(**changes):
    """The nodes with some that have other fields; None takes one away."""
    found = {key: dict(row) for key, row in NODES.items()}
    for key, fields in changes.items():
        if fields is None:
            del found[key]
        else:
            found[key] = found.get(key, {"type": "Node", "owner": "", "version": "1"}) | fields
    return found


@pytest.fixture
def shows(seeded, cast, now):
    """`shows(nodes, edges)` imports what the source shows, an hour after the time before; the first import applies."""
    hours = iter(range(1000))

    def imported(nodes=NODES, edges=EDGES, *, source="cmdb", mode="apply", actor=cast.max):
        when = now + timedelta(hours=next(hours))
        return import_architecture(files(nodes, edges), actor=actor, now=when, format="csv", source=source, mode=mode)

    Team.objects.create(slug="shopkeepers", name="Shopkeepers").members.add(cast.vera)
    imported()
    Source.objects.update(controlled=True)
    return imported


# Db moved, api is gone with both relations, cache is new and serves the site.
BURST = (moved(db={"version": "16"}, api=None, cache={"version": "1"}), {"e3": ("cache", "site", "serving")})


def keys(case, **more):
    return {(row.object, row.key, row.operation) for row in case.rows.filter(gone_at=None, **more)}


def events():
    return list(Event.objects.filter(action__startswith="drift.").order_by("pk").values_list("action", flat=True))


def test_a_burst_opens_one_case_and_writes_nothing(shows):
    before, revision, claims = snapshot(), Revision.objects.count(), set(Claim.objects.values_list("key", flat=True))
    run = shows(*BURST)
    case = DriftCase.objects.get()
    assert (run.state, run.drift_case, run.revision, case.state, case.source, case.run) == ("done", case.pk, None, "open", "cmdb", run)
    assert keys(case) == {
        ("component", "db", "update"), ("component", "api", "delete"), ("component", "cache", "create"),
        ("relation", "e1", "delete"), ("relation", "e2", "delete"), ("relation", "e3", "create"),
    }  # fmt: skip
    row = case.rows.get(key="db")
    assert (row.before["attributes"], row.after["attributes"]) == ({"version": "15"}, {"version": "16"})
    assert (snapshot(), Revision.objects.count(), set(Claim.objects.values_list("key", flat=True))) == (before, revision, claims)
    event = last_event("drift.opened")
    assert event["data"]["rows"] == 6 and {"path": "component:db.attributes.version", "before": "15", "after": "16"} in event["differences"]


def test_the_same_file_again_changes_nothing_but_when_it_was_seen(shows):
    shows(*BURST)
    before = {row.key: (row.pk, row.before, row.after, row.first_seen) for row in DriftRow.objects.all()}
    run = shows(*BURST)
    case = DriftCase.objects.get()
    assert events() == ["drift.opened"] and run.drift_case == case.pk
    assert {row.key: (row.pk, row.before, row.after, row.first_seen) for row in DriftRow.objects.all()} == before
    assert {row.last_seen for row in case.rows.all()} == {case.seen_at} and case.seen_at > case.opened_at


def test_a_later_import_adds_moves_and_removes_rows_of_the_same_case(shows):
    shows(*BURST)
    shows(moved(db={"version": "17"}, api={}, site={"version": "8"}), EDGES)
    case = DriftCase.objects.get()
    assert keys(case) == {("component", "db", "update"), ("component", "site", "update")}
    assert case.rows.filter(gone_at=case.seen_at).count() == 5 and case.rows.get(key="db").after["attributes"] == {"version": "17"}
    data = last_event("drift.updated")["data"]
    assert (data["added"], data["moved"], data["gone"], data["rows"]) == (1, 1, 5, 2)
    shows(*BURST)
    assert len(keys(case)) == 6 and case.rows.count() == 7
    assert case.rows.get(key="cache").first_seen > case.rows.get(key="db").first_seen


def test_the_case_closes_itself_when_nothing_differs_and_the_next_burst_opens_another(shows):
    shows(*BURST)
    run = shows()
    case = DriftCase.objects.get()
    assert (case.state, case.settled_at, run.drift_case, events()[-1]) == ("vanished", case.seen_at, case.pk, "drift.settled")
    assert shows().drift_case is None and len(events()) == 2
    shows(*BURST)
    assert DriftCase.objects.count() == 2


def test_a_preview_and_another_source_touch_no_case(shows):
    assert shows(*BURST, mode="preview").drift_case is None
    assert shows({"other": {"type": "Node", "owner": "", "version": "1"}}, {}, source="elsewhere").revision
    assert not DriftCase.objects.exists()


def test_a_kept_preview_that_is_applied_opens_the_case_too(shows, cast, now, settings):
    upload = SimpleUploadedFile("nodes.csv", b"key,type\ndb,Node\n")
    seen = import_architecture(of_upload(upload), actor=cast.max, now=now, format="csv", source="cmdb", mode="preview", file_name="nodes.csv")
    keep_for_apply(seen, upload)
    run = apply_preview(seen.pk, actor=cast.max, now=now)
    assert run.drift_case == DriftCase.objects.get().pk


def test_a_worker_opens_the_case_of_a_large_file_once(shows, cast, now):
    upload = SimpleUploadedFile("nodes.csv", b"key,type\ndb,Node\n")
    options = {"mapping": {}, "namespace": "", "create_types": True}
    run = queue_import(upload, actor=cast.max, now=now, format="csv", source="cmdb", mode="apply", options=options)
    for _ in range(2):
        assert finish_import(run.pk, now=now).drift_case == DriftCase.objects.get().pk
    assert events() == ["drift.opened"]


def test_a_malformed_file_leaves_the_case_as_it_was(shows, cast, now):
    shows(*BURST)
    with pytest.raises(Invalid):
        upload = SimpleUploadedFile("a.json", b"{")
        import_architecture(of_upload(upload), actor=cast.max, now=now, format="json", source="cmdb")
    assert ImportRun.objects.latest("pk").state == "failed" and ImportRun.objects.latest("pk").drift_case is None
    assert len(keys(DriftCase.objects.get())) == 6 and events() == ["drift.opened"]


def test_who_may_not_import_opens_nothing(shows, cast):
    with pytest.raises(NotPermitted):
        shows(*BURST, actor=cast.rita)
    assert not DriftCase.objects.exists()


def test_a_source_that_is_no_longer_controlled_applies_and_settles_its_case(shows):
    shows(*BURST)
    Source.objects.update(controlled=False)
    run = shows(*BURST)
    assert run.revision and run.drift_case is None
    assert DriftCase.objects.get().state == "vanished" and Component.objects.filter(key="cache").exists()


def test_bookkeeping_alone_is_no_drift(seeded, cast, now):
    def bring(references):
        text = json.dumps({"components": [{"key": "a", "type": "Node", "external_references": references}], "relations": []})
        upload = SimpleUploadedFile("a.json", text.encode())
        return import_architecture(of_upload(upload), actor=cast.max, now=now, format="json", source="own")

    bring(["x"])
    Source.objects.update(controlled=True)
    assert bring(["y"]).drift_case is None


def test_a_controlled_source_whose_things_are_all_gone_stays_controlled(shows):
    Claim.objects.all().delete()
    run = shows(*BURST)
    assert run.drift_case and run.revision is None and not Component.objects.filter(key="cache").exists()


# --- adopting ---


@pytest.fixture
def second(cast):
    """Paul is a change manager as well: somebody else than Max, who is asked to approve."""
    cast.paul.groups.add(Group.objects.get(name="change_manager"))
    return User.objects.get(pk=cast.paul.pk)


def implement(change, actor, cast, now):
    """Handed in by who adopted, and done by the people whose turn it is, up to the completion."""
    fields = {"owner": "max", "implementers": ["ian"], "testing_evidence": "Looked at."}
    edit.edit_change(change.number, fields, actor=actor, now=now, seen="*")
    decide(submit(change.number, actor=actor, now=now), now)
    begins = now + timedelta(hours=1)
    schedule(change.number, actor=cast.max, now=now, start=begins, end=begins + timedelta(hours=2), seen="*")
    start(change.number, actor=cast.ian, now=begins, seen="*")
    return complete(change.number, actor=cast.ian, now=begins, seen="*")


def test_adopting_makes_a_draft_that_when_implemented_settles_the_case(shows, second, cast, now):
    shows(*BURST)
    case = DriftCase.objects.get()
    done = adopt_drift(case.pk, actor=second, now=now)
    change = done.change
    assert (change.requester, change.state, change.title) == (second, "draft", "Adopt what cmdb shows: 2 added, 1 changed, 3 removed")
    assert "cmdb" in change.description and f"/drift/{case.pk}/" in change.description and done.left_out == []
    assert [(item.operation, item.key) for item in change.items.all()] == [
        ("create", "cache"), ("create", "e3"), ("update", "db"), ("delete", "e1"), ("delete", "e2"), ("delete", "api"),
    ]  # fmt: skip
    assert change.items.get(key="db").data == {"attributes": {"version": "16"}}
    assert (done.case.state, done.case.change) == ("adopting", change) and last_event("drift.adopted")["change"] == change.number
    with pytest.raises(NotPossible, match="adopts it already"):
        adopt_drift(case.pk, actor=cast.max, now=now)
    with pytest.raises(NotPossible, match="adopts it already"):
        revert_drift(case.pk, actor=cast.max, now=now, assignee="ian", due=now + timedelta(days=1))

    shows(*BURST)
    assert drift_case(case.pk).state == "adopting" and "drift.updated" not in events()
    assert implement(change, second, cast, now).state == "implemented"
    assert Component.objects.get(key="db").attributes == {"version": "16"} and not Relation.objects.filter(key="e2").exists()

    run = shows(*BURST)
    case = DriftCase.objects.get()
    assert (case.state, run.drift_case) == ("adopted", case.pk)
    claimed = set(Claim.objects.values_list("key", flat=True))
    assert "cache" in claimed and "e3" in claimed and "api" not in claimed
    shows(moved(db={"version": "16"}, api=None), {})
    assert keys(DriftCase.objects.first()) == {("component", "cache", "delete"), ("relation", "e3", "delete")}


def test_a_case_whose_adoption_was_given_up_is_open_again_and_may_be_adopted_once_more(shows, cast, now):
    shows(*BURST)
    case = DriftCase.objects.get()
    first = adopt_drift(case.pk, actor=cast.max, now=now).change
    cancel(first.number, actor=cast.max, now=now, reason="No.", seen="*")
    assert list(concerning(cast.ada, everything=True)) == [case]
    shows(*BURST)
    assert drift_case(case.pk).state == "open" and events()[-1] == "drift.updated"
    second = adopt_drift(case.pk, actor=cast.petra if may_adopt(case, actor=cast.petra).allowed else cast.max, now=now).change
    assert second != first


def test_adopting_takes_the_architecture_as_it_is_then(shows, cast, now):
    """What moved live since the import is left as it is, and what is so already needs no item."""
    shows(moved(db={"version": "16"}, site={"version": "8"}, api=None), {})
    edit_component("update", "db", {"users": 9, "attributes": {"version": "16"}}, actor=cast.ada, now=now)
    edit_component("update", "site", {"attributes": {"port": 1}}, actor=cast.ada, now=now)
    edit_component("create", "late", {"type": "Node"}, actor=cast.ada, now=now)
    edit_relation("create", "l1", {"source": "late", "target": "api", "type": "serving"}, actor=cast.ada, now=now)
    items = adopt_drift(DriftCase.objects.get().pk, actor=cast.max, now=now).change.items.all()
    assert [(item.operation, item.key) for item in items] == [
        ("update", "site"), ("delete", "e1"), ("delete", "e2"), ("delete", "l1"), ("delete", "api"),
    ]  # fmt: skip
    assert items[0].data == {"attributes": {"version": "8"}}


def test_what_no_item_can_say_is_left_out_with_its_reason(shows, cast, now):
    shows(moved(odd={"type": "Nobody knows it"}, db={"version": "16"}), {"e1": ("db", "site", "serving"), "e2": EDGES["e2"]})
    done = adopt_drift(DriftCase.objects.get().pk, actor=cast.max, now=now)
    assert [item.key for item in done.change.items.all()] == ["db"]
    assert {key: reason.split(":")[0].split(",")[0] for key, reason in done.left_out} == {
        "odd": "There is no component type 'Nobody knows it'.", "e1": "Its ends or its type moved",
    }  # fmt: skip
    assert "- e1: " in done.change.description


def test_where_nothing_can_be_adopted_no_change_is_made(shows, cast, now):
    shows(NODES, {"e1": ("db", "site", "serving"), "e2": EDGES["e2"]})
    with pytest.raises(NotPossible, match="None of it can be adopted by a change"):
        adopt_drift(DriftCase.objects.get().pk, actor=cast.max, now=now)
    assert not Change.objects.exists() and DriftCase.objects.get().state == "open"


# --- what an approved change explains ---


@pytest.fixture
def upgrade(shows, cast, now):
    """`upgrade(state, data)` is Rita's change of the database in that state."""

    def made(state, data, **fields):
        change = edit.create_change({"title": "Upgrade"} | fields, actor=cast.rita, now=now)
        item = {"operation": "update", "object": "component", "key": "db", "data": data}
        edit.add_items(change.number, [item], actor=cast.rita, now=now, seen=None)
        Change.objects.filter(pk=change.pk).update(state=state)
        write_documents([change.pk])
        return Change.objects.get(pk=change.pk)

    return made


@pytest.mark.parametrize("state", ["approved", "approved_with_conditions", "scheduled", "implementing"])
def test_what_an_approved_change_is_about_to_write_is_not_unrequested(upgrade, shows, state):
    upgrade(state, {"attributes": {"version": "16"}})
    assert shows(moved(db={"version": "16"})).drift_case is None and events() == []
    shows(moved(db={"version": "16"}, site={"version": "8"}))
    case = DriftCase.objects.get()
    found = requested([row.image for row in case.rows.all()])
    assert {key: change.title for key, change in found.items()} == {("component", "db"): "Upgrade"} and case.rows.count() == 2


@pytest.mark.parametrize(
    ("state", "data"),
    [
        ("draft", {"attributes": {"version": "16"}}),
        ("approved", {"attributes": {"version": "17"}}),
        ("approved", {"users": 5}),
        ("cancelled", {"users": 5}),
    ],
)
def test_what_is_not_approved_or_writes_something_else_explains_nothing(upgrade, shows, state, data):
    upgrade(state, data)
    assert shows(moved(db={"version": "16"})).drift_case


def test_what_an_approved_change_does_is_left_to_that_change(upgrade, shows, cast, now):
    upgrade("approved", {"attributes": {"version": "16"}})
    shows(moved(db={"version": "16"}, site={"version": "8"}))
    assert [item.key for item in adopt_drift(DriftCase.objects.get().pk, actor=cast.max, now=now).change.items.all()] == ["site"]


# --- reverting ---


def test_a_person_is_to_put_the_source_back_and_the_import_that_shows_it_settles_the_case(shows, cast, now):
    shows(*BURST)
    case = revert_drift(DriftCase.objects.get().pk, actor=cast.max, now=now, assignee="ian", due=now + timedelta(days=2), note=" Restore it. ")
    assert (case.state, case.assignee, case.note) == ("reverting", cast.ian, "Restore it.")
    event = last_event("drift.reverted")
    assert (event["data"]["assignee"], event["data"]["note"]) == ("ian", "Restore it.")
    assert list(concerning(cast.ian, everything=False)) == [case]
    shows(moved(db={"version": "16"}), EDGES)
    assert drift_case(case.pk).state == "reverting"
    shows()
    assert drift_case(case.pk).state == "reverted" and not Change.objects.exists()
    with pytest.raises(NotPossible, match="settled"):
        revert_drift(case.pk, actor=cast.max, now=now, assignee="ian", due=now + timedelta(days=2))


def test_what_is_being_reverted_may_be_adopted_instead_and_given_to_another(shows, cast, now):
    shows(*BURST)
    key = DriftCase.objects.get().pk
    for name in ("ian", "tina"):
        assert revert_drift(key, actor=cast.ada, now=now, assignee=name, due=now + timedelta(days=2)).assignee.username == name
    done = adopt_drift(key, actor=cast.max, now=now)
    assert (done.case.state, done.case.assignee, done.case.due_at) == ("adopting", None, None)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"assignee": "nobody"}, "assignee"), ({"assignee": ""}, "assignee"), ({"assignee": 5}, "assignee"), ({"assignee": "a\x00"}, "assignee"),
        ({"due": None}, "due"), ({"due": "past"}, "due"), ({"note": "x" * 2001}, "note"), ({"note": "\ud800"}, "note"),
    ],
)  # fmt: skip
def test_wrong_values_are_named_and_decide_nothing(shows, cast, now, given, field):
    shows(*BURST)
    fields = {"assignee": "ian", "due": now + timedelta(days=1), "note": ""} | given
    fields["due"] = now if fields["due"] == "past" else fields["due"]
    with pytest.raises(Invalid) as refused:
        revert_drift(DriftCase.objects.get().pk, actor=cast.max, now=now, **fields)
    assert list(refused.value.errors) == [field] and DriftCase.objects.get().state == "open"


# --- who decides ---


def test_importers_and_owners_of_everything_it_touches_decide(shows, cast, now):
    shows(moved(db={"version": "16"}))
    case = DriftCase.objects.get()
    assert {name: may_decide(case, actor=getattr(cast, name)).allowed for name in ("ada", "max", "ian", "vera", "rita", "aud", "olga")} == {
        "ada": True, "max": True, "ian": True, "vera": False, "rita": False, "aud": False, "olga": False,
    }  # fmt: skip
    assert not may_adopt(case, actor=cast.ian).allowed and not may_adopt(case, actor=cast.ada).allowed
    with pytest.raises(NotPermitted, match="role requester or change_manager"):
        adopt_drift(case.pk, actor=cast.ada, now=now)
    with pytest.raises(NotPermitted, match="owners of all components"):
        revert_drift(case.pk, actor=cast.vera, now=now, assignee="ian", due=now + timedelta(days=1))
    shows(moved(db={"version": "16"}, api={"version": "3"}))
    assert not may_decide(drift_case(case.pk), actor=cast.ian).allowed
    Component.objects.filter(key="api").update(owner="ian")
    assert may_decide(drift_case(case.pk), actor=cast.ian).allowed


def test_a_source_makes_nobody_the_owner_of_what_it_shows(shows, cast):
    shows(moved(new={"owner": "rita"}, db={"owner": "rita"}))
    assert not may_decide(DriftCase.objects.get(), actor=cast.rita).allowed


def test_a_case_that_is_not_there_is_not_found(seeded, cast, now):
    with pytest.raises(NotFound):
        adopt_drift(7, actor=cast.max, now=now)


def test_one_source_has_one_active_case(shows):
    shows(*BURST)
    case = DriftCase.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        DriftCase.objects.create(source="cmdb", run=case.run, opened_at=case.opened_at, seen_at=case.seen_at)


# --- who hears of it ---


def told(action):
    tell(Event.objects.filter(action=action).latest("pk").pk)
    rows = Notification.objects.filter(kind=action, channel="app").select_related("recipient")
    return {row.recipient.username: (row.title, row.url) for row in rows}


def test_owners_and_change_managers_hear_of_a_burst(shows, cast):
    shows(*BURST, actor=cast.ada)
    url = f"/drift/{DriftCase.objects.get().pk}/"
    assert told("drift.opened") == dict.fromkeys(("ian", "vera", "max"), ("cmdb shows what nobody requested", url))


def test_of_more_only_its_owners_hear_and_of_the_end_the_managers(shows, cast, now):
    shows(moved(db={"version": "16"}), actor=cast.ada)
    shows(moved(db={"version": "16"}, api={"version": "3"}), actor=cast.ada)
    assert told("drift.updated").keys() == {"vera"}
    revert_drift(DriftCase.objects.get().pk, actor=cast.max, now=now, assignee="tina", due=now + timedelta(days=1))
    assert told("drift.reverted").keys() == {"tina"}
    shows(actor=cast.ada)
    assert told("drift.settled").keys() == {"max", "tina"}
    assert "reverted" in Notification.objects.filter(kind="drift.settled")[0].text


def test_what_is_not_put_back_in_time_is_told_once_for_each_deadline(shows, cast, now):
    shows(*BURST, actor=cast.ada)
    key = DriftCase.objects.get().pk
    for days in (1, 3):
        due = now + timedelta(days=days)
        revert_drift(key, actor=cast.max, now=now, assignee="tina", due=due)
        act_on(due - timedelta(seconds=1))
        assert events().count("drift.overdue") == days // 2
        for _ in range(2):
            act_on(due)
            assert events().count("drift.overdue") == days // 2 + 1
    assert told("drift.overdue").keys() == {"max", "tina"}
    shows()
    act_on(now + timedelta(days=9))
    assert events().count("drift.overdue") == 2


def test_each_sees_the_cases_that_are_theirs_to_see_to(shows, cast, django_assert_num_queries):
    shows(moved(db={"version": "16"}))
    case = DriftCase.objects.get()
    with django_assert_num_queries(2):
        assert list(concerning(cast.ian, everything=False)) == [case] == list(concerning(cast.max, everything=True))
    assert list(concerning(cast.vera, everything=False)) == [] == list(concerning(cast.rita, everything=False))


def test_items_that_adopt_are_items_of_the_change_only(shows, cast, now):
    shows(*BURST)
    change = adopt_drift(DriftCase.objects.get().pk, actor=cast.max, now=now).change
    assert Item.objects.count() == change.items.count() == 6 and Component.objects.filter(key="api").exists()
