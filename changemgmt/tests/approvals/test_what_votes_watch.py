"""Every way to edit a change, and exactly which votes fall by it: each level here watches one part, and one watches all.

The tables below name every field of the record, of items, plan, steps, links and attachments. A field that is new and stands
in none of them fails the build: say which part it belongs to, or that it is in none, and why.
"""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changemgmt.approvals.models import PARTS as WATCHABLE
from changemgmt.approvals.models import ActionItem, Vote
from changemgmt.architecture.models import Component
from changemgmt.changes.digest import PARTS, content_of, parts_of
from changemgmt.changes.fields import FIELDS, NOT_MATERIAL
from changemgmt.changes.models import Attachment, Category, Change, CustomField, Item, Link, Template
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.assess import answer, override
from changemgmt.lifecycle.discuss import add_comment, unwatch, watch
from changemgmt.lifecycle.edit.ties import store_file
from changemgmt.lifecycle.edit_architecture import edit_component
from changemgmt.lifecycle.reopen_review import rebase
from changemgmt.planning.actions import store_plan
from changemgmt.planning.models import Plan, Step
from changemgmt.planning.rules import clean

from .making import a_chain, a_change, a_level, a_seat, in_review, vote_of

pytestmark = pytest.mark.needs_sqlite

VOTERS = {"texts": "tina", "items": "omar", "impact": "bea", "risk": "sam", "plan": "quinn", "window": "arno"}
GROUPS = {
    "tina": "technical_lead",
    "omar": "operations_lead",
    "bea": "business_lead",
    "sam": "security_lead",
    "quinn": "quality_lead",
    "arno": "architect",
}
NONE = ""
"""In no part: nobody votes on it, so no vote falls by it."""

# --- the tables ---

RECORD = {
    "title": (NONE, "Move the general ledger"),
    "description": ("texts", "Another description"),
    "type": ("risk", "major"),
    "category": ("risk", "infrastructure"),
    "priority": ("risk", "low"),
    "template": ("risk", "a-template"),
    "confidential": (NONE, True),
    "requester": ("risk", "petra"),
    "owner": (NONE, "vera"),
    "implementers": ("plan", ["ian"]),
    "watchers": (NONE, ["vera"]),
    "org_unit": ("risk", "payments"),
    "parent": (NONE, "the parent"),
    "business_justification": ("texts", "It pays"),
    "urgency": ("risk", "high"),
    "impact": ("risk", "very_high"),
    "cost_estimate": ("risk", "12.50"),
    "revenue_at_stake": ("risk", 0.5),
    "reputation_at_stake": ("risk", 0.25),
    "implementation_plan": ("texts", "First this, then that"),
    "test_plan": ("texts", "Look at it"),
    "communication_plan": ("texts", "Tell them"),
    "rollback_plan": ("texts", "Undo it"),
    "testing_evidence": ("texts", "It was green"),
    "rollback_rehearsed": ("risk", True),
    "verification_checklist": ("texts", [{"text": "The ledger balances", "done": False}]),
    "success_criteria": ("texts", [{"group": "business", "text": "Nobody calls", "met": None}]),
    "compliance_scope": ("risk", ["sox"]),
    "tags": (NONE, ["quarter"]),
    "custom_fields": ("risk", {"ledger": "general"}),
    "external_references": (NONE, [{"system": "jira", "id": "X-1", "url": None}]),
    "no_items_reason": ("texts", "Only paper moves"),
    "on_window_end": ("plan", "pause"),
    "requested_start": ("window", "2026-12-01T10:00:00Z"),
    "requested_end": ("window", "2026-12-01T14:00:00Z"),
    "expected_downtime_minutes": ("window", 30),
}
"""Each writable field of the record: its part, and another value. The requested window is edited whole."""

NOT_WRITTEN = {
    "id": "key", "number": "key", "imported": "origin", "copied_from": "origin", "document": "how it is shown",
    "state": "the process", "version": "the process", "edits": "the process", "digest": "what signs the parts", "approval_expires_at": "the process",
    "retrospective": "the process", "go_ahead_by": "the process", "planned_start": "result of schedule", "planned_end": "result of schedule",
    "actual_start": "result", "actual_end": "result", "result": "result", "review": "result", "risk_level": "computed from risk and items",
    "risk_score": "computed from risk and items", "affected_count": "computed: impact", "irreversible_steps": "computed: plan",
    "created_at": "moment", "updated_at": "moment", "submitted_at": "moment", "decided_at": "moment", "closed_at": "moment",
    "chain": "a part of its own, written by the round",
}  # fmt: skip
"""Columns of the record that nobody writes as content, and what they are."""

