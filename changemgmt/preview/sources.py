"""What a source shows against what is live: how a drift case follows it, what explains a row, and the items that adopt it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from changemgmt.architecture.rules import (
    COMPONENT,
    CREATE,
    DEFAULTS,
    DELETE,
    OBJECT_FIELDS,
    RELATION,
    UPDATE,
    WRITABLE,
    Image,
    patched,
)
from changemgmt.changes.item_files import patch
from changemgmt.core.diff import differences

from .diff import EMPTY
from .rules import UNWATCHED, same

Key = tuple[str, str]
"""A thing: `component` or `relation`, and its key."""
# Relations come after the components they end on, and go before them.
ORDER = {(CREATE, COMPONENT): 0, (CREATE, RELATION): 1, (UPDATE, COMPONENT): 2, (UPDATE, RELATION): 3, (DELETE, RELATION): 4, (DELETE, COMPONENT): 5}


def key_of(image: Image) -> Key:
    """What the image is of."""
    return image.object, image.key


def fields_of(image: Image) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, by path, without the bookkeeping no change item is about."""
    return {
        found.path: (found.before, found.after)
        for found in differences(image.before or {}, image.after or {})
        if found.path != "key" and found.path.partition(".")[0] not in UNWATCHED and not (found.before in EMPTY and found.after in EMPTY)
    }


def drifted(steps: Iterable[Image]) -> list[Image]:
    """Those of the writes of an import that are drift: all but those which differ in bookkeeping only."""
    return [replace(step, after=watched(step)) for step in steps if step.operation != UPDATE or fields_of(step)]


def watched(step: Image) -> dict[str, Any] | None:
    """What the source shows, with the bookkeeping of an existing thing left as it is."""
    if step.after is None or step.before is None:
        return step.after
    return {name: step.before.get(name) if name in UNWATCHED else value for name, value in step.after.items()}


@dataclass(frozen=True)
class Followed:
    """What an import made of the rows of a case. `moved` differ in other fields than before; `kept` may have a newer image."""

    added: list[Image]
    moved: list[Image]
    kept: list[Image]
    gone: list[Key]

    @property
    def counts(self) -> dict[str, int]:
        return {"added": len(self.added), "moved": len(self.moved), "gone": len(self.gone)}


def follow(known: Mapping[Key, Image], seen: Iterable[Image]) -> Followed:
    """The rows of a case brought up to what the source shows now."""
    followed = Followed([], [], [], [])
    now = {key_of(image): image for image in seen}
    for key, image in now.items():
        before = known.get(key)
        rows = followed.added if before is None else followed.kept if alike(before, image) else followed.moved
        rows.append(image)
    followed.gone.extend(key for key in known if key not in now)
    return followed


def alike(one: Image, two: Image) -> bool:
    """Whether two images of a thing tell of the same difference."""
    return one.operation == two.operation and same(as_lists(fields_of(one)), as_lists(fields_of(two)))


def as_lists(fields: Mapping[str, tuple[Any, Any]]) -> dict[str, list[Any]]:
    return {path: list(sides) for path, sides in fields.items()}


def explains(written: Image, row: Image) -> bool:
    """Whether what a change is about to write is all that the row shows: the same fields, with equal values."""
    if (written.after is None) != (row.after is None):
        return False
    made = fields_of(written)
    return row.after is None or all(path in made and same(made[path][1], after) for path, (_, after) in fields_of(row).items())


@dataclass(frozen=True)
class Adoption:
    """What adopting a row takes: an item as somebody would write it, or the reason why there is none; neither where live is so already."""

    item: dict[str, Any] | None = None
    reason: str = ""


def adoption(row: Image, live: Mapping[str, Any] | None) -> Adoption:
    """The item that makes the live thing what the source shows. What others moved since, in other fields, stays."""
    start: dict[str, Any] = {"object": row.object, "key": row.key}
    if row.after is None:
        return Adoption(start | {"operation": DELETE}) if live is not None else Adoption()
    if live is None:
        if row.before is not None:
            return Adoption(reason="It is not there any more; the next import shows how it stands.")
        return Adoption(start | {"operation": CREATE} | ends(row) | _data(said(row)))
    if row.object == RELATION and any(row.after[name] != live[name] for name in ("source", "target", "type")):
        return Adoption(reason="Its ends or its type moved, which no item can write: delete it by a change, and the next import shows it as new.")
    data = said(row) if row.before is None else moved_data(row)
    if same(patched(row.object, live, data), dict(live)):
        return Adoption()
    return Adoption(start | {"operation": UPDATE, "data": data})


def ends(row: Image) -> dict[str, Any]:
    """How an item addresses a new relation."""
    after = row.after or {}
    return {"source": after["source"], "target": after["target"], "relation_type": after["type"]} if row.object == RELATION else {}


def _data(data: dict[str, Any]) -> dict[str, Any]:
    return {"data": data} if data else {}


def said(row: Image) -> dict[str, Any]:
    """What the source says of a new thing, without what goes without saying."""
    after = row.after or {}
    return {name: after[name] for name in WRITABLE[row.object] if name in after and not same(after[name], DEFAULTS[row.object].get(name))}


def moved_data(row: Image) -> dict[str, Any]:
    """The JSON merge patch of the fields the source shows otherwise."""
    before, after = row.before or {}, row.after or {}
    moved = [name for name in WRITABLE[row.object] if not same(before.get(name), after.get(name))]
    return {name: patch(before.get(name) or {}, after.get(name) or {}) if name in OBJECT_FIELDS else after.get(name) for name in moved}


def in_order(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items as they can be done one after the other: made before used, let go before deleted."""
    return sorted(items, key=lambda item: (ORDER[item["operation"], item["object"]], item["key"]))


def turned(image: Image) -> Image:
    """What has to be undone at the source: from how it is there to how it is live."""
    return replace(image, before=image.after, after=image.before)
