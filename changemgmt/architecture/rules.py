"""What a write to the architecture means: operations, images, merge patches, severity. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COMPONENT, RELATION = "component", "relation"
CREATE, UPDATE, DELETE = "create", "update", "delete"
OPERATIONS = (CREATE, UPDATE, DELETE)
OBJECTS = (COMPONENT, RELATION)
STATUSES = ("planned", "live", "deprecated", "retired")
RELATION_END = "relation:"
KEY_LENGTH = {COMPONENT: 300, RELATION: 700}

# What an image holds, with the value a field has when nothing is said. `None` for type and layer means "has to be said".
COMPONENT_DEFAULTS: Mapping[str, Any] = {
    "name": "",
    "type": None,
    "layer": None,
    "owner": "",
    "org_unit": None,
    "criticality": 3,
    "users": 0,
    "status": "live",
    "environment": "",
    "attributes": {},
    "tags": [],
    "needs": {},
    "external_references": [],
}
RELATION_DEFAULTS: Mapping[str, Any] = {"source": None, "target": None, "type": None, "attributes": {}, "source_system": "", "confirmed_at": None}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {COMPONENT: COMPONENT_DEFAULTS, RELATION: RELATION_DEFAULTS}
# What a change item or an API body may write.
WRITABLE = {
    COMPONENT: ("name", "type", "layer", "owner", "org_unit", "criticality", "users", "status", "environment", "attributes", "tags", "needs"),
    RELATION: ("attributes",),
}
OBJECT_FIELDS = ("attributes", "needs")


@dataclass(frozen=True, slots=True)
class Operation:
    """One write: create, update or delete a component or a relation. `data` is a JSON merge patch of the image."""

    operation: str
    object: str
    key: str
    source: str | None = None
    target: str | None = None
    relation_type: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """A thing before and after one write. `None` means it is not there."""

    object: str
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def operation(self) -> str:
        if self.before is None:
            return CREATE
        return DELETE if self.after is None else UPDATE


def merge_patch(base: Any, patch: Any) -> Any:
    """`base` with the JSON merge patch (RFC 7386) applied; neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(base) if isinstance(base, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def patched(object: str, image: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The image after an update: fields replaced, `attributes` and `needs` merged, null back to the default."""
    after = dict(image)
    for name, value in data.items():
        if value is None:
            after[name] = _fresh(DEFAULTS[object].get(name))
        elif name in OBJECT_FIELDS:
            after[name] = merge_patch(image.get(name) or {}, value)
        else:
            after[name] = value
    return after


def created(operation: Operation) -> dict[str, Any]:
    """The image a create makes: defaults, then what the operation says. A layer not said is left to the type."""
    image = {"key": operation.key} | {name: _fresh(value) for name, value in DEFAULTS[operation.object].items()}
    if operation.object == RELATION:
        image |= {"source": operation.source, "target": operation.target, "type": operation.relation_type}
    return patched(operation.object, image, operation.data)


def image_after(operation: Operation, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the thing looks like once `operation` is done on `before`."""
    if operation.operation == DELETE:
        return None
    if operation.operation == CREATE or before is None:
        return created(operation)
    return patched(operation.object, before, operation.data)


def _fresh(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list) else value


def relation_key(source: str, relation_type: str, target: str, number: int = 1) -> str:
    """A stable key for a relation that has none: its ends and type, and a number where several are parallel."""
    key = f"{source}|{relation_type}|{target}" + (f"|{number}" if number > 1 else "")
    if len(key) <= KEY_LENGTH[RELATION]:
        return key
    return key[:600] + "…" + hashlib.sha256(key.encode()).hexdigest()


def end_of(text: str) -> tuple[str, str]:
    """An end as (object, key): a component's key, or `relation:<key>`."""
    if text.startswith(RELATION_END):
        return RELATION, text.removeprefix(RELATION_END)
    return COMPONENT, text


def ends(image: Mapping[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Source and target of a relation's image, each as (object, key)."""
    return end_of(image["source"] or ""), end_of(image["target"] or "")


def touched(images: Sequence[Image]) -> list[str]:
    """The keys a write touched: of everything written, and of the components at the ends of written relations."""
    keys: dict[str, None] = {}
    for image in images:
        keys[image.key] = None
        if image.object == RELATION:
            for side in (image.before, image.after):
                keys |= {key: None for object, key in ends(side) if object == COMPONENT} if side else {}
    return list(keys)


@dataclass(frozen=True, slots=True)
class Severity:
    """How much one operation weighs, before any relation is followed."""

    delete: float = 1.0
    update: float = 0.8
    interface: float = 0.9
    create: float = 0.6


SEVERITY = Severity()


def severity(operation: str, *, interface: bool = False, replace: bool = False, weights: Severity = SEVERITY) -> float:
    """The severity of an item. `interface`: it touches an attribute its type marks as interface; `replace`: it is made anew."""
    if operation == DELETE or replace:
        return weights.delete
    if operation == CREATE:
        return weights.create
    return weights.interface if interface else weights.update
