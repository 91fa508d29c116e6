"""The architecture as a change would leave it: searched, and looked at a thing at a time. Reads fall through to what is live.

Every answer costs what the change and the page cost, however large the architecture is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from changemgmt.architecture.catalogue import FALLBACK_LAYER
from changemgmt.architecture.fields import key_problem
from changemgmt.architecture.models import ComponentType, Relation
from changemgmt.architecture.queries import component_image, current_revision, images, relation_image, relations_of, search
from changemgmt.architecture.rules import COMPONENT, CREATE, DELETE, RELATION, UPDATE, Image, end_of, ends
from changemgmt.changes.models import Change, Item
from changemgmt.core.errors import NotFound

from .drift import live_of, proposal_of
from .models import AppliedItem
from .rules import Proposal, overlaid, same

Key = tuple[str, str]
"""A thing: `component` or `relation`, and its key."""
ADDED, CHANGED, REMOVED = "added", "changed", "removed"
MARKS = {CREATE: ADDED, UPDATE: CHANGED, DELETE: REMOVED}
MOST_RELATIONS = 300
PARTS = ((COMPONENT, "components"), (RELATION, "relations"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed to; an empty field narrows nothing. `touched`: only what the change touches."""

    q: str = ""
    layer: str = ""
    type: str = ""
    owner: str = ""
    status: str = ""
    touched: bool = False

    def fits(self, image: Mapping[str, Any]) -> bool:
        """Whether a component is one of those, as the search of live ones would say."""
        words = self.q.casefold()
        plain = all(not (value := getattr(self, name)) or image[name] == value for name in ("layer", "type", "owner", "status"))
        return plain and (not words or words in image["name"].casefold() or words in image["key"].casefold())


@dataclass(frozen=True)
class Sandbox:
    """What the change touches, as values: before and after of each thing. What is not among them is as it is live."""

    change: Change
    proposals: Mapping[Key, Proposal]
    touched: Mapping[Key, Image]

    def at(self, object: str, key: str) -> Image:
        """A thing live and as it would be; NotFound where it is neither."""
        if key_problem(object, key):
            raise NotFound("There is no such key, nor can there be.")
        found = self.touched.get((object, key))
        if found is None:
            live = images(object, [key]).get(key)
            found = Image(object, key, live, live)
        if found.before is None and found.after is None:
            raise NotFound(f"There is no {object} {key!r}, nor would there be.")
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """A component of a list: as it would be, or as it was where it would be gone."""

    image: Mapping[str, Any]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Tie:
    """A relation of a component: the image, what becomes of it, and the component at the other end, if one is."""

    image: Mapping[str, Any]
    mark: str
    outward: bool
    other: Row | None = None


@dataclass(frozen=True)
class Found:
    """One page of a list, whether there is more, and how many the change touches of it."""

    rows: list[Row] = field(default_factory=list)
    more: bool = False


def mark_of(image: Image) -> str:
    """Added, changed, removed; nothing where it would be as it is."""
    return "" if same(image.before, image.after) else MARKS[image.operation]


def waiting(change: Change) -> QuerySet[Item]:
    """The items that are not applied: what is applied is live."""
    applied = AppliedItem.objects.filter(change=change, reverted_in=None).values("item_id")
    return Item.objects.filter(change=change).exclude(pk__in=applied).order_by("position", "pk")


def sandbox_of(change: Change) -> Sandbox:
    """What the items of a change make of the live things of this moment."""
    proposals = [proposal_of(item) for item in waiting(change)]
    live = live_of(proposals)
    found = [overlaid(proposal, live[proposal.object].get(proposal.key)) for proposal in proposals]
    complete = _completed(found)
    return Sandbox(
        change,
        {(proposal.object, proposal.key): proposal for proposal in proposals},
        {(image.object, image.key): Image(image.object, image.key, image.before, complete(image.after)) for image in found},
    )


def _completed(found: Iterable[Image]) -> Callable[[Any], Any]:
    """What fills in the layer of new components that say none; nothing is read where all say theirs."""
    types = {image.after["type"] for image in found if image.object == COMPONENT and image.after and not image.after["layer"]}
    layers = dict(ComponentType.objects.filter(name__in=types).values_list("name", "layer__name")) if types else {}
    return lambda image: (
        image | {"layer": layers.get(image["type"], FALLBACK_LAYER)} if image and "source" not in image and not image["layer"] else image
    )


