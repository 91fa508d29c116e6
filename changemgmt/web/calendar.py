"""The calendar: services over two weeks, a month, or a list. Every view and page of it is a link."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.dates import MONTHS
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changemgmt.accounts.queries import has_role
from changemgmt.lifecycle.change_calendar import WRITERS
from changemgmt.scheduling.entries import CHANGE, FREEZE, WINDOW, Clash, Entry, calendar_entries, clashes_of
from changemgmt.scheduling.models import Freeze

from . import calendar_spans
from .base import PageRequest, page

VIEWS = {"lanes": gettext_lazy("Services"), "month": gettext_lazy("Month"), "list": gettext_lazy("List")}
TWO_WEEKS = 14
MOST_LANES = 14
MOST_IN_CELL = 5
DAY = timedelta(days=1)
CLASH_WORDS = {
    "component": gettext_lazy("Same component twice."),
    "person": gettext_lazy("Same implementer twice."),
    "freeze": gettext_lazy("Scheduled in a freeze."),
    "resource": gettext_lazy("Two changes that can't both run."),
}


@dataclass(frozen=True)
class Shown:
    """One entry in one cell: its class, the clock time it is there from, and the whole in words."""

    entry: Entry
    css: str
    from_: datetime
    words: str


@dataclass
class Cell:
    """One day of one lane: marks on its strip in hours of the day, and what stands under it."""

    day: date
    label: str
    today: bool
    outside: bool = False
    marks: list[tuple[str, float, float]] = field(default_factory=list)
    freezes: list[str] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    more: int = 0


@page()
def calendar(request: PageRequest) -> HttpResponse:
    """What runs when. `?view=lanes|month|list`, `?day=` any day of the stretch wanted; an htmx request gets the view alone."""
    asked = request.GET.get("view", "")
    view = asked if asked in VIEWS else "lanes"
    today = timezone.localtime(request.now).date()
    first, last, label, earlier, later = stretch(view, day_of(request.GET.get("day", ""), today))
    start, end = midnight(first), midnight(last + DAY)
    entries = calendar_entries(request.user, start, end)
    context = {
        "view": view,
        "views": [(key, name, f"?view={key}&day={first.isoformat()}") for key, name in VIEWS.items()],
        "label": label,
        "earlier": f"?view={view}&day={earlier.isoformat()}",
        "later": f"?view={view}&day={later.isoformat()}",
        "now_link": f"?view={view}",
        **DRAWN[view](entries, first, last, today, start),
    }
    if getattr(request, "htmx", False):
        return render(request, "calendar/_view.html", context)
    clashes = clashes_of(request.user, start, end)
    return render(request, "calendar/calendar.html", context | beside(request, entries, clashes, label))


def beside(request: PageRequest, entries: Sequence[Entry], clashes: Sequence[Clash], label: str) -> dict[str, Any]:
    """What stands around the view: the sentence on top, conflicts, and freezes that wait for a second person."""
    writer = has_role(request.user, *WRITERS)
    return {
        "lede": lede(entries, clashes, label, request.now),
        "clashes": [(clash, CLASH_WORDS[clash.kind]) for clash in clashes[:20]],
        "clash_count": len(clashes),
        "writer": writer,
        "waiting": Freeze.objects.filter(pending__isnull=False, removed_at__isnull=True).select_related("pending_by") if writer else (),
    }


def lede(entries: Sequence[Entry], clashes: Sequence[Clash], label: str, now: datetime) -> str:
    coming = next((entry for entry in entries if entry.kind == FREEZE and entry.end > now), None)
    parts = [f"{label}."]
    if clashes:
        parts.append(ngettext("%d hard conflict needs an owner to move.", "%d hard conflicts need an owner to move.", len(clashes)) % len(clashes))
    if coming:
        parts.append(
            _("Next freeze: %(name)s, %(from)s to %(to)s.") % {"name": coming.title, "from": day_words(coming.start), "to": day_words(coming.end)}
        )
    return " ".join(parts)


# Which days


def day_of(text: str, today: date) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return today
    return day if 1970 < day.year < 2200 else today


def stretch(view: str, day: date) -> tuple[date, date, str, date, date]:
    """First and last day, what to call it, and a day of the stretch before and after."""
    if view == "month":
        first = day.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
        label = _("%(month)s %(year)s") % {"month": MONTHS[first.month], "year": first.year}
        return monday(first), monday(after - DAY) + timedelta(days=6), label, first - DAY, after
    first = monday(day)
    last = first + timedelta(days=TWO_WEEKS - 1)
    month = "" if first.month == last.month else date_format(first, " F")
    label = _("%(first)s to %(last)s") % {"first": f"{first.day}{month}", "last": date_format(last, "j F Y")}
    return first, last, label, first - timedelta(days=TWO_WEEKS), last + DAY


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def midnight(day: date) -> datetime:
    """The beginning of the day on the viewer's clocks, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=timezone.get_current_timezone()).astimezone(UTC)


def day_words(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "j M")


# Drawing


