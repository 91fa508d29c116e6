"""What the calendar shows a person between two times: changes with a window, freezes, maintenance windows, and where they collide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

from django.db.models import Q
from django.db.models.functions import Coalesce

from changemgmt.architecture.models import Component
from changemgmt.changes.models import Change, Item, Reach, State
from changemgmt.changes.queries import visible_to
from changemgmt.conditions.rules import Facts, describe, holds, uses
from changemgmt.core.time import rfc3339

from .models import Freeze, MaintenanceWindow
from .obstacles import BUSY, HIDDEN
from .recurrence import Span, occurrences

if TYPE_CHECKING:
    from changemgmt.accounts.models import User

CHANGE, FREEZE, WINDOW = "change", "freeze", "window"
SHOWN = (State.SCHEDULED, State.IMPLEMENTING, State.IMPLEMENTED, State.FAILED, State.ROLLED_BACK, State.CLOSED)
MOST_SERVICES = 3
# Beyond so many nobody reads on, and pairs grow with the square.
MOST_CLASHES = 2_000
# What the calendar knows of a change without looking at each: freezes that ask for more show no conflict here, the guard of `schedule` sees them.
KNOWN_FACTS = {"type", "category", "priority", "risk_level", "urgency", "impact", "org_unit", "template", "components", "tags", "compliance_scope"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the calendar. `number` is a change's number or the id of a freeze or window."""

    kind: str
    number: str
    title: str
    start: datetime
    end: datetime
    type: str = ""
    state: str = ""
    services: tuple[str, ...] = ()
    scope: dict[str, Any] = field(default_factory=dict)
    updated_at: datetime | None = None
    version: int = 0
    conflict: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        shape = {"kind": self.kind, "number": self.number, "title": self.title, "start": rfc3339(self.start), "end": rfc3339(self.end)}
        return shape | {"type": self.type or None, "state": self.state or None, "services": list(self.services), "conflict": self.conflict}


@dataclass(frozen=True, slots=True)
class Clash:
    """Two changes, or a change and a freeze, that can't both be. `numbers` are those the person may see."""

    kind: str
    numbers: tuple[str, ...]
    about: str
    start: datetime
    end: datetime


def calendar_entries(user: User, start: datetime, end: datetime) -> list[Entry]:
    """Everything this person may see between the two times, earliest first, conflicts marked."""
    changes = change_entries(user, start, end)
    marked = {number for clash in clashes_of(user, start, end) for number in clash.numbers}
    found = [replace(entry, conflict=entry.number in marked) for entry in changes]
    found += [*span_entries(Freeze, FREEZE, start, end), *span_entries(MaintenanceWindow, WINDOW, start, end)]
    return sorted(found, key=lambda entry: (entry.start, entry.kind, entry.number))


def change_entries(user: User, start: datetime, end: datetime) -> list[Entry]:
    rows = list(
        visible_to(user)
        .filter(state__in=SHOWN)
        .annotate(begins=Coalesce("planned_start", "actual_start"), ends=Coalesce("planned_end", "actual_end"))
        .filter(begins__lt=end, ends__gt=start)
        .order_by("begins", "pk")
        .values_list("pk", "number", "title", "begins", "ends", "type", "state", "updated_at", "version")
    )
    services = services_of(user, start, end)
    return [
        Entry(CHANGE, number, title, begins, ends, type, state, services.get(pk, ()), updated_at=updated, version=version)
        for pk, number, title, begins, ends, type, state, updated, version in rows
    ]


def within(user: User, start: datetime, end: datetime) -> Any:
    """The visible changes with a window there, as a subquery."""
    windows = Q(planned_start__lt=end, planned_end__gt=start) | Q(planned_start__isnull=True, actual_start__lt=end, actual_end__gt=start)
    return visible_to(user).filter(windows, state__in=SHOWN).order_by().values("pk")


def services_of(user: User, start: datetime, end: datetime) -> dict[int, tuple[str, ...]]:
    """Names of the services each change names or reaches, strongest first; of the components it names where it reaches none."""
    changes = within(user, start, end)
    named: dict[int, list[str]] = defaultdict(list)
    for pk, key in Item.objects.filter(change__in=changes, object=Item.Object.COMPONENT).order_by("pk").values_list("change_id", "key"):
        named[pk].append(key)
    serving: dict[int, list[str]] = defaultdict(list)
    services = Component.objects.filter(type__is_service=True)
    reach = Reach.objects.filter(change__in=changes, key__in=services.values("key")).order_by("-direct", "-score", "key")
    for pk, key in reach.values_list("change_id", "key"):
        serving[pk].append(key)
    keys = {pk: (serving.get(pk) or named.get(pk, []))[:MOST_SERVICES] for pk in serving.keys() | named.keys()}
    items = Item.objects.filter(change__in=changes).values("key")
    reached = Reach.objects.filter(change__in=changes).values("key")
    known = Component.objects.filter(Q(key__in=items) | Q(type__is_service=True, key__in=reached))
    names = dict(known.values_list("key", "name"))
    return {pk: tuple(dict.fromkeys(names.get(key) or key for key in found)) for pk, found in keys.items()}


