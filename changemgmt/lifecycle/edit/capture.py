"""Capture: things as they should be, taken over as the items that make them so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Q

from changemgmt.accounts.models import User
from changemgmt.architecture.actions import lock
from changemgmt.architecture.fields import json_problem, key_problem, printable
from changemgmt.architecture.queries import cascade, images, images_at
from changemgmt.architecture.rules import COMPONENT, CREATE, DELETE, OBJECT_FIELDS, OBJECTS, RELATION, UPDATE, WRITABLE
from changemgmt.changes.models import Change, Item
from changemgmt.core.errors import Invalid, NotPossible, OutOfDate
from changemgmt.preview.capture import FIXED, item_for
from changemgmt.preview.drift import base_of
from changemgmt.preview.rebasing import conflicts_of, without_strays
from changemgmt.preview.rules import UNWATCHED, same
from changemgmt.preview.sandbox import PARTS, Key, Sandbox, sandbox_of

from .editing import editing
from .items import rewrite_items

KNOWN = {object: {"key", *WRITABLE[object], *FIXED[object], *UNWATCHED} for object in OBJECTS}
MOST_THINGS = 5_000
Desired = dict[Key, dict[str, Any] | None]
"""Things as they should be; None for what should be gone."""


@dataclass(frozen=True)
class Captured:
    """The change after it, the items about what was captured, and the keys of those that are not needed any more."""

    change: Change
    items: list[Item] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def capture(number: str, desired: Any, *, actor: User, now: datetime, seen: str | None, revision: Any = None) -> Captured:
    """Make the items about these things those that lead from the live architecture to what is desired.

    `desired` is `{"components": […], "relations": […], "removed": {"components": [keys], "relations": [keys]}}`: things as the export writes
    them. A field that is not named stays as the change would have it; attributes that are named are meant whole. A thing that is as it is
    live anyway needs no item; what hangs on something removed goes with it.

    `revision` is that of the architecture the desired was made from: where one of the things moved live since, OutOfDate.
    """
    wanted = read(desired)
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        lock()
        box = sandbox_of(edit.change)
        with_what_goes(wanted, box)
        refuse_conflicts(edit.change, wanted)
        refuse_moved(wanted, revision)
        items, dropped = write(edit.change, wanted, box)
    return Captured(edit.change, items, dropped)


# What was sent.


def read(desired: Any) -> Desired:
    """The things that are desired, by object and key; Invalid names the place of what can't be read."""
    if not isinstance(desired, Mapping):
        raise Invalid.field("components", "Give an object with components, relations and what is removed.")
    if unknown := desired.keys() - {"components", "relations", "removed"}:
        raise Invalid.field(printable(min(map(str, unknown))), "Not known here. Known: components, relations, removed.")
    found: Desired = {}
    removed = desired.get("removed", {})
    if not isinstance(removed, Mapping) or removed.keys() - {"components", "relations"}:
        raise Invalid.field("removed", "Give an object with lists of keys: components, relations.")
    for object, part in PARTS:
        for place, image in enumerate(rows_of(desired, part)):
            add(found, (object, read_image(object, image, f"{part}.{place}")), image, f"{part}.{place}")
        for place, key in enumerate(rows_of(removed, part)):
            if problem := key_problem(object, key):
                raise Invalid.field(f"removed.{part}.{place}", problem)
            add(found, (object, key), None, f"removed.{part}.{place}")
    if not 0 < len(found) <= MOST_THINGS:
        raise Invalid(f"Send 1 to {MOST_THINGS:,} things.")
    return found


def rows_of(sent: Mapping[str, Any], part: str) -> list[Any]:
    rows = sent.get(part, [])
    if not isinstance(rows, list):
        raise Invalid.field(part, "Give a list.")
    return rows


def add(found: Desired, thing: Key, image: dict[str, Any] | None, place: str) -> None:
    if thing in found:
        raise Invalid.field(place, f"The {thing[0]} {thing[1]!r} stands here twice.")
    found[thing] = image


def read_image(object: str, image: Any, place: str) -> str:
    """The key of a desired thing; Invalid where it is none."""
    if not isinstance(image, dict):
        raise Invalid.field(place, f"Give the {object} as an object with a key.")
    key = image.get("key")
    if problem := key_problem(object, key) or json_problem(image):
        raise Invalid.field(place, problem)
    if unknown := image.keys() - KNOWN[object]:
        raise Invalid.field(place, f"Not a field of a {object}: {printable(min(unknown))}. Known: {', '.join(sorted(KNOWN[object]))}.")
    for name in set(OBJECT_FIELDS) & image.keys():
        if not isinstance(image[name], dict):
            raise Invalid.field(f"{place}.{name}", "Give an object.")
    return str(key)


