"""The whole architecture as JSON, CSV, GraphML or ArchiMate exchange XML, in stable order: equal architectures give equal bytes."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from .models import Component, Relation
from .queries import component_image, components, relation_image, relations
from .rules import RELATION_END

CHUNK = 2000
EPOCH = (1980, 1, 1, 0, 0, 0)
NODE_COLUMNS = ("key", "name", "type", "layer", "owner", "org_unit", "criticality", "users", "status", "environment", "tags")
EDGE_COLUMNS = ("key", "source", "target", "type")


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
    """`{"components": […], "relations": […]}`, keys sorted, one thing a line. Revisions and who confirmed what when are no part of it."""
    yield '{"components": ['
    yield from _lines(source.components())
    yield '\n], "relations": ['
    yield from _lines(map(_said, source.relations()))
    yield "\n]}\n"


def _said(image: Mapping[str, Any]) -> dict[str, Any]:
    """A relation without what is on record here about its trust: whoever reads it in confirms it there."""
    return {name: value for name, value in image.items() if name not in ("confirmed_at", "refuted_at", "refuted_reason")}


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
    attributes = sorted({name for row in rows for name in row["attributes"]} - set(columns))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, *attributes])
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns] + [_cell(row["attributes"].get(name)) for name in attributes])
    return text.getvalue()


def _cell(value: Any) -> str:
    """A value as a cell: text as it is, lists of text with `;`, other things as JSON."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ";".join(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


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
        self.out.characters(clean(text))
        self.close(name)


def clean(text: str) -> str:
    """`text` without the characters XML can't hold."""
    return "".join(sign for sign in text if sign in "\t\n\r" or sign >= " " and sign not in "\ufffe\uffff")


def as_graphml(source: Source = LIVE) -> str:
    """Components as nodes; relations as edges, and those that others end on as nodes too, so that nothing is lost."""
    xml = _Xml()
    xml.open("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    fields = ("name", "type", "layer", "owner", "criticality", "users", "status", "environment", "tags", "attributes", "key")
    for name in fields:
        xml.leaf("key", id=name, **{"for": "all", "attr.name": name, "attr.type": "string"})
    xml.open("graph", id="architecture", edgedefault="directed")
    for image in source.components():
        _graphml(
            xml,
            "node",
            image,
            ("name", "type", "layer", "owner", "criticality", "users", "status", "environment", "tags", "attributes"),
            id=image["key"],
        )
    links = list(source.relations())
    for end in sorted({end for image in links for end in (image["source"], image["target"]) if end.startswith(RELATION_END)}):
        xml.leaf("node", id=end)
    for image in links:
        _graphml(xml, "edge", image, ("key", "type", "attributes"), source=image["source"], target=image["target"])
    xml.close("graph")
    xml.close("graphml")
    return xml.text.getvalue()


def _graphml(xml: _Xml, tag: str, image: Mapping[str, Any], fields: tuple[str, ...], **attributes: str) -> None:
    xml.open(tag, **attributes)
    for name in fields:
        if image[name] not in ("", None, [], {}):
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
