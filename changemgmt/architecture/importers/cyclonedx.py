"""CycloneDX bills of materials, JSON or XML: components and services, also nested ones, and what depends on what.

A component's key is its `bom-ref`; one that a tool makes up anew each time (a UUID) gives way to the package URL.
Vulnerabilities, properties, contacts and what tools say of themselves are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from changemgmt.core.errors import Invalid

from . import jsontext
from .files import ending_in
from .records import File, FoundComponent, FoundRelation, Options, Record, Skipped
from .secrets import without_secrets
from .xml import Element, read_elements

MADE_UP = re.compile(r"^(urn:uuid:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
TEXTS = ("group", "version", "purl", "cpe", "scope", "publisher", "description", "copyright")
DEPENDENCIES = {"dependsOn": "dependsOn", "provides": "provides"}
# Path below the root of the XML form: the part of the document it belongs to.
SECTIONS: dict[tuple[str, ...], str] = {
    ("metadata", "component"): "metadata",
    ("components", "component"): "components",
    ("services", "service"): "services",
}
SECTIONS |= {("dependencies", "dependency"): "dependencies"}
HEAD = 200

Row = Mapping[str, Any]


class Placed(dict[str, Any]):
    """An object of the XML form as the JSON form has it, and its line."""

    def __init__(self, line: int, values: Row) -> None:
        super().__init__(values)
        self.line = line


def read(files: Sequence[File], options: Options) -> Iterator[Record]:
    """Every component, service and dependency of every file; which form a file has is told by how it begins."""
    for file in ending_in(files, ".json", ".xml", ".cdx") or list(files):
        yield from _Bom(file, options).records()


class _Bom:
    """One file while it is read: its rows as the JSON form has them, and the key of each reference."""

    def __init__(self, file: File, options: Options) -> None:
        self.file, self.options = file, options
        self.keys: dict[str, str] = {}
        self.count = 0

    def records(self) -> Iterator[Record]:
        document = _from_xml(self.file) if _is_xml(self.file) else _from_json(self.file)
        metadata = document.get("metadata")
        main = metadata.get("component") if isinstance(metadata, Mapping) else None
        yield from self.parts([main] if main is not None else [], "metadata.component", "")
        yield from self.parts(self.rows(document, "components"), "components", "")
        yield from self.parts(self.rows(document, "services"), "services", "")
        yield from self.dependencies(self.rows(document, "dependencies"))

    def rows(self, row: Row, field: str, place: str = "") -> list[Any]:
        found = [] if row.get(field) is None else row[field]
        if not isinstance(found, list):
            raise Invalid.field("file", f"{self.file.name}: {place}{field} is no list.")
        return found

    def where(self, row: Any, place: str) -> str:
        """By line in XML, by path in JSON."""
        return f"{self.file.name}, line {row.line}" if isinstance(row, Placed) else f"{self.file.name}, {place}"

    def parts(self, rows: Sequence[Any], field: str, parent: str) -> Iterator[Record]:
        for index, row in enumerate(rows):
            place = field if field == "metadata.component" else f"{field}[{index}]"
            where = self.where(row, place)
            key = self.key(row) if isinstance(row, Mapping) else ""
            if not key:
                yield Skipped(where, "A component is an object with a name.")
                continue
            self.count += 1
            self.options.progress(self.count)
            yield FoundComponent(key, _fields(row, is_service="services[" in place), where)
            if parent:
                yield FoundRelation("", parent, key, "composition", {}, where)
            for inner in ("components", "services"):
                yield from self.parts(self.rows(row, inner, f"{place}."), f"{place}.{inner}", key)

    def key(self, row: Row) -> str:
        """The key of a component, and from now on of its `bom-ref`. Empty where it has no name."""
        name, reference, package = (row[part] if isinstance(row.get(part), str) else "" for part in ("name", "bom-ref", "purl"))
        if not name:
            return ""
        key = reference if reference and not (package and MADE_UP.match(reference)) else package
        key = key or "/".join(filter(None, (_text(row, "group"), name))) + (f"@{_text(row, 'version')}" if _text(row, "version") else "")
        if reference:
            self.keys.setdefault(reference, key)
        return key

    def dependencies(self, rows: Sequence[Any]) -> Iterator[Record]:
        seen: set[tuple[str, str, str]] = set()
        for index, row in enumerate(rows):
            where = self.where(row, f"dependencies[{index}]")
            source = row.get("ref") if isinstance(row, Mapping) else None
            if not isinstance(source, str):
                yield Skipped(where, "A dependency is an object with a ref.")
                continue
            for field, relation in DEPENDENCIES.items():
                for target in self.rows(row, field, f"dependencies[{index}]."):
                    if not isinstance(target, str):
                        yield Skipped(f"{where}, {field}", "It holds something that is no reference.")
                        continue
                    triple = (self.keys.get(source, source), relation, self.keys.get(target, target))
                    if triple not in seen:
                        seen.add(triple)
                        yield FoundRelation("", triple[0], triple[2], relation, {}, where)


def _text(row: Row, field: str) -> str:
    return row[field] if isinstance(row.get(field), str) else ""


def _fields(row: Row, *, is_service: bool) -> dict[str, Any]:
    attributes: dict[str, Any] = {field: text for field in TEXTS if (text := _text(row, field))}
    supplier = row.get("supplier")
    if isinstance(supplier, Mapping) and _text(supplier, "name"):
        attributes["supplier"] = supplier["name"]
    if licences := _licences(row.get("licenses")):
        attributes["licenses"] = licences
    if hashes := {_text(one, "alg"): _text(one, "content") for one in _objects(row.get("hashes")) if _text(one, "alg")}:
        attributes["hashes"] = hashes
    kind = "service" if is_service else _text(row, "type") or "component"
    return {"name": _text(row, "name")[:500], "type": kind, "attributes": without_secrets(attributes)}


def _objects(value: Any) -> list[Row]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _licences(value: Any) -> list[str]:
    found = []
    for one in _objects(value):
        licence = one.get("license")
        inner: Row = licence if isinstance(licence, Mapping) else {}
        found.append(_text(one, "expression") or _text(inner, "id") or _text(inner, "name"))
    return [text for text in found if text]


# The two forms.


def _is_xml(file: File) -> bool:
    with file.open() as stream:
        head = stream.read(HEAD)
    return head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")


def _from_json(file: File) -> Row:
    document = jsontext.of_file(file)
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise Invalid.field("file", f"{file.name} is no CycloneDX bill of materials: bomFormat is not CycloneDX (line 1).")
    return document


def _from_xml(file: File) -> Row:
    """The XML as the JSON form would have it."""
    found: dict[str, list[Any]] = {section: [] for section in SECTIONS.values()}
    section = ""

    def container(path: tuple[str, ...], attributes: Mapping[str, str]) -> None:
        if path[0] != "bom":
            raise Invalid.field(
                "file", f"{file.name} is no CycloneDX bill of materials: its root is <{path[0][:60]}>, where <bom> is expected (line 1)."
            )

    def wanted(path: tuple[str, ...]) -> bool:
        nonlocal section
        section = SECTIONS.get(path[1:], "")
        return bool(section)

    def take(element: Element) -> None:
        found[section].append(_dependency(element) if section == "dependencies" else _row(element))

    read_elements(file, wanted, take, container)
    return found | {"metadata": {"component": (found["metadata"] or [None])[0]}}


def _dependency(element: Element) -> Placed:
    references = {
        field: [inner.attributes.get("ref") for inner in element.children_named(tag)]
        for field, tag in (("dependsOn", "dependency"), ("provides",) * 2)
    }
    return Placed(element.line, {"ref": element.attributes.get("ref"), **references})


def _row(element: Element) -> Placed:
    """A component or service with what is nested in it."""
    row: dict[str, Any] = {name: element.attributes[name] for name in ("type", "bom-ref") if name in element.attributes}
    for child in element.children:
        match child.name:
            case "name" | "group" | "version" | "purl" | "cpe" | "scope" | "publisher" | "description" | "copyright":
                row[child.name] = child.text.strip()
            case "supplier":
                row["supplier"] = {"name": _child_text(child, "name")}
            case "hashes":
                row["hashes"] = [{"alg": one.attributes.get("alg"), "content": one.text.strip()} for one in child.children_named("hash")]
            case "licenses":
                row["licenses"] = [_licence(one) for one in child.children]
            case "components" | "services":
                row[child.name] = [_row(one) for one in child.children_named(child.name.removesuffix("s"))]
    return Placed(element.line, row)


def _licence(element: Element) -> Row:
    if element.name == "expression":
        return {"expression": element.text.strip()}
    return {"license": {part: _child_text(element, part) for part in ("id", "name")}}


def _child_text(element: Element, name: str) -> str:
    child = element.child(name)
    return child.text.strip() if child else ""