# What it means for the change.


def with_what_goes(wanted: Desired, box: Sandbox) -> None:
    """Add the removal of every relation that hangs on what is removed, live or made by the change."""
    gone = {thing for thing, image in wanted.items() if image is None}
    live = {key for object in OBJECTS for key in cascade([key for kind, key in gone if kind == object], object=object)}
    items = [{"operation": CREATE, "object": RELATION, "key": key, **_ends(image.after)} for (object, key), image in box.touched.items()
             if object == RELATION and image.before is None and image.after]  # fmt: skip
    components = {key for kind, key in gone if kind == COMPONENT}
    hung = {str(item["key"]) for item in items if {item["source"], item["target"]} & components}
    lost = live | hung
    lost |= without_strays(items, lost | {key for kind, key in gone if kind == RELATION})
    for key in lost:
        if wanted.get((RELATION, key)) is not None:
            raise Invalid.field("removed", f"The relation {key!r} would lose an end: it can't stay.")
        wanted[RELATION, key] = None


def _ends(image: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: (image or {}).get(name) for name in ("source", "target")}


def refuse_conflicts(change: Change, wanted: Desired) -> None:
    """Raise where somebody has to choose first: capturing would choose without asking."""
    base = base_of(change)
    if open_ := [row for row in conflicts_of(base.moved, base.live) if (row.object, row.key) in wanted]:
        keys = ", ".join(sorted({row.key for row in open_})[:10])
        raise NotPossible(f"The live architecture moved under the items about {keys}: re-base the change first.")


def refuse_moved(wanted: Desired, revision: Any) -> None:
    """Raise where one of the things is not live any more what it was at `revision`."""
    if revision is None:
        return
    if not isinstance(revision, int) or isinstance(revision, bool) or not 0 <= revision < 2**63:
        raise Invalid.field("revision", "Give the number of the revision it was made from.")
    for object in OBJECTS:
        keys = [key for kind, key in wanted if kind == object]
        if not keys:
            continue
        then, now = images_at(object, revision, keys), images(object, keys)
        if moved := [key for key in keys if not same(_watched(then.get(key)), _watched(now.get(key)))]:
            raise OutOfDate(f"Moved in the live architecture since revision {revision}: {', '.join(sorted(moved)[:10])}. Look at it anew.")


def _watched(image: dict[str, Any] | None) -> dict[str, Any] | None:
    return image and {name: value for name, value in image.items() if name not in UNWATCHED}


def write(change: Change, wanted: Desired, box: Sandbox) -> tuple[list[Item], list[str]]:
    """The items about the wanted things as they become; answers those there are then, and the keys of those dropped."""
    rows = {(row.object, row.key): row for row in change.items.filter(key__in=[key for _, key in wanted])}
    live = {object: images(object, [key for kind, key in wanted if kind == object]) for object in OBJECTS}
    altered: dict[int, dict[str, Any] | None] = {}
    fresh: list[dict[str, Any]] = []
    for thing, image in wanted.items():
        row = rows.get(thing)
        item = item_of(thing, image, live[thing[0]].get(thing[1]), box)
        if item and item["operation"] == UPDATE and row and row.replace:
            item["replace"] = True
        if row is None:
            fresh += [item] if item else []
        elif item is None or not says(row, item):
            altered[row.pk] = item
    rewrite_items(change, altered, fresh)
    things = Q(object=COMPONENT, key__in=[key for kind, key in wanted if kind == COMPONENT])
    things |= Q(object=RELATION, key__in=[key for kind, key in wanted if kind == RELATION])
    names = {row.pk: row.key for row in rows.values()}
    return list(change.items.filter(things)), sorted(names[pk] for pk, item in altered.items() if item is None)


def says(row: Item, item: Mapping[str, Any]) -> bool:
    """Whether the row says what the item says already: then its base stays what it is, too."""
    ends = all((getattr(row, name) or None) == item[name] for name in ("source", "target", "relation_type") if name in item)
    same_act = (row.operation, row.replace) == (item["operation"], item.get("replace", False))
    return same_act and ends and same(row.data, item.get("data") or {})


def item_of(thing: Key, image: Mapping[str, Any] | None, live: Mapping[str, Any] | None, box: Sandbox) -> dict[str, Any] | None:
    """The item that one thing needs."""
    object, key = thing
    if image is None:
        if live is None and thing not in box.touched:
            raise Invalid.field("removed", f"There is no {object} {key!r}, nor would there be.")
        return {"operation": DELETE, "object": object, "key": key} if live is not None else None
    touched = box.touched.get(thing)
    would_be = (touched.after if touched else live) or live or {}
    return item_for(object, key, live, {**would_be, **image})
