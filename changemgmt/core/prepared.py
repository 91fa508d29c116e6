"""Queries of the hot paths, compiled once: making the SQL of such a query takes Django longer than the database needs to answer it.

`build` makes the query with marks in the place of the values that change from run to run. A mark is a number or a text
that stands for nothing else in the query; the rows are what `values_list` would answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL with its parameters, the places of the marks among them, and what turns columns into Python values."""

    sql: str
    parameters: tuple[Any, ...]
    places: tuple[tuple[int, str], ...]
    converters: tuple[tuple[int, Any, Any], ...]


class Prepared:
    """A query of `values_list` with named marks."""

    def __init__(self, build: Callable[[], QuerySet[Any, Any]], **marks: int | str) -> None:
        self.build, self.marks = build, marks
        self.compiled: dict[str, Compiled] = {}

    def rows(self, **values: int | str) -> list[list[Any]]:
        """Run it with `values` for its marks."""
        compiled = self.compiled.get(connection.vendor) or self.compile()
        parameters = list(compiled.parameters)
        for place, name in compiled.places:
            parameters[place] = values[name]
        with connection.cursor() as cursor:
            cursor.execute(compiled.sql, parameters)
            rows = [list(row) for row in cursor.fetchall()]
        for position, convert, expression in compiled.converters:
            for row in rows:
                row[position] = convert(row[position], expression, connection)
        return rows

    def compile(self) -> Compiled:
        """Let Django make the SQL, and note where the marks went."""
        compiler = self.build().query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        names = {value: name for name, value in self.marks.items()}
        places = tuple((place, names[value]) for place, value in enumerate(parameters) if value.__class__ in (int, str) and value in names)
        columns = [column[0] for column in compiler.select[: compiler.col_count]]
        found = compiler.get_converters(columns).items()
        converters = tuple((position, convert, expression) for position, (all_of, expression) in found for convert in all_of)
        compiled = self.compiled[connection.vendor] = Compiled(sql, tuple(parameters), places, converters)
        return compiled
