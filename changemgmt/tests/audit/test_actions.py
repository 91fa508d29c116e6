"""Recording: with the act or not at all, in order, with the door it came through."""

import json
import threading
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections, transaction

from changemgmt.audit import relay
from changemgmt.audit.actions import Personal, record, record_refusal
from changemgmt.audit.context import acting, current
from changemgmt.audit.models import Event, OutboxEntry, PersonalValue, Stream
from changemgmt.audit.rules import commitment_of, hash_of
from changemgmt.core.diff import differences


@pytest.mark.django_db
def test_an_event_holds_what_was_said_of_the_act(now):
    with acting(channel="api", address="10.0.0.7", request_id="r-1"):
        event = record(
            "change.updated",
            actor="rita", object="change:CHG-2026-00001", change="CHG-2026-00001", now=now, on_behalf_of="petra",
            differences=differences({"title": "Old", "cost": 1.5}, {"title": "New", "cost": 1.5}), data={"note": "ok"},
        )  # fmt: skip
    body = json.loads(event.text)
    assert (event.stream, event.sequence, event.previous_hash) == ("CHG-2026-00001", 1, "0" * 64)
    assert event.hash == hash_of("0" * 64, event.text)
    assert body["schema"] == 1 and body["at"] == "2026-11-20T09:00:00.000000Z"
    assert (body["channel"], body["request_id"], body["action"]) == ("api", "r-1", "change.updated")
    assert body["differences"] == [{"path": "title", "before": "Old", "after": "New"}]
    assert body["data"] == {"note": "ok"}
    clear = {row.path: row for row in PersonalValue.objects.filter(event=event.pk)}
    assert {path: row.value for path, row in clear.items()} == {"actor": "rita", "on_behalf_of": "petra", "address": "10.0.0.7"}
    assert all(body[path]["commitment"] == commitment_of(row.salt, row.value) for path, row in clear.items())


@pytest.mark.django_db
def test_no_personal_value_stands_in_the_text(now):
    event = record(
        "role.granted",
        actor="rita", object="user:17", now=now, data={"to": Personal("sam@example.org"), "deep": [{"name": Personal("Sam Lee")}]},
        differences=[{"path": "phones", "before": None, "after": Personal(["+47 1", "+47 2"])}],
    )  # fmt: skip
    assert all(value not in event.text for value in ("rita", "sam@example.org", "Sam Lee", "+47"))
    values = dict(PersonalValue.objects.filter(event=event.pk).values_list("path", "value"))
    assert values == {"actor": "rita", "data.to": "sam@example.org", "data.deep.0.name": "Sam Lee", "differences.0.after": '["+47 1","+47 2"]'}


@pytest.mark.django_db
def test_secrets_are_masked_at_any_depth(now):
    data = {"password": "hunter2", "nested": [{"api_token": "abc-123", "token_id": 5}], "keyHash": "no-key-hash", "has_password": True}
    event = record(
        "token.created",
        actor="rita",
        object="token:5",
        now=now,
        data=data,
        differences=[{"path": "user.key_hash", "before": "first-hash", "after": "second-hash"}],
    )
    body = json.loads(event.text)
    assert all(value not in event.text for value in ("hunter2", "abc-123", "no-key-hash", "first-hash", "second-hash"))
    assert body["data"] == {"password": "[masked]", "nested": [{"api_token": "[masked]", "token_id": 5}], "keyHash": "[masked]", "has_password": True}


@pytest.mark.django_db
def test_events_of_a_stream_are_chained_and_streams_are_apart(now):
    first, other, second = (record("comment.added", actor="rita", object="comment:1", change=change, now=now) for change in ("A", "B", "A"))
    assert second.previous_hash == first.hash and other.previous_hash == "0" * 64
    assert (first.sequence, other.sequence, second.sequence) == (1, 1, 2)
    assert Stream.objects.get(name="A").head == second.hash and Stream.objects.get(name="A").length == 2


@pytest.mark.django_db
def test_the_stream_is_the_changes_or_admin_unless_given(now):
    assert record("component.updated", actor="ada", object="component:x", now=now).stream == "admin"
    assert record("vote.cast", actor="ada", object="seat:1", change="CHG-2026-00002", now=now).stream == "CHG-2026-00002"
    assert record("login.failed", actor="ada", object="user:1", stream="auth", now=now).stream == "auth"


@pytest.mark.django_db
def test_the_system_is_an_actor_too(now):
    event = record("change.approved", actor="", object="change:A", change="A", now=now)
    assert PersonalValue.objects.get(event=event.pk, path="actor").value == "system"


