"""Ten changes applied at the same instant, each on a connection of its own: those that fit land whole, the others not at all."""

import random
import threading

import pytest
from django.db import connections, transaction

from changemgmt.architecture.models import Component, Revision
from changemgmt.architecture.queries import current_revision, images, images_at
from changemgmt.architecture.rules import Operation, patched
from changemgmt.core.errors import NotPossible
from changemgmt.preview.actions import apply_items
from changemgmt.preview.models import AppliedItem
from changemgmt.preview.rules import overlap, written_fields

from .conftest import NOW

TIMES = 10
KEYS = ("a", "b", "c", "d")


def writes(random, number):
    """What one change says: of two or three components a few fields each, with values nobody else writes."""
    said = {
        "owner": f"team-{number}",
        "users": 100 + number,
        "attributes": {random.choice(["x", "y", "z"]): number, "deep": {random.choice(["p", "q"]): number}},
    }
    found = {}
    for key in random.sample(KEYS, random.choice([1, 1, 2])):
        found[key] = {name: said[name] for name in random.sample(sorted(said), random.choice([1, 1, 2]))}
    return found


def meet(one, two):
    """The components on which two changes write the same field."""
    return {key for key in one.keys() & two.keys() if overlap(*(written_fields("update", "component", said[key]) for said in (one, two)))}


def all_at_once(changes):
    """Apply each in a thread of its own behind a barrier; what each came to: its revision, or the refusal."""
    barrier, outcomes = threading.Barrier(len(changes)), {}

    def run(change):
        try:
            items = list(change.items.all())
            barrier.wait(timeout=30)
            with transaction.atomic():
                outcomes[change.number] = apply_items(change, items, actor="ian", now=NOW).revision
        except Exception as error:  # noqa: BLE001 the outcome, judged below
            outcomes[change.number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(change,)) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.needs_postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(4))
def test_of_ten_at_once_exactly_those_that_do_not_conflict_land_and_nothing_half(do, change_of, seed):
    with transaction.atomic():
        do(*(Operation("create", "component", key, data={"type": "Node", "attributes": {"deep": {"p": 0}}}) for key in KEYS))
    start, first = images("component", KEYS), current_revision()
    said, chance = {}, random.Random(seed)
    for number in range(TIMES):
        what = writes(chance, number)
        items = [{"operation": "update", "object": "component", "key": key, "data": data} for key, data in what.items()]
        change = change_of(*items)
        said[change.number] = (change, what)
    outcomes = all_at_once([change for change, _ in said.values()])

    landed = sorted((number for number, outcome in outcomes.items() if isinstance(outcome, int)), key=lambda number: outcomes[number])
    refused = [number for number in outcomes if number not in landed]
    assert landed and refused and all(isinstance(outcomes[number], NotPossible) for number in refused), outcomes
    assert [outcomes[number] for number in landed] == list(range(first + 1, first + len(landed) + 1)), "one revision each"
    assert current_revision() == first + len(landed)
    assert not any(meet(said[one][1], said[two][1]) for one in landed for two in landed if one != two)

    for number in refused:
        in_the_way = {other: met for other in landed if (met := meet(said[number][1], said[other][1]))}
        assert in_the_way, f"{number} was refused for nothing"
        sentences = outcomes[number].errors["items"]
        named = {sentence.partition(":")[0] for sentence in sentences}
        assert set() < named <= {key for met in in_the_way.values() for key in met}, "those that landed before it was refused"
        assert all("moved by CHG-" in sentence for sentence in sentences)
        assert not AppliedItem.objects.filter(change__number=number).exists()

    state = dict(start)
    for number in landed:
        state |= {key: patched("component", state[key], data) for key, data in said[number][1].items()}
        assert images_at("component", outcomes[number]) == state, "the history says the same of every moment"
        assert Revision.objects.get(number=outcomes[number]).change == number
        assert set(AppliedItem.objects.filter(change__number=number).values_list("key", flat=True)) == set(said[number][1])
    assert images("component", KEYS) == state
    assert Component.history.count() == len(KEYS) + sum(len(said[number][1]) for number in landed)
