"""Changes one over the other: how things would be once others are done as well, and where one more does not fit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from changemgmt.architecture.rules import COMPONENT, CREATE, DELETE, RELATION, Image, ends, image_after

from .rules import Drift, Proposal, drift_of, overlaid, overlap, same, written_fields

Key = tuple[str, str]
"""A thing: `component` or `relation`, and its key."""


@dataclass
class Stack:
    """Things as they are live, and as they would be once the changes that were put on are done.

    `live` has to hold every thing the changes are about that is there. `completed` fills in what a new component leaves unsaid.
    """

    live: Mapping[Key, dict[str, Any]]
    completed: Callable[[dict[str, Any]], dict[str, Any]] = dict
    now: dict[Key, dict[str, Any] | None] = field(default_factory=dict)
    writers: dict[Key, list[tuple[str, set[str] | None]]] = field(default_factory=dict)

    def at(self, thing: Key) -> dict[str, Any] | None:
        """The thing as it would be."""
        return self.now[thing] if thing in self.now else self.live.get(thing)

    def put(self, number: str, proposals: Iterable[Proposal]) -> None:
        """One change more, after those before it."""
        for proposal in proposals:
            thing = (proposal.object, proposal.key)
            after = overlaid(proposal, self.at(thing)).after
            self.now[thing] = self.completed(after) if after is not None and proposal.object == COMPONENT else after
            self.writers.setdefault(thing, []).append((number, written_fields(proposal.operation, proposal.object, proposal.data)))

    def images(self) -> list[Image]:
        """What is different from the live architecture, a thing at a time, in key order."""
        moved = ((thing, self.live.get(thing), after) for thing, after in sorted(self.now.items(), key=lambda entry: entry[0]))
        return [Image(*thing, before, after) for thing, before, after in moved if not same(before, after)]

    def last_writer(self, thing: Key, path: str = "") -> str:
        """The change that wrote this field of the thing last; empty when none did. Without a path, any field."""
        fields = {path} if path and path != "existence" else None
        return next((number for number, written in reversed(self.writers.get(thing, [])) if overlap(written, fields)), "")


def conflicts(stack: Stack, proposals: Iterable[Proposal]) -> list[Drift]:
    """Where a change does not fit on the stack: fields others would have moved, ends that would be gone, relations that would hang on
    what it takes away. What moved in the live architecture already is not among them: that is its drift."""
    mine = list(proposals)
    found = [*_fields(stack, mine), *_lost_ends(stack, mine), *_new_relations(stack, mine)]
    return sorted(found, key=lambda row: (row.key, row.field, str(row.live)))


def _fields(stack: Stack, mine: Iterable[Proposal]) -> Iterable[Drift]:
    for proposal in mine:
        thing = (proposal.object, proposal.key)
        for row in drift_of(proposal, stack.at(thing)) if thing in stack.writers else ():
            if row.conflict and (by := stack.last_writer(thing, row.field)):
                yield replace(row, moved_by=by)


def _lost_ends(stack: Stack, mine: list[Proposal]) -> Iterable[Drift]:
    made = {(proposal.object, proposal.key) for proposal in mine if proposal.operation == CREATE}
    for proposal in mine:
        if (proposal.operation, proposal.object) != (CREATE, RELATION):
            continue
        image = image_after(proposal.as_operation(), None) or {}
        for side, end in zip(("source", "target"), ends(image), strict=True):
            if end not in made and end in stack.now and stack.now[end] is None and end in stack.live:
                yield Drift(proposal.key, side, image[side], None, image[side], stack.last_writer(end))


def _new_relations(stack: Stack, mine: list[Proposal]) -> Iterable[Drift]:
    gone = {(proposal.object, proposal.key) for proposal in mine if proposal.operation == DELETE}
    for thing, after in stack.now.items():
        if thing[0] == RELATION and after is not None and thing not in stack.live and thing not in gone:
            for end in ends(after):
                if end in gone:
                    yield Drift(end[1], "relations", None, thing[1], None, stack.last_writer(thing))
