"""ArchiMate Model Exchange File Format 3.1, written by its schema's rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .rules import end_of
from .seed import ARCHIMATE

if TYPE_CHECKING:
    from .exports import _Xml

NAMESPACE = "http://www.opengroup.org/xsd/archimate/3.0/"
SCHEMA = f"{NAMESPACE} http://www.opengroup.org/xsd/archimate/3.1/archimate3_Model.xsd"
ELEMENTS = {name for names in ARCHIMATE.values() for name in names.split()} - {"Junction"}
STAND_INS = {"business": "BusinessObject", "application": "ApplicationComponent", "data": "DataObject", "technology": "Node"}
RELATIONS = {
    name: name.capitalize()
    for name in [
        "composition",
        "aggregation",
        "assignment",
        "realization",
        "serving",
        "access",
        "influence",
        "triggering",
        "flow",
        "specialization",
        "association",
    ]
}
ACCESS = {"read": "Read", "write": "Write", "read_write": "ReadWrite", "unspecified": "Access"}
NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.\-]*$")
OWN = {"documentation", "junction"}
OWN_OF_RELATION = {"documentation", "name", "access", "strength", "modifier", "directed"}
OURS = "countersign."  # before the names of properties that are fields of ours, so that the import finds them again
FIELDS = ("owner", "org_unit", "criticality", "users", "status", "environment", "tags")
USUAL: dict[str, Any] = {"owner": "", "org_unit": None, "criticality": 3, "users": 0, "status": "live", "environment": "", "tags": []}


def identifier(key: str) -> str:
    """A key as an XML identifier: itself where it can be one, else a stable name made from it."""
    return key if NAME.match(key) else "id-" + hashlib.sha256(key.encode()).hexdigest()[:32]


class _Properties:
    """Names of properties, numbered in the order they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}

    def write(self, xml: _Xml, values: Mapping[str, Any]) -> None:
        from .exports import _cell

        if not values:
            return
        xml.open("properties")
        for name, value in values.items():
            several = isinstance(value, list) and not name.startswith(OURS) and value and all(isinstance(one, str) for one in value)
            for part in value if several else [value]:
                xml.open("property", propertyDefinitionRef=self.numbers.setdefault(name, f"propid-{len(self.numbers) + 1}"))
                xml.leaf("value", _cell(part), xml__lang="en")
                xml.close("property")
        xml.close("properties")

    def define(self, xml: _Xml) -> None:
        if not self.numbers:
            return
        xml.open("propertyDefinitions")
        for name, number in self.numbers.items():
            xml.open("propertyDefinition", identifier=number, type="string")
            xml.leaf("name", name)
            xml.close("propertyDefinition")
        xml.close("propertyDefinitions")


def write_model(xml: _Xml, components: Iterable[Mapping[str, Any]], relations: Iterable[Mapping[str, Any]]) -> None:
    """The whole model."""
    properties = _Properties()
    xml.open(
        "model",
        xmlns=NAMESPACE,
        xmlns__xsi="http://www.w3.org/2001/XMLSchema-instance",
        xsi__schemaLocation=SCHEMA,
        identifier="id-architecture",
    )
    xml.leaf("name", "Architecture", xml__lang="en")
    for tag, images, write in (("elements", components, _element), ("relationships", relations, _relationship)):
        rows = list(images)
        if rows:
            xml.open(tag)
            for image in rows:
                write(xml, image, properties)
            xml.close(tag)
    properties.define(xml)
    xml.close("model")


def _element(xml: _Xml, image: Mapping[str, Any], properties: _Properties) -> None:
    kind, attributes = image["type"], image["attributes"]
    if kind == "Junction":
        kind = "OrJunction" if attributes.get("junction") == "or" else "AndJunction"
    known = kind in ELEMENTS
    xml.open("element", identifier=identifier(image["key"]), xsi__type=kind if known else STAND_INS.get(image["layer"], "ApplicationComponent"))
    xml.leaf("name", image["name"], xml__lang="en")
    extra = {"layer": image["layer"]} | ({} if known else {"type": kind})
    _rest(xml, image, properties, OWN, extra | {name: image[name] for name in FIELDS if image[name] != USUAL[name]})
    xml.close("element")


def _relationship(xml: _Xml, image: Mapping[str, Any], properties: _Properties) -> None:
    attributes = image["attributes"]
    known = image["type"] in RELATIONS
    ends = {side: identifier(end_of(image[side])[1]) for side in ("source", "target")}
    more = {"accessType": ACCESS[attributes["access"]]} if image["type"] == "access" and attributes.get("access") in ACCESS else {}
    if image["type"] == "influence" and attributes.get("modifier"):
        more["modifier"] = str(attributes["modifier"])
    if image["type"] == "association" and attributes.get("directed") in ("true", "false"):
        more["isDirected"] = attributes["directed"]
    xml.open("relationship", identifier=identifier(image["key"]), **ends, xsi__type=RELATIONS.get(image["type"], "Association"), **more)
    if isinstance(attributes.get("name"), str):
        xml.leaf("name", attributes["name"], xml__lang="en")
    _rest(xml, image, properties, OWN_OF_RELATION, {} if known else {"type": image["type"]})
    xml.close("relationship")


def _rest(xml: _Xml, image: Mapping[str, Any], properties: _Properties, own: set[str], extra: Mapping[str, Any]) -> None:
    """Documentation, then what the format has no place for, as properties."""
    attributes = image["attributes"]
    if isinstance(attributes.get("documentation"), str):
        xml.leaf("documentation", attributes["documentation"], xml__lang="en")
    key = {} if identifier(image["key"]) == image["key"] else {"key": image["key"]}
    ours = {f"{OURS}{name}": value for name, value in (key | dict(extra)).items()}
    properties.write(xml, {name: value for name, value in attributes.items() if name not in own} | ours)
