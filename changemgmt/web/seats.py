"""Acts at a seat besides voting: claim, release, ask somebody else, say the same again, take one's vote back."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _

from changemgmt.accounts.models import User
from changemgmt.approvals.eligibility import ABLE, involved_persons
from changemgmt.approvals.models import Seat
from changemgmt.approvals.sitting import may_sit, seat_now, visible_seat
from changemgmt.core.errors import existing
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import claim
from changemgmt.lifecycle.reconfirm import reconfirm_vote
from changemgmt.lifecycle.vote import may_take_back, withdraw_vote
from changemgmt.templatetags.design import shown

from .base import PageRequest, attempt, done, in_dialog, page, refused_status, said
from .queue import after_vote, begun_here
from .roles import role_name

MOST_PEOPLE = 1000


def seat_of(request: PageRequest, key: int) -> Seat:
    return existing(visible_seat(key, request.user), _("There is no vote with this id that you may see."))


def back(request: PageRequest, seat: Seat) -> str:
    """Where the button was: the change, or the queue."""
    return seat.level.round.change.get_absolute_url() if request.GET.get("back") == "change" else f"/approvals/?selected={seat.pk}"


@page("POST")
def claim_it(request: PageRequest, seat: int) -> HttpResponse:
    """Take a group's vote for oneself."""
    taken = claim.claim_seat(seat, actor=request.user, now=request.now)
    until = shown(taken.claimed_until, "full", request.now) if taken.claimed_until else ""
    return done(
        request,
        _("Claimed: nobody else of %(group)s votes here until %(until)s.") % {"group": role_name(taken.group), "until": until},
        back(request, taken),
    )


@page("POST")
def release(request: PageRequest, seat: int) -> HttpResponse:
    """Give a claimed vote back."""
    freed = claim.release_seat(seat, actor=request.user, now=request.now)
    return done(request, _("Released: anybody of %(group)s may take it.") % {"group": role_name(freed.group)}, back(request, freed))


@page("POST")
def reconfirm(request: PageRequest, seat: int) -> HttpResponse:
    """The vote of the round before once more. Where it has to be signed, the form asks for that."""
    there = seat_of(request, seat)
    Verdict(refusal=may_sit(seat_now(there), request.user, now=request.now)).enforce()
    if there.level.settings.get("require_signature"):
        return redirect(f"/approvals/{seat}/vote/?again=1{'&next=queue' if begun_here(request) else ''}")
    leads_to = after_vote(request, there)
    reconfirm_vote(seat, actor=request.user, now=request.now, digest=request.POST.get("digest"))
    return done(request, _("Reconfirmed. Your vote counts again."), leads_to)


@page("GET", "HEAD", "POST")
def reassign(request: PageRequest, seat: int) -> HttpResponse:
    """The form of a change manager who asks somebody else; a POST does it."""
    there = seat_now(seat_of(request, seat))
    claim.may_reassign(there, actor=request.user).enforce()
    change, refusal = there.level.round.change, None
    if request.method == "POST":
        given = said(request, "to", "reason")
        moved, refusal = attempt(request, lambda: claim.reassign_seat(seat, actor=request.user, now=request.now, **given))
        if moved:
            return done(request, _("%(name)s is asked now and was told.") % {"name": given["to"]}, f"{change.get_absolute_url()}#approval")
    context: dict[str, Any] = {
        "seat": there,
        "change": change,
        "level": there.level,
        "asked": role_name(there.group) or ", ".join(user.display_name for user in there.people.order_by("username")),
        "closed": claim.fixed_because(there),
        "people_there": choosable(request.user, there),
        "typed": said(request, "to", "reason"),
        "problem": refusal,
    }
    status = refused_status(request, refusal)
    if request.htmx:
        return in_dialog(render(request, "approvals/_reassign_dialog.html", context, status=status))
    return render(request, "approvals/reassign.html", context, status=status)


@page("GET", "HEAD", "POST")
def withdraw(request: PageRequest, seat: int) -> HttpResponse:
    """The form that takes one's own vote back; a POST does it."""
    there = seat_now(seat_of(request, seat))
    may_take_back(there, actor=request.user).enforce()
    change, refusal = there.level.round.change, None
    if request.method == "POST":
        given = said(request, "reason")
        taken, refusal = attempt(request, lambda: withdraw_vote(seat, actor=request.user, now=request.now, **given))
        if taken:
            return done(request, _("Withdrawn. Your vote counts no more and stays on record."), f"{change.get_absolute_url()}#approval")
    context = {"seat": there, "change": change, "level": there.level, "typed": said(request, "reason"), "problem": refusal}
    status = refused_status(request, refusal)
    if request.htmx:
        return in_dialog(render(request, "approvals/_withdraw_dialog.html", context, status=status))
    return render(request, "approvals/withdraw.html", context, status=status)


def choosable(actor: User, seat: Seat) -> list[User]:
    """People who could be asked: active, without a part in the change, not oneself."""
    involved = involved_persons(seat.level.round.change)
    rows = User.objects.filter(ABLE, is_guest=False).only("username", "first_name", "last_name", "identity").order_by("username")[:MOST_PEOPLE]
    return [user for user in rows if user.person not in involved and user.person != actor.person]


urlpatterns = [
    path("approvals/<int:seat>/claim/", claim_it, name="approval-claim"),
    path("approvals/<int:seat>/release/", release, name="approval-release"),
    path("approvals/<int:seat>/reassign/", reassign, name="approval-reassign"),
    path("approvals/<int:seat>/withdraw/", withdraw, name="approval-withdraw"),
    path("approvals/<int:seat>/reconfirm/", reconfirm, name="approval-reconfirm"),
]
