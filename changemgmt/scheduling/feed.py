"""The calendar as iCalendar (RFC 5545), for the calendar programs people have."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from icalendar import Calendar, Event

from .entries import CHANGE, FREEZE, Entry

REFRESH = timedelta(hours=1)
LABELS = {FREEZE: "Freeze: ", "window": "Maintenance window: "}


def feed(entries: Iterable[Entry], *, name: str, base_url: str, now: datetime) -> bytes:
    """The entries as one calendar; times in UTC, ids stable, so that a program updates what it has."""
    calendar = Calendar()
    calendar.add("prodid", f"-//{name}//Change calendar//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", REFRESH, parameters={"value": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    host = base_url.partition("://")[2].partition("/")[0].partition(":")[0]
    for entry in entries:
        calendar.add_component(event_of(entry, base_url, host, now))
    return calendar.to_ical()


def event_of(entry: Entry, base_url: str, host: str, now: datetime) -> Event:
    event = Event()
    change = entry.kind == CHANGE
    event.add("uid", f"{entry.number}@{host}" if change else f"{entry.kind}-{entry.number}-{entry.start:%Y%m%dT%H%M%SZ}@{host}")
    event.add("dtstamp", entry.updated_at or now)
    event.add("dtstart", entry.start)
    event.add("dtend", entry.end)
    event.add("summary", f"{entry.number} {entry.title}" if change else f"{LABELS[entry.kind]}{entry.title}")
    event.add("categories", [entry.type or entry.kind])
    if change:
        event.add("url", f"{base_url}/changes/{entry.number}/")
        event.add("sequence", entry.version)
        event.add("status", "CONFIRMED")
        event.add("description", ", ".join(entry.services))
        event.add("last-modified", entry.updated_at or now)
    else:
        event.add("transp", "TRANSPARENT")
        event.add("description", ", ".join(entry.services))
    return event
