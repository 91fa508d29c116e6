"""The three-way re-base of a change: its conflicts with what may be chosen at each, and what its items become by the choices. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from changemgmt.architecture.rules import CREATE, DELETE, RELATION, RELATION_END, image_after
from changemgmt.core.canonical import digest
from changemgmt.core.comparing import Allowance

from .capture import creation, item_for, patch_between
from .rules import Drift, Proposal
from .words import merged_words

LIVE, PROPOSED, MERGED, VALUE = "live", "proposed", "merged", "value"
TAKES = (LIVE, PROPOSED, MERGED, VALUE)
FIELD, GONE, THERE, CHANGED, END, RELATIONS = "field", "gone", "there", "changed", "end", "relations"
KINDS = (FIELD, GONE, THERE, CHANGED, END, RELATIONS)
"""A field moved; what is updated is gone; what is created is there; what is deleted was changed; a new relation lost an end; what is deleted
got new relations. At all but the first, `live` takes the item out of the change."""
Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conflict:
    """One thing to decide. `takes` are the choices there are; `merged` is the text of both sides where that is clean."""

    item_id: int
    object: str
    key: str
    kind: str
    field: str
    base: Any
    live: Any
    proposed: Any
    moved_by: str
    takes: tuple[str, ...]
    merged: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "item_id"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What to take at a conflict; `value` is what is written instead of either."""

    take: str
    value: Any = None


Chosen = Sequence[tuple[Conflict, Choice]]
"""The decisions about one item."""


