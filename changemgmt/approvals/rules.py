"""How approvals are decided: votes and rules in, a decision out. No clock, no database.

The numbers in the comments are those of "Deciding a level" in docs/approvals.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Power(StrEnum):
    VOTER = "voter"
    VETO = "veto"
    DECIDING = "deciding"
    ADVISORY = "advisory"


class Outcome(StrEnum):
    """What a level came to. `ESCALATE` is not an end: it stays open and somebody is told."""

    PENDING = "pending"
    APPROVED = "approved"
    CONDITIONS = "approved_with_conditions"
    REJECTED = "rejected"
    ESCALATE = "escalate"


STRENGTH = {Power.VETO: 0, Power.DECIDING: 1, Power.VOTER: 2, Power.ADVISORY: 3}
PASSED = frozenset({Outcome.APPROVED, Outcome.CONDITIONS})
ENDED = PASSED | {Outcome.REJECTED}


@dataclass(frozen=True, slots=True)
class LevelRule:
    """`kind` is all, any, count, percent or weight; `value` is N, P or W for the last three."""

    kind: str
    value: int | None = None


@dataclass(frozen=True, slots=True)
class SeatVote:
    """One seat as it counts now. `vote` is approve, reject, abstain or None while it is open.

    `fillable` is False for an open seat that nobody may take. `person` is the human being who voted.
    """

    power: str
    weight: int = 1
    vote: str | None = None
    conditions: bool = False
    person: str = ""
    fillable: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """What a level comes to, and the sentence that says why."""

    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True)
class Count:
    """The counted seats of a level in numbers: votes, or weights for the weight rule."""

    approved: int
    rejected: int
    open: int
    base: int
    tie_break: str | None
    open_veto: bool


def counted(seats: Iterable[SeatVote]) -> list[SeatVote]:
    """The seats that decide: all but the advisory ones."""
    return [seat for seat in seats if seat.power != Power.ADVISORY]


def count(rule: LevelRule, seats: Sequence[SeatVote]) -> Count:
    """Add up the counted seats; an abstention leaves the base, an open seat stays in it."""

    def total(*votes: str | None) -> int:
        return sum(seat.weight if rule.kind == "weight" else 1 for seat in seats if seat.vote in votes)

    return Count(
        approved=total("approve"),
        rejected=total("reject"),
        open=total(None),
        base=total("approve", "reject", None),
        tie_break=next((seat.vote or "open" for seat in seats if seat.power == Power.DECIDING and seat.vote in ("approve", None)), None),
        open_veto=any(seat.power == Power.VETO and seat.vote is None for seat in seats),
    )


def met(rule: LevelRule, approved: int, base: int) -> bool:
    """Rule 2, with at least one approval: nothing passes by emptiness."""
    value = rule.value or 0
    match rule.kind:
        case "all":
            return approved > 0 and approved == base
        case "any":
            return approved >= 1
        case "count" | "weight":
            return approved >= max(value, 1)
        case "percent":
            return approved > 0 and approved * 100 >= value * base
    raise ValueError(f"unknown rule {rule.kind}")


def tie_broken(rule: LevelRule, found: Count) -> bool:
    """Rule 5: everybody has voted, no majority against, and the deciding seat approved."""
    return rule.kind == "percent" and not found.open and found.approved >= found.rejected > 0 and found.tie_break == "approve"


def reachable(rule: LevelRule, found: Count) -> bool:
    """Rule 4: can the open seats still bring rule 2 or rule 5 about? The best they can do is approve."""
    best = found.approved + found.open
    if met(rule, best, found.base):
        return True
    return rule.kind == "percent" and found.tie_break is not None and best >= found.rejected > 0


def tally(rule: LevelRule, seats: Sequence[SeatVote]) -> Decision:
    """What the votes given so far decide. The order of the seats does not matter."""
    deciders = counted(seats)
    found = count(rule, deciders)
    if any(seat.power == Power.VETO and seat.vote == "reject" for seat in deciders):
        return Decision(Outcome.REJECTED, "A seat with a veto rejected it.")  # 1
    if deciders and all(seat.vote == "abstain" for seat in deciders):
        return Decision(Outcome.ESCALATE, "Everybody abstained: somebody has to decide.")  # 6
    if met(rule, found.approved, found.base) and not found.open_veto:
        return passed(deciders, f"{in_words(rule)}: met.")  # 2, 3
    if tie_broken(rule, found):
        return passed(deciders, "The votes stand equal or better and the deciding seat approved.")  # 5
    if not reachable(rule, found):
        return unreachable(rule, found)
    if any(seat.vote is None and not seat.fillable for seat in deciders):
        return Decision(Outcome.ESCALATE, "A seat has nobody who may take it.")  # 6
    if found.open_veto and met(rule, found.approved, found.base):
        return Decision(Outcome.PENDING, "Enough approvals; a seat with a veto has not voted yet.")  # 3
    return Decision(Outcome.PENDING, f"{in_words(rule)}: {found.approved} so far.")


def passed(deciders: Sequence[SeatVote], why: str) -> Decision:
    """Rule 7: conditions of any counted approval colour the outcome."""
    conditions = any(seat.vote == "approve" and seat.conditions for seat in deciders)
    return Decision(Outcome.CONDITIONS if conditions else Outcome.APPROVED, why)


def unreachable(rule: LevelRule, found: Count) -> Decision:
    """Rules 4 and 6: rejections end it, mere emptiness is somebody's business."""
    if found.rejected:
        return Decision(Outcome.REJECTED, f"{in_words(rule)}: can't be met any more.")
    return Decision(Outcome.ESCALATE, f"{in_words(rule)}: can't be met with the seats that are left, though nobody rejected.")


