"""Who calls: an API token, or a signed-in browser with its CSRF token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header

from changemgmt.accounts.actions import token_of
from changemgmt.core.errors import NotPermitted
from changemgmt.core.time import utc_now

from .errors import NotAuthenticated

if TYPE_CHECKING:
    from rest_framework.request import Request

    from changemgmt.accounts.models import ApiToken, User

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Token <key>`; one query finds the token and its user."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        header = get_authorization_header(request)
        if not header[:6].lower().startswith(b"token"):
            return None
        parts = header.split()
        if len(parts) != 2 or parts[0].lower() != b"token":
            raise NotAuthenticated(_("Write the header as: Authorization: Token <key>."))
        token = token_of(parts[1].decode("ascii", "replace"), now=utc_now())
        if token is None:
            raise NotAuthenticated(_("This token is unknown, expired or revoked."))
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Token realm="api"'


class BrowserAuthentication(SessionAuthentication):
    """The session of a signed-in browser; writes need its CSRF token."""

    def enforce_csrf(self, request: Request) -> None:
        if request.method not in SAFE:
            super().enforce_csrf(request)


def check_scope(request: Request) -> None:
    """A token of scope read writes nothing (403)."""
    if request.method not in SAFE and getattr(request.auth, "scope", "write") == "read":
        raise NotPermitted(_("This token may only read. Use one of scope write."))