OF_ITEMS = {"operation", "object", "key", "source", "target", "relation_type", "data", "replace"}
ITEM_NOT_SIGNED = {"id", "change", "position", "before", "base_revision", "layer"}
"""The place in the list and what the architecture was like: the first says nothing, the second is in the preview's digest (impact)."""

OF_PLAN = {"strategy": "canary", "on_failure": "hold", "gates": [{"name": "Green", "kind": "entry", "before": "one", "criteria": {}}]}
PLAN_NOT_SIGNED = {"id", "change"}
OF_STEPS = {
    "step_id": "uno", "name": "Another name", "agent": "migration", "action": "do it otherwise", "parameters": {"x": 1}, "depends_on": ["two"],
    "timeout_seconds": 60, "retries": 1, "manual": False, "irreversible": True, "items": "the item",
    "verification": {"action": "look", "parameters": {}}, "compensation": {"action": "undo", "parameters": {}},
}  # fmt: skip
STEP_NOT_SIGNED = {"id", "plan", "position"}
"""The order of the steps is signed by their order in the list."""

OF_LINKS = {"kind", "target", "other", "system", "url"}
OF_ATTACHMENTS = {"name", "sha256"}
ATTACHMENT_NOT_SIGNED = {"id", "uuid", "change", "file", "size", "content_type", "by", "at", "evidence"}
"""Name and hash say which file it is; evidence of a condition is no content of the change."""


def columns(model):
    return {field.name for field in model._meta.get_fields() if not field.auto_created and not field.one_to_many} | {"id"}


def test_every_field_of_a_change_has_its_part_declared_here():
    assert set(RECORD) == set(FIELDS), "a writable field without a part"
    assert set(RECORD) | set(NOT_WRITTEN) == columns(Change), "a column that is neither written nor known here"
    assert {name for name, (part, _) in RECORD.items() if part == NONE} == set(NOT_MATERIAL)
    assert {part for part, _ in RECORD.values()} - {NONE} <= set(PARTS)


def test_every_field_of_what_hangs_on_a_change_has_its_part_declared_here():
    assert columns(Item) == OF_ITEMS | ITEM_NOT_SIGNED
    assert set(OF_PLAN) | PLAN_NOT_SIGNED == columns(Plan)
    assert set(OF_STEPS) | STEP_NOT_SIGNED == columns(Step)
    assert OF_LINKS | {"id", "change"} == columns(Link)
    assert columns(Attachment) == OF_ATTACHMENTS | ATTACHMENT_NOT_SIGNED


def test_a_level_can_watch_every_part_and_the_chain_always_counts():
    assert (*WATCHABLE, "chain") == PARTS
    assert set(VOTERS) == set(WATCHABLE)


# --- a change in review, voted on part by part ---


@pytest.fixture
def ground(cast, seeded, now):
    """What the other values name: a category, a template, a custom field, a parent."""
    Category.objects.get_or_create(slug="infrastructure", defaults={"name": "Infrastructure"})
    Template.objects.create(slug="a-template", name="A template", type="normal")
    CustomField.objects.create(name="ledger", label="Ledger")


@pytest.fixture
def voted(cast, ground, now):
    """A change whose levels watch one part each and are approved; one that watches all is open still."""
    watching = [a_level(a_seat(GROUPS[name], part), name=part, watches=[part]) for part, name in VOTERS.items()]
    a_chain(*watching, a_level(a_seat("ecab", "rest"), name="rest"))
    change = a_change(cast.rita, now, owner=cast.max)
    store_plan(change, clean({"steps": [a_step("one"), a_step("two")]}, item_ids=(), custom={}))
    return vote_on(change, cast, now)


def vote_on(change, cast, now):
    round = in_review(Change.objects.get(pk=change.pk), now)
    for part, name in VOTERS.items():
        vote_of(round, part, getattr(cast, name), now)
    assert Change.objects.get(pk=change.pk).state == "in_review"
    return Change.objects.get(pk=change.pk)


def a_step(key, **more):
    return {"id": key, "name": key, "agent": "person", "action": "do it", "manual": True, **more}


def edit_plan(change, plan, cast, now):
    edit.set_plan(change.number, plan, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)


