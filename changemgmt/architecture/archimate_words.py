"""How an image is said in the ArchiMate exchange format, and what of it the format has no word for. Pure.

Whatever is said here, `importers.archimate` reads back as it was: natively, as properties, or, for the rest, as JSON in one property
called `countersign.more`. A value that only the format demands stands there as null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .importers.archimate import MORE, OURS, usual
from .places import REFERENCES
from .seed import ARCHIMATE

JUNCTION = {"and": "AndJunction", "or": "OrJunction"}
ELEMENTS = {name for names in ARCHIMATE.values() for name in names.split()} - {"Junction", *JUNCTION.values()}
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
ACCESS_TYPES = {"read": "Read", "write": "Write", "read_write": "ReadWrite", "unspecified": "Access"}
USUAL: dict[str, Any] = {"owner": "", "org_unit": None, "criticality": 3, "users": 0, "status": "live", "environment": "", "tags": []}
LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Text = tuple[str, str]  # language (empty: not said), text


@dataclass(slots=True)
class Said:
    """One element or relationship in the words of the format. A property: its type, and its values with their languages."""

    kind: str
    names: list[Text] = field(default_factory=list)
    documentation: list[Text] = field(default_factory=list)
    xml: dict[str, str] = field(default_factory=dict)
    properties: list[tuple[str, str, list[Text]]] = field(default_factory=list)


def element(image: Mapping[str, Any], *, key: bool, places: bool) -> Said:
    """A component. `key`: its key has to be said; `places`: so have its references, as the model can't show them all."""
    attributes = dict(image["attributes"])
    kind = image["type"] if image["type"] in ELEMENTS else ""
    if image["type"] == "Junction" and attributes.get("junction") in list(JUNCTION):
        kind = JUNCTION[attributes.pop("junction")]
    said = Said(kind or STAND_INS.get(image["layer"], "ApplicationComponent"))
    fields = {name: image[name] for name in USUAL if image[name] != USUAL[name]} | {"layer": image["layer"]}
    fields |= ({} if kind else {"type": image["type"]}) | ({"key": image["key"]} if key else {})
    more = _fields(said, fields)
    if image["needs"]:
        more["needs"] = image["needs"]
    if places:
        more[REFERENCES] = image[REFERENCES]
    if not _in_xml(image["name"]):
        more["name"] = image["name"]
    _texts(said, image["name"], attributes)
    return _finished(said, attributes, more)


def relationship(image: Mapping[str, Any], *, key: bool, places: bool) -> Said:
    """A relation, the same."""
    attributes, type = dict(image["attributes"]), image["type"]
    said = Said(RELATIONS.get(type, "Association"))
    more = _fields(said, ({} if type in RELATIONS else {"type": type}) | ({"key": image["key"]} if key else {}))
    missing = _natively(said, type, attributes)
    references = attributes.pop(REFERENCES, None)
    if references is not None and places:
        missing[REFERENCES] = references
    _texts(said, attributes.pop("name") if _named(attributes.get("name")) else None, attributes)
    return _finished(said, attributes, more, missing)


def _natively(said: Said, type: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """What is an attribute of the XML for this type of relation, taken from `attributes`. Answers what the reader would add, as null."""
    if type == "access":
        if attributes.get("access") in list(ACCESS_TYPES):
            said.xml["accessType"] = ACCESS_TYPES[attributes.pop("access")]
        elif "access" not in attributes:
            return {"access": None}
    if type == "influence" and _plain(attributes.get("modifier")) and attributes["modifier"]:
        said.xml["modifier"] = attributes.pop("modifier")
    if type == "association" and attributes.get("directed") in ("true", "false"):
        said.xml["isDirected"] = attributes.pop("directed")
    return {}


def _fields(said: Said, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ours as properties; answers those that have to be written as JSON."""
    more: dict[str, Any] = {}
    for name, value in fields.items():
        text = ";".join(value) if isinstance(value, list) else str(value)
        if not _plain(text) or not text or (isinstance(value, list) and not all(tag and ";" not in tag for tag in value)):
            more[name] = value
        else:
            said.properties.append((f"{OURS}{name}", "string", [("", text)]))
    return more


def _texts(said: Said, name: str | None, attributes: dict[str, Any]) -> None:
    """Name and documentation in all their languages, taken from `attributes`. The main language is that of the name, if there is one."""
    main = ""
    if name is not None:
        if LANGUAGE.fullmatch(str(attributes.get("language", ""))):
            main = str(attributes.pop("language"))
        said.names = [(main, NOT_IN_XML.sub("", name)), *_others("name", main, attributes, _named)]
    if _documented(attributes.get("documentation")):
        said.documentation = [(main, attributes.pop("documentation"))]
    said.documentation += _others("documentation", main, attributes, _documented)


def _others(base: str, main: str, attributes: dict[str, Any], fits: Callable[[Any], bool]) -> list[Text]:
    """The texts under `base:language`, taken from `attributes`, those that the reader would not take for the main one."""
    found = []
    for name in [name for name in attributes if name.startswith(f"{base}:")]:
        language = name.removeprefix(f"{base}:")
        if LANGUAGE.fullmatch(language) and language != main and fits(attributes[name]):
            found.append((language, attributes.pop(name)))
    return found


def _finished(said: Said, attributes: dict[str, Any], more: dict[str, Any], missing: Mapping[str, Any] | None = None) -> Said:
    """The other attributes as properties, and the rest as JSON."""
    rest = dict(missing or {})
    for name in list(attributes):
        if name not in attributes:
            continue
        value = attributes.pop(name)
        if not _plain(name) or not name or name.startswith(OURS) or name == REFERENCES:
            rest[name] = value
        elif _is_several(value):
            said.properties += [(name, "string", [("", text)]) for text in value]
        elif typed := _typed(value):
            said.properties.append((name, typed[0], [("", typed[1]), *(_others(name, "", attributes, _plain) if typed[0] == "string" else [])]))
        else:
            rest[name] = value
    if rest:
        more["attributes"] = rest
    if more:
        said.properties.append((f"{OURS}{MORE}", "string", [("", json.dumps(more, sort_keys=True))]))
    return said


def _typed(value: Any) -> tuple[str, str] | None:
    """The type of a property and its text, where both say the value exactly."""
    if isinstance(value, bool):
        return "boolean", json.dumps(value)
    if isinstance(value, int | float):
        return ("number", json.dumps(value)) if usual(value) else None
    return ("string", value) if _plain(value) else None


def _is_several(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(map(_plain, value))


def _plain(value: Any) -> bool:
    """Whether a text is read back from a property as it was written."""
    return isinstance(value, str) and value == value.strip() and _in_xml(value)


def _named(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and _in_xml(value)


def _documented(value: Any) -> bool:
    return _plain(value) and bool(value) and "\r" not in value


def _in_xml(text: str) -> bool:
    return not NOT_IN_XML.search(text)
