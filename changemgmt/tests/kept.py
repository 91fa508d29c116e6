"""What a fixture writes, written once in a process and put back, row by row, for every later test that asks for it.

The starter pack takes hundreds of queries; putting its rows back takes one for each table. A recording is used only
where the tables are as they were when it was made (`state`); else the fixture is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Model
from django.db.models.sql import InsertQuery

Answer = TypeVar("Answer")
State = tuple[tuple[Any, ...], ...]
Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Recording:
    """What the fixture answered, and the statements that write what it wrote."""

    answer: Any
    statements: list[Statement]


RECORDINGS: dict[tuple[object, ...], Recording] = {}


def keep(name: str, make: Callable[[], Answer], *about: object) -> Answer:
    """What `make` answers, with its rows written: by itself the first time, from its recording afterwards.

    `about` is what else it depends on, such as the moment. Whoever asks gets objects of their own.
    """
    key = (name, *about, state())
    if key in RECORDINGS:
        # In one transaction, which looks at the foreign keys at its end: tables refer to each other both ways.
        with transaction.atomic(), connection.cursor() as cursor:
            for sql, parameters in RECORDINGS[key].statements:
                cursor.execute(sql, parameters)
    else:
        before = rows()
        answer = make()
        RECORDINGS[key] = Recording(deepcopy(answer), list(written(before, rows())))
    return deepcopy(RECORDINGS[key].answer)


@cache
def models() -> list[type[Model]]:
    """Every model with a table, those between two others included."""
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.managed and not model._meta.proxy]


@cache
def counting() -> str:
    """One query for the number of rows and the last key of each table."""
    quote = connection.ops.quote_name
    each = [
        f"SELECT {place}, count(*), CAST(max({quote(model._meta.pk.column)}) AS varchar(60)) FROM {quote(model._meta.db_table)}"
        for place, model in enumerate(models())
    ]
    return " UNION ALL ".join(each) + " ORDER BY 1"


def state() -> State:
    """How many rows each table has, and the last of their keys."""
    with connection.cursor() as cursor:
        cursor.execute(counting())
        return tuple(cursor.fetchall())


def rows() -> dict[type[Model], dict[Any, Model]]:
    """Every row of every table by its key."""
    return {model: {row.pk: row for row in model._base_manager.order_by("pk")} for model in models()}


def written(before: dict[type[Model], dict[Any, Model]], after: dict[type[Model], dict[Any, Model]]) -> Iterator[Statement]:
    """The statements that add what is there after and was not before; a fixture that changed an older row can't be kept."""
    for model, here in after.items():
        fields = model._meta.concrete_fields
        for key, row in before[model].items():
            assert values(here[key]) == values(row), f"{model.__name__} {key} was there already and was changed"
        added = [row for key, row in here.items() if key not in before[model]]
        size = max(connection.ops.bulk_batch_size(list(fields), added), 1)
        for start in range(0, len(added), size):
            query = InsertQuery(model)
            query.insert_values(fields, added[start : start + size], raw=True)
            yield from query.get_compiler(connection=connection).as_sql()


def values(row: Model) -> list[Any]:
    return [getattr(row, field.attname) for field in row._meta.concrete_fields]
