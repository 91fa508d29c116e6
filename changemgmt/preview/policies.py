"""The rules administrators added, over what a change would make of the architecture, and over what is. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count

from changemgmt.accounts.models import OrgUnit
from changemgmt.architecture.models import ComponentType, Layer, Relation, RelationType
from changemgmt.architecture.queries import images, portions, relation_image, relations_at
from changemgmt.architecture.rules import COMPONENT, CREATE, DELETE, RELATION, UPDATE, Image, ends

from .checks import Check
from .models import PolicyRule
from .policy import Case, Policy, findings
from .policy_fields import COUNTED, Names, Side, counts_asked
from .rules import same

Thing = tuple[str, str]
Overlay = Mapping[Thing, dict[str, Any] | None]


def as_policy(row: PolicyRule) -> Policy:
    """A row as the pure rules take it."""
    return Policy(row.name, row.about, row.applies_when, row.must, row.severity, row.blocks, row.reached, row.message, row.pk)


def active_policies(**only: Any) -> list[Policy]:
    """The rules that hold now, by name."""
    return [as_policy(row) for row in PolicyRule.objects.filter(active=True, **only)]


def names_there() -> Names:
    """The layers and types rules can be about."""
    return Names(*(tuple(model.objects.order_by("name").values_list("name", flat=True)) for model in (Layer, ComponentType, RelationType)))


def policy_findings(
    policies: Sequence[Policy], steps: Sequence[Image], affected: Iterable[Mapping[str, Any]], base: Sequence[Image] = ()
) -> list[Check]:
    """What the rules find in what `steps` touch and `affected` names (with its effect). The cost follows the change and its reach.

    `base` is what others make of the architecture before; what is found with it alone is found already.
    """
    return findings(policies, _Cases(policies, steps, affected, base).all()) if policies else []


def lines_of_units() -> dict[str, tuple[str, ...]]:
    """Each org unit with those above it, nearest first."""
    above = dict(OrgUnit.objects.values_list("slug", "parent__slug"))
    found = {}
    for slug in above:
        line = [slug]
        while (parent := above.get(line[-1])) and parent not in line:
            line.append(parent)
        found[slug] = tuple(line)
    return found


@dataclass
class World:
    """The live architecture with an overlay, as far as it was read."""

    overlay: Overlay
    live: Mapping[Thing, dict[str, Any]]
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def at(self, thing: Thing) -> dict[str, Any] | None:
        return self.overlay[thing] if thing in self.overlay else self.live.get(thing)

    def side(self, thing: Thing, *, operation: str | None = None, effect: str | None = None) -> Side | None:
        """The thing as conditions ask for it; None where it is not there."""
        image = self.at(thing)
        if image is None:
            return None
        if thing[0] == COMPONENT:
            return Side(COMPONENT, image, operation, effect, counts=self.counts.get(thing[1], {}), lines=self.lines)
        sides = {name: self.at(end) for name, end in zip(("source", "target"), ends(image), strict=True) if end[0] == COMPONENT}
        return Side(RELATION, image, operation, ends=sides, lines=self.lines)


def counted(live: Mapping[str, Mapping[str, int]], overlay: Overlay, before: Mapping[Thing, dict[str, Any]]) -> dict[str, Counter[str]]:
    """Numbers of relations by component, with what the overlay takes away and adds."""
    found = {key: Counter(counts) for key, counts in live.items()}
    for thing, after in overlay.items():
        for image, step in ((before.get(thing), -1), (after, 1)) if thing[0] == RELATION else ():
            for key, name in ties(image) if image and not image.get("refuted_at") else ():
                found.setdefault(key, Counter())[name] += step
    return found


def ties(image: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a relation counts as, at each of its components."""
    return [(key, f"{way}.{image['type']}") for way, (kind, key) in zip(COUNTED, ends(image), strict=True) if kind == COMPONENT]


