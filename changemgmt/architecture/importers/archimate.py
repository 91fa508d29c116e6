"""ArchiMate models: the Archi tool's own `.archimate`, and the exchange format of The Open Group. Views are not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from changemgmt.core.errors import Invalid

from .files import ending_in
from .records import File, FoundComponent, FoundRelation, Options, Record, Skipped
from .xml import Element, read_elements

RELATIONSHIP = "Relationship"
DIAGRAMS = ("ArchimateDiagramModel", "SketchModel", "CanvasModel", "DiagramModel")
KEPT = {"accessType": "access", "strength": "strength", "modifier": "modifier", "directed": "directed", "isDirected": "directed"}
ACCESS = {
    "1": "read",
    "2": "unspecified",
    "3": "read_write",
    "Read": "read",
    "Access": "unspecified",
    "ReadWrite": "read_write",
    "Write": "write",
    "0": "write",
}
OURS = "countersign."
OLD_NAMES = {"usedBy": "serving", "realisation": "realization", "specialisation": "specialization"}


def read(files: Sequence[File], options: Options) -> Iterator[Record]:
    """Every element and relationship of every model; which of the two forms a file has is told by its root."""
    for file in ending_in(files, ".archimate", ".xml") or list(files):
        yield from _Model(file, options).records()


class _Model:
    """One file while it is read. The exchange form names its properties at the end, so records wait for that."""

    def __init__(self, file: File, options: Options) -> None:
        self.file, self.options = file, options
        self.archi = False
        self.elements: list[Element] = []
        self.properties: dict[str, str] = {}
        self.keys: dict[str, str] = {}

    def records(self) -> Iterator[Record]:
        read_elements(self.file, self.wanted, self.take, self.root)
        self.keys = {element.attributes.get("identifier", ""): ours["key"] for element in self.elements if "key" in (ours := self._ours(element))}
        for element in self.elements:
            yield self.record(element)

    def root(self, name: str, attributes: dict[str, str]) -> None:
        if name != "model":
            raise Invalid.field("file", f"{self.file.name} is no ArchiMate model: its root is <{name[:60]}>, where <model> is expected (line 1).")
        self.archi = "identifier" not in attributes

    def wanted(self, path: tuple[str, ...]) -> bool:
        if self.archi:
            return path[-1] == "element" and set(path[1:-1]) <= {"folder"}
        return path[1:] in {("elements", "element"), ("relationships", "relationship"), ("propertyDefinitions", "propertyDefinition")}

    def take(self, element: Element) -> None:
        if element.name == "propertyDefinition":
            name = element.child("name")
            self.properties[element.attributes.get("identifier", "")] = (name.text.strip() if name else "") or element.attributes.get("name", "")
        elif not (self.archi and _type_of(element) in DIAGRAMS):
            self.elements.append(element)
            self.options.progress(len(self.elements))

    def record(self, element: Element) -> Record:
        where = f"{self.file.name}, line {element.line}"
        identifier = element.attributes.get("id" if self.archi else "identifier", "")
        key, kind = self.keys.get(identifier, identifier), _type_of(element)
        if not key or not kind:
            return Skipped(where, "It has no identifier." if not key else "It has no type.", key)
        is_relation = element.name == "relationship" or (self.archi and kind.endswith(RELATIONSHIP))
        return self._relation(element, key, kind, where) if is_relation else self._component(element, key, kind, where)

    def _component(self, element: Element, key: str, kind: str, where: str) -> Record:
        attributes, ours = self._attributes(element), self._ours(element)
        if kind in ("AndJunction", "OrJunction", "Junction"):
            other = "or" if kind == "OrJunction" or element.attributes.get("type") == "or" else "and"
            kind, attributes = "Junction", attributes | {"junction": other}
        return FoundComponent(key, {"name": self._name(element), "type": kind, "attributes": attributes} | _fields(ours), where)

    def _relation(self, element: Element, key: str, kind: str, where: str) -> Record:
        source, target = element.attributes.get("source", ""), element.attributes.get("target", "")
        if not source or not target:
            return Skipped(where, f"The relation has no {'source' if not source else 'target'}.", key)
        attributes = self._attributes(element)
        for name, ours in KEPT.items():
            if value := element.attributes.get(name):
                attributes[ours] = ACCESS.get(value, value) if ours == "access" else value
        if kind.startswith("Access"):
            attributes.setdefault("access", "write")
        if name := self._name(element):
            attributes["name"] = name
        kind = self._ours(element).get("type") or relation_name(kind)
        return FoundRelation(key, self.keys.get(source, source), self.keys.get(target, target), kind, attributes, where)

    def _name(self, element: Element) -> str:
        if self.archi:
            return element.attributes.get("name", "")
        found = element.child("name") or element.child("label")
        return found.text if found else ""

    def _attributes(self, element: Element) -> dict[str, Any]:
        """Documentation and properties; a property that comes several times is a list."""
        found: dict[str, Any] = {}
        for name, value in self._pairs(element):
            if name.startswith(OURS):
                continue
            if name in found:
                found[name] = [*found[name], value] if isinstance(found[name], list) else [found[name], value]
            elif name:
                found[name] = value
        return found

    def _ours(self, element: Element) -> dict[str, str]:
        """Fields of ours that our own export wrote as properties."""
        return {name.removeprefix(OURS): value for name, value in self._pairs(element) if name.startswith(OURS)}

    def _pairs(self, element: Element) -> Iterator[tuple[str, str]]:
        text = element.child("documentation")
        if text and text.text.strip():
            yield "documentation", text.text.strip().replace("\r\n", "\n").replace("\r", "\n")
        for entry in element.children_named("property"):
            yield entry.attributes.get("key", ""), entry.attributes.get("value", "")
        for group in element.children_named("properties"):
            for entry in group.children_named("property"):
                value = entry.child("value")
                yield self.properties.get(entry.attributes.get("propertyDefinitionRef", ""), ""), value.text.strip() if value else ""


def _fields(ours: dict[str, str]) -> dict[str, Any]:
    """Those fields with their kinds: numbers as numbers, tags as a list."""
    found: dict[str, Any] = {name: value for name, value in ours.items() if name in ("type", "layer", "owner", "org_unit", "status", "environment")}
    found |= {name: int(ours[name]) for name in ("criticality", "users") if ours.get(name, "").isdecimal() and len(ours[name]) < 11}
    return found | ({"tags": ours["tags"].split(";")} if ours.get("tags") else {})


def _type_of(element: Element) -> str:
    return element.attributes.get("xsi:type", "").rpartition(":")[2]


def relation_name(kind: str) -> str:
    """`ServingRelationship` and `Serving` are `serving`."""
    name = kind.removesuffix(RELATIONSHIP)
    name = name[:1].lower() + name[1:]
    return OLD_NAMES.get(name, name)
