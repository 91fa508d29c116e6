"""Guests: who may be asked without an account, and the code that goes over their second channel."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.utils.crypto import constant_time_compare, salted_hmac

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid

from .links import LIFE, hash_of
from .models import Guest, MailLink, RoundLevel, Seat

LONGEST_NAME = 150
DIGITS = 6
CODE_LIFE = timedelta(minutes=10)
PROOF_LIFE = timedelta(hours=1)
BETWEEN_CODES = timedelta(minutes=1)
MOST_TRIES = 5
PHONE = re.compile(r"\+?[0-9](?:[0-9 ()/.-]{4,22})[0-9]")


def guests_of(change: Change) -> QuerySet[Guest]:
    """Everybody who was invited to vote on the change, revoked ones too."""
    return Guest.objects.filter(seat__level__round__change=change).select_related("user", "invited_by", "seat__level__round__change").order_by("pk")


def guest_shape(row: Guest, now: datetime, *, whole: bool) -> dict[str, Any]:
    """An invitation as every door shows it; the addresses only where `whole`. Links and codes are never in it."""
    plain = {name: getattr(row, name) for name in ("name", "invited_at", "expires_at", "revoked_at")}
    return {
        "id": row.pk,
        "seat": row.seat_id,
        "level": row.seat.level.name,
        "label": row.seat.label,
        **plain,
        "email": row.email if whole else None,
        "second_channel": row.second_channel if whole else None,
        "invited_by": row.invited_by.username,
        "active": row.revoked_at is None and row.expires_at > now,
    }


def invited(level: RoundLevel) -> dict[int, list[Guest]]:
    """The guests of each seat of a level who are not revoked; asks nothing of the database where the level allows none."""
    found: dict[int, list[Guest]] = {}
    if level.settings.get("allow_guests"):
        for guest in Guest.objects.filter(seat__level=level, revoked_at=None).order_by("pk"):
            found.setdefault(guest.seat_id, []).append(guest)
    return found


def expired(now: datetime) -> list[int]:
    """Keys of the invitations of open levels that nobody used in time."""
    late = Guest.objects.filter(revoked_at=None, expires_at__lte=now, seat__state=Seat.State.OPEN, seat__level__state=RoundLevel.State.OPEN)
    late = late.filter(seat__level__opened_at__lte=now - LIFE)  # a level that opened just now still has to send its mails
    return list(late.order_by("expires_at", "pk").values_list("pk", flat=True))


def prolong(guest: Guest, *, until: datetime) -> None:
    """New links went out: the invitation counts as long as they do."""
    Guest.objects.filter(pk=guest.pk, revoked_at=None).update(expires_at=until)


def invitation_of(link: MailLink) -> Guest | None:
    """The invitation this link belongs to, if its person is a guest."""
    return Guest.objects.filter(user=link.user, seat=link.seat, revoked_at=None).order_by("pk").last() if link.user.is_guest else None


# --- addresses ---


def name_given(value: object) -> str:
    """The name as it will stand on record, in one line."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        raise Invalid.field("name", f"Give the name in one line of at most {LONGEST_NAME} characters.")
    return text


def mail_given(value: object, field: str) -> str:
    """A mail address in small letters."""
    text = value.strip().lower() if isinstance(value, str) else ""
    try:
        validate_email(text)
    except ValidationError:
        raise Invalid.field(field, "Give a mail address such as anna@example.org.") from None
    if len(text) > 200:
        raise Invalid.field(field, "The address is too long.")
    return text


def channel_given(value: object, mail: str) -> str:
    """Where the code goes: another mail address, or a phone number with its digits alone."""
    text = value.strip() if isinstance(value, str) else ""
    if PHONE.fullmatch(text):
        if not settings.GUEST_SMS_ADDRESS:
            raise Invalid.field("second_channel", "Text messages are not set up here: give another mail address.")
        return re.sub(r"[^0-9+]", "", text)
    if "@" not in text:
        raise Invalid.field("second_channel", "Give a phone number such as +43 660 1234567, or a mail address other than the first.")
    address = mail_given(text, "second_channel")
    if plain(address) == plain(mail):
        raise Invalid.field("second_channel", "The code has to go another way than the link: give another address.")
    return address


def plain(address: str) -> str:
    """The mailbox behind an address: without capitals and without what stands after a plus."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def account_with(address: str) -> User | None:
    """Whose account has this mailbox, if anybody's."""
    domain = address.rpartition("@")[2]
    people = User.objects.filter(email__iendswith=f"@{domain}", is_guest=False).order_by("pk")
    return next((user for user in people if plain(user.email) == plain(address)), None)


def guests_with(address: str) -> set[int]:
    """Primary keys of the accounts that stand for guests with this mailbox."""
    domain = address.rpartition("@")[2]
    rows = Guest.objects.filter(email__iendswith=f"@{domain}").values_list("user_id", "email")
    return {user for user, mail in rows if plain(mail) == plain(address)}


def address_for(channel: str) -> str:
    """The mail address that reaches a second channel."""
    return channel if "@" in channel else settings.GUEST_SMS_ADDRESS.format(number=channel)


def covered(channel: str) -> str:
    """Enough of a second channel to know it again, not enough to learn it."""
    local, at, domain = channel.partition("@")
    return f"{local[:1]}***@{domain}" if at else f"***{channel[-2:]}"


def user_for(mail: str, name: str) -> User:
    """The one account that stands for whoever has this mailbox; it can't sign in and holds nothing."""
    if earlier := guests_with(mail):
        user = User.objects.get(pk=min(earlier))
        user.first_name = name
        user.save(update_fields=["first_name"])
        return user
    user = User(username=f"guest-{secrets.token_hex(5)}", first_name=name, is_guest=True)
    user.set_unusable_password()
    user.save()
    return user


# --- the code ---


def new_code(link: MailLink, *, now: datetime) -> str:
    """A code for this link in place of any before; only its keyed hash is kept."""
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
    MailLink.objects.filter(pk=link.pk).update(code_hash=code_mark(link, code), code_sent_at=now)
    return code


def code_mark(link: MailLink, code: str) -> str:
    return salted_hmac("changemgmt.guest_code", f"{link.pk}:{code}", algorithm="sha256").hexdigest()


def code_fits(link: MailLink, code: object, *, now: datetime) -> bool:
    """Whether this is the code that was sent for the link within the last ten minutes."""
    text = "".join(code.split()) if isinstance(code, str) and len(code) <= 20 else ""
    in_time = link.code_sent_at is not None and now < link.code_sent_at + CODE_LIFE
    return in_time and bool(link.code_hash) and text.isascii() and text.isdigit() and constant_time_compare(link.code_hash, code_mark(link, text))


def new_proof(link: MailLink) -> str:
    """What the browser keeps after the right code, instead of the code, which is used up by that."""
    proof = secrets.token_urlsafe(32)
    MailLink.objects.filter(pk=link.pk).update(code_hash=hash_of(proof))
    return proof


def proven(link: MailLink, proof: object, *, now: datetime) -> bool:
    """Whether this browser gave the right code for this link, at most an hour ago."""
    in_time = link.code_sent_at is not None and now < link.code_sent_at + PROOF_LIFE
    known = isinstance(proof, str) and 20 < len(proof) <= 100 and proof.isascii()
    return in_time and known and constant_time_compare(link.code_hash, hash_of(str(proof)))