def live_counts(keys: Iterable[str] | None) -> dict[str, dict[str, int]]:
    """Numbers of relations by component, such as `outgoing.serving`; refuted ones do not count. None: of all components."""
    found: dict[str, dict[str, int]] = {}
    for way, side in zip(COUNTED, ("source", "target"), strict=True):
        there = Relation.objects.filter(refuted_at=None).order_by()
        for portion in portions(sorted(keys)) if keys is not None else [None]:
            rows = there.exclude(**{side: None}) if portion is None else there.filter(**{f"{side}__key__in": portion})
            for key, name, count in rows.values_list(f"{side}__key", "type__name").annotate(count=Count("pk")):
                found.setdefault(key, {})[f"{way}.{name}"] = count
    return found


class _Cases:
    """What a change touches and reaches, before and after it."""

    def __init__(self, policies: Sequence[Policy], steps: Sequence[Image], affected: Iterable[Mapping[str, Any]], base: Sequence[Image]) -> None:
        self.asked = {policy.about for policy in policies}
        self.live: dict[Thing, dict[str, Any]] = {(step.object, step.key): step.before for step in (*steps, *base) if step.before}
        self.late, self.early = ({(step.object, step.key): step.after for step in part} for part in (steps, base))
        self.effects = {row["key"]: row["effect"] for row in affected}
        self.written = sorted(thing for thing in self.late.keys() | self.early.keys() if not same(self._early(thing), self._late(thing)))
        self.relations = {thing for thing in self.written if thing[0] == RELATION}
        self.touched = {key for kind, key in self.written if kind == COMPONENT} | self._ends_of(self.relations)
        if RELATION in self.asked:
            self.relations |= self._relations_that_stay()
        self.components = self.touched | (self.effects.keys() if any(policy.reached for policy in policies) else set())
        self._read(self.components | self._ends_of(self.relations))
        count = any(counts_asked(policy.asks) for policy in policies)
        counts = live_counts(self.components) if count else {}
        lines = lines_of_units()
        before = {thing: image for thing, image in self.live.items() if thing[0] == RELATION}
        self.before, self.after = (
            World(overlay, self.live, counted(counts, overlay, before) if count else {}, lines) for overlay in (self.early, self.late)
        )

    def all(self) -> list[Case]:
        """Every case, in the order of the keys."""
        cases = [self._case((COMPONENT, key)) for key in sorted(self.components)] if COMPONENT in self.asked else []
        cases += [self._case(thing) for thing in sorted(self.relations)] if RELATION in self.asked else []
        return [case for case in cases if case is not None]

    def _case(self, thing: Thing) -> Case | None:
        before = self.before.side(thing)
        operation = self._operation(thing)
        world = self.before if operation == DELETE else self.after
        after = world.side(thing, operation=operation, effect=self.effects.get(thing[1]) if thing[0] == COMPONENT else None)
        return None if after is None else Case(thing[1], before, after, touched=thing[0] == RELATION or thing[1] in self.touched)

    def _operation(self, thing: Thing) -> str | None:
        one, two = self.before.at(thing), self.after.at(thing)
        if same(one, two):
            return None
        return CREATE if one is None else DELETE if two is None else UPDATE

    def _early(self, thing: Thing) -> dict[str, Any] | None:
        return self.early[thing] if thing in self.early else self.live.get(thing)

    def _late(self, thing: Thing) -> dict[str, Any] | None:
        return self.late[thing] if thing in self.late else self.live.get(thing)

    def _ends_of(self, relations: Iterable[Thing]) -> set[str]:
        sides = (image for thing in relations for image in (self._early(thing), self._late(thing)) if image)
        return {key for image in sides for kind, key in ends(image) if kind == COMPONENT}

    def _relations_that_stay(self) -> set[Thing]:
        """Those at components that are written: what these become may not suit them. Those others would add are among the steps."""
        keys = sorted(key for kind, key in self.written if kind == COMPONENT)
        rows = (row for portion in portions(keys) for row in relations_at(portion).filter(refuted_at=None))
        found = {(RELATION, row.key): relation_image(row) for row in rows}
        self.live = found | self.live
        made = {thing for thing, image in self.late.items() if thing[0] == RELATION and image and {key for _, key in ends(image)} & set(keys)}
        return found.keys() | made

    def _read(self, keys: Iterable[str]) -> None:
        """The images of components that are not written."""
        wanted = {key for key in keys if (COMPONENT, key) not in self.live}
        self.live |= {(COMPONENT, key): image for key, image in images(COMPONENT, wanted).items()}
