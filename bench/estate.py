"""Generated estates of any size: systems of a thousand components that hang together by three relations each.

What a change of one component reaches is its system, however large the estate is. Rows are written in bulk, past the verbs: this is for
measuring what reads them, never for use.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from random import Random
from typing import Any

from django.core.management.color import no_style
from django.db import connection, transaction

from changemgmt.architecture.models import Component, ComponentType, Relation, RelationType, Revision
from changemgmt.core.time import utc_now

SYSTEM = 1000
PER_COMPONENT = 3


def key_of(number: int) -> str:
    return f"estate/{number // SYSTEM:05}/{number % SYSTEM:03}"


def relations(count: int) -> Iterator[tuple[int, int]]:
    """From and to of each relation, by number: within the system, and one in a hundred out of it (those conduct nothing)."""
    random = Random(20261120)
    for number in range(count):
        first = number - number % SYSTEM
        size = min(SYSTEM, count - first)
        for turn in range(PER_COMPONENT):
            away = random.random() < 0.01
            # The first of each leads to the one before, so that a system hangs together.
            near = first + (max(number - first - 1, 0) if turn == 0 else random.randrange(size))
            yield number, random.randrange(count) if away and turn else near


def fill(count: int) -> None:
    """An estate of `count` components and three times as many relations, as the next revision."""
    kind = ComponentType.objects.filter(layer__name="application").order_by("pk").first()
    conducts, other = (RelationType.objects.get(name=name).pk for name in ("serving", "association"))
    now = utc_now()
    first, first_relation = (1 + (model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0) for model in (Component, Relation))
    parts = (
        (
            first + number,
            key_of(number),
            f"Component {number}",
            kind.pk,
            kind.layer_id,
            "estate",
            3,
            number % 50,
            "live",
            "",
            "{}",
            "[]",
            "{}",
            "[]",
            1,
        )
        for number in range(count)
    )
    links = (
        (first_relation + place, f"{key_of(one)}|{place}", conducts if one // SYSTEM == two // SYSTEM else other, first + one, first + two, "{}", "",
         now, "", 1)
        for place, (one, two) in enumerate(relations(count))
    )  # fmt: skip
    with transaction.atomic():
        in_bulk(Component, COMPONENT, parts)
        in_bulk(Relation, RELATION, links)
        number = (Revision.objects.order_by("-number").values_list("number", flat=True).first() or 0) + 1
        Revision.objects.create(number=number, at=now, actor="bench", touched=["*"])
    with connection.cursor() as cursor:
        for command in connection.ops.sequence_reset_sql(no_style(), [Component, Relation]):
            cursor.execute(command)
        cursor.execute("ANALYZE")


COMPONENT = (
    "id", "key", "name", "type_id", "layer_id", "owner", "criticality", "users", "status", "environment", "attributes", "tags", "needs",
    "external_references", "revision",
)  # fmt: skip
RELATION = ("id", "key", "type_id", "source_id", "target_id", "attributes", "source_system", "confirmed_at", "refuted_reason", "revision")


def in_bulk(model: type[Component] | type[Relation], columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    """Rows straight into the table: by COPY where that is known, else a statement for each."""
    into = f"{model._meta.db_table} ({', '.join(columns)})"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            cursor.cursor.executemany(f"INSERT INTO {into} VALUES ({', '.join('?' * len(columns))})", map(plain, rows))


def plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as SQLite takes it."""
    return tuple(connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value for value in row)
