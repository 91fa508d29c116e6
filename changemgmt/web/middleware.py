"""Around every request: who acts from where for the record, the person's time zone, and refusals as pages."""

from __future__ import annotations

import uuid
import zoneinfo
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from changemgmt.audit import actions as audit
from changemgmt.audit.context import acting
from changemgmt.core.errors import DomainError
from changemgmt.core.masking import masked
from changemgmt.core.time import utc_now

from .base import Request, in_dialog

if TYPE_CHECKING:
    from collections.abc import Callable


LINKS = "/approvals/link/"

# What is put on the record when a known person runs into it; the API keeps its own.
ALWAYS_RECORDED, RECORDED_ACTS = frozenset({403}), frozenset({403, 404, 409, 412})


class ActContext:
    """Names the channel and address of every act, shows times in the person's zone, records each refusal once."""

    def __init__(self, get_response: Callable[[Request], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: Request) -> HttpResponse:
        request.request_id = str(uuid.uuid4())
        channel = "api" if request.path.startswith("/api/") else "mail" if request.path.startswith(LINKS) else "web"
        with acting(channel=channel, address=request.META.get("REMOTE_ADDR", ""), request_id=request.request_id), timezone.override(zone_of(request)):
            response = self.get_response(request)
            record_refusal_of(request, response)
        if channel == "mail":
            keep_to_oneself(response)
        if response.status_code == 429 and (wait := getattr(getattr(request, "refusal", None), "retry_after", 0)):
            response["Retry-After"] = str(wait)
        response["X-Request-ID"] = request.request_id
        return response

    def process_exception(self, request: Request, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DomainError):
            return None
        request.refusal = error
        return problem(request, error)


def keep_to_oneself(response: HttpResponse) -> None:
    """The address of a mail link is a secret: no page tells it on, keeps it or is found by it.

    The last policy that a browser knows counts. `no-referrer` alone would make it post without an origin, which the
    check against forged requests refuses; `strict-origin` tells the host and never the path.
    """
    response["Referrer-Policy"] = "no-referrer, strict-origin"
    response["Cache-Control"] = "no-store, private"
    response["X-Robots-Tag"] = "noindex, nofollow"


def zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """The person's time zone; UTC when signed out or when the setting names none."""
    name = getattr(request.user, "time_zone", "") if hasattr(request, "user") and request.user.is_authenticated else ""
    try:
        return zoneinfo.ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        return zoneinfo.ZoneInfo("UTC")


def problem(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A refusal as a page, or as a dialog for htmx: what was not done, why, and who can change that."""
    htmx = bool(getattr(request, "htmx", False))
    status = 422 if htmx and error.status == 400 else error.status
    template = "errors/_problem_dialog.html" if htmx else "errors/problem.html"
    response = render(request, template, {"problem": error}, status=status)
    return in_dialog(response) if htmx else response


def record_refusal_of(request: HttpRequest, response: HttpResponse) -> None:
    """A person was told no: that is an act on the record too, once per request."""
    user = getattr(request, "user", None)
    recorded = ALWAYS_RECORDED if request.method in ("GET", "HEAD") else RECORDED_ACTS
    if request.path.startswith("/api/") or response.status_code not in recorded or user is None or not user.is_authenticated:
        return
    refusal = getattr(request, "refusal", None)
    if refusal is not None and request.path.startswith(LINKS):
        return  # the verbs of mail links record what they refuse: most who come by them are not signed in
    match, path = request.resolver_match, masked(request.path).encode("ascii", "backslashreplace").decode()[:250]
    number = str((match.kwargs if match else {}).get("number", ""))
    audit.record_refusal(
        f"{request.method} {path}",
        actor=user.username,
        object=f"change:{number}" if number else f"path:{path}",
        reason=refusal.detail if refusal else "",
        now=utc_now(),
    )
