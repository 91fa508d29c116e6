"""Which windows are free, and which of them are good. Pure; all times aware and in UTC."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from changemgmt.conditions.rules import check
from changemgmt.scheduling.recurrence import Span, merged, mistake_in, zone_named

GRANULARITY = timedelta(minutes=15)
SLOT = timedelta(minutes=15)
EVENING_ENDS = 20
UNKNOWN = 50.0
LONGEST_SEARCH = timedelta(days=100)
NO_BUSINESS, EVENING, BUSINESS = 5, 15, 30
WEEKDAY, WEEKEND, PEAK_SEASON, SERVICE_PEAK = 20, 5, 25, 35
BLACKOUT_PENALTY = 25


@dataclass(frozen=True, slots=True)
class Hours:
    """A business calendar: hours of a zone, the days on which changes may run (Monday is 0), and what counts as peak.

    `peak_seasons` are pairs of (month, day), both included; a season may run over the end of the year.
    On public holidays nobody works: they weigh like a weekend night and day.
    """

    timezone: str = "UTC"
    business_start: int = 9
    business_end: int = 17
    operational_days: frozenset[int] = frozenset(range(7))
    peak_start: int | None = None
    peak_end: int | None = None
    peak_seasons: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    holidays: Container[date] = frozenset()

    def zone(self) -> ZoneInfo:
        return zone_named(self.timezone) or ZoneInfo("UTC")

    def hour_score(self, hour: int) -> int:
        """Business hours 30, the evening up to 20 o'clock 15, all other hours 5."""
        if self.business_start <= hour < self.business_end:
            return BUSINESS
        return EVENING if self.business_end <= hour < EVENING_ENDS else NO_BUSINESS

    def in_season(self, day: date) -> bool:
        return any(in_season((day.month, day.day), first, last) for first, last in self.peak_seasons)

    def in_peak(self, hour: int) -> bool:
        return self.peak_start is not None and self.peak_end is not None and self.peak_start <= hour < self.peak_end


def in_season(day: tuple[int, int], first: tuple[int, int], last: tuple[int, int]) -> bool:
    return first <= day <= last if first <= last else day >= first or day <= last


def local_slots(start: datetime, end: datetime, zone: ZoneInfo) -> Iterable[datetime]:
    """The quarter hours the span touches, on the clocks of the zone; no time offset in use divides one."""
    moment = start - timedelta(minutes=start.minute % 15, seconds=start.second, microseconds=start.microsecond)
    while moment < end:
        yield moment.astimezone(zone)
        moment += SLOT


@dataclass(frozen=True, slots=True)
class Slot:
    """What one quarter hour means for the business. `weekend` is true on public holidays too."""

    hour_score: int
    weekend: bool
    season: bool
    peak: bool
    operational: bool


def slot_of(local: datetime, hours: Hours) -> Slot:
    free, weekday = local.date() in hours.holidays, local.weekday()
    return Slot(
        NO_BUSINESS if free else hours.hour_score(local.hour),
        free or weekday >= 5,
        hours.in_season(local.date()),
        not free and hours.in_peak(local.hour),
        weekday in hours.operational_days,
    )


def business_impact(slots: Sequence[Slot]) -> int:
    """How much a window weighs on the business: the worst of what it touches, part by part (5 to 110)."""
    worst = max((slot.hour_score for slot in slots), default=NO_BUSINESS)
    week = WEEKEND if all(slot.weekend for slot in slots) else WEEKDAY
    return worst + week + PEAK_SEASON * any(slot.season for slot in slots) + SERVICE_PEAK * any(slot.peak for slot in slots)


@dataclass(frozen=True, slots=True)
class Factors:
    """What a window's score is made of: the terms 0 to 100, the penalty in points."""

    business_impact: float
    historical_success: float = UNKNOWN
    resource_availability: float = UNKNOWN
    dependency_coordination: float = UNKNOWN
    compliance_penalty: float = 0.0


