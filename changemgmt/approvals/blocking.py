"""What keeps a change from going on, as far as its approval is concerned: the rule, the facts, who can clear it.

It asks what the vote itself asks (`sitting`), so that whoever is named here is let in there, and nobody else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from changemgmt.accounts.queries import people_with_role, usernames_with_role
from changemgmt.changes.models import Change, State
from changemgmt.core.reading import once
from changemgmt.preview.queries import state_of

from . import rules
from .conditions import unmet
from .eligibility import involved_persons
from .models import ActionItem, Level, Power, Round, RoundLevel, Seat
from .queue import held
from .shapes import questions_of, round_of
from .sitting import able, candidates, claimed_away, sitters
from .standing import Sitter

BY_ITSELF = (Level.OnTimeout.APPROVE, Level.OnTimeout.REJECT)
"""What a level does when its time is over that decides it."""


@once
def blockers_of(change: Change, now: datetime | None = None) -> list[dict[str, Any]]:
    """Every blocker of the approval and of the conditions that came with it; empty when nothing waits."""
    round = round_of(change)
    found = []
    if round is not None and round.outcome == Round.Outcome.PENDING:
        found += preview_blockers(change) + information_blockers(round, change) + level_blockers(round, change, now)
    if round is not None and round.outcome == Round.Outcome.REJECTED and change.state == State.REJECTED:
        found.append(
            blocker("It was rejected.", "A rejected change goes back to draft before it is submitted again.", [], [change.requester.username])
        )
    return found + condition_blockers(change)


def blocker(what: str, rule: str, facts: list[str], who: list[str], clears_at: datetime | None = None) -> dict[str, Any]:
    return {"what": what, "rule": rule, "facts": facts, "who_can_clear": who, "clears_at": clears_at}


def preview_blockers(change: Change) -> list[dict[str, Any]]:
    state = state_of(change)
    if state == "ready":
        return []
    return [
        blocker("The preview is not finished.", "Votes are taken only on a finished preview.", [f"preview: {state}"], [change.requester.username])
    ]


def information_blockers(round: Round, change: Change) -> list[dict[str, Any]]:
    people = sorted({change.requester.username, *([change.owner.username] if change.owner else [])})
    return [
        blocker("Information is requested.", "Nobody votes while a question is open.", [f"{row.asked_by.username}: {row.question}"], people)
        for row in questions_of(round)
        if row.answered_at is None
    ]


def level_blockers(round: Round, change: Change, now: datetime | None) -> list[dict[str, Any]]:
    """One per open level: who still has to vote. And one per seat of it that nobody can take."""
    levels = [level for level in round.levels.all() if level.state == RoundLevel.State.OPEN]
    seats = [seat for level in levels for seat in open_seats_of(level, round)]
    if not seats:
        return []
    involved = involved_persons(change)
    everybody = sitters(seats, now=now) if now else {pk: [Sitter(user) for user in people] for pk, people in candidates(seats).items()}
    fit = {seat.pk: fit_for(seat, able(everybody[seat.pk], involved)) for seat in seats}
    return [row for level in levels for row in blockers_at(level, fit, change, now)]


def open_seats_of(level: RoundLevel, round: Round) -> list[Seat]:
    """The seats whose votes the level waits for."""
    seats = [seat for seat in level.seats.all() if seat.state == Seat.State.OPEN and seat.power != Power.ADVISORY]
    level.round = round
    for seat in seats:
        seat.level = level
    return seats


def fit_for(seat: Seat, people: list[Sitter]) -> list[Sitter]:
    """Those who have not spoken at the seat's level, themselves or through somebody."""
    spoken = {key for vote in seat.level.votes.all() if not vote.superseded for key in (vote.person, vote.voice)}
    return [one for one in people if one.voice not in spoken and one.user.person not in spoken]


def blockers_at(level: RoundLevel, fit: dict[int, list[Sitter]], change: Change, now: datetime | None) -> list[dict[str, Any]]:
    seats = open_seats_of(level, level.round)
    if not seats:
        return []
    empty = [
        blocker(
            f"Nobody can take the vote “{seat.label}” of the level “{level.name}”.",
            "A vote that nobody can take never passes: somebody else has to be asked.",
            [seat.explanation] if seat.explanation else [],
            judges(change),
        )
        for seat in seats
        if not fit[seat.pk]
    ]
    waiting = [seat for seat in seats if fit[seat.pk]]
    who = {one.user.username for seat in waiting for one in free_of_claims(seat, fit[seat.pk], now)}
    who |= set(usernames_with_role("change_manager")) if any(now and held(seat, now) for seat in waiting) else set()
    facts = [f"{seat.label}: {words_of(seat, fit[seat.pk], now)}" for seat in seats]
    words = rules.in_words(rules.LevelRule(level.rule_kind, level.rule_value))
    clears_at = level.due_at if level.settings.get("on_timeout") in BY_ITSELF else None
    what = f"The level “{level.name}” is not decided."
    return [blocker(what, f"{words}. A seat with a veto has to be heard.", facts, sorted(who) or judges(change), clears_at), *empty]


def free_of_claims(seat: Seat, people: list[Sitter], now: datetime | None) -> list[Sitter]:
    """Those who may vote at it now: a claimed seat takes its claimer's vote alone."""
    return [one for one in people if now is None or not claimed_away(seat, {one.user.person, one.voice}, now=now)]


def words_of(seat: Seat, people: list[Sitter], now: datetime | None) -> str:
    """Who may take the seat, who for whom, and who claimed it."""
    asked = ", ".join(f"{one.user.username} for {one.on_behalf_of.username}" if one.on_behalf_of else one.user.username for one in people)
    claim = (
        f" (claimed by {seat.claimed_by.username} until {seat.claimed_until:%d %b, %H:%M} UTC)" if now and held(seat, now) and seat.claimed_by else ""
    )
    moved = f" (instead of {seat.reassigned_from})" if seat.reassigned_from else ""
    return f"{asked or 'nobody may take it'}{claim}{moved}"


def judges(change: Change) -> list[str]:
    """Change managers who may ask somebody else: those without a part in the change."""
    involved = involved_persons(change)
    return [user.username for user in people_with_role("change_manager") if user.person not in involved]


@once
def conditions_of(change: Change) -> list[ActionItem]:
    """Every condition of the change with its people."""
    return list(change.action_items.select_related("owner", "set_by", "closed_by", "vote"))


def condition_blockers(change: Change) -> list[dict[str, Any]]:
    items = [item for item in conditions_of(change) if unmet(item)]
    return [
        blocker(
            f"A condition is not met: {item.text}",
            f"It has to be done {item.get_due_display()}.",
            [f"{item.get_state_display()}; owner {item.owner.username}; set by {item.set_by.username}"],
            who_clears(item),
        )
        for item in items
    ]


def who_clears(item: ActionItem) -> list[str]:
    """Its owner until evidence is there; then those who may accept it, who did not give it themselves, and who set it, who may waive it too."""
    if not item.evidence:
        return [item.owner.username]
    gave = {entry["by"] for entry in item.evidence}
    return sorted(set(usernames_with_role("change_manager")) - gave - {item.owner.username} | {item.set_by.username})