def listed(sandbox: Sandbox, wanted: Wanted, *, start: int, size: int) -> Found:
    """`size` components from the place `start` on: those the change touches first, then the others by name.

    A component that is changed is found by what it would be, one that is removed by what it was.
    """
    own = own_rows(sandbox, wanted)
    page = own[start : start + size + 1]
    room = size + 1 - len(page)
    if room and not wanted.touched:
        narrowed = {name: [value] for name in ("layer", "type") if (value := getattr(wanted, name))}
        others = search(q=wanted.q, owner=wanted.owner, status=wanted.status, **narrowed)  # type: ignore[arg-type]  # lists, as it takes them
        spoken_of = waiting(sandbox.change).filter(object=COMPONENT).order_by().values("key")
        begin = max(0, start - len(own))
        page += [Row(component_image(row)) for row in others.exclude(key__in=spoken_of)[begin : begin + room]]
    return Found(page[:size], len(page) > size)


def own_rows(sandbox: Sandbox, wanted: Wanted) -> list[Row]:
    """The components that the change speaks of, as far as they are wanted."""
    found = [
        Row(shown, mark)
        for image in sandbox.touched.values()
        if image.object == COMPONENT
        and (shown := image.after or image.before)
        and wanted.fits(shown)
        and ((mark := mark_of(image)) or not wanted.touched)
    ]
    return sorted(found, key=lambda row: (row.image["name"].casefold(), row.image["key"]))


def ties_of(sandbox: Sandbox, key: str) -> list[Tie]:
    """The relations of a component as they would be, and those that would go, by type and key."""
    live = {row.key: row for row in relations_of(key, MOST_RELATIONS)}
    shown = {name: sandbox.touched.get((RELATION, name)) or _as_it_is(row) for name, row in live.items()}
    shown |= {
        image.key: image
        for image in sandbox.touched.values()
        if image.object == RELATION and _shown(image) and (COMPONENT, key) in ends(_shown(image))
    }
    others = components_at(sandbox, live.values(), shown.values())
    return [_tie(image, key, others) for image in sorted(shown.values(), key=lambda image: (_shown(image)["type"], image.key))]


def _as_it_is(row: Relation) -> Image:
    image = relation_image(row)
    return Image(RELATION, row.key, image, image)


def _shown(image: Image) -> dict[str, Any]:
    return image.after or image.before or {}


def _tie(image: Image, key: str, others: Mapping[str, Row]) -> Tie:
    shown = _shown(image)
    outward = end_of(shown["source"]) == (COMPONENT, key)
    kind, other = end_of(shown["target" if outward else "source"])
    return Tie(shown, mark_of(image), outward, others.get(other) if kind == COMPONENT else None)


def components_at(sandbox: Sandbox, live: Iterable[Relation], shown: Iterable[Image]) -> dict[str, Row]:
    """The components at the ends of relations, by key. What the live relations bring along is not read again."""
    known = {end.key: {"key": end.key, "name": end.name, "layer": end.layer.name} for row in live for end in (row.source, row.target) if end}
    wanted = {key for image in shown for kind, key in ends(_shown(image)) if kind == COMPONENT}
    known |= images(COMPONENT, [key for key in wanted if key not in known and (COMPONENT, key) not in sandbox.touched])
    found = {key: Row(image) for key, image in known.items()}
    return found | {key: Row(_shown(image), mark_of(image)) for key in wanted if (image := sandbox.touched.get((COMPONENT, key))) and _shown(image)}


def names_in(sandbox: Sandbox) -> dict[str, str]:
    """The names of the components that the change speaks of, as they would be."""
    return {image.key: _shown(image)["name"] for image in sandbox.touched.values() if image.object == COMPONENT and _shown(image)}


def pulled(change: Change, asked: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """What the change touches, and what else is asked for by key, as it would be: in the shape that is captured once it was edited."""
    box = sandbox_of(change)
    further = {object: [key for key in keys if (object, key) not in box.touched] for object, keys in asked.items()}
    live = {object: images(object, keys) for object, keys in further.items()}
    if missing := [f"{object} {key!r}" for object, keys in further.items() for key in keys if key not in live[object]]:
        raise NotFound(f"There is no {missing[0]}, nor would there be.")
    touched = [image for image in box.touched.values() if image.before or image.after]
    return {
        "revision": current_revision(),
        **{
            part: [image.after for image in touched if image.object == object and image.after] + [*live.get(object, {}).values()]
            for object, part in PARTS
        },
        "removed": {part: [image.key for image in touched if image.object == object and image.after is None] for object, part in PARTS},
    }
