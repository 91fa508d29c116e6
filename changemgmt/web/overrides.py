"""Overrides: asking for one, confirming it, and the page of everything that was decided by other than its votes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.queries import has_role
from changemgmt.approvals.models import Override, RoundLevel
from changemgmt.approvals.overrides import overrides_of, overrides_seen, state_of, votes_that_stood
from changemgmt.approvals.shapes import level_shape, levels_whole
from changemgmt.audit.queries import Filter, matching, representations, visible_events
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible, visible_to
from changemgmt.core.errors import NotPermitted, existing
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import override as verbs

from .audit import midnight
from .base import PageRequest, attempt, done, names_of, page, refused_status, said, seen_of
from .brief import brief_of
from .paging import newest_first

if TYPE_CHECKING:
    from changemgmt.accounts.models import User

READERS = ("auditor", "change_manager", "administrator")
KINDS = {
    "override": gettext_lazy("Overrides"),
    "go_ahead": gettext_lazy("Emergency go-aheads"),
    "silent_consent": gettext_lazy("Silent consents"),
}
ACTIONS = {"go_ahead": "change.go_ahead_given", "silent_consent": "approval.silent_consent"}


# --- on a change ---


def panel_of(change: Change, viewer: User) -> dict[str, Any]:
    """What the approval panel shows of overrides, and whether this person may ask for one."""
    there = overrides_of(change) if getattr(change, "has_overrides", True) else ()
    rows = [row for row in there if not row.withdrawn_at and state_of(row) != "lapsed"]
    may = has_role(viewer, *verbs.ROLES) and verbs.may_override(change, actor=viewer).allowed
    return {"overrides": [shown(row, viewer) for row in rows], "may_override": may}


def shown(row: Override, viewer: User) -> dict[str, Any]:
    """An override with what this person may do about it."""
    waits = state_of(row) == "asked"
    return {
        "row": row,
        "state": state_of(row),
        "votes": votes_that_stood(row),
        "may_confirm": waits and not verbs.may_confirm(row, actor=viewer).refusal,
        "may_withdraw": waits and verbs.may_withdraw_override(row, actor=viewer).allowed,
    }


@page("GET", "HEAD", "POST")
def ask(request: PageRequest, number: str) -> HttpResponse:
    """The form that asks for an override of an open level; a POST asks."""
    change = visible(request.user, number)
    verbs.may_override(change, actor=request.user).enforce()
    refusal = None
    if request.method == "POST":
        row, refusal = attempt(request, lambda: asked(request, number))
        if row:
            return done(request, _("Asked. It holds when a second person confirms it."), f"/changes/{number}/override/{row.pk}/")
    levels = [level_shape(level) for level in levels_whole().filter(round=change.rounds.last(), state=RoundLevel.State.OPEN)]
    chosen = request.POST.get("level") or request.GET.get("level") or (str(levels[0]["id"]) if levels else "")
    context = {
        "change": change,
        "levels": levels,
        "chosen": chosen,
        "typed": said(request, "decision", "reason"),
        "answers": brief_of(change, request.user, now=request.now),
        "problem": refusal,
        "people": names_of(name for level in levels for seat in level["seats"] for name in seat["people"]),
    }
    return render(request, "approvals/override_ask.html", context, status=refused_status(request, refusal))


def asked(request: PageRequest, number: str) -> Override:
    given = said(request, "level", "decision", "reason")
    return verbs.ask_override(number, actor=request.user, now=request.now, seen=seen_of(request), **given)


@page("GET", "HEAD", "POST")
def override(request: PageRequest, number: str, override: int) -> HttpResponse:
    """One override: what was asked, the votes that stand, and for a second person the button that confirms it."""
    change = visible(request.user, number)
    row = override_of(change, override)
    refusal = None
    if request.method == "POST":
        confirmed, refusal = attempt(
            request, lambda: verbs.confirm_override(number, override, actor=request.user, now=request.now, seen=seen_of(request))
        )
        if confirmed:
            return done(request, _("Confirmed. The level is decided."), f"/changes/{number}/#approval")
    verdict = verbs.may_confirm(row, actor=request.user)
    context = {
        "change": change,
        "one": shown(row, request.user),
        "verdict": verdict if not verdict.refusal else Verdict(),
        "answers": brief_of(change, request.user, now=request.now),
        "problem": refusal,
        "people": names_of(verdict.guards[0].who_can_clear if verdict.guards else ()),
    }
    return render(request, "approvals/override.html", context, status=refused_status(request, refusal))


@page("POST")
def withdraw(request: PageRequest, number: str, override: int) -> HttpResponse:
    """Ask for it no more."""
    verbs.withdraw_override(number, override, actor=request.user, now=request.now)
    return done(request, _("The override is withdrawn."), f"/changes/{number}/#approval")


def override_of(change: Change, key: int) -> Override:
    return existing(overrides_of(change).filter(pk=key).first(), _("This change has no such override."))


# --- for those who look after it ---


class Days(forms.Form):
    """From when to when."""

    since = forms.DateField(label=gettext_lazy("From"), required=False, widget=forms.DateInput(attrs={"class": "in", "type": "date"}))
    until = forms.DateField(label=gettext_lazy("To"), required=False, widget=forms.DateInput(attrs={"class": "in", "type": "date"}))


@page()
def all_overrides(request: PageRequest) -> HttpResponse:
    """Every decision that was not made by the votes alone: overrides, emergency go-aheads, silent consents."""
    if not has_role(request.user, *READERS):
        raise NotPermitted(_("This page is for auditors, change managers and administrators."))
    kind = request.GET.get("kind", "override")
    kind = kind if kind in KINDS else "override"
    form = Days(request.GET)
    valid = form.is_valid()
    days = form.cleaned_data if valid else {}
    listing = overrides_listed(request, days) if kind == "override" else events_listed(request, kind, days)
    context = {"form": form, "kind": kind, "kinds": KINDS.items(), "days": days_query(request), "action": ACTIONS.get(kind, ""), **listing}
    return render(request, "audit/overrides.html", context, status=200 if valid else 400)


def days_query(request: PageRequest) -> str:
    """The chosen days, for links to the other kinds."""
    query = request.GET.copy()
    for name in [name for name in query if name not in ("since", "until") or not query[name]]:
        query.pop(name)
    return query.urlencode()


def overrides_listed(request: PageRequest, days: dict[str, Any]) -> dict[str, Any]:
    rows = overrides_seen(request.user)
    if days.get("since"):
        rows = rows.filter(asked_at__gte=midnight(days["since"]))
    if days.get("until"):
        rows = rows.filter(asked_at__lte=midnight(days["until"], end=True))
    found = newest_first(rows, request, field="asked_at", size=25)
    return {"page": found, "rows": [{"row": row, "state": state_of(row), "votes": votes_that_stood(row)} for row in found.rows]}


def events_listed(request: PageRequest, kind: str, days: dict[str, Any]) -> dict[str, Any]:
    """Go-aheads and silent consents as they stand in the record."""
    numbers = None if has_role(request.user, "auditor") else visible_to(request.user).values("number")
    wanted = Filter(
        action=(ACTIONS[kind],),
        after=midnight(days["since"]) if days.get("since") else None,
        before=midnight(days["until"], end=True) if days.get("until") else None,
    )
    found = newest_first(matching(visible_events(numbers), wanted), request, field="at", size=25)
    events = representations(found.rows)
    titles = dict(visible_to(request.user).filter(number__in={event["change"] for event in events}).values_list("number", "title"))
    rows = [{"event": event, "title": titles.get(event["change"], "")} for event in events]
    return {"page": found, "rows": rows, "people": names_of(event["actor"] for event in events)}


urlpatterns = [
    path("audit/overrides/", all_overrides, name="overrides"),
    path("changes/<str:number>/override/", ask, name="override-ask"),
    path("changes/<str:number>/override/<int:override>/", override, name="override"),
    path("changes/<str:number>/override/<int:override>/withdraw/", withdraw, name="override-withdraw"),
]
