"""A condition as a person writes it in rows, and the way there and back.

Rows stand under one "all of" or "any of"; rows that share a letter form a group that is joined the other way.
Whatever nests deeper is not squeezed into rows: `rows_of` answers None, and the form keeps it as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from changemgmt.conditions.checking import check
from changemgmt.conditions.facts import Field, Kind, fields_with

LETTERS = ("A", "B", "C", "D", "E")
LISTED = ("in", "not_in")
TRUE, FALSE = ("yes", "true", "1"), ("no", "false", "0")


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """One line as written; `value` is text, with commas between the values of "is one of"."""

    field: str = ""
    op: str = "eq"
    value: str = ""
    negated: bool = False
    group: str = ""

    @property
    def blank(self) -> bool:
        return not self.field and not self.value.strip()


@dataclass(frozen=True, slots=True)
class Written:
    """All lines, the word that joins them, and a condition that is kept because rows can't show it.

    `bare` means it began as one test outside any group, and is written back so.
    """

    join: str = "all"
    rows: tuple[WrittenRow, ...] = ()
    bare: bool = False
    kept: Mapping[str, Any] | None = None


def other(join: str) -> str:
    return "any" if join == "all" else "all"


def written_of(condition: Mapping[str, Any] | None, custom: Mapping[str, str] | Iterable[str] = ()) -> Written:
    """The condition in rows, or kept whole where rows can't show it."""
    if not condition:
        return Written()
    join = next((word for word in ("all", "any") if word in condition), None)
    children = condition[join] if join else [condition]
    written = Written(join or "all", rows_of(children, join or "all") or (), bare=join is None)
    return written if written.rows and condition_of(written, custom)[0] == condition else Written(kept=condition)


def rows_of(children: Iterable[Any], join: str) -> tuple[WrittenRow, ...] | None:
    """The rows of a group's children, None when one of them nests deeper than a lettered group."""
    rows: list[WrittenRow] = []
    letters = iter(LETTERS)
    for child in children:
        inner = child.get(other(join)) if isinstance(child, Mapping) else None
        letter = next(letters, None) if inner is not None else ""
        found = [row_of(one, letter or "") for one in (inner if inner is not None else [child])]
        if letter is None or not found or None in found:
            return None
        rows += [row for row in found if row]
    return tuple(rows)


def row_of(node: Any, letter: str) -> WrittenRow | None:
    """One test, or one negated test, as a row; None for anything else."""
    negated = isinstance(node, Mapping) and set(node) == {"not"}
    test = node["not"] if negated else node
    if not isinstance(test, Mapping) or "field" not in test:
        return None
    return WrittenRow(test["field"], test["op"], value_text(test["op"], test.get("value")), negated, letter)


def row_at(condition: Mapping[str, Any], path: str) -> int | None:
    """Which row, from 0, shows the part of the condition at this path; None where no single row does."""
    join = next((word for word in ("all", "any") if word in condition), None)
    row = -1
    for index, child in enumerate(condition[join] if join else [condition]):
        at = f"{join}[{index}]" if join else ""
        inner = child.get(other(join or "all"))
        for number in range(len(inner)) if inner is not None else [-1]:
            row += 1
            place = at if number < 0 else f"{at}.{other(join or 'all')}[{number}]"
            if not place or path == at or (path.startswith(place) and path[len(place) :][:1] in ("", ".")):
                return row
    return None


def value_text(op: str, value: Any) -> str:
    """A value as a person would write it."""
    if op in LISTED and isinstance(value, list):
        line = io.StringIO()
        csv.writer(line, skipinitialspace=True, lineterminator="").writerow([value_text("eq", one) for one in value])
        return line.getvalue().replace(",", ", ") if not any("," in str(one) for one in value) else line.getvalue()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def condition_of(written: Written, custom: Mapping[str, str] | Iterable[str] = ()) -> tuple[dict[str, Any], dict[int, str]]:
    """The condition that the rows say, and the mistake of each row that has one (by its place in `written.rows`)."""
    fields = fields_with(custom)
    tests: list[dict[str, Any]] = []
    groups: dict[str, list[dict[str, Any]]] = {}
    mistakes: dict[int, str] = {}
    for index, row in enumerate(written.rows):
        if row.blank:
            continue
        test = test_of(row, fields.get(row.field) or Field(Kind.ANY, row.field))
        if found := check(test, custom=custom):
            mistakes[index] = "Choose a field." if not row.field else found[0].message
        node = {"not": test} if row.negated else test
        if not row.group:
            tests.append(node)
        elif row.group in groups:
            groups[row.group].append(node)
        else:
            groups[row.group] = [node]
            tests.append({other(written.join): groups[row.group]})
    if written.bare and len(tests) == 1 and not groups:
        return tests[0], mistakes
    return ({written.join: tests} if tests else {}), mistakes


def test_of(row: WrittenRow, field: Field) -> dict[str, Any]:
    if row.op == "is_set":
        return {"field": row.field, "op": row.op, "value": row.value.strip().lower() not in FALSE}
    if row.op in LISTED:
        parts = next(csv.reader([row.value], skipinitialspace=True), [])
        return {"field": row.field, "op": row.op, "value": [typed(part.strip(), field) for part in parts if part.strip()]}
    return {"field": row.field, "op": row.op, "value": typed(row.value.strip(), field)}


def typed(text: str, field: Field) -> Any:
    """The text as the field's kind of value; text that does not fit stays, and the check names it."""
    if field.kind is Kind.NUMBER:
        return number(text)
    if field.kind is Kind.BOOLEAN:
        return True if text.lower() in TRUE else False if text.lower() in FALSE else text
    return text


def number(text: str) -> int | float | str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    if not value.is_finite():
        return text
    return int(value) if value == value.to_integral_value() and "." not in text and abs(value) < 10**15 else float(value)
