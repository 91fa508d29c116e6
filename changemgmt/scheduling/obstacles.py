"""What stands in the way of a change in some stretch of time: freezes, blackouts and other changes. Read once, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Count, Min, Q

from changemgmt.accounts.models import Team, User
from changemgmt.architecture.models import Component
from changemgmt.changes.facts import component_keys, direct_components, facts_of
from changemgmt.changes.models import Change, Item, Link, Reach, State
from changemgmt.changes.queries import visible_to
from changemgmt.conditions.rules import Facts, holds

from .models import Blackout, Freeze, MaintenanceWindow
from .recurrence import Pattern, Span, merged, occurrences
from .rules import Track

if TYPE_CHECKING:
    from django.db.models import QuerySet

HARD, SOFT = "hard", "soft"
HIDDEN = "a change you may not see"
BUSY = (State.SCHEDULED, State.IMPLEMENTING)
DONE = (State.IMPLEMENTED, State.CLOSED)
EVER = Span(datetime(1900, 1, 1, tzinfo=UTC), datetime(2900, 1, 1, tzinfo=UTC))
SEARCHED_AHEAD = timedelta(days=366)
# So close to another of their windows nobody is fresh.
REST = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that forbids (hard) or speaks against (soft) a span. `about` completes the sentence; `change` is the other change's row id."""

    kind: str
    severity: str
    name: str
    span: Span
    about: str = ""
    change: int | None = None
    shown: Span | None = None


class Other(NamedTuple):
    """What matters of another change."""

    pk: int
    number: str
    state: str
    start: datetime
    end: datetime
    confidential: bool


SPAN = ("pk", "name", "start", "end", "recurrence", "timezone", "scope")
OTHER = ("change_id", "change__number", "change__state", "change__planned_start", "change__planned_end", "change__confidential")


@dataclass(frozen=True, slots=True)
class Demand:
    """Components that may only be changed inside some maintenance windows, and when those are."""

    components: tuple[str, ...]
    windows: tuple[str, ...]
    open: Track


def shifted(moment: datetime, by: timedelta) -> datetime:
    """The moment so much later, or itself at the ends of the calendar."""
    try:
        return moment + by
    except OverflowError:
        return moment


