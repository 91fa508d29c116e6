"""Changes as the API shows them, kept beside the row: written with every save, read as they lie.

Composing fifty changes of fifty fields took longer than everything else a list does, so it is done when one is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import connection
from django.db.models import QuerySet

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.core.prepared import Prepared

from .models import Change
from .queries import representations, seen_by_user, visible_to

BATCH = 500
STATEMENT = f'UPDATE "{Change._meta.db_table}" SET document = %s WHERE id = %s'


NEWEST = 50
USER, NUMBER = -9_007_199_254_740_000, "\x01number"


def one(rows: QuerySet[Change]) -> QuerySet[Change, Any]:
    return rows.filter(number=NUMBER).order_by().values_list("document", "version", "edits")


def page(rows: QuerySet[Change]) -> QuerySet[Change, Any]:
    return rows.order_by("-created_at", "-pk").values_list("pk", "document", "created_at")[: NEWEST + 1]


ONE = Prepared(lambda: one(Change.objects.filter(seen_by_user(USER))), user=USER, number=NUMBER)
ONE_OF_ALL = Prepared(lambda: one(Change.objects.all()), number=NUMBER)
NEWEST_SEEN = Prepared(lambda: page(Change.objects.filter(seen_by_user(USER))), user=USER)
NEWEST_OF_ALL = Prepared(lambda: page(Change.objects.all()))


def write_documents(keys: Sequence[int]) -> None:
    """Bring the documents of these changes (primary keys) up to their rows. Whoever ties people to a change calls it."""
    for start in range(0, len(keys), BATCH):
        rows = Change.objects.filter(pk__in=keys[start : start + BATCH]).order_by("pk")
        written = zip(representations(rows), rows.values_list("pk", flat=True), strict=True)
        with connection.cursor() as cursor:
            cursor.executemany(STATEMENT, [(orjson.dumps(document).decode(), key) for document, key in written])


def visible_documents(user: User, *columns: str) -> QuerySet[Change, dict[str, Any]]:
    """What this person may see, as rows of key, document and the named columns."""
    return visible_to(user).values("pk", "document", *columns)


def document_of(user: User, number: str) -> tuple[orjson.Fragment, str] | None:
    """The document of the change with this number and its ETag; None where this person may not see it."""
    prepared, values = (ONE_OF_ALL, {}) if has_role(user, "auditor") else (ONE, {"user": user.pk})
    rows = prepared.rows(number=number, **values)
    return (orjson.Fragment(rows[0][0]), f"{rows[0][1]}.{rows[0][2]}") if rows else None


def newest(user: User) -> list[dict[str, Any]]:
    """The `NEWEST + 1` newest changes this person may see, as `visible_documents` would answer: what most programs ask a list for."""
    rows = NEWEST_OF_ALL.rows() if has_role(user, "auditor") else NEWEST_SEEN.rows(user=user.pk)
    return [dict(zip(("pk", "document", "created_at"), row, strict=True)) for row in rows]


def as_stored(rows: Iterable[dict[str, Any]]) -> list[orjson.Fragment]:
    """The documents of the rows, to be put into JSON as they lie."""
    return [orjson.Fragment(row["document"]) for row in rows]


def as_objects(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents of the rows as plain values."""
    return [orjson.loads(row["document"]) for row in rows]
