"""Whatever side a change is altered from, it is a material edit: the next version, its votes gone, its window released where that moved."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changemgmt.approvals.models import Seat, Vote
from changemgmt.changes.models import Authorship, CustomField, Link
from changemgmt.core.errors import NotPermitted, NotPossible, PreconditionMissing
from changemgmt.lifecycle import assess, edit, submit, vote
from changemgmt.lifecycle.import_items import import_items
from changemgmt.planning.queries import plan_of

from .. import estate

pytestmark = pytest.mark.django_db
CSV = b"operation,object,key,name,type,layer\ncreate,component,new/one,One,Node,technology\n"


@pytest.fixture
def shop(seeded, now):
    estate.build(now)
    CustomField.objects.create(name="ticket", label="Ticket")


def field(name, value):
    return lambda change, common: edit.edit_change(change.number, {name: value}, **common)


def with_plan(alter):
    def act(change, common):
        plan = plan_of(change)
        alter(plan)
        edit.set_plan(change.number, plan, **common)

    return act


def first_item(change) -> int:
    return change.items.order_by("pk").first().pk


EDITS = {
    "description": field("description", "More."),
    "justification": field("business_justification", "Another reason."),
    "test plan": field("test_plan", "Look twice."),
    "rollback plan": field("rollback_plan", "Hope."),
    "evidence of tests": field("testing_evidence", "None."),
    "checklist": field("verification_checklist", [{"text": "Look"}]),
    "criteria": field("success_criteria", [{"group": "technical", "text": "It runs"}]),
    "type": field("type", "major"),
    "category": field("category", "database"),
    "priority": field("priority", "low"),
    "urgency": field("urgency", "high"),
    "impact": field("impact", "high"),
    "cost": field("cost_estimate", "12.00"),
    "compliance": field("compliance_scope", ["sox"]),
    "org unit": field("org_unit", "payments"),
    "custom field": field("custom_fields", {"ticket": "T-1"}),
    "stakes": field("revenue_at_stake", 1),
    "reason for no items": field("no_items_reason", "Well."),
    "implementers": field("implementers", ["ian", "otto"]),
    "end of the window": field("on_window_end", "pause"),
    "downtime": field("expected_downtime_minutes", 5),
    "requested window": lambda change, common: edit.edit_change(
        change.number, {"requested_start": "2026-12-01T00:00:00Z", "requested_end": "2026-12-02T00:00:00Z"}, **common
    ),
    "answer about the business": lambda change, common: assess.answer(change.number, {"revenue": 0.5}, **common),
    "new item": lambda change, common: edit.add_items(
        change.number, [{"operation": "update", "object": "component", "key": "shop/api", "data": {"name": "A"}}], **common
    ),
    "altered item": lambda change, common: edit.change_item(change.number, first_item(change), {"data": {"attributes": {"version": "99"}}}, **common),
    "removed item": lambda change, common: edit.remove_item(change.number, first_item(change), **common),
    "imported item": lambda change, common: import_items(change.number, CSV, format="csv", **common),
    "attachment": lambda change, common: edit.attach(change.number, file=SimpleUploadedFile("a.txt", b"x"), **common),
    "link": lambda change, common: edit.link(change.number, {"kind": "incident", "target": "I-1"}, **common),
    "step": with_plan(lambda plan: plan["steps"][0].update(action="rm")),
    "way back of a step": with_plan(lambda plan: plan["steps"][0].update(compensation={"action": "nothing"})),
    "step that can't be undone": with_plan(lambda plan: plan["steps"][0].update(irreversible=True)),
    "order of the steps": with_plan(lambda plan: plan["steps"].reverse()),
    "gate": with_plan(lambda plan: plan.update(gates=[{"name": "g", "kind": "entry", "before": None, "criteria": {}}])),
    "what a failure leads to": with_plan(lambda plan: plan.update(on_failure="hold")),
}
KEEPS_WINDOW = {
    *(
        "description",
        "justification",
        "test plan",
        "rollback plan",
        "evidence of tests",
        "checklist",
        "criteria",
        "type",
        "category",
        "priority",
        "urgency",
    ),
    *("impact", "cost", "compliance", "org unit", "custom field", "stakes", "reason for no items", "answer about the business", "attachment", "link"),
}


@pytest.mark.parametrize("name", EDITS)
def test_votes_fall_with_every_edit_of_the_content(cast, shop, now, name):
    change = estate.in_review(cast, now)
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    voter = seat.people.first()
    vote.cast_vote(seat.pk, actor=voter, now=now, vote="approve", digest=seat.level.digest)
    common = {"actor": cast.rita, "now": now}
    with pytest.raises(PreconditionMissing):
        EDITS[name](change, {**common, "seen": None})
    EDITS[name](change, {**common, "seen": estate.fresh(change).etag})
    after = estate.fresh(change)
    assert (after.version, after.edits, after.state) == (2, 1, "in_review")
    assert not Vote.objects.filter(level__round__change=change, superseded=False).exists()
    assert Authorship.objects.filter(change=change, version=2, user=cast.rita).exists()


@pytest.mark.parametrize("name", sorted(EDITS.keys() - KEEPS_WINDOW | {"description", "type", "attachment", "link"}))
def test_no_edit_of_the_content_leaves_a_scheduled_change_ready_to_start(cast, shop, now, name):
    change = estate.scheduled(cast, now, begins=now + timedelta(hours=1), ends=now + timedelta(hours=3))
    EDITS[name](change, {"actor": cast.rita, "now": now, "seen": change.etag})
    after = estate.fresh(change)
    assert after.state == "in_review" and after.version == 2 and after.decided_at is None
    assert (after.planned_start is None) == (name not in KEEPS_WINDOW)


def test_nobody_without_a_part_in_it_and_nobody_once_it_runs_edits_the_content(cast, shop, now):
    change = estate.implementing(cast, now, begins=now, ends=now + timedelta(hours=3))
    for act in EDITS.values():
        for actor, refusal in ((cast.petra, NotPermitted), (cast.ada, NotPermitted), (cast.ian, NotPermitted), (cast.rita, NotPossible)):
            with pytest.raises(refusal):
                act(change, {"actor": actor, "now": now, "seen": change.etag})
    assert estate.fresh(change).etag == change.etag


def test_taking_an_attachment_or_a_link_away_is_an_edit_too(cast, shop, now):
    draft = estate.draft(cast, now)
    attachment = edit.attach(draft.number, file=SimpleUploadedFile("a.txt", b"x"), actor=cast.rita, now=now, seen=None)
    edit.link(draft.number, {"kind": "incident", "target": "I-1"}, actor=cast.rita, now=now, seen=None)
    submit.submit(draft.number, actor=cast.rita, now=now)
    edit.detach(draft.number, attachment.pk, actor=cast.rita, now=now, seen=estate.fresh(draft).etag)
    assert estate.fresh(draft).version == 2
    edit.unlink(draft.number, Link.objects.get().pk, actor=cast.rita, now=now, seen=estate.fresh(draft).etag)
    assert estate.fresh(draft).version == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "B"},
        {"tags": ["b"]},
        {"watchers": ["vera"]},
        {"owner": "selma"},
        {"external_references": [{"system": "snow", "id": "C1"}]},
        {"confidential": True},
    ],
)
def test_what_nobody_signs_makes_no_version_and_costs_no_vote(cast, shop, now, fields):
    change = estate.in_review(cast, now)
    seat = Seat.objects.filter(level__round__change=change, state="open").first()
    vote.cast_vote(seat.pk, actor=seat.people.first(), now=now, vote="approve", digest=seat.level.digest)
    edit.edit_change(change.number, fields, actor=cast.rita, now=now, seen=estate.fresh(change).etag)
    after = estate.fresh(change)
    assert after.version == 1 and Vote.objects.filter(level__round__change=change, superseded=False).count() == 1
