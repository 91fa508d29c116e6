"""Reads of the calendar: conflicts of a window, the guards of `schedule` and `start`, and the best windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from changemgmt.accounts.queries import usernames_with_role
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid
from changemgmt.core.time import rfc3339
from changemgmt.core.verdict import Guard

from .entries import calendar_entries
from .obstacles import EVER, HARD, SEARCHED_AHEAD, Demand, Obstacle, Surroundings, shifted
from .optimizer import search_of
from .recurrence import Span
from .rules import (
    LONGEST_SEARCH,
    Factors,
    Proposal,
    best,
    factors_of,
    local_slots,
    score,
    scored,
    slot_of,
)

__all__ = ["Conflict", "Window", "calendar_entries", "conflicts_of", "explain_slot", "freeze_guard", "window_guards", "windows_for"]

if TYPE_CHECKING:
    from changemgmt.accounts.models import User

GRACE = timedelta(minutes=5)
LONGEST_WINDOW = timedelta(days=366)
OWN_GUARDS = {"freeze", "outside_maintenance"}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something a window meets. `with_` names the other change, freeze or window; the times are the other's."""

    kind: str
    severity: str
    with_: str
    start: datetime
    end: datetime
    message: str

    def as_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "kind": self.kind, "severity": self.severity, "with": self.with_, "start": rfc3339(self.start), "end": rfc3339(self.end), "message": self.message,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Window:
    """A proposed window with everything that speaks for and against it."""

    proposal: Proposal
    soft_conflicts: tuple[Conflict, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        one = self.proposal
        soft = [conflict.as_dict() for conflict in self.soft_conflicts]
        return {"start": rfc3339(one.start), "end": rfc3339(one.end), "score": one.score, "factors": asdict(one.factors), "soft_conflicts": soft}


# Conflicts


def conflicts_of(change: Change, start: datetime, end: datetime, *, now: datetime, viewer: User | None = None) -> list[Conflict]:
    """Everything [start, end) meets, hard ones first. Nobody's viewer (None) sees no confidential change."""
    return conflicts_in(Surroundings(change, start, end, now=now, viewer=viewer), start, end)


def conflicts_in(around: Surroundings, start: datetime, end: datetime) -> list[Conflict]:
    met = [conflict_of(one, start, end) for one in around.obstacles if one.span.overlaps(start, end)]
    met += [outside(around, demand, start, end) for demand in around.demands if not demand.open.holds(start, end)]
    return sorted(met, key=lambda one: (one.severity != HARD, one.start, one.kind, one.with_))


def conflict_of(one: Obstacle, start: datetime, end: datetime) -> Conflict:
    span = one.shown or (one.span if one.change is None else Span(start, end))
    return Conflict(one.kind, one.severity, one.name, span.start, span.end, SENTENCES[one.kind](one, span))


def at(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%-d %b %Y %H:%M UTC")


def times(span: Span) -> str:
    return f"{at(span.start)} to {at(span.end)}"


SENTENCES: dict[str, Callable[[Obstacle, Span], str]] = {
    "freeze": lambda one, span: f"The freeze “{one.name}” holds from {times(span)}.{' ' + one.about if one.about else ''}",
    "component": lambda one, span: f"{one.name} changes {one.about}, too, from {times(span)}.",
    "reach": lambda one, span: f"{one.name} reaches {one.about}, too, from {times(span)}.",
    "person": lambda one, span: f"{one.about} implements {one.name}, too, from {times(span)}.",
    "dependency": lambda one, span: f"{one.name}: {one.about}.",
    "resource": lambda one, span: (
        f"{one.name}, from {times(span)}." if one.change else f"“{one.name}” asks for quiet for {one.about} from {times(span)}."
    ),
}


def outside(around: Surroundings, demand: Demand, start: datetime, end: datetime) -> Conflict:
    """The conflict of a window that does not lie inside a maintenance window, with the next one that is open."""
    what = ", ".join(demand.components[:3]) or "This change"
    ahead = Surroundings(around.change, start, shifted(start, SEARCHED_AHEAD), now=around.now, viewer=around.viewer)
    windows = [window for window in around.maintenance_windows if window.name in demand.windows]
    coming = next(iter(ahead.demand(demand.components, windows).open.spans), None)
    then = f"; the next is open from {times(coming)}" if coming else "; none is open within a year"
    names = ", ".join(dict.fromkeys(demand.windows))
    message = f"{what} may only be changed inside a maintenance window ({names}){then}."
    span = coming or Span(start, end)
    return Conflict("outside_maintenance", HARD, names, span.start, span.end, message)


# Guards


def window_guards(change: Change, start: datetime | None, end: datetime | None, *, now: datetime, viewer: User | None = None) -> list[Guard]:
    """What keeps this change from being scheduled in [start, end): requested_window, not_past, no_freeze, maintenance_window, no_hard_conflict."""
    if start is None or end is None or end <= start:
        return [Guard("requested_window", "Choose a window: a start and an end after it.", wishes_of(change))]
    if end - start > LONGEST_WINDOW:
        return [Guard("requested_window", f"A window lasts at most {LONGEST_WINDOW.days} days.", wishes_of(change))]
    around = Surroundings(change, start, end, now=now, viewer=viewer)
    hard = [conflict for conflict in conflicts_in(around, start, end) if conflict.severity == HARD]
    guards = [*requested_guard(change, start, end), *past_guard(start, now)]
    managers = usernames_with_role("change_manager") if hard else ()
    for name, kinds in (("no_freeze", {"freeze"}), ("maintenance_window", {"outside_maintenance"}), ("no_hard_conflict", None)):
        met = [one for one in hard if (one.kind in kinds if kinds else one.kind not in OWN_GUARDS)]
        if met:
            clears = None if name == "maintenance_window" else max(one.end for one in met)
            guards.append(Guard(name, " ".join(one.message for one in met), managers, clears))
    return guards


def wishes_of(change: Change) -> tuple[str, ...]:
    """Who can move the requested window: requester and owner."""
    return tuple(dict.fromkeys(user.username for user in (change.requester, change.owner) if user))


def requested_guard(change: Change, start: datetime, end: datetime) -> list[Guard]:
    earliest, latest = change.requested_start, change.requested_end
    if earliest is None or latest is None or (earliest <= start and end <= latest):
        return []
    message = f"The window has to lie inside the requested one, {times(Span(earliest, latest))}, which the approvers signed; moving that is a material edit."
    return [Guard("requested_window", message, wishes_of(change))]


def past_guard(start: datetime, now: datetime) -> list[Guard]:
    return [Guard("not_past", f"The window begins in the past; it is {at(now)} now.")] if start < now - GRACE else []


def freeze_guard(change: Change, at: datetime, *, now: datetime) -> Guard | None:
    """The freeze that forbids this change at a moment, with when it is over, or None."""
    around = Surroundings(change, at, at + timedelta(microseconds=1), now=now)
    met = [conflict_of(one, at, at) for one in around.freezes()]
    if not met:
        return None
    message = " ".join(one.message for one in met)
    return Guard("no_freeze", message, usernames_with_role("change_manager"), max(one.end for one in met))


# Windows


def windows_for(
    change: Change,
    *,
    earliest: datetime | None = None,
    latest: datetime | None = None,
    duration: timedelta = timedelta(hours=2),
    limit: int = 5,
    now: datetime,
    viewer: User | None = None,
) -> list[Window]:
    """The best windows that hard rules allow, best first, none overlapping another.

    From now and for 30 days unless told otherwise, and always inside the requested window. Invalid when there is no such span.
    """
    earliest, latest = bounds(change, earliest, latest, duration, now)
    if latest > EVER.end:
        return []
    around = Surroundings(change, earliest, latest, now=now, viewer=viewer)
    chosen = best(scored(search_of(around, duration)), limit)
    return [Window(one, soft_of(around, one.start, one.end)) for one in chosen]


def bounds(change: Change, earliest: datetime | None, latest: datetime | None, duration: timedelta, now: datetime) -> tuple[datetime, datetime]:
    if duration <= timedelta(0) or duration > timedelta(days=30):
        raise Invalid.field("duration", "Give a length in minutes, from 1 to 43,200.")
    earliest = max(earliest or now, now)
    latest = latest or shifted(earliest, timedelta(days=30))
    if latest <= earliest:
        raise Invalid.field("latest", "The search has to end after it begins, and after now.")
    if latest - earliest > LONGEST_SEARCH:
        raise Invalid.field("latest", "Search at most 100 days at once.")
    if change.requested_start and change.requested_end:
        earliest, latest = max(earliest, change.requested_start), min(latest, change.requested_end)
    return earliest, latest


def soft_of(around: Surroundings, start: datetime, end: datetime) -> tuple[Conflict, ...]:
    return tuple(conflict_of(one, start, end) for one in around.obstacles if one.severity != HARD and one.span.overlaps(start, end))


def explain_slot(change: Change, start: datetime, end: datetime, *, now: datetime, viewer: User | None = None) -> dict[str, Any]:
    """Why not this window: whether it can be had, what forbids it, what speaks against it, and its score with the factors."""
    around = Surroundings(change, start, end, now=now, viewer=viewer)
    met = conflicts_in(around, start, end)
    guards = window_guards(change, start, end, now=now, viewer=viewer)
    search = search_of(around, end - start)
    slots = [slot_of(local, search.hours) for local in local_slots(start, end, search.hours.zone())]
    factors: Factors = factors_of(search, slots, start, end)
    return {
        "start": rfc3339(start),
        "end": rfc3339(end),
        "possible": not guards,
        "operational": all(slot.operational for slot in slots),
        "score": score(factors),
        "factors": asdict(factors),
        "guards": guards,
        "conflicts": [conflict.as_dict() for conflict in met],
    }
