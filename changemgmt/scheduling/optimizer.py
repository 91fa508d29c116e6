"""What the optimizer weighs, read for one change: its calendar, how alike changes went, who is free, what is settled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from changemgmt.accounts.queries import unit_chain
from changemgmt.assessment.queries import GOOD, similar_to

from .models import BusinessCalendar
from .obstacles import DONE, HARD, REST, Surroundings
from .recurrence import Span
from .rules import UNKNOWN, Hours, Search, Slot, Track, seasons_of, slot_of

if TYPE_CHECKING:
    from changemgmt.changes.models import Change

REMEMBERED = 1_000


def search_of(around: Surroundings, duration: timedelta) -> Search:
    """The surroundings as the optimizer takes them."""
    hours = hours_of(around)
    return Search(
        around.earliest,
        around.latest,
        duration,
        hours,
        forbidden=Track.of(one.span for one in around.obstacles if one.severity == HARD),
        required=tuple(demand.open for demand in around.demands),
        compliance_blackouts=compliance_tracks(around),
        historical=history_of(around.change, hours),
        resources=resources_of(around),
        coordination=coordination_of(around),
    )


def hours_of(around: Surroundings) -> Hours:
    """The calendar of a service it reaches, else of the nearest org unit that has one, else the default one."""
    units = [unit.pk for unit in unit_chain(around.change.org_unit)] if around.change.org_unit_id else []
    calendars = list(BusinessCalendar.objects.all())
    ranked = [calendar for calendar in calendars if calendar.service and calendar.service in around.facts.services]
    ranked += [calendar for unit in units for calendar in calendars if calendar.org_unit_id == unit and not calendar.service]
    ranked += [calendar for calendar in calendars if calendar.is_default]
    return as_hours(ranked[0]) if ranked else Hours()


def as_hours(calendar: BusinessCalendar) -> Hours:
    return Hours(
        calendar.timezone,
        calendar.business_start,
        calendar.business_end,
        frozenset(calendar.operational_days),
        calendar.peak_start,
        calendar.peak_end,
        seasons_of(calendar.peak_seasons) or (),
        public_holidays(calendar.country),
    )


def public_holidays(country: str) -> Container[date]:
    """Whether a day is a public holiday of the country (two letters); none where no country is named."""
    if not country:
        return frozenset()
    from holidays import country_holidays  # a fifth of a second that only calendars with a country need

    return country_holidays(country)


def compliance_tracks(around: Surroundings) -> tuple[Track, ...]:
    """One track for each compliance scope of the change that has a blackout."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for row, span in around.blackout_spans:
        if row.compliance_scope in around.change.compliance_scope:
            spans[row.compliance_scope].append(span)
    return tuple(Track.of(found) for found in spans.values())


def history_of(change: Change, hours: Hours) -> Callable[[Slot], float]:
    """How similar changes went (0 to 100) that ran in such a part of the day and week."""
    zone, tally = hours.zone(), defaultdict(list)
    for result, planned, actual in similar_to(change).order_by("-pk").values_list("result", "planned_start", "actual_start")[:REMEMBERED]:
        if start := actual or planned:
            tally[alike(slot_of(start.astimezone(zone), hours))].append(result in GOOD)
    rates = {kind: 100 * sum(results) / len(results) for kind, results in tally.items()}
    return lambda slot: rates.get(alike(slot), UNKNOWN)


def alike(slot: Slot) -> tuple[int, bool]:
    return slot.hour_score, slot.weekend


def resources_of(around: Surroundings) -> Callable[[datetime, datetime], float]:
    """How free the implementers are: 100, or 50 within four hours of another window of theirs, or 0 in their own blackout."""
    people = [user.username for user in around.implementers]
    near: dict[str, list[Span]] = defaultdict(list)
    for username, other in around.engagements:
        span = around.span_of(other)
        near[username].append(Span(span.start - REST, span.end + REST))
    away: dict[str, list[Span]] = defaultdict(list)
    for row, span in around.blackout_spans:
        away[row.owner].append(span)
    tracks = [(Track.of(near[name]), Track.of(away[name])) for name in people]

    def free(start: datetime, end: datetime) -> float:
        shares = [0.0 if gone.touches(start, end) else 50.0 if close.touches(start, end) else 100.0 for close, gone in tracks]
        return sum(shares) / len(shares) if shares else UNKNOWN

    return free


def coordination_of(around: Surroundings) -> Callable[[datetime, datetime], float]:
    """How far what it depends on is settled: done, or planned to end before, 100; without a window 50."""
    waits = [other for other, before in around.dependencies if before]
    values = [100.0 if other.state in DONE or other.start else UNKNOWN for other in waits]
    settled = sum(values) / len(values) if values else UNKNOWN
    return lambda start, end: settled
