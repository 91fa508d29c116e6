"""Guests: somebody without an account is asked at one seat, by a link and a code over a second channel. Expiring, and revocable at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.approvals import guests, links
from changemgmt.approvals.actions import settle
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Guest, Round, RoundLevel, Seat
from changemgmt.audit.actions import Personal, record
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotFound, NotPossible
from changemgmt.core.verdict import Verdict

from . import may
from .conclude import conclude
from .move import locked
from .rights import settle_rights

ASKED = (Seat.State.OPEN, Seat.State.WAITING)
RUNNING = (RoundLevel.State.OPEN, RoundLevel.State.WAITING)


def may_invite(change: Change, *, actor: User) -> Verdict:
    """The owner or a change manager, who has no part in the change."""
    if actor.is_service:
        return Verdict(refusal="A service account can't choose who votes.")
    if refusal := may.owner_or_manager(actor, change):
        return Verdict(refusal=refusal)
    part = involved_persons(change).get(actor.person)
    return Verdict(refusal=f"You can't choose who votes on this change: you (or another account of yours) {part}." if part else "")


def invite_guest(number: str, *, actor: User, now: datetime, seat: Any, name: Any, email: Any, second_channel: Any) -> Guest:
    """Ask somebody without an account at an open or waiting seat of a level that allows guests. The event sends the links.

    400 for an address that belongs to an account, 403 for who may not choose, 409 where the seat takes no guest.
    """
    with transaction.atomic():
        change = locked(number, actor)
        may_invite(change, actor=actor).enforce()
        given = guests.name_given(name)
        mail = guests.mail_given(email, "email")
        channel = guests.channel_given(second_channel, mail)
        check_strangers(mail, channel)
        there = seat_of(change, seat)
        Verdict(impossible=closed_to_guests(there)).enforce()
        forget_expired(there, mail, now=now)
        guest = Guest.objects.create(
            seat=there,
            user=guests.user_for(mail, given),
            name=given,
            email=mail,
            second_channel=channel,
            invited_by=actor,
            invited_at=now,
            expires_at=now + links.LIFE,
        )
        settle_rights(change, now=now)
        told(guest, "guest.invited", actor=actor, now=now)
        after(change, there, now=now, actor=actor)
    return guest


def check_strangers(mail: str, channel: str) -> None:
    """400: whoever has an account is asked with it, and no account's address carries a guest's code."""
    if guests.account_with(mail):
        raise Invalid.field("email", "Somebody with an account has this address: ask the account instead.")
    if "@" in channel and guests.account_with(channel):
        raise Invalid.field("second_channel", "This address belongs to an account: the code has to go to the guest.")


def seat_of(change: Change, seat: Any) -> Seat:
    """The seat of this change with this id; 400 for anything else."""
    whole = isinstance(seat, int) and not isinstance(seat, bool) and 0 < seat < 2**63
    found = Seat.objects.select_related("level__round__change").filter(pk=seat, level__round__change=change).first() if whole else None
    if found is None:
        raise Invalid.field("seat", "This change has no such seat.")
    found.level.round.change = change
    return found


def closed_to_guests(seat: Seat) -> str:
    """Why nobody can be invited to this seat now, or nothing."""
    level = seat.level
    if not level.settings.get("allow_guests"):
        return f"The level “{level.name}” takes no guests."
    if level.round.outcome != Round.Outcome.PENDING or level.state not in RUNNING:
        return f"The level “{level.name}” is {level.get_state_display()}: nobody is asked any more."
    if seat.state not in ASKED:
        return f"This seat is {seat.get_state_display()}."
    return ""


def forget_expired(seat: Seat, mail: str, *, now: datetime) -> None:
    """Make room for a new invitation of the same mailbox; NotPossible while an earlier one is good."""
    for earlier in Guest.objects.filter(seat=seat, revoked_at=None):
        if guests.plain(earlier.email) == guests.plain(mail):
            if earlier.expires_at > now:
                raise NotPossible(f"{earlier.name} is asked at this seat already.")
            end(earlier, now=now)


def revoke_guest(number: str, guest: int, *, actor: User, now: datetime) -> Guest:
    """The guest is not asked any more: the links die, and a vote at a level that is not decided falls. Twice changes nothing."""
    with transaction.atomic():
        change = locked(number, actor)
        may_invite(change, actor=actor).enforce()
        found = guest_of(change, guest)
        if found.revoked_at is None:
            end(found, now=now)
            told(found, "guest.revoked", actor=actor, now=now)
            after(change, found.seat, now=now, actor=actor)
            settle_rights(change, now=now)
    return found


def guest_of(change: Change, key: int) -> Guest:
    """The invitation of this change with this id."""
    found = guests.guests_of(change).filter(pk=key).first()
    if found is None:
        raise NotFound("This change has no such guest.")
    return found


def end(guest: Guest, *, now: datetime) -> None:
    guest.revoked_at = now
    guest.save(update_fields=["revoked_at"])
    links.end_links(guest.seat_id, guest.user_id, now=now)


def after(change: Change, seat: Seat, *, now: datetime, actor: User | None) -> None:
    """Who may sit has changed: judge the round again."""
    round = seat.level.round
    if round.outcome == Round.Outcome.PENDING:
        round.change = change
        settle(round, now=now)
        conclude(change, round, now=now, actor=actor)


def told(guest: Guest, action: str, *, actor: User | None, now: datetime) -> None:
    """The event of an act on a guest; who they are can be erased. Their addresses stand in the invitation alone, since more people read the record."""
    seat = guest.seat
    number = seat.level.round.change.number
    data = {
        "guest": guest.pk,
        "level": seat.level.name,
        "level_id": seat.level_id,
        "seat": seat.pk,
        "label": seat.label,
        "name": Personal(guest.name),
        "email": Personal(guests.covered(guest.email)),
        "second_channel": Personal(guests.covered(guest.second_channel)),
    }
    record(action, actor=actor.username if actor else "", object=f"change:{number}", change=number, now=now, data=data)


def expire_guest(pk: int, *, now: datetime) -> bool:
    """An invitation nobody used in time is over, unless its guest voted or it was prolonged meanwhile.

    A seat that waited for them alone says so then.
    """
    number = Guest.objects.values_list("seat__level__round__change__number", flat=True).get(pk=pk)
    with transaction.atomic():
        change = locked(number, None)
        guest = guests.guests_of(change).get(pk=pk)
        voted = guest.seat.level.votes.filter(by=guest.user, superseded=False).exists()
        if voted or guest.revoked_at is not None or guest.expires_at > now:
            return False
        end(guest, now=now)
        told(guest, "guest.expired", actor=None, now=now)
        after(change, guest.seat, now=now, actor=None)
        settle_rights(change, now=now)
    return True
