"""The way back, before it is gone: what a revert would write, and what stands in its way. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from changemgmt.architecture.models import Revision
from changemgmt.architecture.queries import cascade, images, moved_since
from changemgmt.architecture.rules import COMPONENT, OBJECTS, RELATION, Image
from changemgmt.changes.models import Change

from .drift import mover
from .models import AppliedItem
from .rules import shown, taken_back


@dataclass(frozen=True)
class Undoing:
    """What a revert would write, and what stands in its way (sentences)."""

    rows: list[AppliedItem]
    steps: list[Image]
    problems: list[tuple[str, str, str]]
    """Key, sentence and who moved it."""


def undoing(change: Change, step: str | None = None) -> Undoing:
    """The inverse of everything applied (or of one step), newest first, computed from the images against what is live."""
    rows = list(AppliedItem.objects.filter(change=change, reverted_in=None, **({} if step is None else {"step": step})).order_by("-pk"))
    live = {object: images(object, [row.key for row in rows if row.object == object]) for object in OBJECTS}
    movers = moved_since(min((row.revision for row in rows), default=0)) if rows else {}
    steps, problems = [], []
    for row in rows:
        image, clashes = taken_back(row.object, row.key, row.before, row.after, live[row.object].get(row.key))
        steps.append(image)
        by = mover(movers.get(row.key) or movers.get("*"))
        problems += [
            (row.key, f"{row.key}: {clash.path} was {shown(clash.base)} after this change and is {shown(clash.live)} now", by) for clash in clashes
        ]
    problems += _attached(steps, movers)
    return Undoing(rows, steps, problems)


def _attached(steps: Sequence[Image], movers: Mapping[str, Revision]) -> list[tuple[str, str, str]]:
    """Relations that others added since to what the revert would take away."""
    gone = {(step.object, step.key) for step in steps if step.before and step.after is None}
    found = []
    for object in (COMPONENT, RELATION):
        for relation in cascade([key for kind, key in gone if kind == object], object=object).values():
            if (RELATION, relation.key) not in gone:
                found.append((relation.key, f"relation {relation.key} was added since to what would go", mover(movers.get(relation.key))))
    return found
