"""Replay: what a draft chain would have meant for the changes of past months. Reads only; nobody is asked.

Every change is judged by what is known about it today, once through the chains in force now and once with the draft among them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from changemgmt.accounts.models import User
from changemgmt.changes import change_log
from changemgmt.changes.facts import facts_of_all
from changemgmt.changes.models import Change, State
from changemgmt.changes.queries import visible_to
from changemgmt.conditions.facts import FIELDS
from changemgmt.core.errors import Invalid
from changemgmt.core.time import rfc3339

from . import routes
from .chains import check, draft_of
from .matching import in_force
from .models import Chain, Round
from .routes import Move, Route

FULL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MOST_CHANGES, MOST_LISTED, LISTED = 20_000, 500, 100
OF_ITEMS = ("layers", "components", "component_types", "environments", "services", "operations", "max_criticality")
RECORDED = {*change_log.FIELDS, *OF_ITEMS}
"""What the log of another system can say about a change; anything else is unknown of an imported one."""


@dataclass(frozen=True, slots=True)
class Period:
    """From the beginning of the first day to the end of the last, UTC."""

    first: date
    last: date

    def begins(self) -> datetime:
        return datetime.combine(self.first, time.min, UTC)

    def ends(self) -> datetime:
        return datetime.combine(self.last, time.max, UTC)


@dataclass(frozen=True, slots=True)
class Replayed:
    """One change and its two routes."""

    change: Change
    before: Route
    after: Route
    outcome: str


def replay(draft: Mapping[str, Any], period: Period, *, now: datetime, viewer: User | None, limit: int = LISTED, offset: int = 0) -> dict[str, Any]:
    """The table of what moves from which route to which, totals, and the moved changes that `viewer` may see.

    What they may not see is counted and not named. Raises Invalid for a chain with mistakes and for more than 20,000 changes.
    """
    whole = complete(draft)
    now_in_force = [in_force(chain) for chain in Chain.objects.filter(in_force__isnull=False)]
    drafted = routes.replaced(now_in_force, whole)
    rows = submitted_in(period)
    if rows.count() > MOST_CHANGES:
        raise Invalid.field("from", f"There are more than {MOST_CHANGES} changes in this time: choose a shorter one.")
    done = [replayed(change, facts, now_in_force, drafted, now) for change, facts in facts_of_all(rows)]
    moves = routes.moves_of((one.before, one.after, one.outcome) for one in done)
    moved = [one for one in done if one.before != one.after]
    seen = named(moved, viewer)
    return {
        "chain": whole["name"],
        "from": period.first.isoformat(),
        "to": period.last.isoformat(),
        "changes": len(done),
        "moved": len(moved),
        "not_shown": len(moved) - len(seen),
        "totals": totals(moves),
        "moves": [move_shape(move) for move in moves],
        "list": [moved_shape(one) for one in seen[offset : offset + limit]],
        "next_offset": offset + limit if offset + limit < len(seen) else None,
        "unknown": unknown_of(done, [*now_in_force, *drafted]),
        "notes": notes_on(whole, now_in_force, drafted),
    }


# --- what comes in ---


def period_of(first: Any, last: Any) -> Period:
    """The days from `first` to `last`, both dates such as 2026-08-01; Invalid at the one that is wrong."""
    errors = {name: ["Give a date such as 2026-08-01."] for name, text in (("from", first), ("to", last)) if day_of(text) is None}
    start, end = day_of(first), day_of(last)
    if start and end and end < start:
        errors["to"] = ["It lies before the beginning."]
    if errors or start is None or end is None:
        raise Invalid("The time to replay is not right.", errors=errors)
    return Period(start, end)


def day_of(text: Any) -> date | None:
    """A full date as RFC 3339 writes it, or None."""
    try:
        return date.fromisoformat(text) if isinstance(text, str) and FULL_DATE.fullmatch(text) else None
    except ValueError:
        return None


def draft_to_replay(chain: Chain | None, sent: Any = None) -> dict[str, Any]:
    """The stored configuration of a chain, or one that was sent; Invalid at each mistake of the latter, below `chain`."""
    draft = {"id": chain.pk, **draft_of(chain)} if chain is not None else sent
    prefix = "" if chain is not None else "chain."
    if found := check(draft):
        errors: dict[str, list[str]] = {}
        for mistake in found:
            errors.setdefault(f"{prefix}{mistake.path}".rstrip(".") or "chain", []).append(mistake.message)
        raise Invalid(f"The chain has {len(found)} mistake(s) and can't be replayed.", errors=errors)
    return dict(draft)


def complete(draft: Mapping[str, Any]) -> dict[str, Any]:
    """The draft with everything that may be left out."""
    levels = [
        {"applies_when": {}, "sla_hours": 48, **level, "seats": [{"required": 1, **seat} for seat in level["seats"]]} for level in draft["levels"]
    ]
    return {"order": 100, "active": True, "additive": False, "applies_when": {}, **draft, "levels": levels}


# --- reading ---


def submitted_in(period: Period) -> QuerySet[Change]:
    """The changes handed in within the period; of imported ones, those that were made or ended in it."""
    span = (period.begins(), period.ends())
    imported = Q(created_at__range=span) | Q(submitted_at__range=span) | Q(closed_at__range=span)
    rows = Change.objects.filter(Q(imported=False, submitted_at__range=span) | Q(imported=True) & imported)
    asked = Round.objects.filter(change=OuterRef("pk"))
    return rows.defer("document", "description").annotate(had_round=Exists(asked)).order_by("created_at", "pk")


def replayed(change: Change, facts: Any, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], now: datetime) -> Replayed:
    if by_template(change):
        return Replayed(change, Route(routes.AUTOMATIC), Route(routes.AUTOMATIC), outcome_of(change))
    return Replayed(change, routes.route_of(before, facts, now=now), routes.route_of(after, facts, now=now), outcome_of(change))


def by_template(change: Any) -> bool:
    """Whether its template approved it: it was decided and nobody was asked. No chain has a say in that."""
    return bool(change.template_id and change.decided_at and not change.had_round and not change.imported)


def outcome_of(change: Change) -> str:
    """What became of it: its result, else the state in which it ended; `unknown` where that was not recorded, `open` while it goes on."""
    if change.result:
        return change.result
    if change.state == State.CLOSED:
        return "unknown"
    ended = (State.CANCELLED, State.REJECTED, State.FAILED, State.ROLLED_BACK)
    return str(change.state) if change.state in ended else "open"


def named(moved: Sequence[Replayed], viewer: User | None) -> list[Replayed]:
    """Those of them that this person may see; without a person, those that everybody may see."""
    secret = [one.change.pk for one in moved if one.change.confidential]
    seen = set(visible_to(viewer).filter(confidential=True).values_list("pk", flat=True)) if viewer is not None and secret else set()
    return [one for one in moved if not one.change.confidential or one.change.pk in seen]


# --- what goes out ---


def totals(moves: Iterable[Move]) -> dict[str, Any]:
    """Votes and hours over all changes before and after, and what became of those that move."""
    moves = list(moves)

    def total(what: str, side: str) -> int:
        return sum(getattr(getattr(move, side), what) * move.changes for move in moves)

    sums = {what: {"before": total(what, "before"), "after": total(what, "after")} for what in ("votes", "hours")}
    outcomes = sum((move.outcomes for move in moves if move.moved), Counter[str]())
    return {**{what: {**both, "more": both["after"] - both["before"]} for what, both in sums.items()}, "outcomes": dict(sorted(outcomes.items()))}


def move_shape(move: Move) -> dict[str, Any]:
    return {
        "before": route_shape(move.before),
        "after": route_shape(move.after),
        "moved": move.moved,
        "changes": move.changes,
        "more_votes": (move.after.votes - move.before.votes) * move.changes,
        "more_hours": (move.after.hours - move.before.hours) * move.changes,
        "outcomes": dict(sorted(move.outcomes.items())),
    }


def route_shape(route: Route) -> dict[str, Any]:
    return {
        "kind": route.kind, "chains": list(route.chains), "levels": list(route.levels), "votes": route.votes, "hours": route.hours,
        "words": in_words(route),
    }  # fmt: skip


def in_words(route: Route) -> str:
    """A route as people say it."""
    if route.kind == routes.AUTOMATIC:
        return "approved by its template"
    if route.kind == routes.BLOCKED:
        return f"blocked: no level of {' and '.join(route.chains)} opens" if route.chains else "blocked: no chain applies"
    return f"{' and '.join(route.chains)}: {' → '.join(route.levels)}"


def moved_shape(one: Replayed) -> dict[str, Any]:
    change = one.change
    return {
        "change": change.number,
        "title": change.title,
        "type": change.type,
        "imported": change.imported,
        "submitted_at": rfc3339(change.submitted_at or change.created_at),
        "took": change.chain,
        "before": in_words(one.before),
        "after": in_words(one.after),
        "more_votes": one.after.votes - one.before.votes,
        "more_hours": one.after.hours - one.before.hours,
        "outcome": one.outcome,
    }


def unknown_of(done: Collection[Replayed], chains: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How many changes were imported, which attributes are unknown of them, and which of those some condition asks about."""
    imported = sum(one.change.imported for one in done)
    unknown = [name for name in FIELDS if name not in RECORDED] if imported else []
    asked = sorted(name for name in routes.fields_asked(chains) if name in unknown or (imported and name not in FIELDS))
    return {"changes": imported, "attributes": unknown, "asked": asked, "words": unknown_words(imported, unknown, asked)}


def unknown_words(imported: int, unknown: Sequence[str], asked: Sequence[str]) -> str:
    if not imported:
        return ""
    words = f"{imported} of these changes were imported. Their record does not say: {', '.join(label(name) for name in unknown)}."
    if not asked:
        return f"{words} No condition of these chains asks about that."
    these = ", ".join(label(name) for name in asked)
    return f"{words} Conditions ask about {these}: such a test does not hold for them, and “not” of it does."


def label(name: str) -> str:
    return FIELDS[name].label.lower() if name in FIELDS else name


def notes_on(draft: Mapping[str, Any], before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was assumed, in words."""
    found = ["Every change is judged by what is known about it today, and by the chains that are in force today."]
    if draft.get("valid_from") or draft.get("valid_to"):
        found.append("The dates of the draft are left out of account.")
    if not draft["active"]:
        off = not after[-1]["active"]
        found.append("The draft is switched off: this is how it would be without the chain." if off else "The draft is taken as switched on.")
    if any(seat.get("dynamic") for chain in (*before, *after) for level in chain["levels"] for seat in level["seats"]):
        found.append("A seat that is found by the change, such as the owners of components, counts as one vote.")
    return found
