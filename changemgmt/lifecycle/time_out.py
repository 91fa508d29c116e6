"""The clock of a level: reminders while it runs, and what is set for when nobody decided in time.

Each act looks at the level again with the change locked, so that coming twice, late or after the decision changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import manager_of
from changemgmt.approvals import casting, deciding, rules
from changemgmt.approvals.actions import settle
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Level, Power, RoundLevel, Seat, Vote
from changemgmt.approvals.queue import held
from changemgmt.approvals.sitting import able, candidates, current_votes, seat_open, sitters
from changemgmt.audit.actions import record
from changemgmt.changes.digest import digest_of, parts_of
from changemgmt.core.time import rfc3339
from changemgmt.deadlines.rules import reminders
from changemgmt.preview.queries import state_of

from .claim import end_links, end_rights
from .conclude import conclude
from .move import locked
from .rights import settle_rights

HIGHEST = 10
"""How many managers up the line are looked at."""


def locked_level(level_id: int) -> RoundLevel:
    """The level, its change locked."""
    number = RoundLevel.objects.values_list("round__change__number", flat=True).get(pk=level_id)
    change = locked(number, None)
    level = RoundLevel.objects.select_related("round").get(pk=level_id)
    level.round.change = change
    return level


def runs(level: RoundLevel) -> bool:
    """Whether its clock runs: it is open to votes, and no question stands."""
    return level.due_at is not None and not seat_open(Seat(level=level))


# --- reminders ---


def reminder_due(level: RoundLevel, now: datetime) -> int | None:
    """The newest percentage of the time given that has passed and nobody was reminded at; None before the first, and once the time is up."""
    if level.due_at is None or level.due_at <= now:
        return None
    hours = level.settings["sla_hours"]
    wanted = [percent for percent in level.settings.get("reminders") or () if level.reminded < percent < 100]
    passed = [percent for percent, at in reminders(level.due_at - timedelta(hours=hours), hours, wanted) if at <= now]
    return max(passed, default=None)


def remind(level_id: int, *, now: datetime) -> None:
    """Tell those whose vote is missing, and who stands in for them, that the time runs out: once for each percentage, after a pause only for the newest."""
    with transaction.atomic():
        level = locked_level(level_id)
        percent = reminder_due(level, now) if runs(level) else None
        if percent is None or level.due_at is None:
            return
        level.reminded = percent
        level.save(update_fields=["reminded"])
        told(level, "approval.reminded", now=now, data={"percent": percent, "due_at": rfc3339(level.due_at)})


def missing(level: RoundLevel, *, now: datetime) -> list[str]:
    """Usernames of those who may vote at a seat of the level that is still open, delegates among them, and have not."""
    seats = open_seats(level)
    votes = current_votes(level)
    done = {vote.person for vote in votes} | {vote.voice for vote in votes}
    involved = involved_persons(level.round.change)
    found = {one.user for people in sitters(seats, now=now).values() for one in able(people, involved) if not {one.user.person, one.voice} & done}
    return sorted(user.username for user in found)


def open_seats(level: RoundLevel) -> list[Seat]:
    seats = list(level.seats.filter(state=Seat.State.OPEN))
    for seat in seats:
        seat.level = level
    return seats


# --- the time is up ---


def time_out(level_id: int, *, now: datetime) -> None:
    """Do what is set for a level whose time is up, once. Where that gave others their time, and it is up too, those above are told."""
    with transaction.atomic():
        level = locked_level(level_id)
        if not runs(level) or not time_is_up(level, now):
            return
        wanted = level.settings.get("on_timeout") if level.timed_out_at is None else Level.OnTimeout.ESCALATE
        level.timed_out_at = now
        level.save(update_fields=["timed_out_at"])
        match wanted:
            case Level.OnTimeout.APPROVE:
                consent(level, now=now)
            case Level.OnTimeout.REJECT:
                turn_down(level, now=now)
            case Level.OnTimeout.REASSIGN:
                reassign(level, now=now)
            case _:
                escalate(level, f"It was to be decided within {given(level)}.", now=now)


def time_is_up(level: RoundLevel, now: datetime) -> bool:
    """Whether the time given has passed and nothing was done about it yet."""
    return level.due_at is not None and level.due_at <= now and (level.timed_out_at is None or level.timed_out_at < level.due_at)


def given(level: RoundLevel) -> str:
    hours = level.settings["sla_hours"]
    return f"{hours} hour{'s' if hours != 1 else ''}"


def escalate(level: RoundLevel, why: str, *, now: datetime) -> None:
    """Those above the people who have not voted, and the change managers, are told. It stays open."""
    told(level, "approval.timed_out", now=now, data={"done": "escalate", "why": why})


def turn_down(level: RoundLevel, *, now: datetime) -> None:
    """The level is rejected by its clock."""
    why = f"Nobody decided it within {given(level)}, and its chain says that this rejects it."
    told(level, "approval.timed_out", now=now, data={"done": "reject", "why": why})
    deciding.decide_otherwise(level, approve=False, why=why, now=now)
    carry_out(level, now=now)


def carry_out(level: RoundLevel, *, now: datetime) -> None:
    """What the level that was decided means for its round and its change."""
    round = level.round
    settle(round, now=now)
    conclude(round.change, round, now=now)
    settle_rights(round.change, now=now)


# --- silent consent ---


def consent(level: RoundLevel, *, now: datetime) -> None:
    """The level is approved by silence where that is no risk and nobody spoke against it; else those above are told."""
    against = against_consent(level, now=now)
    if against:
        escalate(level, f"It is not approved by silence: {against}", now=now)
        return
    why = f"Nobody objected within {given(level)}; at low risk its chain takes that for consent."
    rule = rules.in_words(rules.LevelRule(level.rule_kind, level.rule_value))
    told(level, "approval.silent_consent", now=now, data={"why": why, "rule": rule, "risk": "low", "digest": level.digest})
    deciding.decide_otherwise(level, approve=True, why=why, now=now)
    carry_out(level, now=now)


def against_consent(level: RoundLevel, *, now: datetime) -> str:
    """Why silence approves nothing here, or nothing. A veto that was not heard holds, and silence counts only where somebody could have spoken."""
    deciding.drop_lost_votes(level, now=now)
    change, votes = level.round.change, deciding.seat_votes(level)
    waiting = [vote for vote in rules.counted(votes) if vote.vote is None]
    if level.round.retrospective:
        return "what ran on a go-ahead is judged by people."
    if change.risk_level != "low" or state_of(change) != "ready":
        return f"its risk is {change.get_risk_level_display() or 'not assessed'} now." if state_of(change) == "ready" else "its preview is not ready."
    if digest_of(parts_of(change), level.watches) != level.digest:
        return "its content moved."
    if any(vote.vote == Vote.Kind.REJECT for vote in votes):
        return "somebody rejected it."
    if any(vote.power == Power.VETO for vote in waiting):
        return "a seat with a veto has not voted."
    if not waiting or any(not vote.fillable for vote in waiting):
        return "there was nobody who could have objected."
    if any(held(seat, now) for seat in open_seats(level)):
        return "somebody claimed a vote, which kept it from the others."
    return ""


# --- asking others ---


def reassign(level: RoundLevel, *, now: datetime) -> None:
    """The open seats ask the managers of those whom they asked, who get the same time again. Where nobody is found, those above are told, with an alarm."""
    seats = open_seats(level)
    bosses = {seat.pk: managers_for(seat, sitting(level)) for seat in seats}
    fitting = rules.seating({pk: frozenset(boss.person for boss in found) for pk, found in bosses.items()})
    left = [seat.label for seat in seats if seat.pk not in fitting]
    moved = [asked_instead(seat, bosses[seat.pk], now=now) for seat in seats if seat.pk in fitting]
    if moved:
        level.due_at, level.reminded = now + timedelta(hours=level.settings["sla_hours"]), 0
        level.save(update_fields=["due_at", "reminded"])
        names = sorted({name for row in moved for name in row["to"]})
        why = f"It was to be decided within {given(level)}."
        told(level, "approval.reassigned", now=now, data={"why": why, "seats": moved, "asked": names, "due_at": rfc3339(level.due_at)})
    if left or not moved:
        why = f"Nobody above those who were asked may take {', '.join(f'“{label}”' for label in left) or 'a seat'}."
        escalate(level, why, now=now)
        deciding.escalate(level, why, now=now)
    carry_out(level, now=now)


def sitting(level: RoundLevel) -> set[str]:
    """The persons who sit at the level already: who voted there, and whom another seat of it asks by name."""
    votes = current_votes(level)
    named = Seat.people.through.objects.filter(seat__level=level).values_list("user__identity_id", "user_id")
    asked = {f"identity:{identity}" if identity else f"user:{user}" for identity, user in named}
    return {vote.person for vote in votes} | {vote.voice for vote in votes} | asked


def managers_for(seat: Seat, taken: Collection[str]) -> list[User]:
    """The nearest managers of those whom the seat asks, who may vote themselves and sit nowhere at the level."""
    involved = involved_persons(seat.level.round.change)
    asked = candidates([seat])[seat.pk] or seat.people.all()
    found = {boss.pk: boss for user in asked if (boss := nearest(line_above(user), involved, taken)) is not None}
    return sorted(found.values(), key=lambda boss: boss.username)


def line_above(user: User) -> Iterator[User]:
    """The managers of a person, the nearest first."""
    for steps in range(1, HIGHEST + 1):
        boss = manager_of(user, steps)
        if boss is None:
            return
        yield boss


def nearest(line: Iterable[User], involved: Collection[str], taken: Collection[str]) -> User | None:
    fit = (boss for boss in line if not boss.is_service and not boss.is_guest and boss.person not in involved and boss.person not in taken)
    return next(fit, None)


def asked_instead(seat: Seat, people: list[User], *, now: datetime) -> dict[str, Any]:
    """The seat asks these people from now on; answers what the record keeps of that."""
    asked = list(seat.people.order_by("username"))
    before = seat.group or ", ".join(user.username for user in asked)
    end_links(seat, now=now)
    seat.reassigned_from = (seat.reassigned_from or before or "nobody")[:300]
    seat.explanation = f"asked instead of {seat.reassigned_from}, who did not decide in time"[:300]
    seat.group, seat.claimed_by, seat.claimed_until = "", None, None
    seat.save(update_fields=["reassigned_from", "explanation", "group", "claimed_by", "claimed_until"])
    seat.people.set(people)
    casting.open_seat(seat)
    end_rights([user.pk for user in asked], seat)
    return {"seat": seat.pk, "label": seat.label, "from": before, "to": [user.username for user in people]}


def told(level: RoundLevel, action: str, *, now: datetime, data: dict[str, Any]) -> None:
    """The event of an act of the clock: the system's own."""
    round = level.round
    change = round.change
    about = {
        "round": round.number,
        "level": level.name,
        "level_id": level.pk,
        "on_timeout": level.settings.get("on_timeout"),
        "asked": missing(level, now=now),
    }
    record(action, actor="", object=f"change:{change.number}", change=change.number, now=now, data=about | data)