def score(factors: Factors) -> float:
    """The published formula; never below 0, to two digits."""
    good = 0.3 * factors.historical_success + 0.2 * factors.resource_availability + 0.1 * factors.dependency_coordination
    return round(max(0.0, 100 - 0.4 * factors.business_impact + good - factors.compliance_penalty), 2)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A window that could be chosen, its score, and why."""

    start: datetime
    end: datetime
    score: float
    factors: Factors


@dataclass(frozen=True, slots=True)
class Track:
    """Many spans, merged once, so that "does this window touch one" is a binary search."""

    spans: tuple[Span, ...] = ()
    starts: tuple[datetime, ...] = ()
    ends: tuple[datetime, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Track:
        union = tuple(merged(spans))
        return cls(union, tuple(span.start for span in union), tuple(span.end for span in union))

    def touches(self, start: datetime, end: datetime) -> bool:
        """Does any span overlap [start, end)?"""
        return bisect_right(self.ends, start) < bisect_left(self.starts, end)

    def holds(self, start: datetime, end: datetime) -> bool:
        """Do the spans together cover [start, end)?"""
        index = bisect_right(self.starts, start) - 1
        return index >= 0 and end <= self.ends[index]

    def clear_after(self, start: datetime, end: datetime) -> datetime | None:
        """When the last of the spans that touch [start, end) is over; None when none does."""
        touching = bisect_left(self.starts, end)
        return self.ends[touching - 1] if self.touches(start, end) else None


@dataclass(frozen=True, slots=True)
class Search:
    """Everything the optimizer looks at. A window must avoid `forbidden` and lie inside each of `required`."""

    earliest: datetime
    latest: datetime
    duration: timedelta
    hours: Hours = Hours()
    forbidden: Track = Track()
    required: tuple[Track, ...] = ()
    compliance_blackouts: tuple[Track, ...] = ()
    historical: Callable[[Slot], float] = lambda slot: UNKNOWN
    resources: Callable[[datetime, datetime], float] = lambda start, end: UNKNOWN
    coordination: Callable[[datetime, datetime], float] = lambda start, end: UNKNOWN
    granularity: timedelta = GRANULARITY


def candidates(search: Search) -> Iterable[tuple[datetime, datetime]]:
    """Every window on the grid that hard rules allow, earliest first."""
    start = next_on_grid(search.earliest, search.granularity)
    while (end := start + search.duration) <= search.latest:
        if not search.forbidden.touches(start, end) and all(track.holds(start, end) for track in search.required):
            yield start, end
        start += search.granularity


def next_on_grid(moment: datetime, granularity: timedelta) -> datetime:
    """The first moment from `moment` on that is a whole number of steps after midnight UTC."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + -(-(moment - midnight) // granularity) * granularity


def scored(search: Search) -> list[Proposal]:
    """Every allowed window on operational days with its score."""
    known = SlotTable(search)
    found = []
    for start, end in candidates(search):
        slots = known.between(start, end)
        if all(slot.operational for slot in slots):
            factors = factors_of(search, slots, start, end)
            found.append(Proposal(start, end, score(factors), factors))
    return found