def cell_of(day: date, entries: Iterable[Entry], today: date, *, outside: bool = False) -> Cell:
    """One day with the entries that touch it. Freezes come last on the strip, so that they are seen."""
    cell = Cell(day, date_format(day, "D j M"), day == today, outside)
    start, end = midnight(day), midnight(day + DAY)
    for entry in sorted(entries, key=lambda one: (one.kind == CHANGE, one.kind == FREEZE, one.start)):
        if entry.start < end and start < entry.end:
            cell.marks.append((mark(entry), *hours(entry, start, end)))
            place(cell, entry, max(entry.start, start))
    cell.more = max(0, len(cell.shown) - MOST_IN_CELL)
    cell.shown = cell.shown[:MOST_IN_CELL]
    return cell


def place(cell: Cell, entry: Entry, begins: datetime) -> None:
    if entry.kind == FREEZE and entry.title not in cell.freezes:
        cell.freezes.append(entry.title)
    elif entry.kind == CHANGE:
        cell.shown.append(Shown(entry, "conflict" if entry.conflict else entry.type, begins, in_words(entry)))


def in_words(entry: Entry) -> str:
    start, end = timezone.localtime(entry.start), timezone.localtime(entry.end)
    form = "H:i" if start.date() == end.date() else "D j M H:i"
    span = _("%(start)s to %(end)s") % {"start": date_format(start, form), "end": date_format(end, form)}
    return f"{entry.number} {entry.title}, {span}"


def mark(entry: Entry) -> str:
    if entry.kind != CHANGE:
        return f"s-{entry.kind}"
    return "s-conflict" if entry.conflict else {"standard": "s-standard", "emergency": "s-emergency"}.get(entry.type, "s-normal")


def hours(entry: Entry, start: datetime, end: datetime) -> tuple[float, float]:
    """Where it begins on the strip of a day and how wide it is, in hours of 24."""
    length = (end - start).total_seconds() / 24
    begin = max((entry.start - start).total_seconds() / length, 0.0)
    until = min((entry.end - start).total_seconds() / length, 24.0)
    return round(begin, 2), round(max(until - begin, 0.25), 2)


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def lanes(entries: Sequence[Entry], first: date, last: date, today: date, start: datetime) -> dict[str, Any]:
    """Services down, days across, a table for each week. What has no scope is on every strip, the rest on a lane of its own."""
    changes = [entry for entry in entries if entry.kind == CHANGE]
    spans = [entry for entry in entries if entry.kind != CHANGE]
    everywhere = [entry for entry in spans if not entry.scope]
    by_service = in_lanes(changes)
    weeks = []
    for week in (days(first, last)[:7], days(first, last)[7:]):
        inside = [entry for entry in spans if entry.start < midnight(week[-1] + DAY) and entry.end > midnight(week[0])]
        rows = [(_("Freezes and windows"), [cell_of(day, inside, today) for day in week])] if inside else []
        rows += [(name, [cell_of(day, [*everywhere, *found], today) for day in week]) for name, found in by_service]
        weeks.append(
            {"days": [(day, day == today) for day in week], "rows": rows, "caption": _("Week of %(day)s") % {"day": date_format(week[0], "j F")}}
        )
    return {"weeks": weeks, "empty": not entries}


def in_lanes(changes: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """The changes by service, the busiest services first; what is left over in one lane at the end."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in changes:
        for service in entry.services or (_("No component"),):
            found[service].append(entry)
    ranked = sorted(found.items(), key=lambda lane: (-len(lane[1]), lane[0]))
    rest = list({entry.number: entry for _name, lane in ranked[MOST_LANES:] for entry in lane}.values())
    return sorted(ranked[:MOST_LANES], key=lambda lane: lane[0].lower()) + ([(_("Other services"), rest)] if rest else [])


def month(entries: Sequence[Entry], first: date, last: date, today: date, start: datetime) -> dict[str, Any]:
    """A month as weeks of days."""
    middle = first + timedelta(days=14)
    found = days(first, last)
    cells = [cell_of(day, entries, today, outside=day.month != middle.month) for day in found]
    return {
        "rows": [cells[index : index + 7] for index in range(0, len(cells), 7)],
        "weekdays": [date_format(day, "D") for day in found[:7]],
        "empty": not entries,
    }


def listed(entries: Sequence[Entry], first: date, last: date, today: date, start: datetime) -> dict[str, Any]:
    """Day by day what begins there; freezes on every day they hold."""
    found = []
    for day in days(first, last):
        begin, end = midnight(day), midnight(day + DAY)
        there = [entry for entry in entries if entry.start < end and begin < entry.end]
        starting = [entry for entry in there if entry.kind == CHANGE and (entry.start >= begin or day == first)]
        freezes = list(dict.fromkeys(entry.title for entry in there if entry.kind == FREEZE))
        windows = [entry for entry in there if entry.kind == WINDOW and entry.start >= begin]
        if starting or freezes or windows:
            found.append({"day": day, "label": date_format(day, "D j M"), "changes": starting, "freezes": freezes, "windows": windows})
    return {"sections": found, "empty": not found}


DRAWN = {"lanes": lanes, "month": month, "list": listed}

urlpatterns = [path("calendar/", calendar, name="calendar"), *calendar_spans.urlpatterns]
