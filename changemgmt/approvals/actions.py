"""Opening and closing rounds, questions in them, and putting chains into force.

The verbs in `lifecycle` call these with the change locked; `casting` holds the votes, `deciding` the levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from changemgmt.accounts.models import User
from changemgmt.audit.actions import record
from changemgmt.changes.digest import digest_of
from changemgmt.changes.models import Change
from changemgmt.conditions.rules import holds
from changemgmt.core.errors import UnmetGuard
from changemgmt.core.verdict import Guard
from changemgmt.deadlines.rules import resumed

from .carrying import carry_votes
from .carrying import place as place_of
from .casting import supersede
from .chains import check, draft_of, refuse
from .deciding import end, settle
from .eligibility import Asked, involved_persons
from .matching import chains_for, levels_of, seats_to_open, taken_back
from .models import Chain, InformationRequest, Round, RoundLevel, Seat, Vote

if TYPE_CHECKING:
    from changemgmt.conditions.rules import Facts

__all__ = ["activate", "answer_information", "ask_for_information", "close_round", "open_round", "settle"]

SETTINGS = (
    "applies_when",
    "sla_hours",
    "on_timeout",
    "expires_hours",
    "allow_conditions",
    "require_comment_on_reject",
    "require_signature",
    "allow_guests",
    "reminders",
)


def open_round(
    change: Change,
    *,
    facts: Facts,
    parts: Mapping[str, str],
    now: datetime,
    chains: Sequence[Mapping[str, Any]] | None = None,
    carry: bool = True,
    retrospective: bool = False,
) -> Round:
    """Open the next round of a locked change over its chains and bring it as far as the carried votes bring it.

    `parts` are the digests of the change's parts, its chain text included. Votes of the round before are carried
    where the watched parts are the same; all others fall. The answer can be decided already: see its `outcome`.
    """
    last = change.rounds.last()
    chains = list(chains) if chains is not None else chains_for(change, facts, now=now)
    if not any(holds(level["applies_when"], facts) for _, level in levels_of(chains)):
        raise UnmetGuard("No approval chain applies to this change.", guards=[Guard("chain_matched", "No approval chain applies to this change.")])
    carry = carry and last is not None and not taken_back(change, last)
    if last is not None and last.outcome == Round.Outcome.PENDING:
        end(last, Round.Outcome.WITHDRAWN, now=now)
    round = Round.objects.create(
        change=change,
        number=last.number + 1 if last else 1,
        version=change.version,
        chain=" + ".join(chain["name"] for chain in chains)[:200],
        chain_version=chains[0]["version"],
        snapshot=chains,
        parts=dict(parts),
        digest=digest_of(parts),
        retrospective=retrospective,
        opened_at=now,
    )
    add_levels(round, chains, facts, parts)
    if carry and last is not None:
        carry_votes(last, round)
    supersede_others(change, round, now=now)
    settle(round, now=now)
    return round


def add_levels(round: Round, chains: Sequence[Mapping[str, Any]], facts: Facts, parts: Mapping[str, str]) -> None:
    """The levels with their seats, all waiting; those whose condition does not hold are skipped."""
    involved = involved_persons(round.change)
    for position, (chain, level) in enumerate(levels_of(chains)):
        applies = holds(level["applies_when"], facts)
        row = RoundLevel.objects.create(
            round=round,
            position=position,
            number=level["number"],
            name=level["name"],
            state=RoundLevel.State.WAITING if applies else RoundLevel.State.SKIPPED,
            rule_kind=level["rule"]["kind"],
            rule_value=level["rule"]["value"],
            watches=level["watches"],
            digest=digest_of(parts, level["watches"]),
            settings={"chain": chain["name"], **{name: level[name] for name in SETTINGS}},
        )
        if applies:
            add_seats(row, seats_to_open(level, round.change, facts), involved)


def add_seats(row: RoundLevel, opened: Sequence[tuple[Mapping[str, Any], Asked]], involved: Mapping[str, str]) -> None:
    """The seats of a level with those who may take them. Where a change manager asked somebody else before, they are asked again."""
    kept = reassigned(row, involved)
    places = [
        kept.get((position, asked.label, slot["power"])) or Place(slot.get("group") or "", asked.people, asked.why[:300])
        for position, (slot, asked) in enumerate(opened)
    ]
    seats = Seat.objects.bulk_create(
        Seat(
            level=row,
            position=position,
            label=asked.label,
            power=slot["power"],
            weight=slot["weight"],
            group=place.group,
            explanation=place.why,
            reassigned_from=place.reassigned_from,
        )
        for position, ((slot, asked), place) in enumerate(zip(opened, places, strict=True))
    )
    taking = [(seat, user) for seat, place in zip(seats, places, strict=True) for user in place.people if user.person not in involved]
    Seat.people.through.objects.bulk_create(Seat.people.through(seat=seat, user=user) for seat, user in taking)


class Place(NamedTuple):
    """Whom a seat asks: a group or people, and why them."""

    group: str
    people: Sequence[User]
    why: str
    reassigned_from: str = ""


def reassigned(row: RoundLevel, involved: Mapping[str, str]) -> dict[tuple[int, str, str], Place]:
    """By position, label and power: where somebody else was asked at the same level of the round before, and may be asked still."""
    last = row.round.change.rounds.exclude(pk=row.round_id).last()
    before = (
        Seat.objects.filter(level__round=last, level__name=row.name).exclude(reassigned_from="").select_related("level").prefetch_related("people")
    )
    found = {}
    for seat in before if last else ():
        people = [user for user in seat.people.all() if user.is_active and user.person not in involved]
        if people and place_of(seat.level) == place_of(row):
            found[seat.position, seat.label, seat.power] = Place("", people, seat.explanation, seat.reassigned_from)
    return found


def close_round(round: Round, *, outcome: str, now: datetime, why: str = "") -> None:
    """End a round from outside (cancelled, taken back, expired): its open requests leave their queues at once."""
    end(round, outcome, now=now)
    if why:
        record(
            "approval.closed",
            actor="",
            object=f"change:{round.change.number}",
            change=round.change.number,
            now=now,
            data={"round": round.number, "why": why},
        )


def supersede_others(change: Change, round: Round, *, now: datetime) -> None:
    """Votes of earlier rounds that were not carried count no more."""
    went_on = Vote.objects.filter(level__round__change=change, carried_from__isnull=False).values("carried_from")
    earlier = Vote.objects.filter(level__round__change=change, superseded=False).exclude(level__round=round).exclude(pk__in=went_on)
    for vote in earlier.select_related("seat", "by", "level__round__change"):
        supersede(vote, f"What it covers changed with version {change.version}.", now=now)


# --- information ---


def ask_for_information(seat: Seat, *, by: User, question: str, now: datetime) -> InformationRequest:
    """A question that stops the round until it is answered."""
    return InformationRequest.objects.create(round=seat.level.round, seat=seat, asked_by=by, question=question, asked_at=now)


def answer_information(round: Round, *, by: User, answer: str, now: datetime) -> list[InformationRequest]:
    """Answer every open question; the open levels get back the time that passed meanwhile, but for one whose time was up."""
    asked = list(round.information_requests.filter(answered_at__isnull=True))
    paused_at = min((request.asked_at for request in asked), default=now)
    for request in asked:
        request.answered_by, request.answer, request.answered_at = by, answer, now
        request.save(update_fields=["answered_by", "answer", "answered_at"])
    for level in round.levels.filter(state=RoundLevel.State.OPEN):
        if level.due_at is not None:
            level.due_at = resumed(level.due_at, paused_at, now)
            level.save(update_fields=["due_at"])
    return asked


# --- chains ---


def switch_off(chain: Chain, *, by: User) -> None:
    """Configure a chain not to be used any more, whatever else is wrong with it. In force it stays until that is activated."""
    chain.active, chain.edited_by = False, by
    chain.save()


def activate(chain: Chain) -> dict[str, Any]:
    """Put the chain's configuration into force as its next version, if it is one that can be; rounds already open keep theirs."""
    draft = draft_of(chain)
    if chain.active:
        refuse(check(draft))
    chain.in_force, chain.version = draft, chain.version + 1
    chain.save()
    return draft
