"""Many rows straight into their table: by COPY on PostgreSQL, by one prepared statement on SQLite.

For hundreds of thousands of rows that were checked before: making a model of each, and asking each of its fields, takes several times as long
as the database does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import JSONField, Model


def insert(model: type[Model], columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write the rows, each with a value for every one of `columns` (attribute names, without the primary key). Signals are not sent.

    Raises what Django raises for a row that the database refuses.
    """
    written = [_written(model, name) for name in columns]
    values: Any = (tuple(write(value) for write, value in zip(written, row, strict=True)) for row in rows)
    quote = connection.ops.quote_name
    into = f"{quote(model._meta.db_table)} ({', '.join(quote(_field(model, name).column) for name in columns)})"
    with connection.cursor() as cursor, connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
        else:
            cursor.executemany(f"INSERT INTO {into} VALUES ({', '.join(['%s'] * len(columns))})", values)


def _field(model: type[Model], name: str) -> Any:
    return next(field for field in model._meta.concrete_fields if field.attname == name)


def _written(model: type[Model], name: str) -> Callable[[Any], Any]:
    """How a value of this column is written."""
    if isinstance(_field(model, name), JSONField):
        return json.dumps
    return lambda value: connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
