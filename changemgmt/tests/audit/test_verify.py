"""What the owner of the database may do to the record, and that verification names it."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from changemgmt.audit import triggers
from changemgmt.audit.actions import Personal, record
from changemgmt.audit.context import acting
from changemgmt.audit.models import Event, PersonalValue, Stream
from changemgmt.audit.rules import commitment_of, hash_of
from changemgmt.audit.verify import verify

TABLE = triggers.TABLE
pytestmark = pytest.mark.django_db


@pytest.fixture
def log(now):
    """Three streams of six events each; their events by stream and sequence."""
    events = {}
    with acting(channel="web", address="10.0.0.7"):
        for turn in range(6):
            for stream in ("CHG-2026-00001", "CHG-2026-00002", "CHG-2026-00003"):
                event = record(
                    "change.updated",
                    actor="rita", object=f"change:{stream}", change=stream, now=now + timedelta(seconds=turn), data={"turn": turn, "mail": Personal("r@x.org")},
                )  # fmt: skip
                events[stream, event.sequence] = event
    return events


A, B = "CHG-2026-00001", "CHG-2026-00002"


def run(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def as_owner(*statements):
    """Do what the triggers refuse, by dropping and restoring them."""
    for name in triggers.found(connection):
        if not name.startswith("function "):
            run(f"DROP TRIGGER {name}" + ("" if connection.vendor == "sqlite" else f" ON {TABLE}"))
    for statement in statements:
        run(*statement) if isinstance(statement, tuple) else run(statement)
    triggers.install(connection)


def forged(event, **changed):
    """The event's text with other values, and the hash that fits it."""
    body = {**json.loads(event.text), **changed}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text, hash_of(event.previous_hash, text)


def rechained(first, events):
    """Statements that give `first` another text and chain every event after it anew."""
    statements, previous = [], first.previous_hash
    for event in sorted(
        (event for event in events.values() if event.stream == first.stream and event.sequence >= first.sequence), key=lambda event: event.sequence
    ):
        text = forged(event, request_id="forged")[0] if event.pk == first.pk else event.text
        fresh = hash_of(previous, text)
        statements.append((f"UPDATE {TABLE} SET text = %s, previous_hash = %s, hash = %s WHERE id = %s", text, previous, fresh, event.pk))
        previous = fresh
    return statements, previous


def found(now, **options):
    report = verify(now=now, **options)
    assert report.ok is (report.kind is None) is (report.first_bad is None)
    return report.kind, report.first_bad


def test_a_clean_record_is_intact(log, now):
    report = verify(now=now)
    assert (report.ok, report.events, report.streams) == (True, 18, 3)


def test_an_empty_record_is_intact(now):
    assert verify(now=now).ok


def test_erased_personal_values_leave_it_intact(log, now):
    PersonalValue.objects.filter(value="rita").delete()
    assert verify(now=now).ok


