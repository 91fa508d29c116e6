"""The base of a change against the live architecture: what moved since its items were written, and who moved it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from changemgmt.architecture.models import Revision
from changemgmt.architecture.queries import cascade, exists, images, moved_since
from changemgmt.architecture.rules import CREATE, DELETE, OBJECTS, RELATION, ends, image_after
from changemgmt.changes.models import Change, Item

from .models import AppliedItem
from .rules import Drift, Proposal
from .rules import drift_of as drift_of_item


@dataclass(frozen=True)
class Base:
    """The items of a change as values, the live things they are about, and the drift between."""

    proposals: list[Proposal]
    live: dict[str, dict[str, dict[str, Any]]]
    drift: list[Drift]


def proposal_of(item: Item) -> Proposal:
    """A stored item as a value."""
    return Proposal(
        item.pk,
        item.operation,
        item.object,
        item.key,
        item.source or None,
        item.target or None,
        item.relation_type or None,
        item.data or {},
        item.before,
        item.base_revision,
        item.replace,
    )


def base_of(change: Change, items: Iterable[Item] | None = None) -> Base:
    """The items (all when None), their live things, and where the base moved. Items that are applied have no drift any more."""
    everything = [proposal_of(item) for item in change.items.all()]
    chosen = everything if items is None else [proposal_of(item) for item in items]
    applied = set(AppliedItem.objects.filter(change=change, reverted_in=None).values_list("item_id", flat=True))
    live = {object: images(object, [proposal.key for proposal in chosen if proposal.object == object]) for object in OBJECTS}
    waiting = [proposal for proposal in chosen if proposal.item_id not in applied]
    rows = [row for proposal in waiting for row in drift_of_item(proposal, live[proposal.object].get(proposal.key))]
    rows += _lost_ends(waiting, everything) + _new_relations(waiting, everything)
    return Base(chosen, live, _blamed(rows, everything))


def _lost_ends(waiting: Sequence[Proposal], everything: Sequence[Proposal]) -> list[Drift]:
    """New relations whose end is gone from the live architecture and not made by this change."""
    made = {(proposal.object, proposal.key) for proposal in everything if proposal.operation == CREATE}
    relations = [proposal for proposal in waiting if (proposal.operation, proposal.object) == (CREATE, RELATION)]
    new = [(proposal, image_after(proposal.as_operation(), None) or {}) for proposal in relations]
    wanted = {end for _, image in new for end in ends(image)} - made
    there = {(object, key) for object in OBJECTS for key in exists(object, [key for kind, key in wanted if kind == object])}
    return [
        Drift(proposal.key, side, image[side], None, image[side])
        for proposal, image in new
        for side, end in zip(("source", "target"), ends(image), strict=True)
        if end in wanted - there
    ]


def _new_relations(waiting: Sequence[Proposal], everything: Sequence[Proposal]) -> list[Drift]:
    """Relations that came to something this change deletes, and that it does not delete."""
    gone = {(proposal.object, proposal.key) for proposal in everything if proposal.operation == DELETE}
    found: list[Drift] = []
    for object in OBJECTS:
        keys = [proposal.key for proposal in waiting if (proposal.operation, proposal.object) == (DELETE, object)]
        for relation in cascade(keys, object=object).values():
            if (RELATION, relation.key) not in gone:
                found.append(Drift(_end_within(relation, keys), "relations", None, relation.key, None, conflict=True))
    return found


def _end_within(relation: Any, keys: Sequence[str]) -> str:
    sides = (relation.source, relation.target, relation.source_relation, relation.target_relation)
    return next((side.key for side in sides if side is not None and side.key in keys), relation.key)


def _blamed(rows: list[Drift], proposals: Sequence[Proposal]) -> list[Drift]:
    """The same rows with who moved them: the change, or the person who edited directly."""
    if not rows:
        return []
    oldest = min(proposal.base_revision for proposal in proposals)
    movers = moved_since(oldest)
    return [replace(row, moved_by=mover(movers.get(row.key) or movers.get(str(row.live)) or movers.get("*"))) for row in rows]


def mover(revision: Revision | None) -> str:
    """Who made a revision: the number of the change, else the person."""
    return (revision.change or revision.actor) if revision else ""
