"""A change on top of what is approved and not done yet: does it still fit, and what would be wrong only because of the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models.functions import Coalesce

from changemgmt.accounts.models import User
from changemgmt.architecture.catalogue import Catalogue
from changemgmt.architecture.effects import effects
from changemgmt.architecture.graph import Graph, Rule
from changemgmt.architecture.graphs import live
from changemgmt.architecture.queries import architecture_token, images
from changemgmt.architecture.rules import COMPONENT, OBJECTS, Image
from changemgmt.changes.models import APPROVED, Change, Item, Reach, State
from changemgmt.changes.queries import visible_to
from changemgmt.computations.kept import kept

from .checks import Check, check, checks_of, in_order
from .compute import overlay_of
from .drift import proposal_of
from .models import AppliedItem
from .policies import active_policies, policy_findings
from .queries import HIDDEN
from .rules import Proposal
from .stacking import Stack, conflicts

PENDING = (*APPROVED, State.SCHEDULED, State.IMPLEMENTING)
MOST = 200
"""So many pending changes are laid underneath, the earliest first."""


def stacked_preview(change: Change, viewer: User) -> dict[str, Any]:
    """What a change meets once all that is approved near it is done before it, in calendar order. Computed when it is asked,
    and kept for a while for the same changes on the same architecture.

    `conflicts` are rows of drift whose `moved_by` is a pending change; `checks` are those the change brings on top of them, each with
    `alone`: whether it brings it to the live architecture, too. Of changes the viewer may not see nothing is said but that there are some.
    """
    below = pending_near(change)
    seen = set(visible_to(viewer).filter(pk__in=[row.pk for row in below]).values_list("number", flat=True))
    about = {"change": _as_it_is(change), "below": [_as_it_is(row) for row in below], "seen": seen, "architecture": architecture_token()}
    found: dict[str, Any] = kept("stacked", about, lambda: _laid(change, below, seen))
    return found | {"below": [row | {"start": row["start"] and datetime.fromisoformat(row["start"])} for row in found["below"]]}


def _as_it_is(change: Change) -> list[Any]:
    """What of a change a stack depends on: what it does, when, and in what order it is shown."""
    return [change.number, change.etag, change.state, change.title, change.planned_start or change.requested_start]


def _laid(change: Change, below: Sequence[Change], seen: set[str]) -> dict[str, Any]:
    """The change on top of those below it. What is applied already is in the architecture, and so in its token."""
    proposals = proposals_of([*below, change])
    mine = proposals.pop(change.pk, [])
    ground = _Ground(below, proposals, mine, reach=list(change.reach.filter(direct=False, score__gt=0).values_list("key", flat=True)))
    found = conflicts(ground.stack(), mine)
    brought, brought_seen = ground.brought(mine), ground.brought(mine, only=seen)
    alone = ground.brought(mine, only=set())
    # What comes of changes the viewer may not see is not shown, be it by a value, a place, or a finding: only that there is something.
    open_ = conflicts(ground.stack(only=seen), mine)
    hidden = any(row not in open_ for row in found)
    return {
        "state": "conflict" if found else "ready",
        "revision": ground.graph.revision,
        "below": [_shown(row, seen) for row in below[:MOST]],
        "left_out": max(0, len(below) - MOST),
        "conflicts": [*(row.as_dict() for row in open_), *([NOT_SHOWN] if hidden else [])],
        "checks": [
            *(row | {"alone": row in alone} for row in brought if row in brought_seen),
            *_veiled(row for row in brought if row not in brought_seen),
        ],
    }


def pending_near(change: Change) -> list[Change]:
    """The approved changes not done yet whose reach meets this one's, or that of one of those, in calendar order."""
    waiting = Change.objects.filter(state__in=PENDING, imported=False).exclude(pk=change.pk)
    found: set[int] = set()
    newest = {change.pk}
    while newest:
        keys = Reach.objects.filter(change__in=newest).values("key")
        met = set(Reach.objects.filter(key__in=keys, change__in=waiting).values_list("change", flat=True).distinct())
        newest = met - found
        found |= newest
    begins = Coalesce("planned_start", "requested_start")
    return list(Change.objects.filter(pk__in=found).order_by(begins.asc(nulls_last=True), "number"))


