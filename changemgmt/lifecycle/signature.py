"""The electronic signature of a vote: what a person proves again at the moment they sign, and what the vote keeps of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_otp.plugins.otp_totp.models import TOTPDevice

from changemgmt.accounts import second_factor
from changemgmt.accounts.models import User
from changemgmt.approvals.models import Seat, Vote
from changemgmt.core.errors import NotPermitted
from changemgmt.core.time import rfc3339

from .second_factor import TooManyWrong, note_throttled, note_wrong, tries_left_in

MEANINGS = {
    Vote.Kind.APPROVE: "I approve version {version} of {number} as {label}",
    Vote.Kind.REJECT: "I reject version {version} of {number} as {label}",
    Vote.Kind.ABSTAIN: "I abstain from version {version} of {number} as {label}",
}


class WrongFactor(NotPermitted):
    """A factor of the signature is missing or wrong: nothing was voted, the form may ask again, at the fields it may be."""

    def __init__(self, detail: str, *fields: str) -> None:
        super().__init__(detail, errors={field: [detail] for field in fields})


@dataclass
class Signing:
    """One signing of a person: what other doors have proven, and what came of the factors. It lives as long as the call."""

    proven: tuple[str, ...] = ()
    password: str = ""
    device: int = 0
    step: int = -1
    wrong: bool = False
    throttled: bool = False


NOW: ContextVar[Signing | None] = ContextVar("signing", default=None)


@contextmanager
def signing(actor: User, *, now: datetime, proven: tuple[str, ...] = ()) -> Iterator[None]:
    """Put this around the transaction of a vote, or of several: what a rolled back vote must not forget is written after it.

    A wrong factor counts, and a code that was right is used up, whatever became of the vote. Several votes in one
    signing ask for one password and one code. `proven`: the factors by which a guest came here.
    """
    if NOW.get() is not None:
        yield
        return
    one = Signing(proven)
    token = NOW.set(one)
    try:
        yield
    finally:
        NOW.reset(token)
        remember(one, actor, now=now)


def remember(one: Signing, actor: User, *, now: datetime) -> None:
    """Write down what the transaction may have taken back."""
    if one.step >= 0:
        second_factor.use_up(one.device, one.step)
    if one.wrong:
        note_wrong(actor, now=now)
    if one.throttled:
        note_throttled(actor, now=now)


def check_signature(
    seat: Seat, actor: User, *, password: Any, code: Any, now: datetime, vote: str = Vote.Kind.APPROVE, on_behalf_of: User | None = None
) -> dict[str, Any] | None:
    """What the vote keeps of the signature where its level asks for one, None where it doesn't.

    WrongFactor (403) where a factor is missing or wrong, TooManyWrong (429) after too many of them. A guest signs by
    the link and the code that led here, on every level. Call it under the lock, as the last before the vote is written.
    """
    one = NOW.get() or Signing()
    if actor.is_guest:
        factors = guest_factors(one)
    elif seat.level.settings.get("require_signature"):
        factors = person_factors(one, actor, password=password, code=code, now=now)
    else:
        return None
    return {"meaning": meaning_of(seat, vote, on_behalf_of), "name": actor.display_name, "factors": factors, "at": rfc3339(now)}


def meaning_of(seat: Seat, vote: str, on_behalf_of: User | None = None) -> str:
    """What the signature says, as it stands on the form and on record."""
    round = seat.level.round
    text = MEANINGS[Vote.Kind(vote)].format(version=round.version, number=round.change.number, label=seat.label)
    return f"{text} for {on_behalf_of.display_name}" if on_behalf_of else text


def guest_factors(one: Signing) -> list[str]:
    if not one.proven:
        raise WrongFactor("A guest votes by the link of their mail and the code that belongs to it.")
    return list(one.proven)


def person_factors(one: Signing, actor: User, *, password: Any, code: Any, now: datetime) -> list[str]:
    """The factors that were proven: the password, and a code where the person has a second factor."""
    device = TOTPDevice.objects.select_for_update().filter(user_id=actor.pk, confirmed=True).order_by("pk").last()
    asked = ["password", "totp"] if device else ["password"]
    if not password or (device and not code):
        what = "your password and the code of your app" if device else "your password"
        missing = [name for name, given in (("password", password), ("code", code or not device)) if not given]
        raise WrongFactor(f"This level asks for {what} with the vote.", *missing)
    if wait := tries_left_in(actor, now=now):
        one.throttled = True
        raise TooManyWrong(wait)
    right = password_right(one, actor, password) and (device is None or code_right(one, device, code, now=now))
    if not right:
        one.wrong = True
        # Which of the two it was is not told: whoever came to an open browser would learn the password by it.
        raise WrongFactor("The password or the code is wrong." if device else "The password is wrong.", *("password", "code")[: len(asked)])
    return asked


def password_right(one: Signing, actor: User, password: Any) -> bool:
    """Whether it is the person's password of this moment; the same one is looked at once per signing."""
    fresh = User.objects.get(pk=actor.pk)
    if one.password and one.password == fresh.password:
        return True
    if not (isinstance(password, str) and fresh.check_password(password)):
        return False
    one.password = fresh.password
    return True


def code_right(one: Signing, device: TOTPDevice, code: Any, *, now: datetime) -> bool:
    """Whether it is a code of the device that nobody gave before; one serves all votes of a signing."""
    if one.device == device.pk and one.step >= 0:
        return True
    if not second_factor.is_right(device, code, now=now):
        return False
    one.device, one.step = device.pk, device.last_t
    return True