def conflicts_of(moved: Iterable[tuple[Proposal, Drift]], live: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[Conflict]:
    """What has to be decided, in the order of the items. What moved elsewhere, or to what is proposed anyway, needs no decision."""
    found: dict[tuple[int, str, str], Conflict] = {}
    allowance = Allowance()
    for item, row in moved:
        if row.conflict:
            made = _conflict(item, row, live[item.object].get(item.key), allowance)
            before = found.get((item.item_id, made.kind, made.field))
            found[item.item_id, made.kind, made.field] = _together(before, made) if before else made
    return sorted(found.values(), key=lambda conflict: (conflict.object, conflict.key, KINDS.index(conflict.kind), conflict.field))


def _conflict(item: Proposal, row: Drift, live: Mapping[str, Any] | None, allowance: Allowance) -> Conflict:
    kind = _kind(item, row)
    made = Conflict(item.item_id, item.object, item.key, kind, row.field, row.base, row.live, row.proposed, row.moved_by, (LIVE, PROPOSED))
    match kind:
        case "field":
            return _of_field(made, allowance)
        case "changed":
            return replace(made, field="existence", base={row.field: row.base}, live={row.field: row.live}, proposed=None)
        case "relations":
            return replace(made, live=[row.live])
        case "end":
            return replace(made, takes=(LIVE, PROPOSED, VALUE))
        case "there":
            moved = item.object == RELATION and live is not None and _ends(live) != (item.source, item.relation_type, item.target)
            return replace(made, takes=(LIVE,) if moved else (LIVE, PROPOSED))
    return made


def _kind(item: Proposal, row: Drift) -> str:
    if item.operation == DELETE:
        return RELATIONS if row.field == "relations" and row.base is None and row.proposed is None else CHANGED
    if item.operation == CREATE:
        return THERE if row.field == "existence" else END
    return GONE if row.field == "existence" and row.live is None else FIELD


def _of_field(made: Conflict, allowance: Allowance) -> Conflict:
    merged = None
    if all(isinstance(side, str) for side in (made.base, made.live, made.proposed)):
        merged = merged_words(made.base, made.live, made.proposed, allowance)
    return replace(made, takes=TAKES if merged is not None else (LIVE, PROPOSED, VALUE), merged=merged)


def _together(one: Conflict, two: Conflict) -> Conflict:
    """Two rows of one decision: fields of what is deleted, or relations at it."""
    if one.kind == RELATIONS:
        return replace(one, live=[*one.live, *two.live])
    return replace(one, base=one.base | two.base, live=one.live | two.live) if one.kind == CHANGED else one


def _ends(image: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return image["source"], image["type"], image["target"]


def digest_of(conflicts: Sequence[Conflict]) -> str:
    """What was shown, in short: another one says that something moved since. Who moved it is no part, since not everybody is told."""
    return digest([[conflict.object, conflict.key, conflict.kind, conflict.field, conflict.base, conflict.live] for conflict in conflicts])


# What the items become.


@dataclass(frozen=True, slots=True)
class Rebased:
    """What an item becomes, as somebody would write it (None: it is taken out), and further deletions that go with it."""

    item: Item | None
    further: tuple[Item, ...] = ()


def rebased(proposal: Proposal, live: Mapping[str, Any] | None, chosen: Chosen) -> Rebased:
    """One item on the live thing as it is now, by what was chosen at each of its conflicts."""
    if any(choice.take == LIVE and conflict.kind != FIELD for conflict, choice in chosen):
        return Rebased(None)
    if proposal.operation == DELETE:
        relations = [key for conflict, _ in chosen if conflict.kind == RELATIONS for key in conflict.live]
        further = tuple({"operation": DELETE, "object": RELATION, "key": key} for key in relations)
        return Rebased(written(proposal), further) if live is not None else Rebased(None)
    if proposal.operation == CREATE:
        return Rebased(_created(proposal, live, chosen))
    return Rebased(_updated(proposal, live, chosen))


def written(proposal: Proposal) -> Item:
    """The item as somebody would write it; what it finds live it names by its key."""
    item: Item = {"operation": proposal.operation, "object": proposal.object, "key": proposal.key}
    if proposal.operation == CREATE and proposal.object == RELATION:
        item |= {"source": proposal.source, "target": proposal.target, "relation_type": proposal.relation_type}
    return item | ({"data": dict(proposal.data)} if proposal.data else {}) | ({"replace": True} if proposal.replace else {})


def _created(proposal: Proposal, live: Mapping[str, Any] | None, chosen: Chosen) -> Item | None:
    if live is not None:
        wanted = image_after(proposal.as_operation(), None) or {}
        return item_for(
            proposal.object, proposal.key, live, {name: value for name, value in wanted.items() if value is not None and name in proposal.data}
        )
    return written(proposal) | {conflict.field: choice.value for conflict, choice in chosen if choice.take == VALUE}


def _updated(proposal: Proposal, live: Mapping[str, Any] | None, chosen: Chosen) -> Item | None:
    if live is None:
        return _made_again(proposal)
    data = data_with(proposal.data, {conflict.field: (conflict, choice) for conflict, choice in chosen})
    return written(proposal) | {"data": data} if data else None


def _made_again(proposal: Proposal) -> Item:
    """The creation of what was deleted under an update, as the update would have left it."""
    wanted = image_after(proposal.as_operation(), proposal.before) or {}
    made: Item = {"operation": CREATE, "object": proposal.object, "key": proposal.key, "data": creation(proposal.object, wanted)}
    return made | ({"source": wanted["source"], "target": wanted["target"], "relation_type": wanted["type"]} if proposal.object == RELATION else {})


def data_with(data: Mapping[str, Any], chosen: Mapping[str, tuple[Conflict, Choice]], path: str = "") -> dict[str, Any]:
    """The merge patch once each field that is named in `chosen` says what was chosen there."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        below = f"{path}.{name}" if path else str(name)
        if below in chosen:
            found |= _chosen(name, value, *chosen[below])
        elif isinstance(value, Mapping) and any(field.startswith(f"{below}.") for field in chosen):
            found |= {name: inner} if (inner := data_with(value, chosen, below)) else {}
        else:
            found[name] = value
    return found


def _chosen(name: str, value: Any, conflict: Conflict, choice: Choice) -> dict[str, Any]:
    """One field of the patch; nothing where the live value stays."""
    match choice.take:
        case "live":
            return {}
        case "merged":
            return {name: conflict.merged}
        case "value":
            return {name: patch_between(conflict.live, choice.value)}
    return {name: value}


def without_strays(items: Iterable[Item], dropped: set[str]) -> set[str]:
    """Of relations that are created, those that would end on a relation that is not created any more (`dropped`), over and over."""
    hanging: dict[str, list[str]] = defaultdict(list)
    for item in items:
        if (item["operation"], item["object"]) == (CREATE, RELATION):
            for end in {end for end in (item.get("source"), item.get("target")) if isinstance(end, str)}:
                hanging[end].append(item["key"])
    lost: set[str] = set()
    waiting = list(dropped)
    while waiting:
        fresh = [key for key in hanging[f"{RELATION_END}{waiting.pop()}"] if key not in lost]
        lost |= set(fresh)
        waiting += fresh
    return lost
