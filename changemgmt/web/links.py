"""The page behind a link of a mail: it shows what is to be voted and asks; only its form, by POST, decides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from changemgmt.accounts.models import User
from changemgmt.accounts.second_factor import has_second_factor
from changemgmt.api.throttles import too_many
from changemgmt.approvals.guests import covered
from changemgmt.approvals.links import hash_of, link_of
from changemgmt.core.errors import Invalid, Throttled
from changemgmt.core.rate import rate
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import mail_links
from changemgmt.lifecycle.mail_links import Opened
from changemgmt.lifecycle.signature import meaning_of
from changemgmt.preview.queries import diff_of

from .base import attempt, factors_context, refuse_unstorable, refused_status
from .brief import Answer, brief_of
from .change import names_in
from .diff import groups_of
from .impact import reach_of
from .items import described

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from changemgmt.core.errors import DomainError


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """Ask before deciding. GET and HEAD change nothing; a POST sends a guest's code, checks it, or casts the vote."""
    refuse_unstorable(request, [token])
    if link_of(token) is None:
        slow_down(request)
    now, viewer = utc_now(), request.user if isinstance(request.user, User) else None
    refusal: DomainError | None = None
    if request.method == "POST":
        done, refusal = attempt(request, lambda: step_of(request)(request, token, viewer, now))  # type: ignore[arg-type]
        if isinstance(done, Opened):
            return draw(request, done, now, done=True)
    if refusal is not None and refusal.status in (410, 412):
        raise refusal
    came = mail_links.open_link(token, viewer=viewer, now=now, proof=kept(request, token))
    return draw(request, came, now, refusal=refusal)


def slow_down(request: HttpRequest) -> None:
    """So many tokens that nobody was sent a minute from one address, as many as attempts to sign in. Good links are never slowed."""
    allowed = rate(settings.LOGIN_THROTTLE)
    wait = too_many(f"link:{request.META.get('REMOTE_ADDR', '')}", *allowed) if allowed else 0
    if wait:
        raise Throttled(_("Too many links that lead nowhere were opened from here. Wait a minute and try again."), retry_after=wait)


# --- what a POST does ---


def vote(request: HttpRequest, token: str, viewer: User | None, now: datetime) -> Opened:
    return mail_links.use_link(
        token,
        viewer=viewer,
        now=now,
        comment=request.POST.get("comment", "").strip(),
        password=request.POST.get("password") or None,
        code=request.POST.get("code") or None,
        proof=kept(request, token),
    )


def send_code(request: HttpRequest, token: str, viewer: User | None, now: datetime) -> None:
    mail_links.send_code(token, viewer=viewer, now=now)


def check_code(request: HttpRequest, token: str, viewer: User | None, now: datetime) -> None:
    request.session[mark(token)] = mail_links.check_code(token, viewer=viewer, now=now, code=request.POST.get("code", ""))


STEPS = {"vote": vote, "send": send_code, "check": check_code}


def step_of(request: HttpRequest) -> Callable[..., Opened | None]:
    """What the form asks for; Invalid for what it can't have asked."""
    name = request.POST.get("step", "vote")
    if name not in STEPS:
        raise Invalid.field("step", _("There is no such step."))
    return STEPS[name]


def mark(token: str) -> str:
    """Under which name the browser's session keeps the proof for this link."""
    return f"link-{hash_of(token)[:16]}"


def kept(request: HttpRequest, token: str) -> str:
    return str(request.session.get(mark(token), ""))


# --- what is shown ---


def draw(request: HttpRequest, came: Opened, now: datetime, *, refusal: DomainError | None = None, done: bool = False) -> HttpResponse:
    """The page: before a guest's code only who asks, after it what is asked, and after the vote that it is given."""
    seat, change = came.seat, came.change
    context: dict[str, Any] = {
        "link": came.link,
        "seat": seat,
        "level": seat.level,
        "change": change,
        "version": came.link.version,
        "guest": came.guest,
        "proven": came.proven,
        "channel": covered(came.guest.second_channel) if came.guest else "",
        "on_behalf_of": came.on_behalf_of,
        "meaning": meaning_of(seat, came.link.action, came.on_behalf_of),
        "signature": seat.level.settings.get("require_signature", False) and came.guest is None,
        "second_factor": has_second_factor(came.link.user),
        "typed": request.POST.get("comment", ""),
        "problem": refusal,
        **factors_context(refusal),
        "done": done,
    }
    if came.proven and not done:
        context |= shown(came, now)
    return render(request, "approvals/link.html", context, status=refused_status(request, refusal))


def shown(came: Opened, now: datetime) -> dict[str, Any]:
    """What the vote is about. A guest has nothing to follow links to."""
    change = came.change
    answers = brief_of(change, came.link.user, now=now)
    if came.guest is None:
        return {"answers": answers}
    diff, items = diff_of(change), described(change)
    groups, rows_left = groups_of(diff, [], names_in(diff, items))
    return {
        "answers": [without_links(answer) for answer in answers],
        "groups": groups,
        "rows_left": rows_left,
        "items": items,
        "reach": reach_of(change),
    }


def without_links(answer: Answer) -> Answer:
    return replace(answer, lines=[replace(line, href="", link="") for line in answer.lines])


urlpatterns = [path("approvals/link/<str:token>/", link, name="approval-link")]
