"""Any small architecture and any changes of it: the preview is what applying leaves, reverting is the way back, independent changes know no order."""

import json
from itertools import permutations

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.exports import as_json
from changemgmt.architecture.models import Component, Relation
from changemgmt.architecture.queries import cascade, current_revision
from changemgmt.architecture.rules import RELATION_END, Operation
from changemgmt.architecture.trust import said_now
from changemgmt.core.errors import NotPossible
from changemgmt.core.time import rfc3339
from changemgmt.preview.actions import apply_items, revert_items
from changemgmt.preview.compute import compute
from changemgmt.preview.queries import drift_of

from .conftest import NOW

pytestmark = pytest.mark.django_db
small = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

VALUES = st.none() | st.integers(0, 3) | st.booleans() | st.text("ab", max_size=2) | st.lists(st.integers(0, 2), max_size=2)
FIELDS = {
    "name": st.text("ab", max_size=3),
    "owner": st.sampled_from(["", "ops", "db"]),
    "criticality": st.integers(1, 5),
    "users": st.integers(0, 9),
    "status": st.sampled_from(["planned", "live", "retired"]),
    "tags": st.lists(st.sampled_from(["x", "y"]), max_size=2),
    "attributes": st.dictionaries(
        st.sampled_from("xyz"), VALUES | st.dictionaries(st.sampled_from("pq"), VALUES, min_size=1, max_size=2), min_size=1
    ),
}


def everything():
    """The export as a dictionary of images, components and relations in one."""
    document = json.loads("".join(as_json()))
    return {(object[:-1], image["key"]): image for object in ("components", "relations") for image in document[object]}


def build(data):
    """A small architecture: some components, and relations between these and on relations, parallel ones too."""
    parts = [f"c{number}" for number in range(data.draw(st.integers(1, 5), label="components"))]
    steps = [Operation("create", "component", key, data={"type": "Node"} | data.draw(st.fixed_dictionaries({}, optional=FIELDS))) for key in parts]
    ends = list(parts)
    for number in range(data.draw(st.integers(0, 6), label="relations")):
        source, target = data.draw(st.sampled_from(ends)), data.draw(st.sampled_from(ends))
        steps.append(Operation("create", "relation", f"r{number}", source, target, data.draw(st.sampled_from(["serving", "flow", "association"]))))
        ends.append(f"{RELATION_END}r{number}")
    apply_operations(steps, actor="max", now=NOW)


def draw_items(data, things, new):
    """Items on some of these things, each once, and some new ones. What a deletion takes along is left to the cascade."""
    left, items = dict.fromkeys(things), []
    for object, key in things:
        if (object, key) not in left:
            continue
        operation = data.draw(st.sampled_from(["none", "none", "update", "delete"]), label=f"{object} {key}")
        if operation == "update":
            fields = (
                st.fixed_dictionaries({}, optional=FIELDS) if object == "component" else st.fixed_dictionaries({"attributes": FIELDS["attributes"]})
            )
            items.append({"operation": operation, "object": object, "key": key, "data": data.draw(fields.filter(bool))})
        elif operation == "delete":
            taken = {("relation", name) for name in cascade([key], object=object)}
            if not taken <= left.keys() or any((item["object"], item["key"]) in taken for item in items):
                continue
            items.append({"operation": operation, "object": object, "key": key})
            for thing in taken:
                del left[thing]
        del left[object, key]
    gone = {item["key"] for item in items if item["operation"] == "delete"}
    there = [key for object, key in things if object == "component" and key not in gone]
    if data.draw(st.booleans(), label="new"):
        items.append(
            {
                "operation": "create",
                "object": "component",
                "key": new,
                "data": {"type": "Node"} | data.draw(st.fixed_dictionaries({}, optional=FIELDS)),
            }
        )
        if there:
            end = data.draw(st.sampled_from(there))
            items.append({"operation": "create", "object": "relation", "source": new, "relation_type": "flow", "target": end})
    return items


def things():
    keys = [("component", key) for key in Component.objects.order_by("key").values_list("key", flat=True)]
    return keys + [("relation", key) for key in Relation.objects.order_by("key").values_list("key", flat=True)]


def apply(change, **more):
    with transaction.atomic():
        return apply_items(change, change.items.all(), actor="ian", now=NOW, **more)


def revert(change, **more):
    with transaction.atomic():
        return revert_items(change, actor="ian", now=NOW, **more)


def foreseen(before, computed):
    """The whole architecture as a preview leaves it. New relations are confirmed as they are made."""
    after = dict(before)
    for image in said_now(computed.images, rfc3339(NOW)):
        after.pop((image.object, image.key), None)
        if image.after is not None:
            after[image.object, image.key] = json.loads(json.dumps(image.after))
    return after


