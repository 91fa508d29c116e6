"""A person's second factor: an authenticator app that shows a code for every half minute (TOTP, RFC 6238).

The tables are django-otp's; its arithmetic is asked at our own time, and the row is locked while a code is judged.
"""

from __future__ import annotations

from base64 import b32encode
from datetime import datetime
from typing import Any

from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from .models import User

NAME = "authenticator"


def device_of(user: User, *, confirmed: bool = True) -> TOTPDevice | None:
    """The person's second factor, or the one they are about to set up."""
    return TOTPDevice.objects.filter(user_id=user.pk, confirmed=confirmed).order_by("pk").last()


def has_second_factor(user: User) -> bool:
    """Is a code asked of this person, besides the password?"""
    return TOTPDevice.objects.filter(user_id=user.pk, confirmed=True).exists()


def make_device(user: User) -> TOTPDevice:
    """A new secret, in place of any that was never confirmed."""
    TOTPDevice.objects.filter(user_id=user.pk, confirmed=False).delete()
    return TOTPDevice.objects.create(user_id=user.pk, name=NAME, confirmed=False)


def remove_devices(user: User) -> bool:
    """Forget the person's second factor; whether there was a confirmed one."""
    there = has_second_factor(user)
    TOTPDevice.objects.filter(user_id=user.pk).delete()
    return there


def secret_of(device: TOTPDevice) -> str:
    """The secret as people type it into an app, in groups of four."""
    text = b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def is_right(device: TOTPDevice, code: Any, *, now: datetime) -> bool:
    """Whether the code is the device's for this moment (a half minute more or less), and none that was taken before.

    A right one is used up by that. Call it with the row locked, in the transaction of what the code allows.
    """
    text = "".join(code.split()) if isinstance(code, str) and len(code) <= 20 else ""
    if not (text.isascii() and text.isdigit() and len(text) == device.digits):
        return False
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    totp.time = now.timestamp()
    if not totp.verify(int(text), device.tolerance, device.last_t + 1):
        return False
    device.last_t, device.drift, device.last_used_at = totp.t(), totp.drift, now
    device.save()
    return True


def use_up(device: int, step: int) -> None:
    """Codes up to this step are taken, also where what they allowed was undone."""
    TOTPDevice.objects.filter(pk=device, last_t__lt=step).update(last_t=step)
