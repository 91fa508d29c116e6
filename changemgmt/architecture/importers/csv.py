"""Tables: nodes and edges as CSV, with the columns named as ours or mapped to ours. What is no field is an attribute."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, Any

from changemgmt.core.errors import Invalid

from . import jsontext
from .records import File, FoundComponent, FoundRelation, Options, Record, Skipped

NODE_FIELDS = ("key", "name", "type", "layer", "owner", "org_unit", "criticality", "users", "status", "environment", "tags")
EDGE_FIELDS = ("key", "source", "target", "type")
# Columns whose cells hold JSON, as our own export writes what is no text. A cell that is something else is an attribute like others.
JSON_COLUMNS = {"needs": dict, "external_references": list, "attributes": dict}
# Where a table has no column of our name, the first of these it has stands in.
STAND_INS = {
    "nodes": {"key": ("id", "name"), "name": ("title", "label", "key", "id"), "type": ("kind", "category")},
    "edges": {"source": ("from",), "target": ("to",), "type": ("kind", "relation")},
}
DEFAULT_TYPES = {"nodes": "component", "edges": "association"}
LONGEST_CELL = 1_000_000
LONGEST_ROW = 8_000_000


def read(files: Sequence[File], options: Options) -> Iterator[Record]:
    """Every row of the tables called nodes… and edges…, or of a single table, which is told by its columns."""
    tables = {"nodes": _named(files, "nodes"), "edges": _named(files, "edges")}
    if not any(tables.values()):
        tables = _told_by_columns(files)
    keys: Counter[str] = Counter()
    count = 0
    for kind, found in tables.items():
        for file in found:
            for record in _table(file, kind, options, keys):
                count += 1
                if count % 1000 == 0:
                    options.progress(count)
                yield record


def _named(files: Sequence[File], part: str) -> list[File]:
    return [file for file in files if file.name.lower().endswith(".csv") and part in PurePosixPath(file.name).name.lower()]


def _told_by_columns(files: Sequence[File]) -> dict[str, list[File]]:
    found: dict[str, list[File]] = {"nodes": [], "edges": []}
    for file in files:
        if file.name.lower().endswith(".csv"):
            header = next(_rows(file), (0, []))[1]
            found["edges" if {"target", "to"} & {name.strip().lower() for name in header} else "nodes"].append(file)
    if not any(found.values()):
        raise Invalid.field("file", "There is no CSV table: give nodes.csv and edges.csv (a zip or a folder), or one of them.")
    return found


class _Lines:
    """The lines of a table, of which no row may grow beyond a limit: a quote that is never closed would make one of the whole file."""

    def __init__(self, file: File, text: IO[str]) -> None:
        self.file, self.text = file, text
        self.number = self.length = 0

    def __iter__(self) -> Iterator[str]:
        while line := self.text.readline(LONGEST_ROW):
            self.number += 1
            self.length += len(line)
            if self.length >= LONGEST_ROW:
                raise Invalid.field(
                    "file", f"{self.file.name} has a row of more than {LONGEST_ROW // 1_000_000} million characters (line {self.number})."
                )
            yield line


def _rows(file: File) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line number, or Invalid where the text is no UTF-8 or no CSV."""
    csv.field_size_limit(LONGEST_CELL)
    with file.open() as stream:
        lines = _Lines(file, io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
        reader = csv.reader(iter(lines), strict=True)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except UnicodeDecodeError:
                raise Invalid.field("file", f"{file.name} is not UTF-8 (near line {reader.line_num + 1}).") from None
            except csv.Error as error:
                raise Invalid.field("file", f"{file.name} is no CSV: {error} (line {reader.line_num}).") from None
            lines.length = 0
            yield reader.line_num, row


def _table(file: File, kind: str, options: Options, keys: Counter[str]) -> Iterator[Record]:
    rows = _rows(file)
    header = [name.strip() for name in next(rows, (0, []))[1]]
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        raise Invalid.field("file", f"{file.name} has the column {twice[0][:60]!r} twice (line 1).")
    columns = _Columns(file, kind, header, _mapping(options.mapping, kind))
    for line, row in rows:
        where = f"{file.name}, line {line}"
        if not any(row):
            continue
        if len(row) > len(header):
            yield Skipped(where, f"The row has {len(row)} cells, the table {len(header)} columns.")
            continue
        cells = dict(zip(header, row, strict=False))
        yield _node(columns, cells, where) if kind == "nodes" else _edge(columns, cells, where, keys)


def _mapping(mapping: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The part of a mapping for one table; a flat mapping (our field: column) serves both."""
    if not isinstance(mapping, Mapping):
        raise Invalid.field("mapping", "A mapping is an object: our field, and the column it comes from.")
    part = mapping.get(kind, mapping if not {"nodes", "edges"} & mapping.keys() else {})
    if not isinstance(part, Mapping):
        raise Invalid.field("mapping", f"{kind}: give an object of our fields and their columns.")
    known = NODE_FIELDS if kind == "nodes" else EDGE_FIELDS
    for name, rule in part.items():
        if name not in {*NODE_FIELDS, *EDGE_FIELDS, "attributes", "ignore"}:
            raise Invalid.field("mapping", f"{kind}: there is no field {str(name)[:60]!r}. Known: {', '.join(known)}.")
        if not isinstance(rule, str | Mapping | list):
            raise Invalid.field("mapping", f"{kind}: {name}: give a column, or an object with column, values, default, value or split.")
    return part


class _Columns:
    """Which column each of our fields comes from, in one table."""

    def __init__(self, file: File, kind: str, header: Sequence[str], mapping: Mapping[str, Any]) -> None:
        self.kind, self.mapping = kind, mapping
        self.rules: dict[str, Mapping[str, Any]] = {}
        for field in NODE_FIELDS if kind == "nodes" else EDGE_FIELDS:
            rule = mapping.get(field)
            if rule is None:
                rule = next((name for name in (field, *STAND_INS[kind].get(field, ())) if name in header), None)
            if rule is not None:
                self.rules[field] = {"column": rule} if isinstance(rule, str) else rule
        self._check(file, header)
        used = {rule.get("column") for rule in self.rules.values()} | set(mapping.get("ignore") or [])
        self.attributes = [name for name in header if name and name not in used]

    def _check(self, file: File, header: Sequence[str]) -> None:
        for field, rule in self.rules.items():
            column = rule.get("column")
            if column is not None and column not in header:
                raise Invalid.field("mapping", f"{file.name} has no column {str(column)[:60]!r} for {field}. It has: {', '.join(header)[:300]}.")
        for needed in ("key",) if self.kind == "nodes" else ("source", "target"):
            if needed not in self.rules:
                raise Invalid.field("file", f"{file.name} has no column {needed!r}; name one by a mapping. It has: {', '.join(header)[:300]}.")

    def value(self, field: str, cells: Mapping[str, str]) -> str:
        """The value of one of our fields; empty where the row has none."""
        rule = self.rules.get(field, {})
        text = str(rule.get("value", cells.get(str(rule.get("column")), "")))
        text = text if field == "name" else _unquoted(text.strip())
        values = rule.get("values")
        if isinstance(values, Mapping):
            return str(values.get(text, rule.get("default", text)))
        return text or str(rule.get("default", ""))

    def rest(self, cells: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The attributes of a row, and the fields it gives as JSON."""
        texts = {name: cells[name] for name in self.attributes if cells.get(name)}
        whole = {name: found for name in JSON_COLUMNS if (found := _json(texts.get(name, ""), JSON_COLUMNS[name])) is not None}
        if self.kind == "edges":
            whole = {name: value for name, value in whole.items() if name == "attributes"}
        attributes = {name: text for name, text in texts.items() if name not in whole} | whole.pop("attributes", {})
        return attributes, whole


def _json(text: str, kind: type) -> Any:
    """The JSON a cell holds, of this kind; None where it holds none."""
    if not text.startswith(("{", "[", '"')):
        return None
    try:
        found = jsontext.value(text, "The cell")
    except Invalid:
        return None
    return found if isinstance(found, kind) else None


def _unquoted(text: str) -> str:
    """A text in quotes of its own has blanks around it that count."""
    found = _json(text, str) if text[:1] == '"' == text[-1:] else None
    return text if found is None else str(found)


def plain_tag(tag: str) -> bool:
    """Whether a tag can stand in a cell among others."""
    return bool(tag) and tag == tag.strip() and ";" not in tag and not tag.startswith("[")


def _tags(text: str, separator: str) -> list[str]:
    found = _json(text, list)
    if found is not None and all(isinstance(tag, str) for tag in found):
        return found
    return list(dict.fromkeys(tag.strip() for tag in text.split(separator) if tag.strip()))


def _node(columns: _Columns, cells: Mapping[str, str], where: str) -> Record:
    key = columns.value("key", cells)
    if not key:
        return Skipped(where, "The row has no key.")
    key = sys.intern(key)
    fields: dict[str, Any] = {"type": columns.value("type", cells) or DEFAULT_TYPES["nodes"], "name": columns.value("name", cells)}
    for name in ("layer", "owner", "org_unit", "status", "environment"):
        if value := columns.value(name, cells):
            fields[name] = value
    for name in ("criticality", "users"):
        if value := columns.value(name, cells):
            if not value.isascii() or not value.isdigit() or len(value) > 10:
                return Skipped(where, f"{name} is {value[:40]!r}, where a whole number is expected.", key)
            fields[name] = int(value)
    if "tags" in columns.rules:
        fields["tags"] = _tags(columns.value("tags", cells), columns.rules["tags"].get("split", ";"))
    attributes, whole = columns.rest(cells)
    return FoundComponent(key, fields | {"attributes": attributes} | whole, where)


def _edge(columns: _Columns, cells: Mapping[str, str], where: str, keys: Counter[str]) -> Record:
    source, target = columns.value("source", cells), columns.value("target", cells)
    key = columns.value("key", cells)
    if not source or not target:
        return Skipped(where, f"The row has no {'source' if not source else 'target'}.", key)
    kind = columns.value("type", cells) or DEFAULT_TYPES["edges"]
    # Every end is the key of a node, and types are few: one text serves all that say the same.
    return FoundRelation(key, sys.intern(source), sys.intern(target), sys.intern(kind), columns.rest(cells)[0], where)
