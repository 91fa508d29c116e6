"""What was edited, captured: from a thing as it is and as it should be to the item that makes the one of the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from changemgmt.architecture.rules import COMPONENT, CREATE, DEFAULTS, OBJECT_FIELDS, RELATION, UPDATE, WRITABLE
from changemgmt.core.errors import Invalid

from .rules import same

FIXED = {COMPONENT: ("external_references",), RELATION: ("source", "target", "type")}
"""Fields that no item writes; a desired thing may only repeat them."""


def patch_between(base: Any, desired: Any) -> Any:
    """The JSON merge patch that makes `desired` of `base`. Equal objects give an empty one.

    A merge patch can't write a null into an object: what would newly be null is absent.
    """
    if not isinstance(desired, Mapping):
        return desired
    known = base if isinstance(base, Mapping) else {}
    patch: dict[str, Any] = {name: None for name in known if name not in desired}
    for name, value in desired.items():
        if name in known and same(known[name], value) or name not in known and value is None:
            continue
        inner = patch_between(known.get(name), value)
        if inner != {} or not isinstance(known.get(name), Mapping):
            patch[name] = inner
    return patch


def captured(object: str, base: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` of the update that makes `desired` of `base`; empty where nothing differs.

    A field `desired` does not name stays as it is. `attributes` and `needs` it names are meant whole.
    """
    data: dict[str, Any] = {}
    for name in WRITABLE[object]:
        if name not in desired or same(base.get(name), desired[name]):
            continue
        if name not in OBJECT_FIELDS or desired[name] is None:
            data[name] = desired[name]
        elif patch := patch_between(base.get(name) or {}, desired[name]):
            data[name] = patch
    return data


def creation(object: str, desired: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` of the creation of `desired`: what is not as it is by default."""
    named = {name: desired[name] for name in WRITABLE[object] if name in desired and desired[name] is not None}
    whole = {name: patch_between({}, value) if name in OBJECT_FIELDS else value for name, value in named.items()}
    return {name: value for name, value in whole.items() if not same(value, DEFAULTS[object][name])}


def item_for(object: str, key: str, live: Mapping[str, Any] | None, desired: Mapping[str, Any]) -> dict[str, Any] | None:
    """The item that makes `desired` of the live thing, as somebody would write it; None where it is so already.

    Raises Invalid where it differs in something that no item can write.
    """
    if live is None:
        if desired.get("external_references"):
            raise Invalid.field("external_references", f"No item writes the external references of the {object} {key!r}.")
        ends = {"source": desired.get("source"), "target": desired.get("target"), "relation_type": desired.get("type")}
        return {"operation": CREATE, "object": object, "key": key, "data": creation(object, desired)} | (ends if object == RELATION else {})
    for name in FIXED[object]:
        if name in desired and not same(live.get(name), desired[name]):
            raise Invalid.field(name, f"No item changes the {name} of the {object} {key!r}: delete it, and make another.")
    data = captured(object, live, desired)
    return {"operation": UPDATE, "object": object, "key": key, "data": data} if data else None
