"""What a mail that asks for a vote carries: links made at the moment it is sent, whose tokens stand in the mail alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from changemgmt.approvals import guests, links
from changemgmt.approvals.models import Guest, Round, RoundLevel
from changemgmt.audit.queries import event_shown

from .models import Notification
from .rules import ASKING


@dataclass(frozen=True)
class Asking:
    """Links to approve and to reject, and the invitation where the recipient is a guest."""

    offer: links.Offer
    guest: Guest | None = None

    @property
    def address(self) -> str:
        """Where the mail goes: a guest's address stands in the invitation alone."""
        return self.guest.email if self.guest else self.offer.user.email

    @property
    def approve(self) -> str:
        return settings.BASE_URL + self.offer.approve

    @property
    def reject(self) -> str:
        return settings.BASE_URL + self.offer.reject

    @property
    def channel(self) -> str:
        """Where a guest's code goes, as far as a mail says it."""
        return guests.covered(self.guest.second_channel) if self.guest else ""


def asking_of(row: Notification, *, now: datetime) -> Asking | None:
    """New links for the vote that this mail asks for; None where it asks for none, or for none any more."""
    event = event_shown(row.event) if row.kind in ASKING else None
    level = open_level(event["data"].get("level_id")) if event else None
    offer = links.offer_for(row.recipient, level, now=now) if level else None
    if offer is None or not row.recipient.is_guest:
        return Asking(offer) if offer else None
    guest = Guest.objects.filter(user=row.recipient, seat=offer.seat, revoked_at=None).select_related("invited_by").last()
    return Asking(offer, guest) if guest else None


def open_level(key: object) -> RoundLevel | None:
    """The level, if it asks now."""
    running = RoundLevel.objects.filter(state=RoundLevel.State.OPEN, round__outcome=Round.Outcome.PENDING)
    return running.select_related("round__change").filter(pk=key).first() if isinstance(key, int) else None


def sent(asking: Asking) -> None:
    """The mail went out: a guest's invitation counts as long as its links."""
    if asking.guest:
        guests.prolong(asking.guest, until=asking.offer.expires_at)
