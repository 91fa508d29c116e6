"""What is owed is handed over once all is well, and kept while it is not."""

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction

from changemgmt.audit.actions import record
from changemgmt.audit.models import OutboxEntry
from changemgmt.audit.relay import LEASE, claim, drain, wait_after


class Task:
    """A Celery task as far as the relay knows one."""

    def __init__(self, error=None):
        self.calls, self.error = [], error

    def delay(self, *, event_id):
        if self.error:
            raise self.error
        self.calls.append(event_id)


@pytest.fixture
def events(db, now):
    return [record("change.submitted", actor="rita", object="change:A", change="A", now=now) for _ in range(3)]


def test_every_reaction_is_started_once_in_order(events, now):
    first, second = Task(), Task()
    assert drain({"change.submitted": (first, second)}, now=now) == 3
    assert first.calls == second.calls == [event.pk for event in events]
    assert not OutboxEntry.objects.exists()
    assert drain({"change.submitted": (first,)}, now=now) == 0


def test_an_event_nobody_reacts_to_just_goes(events, now):
    assert drain({"change.submitted": ()}, now=now) == 3
    assert not OutboxEntry.objects.exists()


def test_a_broker_that_is_down_leaves_everything(events, now):
    dead = Task(error=ConnectionError("no broker"))
    assert drain({"change.submitted": (dead,)}, now=now) == 0
    assert OutboxEntry.objects.count() == 3
    entry = OutboxEntry.objects.order_by("id").first()
    assert (entry.attempts, entry.last_error) == (1, "ConnectionError: no broker")
    assert entry.next_attempt_at == now + timedelta(seconds=5)


def test_it_is_tried_again_when_it_is_due_and_not_before(events, now):
    drain({"change.submitted": (Task(error=ConnectionError("no")),)}, now=now)
    alive = Task()
    assert drain({"change.submitted": (alive,)}, now=now + timedelta(seconds=4)) == 0
    assert drain({"change.submitted": (alive,)}, now=now + timedelta(seconds=5)) == 3
    assert alive.calls == [event.pk for event in events]


def test_an_unknown_kind_holds_up_nothing_but_itself(events, now):
    stray = record("comet.seen", actor="", object="sky", now=now)
    later = record("change.submitted", actor="rita", object="change:A", change="A", now=now)
    task = Task()
    assert drain({"change.submitted": (task,)}, now=now) == 4
    assert task.calls[-1] == later.pk
    kept = OutboxEntry.objects.get()
    assert kept.event == stray.pk and "comet.seen" in kept.last_error


def test_what_a_crash_left_comes_back_after_the_lease(events, now):
    claim(now=now, limit=10)
    task = Task()
    assert drain({"change.submitted": (task,)}, now=now + LEASE - timedelta(seconds=1)) == 0
    assert drain({"change.submitted": (task,)}, now=now + LEASE) == 3


def test_a_drain_takes_no_more_than_its_limit(events, now):
    assert drain({"change.submitted": (Task(),)}, now=now, limit=2) == 2
    assert OutboxEntry.objects.count() == 1


def test_the_wait_grows_to_an_hour():
    waits = [wait_after(attempts) for attempts in range(1, 30)]
    assert waits[0] == timedelta(seconds=5) and waits == sorted(waits) and waits[-1] == timedelta(hours=1)


@pytest.mark.needs_postgres
@pytest.mark.django_db(transaction=True)
def test_two_drains_at_once_start_each_reaction_once(now):
    with transaction.atomic():
        events = [record("change.submitted", actor="rita", object="change:A", change="A", now=now).pk for _ in range(60)]
    task, start = Task(), threading.Barrier(4)

    def work():
        try:
            start.wait(10)
            while drain({"change.submitted": (task,)}, now=now, limit=7):
                pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    assert sorted(task.calls) == events and not OutboxEntry.objects.exists()
