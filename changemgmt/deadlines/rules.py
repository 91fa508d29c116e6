"""When something is due: from a start, hours given, a calendar and the pauses. Pure; all times aware."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

FURTHEST = timedelta(days=365 * 20)
NEVER = timedelta(0)


class Span(NamedTuple):
    """From `start` up to `end`, which is not part of it."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return max(self.end - self.start, NEVER)

    def within(self, start: datetime, end: datetime) -> Span:
        """What of it lies between the two; may be empty."""
        return Span(max(self.start, start), min(self.end, end))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Business hours of a zone: from `opens` to `closes` o'clock (24 is midnight) on `days` (Monday is 0), holidays left out."""

    timezone: str = "UTC"
    opens: int = 9
    closes: int = 17
    days: frozenset[int] = frozenset(range(5))
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.opens < self.closes <= 24:
            raise ValueError("Business hours begin before they end, within one day.")
        if not self.days:
            raise ValueError("A business calendar needs at least one day.")

    def works_on(self, day: date) -> bool:
        return day.weekday() in self.days and day not in self.holidays

    def spans(self, start: datetime) -> Iterator[Span]:
        """Its business hours from `start` on, in order, in UTC; the clocks of the zone count, so a day may be an hour longer or shorter."""
        zone = ZoneInfo(self.timezone)
        day, last = start.astimezone(zone).date(), (start + FURTHEST).date()
        while day < last:
            if self.works_on(day):
                span = Span(wall(day, self.opens, zone), wall(day, self.closes, zone))
                if span.end > start:
                    yield Span(max(span.start, start), span.end)
            day += timedelta(days=1)


def wall(day: date, hour: int, zone: ZoneInfo) -> datetime:
    """That hour of that day on the zone's clocks, in UTC."""
    local = (
        datetime(day.year, day.month, day.day, tzinfo=zone) if hour < 24 else datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=1)
    )
    return local.replace(hour=hour % 24).astimezone(UTC)


def working(start: datetime, calendar: Calendar | None) -> Iterator[Span]:
    """The time that counts from `start` on: business hours, or all of it without a calendar."""
    return calendar.spans(start) if calendar else iter([Span(start, start + FURTHEST)])


def without(spans: Iterable[Span], pauses: Sequence[Span]) -> Iterator[Span]:
    """The spans with the pauses cut out of them."""
    cuts = sorted(pauses)
    for span in spans:
        start = span.start
        for cut in cuts:
            if cut.end > start and cut.start < span.end:
                if cut.start > start:
                    yield Span(start, cut.start)
                start = max(start, cut.end)
        if start < span.end:
            yield Span(start, span.end)


def due(start: datetime, hours: float, *, calendar: Calendar | None = None, pauses: Sequence[Span] = ()) -> datetime:
    """When `hours` of counting time have passed since `start`. ValueError when that is further off than twenty years."""
    left = timedelta(hours=hours)
    if left <= NEVER:
        return start
    for span in without(working(start, calendar), pauses):
        if span.length >= left:
            return span.start + left
        left -= span.length
    raise ValueError("The deadline lies further off than a calendar reaches.")


def due_in_days(start: datetime, days: int, *, calendar: Calendar) -> datetime:
    """The close of business on the `days`th business day after the day of `start`."""
    zone = ZoneInfo(calendar.timezone)
    today = start.astimezone(zone).date()
    following = (span for span in calendar.spans(start) if span.start.astimezone(zone).date() > today)
    for count, span in enumerate(following, 1):
        if count >= days:
            return span.end
    raise ValueError("The deadline lies further off than a calendar reaches.")


def elapsed(start: datetime, now: datetime, *, calendar: Calendar | None = None, pauses: Sequence[Span] = ()) -> timedelta:
    """How much counting time lies between `start` and `now`."""
    total = NEVER
    for span in without(working(start, calendar), pauses):
        if span.start >= now:
            break
        total += span.within(start, now).length
    return total


def share_used(start: datetime, now: datetime, hours: float, *, calendar: Calendar | None = None, pauses: Sequence[Span] = ()) -> float:
    """How much of the time given is used up: 0 at the start, 1 at the deadline, more after it."""
    given = timedelta(hours=hours)
    return elapsed(start, now, calendar=calendar, pauses=pauses) / given if given > NEVER else 1.0


def reminders(
    start: datetime, hours: float, percentages: Iterable[int], *, calendar: Calendar | None = None, pauses: Sequence[Span] = ()
) -> list[tuple[int, datetime]]:
    """When each percentage of the time given is used up, earliest first."""
    return [(percent, due(start, hours * percent / 100, calendar=calendar, pauses=pauses)) for percent in sorted(set(percentages))]


def resumed(due_at: datetime, paused_at: datetime, resumed_at: datetime, *, calendar: Calendar | None = None) -> datetime:
    """The deadline after a pause: what was left when it began is left when it ends. One that had passed stays."""
    if due_at <= paused_at or resumed_at <= paused_at:
        return due_at
    left = elapsed(paused_at, due_at, calendar=calendar)
    return due(resumed_at, left / timedelta(hours=1), calendar=calendar)
