"""A change travels from draft to closed through the verbs alone: the spine, without any door."""

from datetime import timedelta

import pytest

from changemgmt.accounts.models import User
from changemgmt.approvals.models import Seat
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.models import Component, Relation
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.core.errors import NotPermitted, NotPossible, OutOfDate, PreconditionMissing, UnmetGuard
from changemgmt.execution.models import Execution
from changemgmt.lifecycle import cancel, close, complete, edit, obligations, revise, roll_back, schedule, start, steps, submit, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def estate(seeded, now):
    """Three components over two layers: the database serves the API, the API serves the checkout."""
    things = [
        ("shop/db", "Database", "Node", "technology"),
        ("shop/api", "API", "ApplicationComponent", "application"),
        ("shop/checkout", "Checkout", "BusinessProcess", "business"),
    ]
    operations = [
        Operation("create", "component", key, None, None, None, {"name": name, "type": type, "layer": layer, "criticality": 4})
        for key, name, type, layer in things
    ]
    for source, target in (("shop/db", "shop/api"), ("shop/api", "shop/checkout")):
        operations.append(Operation("create", "relation", f"{source}>{target}", source, target, "serving", {}))
    apply_operations(operations, actor="ada", now=now, reason="estate")


@pytest.fixture
def draft(cast, estate, now):
    """Rita's draft: a new version of the database and the end of one relation, done in two steps by Ian."""
    fields = {
        "title": "Upgrade the database",
        "business_justification": "Support ends.",
        "implementation_plan": "Upgrade in place.",
        "rollback_plan": "Restore the snapshot.",
        "testing_evidence": "Rehearsed.",
        "owner": "max",
        "implementers": ["ian"],
    }
    change = edit.create_change(fields, actor=cast.rita, now=now)
    items = [
        {"operation": "update", "object": "component", "key": "shop/db", "data": {"attributes": {"version": "16"}}},
        {"operation": "delete", "object": "relation", "key": "shop/api>shop/checkout"},
    ]
    change = edit.add_items(change.number, items, actor=cast.rita, now=now, seen=None)
    first, second = change.items.all()
    plan = {
        "steps": [
            {"id": "upgrade", "name": "Upgrade", "manual": True, "items": [first.pk], "compensation": {"action": "Restore"}},
            {
                "id": "cut",
                "name": "Cut",
                "manual": True,
                "items": [second.pk],
                "verification": {"action": "Look"},
                "compensation": {"action": "Connect"},
            },
        ]
    }
    return edit.set_plan(change.number, plan, actor=cast.rita, now=now, seen=None)


def decide(change, now, *, conditions_by=None):
    """Everybody who is asked approves, level after level, until nobody is asked any more."""
    while seat := Seat.objects.filter(level__round__change=change, state="open").exclude(power="advisory").order_by("pk").first():
        actor = seat.people.exclude(votes__level=seat.level).order_by("pk").first()
        conditions = [{"text": "Tell the desk", "due": "before_start", "evidence": "statement"}] if actor.username == conditions_by else []
        vote.cast_vote(seat.pk, actor=actor, now=now, vote="approve", digest=seat.level.digest, comment="Fine.", conditions=conditions)
    return Change.objects.get(pk=change.pk)


def scheduled(change, cast, now):
    """Approved by everybody and given a window that opens in an hour."""
    submit.submit(change.number, actor=cast.rita, now=now)
    decide(change, now)
    current = Change.objects.get(pk=change.pk)
    return schedule.schedule(change.number, actor=cast.max, now=now, start=now + timedelta(hours=1), end=now + timedelta(hours=3), seen=current.etag)


def snapshot():
    """The architecture without revisions and times."""
    components = {row["key"]: {name: value for name, value in row.items() if name not in ("id", "revision")} for row in Component.objects.values()}
    relations = {row["key"]: {name: value for name, value in row.items() if name not in ("id", "revision")} for row in Relation.objects.values()}
    return components, relations


def test_a_change_travels_from_draft_to_closed(cast, draft, now):
    submitted = submit.submit(draft.number, actor=cast.rita, now=now)
    assert submitted.state == "in_review" and submitted.risk_level and submitted.affected_count
    approved = decide(draft, now, conditions_by="max")
    assert approved.state == "approved_with_conditions"
    approved = schedule.schedule(
        draft.number, actor=cast.max, now=now, start=now + timedelta(hours=1), end=now + timedelta(hours=3), seen=approved.etag
    )
    later = now + timedelta(hours=1)
    with pytest.raises(UnmetGuard) as refused:
        start.start(draft.number, actor=cast.ian, now=later, seen=approved.etag)
    assert [guard.guard for guard in refused.value.guards] == ["conditions_before_start"]
    item = draft.action_items.get()
    obligations.give_evidence(item.pk, actor=item.owner, now=later, evidence={"kind": "statement", "text": "They know."})
    obligations.accept(item.pk, actor=cast.max, now=later, comment="")
    started = start.start(draft.number, actor=cast.ian, now=later, seen=Change.objects.get(pk=draft.pk).etag)
    execution = started.executions.get()
    for step in ("upgrade", "cut", "cut"):
        steps.finish_step(execution.pk, step, actor=cast.ian, now=later)
    done = complete.complete(draft.number, actor=cast.ian, now=later, seen=started.etag)
    assert done.state == "implemented" and execution.tasks.filter(state="succeeded").count() == 3
    assert Component.objects.get(key="shop/db").attributes == {"version": "16"} and not Relation.objects.filter(key="shop/api>shop/checkout").exists()
    closed = close.close(draft.number, actor=cast.max, now=later, result="successful", seen=done.etag)
    assert closed.state == "closed"
    recorded = list(Event.objects.filter(change=draft.number).order_by("sequence").values_list("action", flat=True))
    wanted = ["change.created", "change.submitted", "change.review_begun", "change.approved_with_conditions", "change.scheduled", "change.started"]
    assert [action for action in recorded if action in wanted] == wanted and recorded[-1] == "change.closed"