def proposals_of(changes: Sequence[Change]) -> dict[int, list[Proposal]]:
    """The items of these changes that are not applied, by change, in their order."""
    applied = set(AppliedItem.objects.filter(change__in=changes, reverted_in=None).values_list("change", "item_id"))
    found: dict[int, list[Proposal]] = defaultdict(list)
    for item in Item.objects.filter(change__in=changes).order_by("change", "position", "pk"):
        if (item.change_id, item.pk) not in applied:
            found[item.change_id].append(proposal_of(item))
    return found


class _Ground:
    """What the change is laid on, read once: the live things, and what the pending changes would make of them."""

    def __init__(self, below: Sequence[Change], proposals: dict[int, list[Proposal]], mine: Sequence[Proposal], reach: Sequence[str] = ()) -> None:
        self.reach, self.policies = reach, active_policies()
        self.below = [(row.number, proposals.get(row.pk, [])) for row in below[:MOST]]
        ground = live()
        self.catalogue, self.rules, self.graph = Catalogue.load(), ground.rules, ground.graph
        everything = [*mine, *(proposal for _, listed in self.below for proposal in listed)]
        self.live = {
            (object, key): image
            for object in OBJECTS
            for key, image in images(object, [proposal.key for proposal in everything if proposal.object == object]).items()
        }

    def stack(self, only: set[str] | None = None) -> Stack:
        """The pending changes one over the other; those named in `only`, or all."""
        stack = Stack(self.live, self.catalogue.completed)
        for number, listed in self.below:
            if only is None or number in only:
                stack.put(number, listed)
        return stack

    def brought(self, mine: Sequence[Proposal], only: set[str] | None = None) -> list[Check]:
        """The findings that are there with the change on top, and not without it."""
        stack = self.stack(only)
        base = stack.images()
        hit_before = hit(base, self.graph, self.rules)
        before = self.findings(base, hit_before)
        stack.put("", mine)
        steps = stack.images()
        hit_after = hit(steps, self.graph, self.rules)
        found = [row for row in self.findings(steps, hit_after) if row not in before]
        touched = [{"key": key, "effect": "touched"} for key in self.reach if key not in {row["key"] for row in hit_after}]
        affected = [*(row for row in hit_after if row not in hit_before), *touched]
        return in_order([*found, *(row for row in policy_findings(self.policies, steps, affected, base) if not row["already"])])

    def findings(self, steps: list[Image], affected: list[dict[str, Any]]) -> list[Check]:
        return checks_of(steps, affected, self.catalogue, self.rules, self.graph) if steps else []


def hit(steps: Sequence[Image], graph: Graph, rules: dict[str, Rule]) -> list[dict[str, Any]]:
    """The components that would be down or degraded, as the checks take them."""
    needs = {step.key: step.after["needs"] for step in steps if step.object == COMPONENT and step.after}
    return [{"key": key, "effect": effect} for key, effect in sorted(effects(graph, rules, overlay_of(steps, graph), needs).items())]


def _shown(row: Change, seen: set[str]) -> dict[str, Any]:
    if row.number not in seen:
        return {"number": HIDDEN, "title": "", "state": "", "start": None}
    return {"number": row.number, "title": row.title, "state": row.state, "start": row.planned_start or row.requested_start}


NOT_SHOWN = {"key": None, "field": None, "base": None, "live": None, "proposed": None, "moved_by": HIDDEN, "conflict": True}
"""What is said of a conflict with a change the viewer may not see."""


def _veiled(rows: Iterable[Check]) -> list[Check]:
    """Findings that are there only because of a change the viewer may not see: that there are errors, and that there are warnings."""
    words = "It would not hold together with a change you may not see."
    return [check("with_others", severity, "", words) | {"key": None, "alone": False} for severity in sorted({row["severity"] for row in rows})]
