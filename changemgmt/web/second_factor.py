"""One's own second factor: set it up with an app, confirm it by a code, remove it."""

from __future__ import annotations

from typing import Any

import segno
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_otp.plugins.otp_totp.models import TOTPDevice

from changemgmt.accounts.second_factor import device_of, secret_of
from changemgmt.core.errors import DomainError
from changemgmt.lifecycle import second_factor as verbs

from .base import PageRequest, attempt, done, page, refused_status

PLACE = "/profile/second-factor/"


@never_cache
@page()
def second_factor(request: PageRequest) -> HttpResponse:
    """How it stands: nothing, a secret that waits for its first code, or set up, when the secret is shown no more."""
    return draw(request)


def draw(request: PageRequest, refusal: DomainError | None = None) -> HttpResponse:
    device = device_of(request.user)
    begun = None if device else device_of(request.user, confirmed=False)
    context: dict[str, Any] = {
        "device": device,
        "begun": begun,
        "secret": secret_of(begun) if begun else "",
        "picture": picture_of(begun) if begun else "",
        "problem": refusal,
        "errors": refusal.errors if refusal else {},
    }
    return render(request, "accounts/second_factor.html", context, status=refused_status(request, refusal))


def picture_of(device: TOTPDevice) -> SafeString:
    """The secret for the camera of a phone, as a drawing in the page; it stands on white in both themes."""
    drawing = segno.make(device.config_url, error="m", micro=False)
    title = _("The secret as a picture for an authenticator app")
    return mark_safe(drawing.svg_inline(scale=4, border=4, light="#fff", dark="#000", svgclass="qr", lineclass=None, title=title))


@sensitive_post_parameters("password")
@never_cache
@page("POST")
def begin(request: PageRequest) -> HttpResponse:
    """Make a secret, with the password."""
    _device, refusal = attempt(request, lambda: verbs.begin(request.user, now=request.now, password=request.POST.get("password")))
    return draw(request, refusal) if refusal else redirect(PLACE)


@never_cache
@page("POST")
def confirm(request: PageRequest) -> HttpResponse:
    """The first code of the app."""
    _device, refusal = attempt(request, lambda: verbs.confirm(request.user, now=request.now, code=request.POST.get("code")))
    return draw(request, refusal) if refusal else done(request, _("Your second factor is set up."), PLACE)


@sensitive_post_parameters("password", "code")
@never_cache
@page("POST")
def remove(request: PageRequest) -> HttpResponse:
    """Remove it, with the password and a code."""
    given = {name: request.POST.get(name) for name in ("password", "code")}
    _nothing, refusal = attempt(request, lambda: verbs.remove(request.user, now=request.now, **given))
    return draw(request, refusal) if refusal else done(request, _("Your second factor is removed."), PLACE)


urlpatterns = [
    path("profile/second-factor/", second_factor, name="second-factor"),
    path("profile/second-factor/begin/", begin, name="second-factor-begin"),
    path("profile/second-factor/confirm/", confirm, name="second-factor-confirm"),
    path("profile/second-factor/remove/", remove, name="second-factor-remove"),
]
