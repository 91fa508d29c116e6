"""ArchiMate models: the Archi tool's own `.archimate`, and the exchange format of The Open Group. Of folders and views it is kept who is in them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from changemgmt.architecture.places import REFERENCES, Place, in_order
from changemgmt.architecture.rules import RELATION_END, WRITABLE, merge_patch
from changemgmt.core.errors import Invalid

from . import jsontext
from .archimate_places import Places
from .files import ending_in
from .records import File, FoundComponent, FoundRelation, Options, Record, Skipped
from .xml import Element, Path, read_elements

RELATIONSHIP = "Relationship"
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
MORE = "more"  # the property of ours that holds, as JSON, what the format has no place for
OLD_NAMES = {"usedBy": "serving", "realisation": "realization", "specialisation": "specialization"}
OF_EXCHANGE = {("elements", "element"), ("relationships", "relationship"), ("propertyDefinitions", "propertyDefinition")}
JUNCTIONS = ("AndJunction", "OrJunction", "Junction")
EXACT = 2**53  # whole numbers up to here are the same in every program


def read(files: Sequence[File], options: Options) -> Iterator[Record]:
    """Every element and relationship of every model; which of the two forms a file has is told by its root."""
    for file in ending_in(files, ".archimate", ".xml") or list(files):
        yield from _Model(file, options).records()


class _Model:
    """One file while it is read. The exchange form names properties, folders and views at the end, so records wait for that."""

    def __init__(self, file: File, options: Options) -> None:
        self.file, self.options = file, options
        self.archi = False
        self.elements: list[Element] = []
        self.properties: dict[str, tuple[str, str]] = {}
        self.keys: dict[str, str] = {}
        self.places = Places()

    def records(self) -> Iterator[Record]:
        read_elements(self.file, self.wanted, self.take, self.container)
        self.keys = {self._identifier(element): self._end(element) for element in self.elements}
        for element in self.elements:
            yield self.record(element)

    def container(self, path: Path, attributes: dict[str, str]) -> None:
        if path[0] != "model":
            raise Invalid.field("file", f"{self.file.name} is no ArchiMate model: its root is <{path[0][:60]}>, where <model> is expected (line 1).")
        if len(path) == 1:
            self.archi = "identifier" not in attributes
        elif self.archi and path[-1] == "folder":
            self.places.open_folder(len(path), attributes.get("name", ""))

    def wanted(self, path: Path) -> bool:
        if self.archi:
            return path[-1] == "element" and set(path[1:-1]) <= {"folder"}
        return path[1:] in OF_EXCHANGE or self.places.wanted(path)

    def take(self, element: Element) -> None:
        if element.name == "propertyDefinition":
            name = element.child("name")
            text = (name.text.strip() if name else "") or element.attributes.get("name", "")
            self.properties[element.attributes.get("identifier", "")] = (text, element.attributes.get("type", ""))
        elif not self.places.take(element, archi=self.archi):
            self.elements.append(element)
            self.options.progress(len(self.elements))

    def record(self, element: Element) -> Record:
        where = f"{self.file.name}, line {element.line}"
        kind, told = _type_of(element), _Told(self, element)
        if not told.key or not kind:
            return Skipped(where, "It has no identifier." if not told.key else "It has no type.", told.key)
        if told.fault:
            return Skipped(where, f"Its property {OURS}{MORE} is no JSON object.", told.key)
        return self._relation(element, told, kind, where) if self._is_relation(element) else self._component(element, told, kind, where)

    def _component(self, element: Element, told: _Told, kind: str, where: str) -> Record:
        attributes = told.attributes
        if kind in JUNCTIONS:
            other = "or" if kind == "OrJunction" or element.attributes.get("type") == "or" else "and"
            kind = "Junction"
            if "type" not in told.ours and "type" not in told.more:
                attributes = attributes | {"junction": other}
        fields = {"name": told.name, "type": kind} | told.fields() | {"attributes": told.with_more(attributes)}
        return FoundComponent(told.key, fields, where, None if REFERENCES in fields else self._places(element))

    def _relation(self, element: Element, told: _Told, kind: str, where: str) -> Record:
        source, target = element.attributes.get("source", ""), element.attributes.get("target", "")
        if not source or not target:
            return Skipped(where, f"The relation has no {'source' if not source else 'target'}.", told.key)
        attributes = told.attributes
        for name, ours in KEPT.items():
            if value := element.attributes.get(name):
                attributes[ours] = ACCESS.get(value, value) if ours == "access" else value
        if kind.startswith("Access"):
            attributes.setdefault("access", "write")
        if told.name:
            attributes["name"] = told.name
        if (places := self._places(element)) is not None:
            attributes[REFERENCES] = places or None
        kind = told.more.get("type") or told.ours.get("type") or relation_name(kind)
        return FoundRelation(told.key, self.keys.get(source, source), self.keys.get(target, target), kind, told.with_more(attributes), where)

    def _places(self, element: Element) -> list[Place] | None:
        """Where the element is kept; None where the file says that of none."""
        return in_order(self.places.found[self._identifier(element)]) if self.places.said else None

    def _identifier(self, element: Element) -> str:
        return element.attributes.get("id" if self.archi else "identifier", "")

    def _is_relation(self, element: Element) -> bool:
        return element.name == "relationship" or (self.archi and _type_of(element).endswith(RELATIONSHIP))

    def _end(self, element: Element) -> str:
        """What a relation that ends on the element says of its end."""
        return f"{RELATION_END if self._is_relation(element) else ''}{_Told(self, element).key}"

    def name(self, element: Element) -> str:
        """What the element is called, in its main language."""
        if self.archi:
            return element.attributes.get("name", "")
        found = element.child("name") or element.child("label")
        return found.text if found else ""

    def texts(self, element: Element) -> Iterator[tuple[str, Any]]:
        """Other names, documentation and properties, each with the name it has among the attributes."""
        names = [] if self.archi else element.children_named("name") or element.children_named("label")
        language = names[0].attributes.get("lang", "") if names else ""
        yield from list(_in_languages("name", names, language))[1:]
        if language:
            yield "language", language
        for name, text in _in_languages("documentation", element.children_named("documentation"), language):
            if text.strip():
                yield name, text.strip().replace("\r\n", "\n").replace("\r", "\n")
        for entry in element.children_named("property"):
            yield entry.attributes.get("key", ""), entry.attributes.get("value", "")
        for group in element.children_named("properties"):
            for entry in group.children_named("property"):
                yield from self._property(entry)

    def _property(self, entry: Element) -> Iterator[tuple[str, Any]]:
        name, kind = self.properties.get(entry.attributes.get("propertyDefinitionRef", ""), ("", ""))
        values = entry.children_named("value")
        language = values[0].attributes.get("lang", "") if values else ""
        if name and not values:
            yield name, ""
        for place, text in _in_languages(name, values, language) if name else ():
            yield place, typed(text.strip(), kind)


class _Told:
    """What one element says, sorted: its key and name, its attributes, and the fields of ours that our own export wrote as properties."""

    def __init__(self, model: _Model, element: Element) -> None:
        self.name = model.name(element)
        self.attributes: dict[str, Any] = {}
        self.ours: dict[str, str] = {}
        for name, value in model.texts(element):
            if name.startswith(OURS):
                self.ours[name.removeprefix(OURS)] = str(value)
            else:
                _add(self.attributes, name, value)
        self.more, self.fault = _more(self.ours)
        self.key: str = self.more.get("key") or self.ours.get("key") or model._identifier(element)

    def fields(self) -> dict[str, Any]:
        """Those fields with their kinds: numbers as numbers, tags as a list."""
        ours = self.ours
        found: dict[str, Any] = {
            name: value for name, value in ours.items() if name in ("type", "layer", "owner", "org_unit", "status", "environment")
        }
        found |= {name: int(ours[name]) for name in ("criticality", "users") if ours.get(name, "").isdecimal() and len(ours[name]) < 11}
        found |= {"tags": ours["tags"].split(";")} if ours.get("tags") else {}
        return found | {name: self.more[name] for name in (*WRITABLE["component"], REFERENCES) if name in self.more and name != "attributes"}

    def with_more(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """The attributes with those the format has no place for; null takes one away that only the format demands."""
        return merge_patch(attributes, self.more.get("attributes", {})) if "attributes" in self.more else attributes


def _more(ours: dict[str, str]) -> tuple[dict[str, Any], bool]:
    """What is written as JSON, and whether it can't be read."""
    if MORE not in ours:
        return {}, False
    try:
        found = jsontext.value(ours[MORE], MORE)
    except Invalid:
        return {}, True
    fits = (
        isinstance(found, dict)
        and isinstance(found.get("attributes", {}), dict)
        and all(isinstance(found.get(one, ""), str) for one in ("key", "type"))
    )
    return (found, False) if fits else ({}, True)