class Surroundings:
    """Everything around one change between `earliest` and `latest`, as `viewer` may see it (None sees nothing confidential)."""

    def __init__(self, change: Change, earliest: datetime, latest: datetime, *, now: datetime, viewer: User | None = None) -> None:
        self.change, self.earliest, self.latest, self.now, self.viewer = change, earliest, latest, now, viewer

    @cached_property
    def facts(self) -> Facts:
        return facts_of(self.change)

    @cached_property
    def items(self) -> list[Item]:
        return list(self.change.items.all())

    @cached_property
    def obstacles(self) -> list[Obstacle]:
        """All of them, earliest first."""
        found = [*self.freezes(), *self.blackouts(), *self.others()]
        return sorted(found, key=lambda one: (one.span, one.kind, one.name))

    def upcoming(self, model: Any, *more: str) -> QuerySet[Any]:
        """Spans of a table that can happen between the two times, as named tuples: there can be thousands."""
        recurring = Q(end__gt=self.earliest) | ~Q(recurrence="")
        rows = model.objects.filter(recurring, start__lt=self.latest, removed_at__isnull=True)
        return rows.values_list(*SPAN, *more, named=True)

    def happening(self, row: Any) -> list[Span]:
        return occurrences(Pattern(row.start, row.end, row.recurrence, row.timezone), self.earliest, self.latest)

    # Freezes and blackouts

    def freezes(self) -> Iterator[Obstacle]:
        for freeze in self.upcoming(Freeze, "allowed_types", "reason"):
            if self.change.type not in freeze.allowed_types and holds(freeze.scope, self.facts):
                for span in merged(self.happening(freeze)):
                    yield Obstacle("freeze", HARD, freeze.name, span, freeze.reason)

    def blackouts(self) -> Iterator[Obstacle]:
        for row, span in self.blackout_spans:
            yield Obstacle("resource", SOFT, row.name, span, row.compliance_scope or row.owner)

    @cached_property
    def blackout_spans(self) -> list[tuple[Any, Span]]:
        """Blackouts of this change's compliance scopes, of the owners of its components, and of its implementers."""
        rows = [row for row in self.upcoming(Blackout, "compliance_scope", "owner") if holds(row.scope, self.facts)]
        owners = self.owners if any(row.owner for row in rows) else set()
        applying = [row for row in rows if row.owner in owners or row.compliance_scope in self.change.compliance_scope]
        return [(row, span) for row in applying for span in self.happening(row)]

    @cached_property
    def owners(self) -> set[str]:
        """Who owns a component it names or implements it; the teams of the implementers, too."""
        owners = set(Component.objects.filter(key__in=component_keys(self.items)).exclude(owner="").values_list("owner", flat=True))
        people = [user.username for user in self.implementers]
        teams = Team.objects.filter(members__in=[user.pk for user in self.implementers]).values_list("slug", flat=True) if people else ()
        return owners | set(people) | set(teams)

    # Other changes

    @cached_property
    def implementers(self) -> list[User]:
        return list(self.change.implementers.all())

    def busy(self, margin: timedelta = timedelta(0)) -> QuerySet[Change]:
        """Other changes with a window between the two times; one that runs late is there until it ends."""
        there = Q(planned_end__gt=shifted(self.earliest, -margin)) | Q(state=State.IMPLEMENTING)
        return Change.objects.filter(there, state__in=BUSY, planned_start__lt=shifted(self.latest, margin)).exclude(pk=self.change.pk).order_by()

    def others(self) -> Iterator[Obstacle]:
        """Each other change that stands in the way, once for each kind of conflict; one the viewer may not see once and without details."""
        found = [*self.same_component(), *self.same_person(), *self.wrong_order(), *self.same_reach()]
        hidden = self.hidden({other.pk for _, other in found if other.confidential})
        blind: dict[int, Obstacle] = {}
        writing = {other.pk for one, other in found if one.kind == "component"}
        for one, other in found:
            if other.pk in hidden:
                if other.pk not in blind or one.severity == HARD:
                    blind[other.pk] = replace(one, kind="resource", name=HIDDEN, about="")
            elif one.kind != "reach" or other.pk not in writing:
                yield one
        yield from blind.values()

    def hidden(self, confidential: Collection[int]) -> set[int]:
        if not confidential:
            return set()
        seen = visible_to(self.viewer).filter(pk__in=confidential).values_list("pk", flat=True) if self.viewer else ()
        return set(confidential) - set(seen)

    def span_of(self, other: Other) -> Span:
        """Its window; one that runs late lasts at least until now."""
        late = other.state == State.IMPLEMENTING and other.end < self.now
        return Span(other.start, self.now + timedelta(minutes=1) if late else other.end)

    def in_the_way(self, kind: str, severity: str, other: Other, about: str) -> tuple[Obstacle, Other]:
        span = self.span_of(other)
        return Obstacle(kind, severity, other.number, span, about, other.pk, span), other

    def same_component(self) -> Iterator[tuple[Obstacle, Other]]:
        """Changes that write a component or relation this one writes, or tie a relation to a component one of the two writes."""
        mine = Item.objects.filter(change=self.change)
        written = mine.filter(object=Item.Object.COMPONENT).values("key")
        relations = mine.filter(object=Item.Object.RELATION)
        alike = Q(object=Item.Object.COMPONENT, key__in=written) | Q(object=Item.Object.RELATION, key__in=relations.values("key"))
        alike |= Q(object=Item.Object.COMPONENT, key__in=relations.values("source")) | Q(
            object=Item.Object.COMPONENT, key__in=relations.values("target")
        )
        alike |= Q(source__in=written) | Q(target__in=written)
        rows = Item.objects.filter(alike, change__in=self.busy()).order_by("change_id", "key") if self.items else Item.objects.none()
        named, seen = component_keys(self.items) | {item.key for item in self.items}, set()
        for key, source, target, *columns in rows.values_list("key", "source", "target", *OTHER):
            other = Other(*columns)
            if other.pk not in seen:
                seen.add(other.pk)
                yield self.in_the_way("component", HARD, other, next((one for one in (key, source, target) if one in named), key))

    def same_person(self) -> Iterator[tuple[Obstacle, Other]]:
        """Changes that somebody who implements this one implements, too."""
        for username, other in {other.pk: (username, other) for username, other in self.engagements}.values():
            yield self.in_the_way("person", HARD, other, username)

    @cached_property
    def engagements(self) -> list[tuple[str, Other]]:
        """(username, other change) for every window, also shortly before and after, in which an implementer of this change is at work.

        Linked accounts are one person.
        """
        if not self.implementers:
            return []
        people = {user.pk: user.username for user in self.implementers}
        identities = {user.identity_id: user.username for user in self.implementers if user.identity_id}
        rows = Change.implementers.through.objects.filter(Q(user__in=people) | Q(user__identity__in=identities), change__in=self.busy(REST))
        found = rows.order_by("change_id", "user_id").values_list("user_id", "user__identity_id", *OTHER)
        return [(people.get(user) or identities[identity], Other(*columns)) for user, identity, *columns in found]

    def wrong_order(self) -> Iterator[tuple[Obstacle, Other]]:
        """Before the end of what this change depends on, and after the start of what depends on it, it can't run."""
        for other, before in self.dependencies:
            window = self.span_of(other) if other.state in BUSY and other.start else None
            if before and window and other.state not in DONE:
                about = "it has to be done before"
                yield Obstacle("dependency", HARD, other.number, Span(EVER.start, window.end), about, other.pk, window), other
            elif before and other.state not in DONE:
                yield Obstacle("dependency", SOFT, other.number, EVER, "it has to be done before, and has no window yet", other.pk), other
            elif not before and window:
                yield Obstacle("dependency", HARD, other.number, Span(window.start, EVER.end), "it waits for this change", other.pk, window), other

    @cached_property
    def dependencies(self) -> list[tuple[Other, bool]]:
        """Other changes and whether they have to end before this one starts (else they start after its end)."""
        kinds = (Link.Kind.DEPENDS_ON, Link.Kind.BLOCKS)
        mine = Link.objects.filter(change=self.change, kind__in=kinds, other__isnull=False)
        theirs = Link.objects.filter(other=self.change, kind__in=kinds)
        found = [
            (Other(*row[1:]), row[0] == Link.Kind.DEPENDS_ON)
            for row in mine.values_list("kind", *(name.replace("change", "other", 1) for name in OTHER))
        ]
        found += [(Other(*row[1:]), row[0] == Link.Kind.BLOCKS) for row in theirs.values_list("kind", *OTHER)]
        return list({other.pk: (other, before) for other, before in found}.values())

    def same_reach(self) -> Iterator[tuple[Obstacle, Other]]:
        """Changes whose consequences meet those of this one."""
        mine = Reach.objects.filter(change=self.change).values("key")
        rows = Reach.objects.filter(key__in=mine, change__in=self.busy()).order_by().values_list(*OTHER).annotate(Min("key"), Count("key"))
        for *columns, first, many in rows:
            yield self.in_the_way("reach", SOFT, Other(*columns), first if many == 1 else f"{first} and {many - 1} more")

    # Maintenance windows

    @cached_property
    def demands(self) -> list[Demand]:
        """For every set of components that maintenance windows cover: when those windows are open.

        A window with a scope makes its components demand one; a window without a scope is open to all and demands nothing.
        """
        windows = list(self.maintenance_windows)
        if not any(window.scope for window in windows):
            return []
        groups: dict[tuple[int, ...], list[str]] = {}
        for key, facts in self.facts_by_component():
            covering = [window for window in windows if holds(window.scope, facts)]
            if any(window.scope for window in covering):
                groups.setdefault(tuple(window.pk for window in covering), []).append(key)
        by_id = {window.pk: window for window in windows}
        return [self.demand(keys, [by_id[pk] for pk in covering]) for covering, keys in groups.items()]

    @cached_property
    def maintenance_windows(self) -> list[Any]:
        """All that are not removed, also those long past or far off: they are what makes a component demand one."""
        return list(MaintenanceWindow.objects.filter(removed_at__isnull=True).values_list(*SPAN, named=True))

    def demand(self, keys: Iterable[str], windows: list[Any]) -> Demand:
        spans = [span for window in windows for span in self.happening(window)]
        return Demand(tuple(sorted(key for key in keys if key)), tuple(window.name for window in windows), Track.of(spans))

    def facts_by_component(self) -> Iterator[tuple[str, Facts]]:
        """The facts narrowed to each component the items name; the whole facts where they name none."""
        direct = direct_components(self.items)
        if not direct:
            yield "", self.facts
        for entry in direct:
            environments = (entry["environment"],) if entry["environment"] else ()
            narrowed = replace(
                self.facts, components=(entry["key"],), layers=(entry["layer"],), component_types=(entry["type"],), environments=environments
            )
            yield entry["key"], narrowed
