"""What makes the database itself refuse to change the record, on SQLite and PostgreSQL.

The triggers are made after every migration (Django's rebuilding of a table on SQLite drops them silently) and compared
with the text given here by a system check, by `audit verify` and when production starts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

TABLE = "changemgmt_event"
REFUSAL = "audit events are never changed or removed"
TAKEN = "an audit event stands at this place already"

SQLITE = {
    f"{TABLE}_no_update": f"CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    f"{TABLE}_no_delete": f"CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    # INSERT OR REPLACE removes the row in its way without asking a delete trigger.
    f"{TABLE}_no_replace": (
        f"CREATE TRIGGER {TABLE}_no_replace BEFORE INSERT ON {TABLE} WHEN EXISTS "
        f"(SELECT 1 FROM {TABLE} WHERE id = NEW.id OR (stream = NEW.stream AND sequence = NEW.sequence)) "
        f"BEGIN SELECT RAISE(ABORT, '{TAKEN}'); END"
    ),
}

FUNCTION = f"{TABLE}_refuse"
FUNCTION_BODY = f"BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END"
POSTGRES_MAKE = (
    f"CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS '{FUNCTION_BODY.replace(chr(39), chr(39) * 2)}'",
    f"CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()",
    # ALWAYS: otherwise session_replication_role = replica switches it off.
    f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_no_change",
)
POSTGRES = {
    f"{TABLE}_no_change": f"A CREATE TRIGGER {TABLE}_no_change BEFORE DELETE OR UPDATE OR TRUNCATE ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()",
    f"function {FUNCTION}": FUNCTION_BODY,
}
POSTGRES_READ = """
    SELECT t.tgname::text, t.tgenabled::text || ' ' || replace(pg_get_triggerdef(t.oid), ' ON ' || n.nspname || '.', ' ON ')
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE t.tgrelid = to_regclass(%(table)s) AND NOT t.tgisinternal
    UNION ALL
    SELECT 'function ' || p.proname::text, btrim(p.prosrc) FROM pg_proc p
    JOIN pg_trigger t ON t.tgfoid = p.oid WHERE t.tgrelid = to_regclass(%(table)s) AND NOT t.tgisinternal
    UNION ALL
    SELECT 'rule ' || rulename::text, definition FROM pg_rules WHERE tablename = %(table)s
"""
GRANTEES = """
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
    WHERE c.oid = to_regclass(%(table)s) AND pg_get_userbyid(c.relowner) = current_user
    AND a.grantee <> c.relowner AND a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
"""
SQLITE_READ = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %(table)s"


def expected(vendor: str) -> dict[str, str]:
    """Name and text of everything that has to stand on the table in a database of this kind."""
    return SQLITE if vendor == "sqlite" else POSTGRES


def found(connection: Any) -> dict[str, str]:
    """Name and text of everything that stands on the table, in one line each."""
    with connection.cursor() as cursor:
        cursor.execute(SQLITE_READ if connection.vendor == "sqlite" else POSTGRES_READ, {"table": TABLE})
        return {name: re.sub(r"\s+", " ", text or "").strip() for name, text in cursor.fetchall()}


def exists(connection: Any) -> bool:
    """Is the table there yet?"""
    with connection.cursor() as cursor:
        return TABLE in connection.introspection.table_names(cursor)


def problems(connection: Any) -> list[str]:
    """What is missing, altered or foreign among the triggers of the record; empty when it is guarded as it should be."""
    if not exists(connection):
        return [f"the table {TABLE} does not exist"]
    wanted, there = expected(connection.vendor), found(connection)
    missing = [f"{name} is missing" for name in wanted if name not in there]
    altered = [f"{name} is not as it was made" for name in wanted if name in there and there[name] != wanted[name]]
    foreign = [f"{name} is not ours" for name in there if name not in wanted]
    return missing + altered + foreign


def install(connection: Any) -> None:
    """Make the triggers as they have to be; what is right already is left alone."""
    if not exists(connection) or not problems(connection):
        return
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        for name in list(found(connection)):
            if name in expected(connection.vendor) and not name.startswith("function "):
                cursor.execute(f"DROP TRIGGER {name}" + ("" if connection.vendor == "sqlite" else f" ON {TABLE}"))
        for statement in SQLITE.values() if connection.vendor == "sqlite" else POSTGRES_MAKE:
            cursor.execute(statement)


def lessen(connection: Any) -> None:
    """On PostgreSQL, as the owner: leave every other role the rights to read and to add, whatever default privileges gave it."""
    if connection.vendor != "postgresql" or not exists(connection):
        return
    with connection.cursor() as cursor:
        cursor.execute(GRANTEES, {"table": TABLE})
        for (grantee,) in cursor.fetchall():
            name = grantee if grantee == "PUBLIC" else connection.ops.quote_name(grantee)
            cursor.execute(f"REVOKE UPDATE, DELETE, TRUNCATE, TRIGGER ON {TABLE} FROM {name}")


def after_migrate(*, using: str, **_: Any) -> None:
    """The receiver of `post_migrate`: the record is guarded again whatever a migration did."""
    install(connections[using])
    lessen(connections[using])


def check(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """The system check (`manage.py check --database default`). A warning, since an error would stop the migration that heals it."""
    return [
        Warning(f"The audit record is not guarded: {problem}.", hint="Run manage.py migrate as the owner of the tables.", id="changemgmt.W001")
        for alias in databases or []
        if exists(connections[alias])
        for problem in problems(connections[alias])
    ]


def check_role(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """The deployment check (`manage.py check --deploy --database default`): who runs the product may only add events."""
    return [
        Warning(
            "The role that runs the product may change the table of audit events.",
            hint="Give it SELECT and INSERT only, and let another role own the tables: see docs/audit.md.",
            id="changemgmt.W002",
        )
        for alias in databases or []
        if connections[alias].vendor == "postgresql" and exists(connections[alias]) and may_alter(connections[alias])
    ]


def may_alter(connection: Any) -> bool:
    """Whether the role in use owns the table, or holds a right on it beyond reading and adding."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT has_table_privilege(%s, 'UPDATE') OR has_table_privilege(%s, 'DELETE') OR has_table_privilege(%s, 'TRUNCATE')", [TABLE] * 3
        )
        return bool(cursor.fetchone()[0])


def require(connection: Any) -> None:
    """Refuse to go on, by ImproperlyConfigured, when the record is not guarded."""
    wrong = problems(connection)
    if wrong:
        raise ImproperlyConfigured(f"The audit record is not guarded: {'; '.join(wrong)}. Run manage.py migrate as the owner of the tables.")


def require_in_production() -> None:
    """Where web, worker and scheduler start: production does not run on a record that is not guarded. Leaves no connection open."""
    if settings.PRODUCTION:
        try:
            require(connections["default"])
        finally:
            connections["default"].close()
