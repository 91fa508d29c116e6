"""The vote form: the same form as a page and as a dialog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.second_factor import has_second_factor
from changemgmt.approvals import looks
from changemgmt.approvals.forecast import forecast_of
from changemgmt.approvals.links import stands_for
from changemgmt.approvals.models import ActionItem, Seat, Vote
from changemgmt.approvals.queue import vote_to_repeat
from changemgmt.approvals.sitting import can_vote, may_sit, seat_now, visible_seat
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, existing
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import vote as verbs
from changemgmt.lifecycle.signature import meaning_of

from . import queue, saved_filters, seats
from .base import PageRequest, attempt, done, factors_context, in_dialog, names_of, page, refused_status, said
from .brief import brief_of
from .looks import since_context
from .moments import as_typed, instant_said
from .roles import role_of

CONDITION_ROWS = 3
CONDITION_FIELDS = ("text", "owner", "due", "evidence", "expires_at", "on_expiry")


@dataclass(frozen=True)
class Act:
    """One of the acts of the vote form: its title, the button, and the class of the button."""

    title: Any
    button: Any
    look: str
    said: Any


ACTS = {
    "approve": Act(gettext_lazy("Approve"), gettext_lazy("Approve version %(version)s"), "ok", gettext_lazy("Approved.")),
    "conditions": Act(
        gettext_lazy("Approve with conditions"),
        gettext_lazy("Approve version %(version)s with conditions"),
        "ok",
        gettext_lazy("Approved with conditions."),
    ),
    "info": Act(gettext_lazy("Request information"), gettext_lazy("Send the question"), "pri", gettext_lazy("Asked. The clock stands still.")),
    "reject": Act(gettext_lazy("Reject"), gettext_lazy("Reject version %(version)s"), "bad", gettext_lazy("Rejected. The requester is told why.")),
    "abstain": Act(gettext_lazy("Abstain"), gettext_lazy("Abstain on version %(version)s"), "pri", gettext_lazy("Abstained.")),
}


@page("GET", "HEAD", "POST")
def vote(request: PageRequest, seat: int) -> HttpResponse:
    """The form of one act at a seat; a POST performs it."""
    there = seat_now(seat_of(request, seat))
    Verdict(refusal=may_sit(there, request.user, now=request.now)).enforce()
    name = act_of(request, there)
    refusal = None
    if request.method == "POST":
        leads_to = queue.after_vote(request, there)
        performed, refusal = attempt(request, lambda: perform(request, seat, name))
        if performed:
            return done(request, str(ACTS[name].said), leads_to)
        there = seat_now(seat_of(request, seat))
    return form(request, there, name, refusal)


def seat_of(request: PageRequest, seat: int) -> Seat:
    return existing(visible_seat(seat, request.user), _("There is no vote with this id that you may see."))


def act_of(request: PageRequest, seat: Seat) -> str:
    """Which act the form is for: of the query, or as chosen in the form; `?again=1` is the one of the vote before."""
    before = vote_to_repeat(seat, request.user, now=request.now) if request.GET.get("again") and request.method != "POST" else None
    if before:
        return "conditions" if before.conditions else before.vote
    name = request.POST.get("vote") or request.GET.get("vote") or "approve"
    return name if name in ACTS else "approve"


def perform(request: PageRequest, seat: int, name: str) -> Seat:
    """The act as the form asks for it, through the one function of every door."""
    if (request.POST.get("vote") or request.GET.get("vote")) not in ACTS:
        raise Invalid.field("vote", _("Choose what you vote: nothing was voted."))
    given = said(request, "comment", "digest", "question")
    if name == "info":
        return verbs.request_information(seat, actor=request.user, now=request.now, question=given["question"])
    if request.POST.get("read") != "on":
        raise Invalid.field("read", _("Say that you read it: tick the box."))
    conditions = conditions_of(request) if name in ("approve", "conditions") else []
    if name == "conditions" and not conditions:
        raise Invalid.field("text-0", _("Write at least one condition, or approve without."))
    return verbs.cast_vote(
        seat,
        actor=request.user,
        now=request.now,
        vote="approve" if name == "conditions" else name,
        digest=given["digest"] or None,
        comment=given["comment"],
        conditions=conditions,
        password=request.POST.get("password") or None,
        code=request.POST.get("code") or None,
    )


def conditions_of(request: PageRequest) -> list[dict[str, str]]:
    """The rows of the form that say something."""
    rows = [{name: request.POST.get(f"{name}-{index}", "").strip() for name in CONDITION_FIELDS} for index in range(20)]
    return [said_of(row) for row in rows if row["text"]]


def said_of(row: dict[str, str]) -> dict[str, str]:
    """A row as the verb reads it; what follows an expiry is said only where there is one."""
    said = {name: value for name, value in row.items() if value}
    if "expires_at" not in said:
        said.pop("on_expiry", None)
        return said
    return said | {"expires_at": instant_said(said["expires_at"])}


def form(request: PageRequest, seat: Seat, name: str, refusal: Any) -> HttpResponse:
    """The form, as a dialog for htmx and as a page else, with what stood in the way."""
    change = seat.level.round.change
    verdict = can_vote(seat, actor=request.user, now=request.now)
    standing = stands_for(seat, request.user, now=request.now)
    before = vote_to_repeat(seat, request.user, now=request.now)
    typed = {field: request.POST.get(field, "") for field in ("comment", "question")}
    if before and request.method != "POST":
        typed["comment"] = before.comment
    context = {
        "seat": seat,
        "level": seat.level,
        "change": change,
        "version": seat.level.round.version,
        "name": name,
        "act": ACTS[name],
        "button": ACTS[name].button % {"version": seat.level.round.version},
        "acts": acts_of(seat),
        "begun_in_queue": queue.begun_here(request),
        "my_role": role_of(seat, standing),
        "on_behalf_of": standing,
        "forecast": forecast_of(seat, request.user),
        "closed": verdict.reason,
        "typed": typed,
        "rows": typed_rows(request, change, before),
        "before": before,
        "due_choices": ActionItem.Due.choices,
        "evidence_choices": ActionItem.Evidence.choices,
        "expiry_choices": ActionItem.OnExpiry.choices,
        "owners": owners_of(change),
        "signature": seat.level.settings.get("require_signature", False),
        "second_factor": has_second_factor(request.user),
        "meaning": meaning_of(seat, {"reject": "reject", "abstain": "abstain"}.get(name, "approve"), standing),
        "read": request.POST.get("read") == "on" and request.POST.get("digest") == seat.level.digest,
        "problem": refusal,
        **factors_context(refusal),
        "people": names_of(refused_people(refusal)),
        **since_context(change, looks.look(change, request.user, now=request.now), seat.level),
    }
    status = refused_status(request, refusal)
    if request.htmx:
        return in_dialog(render(request, "approvals/_vote_dialog.html", context, status=status))
    context["answers"] = brief_of(change, request.user, now=request.now)
    return render(request, "approvals/vote.html", context, status=status)


def refused_people(refusal: Any) -> set[str]:
    return {name for guard in (refusal.guards if refusal else ()) for name in guard.who_can_clear}


def acts_of(seat: Seat) -> list[tuple[str, Act]]:
    """The acts this seat has, in order."""
    conditions = seat.level.settings.get("allow_conditions", True)
    return [(name, act) for name, act in ACTS.items() if conditions or name != "conditions"]


def typed_rows(request: PageRequest, change: Change, before: Vote | None) -> list[dict[str, str]]:
    """The rows for conditions: as typed, or as in the vote that can be repeated, with empty ones below."""
    typed = conditions_of(request) or (before.conditions if before and request.method != "POST" else [])
    empty = {"text": "", "owner": default_owner(change), "due": ActionItem.Due.BEFORE_START, "evidence": ActionItem.Evidence.STATEMENT}
    rows = [{**empty, **row, "expires_at": as_typed(row.get("expires_at", ""))} for row in typed]
    return rows + [empty] * max(1, CONDITION_ROWS - len(rows))


def default_owner(change: Change) -> str:
    return verbs.default_owner(change).username


def owners_of(change: Change) -> list[Any]:
    """Who may own a condition: implementers, requester, owner."""
    people = [*change.implementers.order_by("username"), change.requester, *([change.owner] if change.owner else [])]
    return list({person.pk: person for person in people if person.is_active and not person.is_service}.values())


urlpatterns = [
    *queue.urlpatterns,
    path("approvals/<int:seat>/vote/", vote, name="approval-vote"),
    *seats.urlpatterns,
    *saved_filters.urlpatterns,
]
