"""The database itself refuses to change or remove an event, and says when it no longer would."""

import re

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from changemgmt.audit import triggers
from changemgmt.audit.actions import record
from changemgmt.audit.models import Event
from config.celery import refuse_an_unguarded_record

TABLE = triggers.TABLE


def run(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def refused(sql, *values):
    """Does the database refuse this statement?"""
    try:
        with transaction.atomic():
            run(sql, *values)
    except DatabaseError:
        return True
    return False


@pytest.fixture
def event(db, now):
    return record("change.submitted", actor="rita", object="change:A", change="A", now=now)


def as_it_was(event):
    return Event.objects.filter(pk=event.pk).values().get() == {field.attname: getattr(event, field.attname) for field in Event._meta.fields}


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE {TABLE} SET action = 'x'",
        f"UPDATE {TABLE} SET text = text WHERE stream = 'A'",
        f"DELETE FROM {TABLE}",
        f"DELETE FROM {TABLE} WHERE sequence = 1",
    ],
)
def test_an_event_is_neither_changed_nor_removed(event, sql):
    assert refused(sql) and as_it_was(event)


def test_the_orm_is_refused_too(event):
    for act in (lambda: Event.objects.all().delete(), lambda: Event.objects.update(text=""), event.delete, event.save):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()
    assert as_it_was(event)


@pytest.mark.needs_sqlite
@pytest.mark.parametrize("place", ["id", "sequence"])
def test_insert_or_replace_does_not_pass(event, place):
    columns = [field.column for field in Event._meta.fields if place == "id" or field.column != "id"]
    values = [connection.ops.adapt_datetimefield_value(event.at) if column == "at" else getattr(event, column) for column in columns]
    values[columns.index("text")] = "forged"
    if place == "id":
        values[columns.index("sequence")] = 99
    marks = ", ".join(["%s"] * len(columns))
    for verb in ("INSERT OR REPLACE", "REPLACE"):
        assert refused(f"{verb} INTO {TABLE} ({', '.join(columns)}) VALUES ({marks})", *values)
    assert as_it_was(event)


@pytest.mark.needs_sqlite
def test_update_or_replace_does_not_pass(event):
    assert refused(f"UPDATE OR REPLACE {TABLE} SET sequence = 1") and as_it_was(event)


@pytest.mark.needs_postgres
def test_truncate_and_upsert_do_not_pass(event):
    assert refused(f"TRUNCATE {TABLE}") and refused(f"TRUNCATE {TABLE} CASCADE")
    columns = ", ".join(field.column for field in Event._meta.fields)
    assert refused(f"INSERT INTO {TABLE} ({columns}) SELECT {columns} FROM {TABLE} ON CONFLICT (id) DO UPDATE SET text = 'forged'")
    assert as_it_was(event)


@pytest.mark.needs_postgres
def test_the_replica_role_does_not_switch_it_off(event):
    run("SET LOCAL session_replication_role = replica")
    assert refused(f"UPDATE {TABLE} SET action = 'x'") and refused(f"TRUNCATE {TABLE}")


def test_a_guarded_record_has_no_problems(db):
    assert triggers.problems(connection) == []
    triggers.require(connection)
    assert triggers.check(databases=["default"]) == []


def drop(name):
    run(f"DROP TRIGGER {name}" + ("" if connection.vendor == "sqlite" else f" ON {TABLE}"))


def spoil_by_dropping():
    drop(next(name for name in triggers.expected(connection.vendor) if not name.startswith("function ")))


def spoil_by_rewriting():
    if connection.vendor == "sqlite":
        drop(f"{TABLE}_no_update")
        run(f"CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE} WHEN 0 BEGIN SELECT RAISE(ABORT, 'no'); END")
    else:
        run(f"CREATE OR REPLACE FUNCTION {triggers.FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")


def spoil_by_adding():
    if connection.vendor == "sqlite":
        run(f"CREATE TRIGGER swallow AFTER INSERT ON {TABLE} BEGIN SELECT 1; END")
    else:
        run(f"CREATE RULE swallow AS ON INSERT TO {TABLE} DO INSTEAD NOTHING")


