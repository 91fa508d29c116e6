"""Writes of accounts: rights on one change, and API tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from guardian.shortcuts import assign_perm, remove_perm

from changemgmt.core.errors import Invalid

from .bearer import bearer_of
from .models import ApiToken, User

if TYPE_CHECKING:
    from django.db.models import Model

RIGHTS = frozenset({"view", "edit", "vote", "implement", "manage"})
TOKEN_DAYS = 365
PREFIX = "cs_"
STAMP_EVERY = timedelta(minutes=1)


def grant(right: str, user: User, change: Model) -> None:
    """Give the user this right on this change; having it already is fine."""
    assign_perm(_codename(right), user, change)


def withdraw(right: str, user: User, change: Model) -> None:
    """Take this right on this change from the user; not having it is fine."""
    remove_perm(_codename(right), user, change)


def _codename(right: str) -> str:
    if right not in RIGHTS:
        raise ValueError(f"no such right: {right}")
    return f"changemgmt.{right}_change"


def hash_of(key: str) -> str:
    """What is stored of a token's key. Keys are 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def make_token(user: User, *, days: int, scope: str, name: str, now: datetime) -> tuple[ApiToken, str]:
    """A new API token and its key, which is shown this once and never stored. `days` is 1 to 365."""
    if not 1 <= days <= TOKEN_DAYS:
        raise Invalid.field("days", f"A token lives 1 to {TOKEN_DAYS} days.")
    if scope not in ApiToken.Scope.values:
        raise Invalid.field("scope", "The scope is read or write.")
    key = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user, name=name[:100], key_hash=hash_of(key), scope=scope, created_at=now, expires_at=now + timedelta(days=days)
    )
    return token, key


def token_of(key: str, *, now: datetime) -> ApiToken | None:
    """The valid token with this key, its user joined; None when unknown, expired, revoked or its user is inactive.

    Stamps `last_used_at`, at most once a minute.
    """
    if not key.startswith(PREFIX) or len(key) > 100 or not key.isascii():
        return None
    token = bearer_of(hash_of(key), now=now)
    if token and (token.last_used_at is None or now - token.last_used_at >= STAMP_EVERY):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return token


def revoke_token(token: ApiToken, *, now: datetime) -> None:
    """End the token; ending it twice keeps the first time."""
    if token.revoked_at is None:
        token.revoked_at = now
        token.save(update_fields=["revoked_at"])
