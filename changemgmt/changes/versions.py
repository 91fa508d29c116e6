"""Versions of a change: each as it was, and what differs between two."""

from __future__ import annotations

from typing import Any

from changemgmt.core.canonical import plain
from changemgmt.core.diff import differences
from changemgmt.core.errors import NotFound

from .digest import content_of
from .models import Change


def content(change: Change, version: int) -> dict[str, Any]:
    """The content of a version: as it was kept when it was signed, or, for the one being written, as it is now. NotFound otherwise."""
    kept = change.versions.filter(version=version).first()
    if version == change.version and kept is None:
        return {"title": change.title, **plain(content_of(change))}
    if kept is None:
        raise NotFound("This version of the change was not kept.")
    return kept.content


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """What differs between two contents; items and steps are compared one by one, by their keys."""
    return [row.as_dict() for row in differences(keyed(before), keyed(after))]


def keyed(content: dict[str, Any]) -> dict[str, Any]:
    plan = content.get("plan") or {}
    items = {f"{item['object']}:{item['key']}": item for item in content.get("items", [])}
    steps = {step["step_id"]: {name: value for name, value in step.items() if name != "step_id"} for step in plan.get("steps", [])}
    return content | {"items": items, "plan": plan | {"steps": steps}}