@pytest.mark.parametrize("spoil", [spoil_by_dropping, spoil_by_rewriting, spoil_by_adding])
def test_a_record_that_is_not_guarded_is_named(db, spoil):
    spoil()
    assert triggers.problems(connection)
    assert {message.id for message in triggers.check(databases=["default"])} == {"changemgmt.W001"}
    with pytest.raises(ImproperlyConfigured):
        triggers.require(connection)


@pytest.mark.needs_postgres
@pytest.mark.parametrize("how", ["DISABLE TRIGGER", "ENABLE TRIGGER", "ENABLE REPLICA TRIGGER"])
def test_a_trigger_that_is_not_always_on_is_named(db, how):
    run(f"ALTER TABLE {TABLE} {how} {TABLE}_no_change")
    assert triggers.problems(connection) == [f"{TABLE}_no_change is not as it was made"]


@pytest.mark.parametrize("spoil", [spoil_by_dropping, spoil_by_rewriting])
def test_the_next_migrate_guards_it_again(event, spoil):
    spoil()
    triggers.after_migrate(using="default")
    assert triggers.problems(connection) == []
    assert refused(f"UPDATE {TABLE} SET action = 'x'")


@pytest.mark.django_db(transaction=True)
def test_migrate_itself_calls_it(now):
    spoil_by_dropping()
    call_command("migrate", run_syncdb=True, verbosity=0)
    assert triggers.problems(connection) == []


@pytest.mark.needs_sqlite
@pytest.mark.django_db(transaction=True)
def test_rebuilding_the_table_loses_the_triggers_and_migrating_brings_them_back(now):
    with connection.schema_editor() as editor:
        editor._remake_table(Event)
    assert len(triggers.problems(connection)) == 3
    triggers.after_migrate(using="default")
    assert triggers.problems(connection) == []


@pytest.mark.needs_postgres
def test_the_documented_role_reads_and_adds_and_nothing_else(event, now):
    """The SQL in the docs is run as it stands there, for a role made here and rolled back."""
    sql = re.search(r"```sql\n(.*?)```", (settings.BASE_DIR / "docs" / "audit.md").read_text(), re.DOTALL)[1]
    run("CREATE ROLE countersign_documented NOLOGIN")
    for statement in sql.replace("countersign;", "countersign_documented;").split(";\n"):
        if statement.strip():
            run(statement)
    assert triggers.may_alter(connection)
    assert [message.id for message in triggers.check_role(databases=["default"])] == ["changemgmt.W002"]
    run("SET LOCAL ROLE countersign_documented")
    assert not triggers.may_alter(connection) and triggers.problems(connection) == []
    assert record("change.approved", actor="rita", object="change:A", change="A", now=now).sequence == 2
    for act in (f"UPDATE {TABLE} SET text = ''", f"DELETE FROM {TABLE}", f"TRUNCATE {TABLE}", f"DROP TRIGGER {TABLE}_no_change ON {TABLE}"):
        assert refused(act)
    assert refused(f"ALTER TABLE {TABLE} DISABLE TRIGGER ALL") and refused("DELETE FROM changemgmt_stream")
    run("RESET ROLE")


@pytest.mark.needs_postgres
def test_migrating_takes_from_other_roles_what_goes_beyond_reading_and_adding(event):
    run("CREATE ROLE countersign_generous NOLOGIN")
    run(f"GRANT ALL ON {TABLE} TO countersign_generous")
    run(f"GRANT UPDATE ON {TABLE} TO PUBLIC")
    triggers.after_migrate(using="default")
    run("SET LOCAL ROLE countersign_generous")
    assert not triggers.may_alter(connection)
    assert Event.objects.filter(pk=event.pk).exists()
    run("RESET ROLE")


def test_production_does_not_start_on_a_record_that_is_not_guarded(db, monkeypatch, settings):
    spoil_by_dropping()
    monkeypatch.setattr(connection, "close", lambda: None)
    settings.PRODUCTION = False
    triggers.require_in_production()
    settings.PRODUCTION = True
    with pytest.raises(ImproperlyConfigured):
        triggers.require_in_production()
    with pytest.raises(SystemExit):
        refuse_an_unguarded_record()
