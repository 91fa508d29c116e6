"""Tests that commit empty the tables afterwards, which the record refuses: only here, and only then, its triggers stand aside."""

from django.db import connections
from django.test import TransactionTestCase

from changemgmt.audit import triggers

empty_tables = TransactionTestCase._fixture_teardown


def stand_aside(connection) -> None:
    """Drop the triggers, as the owner of the tables can."""
    suffix = "" if connection.vendor == "sqlite" else f" ON {triggers.TABLE}"
    with connection.cursor() as cursor:
        for name in triggers.found(connection):
            if not name.startswith("function "):
                cursor.execute(f"DROP TRIGGER {name}{suffix}")


def empty_guarded_tables(case) -> None:
    """What Django does after a test that commits, with the record's triggers away while it lasts."""
    for alias in case._databases_names(include_mirrors=False):
        stand_aside(connections[alias])
    empty_tables(case)
    for alias in case._databases_names(include_mirrors=False):
        triggers.install(connections[alias])


TransactionTestCase._fixture_teardown = empty_guarded_tables
