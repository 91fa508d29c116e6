"""Who takes a vote that several could give: claimed by one of a group, released again, or given to somebody else by a change manager."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.approvals import casting, rules
from changemgmt.approvals.deciding import settle
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Guest, MailLink, Power, Round, RoundLevel, Seat
from changemgmt.approvals.sitting import can_vote, current_votes, eligible
from changemgmt.approvals.standing import delegators_of
from changemgmt.audit.actions import Personal, record
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible
from changemgmt.core.text import given_text
from changemgmt.core.verdict import YES, Verdict

from .conclude import conclude
from .rights import settle_rights
from .vote import locked_seat

LONGEST = 2_000
MOVABLE = (Seat.State.WAITING, Seat.State.OPEN)


# --- claiming ---


def claim_seat(seat_id: int, *, actor: User, now: datetime) -> Seat:
    """Take a group's open vote for oneself for `CLAIM_HOURS`; claimed again by the same person, the time begins anew."""
    with transaction.atomic():
        seat = locked_seat(seat_id, actor)
        may_claim(seat, actor=actor, now=now).enforce()
        seat.claimed_by, seat.claimed_until = actor, now + timedelta(hours=settings.CLAIM_HOURS)
        seat.save(update_fields=["claimed_by", "claimed_until"])
        told(seat, "seat.claimed", actor=actor, now=now, data={"until": seat.claimed_until.isoformat()})
    return seat


def may_claim(seat: Seat, *, actor: User, now: datetime) -> Verdict:
    """Whoever may vote at it now, where it asks a group and they hold no other claim or vote at its level."""
    verdict = can_vote(seat, actor=actor, now=now)
    if not verdict.allowed:
        return verdict
    if not seat.group:
        return Verdict(impossible="Only a vote that is asked of a group is claimed: this one is asked by name.")
    if seat.state != Seat.State.OPEN:
        return Verdict(impossible="This vote is given already.")
    if held_by(seat, now) not in (None, actor):
        return Verdict(impossible=f"{held_by(seat, now)} claimed this vote.")
    if any(vote.person == actor.person for vote in current_votes(seat.level)):
        return Verdict(impossible="You have voted at this level: one person fills one seat.")
    others = seat.level.seats.filter(claimed_by=actor, claimed_until__gt=now, state=Seat.State.OPEN).exclude(pk=seat.pk)
    return Verdict(impossible="You have claimed another vote of this level: one person fills one seat.") if others.exists() else YES


def held_by(seat: Seat, now: datetime) -> User | None:
    """Who holds a claim on the seat now."""
    claimer = seat.claimed_by
    return claimer if claimer and claimer.is_active and seat.claimed_until and seat.claimed_until > now else None


def release_seat(seat_id: int, *, actor: User, now: datetime) -> Seat:
    """Give a claimed vote back to its group."""
    with transaction.atomic():
        seat = locked_seat(seat_id, actor)
        may_release(seat, actor=actor, now=now).enforce()
        claimer = seat.claimed_by
        seat.claimed_by = seat.claimed_until = None
        seat.save(update_fields=["claimed_by", "claimed_until"])
        told(seat, "seat.released", actor=actor, now=now, data={"claimer": claimer.username if claimer else ""})
    return seat


def may_release(seat: Seat, *, actor: User, now: datetime) -> Verdict:
    """Who claimed it, or a change manager."""
    holder = held_by(seat, now)
    mine = holder is not None and holder.person == actor.person
    if not mine and not has_role(actor, "change_manager"):
        return Verdict(refusal="Only who claimed this vote or a change manager may release it.")
    return YES if holder else Verdict(impossible="Nobody has claimed this vote.")


# --- giving it to somebody else ---


def reassign_seat(seat_id: int, *, actor: User, now: datetime, to: str, reason: str = "") -> Seat:
    """Ask `to` (a username) at this seat instead of whom the chain asked. Links, guests and claims of the seat end with it."""
    with transaction.atomic():
        seat = locked_seat(seat_id, actor)
        may_reassign(seat, actor=actor).enforce()
        there = person_named(to)
        why = given_text(reason, "reason", LONGEST)
        check_seat(seat)
        check_target(seat, there, actor=actor, now=now)
        before = hand_over(seat, there, now=now)
        seat.level.escalated_at = None
        seat.level.save(update_fields=["escalated_at"])
        data = {"to": there.username, "from": before, "reason": Personal(why)}
        told(seat, "seat.reassigned", actor=actor, now=now, data=data)
        change, round = seat.level.round.change, seat.level.round
        settle(round, now=now)
        conclude(change, round, now=now, actor=actor)
        settle_rights(change, now=now)
    return seat


def may_reassign(seat: Seat, *, actor: User) -> Verdict:
    """A change manager who has no part in the change; only whether this person may, not whether the seat can be moved."""
    if actor.is_service or not has_role(actor, "change_manager"):
        return Verdict(refusal="Only a change manager may ask somebody else.")
    part = involved_persons(seat.level.round.change).get(actor.person)
    return Verdict(refusal=f"You can't choose who votes on this change: you (or another account of yours) {part}.") if part else YES


