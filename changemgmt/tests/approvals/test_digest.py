"""What is signed of a change: every field of what is stored in its part and in no other, and one digest over what a level watches."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st

from changemgmt.approvals.models import PARTS as WATCHABLE
from changemgmt.changes import digest as signed
from changemgmt.changes.digest import PARTS, content_of, digest_of, parts_of
from changemgmt.changes.models import Assessment, Category, Change, Item, Link, Preview, Template
from changemgmt.lifecycle.edit.ties import store_file
from changemgmt.planning.actions import store_plan
from changemgmt.planning.rules import clean

from .making import a_change
from .test_what_votes_watch import OF_ITEMS, RECORD

DIGESTS = st.fixed_dictionaries({part: st.sampled_from(["a", "b"]) for part in PARTS})
WATCHED = st.one_of(st.none(), st.sets(st.sampled_from(WATCHABLE)))


@given(DIGESTS, DIGESTS, WATCHED)
def test_two_digests_are_the_same_exactly_when_all_that_is_watched_and_the_chain_are(one, two, watched):
    looked_at = {"chain", *(PARTS if watched is None else watched)}
    same = all(one[part] == two[part] for part in looked_at)
    assert (digest_of(one, watched) == digest_of(two, watched)) == same


@given(DIGESTS, st.permutations(PARTS), st.sets(st.sampled_from(WATCHABLE)))
def test_the_order_in_which_parts_are_named_says_nothing(parts, order, watched):
    shuffled = {name: parts[name] for name in order}
    assert digest_of(shuffled) == digest_of(parts)
    assert digest_of(shuffled, sorted(watched)) == digest_of(parts, sorted(watched, reverse=True))


def test_a_part_that_is_not_there_is_left_out_and_counts():
    assert digest_of({"texts": "a", "chain": "c"}) == digest_of({"texts": "a", "chain": "c"}, ["texts", "items"])
    assert digest_of({"texts": "a"}) != digest_of({"texts": "a", "items": "b"})


# --- what is stored ---


@pytest.fixture
def change(cast, now):
    """A change with a plan of two steps, an item that the first one names, a text to check and a criterion."""
    row = a_change(
        cast.rita, now, verification_checklist=[{"text": "It runs", "done": False}], success_criteria=[{"group": "technical", "text": "Fast"}]
    )
    item = Item.objects.create(change=row, operation="update", object="component", key="ledger", data={"owner": "one"})
    steps = [
        {"id": key, "name": key, "agent": "person", "action": "do it", "manual": True, "items": [item.pk] * (key == "one")} for key in ("one", "two")
    ]
    store_plan(row, clean({"steps": steps}, item_ids=[item.pk], custom={}))
    return fresh(row)


def fresh(change):
    return Change.objects.get(pk=change.pk)


def moved(change, before):
    """The parts of the stored change whose digests are others now."""
    after = parts_of(fresh(change))
    assert tuple(after) == PARTS
    return {part for part in after if after[part] != before[part]}


STORED = {
    "cost_estimate": Decimal("12.50"), "requested_start": timedelta(0), "requested_end": timedelta(hours=1), "category": "c", "template": "t",
    "org_unit": "payments", "requester": "petra", "implementers": None, "watchers": None, "owner": "petra", "parent": None,
}  # fmt: skip


def test_every_column_of_the_record_moves_its_part_and_no_other(cast, change, now):
    Category.objects.create(slug="c", name="C")
    Template.objects.create(slug="t", name="T")
    for name, (part, value) in RECORD.items():
        before, stored = parts_of(fresh(change)), STORED.get(name, value)
        if name == "implementers":
            change.implementers.add(cast.ian)
        elif name == "watchers":
            change.watchers.add(cast.vera)
        elif name == "parent":
            Change.objects.filter(pk=change.pk).update(parent=a_change(cast.rita, now))
        elif name == "requested_end":
            Change.objects.filter(pk=change.pk).update(requested_end=now + timedelta(hours=9))
        elif name == "requested_start":
            Change.objects.filter(pk=change.pk).update(requested_start=now, requested_end=now + timedelta(hours=5))
        elif name in ("requester", "owner"):
            Change.objects.filter(pk=change.pk).update(**{name: cast.petra})
        else:
            Change.objects.filter(pk=change.pk).update(**{name: stored})
        assert moved(change, before) == ({part} if part else set()), name


def test_the_chain_and_the_preview_are_parts_of_their_own(change):
    before = parts_of(change)
    Change.objects.filter(pk=change.pk).update(chain="Another v2")
    assert moved(change, before) == {"chain"}
    before = parts_of(fresh(change))
    Preview.objects.filter(change=change).update(result_digest="x" * 64)
    assert moved(change, before) == {"impact"}
    assert content_of(fresh(change))["impact"] == "x" * 64
    Preview.objects.filter(change=change).delete()
    assert content_of(fresh(change))["impact"] == ""


def test_every_field_of_an_item_is_signed(change):
    others = {
        "operation": "delete", "object": "relation", "key": "another", "source": "a", "target": "b", "relation_type": "flow",
        "data": {"owner": "two"}, "replace": True,
    }  # fmt: skip
    assert set(others) == OF_ITEMS
    change.plan.steps.update(items=[])
    for name, value in others.items():
        before = parts_of(fresh(change))
        change.items.update(**{name: value})
        assert moved(change, before) == {"items"}, name
    before = parts_of(fresh(change))
    change.items.update(position=7, before={"owner": "x"}, base_revision=99, layer="Business")
    assert moved(change, before) == set()


def test_every_field_of_the_plan_and_its_steps_is_signed_and_an_item_by_its_name(change):
    others = {
        "step_id": "uno", "name": "x", "agent": "migration", "action": "x", "parameters": {"x": 1}, "depends_on": ["two"], "timeout_seconds": 1,
        "retries": 0, "manual": False, "irreversible": True, "items": [], "verification": {"action": "x"}, "compensation": {"action": "x"},
    }  # fmt: skip
    assert content_of(change)["plan"]["steps"][0]["items"] == ["component:ledger"] and content_of(change)["plan"]["steps"][1]["items"] == []
    for name, value in others.items():
        before = parts_of(fresh(change))
        change.plan.steps.filter(position=change.plan.steps.first().position).update(**{name: value})
        assert moved(change, before) == {"plan"}, name
    for name, value in (("strategy", "canary"), ("on_failure", "hold"), ("gates", [{"name": "x"}])):
        before = parts_of(fresh(change))
        type(change.plan).objects.filter(pk=change.plan.pk).update(**{name: value})
        assert moved(change, before) == {"plan"}, name
    change.plan.steps.update(items=[99999])
    assert content_of(fresh(change))["plan"]["steps"][0]["items"] == [""], "an item that is gone has no name"


def test_texts_to_check_are_signed_and_what_is_ticked_is_not(change):
    before = parts_of(change)
    Change.objects.filter(pk=change.pk).update(
        verification_checklist=[{"text": "It runs", "done": True}],
        success_criteria=[{"group": "technical", "text": "Fast", "met": True, "note": "x"}],
    )
    assert moved(change, before) == set()
    for name, value in (
        ("verification_checklist", [{"text": "It walks", "done": True}]),
        ("success_criteria", [{"group": "process", "text": "Fast"}]),
        ("success_criteria", [{"group": "process", "text": "Slow"}]),
    ):
        before = parts_of(fresh(change))
        Change.objects.filter(pk=change.pk).update(**{name: value})
        assert moved(change, before) == {"texts"}, value


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"kind": "incident", "system": "jira", "target": "A", "url": ""}, {"kind": "problem", "system": "jira", "target": "A", "url": ""}),
        ({"kind": "incident", "system": "jira", "target": "A", "url": ""}, {"kind": "incident", "system": "snow", "target": "A", "url": ""}),
        ({"kind": "incident", "system": "jira", "target": "A", "url": ""}, {"kind": "incident", "system": "jira", "target": "B", "url": ""}),
        ({"kind": "incident", "system": "jira", "target": "A", "url": ""}, {"kind": "incident", "system": "jira", "target": "A", "url": "http://x/"}),
        ({"kind": "related", "other": 0}, {"kind": "related", "other": 1}),
    ],
)
@pytest.mark.django_db
def test_every_field_of_a_link_is_signed(cast, now, first, second):
    changes = [a_change(cast.rita, now) for _ in range(4)]
    found = []
    for change, fields in zip(changes, (first, second), strict=False):
        Link.objects.create(change=change, **{**fields, **({"other": changes[2 + fields["other"]]} if "other" in fields else {})})
        found.append(parts_of(change)["texts"])
    assert found[0] != found[1]


@pytest.mark.parametrize(("name", "content"), [("b.txt", b"one"), ("a.txt", b"two")])
@pytest.mark.django_db
def test_name_and_content_of_an_attachment_are_signed_and_the_order_of_files_is_not(cast, now, name, content):
    one, two = a_change(cast.rita, now), a_change(cast.rita, now)
    store_file(one, SimpleUploadedFile("a.txt", b"one"), by=cast.rita, now=now)
    store_file(two, SimpleUploadedFile(name, content), by=cast.rita, now=now)
    assert parts_of(one)["texts"] != parts_of(two)["texts"]
    store_file(one, SimpleUploadedFile(name, content), by=cast.rita, now=now)
    store_file(two, SimpleUploadedFile("a.txt", b"one"), by=cast.rita, now=now)
    assert parts_of(one)["texts"] == parts_of(two)["texts"]


@pytest.mark.django_db
def test_a_change_without_a_plan_is_signed_like_one_with_the_empty_plan(cast, now):
    change = a_change(cast.rita, now)
    before = content_of(Change.objects.get(pk=change.pk))["plan"]
    store_plan(change, clean({"steps": []}, item_ids=(), custom={}))
    assert content_of(Change.objects.get(pk=change.pk))["plan"] == before
    assert before == {
        "strategy": "all_at_once", "on_failure": "roll_back", "gates": [], "steps": [], "on_window_end": "finish", "implementers": [],
    }  # fmt: skip


def test_an_override_counts_for_its_own_version_only_and_the_last_one_wins(cast, change, now):
    def overridden(level, version):
        numbers = {"technical": 0.1, "business": 0.1, "overall": 0.1, "level": "low", "inputs_digest": ""}
        Assessment.objects.create(change=change, version=version, override_level=level, override_by=cast.max, at=now, **numbers)
        return content_of(fresh(change))["risk"]["override"]

    assert content_of(change)["risk"]["override"] == ""
    assert overridden("high", change.version + 1) == ""
    assert overridden("high", change.version) == "high"
    assert overridden("medium", change.version) == "medium"
    assert overridden("", change.version) == ""


def test_the_order_of_links_and_implementers_says_nothing(cast, now):
    found = []
    for order in (1, -1):
        change = a_change(cast.rita, now)
        for target in ("A", "B")[::order]:
            Link.objects.create(change=change, kind="incident", system="jira", target=target)
        for user in (cast.ian, cast.paul)[::order]:
            change.implementers.add(user)
        found.append(parts_of(fresh(change)))
    assert found[0] == found[1]


def test_evidence_of_a_condition_is_not_signed(cast, change, now):
    before = parts_of(change)
    store_file(change, SimpleUploadedFile("proof.txt", b"two"), by=cast.rita, now=now, evidence=True)
    assert moved(change, before) == set()


def test_what_is_signed_is_named_as_people_name_it(cast, change):
    change.implementers.set([cast.paul, cast.ian])
    Change.objects.filter(pk=change.pk).update(org_unit="payments", chain="Test chain v1")
    content = content_of(fresh(change))
    assert tuple(content) == PARTS
    assert content["plan"]["implementers"] == ["ian", "paul"]
    assert (content["risk"]["org_unit"], content["risk"]["requester"], content["chain"]) == ("payments", "rita", "Test chain v1")
    assert set(content["risk"]) == {name.removesuffix("_id") for name in signed.RISK} | {"requester", "override"}
    assert set(content["texts"]) == {*signed.TEXTS, "verification_checklist", "success_criteria", "attachments", "links"}
    assert set(content["window"]) == {"requested_start", "requested_end", "expected_downtime_minutes"}
