"""Signing in, and how often one may try: per address and per name, the same for names nobody has."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac

from changemgmt.accounts.models import SignInAttempt, User
from changemgmt.audit.actions import Personal, record
from changemgmt.core.errors import DomainError
from changemgmt.core.rate import rate

PER_NAME = 10
SPAN = timedelta(minutes=10)


class TooManyAttempts(DomainError):
    """Too many attempts to sign in; `retry_after` is in seconds."""

    status, slug, title = 429, "throttled", "Too many attempts"

    def __init__(self, retry_after: int) -> None:
        minutes = max(1, -(-retry_after // 60))
        super().__init__(f"Too many attempts. Wait {minutes} min and try again.")
        self.retry_after = retry_after


def begin_attempt(name: str, *, address: str, now: datetime, kind: str = "login") -> SignInAttempt | None:
    """Count an attempt before its password is looked at; TooManyAttempts when there were too many.

    The attempt counts as failed until `succeed` says otherwise. None while LOGIN_THROTTLE is off.
    """
    allowed = rate(settings.LOGIN_THROTTLE)
    if allowed is None:
        return None
    per_address, seconds = allowed
    with transaction.atomic():
        SignInAttempt.objects.filter(at__lt=now - max(SPAN, timedelta(seconds=seconds))).delete()
        attempt = SignInAttempt.objects.create(name=hidden(f"{kind}:{name.casefold()}"), address=hidden(address), at=now)
    wait = max(
        waiting(SignInAttempt.objects.filter(name=attempt.name, failed=True), PER_NAME, SPAN, now),
        waiting(SignInAttempt.objects.filter(address=attempt.address), per_address, timedelta(seconds=seconds), now),
    )
    if wait:
        with transaction.atomic():
            attempt.delete()
            record(f"{kind}.throttled", actor="unknown", object=account_named(name), now=now, stream="auth", data={"name": Personal(name[:150])})
        raise TooManyAttempts(wait)
    return attempt


def waiting(attempts: QuerySet[SignInAttempt], limit: int, span: timedelta, now: datetime) -> int:
    """Seconds until fewer than `limit` attempts lie within the span; 0 when this one is within the limit."""
    times = list(attempts.filter(at__gt=now - span).order_by("-at").values_list("at", flat=True)[: limit + 1])
    return 0 if len(times) <= limit else max(1, int((times[-1] + span - now).total_seconds()))


def succeed(user: User, *, attempt: SignInAttempt | None, now: datetime) -> None:
    """The person is signed in."""
    with transaction.atomic():
        if attempt:
            SignInAttempt.objects.filter(pk=attempt.pk).update(failed=False)
        record("login.succeeded", actor=user.username, object=f"user:{user.username}", now=now, stream="auth")


def fail(name: str, *, now: datetime) -> None:
    """The name or the password was wrong."""
    with transaction.atomic():
        record("login.failed", actor="unknown", object=account_named(name), now=now, stream="auth", data={"name": Personal(name[:150])})


def sign_out(user: User, *, now: datetime) -> None:
    """The person signed out."""
    with transaction.atomic():
        record("logout", actor=user.username, object=f"user:{user.username}", now=now, stream="auth")


def ask_for_reset(address_of_mail: str, *, now: datetime) -> None:
    """Somebody wants a new password. The event sends the mail, if anybody has the address; nobody here can tell."""
    with transaction.atomic():
        record(
            "password.reset_requested", actor="unknown", object="password", now=now, stream="auth", data={"email": Personal(address_of_mail[:254])}
        )


def account_named(name: str) -> str:
    """The account meant, as an object of the record; what strangers type may be a password, so only names that exist are written."""
    found = User.objects.filter(username=name).values_list("username", flat=True).first()
    return f"user:{found}" if found else "user:unknown"


def hidden(text: str) -> str:
    return salted_hmac("changemgmt.sign_in", text, algorithm="sha256").hexdigest()
