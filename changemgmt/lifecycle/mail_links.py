"""A link in a mail is opened and used: it asks before it decides, decides once, and through the one function of every door.

Who comes by a link need not be signed in, so each refusal is recorded here, under the name of the person the link is for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F, Sum
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from changemgmt.accounts.models import User
from changemgmt.approvals import guests, links
from changemgmt.approvals.models import Guest, MailLink, Seat
from changemgmt.audit.actions import Personal, record, record_refusal
from changemgmt.changes.models import Change
from changemgmt.core.errors import DomainError, Gone, NotFound, NotPermitted, NotPossible, Throttled

from .move import locked
from .signature import WrongFactor, signing
from .vote import cast_vote

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """What a link that counts leads to."""

    link: MailLink
    seat: Seat
    on_behalf_of: User | None
    guest: Guest | None
    proven: bool

    @property
    def change(self) -> Change:
        return self.seat.level.round.change


def open_link(token: str, *, viewer: User | None, now: datetime, proof: str = "") -> Opened:
    """Look where a link leads; nothing is decided or written by it. `proof`: what a guest's browser keeps.

    NotFound for a token nobody was sent, Gone for a link that does not count any more or is somebody else's, OutOfDate
    where the content is another than the mail described.
    """
    link = links.link_of(token)
    if link is None:
        raise NotFound("There is no such link.")
    return opened(link, viewer=viewer, now=now, proof=proof)


def opened(link: MailLink, *, viewer: User | None, now: datetime, proof: str = "") -> Opened:
    """The same of a link that was found."""
    seat = links.seat_behind(link)
    links.check_link(link, seat, viewer=viewer, now=now)
    guest = guests.invitation_of(link)
    if link.user.is_guest and guest is None:
        raise Gone("This invitation was taken back.")
    if guest is not None and guests.account_with(guest.email):
        raise Gone("You have an account now: sign in to vote.")
    return Opened(link, seat, links.stands_for(seat, link.user, now=now), guest, guest is None or guests.proven(link, proof, now=now))


def use_link(
    token: str,
    *,
    viewer: User | None,
    now: datetime,
    comment: str = "",
    password: str | None = None,
    code: str | None = None,
    proof: str = "",
) -> Opened:
    """Cast the vote the link is for, on the content its mail described, and end all links of this person at this seat.

    Everything `cast_vote` refuses is refused, and the link stays good then; used twice at once it counts once.
    """
    with refusals_recorded(token, "use a mail link", now=now):
        came = open_link(token, viewer=viewer, now=now, proof=proof)
        if not came.proven:
            raise NotPermitted("Ask for the code first and type it in: the link alone decides nothing.")
        factors = ("link", "code") if came.guest else ()
        with signing(came.link.user, now=now, proven=factors), transaction.atomic():
            cast_by(came, viewer=viewer, now=now, comment=comment, password=password, code=code)
    return came


def cast_by(came: Opened, *, viewer: User | None, now: datetime, **said: Any) -> None:
    """Use the link up and vote, under the lock of the change."""
    link = came.link
    change = locked(came.change.number, link.user)
    if not links.take_once(link, now=now):
        link.refresh_from_db()
        raise Gone(links.spent(link, now=now))
    links.check_link(link, links.seat_behind(link), viewer=viewer, now=now)
    seat = cast_vote(came.seat.pk, actor=link.user, now=now, vote=link.action, digest=link.digest, **said)
    ended = links.end_links(link.seat_id, link.user_id, now=now)
    record(
        "mail_link.used",
        actor=link.user.username,
        object=f"change:{change.number}",
        change=change.number,
        now=now,
        data={"link": link.pk, "action": link.action, "level": seat.level.name, "seat": seat.pk, "ended": ended},
        on_behalf_of=came.on_behalf_of.username if came.on_behalf_of else "",
    )


@contextmanager
def refusals_recorded(token: str, action: str, *, now: datetime) -> Iterator[None]:
    """Put a refusal on the record, after its transaction rolled back, and pass it on. The token is nowhere in it."""
    try:
        yield
    except DomainError as refusal:
        link = links.link_of(token)
        number = link.seat.level.round.change.number if link else ""
        data = {"link": link.pk} if link else {}
        actor = link.user.username if link else "unknown"
        record_refusal(
            action, actor=actor, object=f"change:{number}" if number else "mail_link", change=number, reason=refusal.detail, now=now, data=data
        )
        raise


# --- a guest's code ---


def send_code(token: str, *, viewer: User | None, now: datetime) -> Guest:
    """Send a new code for this link over the guest's second channel. Once a minute at most (429)."""
    with refusals_recorded(token, "send the code of a mail link", now=now):
        came = open_link(token, viewer=viewer, now=now)
        guest = of_guest(came)
        with transaction.atomic():
            locked(came.change.number, came.link.user)
            link = MailLink.objects.select_for_update().get(pk=came.link.pk)
            wait = link.code_sent_at + guests.BETWEEN_CODES - now if link.code_sent_at else None
            if wait is not None and wait.total_seconds() > 0:
                raise Throttled("A code was sent just now. Wait a minute before the next.", retry_after=int(wait.total_seconds()) + 1)
            code = guests.new_code(link, now=now)
            tell_of_code(came, guest, now=now)
        mail_code(guest, code)
    return guest


def of_guest(came: Opened) -> Guest:
    if came.guest is None:
        raise NotPossible("A code is for guests. You have an account: decide on this page.")
    return came.guest


def tell_of_code(came: Opened, guest: Guest, *, now: datetime) -> None:
    number = came.change.number
    data = {"guest": guest.pk, "link": came.link.pk, "name": Personal(guest.name), "second_channel": Personal(guests.covered(guest.second_channel))}
    record("guest.code_sent", actor=guest.user.username, object=f"change:{number}", change=number, now=now, data=data)


def mail_code(guest: Guest, code: str) -> None:
    """Hand the code to the mail server at once: it is kept nowhere from which it could be sent later. NotPossible where that fails."""
    context = {"code": code, "minutes": int(guests.CODE_LIFE.total_seconds() // 60), "product_name": settings.PRODUCT_NAME}
    subject = _("Your code for %(product)s") % {"product": settings.PRODUCT_NAME}
    try:
        send_mail(subject, render_to_string("mail/guest_code.txt", context), None, [guests.address_for(guest.second_channel)])
    except OSError as error:
        logger.warning("the code of guest %s could not be sent: %s", guest.pk, type(error).__name__)
        raise NotPossible("The code could not be sent. Try again in a minute.") from None


def check_code(token: str, *, viewer: User | None, now: datetime, code: Any) -> str:
    """The proof that this browser keeps after the right code. A wrong one counts (403); with the fifth the links die (410)."""
    with refusals_recorded(token, "check the code of a mail link", now=now):
        came = open_link(token, viewer=viewer, now=now)
        of_guest(came)
        with transaction.atomic():
            locked(came.change.number, came.link.user)
            link = MailLink.objects.select_for_update().get(pk=came.link.pk)
            if guests.code_fits(link, code, now=now):
                return guests.new_proof(link)
            MailLink.objects.filter(pk=link.pk).update(code_tries=F("code_tries") + 1)
            mine = MailLink.objects.filter(seat=link.seat_id, user=link.user_id)
            left = guests.MOST_TRIES - (mine.aggregate(tries=Sum("code_tries"))["tries"] or 0)
            if left <= 0:
                links.end_links(link.seat_id, link.user_id, now=now)
        if left <= 0:
            raise Gone("The code was wrong five times, so the link does not work any more. Ask who invited you for a new one.")
        raise WrongFactor("This is not the code, or it is older than ten minutes.", "code")
