"""The difference a change makes, field by field, as it is stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from changemgmt.architecture.rules import COMPONENT, Image
from changemgmt.core.diff import differences


def diff_of_images(images: Iterable[Image]) -> dict[str, list[dict[str, Any]]]:
    """`{"components": [...], "relations": [...]}`, each with its fields before and after. What does not differ is left out."""
    found: dict[str, list[dict[str, Any]]] = {"components": [], "relations": []}
    for image in images:
        if image.before != image.after:
            found["components" if image.object == COMPONENT else "relations"].append(_entry(image))
    return found


def _entry(image: Image) -> dict[str, Any]:
    side = image.after or image.before or {}
    fields = [
        {"path": field.path, "before": field.before, "after": field.after}
        for field in differences(_said(image.before), _said(image.after))
        if field.path != "key" and not (field.before in EMPTY and field.after in EMPTY)
    ]
    entry = {"key": image.key, "operation": image.operation, "name": side.get("name", ""), "type": side.get("type"), "layer": side.get("layer")}
    if image.object != COMPONENT:
        entry |= {"source": side.get("source"), "target": side.get("target")}
    return entry | {"fields": fields}


EMPTY: tuple[Any, ...] = (None, "", [], {})


def _said(image: dict[str, Any] | None) -> dict[str, Any]:
    return image or {}
