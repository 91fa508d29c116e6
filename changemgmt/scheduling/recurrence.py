"""When a span happens, over and over: RFC 5545 rules, expanded on the clocks of their own zone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import DAILY, WEEKLY, rrule, rrulestr

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
PARTS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "BYYEARDAY", "BYWEEKNO", "WKST")
COUNTED = {"INTERVAL": 1_000, "COUNT": 100_000}
PERIOD = {DAILY: timedelta(days=1), WEEKLY: timedelta(days=7)}
LONGEST = timedelta(days=366)


class Span(NamedTuple):
    """From `start` up to `end`, which is not part of it."""

    start: datetime
    end: datetime

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.start < end and start < self.end


class Pattern(NamedTuple):
    """A span and how it comes again: an RRULE on the clocks of `timezone`, or nothing."""

    start: datetime
    end: datetime
    recurrence: str = ""
    timezone: str = "UTC"


class BadRule(ValueError):
    """A recurrence that can't be used; the text says why."""


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo | None:
    """The zone, or None when there is none of this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def cleaned(recurrence: str) -> str:
    """The rule without its name, in capitals. BadRule when a part is unknown or it repeats within a day."""
    text = recurrence.strip().upper().removeprefix("RRULE:")
    if not text or len(text) > 500 or any(sign.isspace() for sign in text):
        raise BadRule("Write one rule such as FREQ=WEEKLY;BYDAY=SU.")
    parts = [part.partition("=") for part in text.removesuffix(";").split(";")]
    names = [name for name, _, value in parts if value]
    if len(names) != len(parts) or len(set(names)) != len(names):
        raise BadRule("Every part of the rule has a name and a value, once.")
    if unknown := [name for name in names if name not in PARTS]:
        raise BadRule(f"The rule can't use {', '.join(unknown)}.")
    values = {name: value for name, _, value in parts}
    if values.get("FREQ") not in FREQUENCIES:
        raise BadRule("FREQ is DAILY, WEEKLY, MONTHLY or YEARLY.")
    for name, most in COUNTED.items():
        number = values.get(name, "1")
        if not (number.isascii() and number.isdecimal() and len(number) < 8 and 1 <= int(number) <= most):
            raise BadRule(f"{name} is a whole number from 1 to {most:,}.")
    return text.removesuffix(";")


def rule_of(recurrence: str, start: datetime, zone: tzinfo) -> rrule:
    """The rule on the naive clocks of `zone`, beginning at `start`. BadRule when it can't be read."""
    parts = [part for part in cleaned(recurrence).split(";") if not part.startswith("UNTIL=")]
    until = next((part[6:] for part in cleaned(recurrence).split(";") if part.startswith("UNTIL=")), "")
    try:
        rule = rrulestr(";".join(parts), dtstart=start.astimezone(zone).replace(tzinfo=None))
        assert isinstance(rule, rrule)  # noqa: S101 — a single RRULE never reads as a set
        return rule.replace(until=local_until(until, zone)) if until else rule
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, ZeroDivisionError) as error:
        raise BadRule(f"The rule can't be read: {error}.") from None


def local_until(text: str, zone: tzinfo) -> datetime:
    """UNTIL as a date (its whole day), a local time or a UTC time, on the clocks of `zone`."""
    if text.endswith("Z"):
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    if "T" in text:
        return datetime.strptime(text, "%Y%m%dT%H%M%S")  # noqa: DTZ007 — clocks of the zone are meant
    return datetime.strptime(text, "%Y%m%d").replace(hour=23, minute=59, second=59)  # noqa: DTZ007


def mistake_in(recurrence: str, start: datetime, end: datetime, timezone: str) -> str:
    """What is wrong with a recurrence; empty when it can be used."""
    zone = zone_named(timezone)
    if not recurrence or zone is None:
        return ""
    if end - start > LONGEST:
        return "What comes again lasts at most a year."
    try:
        happens = next(iter(rule_of(recurrence, start, zone)), None)
    except BadRule as error:
        return str(error)
    return "" if happens else "By this rule it never happens."


def occurrences(pattern: Pattern, lower: datetime, upper: datetime) -> list[Span]:
    """Every time it happens that touches [lower, upper), in order, in UTC. A rule that can't be read happens once."""
    zone = zone_named(pattern.timezone)
    if not pattern.recurrence or zone is None:
        once = Span(pattern.start, pattern.end)
        return [once] if once.overlaps(lower, upper) else []
    try:
        return recurring(pattern, zone, lower, upper)
    except BadRule:
        return occurrences(pattern._replace(recurrence=""), lower, upper)


def recurring(pattern: Pattern, zone: ZoneInfo, lower: datetime, upper: datetime) -> list[Span]:
    first, last = (moment.astimezone(zone).replace(tzinfo=None) for moment in (pattern.start, pattern.end))
    length = last - first
    day = timedelta(days=1)  # clocks may be shifted within one
    begin, stop = (moment.astimezone(zone).replace(tzinfo=None) for moment in (lower, upper))
    rule = bounded(rule_of(pattern.recurrence, pattern.start, zone), begin - length - day, stop + day)
    found = {on_clocks(local, length, zone) for local in rule.between(begin - length - day, stop + day, inc=True)}
    # The first time is always one, also where the rule alone would leave it out.
    return sorted(span for span in found | {Span(pattern.start.astimezone(UTC), pattern.end.astimezone(UTC))} if span.overlaps(lower, upper))


def bounded(rule: rrule, begin: datetime, stop: datetime) -> rrule:
    """The same rule, made to begin shortly before `begin` where its phase allows it, and to end at `stop`: nothing is counted through decades."""
    until = min(rule._until, stop) if rule._until else stop
    period = PERIOD.get(rule._freq)
    if rule._count is not None:
        return rule
    if period and begin > rule._dtstart:
        steps = (begin - rule._dtstart) // (period * rule._interval)
        return rule.replace(dtstart=rule._dtstart + steps * period * rule._interval, until=until)
    return rule.replace(until=until)


def on_clocks(local: datetime, length: timedelta, zone: ZoneInfo) -> Span:
    """The occurrence that begins at this clock time and lasts this long on the clocks, in UTC.

    A time the clocks skip is taken with the offset before the gap, one they repeat at its first passing.
    """
    start, end = (moment.replace(tzinfo=zone).astimezone(UTC) for moment in (local, local + length))
    return Span(start, end if end > start else start + length)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The union of the spans, as few as possible, in order; touching ones become one."""
    union: list[Span] = []
    for span in sorted(spans):
        if union and span.start <= union[-1].end:
            union[-1] = Span(union[-1].start, max(union[-1].end, span.end))
        else:
            union.append(Span(*span))
    return union


def covered(start: datetime, end: datetime, spans: Sequence[Span]) -> bool:
    """Do the spans together hold all of [start, end)?"""
    return any(span.start <= start and end <= span.end for span in merged(spans))