def standing(change):
    """Parts whose vote counts in the newest round."""
    round = change.rounds.last()
    return set(Vote.objects.filter(level__round=round, superseded=False).values_list("level__name", flat=True))


def fallen(change):
    """Parts whose vote counts no more. A vote counts in one place or none, and a superseded one says why."""
    stand = standing(change)
    went_on = Vote.objects.filter(level__round__change=change, carried_from__isnull=False).values("carried_from")
    for vote in Vote.objects.filter(level__round__change=change).exclude(pk__in=went_on).exclude(level__name__in=stand):
        assert vote.superseded and vote.superseded_why
    live = Vote.objects.filter(level__round__change=change, superseded=False, level__round=change.rounds.last())
    assert all(vote.level.state == "approved" for vote in live.select_related("level"))
    return set(VOTERS) - stand


def edited(change, fields, cast, now, *, actor=None):
    edit.edit_change(change.number, fields, actor=actor or cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)


def other_value(name, cast, now):
    value = RECORD[name][1]
    return a_change(cast.petra, now).number if value == "the parent" else value


@contextmanager
def tried():
    """Do something and take it back, so that the next thing is tried on the same ground."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


SINGLE = [name for name in RECORD if not name.startswith("requested_")]


@pytest.mark.django_db
def test_an_edit_of_any_field_of_the_record_lets_exactly_the_votes_fall_that_watch_its_part(cast, voted, now):
    for name in SINGLE:
        with tried():
            edited(voted, {name: other_value(name, cast, now)}, cast, now, actor=cast.max if name == "requester" else None)
            part, after = RECORD[name][0], Change.objects.get(pk=voted.pk)
            assert fallen(voted) == ({part} if part else set()), name
            assert after.version == voted.version + bool(part), name
            assert after.state == "in_review", name


@pytest.mark.django_db
def test_an_edit_of_the_requested_window_lets_exactly_the_votes_fall_that_watch_it(cast, voted, now):
    edited(voted, {name: RECORD[name][1] for name in ("requested_start", "requested_end")}, cast, now)
    assert fallen(voted) == {"window"}
    vote_of(voted.rounds.last(), "window", cast.arno, now)
    edited(voted, {"requested_end": "2026-12-01T15:00:00Z"}, cast, now)
    assert fallen(voted) == {"window"}
    vote_of(voted.rounds.last(), "window", cast.arno, now)
    edited(voted, {"requested_start": "2026-12-01T09:00:00Z"}, cast, now)
    assert fallen(voted) == {"window"}


@pytest.mark.django_db
def test_the_same_value_again_lets_no_vote_fall(cast, voted, now):
    for name in SINGLE:
        field, value = Change._meta.get_field(name), getattr(voted, name)
        if field.many_to_many:
            value = [user.username for user in value.all()]
        elif field.is_relation and value is not None:
            value = value.username if hasattr(value, "username") else value.slug
        with tried():
            edited(voted, {name: value}, cast, now, actor=cast.max if name == "requester" else None)
            assert fallen(voted) == set() and Change.objects.get(pk=voted.pk).version == voted.version, name


@pytest.mark.django_db
def test_an_edit_of_the_plan_or_of_any_field_of_a_step_lets_exactly_the_votes_on_the_plan_fall(cast, voted, now):
    plans = [{"steps": [a_step("one"), a_step("two")], name: value} for name, value in OF_PLAN.items()]
    for name in set(OF_STEPS) - {"items", "manual"}:
        more = {"manual": False} if name == "agent" else {}
        plans.append({"steps": [a_step("one", **{"id" if name == "step_id" else name: OF_STEPS[name]}, **more), a_step("two")]})
    for plan in plans:
        with tried():
            edit_plan(voted, plan, cast, now)
            assert fallen(voted) == {"plan"}, plan
    edit_plan(voted, {"steps": [a_step("one", agent="migration"), a_step("two")]}, cast, now)
    vote_again(voted, cast, now)
    edit_plan(voted, {"steps": [a_step("one", agent="migration", manual=False), a_step("two")]}, cast, now)
    assert fallen(voted) == {"plan"}, "a person instead of a machine"


@pytest.mark.django_db
def test_steps_added_taken_away_or_in_another_order_let_the_votes_on_the_plan_fall_and_the_same_plan_none(cast, voted, now):
    edit_plan(voted, {"steps": [a_step("one"), a_step("two")]}, cast, now)
    assert fallen(voted) == set()
    for steps in (["two", "one"], ["two", "one", "three"], ["one"]):
        edit_plan(voted, {"steps": [a_step(key) for key in steps]}, cast, now)
        assert fallen(voted) == {"plan"}
        vote_of(voted.rounds.last(), "plan", cast.quinn, now)


@pytest.mark.django_db
def test_links_and_attachments_are_texts_and_the_evidence_of_a_condition_is_nothing(cast, voted, now):
    def again():
        assert fallen(voted) == {"texts"}
        vote_of(voted.rounds.last(), "texts", cast.tina, now)
        assert fallen(voted) == set()
        return {"actor": cast.rita, "now": now, "seen": Change.objects.get(pk=voted.pk).etag}

    frame = {"actor": cast.rita, "now": now, "seen": voted.etag}
    file = edit.attach(voted.number, file=SimpleUploadedFile("a.txt", b"one"), **frame)
    frame = again()
    edit.detach(voted.number, file.pk, **frame)
    frame = again()
    tie = edit.link(voted.number, {"kind": "incident", "system": "jira", "target": "INC-1", "url": "https://example.org/1"}, **frame)
    frame = again()
    edit.link(voted.number, {"kind": "incident", "system": "jira", "target": "INC-1"}, **frame)
    frame["seen"] = Change.objects.get(pk=voted.pk).etag
    assert fallen(voted) == set(), "it is there already"
    edit.unlink(voted.number, tie.pk, **frame)
    frame = again()
    other = a_change(cast.petra, now)
    edit.link(voted.number, {"kind": "depends_on", "target": other.number}, **frame)
    again()
    store_file(Change.objects.get(pk=voted.pk), SimpleUploadedFile("proof.txt", b"two"), by=cast.rita, now=now, evidence=True)
    edited(voted, {"title": "Otherwise"}, cast, now)
    assert fallen(voted) == set()


@pytest.mark.django_db
def test_comments_watching_ticks_and_evidence_let_no_vote_fall(cast, voted, now):
    add_comment(voted.number, "Well done @max", actor=cast.paul, now=now)
    watch(voted.number, "vera", actor=cast.rita, now=now)
    unwatch(voted.number, "vera", actor=cast.rita, now=now)
    assert fallen(voted) == set()
    change = Change.objects.get(pk=voted.pk)
    change.verification_checklist, change.success_criteria = (
        [{"text": "It runs", "done": False}],
        [{"group": "technical", "text": "Fast", "met": None}],
    )
    before = parts_of(change)
    change.verification_checklist, change.success_criteria = (
        [{"text": "It runs", "done": True}],
        [{"group": "technical", "text": "Fast", "met": True, "note": "x"}],
    )
    assert parts_of(change) == before, "results are in no part"
    change.success_criteria = [{"group": "process", "text": "Fast", "met": None}]
    assert parts_of(change) != before


@pytest.mark.django_db
def test_answers_about_the_risk_and_an_override_let_exactly_the_votes_on_the_risk_fall(cast, voted, now):
    answer(voted.number, {"revenue": 0.75}, actor=cast.rita, now=now, seen=voted.etag)
    assert fallen(voted) == {"risk"}
    vote_of(voted.rounds.last(), "risk", cast.sam, now)
    for level in ("high", "medium", None):
        override(voted.number, actor=cast.max, now=now, level=level, reason="I know more", seen=Change.objects.get(pk=voted.pk).etag)
        assert fallen(voted) == {"risk"}
        vote_of(voted.rounds.last(), "risk", cast.sam, now)


# --- items and what they reach ---


@pytest.fixture
def itemed(archisurance, cast, ground, voted, now):
    """The same with an item in it, and a step that names it."""
    key = component()
    edit.add_items(voted.number, [{"operation": "update", "object": "component", "key": key, "data": {"owner": "one"}}], **frame(voted, cast, now))
    vote_again(voted, cast, now)
    return Change.objects.get(pk=voted.pk)


def component(place=0):
    return Component.objects.order_by("key")[place].key


def frame(change, cast, now):
    return {"actor": cast.rita, "now": now, "seen": Change.objects.get(pk=change.pk).etag}


def vote_again(change, cast, now):
    for part in sorted(fallen(change)):
        vote_of(change.rounds.last(), part, getattr(cast, VOTERS[part]), now)
    assert fallen(change) == set()


@pytest.mark.django_db
def test_every_edit_of_items_lets_exactly_the_votes_on_items_and_their_impact_fall(cast, itemed, now):
    item = itemed.items.get()
    edit.change_item(itemed.number, item.pk, {"data": {"owner": "two"}}, **frame(itemed, cast, now))
    assert fallen(itemed) == {"items", "impact"}
    vote_again(itemed, cast, now)
    edit.change_item(itemed.number, item.pk, {"data": {"owner": "two"}}, **frame(itemed, cast, now))
    assert fallen(itemed) == set(), "it says that already"
    more = {"operation": "update", "object": "component", "key": component(1), "data": {"owner": "x"}}
    edit.add_items(itemed.number, [more], **frame(itemed, cast, now))
    assert fallen(itemed) == {"items", "impact"}
    vote_again(itemed, cast, now)
    edit.remove_item(itemed.number, itemed.items.get(key=component(1)).pk, **frame(itemed, cast, now))
    assert fallen(itemed) == {"items", "impact"}


@pytest.mark.django_db
def test_a_step_that_names_an_item_is_signed_by_the_items_name(cast, itemed, now):
    item = itemed.items.get()
    edit_plan(itemed, {"steps": [a_step("one", items=[item.pk]), a_step("two")]}, cast, now)
    assert fallen(itemed) == {"plan"}
    assert content_of(Change.objects.get(pk=itemed.pk))["plan"]["steps"][0]["items"] == [f"component:{item.key}"]


@pytest.mark.django_db
def test_an_architecture_that_moves_within_reach_lets_exactly_the_votes_on_the_impact_fall(cast, itemed, now):
    edit_component("update", itemed.items.get().key, {"owner": "zero"}, actor=cast.ada, now=now)
    rebase(itemed.number, now=now + timedelta(minutes=1))
    assert fallen(itemed) == {"impact"}


# --- together ---


@pytest.mark.django_db
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(names=st.sets(st.sampled_from(sorted(set(RECORD) - {"requester", "requested_start", "requested_end", "template"})), min_size=1, max_size=5))
def test_several_fields_at_once_let_the_votes_of_all_their_parts_fall_and_no_other(cast, voted, now, names):
    with tried():
        edited(voted, {name: other_value(name, cast, now) for name in names}, cast, now)
        assert fallen(voted) == {RECORD[name][0] for name in names} - {NONE}


@pytest.mark.django_db
def test_one_after_the_other_falls_and_what_was_voted_again_stands(cast, voted, now):
    for name in ("description", "priority", "implementers", "expected_downtime_minutes", "tags", "rollback_plan"):
        edited(voted, {name: RECORD[name][1]}, cast, now)
        part = RECORD[name][0]
        assert fallen(voted) == ({part} if part else set())
        vote_again(voted, cast, now)


@pytest.mark.django_db
def test_an_edit_that_does_not_come_to_its_end_lets_no_vote_fall(cast, voted, now, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("the lights went out")

    monkeypatch.setattr("changemgmt.lifecycle.edit.editing.settle_rights", broken)
    with pytest.raises(RuntimeError):
        edited(voted, {"description": "Another"}, cast, now)
    assert fallen(voted) == set() and Change.objects.get(pk=voted.pk).version == voted.version
    assert not Vote.objects.filter(superseded=True).exists()


@pytest.mark.django_db
def test_what_a_vote_demanded_falls_with_it_and_stays_with_one_that_is_carried(cast, ground, now):
    levels = [a_level(a_seat(GROUPS[VOTERS[part]], part), name=part, watches=[part]) for part in ("texts", "window")]
    a_chain(*levels, a_level(a_seat("ecab", "rest"), name="rest"))
    change = a_change(cast.rita, now)
    round = in_review(change, now)
    for part in ("texts", "window"):
        vote_of(round, part, getattr(cast, VOTERS[part]), now, conditions=[{"text": f"mind the {part}"}])
    edited(change, {"description": "Another"}, cast, now)
    states = dict(ActionItem.objects.filter(change=change).values_list("text", "state"))
    assert states == {"mind the texts": "waived", "mind the window": "open"}


@pytest.mark.django_db
def test_an_approved_change_is_asked_again_only_about_what_moved(cast, voted, now):
    round = voted.rounds.last()
    vote_of(round, "rest", cast.eva, now)
    assert Change.objects.get(pk=voted.pk).state == "approved"
    edited(voted, {"expected_downtime_minutes": 5}, cast, now)
    again = Change.objects.get(pk=voted.pk)
    assert again.state == "in_review" and fallen(again) == {"window"}
    assert {level.name for level in again.rounds.last().levels.filter(state="open")} == {"window", "rest"}