@pytest.mark.django_db
def test_values_no_database_can_hold_are_recorded_all_the_same(now):
    event = record("login.failed", actor="a\x00b\ud800", object="user:\x00" + "x" * 900, stream="auth", now=now, data={"agent": "\x00\ud834"})
    assert PersonalValue.objects.get(event=event.pk).value == "a\ufffdb\ufffd"
    assert json.loads(Event.objects.get(pk=event.pk).text)["object"] == event.object
    assert len(event.object) == 800


@pytest.mark.django_db
def test_a_very_long_name_is_kept_whole(now):
    name = "".join(chr(0x4E00 + index * 7 % 20000) for index in range(9000))
    event = record("login.failed", actor=name, object="user:?", stream="auth", now=now)
    assert PersonalValue.objects.get(event=event.pk).value == name


@pytest.mark.django_db
def test_a_refusal_is_an_event_in_the_stream_auth(now):
    event = record_refusal("vote.cast", actor="olga", object="seat:31", reason="You have no seat.", change="CHG-2026-00001", now=now)
    body = json.loads(event.text)
    assert (event.stream, event.action, event.change) == ("auth", "access.denied", "CHG-2026-00001")
    assert body["data"] == {"attempted": "vote.cast", "reason": "You have no seat."}


@pytest.mark.django_db
def test_every_event_leaves_an_outbox_entry(now):
    event = record("change.submitted", actor="rita", object="change:A", change="A", now=now)
    entry = OutboxEntry.objects.get(event=event.pk)
    assert (entry.kind, entry.change, entry.next_attempt_at) == ("change.submitted", "A", None)


@pytest.mark.django_db
def test_an_act_costs_a_constant_number_of_queries(now, django_assert_max_num_queries):
    record("comment.added", actor="rita", object="comment:1", change="A", now=now)
    with django_assert_max_num_queries(5):
        record(
            "comment.added",
            actor="rita",
            object="comment:2",
            change="A",
            now=now,
            differences=[{"path": str(n), "before": 0, "after": n} for n in range(50)],
        )


@pytest.mark.django_db(transaction=True)
def test_recording_outside_a_transaction_is_an_error_of_the_program(now):
    with pytest.raises(RuntimeError):
        record("change.submitted", actor="rita", object="change:A", now=now)
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_an_act_that_rolls_back_leaves_no_event_and_no_gap(now):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record("change.submitted", actor="rita", object="change:A", change="A", now=now)
        raise ZeroDivisionError
    with transaction.atomic():
        event = record("change.submitted", actor="rita", object="change:A", change="A", now=now)
    assert event.sequence == 1 and Event.objects.count() == 1 and OutboxEntry.objects.count() == 1


@pytest.mark.django_db
def test_a_dead_broker_neither_fails_nor_slows_the_act(now, monkeypatch, django_capture_on_commit_callbacks):
    rung = threading.Event()

    def dead(*_, **__):
        rung.set()
        raise ConnectionError("no broker")

    monkeypatch.setattr(relay.current_app, "send_task", dead)
    monkeypatch.setattr(relay, "bell", relay.Doorbell())
    with django_capture_on_commit_callbacks(execute=True):
        record("change.submitted", actor="rita", object="change:A", change="A", now=now)
    assert rung.wait(5)
    assert Event.objects.count() == OutboxEntry.objects.count() == 1


def test_the_bell_rings_once_for_several_acts_and_again_after_a_failure(monkeypatch):
    rings, gate = [], threading.Event()

    def slow(name, **_):
        rings.append(name)
        gate.wait(5)

    monkeypatch.setattr(relay.current_app, "send_task", slow)
    bell = relay.Doorbell()
    for _ in range(50):
        bell.ring()
    while not rings:
        pass
    for _ in range(50):
        bell.ring()
    gate.set()
    assert len(rings) <= 2 and set(rings) == {relay.DRAIN}


@pytest.mark.needs_postgres
@pytest.mark.django_db(transaction=True)
def test_first_events_at_once_share_one_stream_without_gaps(now):
    get_user_model().objects.create_user("rita")
    start, failures = threading.Barrier(6), []

    def act(number):
        try:
            start.wait(10)
            for turn in range(5):
                with transaction.atomic():
                    record("comment.added", actor="rita", object=f"comment:{number}-{turn}", change="A", now=now + timedelta(seconds=turn))
        except DatabaseError as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=(number,)) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    assert not failures
    events = list(Event.objects.order_by("sequence"))
    assert [event.sequence for event in events] == list(range(1, 31))
    assert all(after.previous_hash == before.hash for before, after in zip(events, events[1:], strict=False))
    assert Stream.objects.get().head == events[-1].hash


def test_the_context_is_the_systems_unless_a_door_sets_it():
    assert current().channel == "system"
    with acting(channel="web", address="::1"), acting(request_id="r"):
        assert (current().channel, current().address, current().request_id) == ("web", "::1", "r")
    assert current().channel == "system"
    with pytest.raises(ValueError), acting(channel="carrier pigeon"):
        pass