def can_reassign(seat: Seat, *, actor: User) -> Verdict:
    """`may_reassign`, and whether the seat can be moved now."""
    verdict = may_reassign(seat, actor=actor)
    return verdict if verdict.refusal else Verdict(impossible=fixed_because(seat))


def fixed_because(seat: Seat) -> str:
    """Why nobody else can be asked at this seat any more, or nothing."""
    level = seat.level
    if level.round.outcome != Round.Outcome.PENDING or level.state not in (RoundLevel.State.OPEN, RoundLevel.State.WAITING):
        return "Its level is decided: nobody is asked any more."
    if seat.state not in MOVABLE:
        return f"This vote is {seat.get_state_display()}: it can't be given to somebody else."
    return ""


def check_seat(seat: Seat) -> None:
    """409: a seat that is voted or closed, or a level that is over."""
    Verdict(impossible=fixed_because(seat)).enforce()


def person_named(to: Any) -> User:
    """400: a person who can vote at all."""
    if not isinstance(to, str) or not to.strip() or len(to) > 150 or "\x00" in to:
        raise Invalid.field("to", "Name the person who is to be asked.")
    there = User.objects.filter(username=to.strip(), is_active=True, is_guest=False).first()
    if there is None:
        raise Invalid.field("to", "There is no active person of this name.")
    if there.is_service:
        raise Invalid.field("to", "A service account can never vote.")
    return there


def check_target(seat: Seat, there: User, *, actor: User, now: datetime) -> None:
    """403 for one's own gain, 409 for a person who can't sit there or a seat that would empty another."""
    if there.person == actor.person:
        raise NotPermitted("You can't ask yourself: another change manager has to.")
    if any(there.pk in delegators_of(account, now) for account in accounts_of(actor)):
        raise NotPermitted(f"You stand in for {there.display_name}: another change manager has to ask them.")
    part = involved_persons(seat.level.round.change).get(there.person)
    if part:
        raise NotPossible(f"{there.display_name} can't vote on this change: they {part}.")
    if any(there.person in (vote.person, vote.voice) for vote in current_votes(seat.level)):
        raise NotPossible(f"{there.display_name} has voted at this level: one person fills one seat.")
    if not seat.group and list(seat.people.values_list("pk", flat=True)) == [there.pk]:
        raise NotPossible(f"{there.display_name} is asked at this seat already.")
    check_others(seat, there)


def accounts_of(actor: User) -> list[User]:
    """Every account of this human being."""
    return list(User.objects.filter(identity=actor.identity_id)) if actor.identity_id else [actor]


def check_others(seat: Seat, there: User) -> None:
    """409: the level's other open seats would have one person less than they need."""
    rest = list(seat.level.seats.filter(state__in=MOVABLE).exclude(power=Power.ADVISORY).exclude(pk=seat.pk))
    for one in rest:
        one.level = seat.level
    voted = {vote.voice for vote in current_votes(seat.level)}
    able = eligible(rest, involved_persons(seat.level.round.change))
    people = {pk: frozenset(user.person for user in found) - voted for pk, found in able.items()}
    alone, beside = rules.seating(people), rules.seating({**people, seat.pk: frozenset({there.person})})
    if len(beside) <= len(alone):
        raise NotPossible(f"{there.display_name} is the only one left for another vote of this level: one person fills one seat.")


def hand_over(seat: Seat, there: User, *, now: datetime) -> str:
    """The seat asks this person alone from now on; answers whom it asked before, in words."""
    asked = list(seat.people.order_by("username"))
    before = seat.group or ", ".join(user.username for user in asked)
    end_links(seat, now=now)
    seat.reassigned_from = (seat.reassigned_from or before or "nobody")[:300]
    seat.explanation = f"asked instead of {seat.reassigned_from}"[:300]
    seat.group, seat.claimed_by, seat.claimed_until = "", None, None
    seat.save(update_fields=["reassigned_from", "explanation", "group", "claimed_by", "claimed_until"])
    seat.people.set([there])
    if seat.state == Seat.State.OPEN:
        casting.open_seat(seat)
    end_rights([user.pk for user in asked], seat)
    return before


def end_links(seat: Seat, *, now: datetime) -> None:
    """What was sent out for this seat leads nowhere any more."""
    MailLink.objects.filter(seat=seat, used_at=None, revoked_at=None).update(revoked_at=now)
    Guest.objects.filter(seat=seat, revoked_at=None).update(revoked_at=now)


def end_rights(people: Collection[int], seat: Seat) -> None:
    """The right to vote goes from those whom no open seat of the change asks any more."""
    change = seat.level.round.change
    asked = Seat.objects.filter(level__round__change=change, state=Seat.State.OPEN, people__in=people).values_list("people", flat=True)
    casting.end_rights(set(people) - set(asked), change)


def told(seat: Seat, action: str, *, actor: User, now: datetime, data: dict[str, Any]) -> None:
    """The event of an act at a seat."""
    level = seat.level
    change = level.round.change
    about = {"round": level.round.number, "level": level.name, "level_id": level.pk, "seat": seat.pk, "label": seat.label}
    record(action, actor=actor.username, object=f"change:{change.number}", change=change.number, now=now, data=about | data)