class SlotTable:
    """The quarter hours of a search, each looked up on the clocks once."""

    def __init__(self, search: Search) -> None:
        zone = search.hours.zone()
        self.kinds: dict[Slot, Slot] = {}
        self.base = search.earliest - timedelta(
            minutes=search.earliest.minute % 15, seconds=search.earliest.second, microseconds=search.earliest.microsecond
        )
        self.slots = [self.shared(slot_of(local, search.hours)) for local in local_slots(self.base, search.latest, zone)]

    def shared(self, slot: Slot) -> Slot:
        """One object for equal slots, so that a window's distinct ones are few."""
        return self.kinds.setdefault(slot, slot)

    def between(self, start: datetime, end: datetime) -> list[Slot]:
        first = (start - self.base) // SLOT
        return list({id(slot): slot for slot in self.slots[first : -(-(end - self.base) // SLOT)]}.values())


def factors_of(search: Search, slots: Sequence[Slot], start: datetime, end: datetime) -> Factors:
    return Factors(
        business_impact=business_impact(slots),
        historical_success=min(search.historical(slot) for slot in slots),
        resource_availability=search.resources(start, end),
        dependency_coordination=search.coordination(start, end),
        compliance_penalty=float(BLACKOUT_PENALTY * sum(track.touches(start, end) for track in search.compliance_blackouts)),
    )


def best(proposals: Iterable[Proposal], limit: int = 5) -> list[Proposal]:
    """The best that do not overlap each other, best first; of equals the earlier."""
    chosen: list[Proposal] = []
    for proposal in sorted(proposals, key=lambda one: (-one.score, one.start)):
        if len(chosen) >= limit:
            break
        if all(proposal.end <= other.start or other.end <= proposal.start for other in chosen):
            chosen.append(proposal)
    return chosen


# Freezes


def loosens(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Could the freeze, so changed, let something pass that it forbids now? Only plain tightening is known not to."""
    shorter = after["start"] > before["start"] or after["end"] < before["end"]
    more_pass = bool(set(after["allowed_types"]) - set(before["allowed_types"]))
    # A recurring freeze moves as a whole with its first time, on the clocks of its zone: any move opens some moment.
    moved = bool(before["recurrence"] or after["recurrence"]) and after["start"] != before["start"]
    repeats = before["recurrence"] not in ("", after["recurrence"]) or (before["recurrence"] and before["timezone"] != after["timezone"])
    narrower = after["scope"] not in ({}, before["scope"])
    return bool(shorter or more_pass or moved or repeats or narrower)


# Checking what people write


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Collects messages by field."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def when(self, wrong: bool, name: str, message: str) -> None:
        if wrong:
            self.found.setdefault(name, []).append(message)


def span_mistakes(
    start: datetime | None, end: datetime | None, recurrence: str, timezone: str, scope: Any, *, custom: Mapping[str, str] | Iterable[str] = ()
) -> dict[str, list[str]]:
    """What is wrong with a window or freeze, by field; empty when it can be kept."""
    mistakes = Mistakes()
    mistakes.when(zone_named(timezone) is None, "timezone", "Name a zone such as Europe/Oslo or UTC.")
    for finding in check(scope, custom=custom):
        mistakes.when(True, "scope", f"{finding.path}: {finding.message}" if finding.path else finding.message)
    if start is None or end is None:
        return mistakes.found
    far = not 1970 <= start.year <= end.year <= 2200
    mistakes.when(end <= start, "end", "It has to end after it starts.")
    mistakes.when(far, "start", "The years go from 1970 to 2200.")
    if not mistakes.found and (message := mistake_in(recurrence, start, end, timezone)):
        mistakes.when(True, "recurrence", message)
    return mistakes.found


def calendar_mistakes(
    *, timezone: str, hours: tuple[int, int], peak: tuple[int | None, int | None], days: Any, seasons: Any, country: str
) -> dict[str, list[str]]:
    """What is wrong with a business calendar, by field."""
    mistakes = Mistakes()
    mistakes.when(zone_named(timezone) is None, "timezone", "Name a zone such as Europe/Oslo or UTC.")
    mistakes.when(not 0 <= hours[0] < hours[1] <= 24, "business_end", "Business hours end after they begin, at most at 24.")
    mistakes.when((peak[0] is None) != (peak[1] is None), "peak_end", "Give both peak hours or none.")
    if peak[0] is not None and peak[1] is not None:
        mistakes.when(not 0 <= peak[0] < peak[1] <= 24, "peak_end", "Peak hours end after they begin, at most at 24.")
    usable = isinstance(days, list) and bool(days) and all(isinstance(day, int) and not isinstance(day, bool) and 0 <= day <= 6 for day in days)
    mistakes.when(not usable, "operational_days", "At least one day from 0 (Monday) to 6 (Sunday).")
    mistakes.when(seasons_of(seasons) is None, "peak_seasons", "Each season has a first and a last day, such as 11-20 and 12-31.")
    mistakes.when(bool(country) and not (len(country) == 2 and country.isalpha()), "country", "Give the two letters of a country, such as NO.")
    return mistakes.found


def seasons_of(seasons: Any) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...] | None:
    """Pairs such as `["11-20", "12-31"]` as (month, day) pairs; None when one can't be read."""
    try:
        return tuple((month_day(first), month_day(last)) for first, last in seasons)
    except (TypeError, ValueError):
        return None


def month_day(text: str) -> tuple[int, int]:
    moment = datetime.strptime(f"2024-{text}", "%Y-%m-%d")  # noqa: DTZ007 — a day of any year, leap day included
    return moment.month, moment.day
