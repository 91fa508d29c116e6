"""The base of a change against the live architecture: what moved since its items were written, and who moved it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from changemgmt.architecture.models import Relation, Revision
from changemgmt.architecture.queries import cascade, exists, images, moved_since, relation_image
from changemgmt.architecture.rules import CREATE, DELETE, OBJECTS, RELATION, ends, image_after
from changemgmt.changes.models import Change, Item

from .models import AppliedItem
from .rules import Drift, Proposal
from .rules import drift_of as drift_of_item

Live = dict[str, dict[str, dict[str, Any]]]
"""Images of live things, by `component` and `relation`, by key."""


@dataclass(frozen=True)
class Base:
    """The items of a change as values, the live things they are about, and the drift between: each row with the item that it is about."""

    proposals: list[Proposal]
    live: Live
    moved: list[tuple[Proposal, Drift]]

    @property
    def drift(self) -> list[Drift]:
        return [row for _, row in self.moved]


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
    live = live_of(chosen)
    waiting = [proposal for proposal in chosen if proposal.item_id not in applied]
    rows = [(proposal, row) for proposal in waiting for row in drift_of_item(proposal, live[proposal.object].get(proposal.key))]
    rows += [*_lost_ends(waiting, everything), *_new_relations(waiting, everything)]
    return Base(chosen, live, _blamed(rows, everything))


def live_of(proposals: Sequence[Proposal]) -> Live:
    """The live things that these items are about."""
    return {object: images(object, [proposal.key for proposal in proposals if proposal.object == object]) for object in OBJECTS}


def _lost_ends(waiting: Sequence[Proposal], everything: Sequence[Proposal]) -> list[tuple[Proposal, Drift]]:
    """New relations whose end is gone from the live architecture and not made by this change."""
    made = {(proposal.object, proposal.key) for proposal in everything if proposal.operation == CREATE}
    relations = [proposal for proposal in waiting if (proposal.operation, proposal.object) == (CREATE, RELATION)]
    new = [(proposal, image_after(proposal.as_operation(), None) or {}) for proposal in relations]
    wanted = {end for _, image in new for end in ends(image)} - made
    there = {(object, key) for object in OBJECTS for key in exists(object, [key for kind, key in wanted if kind == object])}
    return [
        (proposal, Drift(proposal.key, side, image[side], None, image[side]))
        for proposal, image in new
        for side, end in zip(("source", "target"), ends(image), strict=True)
        if end in wanted - there
    ]


def _new_relations(waiting: Sequence[Proposal], everything: Sequence[Proposal]) -> Iterable[tuple[Proposal, Drift]]:
    """Relations that came to something this change deletes, and that it does not delete."""
    gone = {(proposal.object, proposal.key) for proposal in everything if proposal.operation == DELETE}
    for object in OBJECTS:
        deletions = {(object, item.key): item for item in waiting if (item.operation, item.object) == (DELETE, object)}
        found = cascade([key for _, key in deletions], object=object)
        for relation in found.values():
            if (RELATION, relation.key) not in gone:
                yield from ((item, Drift(item.key, "relations", None, relation.key, None)) for item in _taking_away(relation, deletions, found))


def _taking_away(relation: Relation, deletions: Mapping[tuple[str, str], Proposal], found: Mapping[str, Relation]) -> list[Proposal]:
    """The deletion that takes an end of this relation away: of that end itself, or of what that end hangs on."""
    for end in ends(relation_image(relation)):
        if end in deletions:
            return [deletions[end]]
        if end[0] == RELATION and end[1] in found and (further := _taking_away(found[end[1]], deletions, found)):
            return further
    return []


def _blamed(rows: list[tuple[Proposal, Drift]], proposals: Sequence[Proposal]) -> list[tuple[Proposal, Drift]]:
    """The same rows with who moved them: the change, or the person who edited directly."""
    if not rows:
        return []
    movers = moved_since(min(proposal.base_revision for proposal in proposals))
    return [(item, replace(row, moved_by=mover(movers.get(row.key) or movers.get(str(row.live)) or movers.get("*")))) for item, row in rows]


def mover(revision: Revision | None) -> str:
    """Who made a revision: the number of the change, else the person."""
    return (revision.change or revision.actor) if revision else ""
