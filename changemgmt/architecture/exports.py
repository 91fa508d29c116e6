"""The whole architecture as JSON, CSV, GraphML or ArchiMate exchange XML, in stable order: equal architectures give equal bytes."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import XMLGenerator, escape
from xml.sax.xmlreader import AttributesImpl

from .archimate_words import NOT_IN_XML
from .importers.csv import JSON_COLUMNS, plain_tag
from .models import Component, Relation
from .queries import component_image, components, relation_image, relations
from .rules import RELATION_END

CHUNK = 2000
EPOCH = (1980, 1, 1, 0, 0, 0)
NODE_COLUMNS = ("key", "name", "type", "layer", "owner", "org_unit", "criticality", "users", "status", "environment", "tags")
EDGE_COLUMNS = ("key", "source", "target", "type")
GRAPHML = {
    "node": (*NODE_COLUMNS[1:], "needs", "external_references", "attributes"),
    "edge": ("key", "type", "source_system", "confirmed_at", "refuted_at", "refuted_reason", "attributes"),
}


def component_images() -> Iterator[dict[str, Any]]:
    """Every component, in key order (of the text, not of the database's language)."""
    keys = sorted(Component.objects.order_by().values_list("pk", "key"), key=lambda row: row[1])
    yield from _in_order(keys, components(), component_image)


def relation_images() -> Iterator[dict[str, Any]]:
    """Every relation, in key order."""
    keys = sorted(Relation.objects.order_by().values_list("pk", "key"), key=lambda row: row[1])
    yield from _in_order(keys, relations(), relation_image)


def _in_order(keys: list[tuple[int, str]], rows: Any, image: Callable[[Any], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(keys), 500):
        wanted = [pk for pk, _ in keys[start : start + 500]]
        found = rows.in_bulk(wanted)
        yield from (image(found[pk]) for pk in wanted if pk in found)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an export reads the images from, in key order: each call begins anew."""

    components: Callable[[], Iterator[dict[str, Any]]]
    relations: Callable[[], Iterator[dict[str, Any]]]


LIVE = Source(component_images, relation_images)


def as_json(source: Source = LIVE) -> Iterator[str]:
    """`{"components": […], "relations": […]}`, keys sorted, one thing a line, with all that is known of each. Revisions are no part of it."""
    yield '{"components": ['
    yield from _lines(source.components())
    yield '\n], "relations": ['
    yield from _lines(source.relations())
    yield "\n]}\n"


def _lines(images: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for number, image in enumerate(images):
        yield ("," if number else "") + "\n" + json.dumps(image, sort_keys=True, ensure_ascii=False)


def as_csv(source: Source = LIVE) -> bytes:
    """A zip of `nodes.csv` and `edges.csv` as the import reads them; attributes are columns of their own."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, columns, rows in (("nodes.csv", NODE_COLUMNS, list(source.components())), ("edges.csv", EDGE_COLUMNS, list(source.relations()))):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), _table(columns, rows))
    return target.getvalue()


def _table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Texts among the attributes are columns; every other value stands as JSON in the column `attributes`, so that it is read back as it is."""
    taken = {*columns, *JSON_COLUMNS}
    own = sorted({name for row in rows for name, value in row["attributes"].items() if _is_column(name, value, taken)})
    whole = [name for name in JSON_COLUMNS if any(_left(row, name, own) for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*columns, *own, *whole])
    for row in rows:
        texts = [value if isinstance(value := row["attributes"].get(name), str) else "" for name in own]
        left = [_left(row, name, own) for name in whole]
        writer.writerow([*(_field(name, row.get(name)) for name in columns), *texts, *(_json(value) if value else "" for value in left)])
    return text.getvalue()


def _is_column(name: str, value: Any, taken: set[str]) -> bool:
    return isinstance(value, str) and bool(value) and bool(name) and name == name.strip() and name not in taken


def _left(row: Mapping[str, Any], field: str, columns: Sequence[str]) -> Any:
    """What of an object or list of a row stands as JSON: of the attributes, those that are no text of a column."""
    if field != "attributes":
        return row.get(field)
    return {name: value for name, value in row["attributes"].items() if not (name in columns and isinstance(value, str) and value)}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _field(name: str, value: Any) -> str:
    """A field as a cell. The import takes blanks away around all but names, so that a text which has some stands in quotes."""
    quoted = isinstance(value, str) and name != "name" and (value != value.strip() or value.startswith('"'))
    return _json(value) if quoted else _cell(value)


def _cell(value: Any) -> str:
    """A value as a cell: text as it is, tags with `;`, other things as JSON."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) and plain_tag(part) for part in value) and len(set(value)) == len(value):
        return ";".join(value)
    return value if isinstance(value, str) else _json(value)


# XML.


class _Xml:
    """Writing XML piece by piece."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.out = XMLGenerator(self.text, "utf-8", short_empty_elements=True)
        self.out.startDocument()

    def open(self, name: str, **attributes: str) -> None:
        self.out.startElement(name, AttributesImpl({key.replace("__", ":"): clean(value) for key, value in attributes.items()}))

    def close(self, name: str) -> None:
        self.out.endElement(name)

    def leaf(self, name: str, text: str = "", **attributes: str) -> None:
        self.open(name, **attributes)
        # A bare carriage return would be read as the end of a line. What is written as whitespace is written as it stands.
        self.out.ignorableWhitespace(escape(clean(text), {"\r": "&#13;"}))
        self.close(name)


def clean(text: str) -> str:
    """`text` without the characters XML can't hold."""
    return NOT_IN_XML.sub("", text)


def as_graphml(source: Source = LIVE) -> str:
    """Components as nodes; relations as edges, and those that others end on as nodes too, so that nothing is lost."""
    xml = _Xml()
    xml.open("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    for name in dict.fromkeys(name for names in GRAPHML.values() for name in names):
        xml.leaf("key", id=name, **{"for": "all", "attr.name": name, "attr.type": "string"})
    xml.open("graph", id="architecture", edgedefault="directed")
    for image in source.components():
        _graphml(xml, "node", image, id=image["key"])
    links = list(source.relations())
    for end in sorted({end for image in links for end in (image["source"], image["target"]) if end.startswith(RELATION_END)}):
        xml.leaf("node", id=end)
    for image in links:
        _graphml(xml, "edge", image, id=image["key"], source=image["source"], target=image["target"])
    xml.close("graph")
    xml.close("graphml")
    return xml.text.getvalue()


def _graphml(xml: _Xml, tag: str, image: Mapping[str, Any], **attributes: str) -> None:
    xml.open(tag, **attributes)
    for name in GRAPHML[tag]:
        if image.get(name) not in ("", None, [], {}):
            xml.leaf("data", _cell(image[name]), key=name)
    xml.close(tag)


def as_archimate(source: Source = LIVE) -> str:
    """ArchiMate Model Exchange File Format 3.1. Keys become identifiers; fields it has no place for become properties."""
    from .archimate_export import write_model

    xml = _Xml()
    write_model(xml, source.components(), source.relations())
    return xml.text.getvalue()


@dataclass(frozen=True, slots=True)
class Export:
    """One form of the export."""

    write: Callable[[Source], bytes]
    content_type: str
    file_name: str


EXPORTS: Mapping[str, Export] = {
    "json": Export(lambda source: "".join(as_json(source)).encode(), "application/json", "architecture.json"),
    "csv": Export(as_csv, "application/zip", "architecture.zip"),
    "archimate": Export(lambda source: as_archimate(source).encode(), "application/xml", "architecture.xml"),
    "graphml": Export(lambda source: as_graphml(source).encode(), "application/xml", "architecture.graphml"),
}
