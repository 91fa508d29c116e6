"""The two letters of accounts: set your password, and join. Links stand on BASE_URL, whatever host was asked."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _

from .models import User


class InvitationTokens(PasswordResetTokenGenerator):
    """Single use: the token dies with the first password, with a new mail address, and after PASSWORD_RESET_TIMEOUT."""

    key_salt = "changemgmt.accounts.invitation"

    def check_token(self, user: User | None, token: str | None) -> bool:
        return bool(user and not user.has_usable_password()) and super().check_token(user, token)


class ResetTokens(PasswordResetTokenGenerator):
    """Single use likewise, and only for accounts that already have a password."""

    def check_token(self, user: User | None, token: str | None) -> bool:
        return bool(user and user.has_usable_password()) and super().check_token(user, token)


invitation_tokens, reset_tokens = InvitationTokens(), ResetTokens()


def send_invitation(user: User) -> None:
    """Ask the person to choose a password; nothing for accounts that have one or are deactivated."""
    if user.is_active and not user.has_usable_password():
        send(
            user,
            _("Your account at %(product)s") % {"product": settings.PRODUCT_NAME},
            "accounts/mail/invitation.txt",
            "invitation",
            invitation_tokens,
        )


def send_reset(user: User) -> None:
    """Let the person choose a new password."""
    if user.is_active and user.has_usable_password():
        send(
            user,
            _("A new password for %(product)s") % {"product": settings.PRODUCT_NAME},
            "accounts/mail/reset.txt",
            "password_reset_confirm",
            reset_tokens,
        )


def send(user: User, subject: str, template: str, route: str, tokens: PasswordResetTokenGenerator) -> None:
    path = reverse(route, kwargs={"uidb64": urlsafe_base64_encode(force_bytes(user.pk)), "token": tokens.make_token(user)})
    hours = settings.PASSWORD_RESET_TIMEOUT // 3600
    context = {"user": user, "link": settings.BASE_URL + path, "product_name": settings.PRODUCT_NAME, "hours": hours, "site": settings.BASE_URL}
    send_mail(subject, render_to_string(template, context), None, [user.email])