def span_entries(model: Any, kind: str, start: datetime, end: datetime) -> Iterator[Entry]:
    rows = model.objects.filter(Q(end__gt=start) | ~Q(recurrence=""), start__lt=end, removed_at__isnull=True)
    for row in rows:
        for span in occurrences(row.pattern, start, end):
            covers = () if not row.scope else (describe(row.scope),)
            yield Entry(kind, str(row.pk), row.name, span.start, span.end, services=covers, scope=row.scope)


# Collisions


def clashes_of(user: User, start: datetime, end: datetime) -> list[Clash]:
    """Hard conflicts among the changes that are scheduled or running there: same component, same implementer, or in a freeze."""
    busy = Change.objects.filter(state__in=BUSY, planned_start__lt=end, planned_end__gt=start).order_by("planned_start", "pk")
    rows = {
        change.pk: change for change in busy.defer("description", "implementation_plan", "test_plan", "communication_plan", "rollback_plan", "review")
    }
    if not rows:
        return []
    seen = set(visible_to(user).filter(pk__in=busy.order_by().values("pk")).values_list("pk", flat=True))
    items = Item.objects.filter(change__in=busy.order_by().values("pk"), object=Item.Object.COMPONENT).values_list("key", "change_id")
    people = Change.implementers.through.objects.filter(change__in=busy.order_by().values("pk")).values_list("user__username", "change_id")
    components: dict[int, list[str]] = defaultdict(list)
    for key, pk in items:
        components[pk].append(key)
    meeting = [islice(pairs(kind, holders, rows, seen), MOST_CLASHES) for kind, holders in (("component", items), ("person", people))]
    found = [*chain.from_iterable(meeting), *frozen(rows, seen, components, start, end)]
    return sorted(found, key=lambda clash: (clash.start, clash.numbers))


def pairs(kind: str, holders: Iterable[tuple[str, int]], rows: dict[int, Change], seen: set[int]) -> Iterator[Clash]:
    """Changes that hold the same thing at the same time, each pair once per kind; pairs of which the person sees neither are left out."""
    by_thing: dict[str, list[Change]] = defaultdict(list)
    for thing, pk in holders:
        by_thing[thing].append(rows[pk])
    told: set[tuple[int, int]] = set()
    for thing, changes in sorted(by_thing.items()):
        changes.sort(key=lambda change: (window_of(change), change.pk))
        for index, first in enumerate(changes):
            for second in changes[index + 1 :]:
                if window_of(second).start >= window_of(first).end:
                    break
                pair = (first.pk, second.pk)
                if pair not in told and not seen.isdisjoint(pair):
                    told.add(pair)
                    yield clash(kind, thing, (first, second), seen)


def window_of(change: Change) -> Span:
    """The planned window of a change that was found by having one."""
    return Span(cast("datetime", change.planned_start), cast("datetime", change.planned_end))


def clash(kind: str, thing: str, pair: tuple[Change, Change], seen: set[int]) -> Clash:
    """The two as the person may see them; of a pair with a hidden one only the time is told."""
    hidden = any(change.pk not in seen for change in pair)
    numbers = tuple(change.number if change.pk in seen else HIDDEN for change in pair)
    start, end = max(window_of(change).start for change in pair), min(window_of(change).end for change in pair)
    return Clash("resource" if hidden else kind, numbers, "" if hidden else thing, start, end)


def frozen(rows: dict[int, Change], seen: set[int], components: dict[int, list[str]], start: datetime, end: datetime) -> Iterator[Clash]:
    """Changes that are scheduled in a freeze that came later."""
    freezes = Freeze.objects.filter(Q(end__gt=start) | ~Q(recurrence=""), start__lt=end, removed_at__isnull=True)
    holding = [(freeze, occurrences(freeze.pattern, start, end)) for freeze in freezes if uses(freeze.scope) <= KNOWN_FACTS]
    for change in rows.values() if holding else ():
        if change.pk not in seen:
            continue
        span = window_of(change)
        for freeze, spans in holding:
            met = next((one for one in spans if one.overlaps(*span)), None)
            if met and change.type not in freeze.allowed_types and holds(freeze.scope, light_facts(change, components.get(change.pk, []))):
                yield Clash(FREEZE, (change.number,), freeze.name, max(met.start, span.start), min(met.end, span.end))


def light_facts(change: Change, components: list[str]) -> Facts:
    """The facts that `KNOWN_FACTS` names, from the row alone."""
    return Facts(
        type=change.type, category=change.category_id, priority=change.priority, risk_level=change.risk_level, urgency=change.urgency, impact=change.impact,
        org_unit=change.org_unit_id, template=change.template_id, components=tuple(components), tags=tuple(change.tags),
        compliance_scope=tuple(change.compliance_scope),
    )  # fmt: skip
