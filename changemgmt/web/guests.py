"""The guests of a change: who was asked without an account, asking somebody, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _

from changemgmt.approvals.guests import guests_of
from changemgmt.approvals.models import Round, Seat, Vote
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible
from changemgmt.lifecycle import invite_guest as verbs

from .base import PageRequest, attempt, done, page, refused_status, said

if TYPE_CHECKING:
    from datetime import datetime

    from changemgmt.core.errors import DomainError

FIELDS = ("name", "email", "second_channel")


@page("GET", "HEAD", "POST")
def guests(request: PageRequest, number: str) -> HttpResponse:
    """Who was asked, and the form that asks somebody; a POST asks."""
    change = visible(request.user, number)
    refusal = None
    if request.method == "POST":
        seat = request.POST.get("seat", "")
        key = int(seat) if seat.isascii() and seat.isdigit() and len(seat) < 18 else 0
        asked, refusal = attempt(request, lambda: verbs.invite_guest(number, actor=request.user, now=request.now, seat=key, **said(request, *FIELDS)))
        if asked:
            return done(request, _("%(name)s is asked. The links are on their way.") % {"name": asked.name}, f"/changes/{number}/guests/")
    return draw(request, change, refusal)


def draw(request: PageRequest, change: Change, refusal: DomainError | None = None) -> HttpResponse:
    verdict = verbs.may_invite(change, actor=request.user)
    context = {
        "change": change,
        "guests": [shown(row, request.now) for row in guests_of(change)],
        "verdict": verdict,
        "seats": seats_for_guests(change) if verdict.allowed else [],
        "typed": {**said(request, *FIELDS), "seat": request.POST.get("seat", "")},
        "errors": refusal.errors if refusal else {},
        "problem": refusal,
    }
    return render(request, "changes/guests.html", context, status=refused_status(request, refusal))


def seats_for_guests(change: Change) -> list[Seat]:
    """The seats at which a guest can be asked now."""
    seats = Seat.objects.filter(level__round__change=change, level__round__outcome=Round.Outcome.PENDING).select_related("level__round__change")
    return [seat for seat in seats.order_by("level__position", "position") if not verbs.closed_to_guests(seat)]


def shown(row: Any, now: datetime) -> dict[str, Any]:
    """An invitation with how it stands."""
    voted = Vote.objects.filter(seat=row.seat, by=row.user, superseded=False).first()
    over = row.revoked_at is not None or row.seat.level.round.outcome != Round.Outcome.PENDING
    return {"row": row, "vote": voted, "expired": row.expires_at <= now, "over": over}


@page("POST")
def revoke(request: PageRequest, number: str, guest: int) -> HttpResponse:
    """Take an invitation back, at once."""
    row = verbs.revoke_guest(number, guest, actor=request.user, now=request.now)
    return done(request, _("%(name)s is not asked any more.") % {"name": row.name}, f"/changes/{number}/guests/")


urlpatterns = [
    path("changes/<str:number>/guests/", guests, name="change-guests"),
    path("changes/<str:number>/guests/<int:guest>/revoke/", revoke, name="change-guest-revoke"),
]
