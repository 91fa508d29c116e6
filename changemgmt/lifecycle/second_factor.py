"""A second factor: set up with the password, confirmed by a code, removed with both, reset by an administrator.

And how often factors may be guessed: five wrong ones within ten minutes, whatever they were given for.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django_otp.plugins.otp_totp.models import TOTPDevice

from changemgmt.accounts import second_factor
from changemgmt.accounts.models import SignInAttempt, User
from changemgmt.audit.actions import Personal, record
from changemgmt.audit.models import Event
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, Throttled
from changemgmt.core.text import given_text

from .manage_people import locked, only_administrators
from .sign_in import hidden, waiting

MOST_WRONG = 5
SPAN = timedelta(minutes=10)
LONGEST_REASON = 2_000


class TooManyWrong(Throttled):
    """Too many wrong passwords or codes; `retry_after` is in seconds."""

    title = "Too many wrong tries"

    def __init__(self, retry_after: int) -> None:
        minutes = max(1, -(-retry_after // 60))
        super().__init__(f"Too many wrong passwords or codes. Wait {minutes} min and try again.", retry_after=retry_after)


# --- setting up ---


def begin(actor: User, *, now: datetime, password: Any) -> TOTPDevice:
    """A secret to put into an app; nothing is asked of the person before a code of it confirmed it. Wrong password: 400."""
    check_password(actor, password, now=now)
    with transaction.atomic():
        user = locked(actor.username)
        if user.is_service or user.is_guest or not user.is_active:
            raise NotPermitted("A second factor is for people who sign in.")
        if second_factor.has_second_factor(user):
            raise NotPossible("You have a second factor. Remove it first, then set up another.")
        return second_factor.make_device(user)


def confirm(actor: User, *, now: datetime, code: Any) -> TOTPDevice:
    """The app shows the right codes: from now on one is asked for with every signature. Wrong code: 400."""
    check_tries(actor, now=now)
    with transaction.atomic():
        user = locked(actor.username)
        device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).order_by("pk").last()
        if device is None:
            raise NotPossible("There is nothing to confirm: begin the set-up again.")
        device.confirmed = second_factor.is_right(device, code, now=now)
        if device.confirmed:
            device.save(update_fields=["confirmed"])
            record("second_factor.added", actor=user.username, object=f"user:{user.username}", now=now, stream="auth")
    if not device.confirmed:
        note_wrong(actor, now=now)
        raise Invalid.field("code", "This is not the code your app shows now. Look at the clock of your phone, then type the next code.")
    return device


def remove(actor: User, *, now: datetime, password: Any, code: Any) -> None:
    """Without the second factor the password alone signs, so that a stolen one does not suffice to remove it. Wrong password or code: 400.

    Who lost the phone asks an administrator to reset it.
    """
    check_password(actor, password, now=now)
    with transaction.atomic():
        user = locked(actor.username)
        device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True).order_by("pk").last()
        right = device is None or second_factor.is_right(device, code, now=now)
        if right and second_factor.remove_devices(user):
            record("second_factor.removed", actor=user.username, object=f"user:{user.username}", now=now, stream="auth")
    if not right:
        note_wrong(actor, now=now)
        raise Invalid.field("code", "This is not the code your app shows now. Who lost the phone asks an administrator to reset it.")


def reset(username: str, *, actor: User, now: datetime, reason: str = "") -> User:
    """An administrator takes the second factor from somebody who lost theirs; the person is told."""
    only_administrators(actor)
    reason = given_text(reason, "reason", LONGEST_REASON)
    with transaction.atomic():
        user = locked(username)
        if user.pk == actor.pk:
            raise NotPossible("Remove your own with your password, or let another administrator reset it.")
        if not second_factor.remove_devices(user):
            raise NotPossible(f"{username} has no second factor.")
        record(
            "second_factor.reset", actor=actor.username, object=f"user:{username}", now=now, stream="auth", data={"reason": Personal(reason.strip())}
        )
    return user


def check_password(actor: User, password: Any, *, now: datetime) -> None:
    """Invalid unless it is the person's; TooManyWrong after too many that were not."""
    check_tries(actor, now=now)
    if not (isinstance(password, str) and password and User.objects.get(pk=actor.pk).check_password(password)):
        note_wrong(actor, now=now)
        raise Invalid.field("password", "This is not your password.")


# --- guessing ---


def check_tries(user: User, *, now: datetime) -> None:
    """TooManyWrong, on the record, while the last ten minutes hold five wrong factors of this person."""
    if wait := tries_left_in(user, now=now):
        note_throttled(user, now=now)
        raise TooManyWrong(wait)


def tries_left_in(user: User, *, now: datetime) -> int:
    """Seconds until another factor of this person is looked at; 0 for now."""
    return waiting(SignInAttempt.objects.filter(name=mark_of(user)), MOST_WRONG - 1, SPAN, now)


def note_wrong(user: User, *, now: datetime) -> None:
    """One wrong factor more."""
    with transaction.atomic():
        SignInAttempt.objects.filter(name=mark_of(user), at__lte=now - SPAN).delete()
        SignInAttempt.objects.create(name=mark_of(user), address=hidden("factor"), at=now)


def note_throttled(user: User, *, now: datetime) -> None:
    """Put on the record that guessing was stopped, once a span: the person is told of it."""
    told = Event.objects.filter(action="second_factor.throttled", object=f"user:{user.username}", at__gt=now - SPAN)
    if told.exists():
        return
    with transaction.atomic():
        record("second_factor.throttled", actor=user.username, object=f"user:{user.username}", now=now, stream="auth")


def mark_of(user: User) -> str:
    return hidden(f"factor:{user.pk}")
