"""Bringing a round as far as its votes bring it: levels open, are decided and close, and with the last the round."""

from __future__ import annotations

from datetime import datetime, timedelta

from changemgmt.audit.actions import record

from . import rules
from .casting import end_rights, open_seat, open_seats, supersede
from .eligibility import involved_persons
from .models import Power, Round, RoundLevel, Seat
from .sitting import current_votes, eligible, still_good


def settle(round: Round, *, now: datetime) -> None:
    """Open what is to be open, decide what is decided, until nothing moves; then write the round's outcome."""
    for _ in range(round.levels.count() + 1):
        opened = open_next(round, now=now)
        decided = [decide(level, now=now) for level in round.levels.filter(state=RoundLevel.State.OPEN)]
        if not opened and not any(decided):
            break
    outcome = rules.outcome_of(round.levels.values_list("state", flat=True))
    if outcome != rules.Outcome.PENDING and round.outcome == Round.Outcome.PENDING:
        round.expires_at = min((moment for moment in round.levels.values_list("expires_at", flat=True) if moment), default=None)
        round.save(update_fields=["expires_at"])
        end(round, outcome, now=now)


def end(round: Round, outcome: str, *, now: datetime) -> None:
    """Close what is open or waiting and write the outcome."""
    open_levels = round.levels.filter(state__in=[RoundLevel.State.OPEN, RoundLevel.State.WAITING])
    for level in open_levels:
        close_seats(level)
    open_levels.update(state=RoundLevel.State.SUPERSEDED)
    round.outcome, round.decided_at = outcome, now
    round.save(update_fields=["outcome", "decided_at"])


def open_next(round: Round, *, now: datetime) -> list[RoundLevel]:
    """Open the levels whose turn it is."""
    levels = list(round.levels.all())
    opened = [levels[index] for index in rules.levels_to_open([(level.number, level.state) for level in levels])]
    for level in opened:
        level.state, level.opened_at = RoundLevel.State.OPEN, now
        level.due_at = now + timedelta(hours=level.settings["sla_hours"])
        level.save(update_fields=["state", "opened_at", "due_at"])
        open_seats(level.seats.filter(state=Seat.State.WAITING), round.change)
        record(
            "approval.level_opened", actor="", object=f"change:{round.change.number}", change=round.change.number, now=now,
            data={"round": round.number, "level": level.name, "level_id": level.pk},
        )  # fmt: skip
    return opened


def close_seats(level: RoundLevel) -> None:
    """The open requests of a level leave their queues, and the right to vote goes from those whom no open level asks any more."""
    change = level.round.change
    level.seats.filter(state__in=[Seat.State.OPEN, Seat.State.WAITING]).update(state=Seat.State.CLOSED)
    asked = Seat.objects.filter(level__round__change=change, state=Seat.State.OPEN, people__isnull=False).values_list("people", flat=True)
    here = level.seats.filter(people__isnull=False).values_list("people", flat=True)
    end_rights(set(here) - set(asked), change)


def decide(level: RoundLevel, *, now: datetime) -> bool:
    """Recompute a level from all votes that count at this moment; True when that ended it."""
    drop_lost_votes(level, now=now)
    decision = rules.tally(rules.LevelRule(level.rule_kind, level.rule_value), seat_votes(level))
    if decision.outcome == rules.Outcome.ESCALATE:
        escalate(level, decision.why, now=now)
    if decision.outcome not in rules.ENDED:
        return False
    since = max((vote.at for vote in current_votes(level)), default=now)
    finish(level, decision.outcome, why=decision.why, since=since, now=now)
    return True


def finish(level: RoundLevel, outcome: rules.Outcome, *, why: str, since: datetime, now: datetime) -> None:
    """Write what a level came to. Its approval, where it expires, counts from `since`; what is decided is not counted again."""
    level.state, level.decided_at = outcome, now
    hours = level.settings.get("expires_hours")
    level.expires_at = since + timedelta(hours=hours) if hours and outcome in rules.PASSED else None
    level.save(update_fields=["state", "decided_at", "expires_at"])
    close_seats(level)
    record(
        "approval.level_decided", actor="", object=f"change:{level.round.change.number}", change=level.round.change.number, now=now,
        data={"round": level.round.number, "level": level.name, "level_id": level.pk, "outcome": str(outcome), "why": why},
    )  # fmt: skip


def decide_otherwise(level: RoundLevel, *, approve: bool, why: str, now: datetime) -> None:
    """Decide a level by something else than its votes: an override, its clock, a condition that expired. The votes stay on record.

    Conditions of counted approvals stay obligations, so they colour this approval too. `settle` and `conclude` follow.
    """
    outcome = rules.passed(rules.counted(seat_votes(level)), why).outcome if approve else rules.Outcome.REJECTED
    finish(level, outcome, why=why, since=now, now=now)


def drop_lost_votes(level: RoundLevel, *, now: datetime) -> None:
    """Membership is judged again: a vote of somebody who may not sit there any more falls, its seat is open again."""
    seats = {seat.pk: seat for seat in level.seats.all()}
    involved = involved_persons(level.round.change)
    able = eligible(seats.values(), involved)
    for vote in current_votes(level):
        if not still_good(vote, able[vote.seat_id], involved):
            supersede(vote, "Its voter may not take this seat any more.", now=now)
            reopen_seat(seats[vote.seat_id])


def reopen_seat(seat: Seat) -> None:
    if seat.level.state == RoundLevel.State.OPEN:
        open_seat(seat)


def seat_votes(level: RoundLevel) -> list[rules.SeatVote]:
    """The seats of a level as the tally counts them; an open seat is fillable while somebody who has not voted may take it."""
    votes = {vote.seat_id: vote for vote in current_votes(level)}
    seats = list(level.seats.all())
    able = eligible([seat for seat in seats if seat.pk not in votes], involved_persons(level.round.change))
    voted = {vote.voice for vote in votes.values()}
    free = {pk: frozenset(user.person for user in people) - voted for pk, people in able.items()}
    taken = rules.seating({seat.pk: free[seat.pk] for seat in seats if seat.pk in free and seat.power != Power.ADVISORY})
    return [
        rules.SeatVote(
            power=seat.power,
            weight=seat.weight,
            vote=votes[seat.pk].vote if seat.pk in votes else None,
            conditions=bool(seat.pk in votes and votes[seat.pk].conditions),
            person=votes[seat.pk].person if seat.pk in votes else "",
            fillable=seat.pk in taken,
        )
        for seat in seats
    ]


def escalate(level: RoundLevel, why: str, *, now: datetime) -> None:
    """Say once that somebody has to look at this level: it does not decide itself."""
    if level.escalated_at is not None:
        return
    level.escalated_at = now
    level.save(update_fields=["escalated_at"])
    change = level.round.change
    record(
        "approval.no_approver",
        actor="",
        object=f"change:{change.number}",
        change=change.number,
        now=now,
        data={"level": level.name, "level_id": level.pk, "why": why},
    )
