"""Our own JSON, as the export writes it: components and relations with all their fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from changemgmt.architecture.rules import WRITABLE
from changemgmt.core.errors import Invalid

from . import jsontext
from .files import ending_in
from .records import File, FoundComponent, FoundRelation, Options, Record, Skipped

ON_RECORD = ("source_system", "confirmed_at", "refuted_at", "refuted_reason")


def read(files: Sequence[File], options: Options) -> Iterator[Record]:
    """Every component and relation of every file."""
    for file in ending_in(files, ".json") or list(files):
        document = _document(file)
        for name, record in (("components", _component), ("relations", _relation)):
            rows = document.get(name, [])
            if not isinstance(rows, list):
                raise Invalid.field("file", f"{file.name}: {name} is no list.")
            for place, row in enumerate(rows):
                options.progress(place + 1)
                yield record(row, f"{file.name}, {name}[{place}]")


def _document(file: File) -> dict[str, Any]:
    document = jsontext.of_file(file)
    if not isinstance(document, dict) or not {"components", "relations"} & document.keys():
        raise Invalid.field("file", f"{file.name} is no architecture: an object with components and relations is expected (line 1).")
    if document.get("bomFormat") == "CycloneDX":
        raise Invalid.field("file", f"{file.name} is a CycloneDX bill of materials: choose the format cyclonedx.")
    return document


def _component(row: Any, where: str) -> Record:
    if not isinstance(row, dict) or not isinstance(row.get("key"), str):
        return Skipped(where, "A component is an object with a key.")
    return FoundComponent(row["key"], {name: row[name] for name in (*WRITABLE["component"], "external_references") if name in row}, where)


def _relation(row: Any, where: str) -> Record:
    ends = ("source", "target", "type")
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ends) or not isinstance(row.get("attributes", {}), dict):
        return Skipped(where, "A relation is an object with source, target and type.")
    record = {name: row[name] for name in ON_RECORD if name in row}
    return FoundRelation(str(row.get("key") or ""), row["source"], row["target"], row["type"], row.get("attributes", {}), where, record)