def test_a_step_that_fails_after_an_applying_one_leaves_the_architecture_as_it_was(cast, draft, now):
    before = snapshot()
    change = scheduled(draft, cast, now)
    later = now + timedelta(hours=1)
    execution = start.start(draft.number, actor=cast.ian, now=later, seen=change.etag).executions.get()
    steps.finish_step(execution.pk, "upgrade", actor=cast.ian, now=later)
    assert snapshot() != before
    steps.fail_step(execution.pk, "cut", actor=cast.ian, now=later, reason="It broke.")
    undo = Execution.objects.get(pk=execution.pk)
    assert undo.state == "rolling_back" and Change.objects.get(pk=draft.pk).state == "implementing"
    with pytest.raises(NotPossible):
        steps.finish_step(execution.pk, "upgrade", actor=cast.ian, now=later, kind="compensate")
    for step in ("cut", "upgrade"):
        steps.finish_step(execution.pk, step, actor=cast.ian, now=later)
    change = Change.objects.get(pk=draft.pk)
    assert change.state == "rolled_back" and change.result == "rolled_back" and snapshot() == before


def test_an_implemented_change_can_be_rolled_back(cast, draft, now):
    before = snapshot()
    change = scheduled(draft, cast, now)
    later = now + timedelta(hours=1)
    change = start.start(draft.number, actor=cast.ian, now=later, seen=change.etag)
    execution = change.executions.get()
    for step in ("upgrade", "cut", "cut"):
        steps.finish_step(execution.pk, step, actor=cast.ian, now=later)
    change = complete.complete(draft.number, actor=cast.ian, now=later, seen=change.etag)
    roll_back.roll_back(draft.number, actor=cast.max, now=later, reason="Errors appeared.", seen=change.etag)
    assert Change.objects.get(pk=draft.pk).state == "implemented"
    for step in ("cut", "upgrade"):
        steps.finish_step(execution.pk, step, actor=cast.ian, now=later, kind="compensate")
    assert Change.objects.get(pk=draft.pk).state == "rolled_back" and snapshot() == before


def test_the_requester_and_the_implementer_can_never_vote(cast, draft, now):
    for name in ("rita", "ian"):
        User.objects.get(username=name).groups.add(*cast.paul.groups.all())
    submit.submit(draft.number, actor=cast.rita, now=now)
    seat = Seat.objects.filter(level__round__change=draft, state="open").first()
    for actor in (cast.rita, cast.ian, cast.olga, cast.ada):
        with pytest.raises(NotPermitted):
            vote.cast_vote(seat.pk, actor=User.objects.get(pk=actor.pk), now=now, vote="approve", digest=seat.level.digest)


def test_a_material_edit_in_review_makes_a_new_version_and_asks_again(cast, draft, now):
    submit.submit(draft.number, actor=cast.rita, now=now)
    seat = Seat.objects.filter(level__round__change=draft, state="open").first()
    vote.cast_vote(seat.pk, actor=seat.people.first(), now=now, vote="approve", digest=seat.level.digest)
    change = Change.objects.get(pk=draft.pk)
    with pytest.raises(PreconditionMissing):
        edit.edit_change(draft.number, {"description": "More."}, actor=cast.rita, now=now, seen=None)
    with pytest.raises(OutOfDate):
        edit.edit_change(draft.number, {"description": "More."}, actor=cast.rita, now=now, seen="1.99")
    edit.edit_change(draft.number, {"description": "More."}, actor=cast.rita, now=now, seen=change.etag)
    change = Change.objects.get(pk=draft.pk)
    assert change.version == 2 and change.state == "in_review" and change.rounds.count() == 2
    assert change.rounds.first().levels.first().votes.get().superseded


def test_a_title_is_not_material(cast, draft, now):
    submit.submit(draft.number, actor=cast.rita, now=now)
    change = Change.objects.get(pk=draft.pk)
    edit.edit_change(draft.number, {"title": "A better title", "tags": ["db"]}, actor=cast.rita, now=now, seen=change.etag)
    change = Change.objects.get(pk=draft.pk)
    assert change.version == 1 and change.rounds.count() == 1


def test_what_was_taken_back_or_cancelled_has_no_open_request_left(cast, draft, now):
    submit.submit(draft.number, actor=cast.rita, now=now)
    change = revise.revise(draft.number, actor=cast.rita, now=now, seen=Change.objects.get(pk=draft.pk).etag)
    assert change.state == "draft" and change.version == 2
    assert not Seat.objects.filter(level__round__change=draft, state="open").exists()
    submit.submit(draft.number, actor=cast.rita, now=now)
    cancel.cancel(draft.number, actor=cast.rita, now=now, reason="Not needed.", seen=Change.objects.get(pk=draft.pk).etag)
    assert Change.objects.get(pk=draft.pk).state == "cancelled"
    assert not Seat.objects.filter(level__round__change=draft, state="open").exists()