def test_progress_is_told(log, now):
    told = []
    verify(now=now, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (18, 18)


def test_a_modified_text_is_named(log, now):
    event = log[A, 3]
    as_owner((f"UPDATE {TABLE} SET text = %s WHERE id = %s", forged(event, request_id="x")[0], event.pk))
    assert found(now) == ("modified", f"{A}#3")


def test_a_text_that_is_no_json_is_named(log, now):
    text = "{broken"
    as_owner((f"UPDATE {TABLE} SET text = %s, hash = %s WHERE id = %s", text, hash_of(log[A, 3].previous_hash, text), log[A, 3].pk))
    assert found(now) == ("modified", f"{A}#3")


@pytest.mark.parametrize("column", ["action", "object", "change", "channel", "hash", "previous_hash"])
def test_a_modified_column_is_named(log, now, column):
    as_owner((f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", "forged", log[B, 2].pk))
    assert found(now) == ("modified", f"{B}#2")


def test_a_back_dated_event_is_named(log, now):
    earlier = connection.ops.adapt_datetimefield_value(now - timedelta(days=3))
    as_owner((f"UPDATE {TABLE} SET at = %s WHERE id = %s", earlier, log[B, 2].pk))
    assert found(now) == ("modified", f"{B}#2")


def test_a_modified_event_with_its_own_hash_made_to_fit_is_named(log, now):
    text, fresh = forged(log[A, 3], request_id="x")
    as_owner((f"UPDATE {TABLE} SET text = %s, hash = %s WHERE id = %s", text, fresh, log[A, 3].pk))
    assert found(now) == ("modified", f"{A}#3")


@pytest.mark.parametrize("from_where", [1, 3, 6])
def test_a_chain_computed_anew_is_named(log, now, from_where):
    statements, _ = rechained(log[A, from_where], log)
    as_owner(*statements)
    assert found(now) == ("rechained", f"{A}#6")


@pytest.mark.parametrize("sequence", [1, 3, 5])
def test_a_deleted_event_is_named(log, now, sequence):
    as_owner((f"DELETE FROM {TABLE} WHERE id = %s", log[A, sequence].pk))
    assert found(now) == ("deleted", f"{A}#{sequence}")


@pytest.mark.parametrize("kept", [1, 5])
def test_a_cut_tail_is_named(log, now, kept):
    as_owner((f"DELETE FROM {TABLE} WHERE stream = %s AND sequence > %s", A, kept))
    assert found(now) == ("cut_tail", f"{A}#{kept + 1}")


def test_a_deleted_event_with_the_rest_renumbered_is_named(log, now):
    event = log[A, 6]
    text, _ = forged(event, sequence=5)
    fresh = hash_of(log[A, 4].hash, text)
    as_owner(
        (f"DELETE FROM {TABLE} WHERE id = %s", log[A, 5].pk),
        (f"UPDATE {TABLE} SET sequence = 5, text = %s, previous_hash = %s, hash = %s WHERE id = %s", text, log[A, 4].hash, fresh, event.pk),
    )
    assert found(now) == ("cut_tail", f"{A}#6")


def insert(event, sequence, previous, text):
    columns = [field.column for field in Event._meta.fields if field.column != "id"]
    row = {column: getattr(event, column) for column in columns} | {
        "at": connection.ops.adapt_datetimefield_value(event.at), "sequence": sequence, "text": text, "previous_hash": previous, "hash": hash_of(previous, text),
    }  # fmt: skip
    return (f"INSERT INTO {TABLE} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})", *row.values())


def test_an_event_added_past_the_end_is_named(log, now):
    text, _ = forged(log[A, 6], sequence=7)
    as_owner(insert(log[A, 6], 7, log[A, 6].hash, text))
    assert found(now) == ("inserted", f"{A}#7")


def test_an_event_inserted_before_the_last_one_is_named(log, now):
    last = log[A, 6]
    put, _ = forged(last, request_id="put in between")
    moved, _ = forged(last, sequence=7)
    middle = hash_of(last.previous_hash, put)
    as_owner(
        (f"UPDATE {TABLE} SET sequence = 7, text = %s, previous_hash = %s, hash = %s WHERE id = %s", moved, middle, hash_of(middle, moved), last.pk),
        insert(last, 6, last.previous_hash, put),
    )
    assert found(now) == ("inserted", f"{A}#7")


@pytest.mark.needs_postgres
def test_two_events_at_one_place_are_named(log, now):
    second = insert(log[A, 3], 3, log[A, 3].previous_hash, forged(log[A, 3], request_id="second")[0])
    as_owner(f"ALTER TABLE {TABLE} DROP CONSTRAINT event_sequence_once", second)
    assert found(now) == ("inserted", f"{A}#3")


def test_an_event_moved_to_another_stream_is_named(log, now):
    as_owner((f"UPDATE {TABLE} SET stream = %s, sequence = 7 WHERE id = %s", B, log[A, 3].pk))
    assert found(now) == ("moved", f"{B}#7")


def test_a_last_event_moved_to_another_stream_is_named(log, now):
    as_owner((f"UPDATE {TABLE} SET stream = %s, sequence = 7 WHERE id = %s", B, log[A, 6].pk))
    assert found(now) == ("moved", f"{B}#7")


def test_an_event_moved_and_chained_there_is_named(log, now):
    event = log[A, 6]
    as_owner(
        (
            f"UPDATE {TABLE} SET stream = %s, sequence = 7, previous_hash = %s, hash = %s WHERE id = %s",
            B, log[B, 6].hash, hash_of(log[B, 6].hash, event.text), event.pk,
        )
    )  # fmt: skip
    assert found(now) == ("moved", f"{B}#7")


def test_two_events_that_changed_places_are_named(log, now):
    first, second = log[A, 2].pk, log[A, 3].pk
    as_owner(
        (f"UPDATE {TABLE} SET sequence = 99 WHERE id = %s", first),
        (f"UPDATE {TABLE} SET sequence = 2 WHERE id = %s", second),
        (f"UPDATE {TABLE} SET sequence = 3 WHERE id = %s", first),
    )
    assert found(now) == ("moved", f"{A}#2")


def test_a_stream_whose_head_is_gone_is_named(log, now):
    Stream.objects.filter(name=B).delete()
    assert found(now) == ("stream_gone", B)


def test_a_stream_whose_events_are_gone_is_named(log, now):
    as_owner((f"DELETE FROM {TABLE} WHERE stream = %s", B))
    assert found(now) == ("stream_gone", B)


def test_a_stream_gone_with_every_trace_is_missed_by_what_expects_it(log, now):
    events = Event.objects.filter(stream=B)
    PersonalValue.objects.filter(event__in=list(events.values_list("pk", flat=True))).delete()
    as_owner((f"DELETE FROM {TABLE} WHERE stream = %s", B))
    Stream.objects.filter(name=B).delete()
    assert found(now, expected=[A, B]) == ("stream_gone", B)


def test_events_gone_with_their_stream_leave_clear_values_behind(log, now):
    as_owner((f"DELETE FROM {TABLE} WHERE stream = %s", B))
    Stream.objects.filter(name=B).delete()
    assert found(now)[0] == "deleted"


@pytest.mark.parametrize("column,value", [("length", 5), ("length", 7), ("head", "f" * 64), ("name", "other")])
def test_a_head_that_was_altered_is_named(log, now, column, value):
    Stream.objects.filter(name=A).update(**{column: value})
    kind, place = found(now)
    assert kind in {"inserted", "cut_tail", "rechained", "stream_gone"} and place.startswith((A, "other"))


def test_a_clear_value_that_was_altered_is_named(log, now):
    PersonalValue.objects.filter(event=log[A, 4].pk, path="actor").update(value="sam", beginning="sam")
    assert found(now) == ("modified", f"{A}#4")


def test_a_clear_value_altered_with_a_salt_of_its_own_is_named(log, now):
    PersonalValue.objects.filter(event=log[A, 4].pk, path="data.mail").update(value="s@x.org", salt="0" * 32)
    assert found(now) == ("modified", f"{A}#4")


def test_a_clear_value_nothing_promised_is_named(log, now):
    PersonalValue.objects.create(event=log[A, 4].pk, path="data.turn", salt="0" * 32, value="1", beginning="1")
    assert found(now) == ("modified", f"{A}#4")


def test_dropped_triggers_are_named(log, now):
    for name in triggers.found(connection):
        if not name.startswith("function "):
            run(f"DROP TRIGGER {name}" + ("" if connection.vendor == "sqlite" else f" ON {TABLE}"))
    kind, place = found(now)
    assert kind == "triggers" and place.startswith(TABLE)


def test_several_findings_are_all_told(log, now):
    as_owner((f"DELETE FROM {TABLE} WHERE id = %s", log[A, 2].pk), (f"UPDATE {TABLE} SET action = 'x' WHERE id = %s", log[B, 5].pk))
    assert [(finding.kind, finding.place) for finding in verify(now=now).findings] == [("deleted", f"{A}#2"), ("modified", f"{B}#5")]


def test_batches_meet_every_event_once(log, now, monkeypatch):
    monkeypatch.setattr("changemgmt.audit.verify.BATCH", 4)
    assert verify(now=now).events == 18
    as_owner((f"UPDATE {TABLE} SET action = 'x' WHERE id = %s", log[B, 5].pk))
    assert found(now) == ("modified", f"{B}#5")


def test_a_commitment_opens_with_its_salt_and_value(log):
    row = PersonalValue.objects.get(event=log[A, 1].pk, path="data.mail")
    assert json.loads(log[A, 1].text)["data"]["mail"] == {"commitment": commitment_of(row.salt, "r@x.org")}


def test_events_appended_while_it_runs_are_no_false_alarm(log, now, monkeypatch):
    """Another writer appends to every stream while the walk is under way."""
    from changemgmt.audit import verify as module

    batches = module.batches

    def interrupted():
        for turn, rows in enumerate(batches()):
            for stream in (A, B, "CHG-2026-00099") if turn < 3 else ():
                record("comment.added", actor="max", object="comment:1", change=stream, now=now)
            yield rows

    monkeypatch.setattr(module, "batches", interrupted)
    monkeypatch.setattr(module, "BATCH", 4)
    report = verify(now=now)
    assert report.ok and report.events > 18


def command(capsys, *args):
    """The exit code and output of `manage.py audit`."""
    try:
        call_command("audit", *args)
        code = 0
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().out


def test_the_command_says_it_and_ends_with_its_code(log, now, capsys):
    code, out = command(capsys, "verify")
    assert code == 0 and "intact" in out
    as_owner((f"UPDATE {TABLE} SET action = 'x' WHERE id = %s", log[B, 5].pk))
    code, out = command(capsys, "verify", "--json")
    report = json.loads(out)
    assert code == 1 and (report["ok"], report["kind"], report["first_bad"]) == (False, "modified", f"{B}#5")
    code, out = command(capsys, "verify")
    assert code == 1 and f"{B}#5: modified" in out


def test_a_record_that_cannot_be_read_is_undecided(now):
    run("ALTER TABLE changemgmt_stream RENAME TO changemgmt_stream_away")
    with pytest.raises(CommandError) as refused:
        call_command("audit", "verify")
    assert refused.value.returncode == 2


def test_an_export_holds_every_event_with_its_text_and_hash(log, tmp_path, capsys):
    file = tmp_path / "events.jsonl"
    call_command("audit", "export", str(file))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 19 and lines[-1]["action"] == "export.made"
    assert all(line["hash"] == hash_of(line["previous_hash"], line["text"]) for line in lines)
    assert {line["actor"] for line in lines} == {"rita", "system"}
    with pytest.raises(CommandError):
        call_command("audit", "export", str(file))
