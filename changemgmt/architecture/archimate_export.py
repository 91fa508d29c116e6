"""ArchiMate Model Exchange File Format 3.1, written by its schema's rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .archimate_views import Arranged
from .archimate_words import Said, Text, element, relationship
from .rules import COMPONENT, RELATION, end_of

if TYPE_CHECKING:
    from .exports import _Xml

NAMESPACE = "http://www.opengroup.org/xsd/archimate/3.0/"
MODEL = "id-architecture"
NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.\-]*$")
RESERVED = re.compile(rf"^({MODEL}|propid-\d+|(node|connection)-\d+)$")


class Identifiers:
    """Keys as XML identifiers, each once in the file: the key itself where it can be one and is free, else a stable name made from it."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], str] = {}
        self.taken: set[str] = set()

    def give(self, object: str, key: str) -> str:
        name = key if self.free(key) else f"id-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
        if name in self.taken:
            name = f"id-{hashlib.sha256(f'{object}:{key}'.encode()).hexdigest()[:32]}"
        self.taken.add(name)
        self.of[object, key] = name
        return name

    def free(self, name: str) -> bool:
        return bool(NAME.match(name)) and not RESERVED.match(name) and name not in self.taken


class _Properties:
    """Definitions of properties, by name and type, numbered in the order they come."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, str], str] = {}

    def write(self, xml: _Xml, said: Said) -> None:
        if not said.properties:
            return
        xml.open("properties")
        for name, kind, values in said.properties:
            xml.open("property", propertyDefinitionRef=self.numbers.setdefault((name, kind), f"propid-{len(self.numbers) + 1}"))
            _texts(xml, "value", values)
            xml.close("property")
        xml.close("properties")

    def define(self, xml: _Xml) -> None:
        if not self.numbers:
            return
        xml.open("propertyDefinitions")
        for (name, kind), number in self.numbers.items():
            xml.open("propertyDefinition", identifier=number, type=kind)
            xml.leaf("name", name)
            xml.close("propertyDefinition")
        xml.close("propertyDefinitions")


def write_model(xml: _Xml, components: Iterable[Mapping[str, Any]], relations: Iterable[Mapping[str, Any]]) -> None:
    """The whole model. Its folders and views are those its things are in; what a view looks like was never kept."""
    parts, links = list(components), list(relations)
    identifiers, properties = Identifiers(), _Properties()
    for object, images in ((COMPONENT, parts), (RELATION, links)):
        for image in images:
            identifiers.give(object, image["key"])
    arranged = Arranged(parts, links, identifiers)
    schema = "archimate3_Diagram.xsd" if arranged.views else "archimate3_Model.xsd"
    xml.open(
        "model",
        xmlns=NAMESPACE,
        xmlns__xsi="http://www.w3.org/2001/XMLSchema-instance",
        xsi__schemaLocation=f"{NAMESPACE} http://www.opengroup.org/xsd/archimate/3.1/{schema}",
        identifier=MODEL,
    )
    xml.leaf("name", "Architecture", xml__lang="en")
    for tag, images, write in (("elements", parts, _element), ("relationships", links, _relationship)):
        if images:
            xml.open(tag)
            for image in images:
                write(xml, image, identifiers, arranged, properties)
            xml.close(tag)
    arranged.write_folders(xml)
    properties.define(xml)
    arranged.write_views(xml)
    xml.close("model")


def _element(xml: _Xml, image: Mapping[str, Any], identifiers: Identifiers, arranged: Arranged, properties: _Properties) -> None:
    key, identifier = image["key"], identifiers.of[COMPONENT, image["key"]]
    said = element(image, key=identifier != key, places=(COMPONENT, key) not in arranged.told)
    _write(xml, "element", said, properties, identifier=identifier)


def _relationship(xml: _Xml, image: Mapping[str, Any], identifiers: Identifiers, arranged: Arranged, properties: _Properties) -> None:
    key, identifier = image["key"], identifiers.of[RELATION, image["key"]]
    said = relationship(image, key=identifier != key, places=(RELATION, key) not in arranged.told)
    ends = {side: identifiers.of[end_of(image[side])] for side in ("source", "target")}
    _write(xml, "relationship", said, properties, identifier=identifier, **ends)


def _write(xml: _Xml, tag: str, said: Said, properties: _Properties, **attributes: str) -> None:
    xml.open(tag, **attributes, xsi__type=said.kind, **said.xml)
    _texts(xml, "name", said.names)
    _texts(xml, "documentation", said.documentation)
    properties.write(xml, said)
    xml.close(tag)


def _texts(xml: _Xml, tag: str, texts: Iterable[Text]) -> None:
    for language, text in texts:
        xml.leaf(tag, text, **({"xml__lang": language} if language else {}))
