"""The overlay of a change and what became of its base: three-way comparison, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from changemgmt.architecture.rules import CREATE, DELETE, RELATION, UPDATE, Image, Operation, image_after
from changemgmt.core.diff import differences

# Bookkeeping of a thing that no change item is about: it may move without anybody minding.
UNWATCHED = frozenset({"source_system", "confirmed_at", "refuted_at", "refuted_reason", "external_references"})
ABSENT = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """One item of a change as a value."""

    item_id: int
    operation: str
    object: str
    key: str
    source: str | None
    target: str | None
    relation_type: str | None
    data: Mapping[str, Any]
    before: dict[str, Any] | None
    base_revision: int
    replace: bool = False

    def as_operation(self) -> Operation:
        return Operation(self.operation, self.object, self.key, self.source, self.target, self.relation_type, self.data)


@dataclass(frozen=True, slots=True)
class Drift:
    """One field whose live value is no longer the base. `conflict` is False where live already is what is proposed."""

    key: str
    field: str
    base: Any
    live: Any
    proposed: Any
    moved_by: str = ""
    conflict: bool = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def sentence(self) -> str:
        """The three values in words."""
        by = f" (moved by {self.moved_by})" if self.moved_by else ""
        return f"{self.key}: {self.field} was {shown(self.base)}, is {shown(self.live)} now{by}, and would become {shown(self.proposed)}."


def shown(value: Any) -> str:
    """A value short enough for a sentence."""
    text = "absent" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "…"


def overlaid(proposal: Proposal, live: dict[str, Any] | None) -> Image:
    """What the item makes of the live thing. A deletion of what is gone, or an update of it, does nothing."""
    if live is None and proposal.operation != CREATE:
        return Image(proposal.object, proposal.key, None, None)
    return Image(proposal.object, proposal.key, live, image_after(proposal.as_operation(), live))


def drift_of(proposal: Proposal, live: dict[str, Any] | None) -> list[Drift]:
    """Where the base of one item moved: only fields the item speaks about count; a deletion speaks about all."""
    match proposal.operation:
        case "create":
            return _drift_of_creation(proposal, live)
        case "delete":
            return [] if live is None or proposal.before is None else _drift_of_deletion(proposal, live)
    if live is None:
        return [Drift(proposal.key, "existence", "present", ABSENT, "updated")]
    wanted = image_after(proposal.as_operation(), live) or {}
    return [
        Drift(proposal.key, path, base, now, proposed, conflict=not same(now, proposed))
        for path, base, now, proposed in _spoken_of(proposal.data, proposal.before or {}, live, wanted)
        if not same(base, now)
    ]


def _drift_of_creation(proposal: Proposal, live: dict[str, Any] | None) -> list[Drift]:
    if live is None:
        return []
    wanted = image_after(proposal.as_operation(), None) or {}
    alike = all(same(live.get(name), value) for name, value in wanted.items() if name not in UNWATCHED and value is not None)
    return [Drift(proposal.key, "existence", ABSENT, "present", "created", conflict=not alike)]


def _drift_of_deletion(proposal: Proposal, live: dict[str, Any]) -> list[Drift]:
    return [
        Drift(proposal.key, found.path, found.before, found.after, ABSENT)
        for found in differences(proposal.before, live)
        if found.path.partition(".")[0] not in UNWATCHED
    ]


def _spoken_of(data: Any, base: Any, live: Any, wanted: Any, path: str = "") -> Iterable[tuple[str, Any, Any, Any]]:
    """Every leaf the data names, with its base, its live and its proposed value."""
    if isinstance(data, Mapping) and data and all(isinstance(side, Mapping) or side is None for side in (base, live, wanted)):
        for name, inner in data.items():
            below = f"{path}.{name}" if path else str(name)
            one, two, three = ((side or {}).get(name) for side in (base, live, wanted))
            yield from _spoken_of(inner, one, two, three, below)
    elif not (isinstance(data, Mapping) and not data):
        yield path, base, live, wanted


def same(one: Any, two: Any) -> bool:
    """Equal, and of the same kind: true is not 1."""
    return not differences(one, two)


@dataclass(frozen=True, slots=True)
class Clash:
    """A field that moved on both sides of a merge."""

    path: str
    base: Any
    live: Any
    proposed: Any


def merge(base: Any, live: Any, proposed: Any, path: str = "") -> tuple[Any, list[Clash]]:
    """Three-way merge: what only one side moved is taken from it; what both moved differently is a clash (live is kept)."""
    if isinstance(base, dict) and isinstance(live, dict) and isinstance(proposed, dict):
        return _merge_objects(base, live, proposed, path)
    if same(live, base) or same(live, proposed):
        return proposed, []
    if same(proposed, base):
        return live, []
    return live, [Clash(path, base, live, proposed)]


_GONE = object()


def _merge_objects(base: dict[str, Any], live: dict[str, Any], proposed: dict[str, Any], path: str) -> tuple[Any, list[Clash]]:
    merged, clashes = {}, []
    for name in [*live, *(name for name in proposed if name not in live)]:
        below = f"{path}.{name}" if path else str(name)
        sides = base.get(name, _GONE), live.get(name, _GONE), proposed.get(name, _GONE)
        value, found = _merge_field(*sides, below)
        clashes += found
        if value is not _GONE:
            merged[name] = value
    return merged, clashes


def _merge_field(base: Any, live: Any, proposed: Any, path: str) -> tuple[Any, list[Clash]]:
    if _GONE not in (base, live, proposed):
        return merge(base, live, proposed, path)
    if _alike(live, base) or _alike(live, proposed):
        return proposed, []
    if _alike(proposed, base):
        return live, []
    return live, [Clash(path, *(None if side is _GONE else side for side in (base, live, proposed)))]


def _alike(one: Any, two: Any) -> bool:
    return one is two if _GONE in (one, two) else same(one, two)


Thing = dict[str, Any] | None


def taken_back(object: str, key: str, before: Thing, after: Thing, live: Thing) -> tuple[Image, list[Clash]]:
    """The image that undoes one write, given what is there now; clashes where something later moved the same fields."""
    undone = Image(object, key, live, before)
    if same(live, before):
        return Image(object, key, live, live), []
    if before is None or after is None or live is None:
        return undone, [] if same(live, after) else _later(before, after, live)
    merged, clashes = merge(after, live, before)
    return replace(undone, after=merged), clashes


def _later(before: Thing, after: Thing, live: Thing) -> list[Clash]:
    if live is None or after is None:
        return [Clash("existence", *("absent" if side is None else "present" for side in (after, live, before)))]
    moved = [Clash(found.path, found.before, found.after, None) for found in differences(after, live)]
    return [clash for clash in moved if clash.path.partition(".")[0] not in UNWATCHED]


def written_fields(operation: str, object: str, data: Mapping[str, Any]) -> set[str] | None:
    """The fields an item writes, as paths; None for all of them (it makes or takes away the whole thing)."""
    if operation != UPDATE or object == RELATION and not data:
        return None
    return {path for path, *_ in _spoken_of(data, None, None, None)}


def overlap(one: set[str] | None, two: set[str] | None) -> bool:
    """Whether two sets of written fields meet: the same path, or one inside the other."""
    if one is None or two is None:
        return True
    return any(a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.") for a in one for b in two)


def counts(images: Iterable[Image]) -> dict[str, int]:
    """How many things are added, changed and removed, components and relations together."""
    found = {"added": 0, "changed": 0, "removed": 0}
    for image in images:
        if image.before != image.after:
            found[{CREATE: "added", DELETE: "removed", UPDATE: "changed"}[image.operation]] += 1
    return found