@small
@given(data=st.data())
def test_the_preview_is_the_whole_state_after_applying_and_reverting_is_the_way_back(types, change_of, data):
    with transaction.atomic():
        build(data)
        before = everything()
        change = change_of(*draw_items(data, things(), "new"), cascade=True)
        computed = compute(change, now=NOW)
        assert everything() == before
        apply(change)
        assert everything() == foreseen(before, computed)
        revert(change)
        assert everything() == before
        transaction.set_rollback(True)


@small
@given(data=st.data())
def test_every_order_of_independent_changes_gives_the_same_verdicts_and_the_same_state(types, change_of, data):
    """Independent: each writes things of its own, and none ends on or takes away what another writes."""
    with transaction.atomic():
        build(data)
        islands = {}
        for thing in things():
            islands.setdefault(island_of(thing), []).append(thing)
        owners = {name: data.draw(st.integers(0, 2), label=name) for name in islands}
        shares = [[thing for name, inside in sorted(islands.items()) if owners[name] == number for thing in sorted(inside)] for number in range(3)]
        changes = [change_of(*draw_items(data, share, f"new{number}"), cascade=True) for number, share in enumerate(shares)]
        alone = [compute(change, now=NOW).drift for change in changes]
        outcomes = []
        for order in permutations(range(len(changes))):
            with transaction.atomic():
                verdicts = {}
                for number in order:
                    verdicts[number] = [row.as_dict() for row in drift_of(changes[number])]
                    apply(changes[number])
                outcomes.append((verdicts, everything()))
                transaction.set_rollback(True)
        assert all(outcome == outcomes[0] for outcome in outcomes)
        assert set(map(str, outcomes[0][0].values())) == {"[]"} == set(map(str, alone))
        transaction.set_rollback(True)


def island_of(thing):
    """The name of the connected part a thing lies in: its smallest component."""
    links = list(Relation.objects.values_list("key", "source__key", "source_relation__key", "target__key", "target_relation__key"))
    seen, waiting = set(), [thing]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        for key, *ends in links:
            near = {("relation", key), *((object, end) for object, end in zip(["component", "relation"] * 2, ends, strict=True) if end)}
            if one in near:
                waiting += near
    return min(key for object, key in seen if object == "component")


@small
@given(data=st.data())
def test_a_revert_stops_with_names_where_something_later_moved_the_same_and_reverts_nothing(types, change_of, data):
    with transaction.atomic():
        build(data)
        keys = [key for object, key in things() if object == "component"]
        items = [
            {"operation": "update", "object": "component", "key": key, "data": {"owner": f"o-{key}", "attributes": {"v": {"w": 1}}}}
            for key in data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
        ]
        change = change_of(*items)
        apply(change)
        moved = data.draw(st.lists(st.sampled_from([item["key"] for item in items]), min_size=1, unique=True))
        later = data.draw(st.sampled_from([{"owner": "later"}, {"attributes": {"v": {"w": 2}}}, {"attributes": {"v": {"w": None}}}]))
        beside = data.draw(st.sampled_from([{}, {"users": 7}, {"attributes": {"other": 1}}]))
        attributes = {**beside.get("attributes", {}), **later.get("attributes", {})}
        together = {**beside, **later} | ({"attributes": attributes} if attributes else {})
        apply_operations([Operation("update", "component", key, data=together) for key in moved], actor="max", now=NOW, change="CHG-2026-00099")
        state, number = everything(), current_revision()
        with pytest.raises(NotPossible, match="CHG-2026-00099") as refusal:
            revert(change)
        assert {sentence.partition(":")[0] for sentence in refusal.value.errors["items"]} == set(moved)
        assert (everything(), current_revision()) == (state, number)
        transaction.set_rollback(True)


def test_the_cascade_of_a_deleted_relation_takes_along_what_ends_on_it(types, do, change_of):
    parts = [Operation("create", "component", key, data={"type": "Node"}) for key in "ab"]
    links = [Operation("create", "relation", f"r{number}", "a", f"{RELATION_END}r{number - 1}" if number else "b", "flow") for number in range(3)]
    do(*parts, *links)
    change = change_of({"operation": "delete", "object": "relation", "key": "r0"}, cascade=True)
    assert sorted(item.key for item in change.items.all()) == ["r0", "r1", "r2"]
    apply(change)
    assert not Relation.objects.exists()
    revert(change)
    assert Relation.objects.count() == 3