def in_words(rule: LevelRule) -> str:
    """The rule as a phrase."""
    match rule.kind:
        case "all":
            return "All must approve"
        case "any":
            return "Any one approval"
        case "count":
            return f"At least {rule.value} approvals"
        case "percent":
            return f"At least {rule.value}% of the votes"
        case "weight":
            return f"Approvals of weight {rule.value} or more"
    raise ValueError(f"unknown rule {rule.kind}")


# --- the round: levels by number ---


def outcome_of(states: Iterable[str]) -> Outcome:
    """The round's outcome from the states of its levels. No level at all decides nothing."""
    states = [state for state in states if state != "superseded"]
    if Outcome.REJECTED in states:
        return Outcome.REJECTED
    left = [state for state in states if state != "skipped"]
    if not left or not all(state in PASSED for state in left):
        return Outcome.PENDING
    return Outcome.CONDITIONS if Outcome.CONDITIONS in left else Outcome.APPROVED


def levels_to_open(levels: Sequence[tuple[int, str]]) -> list[int]:
    """Indexes of the waiting levels that open next, given `(number, state)` of each.

    Levels of one number run side by side; a number opens when every lower one is approved or skipped.
    """
    numbers = sorted({number for number, state in levels if state in ("open", "waiting")})
    if not numbers or any(state == Outcome.REJECTED for _, state in levels):
        return []
    return [index for index, (number, state) in enumerate(levels) if number == numbers[0] and state == "waiting"]


# --- choosing chains ---


def choose(chains: Sequence[Mapping[str, Any]], applies: Callable[[Mapping[str, Any]], bool], now: datetime) -> list[Mapping[str, Any]]:
    """The first active, valid, non-additive chain that applies, and every additive one, in order.

    `applies` answers for a condition. Without a chain of its own a change has none, whatever is added.
    """
    valid = sorted(
        (chain for chain in chains if in_force(chain, now) and applies(chain["applies_when"])), key=lambda chain: (chain["order"], chain["name"])
    )
    own = [chain for chain in valid if not chain["additive"]][:1]
    return own + [chain for chain in valid if chain["additive"]]


def in_force(chain: Mapping[str, Any], now: datetime) -> bool:
    """Active and within its dates: from `valid_from` up to, not including, `valid_to`."""
    start, end = chain["valid_from"], chain["valid_to"]
    return bool(chain["active"]) and (start is None or start <= now) and (end is None or now < end)


# --- who sits where ---


def seating(seats: Mapping[int, frozenset[str]]) -> dict[int, str]:
    """Give as many seats as possible a person each, nobody twice (augmenting paths).

    `seats` maps a seat to the persons who may take it; the answer maps the seats that can be taken.
    """
    taken: dict[str, int] = {}

    def place(seat: int, tried: set[str]) -> bool:
        for person in sorted(seats[seat] - tried):
            tried.add(person)
            if person not in taken or place(taken[person], tried):
                taken[person] = seat
                return True
        return False

    for seat in sorted(seats, key=lambda seat: (len(seats[seat]), seat)):
        place(seat, set())
    return {seat: person for person, seat in taken.items()}


def seat_for(person: str, seats: Mapping[int, frozenset[str]], powers: Mapping[int, str], *, vote: str) -> int | None:
    """The seat among the free ones that `person`'s vote counts at: the one with the strongest power.

    A rejection always takes the strongest. Other votes leave a seat to the only person who can fill it:
    they take the strongest seat that does not make another one impossible to fill.
    """
    mine = sorted((seat for seat in seats if person in seats[seat]), key=lambda seat: (STRENGTH[Power(powers[seat])], seat))
    if not mine or vote == "reject":
        return mine[0] if mine else None
    best = len(seating(seats))
    for seat in mine:
        others = {other: people - {person} for other, people in seats.items() if other != seat}
        if len(seating(others)) + 1 == best:
            return seat
    return mine[0]


# --- who stands in for whom ---

NARROWEST = ("change", "chain", "type", "org_unit", "all")


@dataclass(frozen=True, slots=True)
class Case:
    """What a delegation's scope is judged by: a level's chain, and type, org units (its own and those above) and number of the change."""

    chain: str
    type: str
    units: frozenset[str]
    number: str


def covers(kind: str, value: str, found: Case) -> bool:
    """Whether a delegation with this scope holds for the case."""
    match kind:
        case "all":
            return True
        case "chain":
            return value == found.chain
        case "type":
            return value == found.type
        case "org_unit":
            return value in found.units
        case "change":
            return value == found.number
    raise ValueError(f"unknown scope {kind}")


# --- the order of "my approvals" ---

RISK_ORDER = {"very_high": 0, "high": 1, "medium": 2, "low": 3}
PRIORITY_ORDER = {"critical": 0, "high": 1, "medium": 2, "low": 3}
TIME_LEFT = ((0, "late"), (8, "now"), (24, "today"), (72, "soon"))


def time_left(due_at: datetime | None, now: datetime) -> int:
    """How urgent a deadline is: 0 late, 1 under 8 hours, 2 under a day, 3 under three days, 4 later or none."""
    if due_at is None:
        return len(TIME_LEFT)
    hours = (due_at - now).total_seconds() / 3600
    return next((rank for rank, (limit, _) in enumerate(TIME_LEFT) if hours < limit), len(TIME_LEFT))


def queue_key(*, due_at: datetime | None, emergency: bool, risk: str | None, priority: str, opened_at: datetime, now: datetime) -> tuple[Any, ...]:
    """Sort key of "my approvals": time left (in five steps), emergencies first, risk, priority, age."""
    return (time_left(due_at, now), not emergency, RISK_ORDER.get(risk or "", 4), PRIORITY_ORDER.get(priority, 4), opened_at)