def _add(attributes: dict[str, Any], name: str, value: Any) -> None:
    """A property that comes several times is a list."""
    if name in attributes:
        before = attributes[name]
        attributes[name] = [*before, value] if isinstance(before, list) else [before, value]
    elif name:
        attributes[name] = value


def _in_languages(name: str, texts: Sequence[Element], language: str) -> Iterator[tuple[str, str]]:
    """The text in the main language under its name, the others under `name:language`."""
    main = next((text for text in texts if text.attributes.get("lang", "") in ("", language)), None)
    if main:
        yield name, main.text
    for text in texts:
        if text is not main:
            yield f"{name}:{text.attributes.get('lang') or 'und'}", text.text


def typed(text: str, kind: str) -> Any:
    """The value of a property that is declared as a number or a truth value, where the text is written as we would; else the text."""
    if kind not in ("number", "boolean"):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    fits = isinstance(value, bool) if kind == "boolean" else isinstance(value, int | float) and not isinstance(value, bool) and usual(value)
    return value if fits and json.dumps(value) == text else text


def usual(number: float) -> bool:
    """Whether a number is the same in every program."""
    return math.isfinite(number) and abs(number) < EXACT


def _type_of(element: Element) -> str:
    return element.attributes.get("xsi:type", "").rpartition(":")[2]


def relation_name(kind: str) -> str:
    """`ServingRelationship` and `Serving` are `serving`."""
    name = kind.removesuffix(RELATIONSHIP)
    name = name[:1].lower() + name[1:]
    return OLD_NAMES.get(name, name)
