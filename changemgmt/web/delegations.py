"""Standing in for each other: what I gave and hold, the form to let somebody vote for me, and the days on which a seat has nobody."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.delegations import SEES_ALL, delegations, delegations_seen_by, not_over, standing_of
from changemgmt.accounts.models import Delegation, OrgUnit, User
from changemgmt.accounts.queries import has_role
from changemgmt.approvals import coverage
from changemgmt.approvals.models import Chain
from changemgmt.changes.models import Type
from changemgmt.core.errors import DomainError, Invalid, NotFound, NotPermitted, existing
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import delegate as verbs

from .base import PageRequest, attempt, done, page, refused_status
from .record_form import Moment, one_of, short, yes_no

MOST_PEOPLE = 1000
MOST_SHOWN = 50
MOST_OF_ALL = 200
DAYS_BESIDE = 30
SPANS = (7, 30, 60, 90)
STANDINGS = {
    "running": (gettext_lazy("Now"), "ok"),
    "planned": (gettext_lazy("Planned"), "info"),
    "over": (gettext_lazy("Over"), ""),
    "revoked": (gettext_lazy("Revoked"), ""),
}
Scope = Delegation.Scope


def someone() -> list[tuple[str, str]]:
    return [("", _("Choose")), *people()]


def people() -> list[tuple[str, str]]:
    """Everybody who votes: active accounts of human beings."""
    users = User.objects.filter(is_active=True, is_service=False, is_guest=False).order_by("first_name", "username")[:MOST_PEOPLE]
    return [(user.username, user.display_name) for user in users]


def scopes() -> list[Any]:
    """Everything one can choose but a single change, which has a field of its own."""
    return [
        (f"{Scope.ALL}:", _("All votes")),
        (_("One type of change"), [(f"{Scope.TYPE}:{value}", label) for value, label in Type.choices]),
        (_("One chain"), [(f"{Scope.CHAIN}:{name}", name) for name in Chain.objects.filter(in_force__isnull=False).values_list("name", flat=True)]),
        (
            _("One org unit and those below it"),
            [(f"{Scope.ORG_UNIT}:{slug}", name) for slug, name in OrgUnit.objects.values_list("slug", "name")],
        ),
        (f"{Scope.CHANGE}:", _("One change, by its number")),
    ]


class GiveForm(forms.Form):
    """Let somebody vote for me. Times are on my own clocks; without a beginning it begins now."""

    delegate = one_of(gettext_lazy("Who votes for you"), someone)
    starts_at = Moment(gettext_lazy("From"), gettext_lazy("Empty: from now on."))
    ends_at = Moment(gettext_lazy("Until"))
    scope = one_of(gettext_lazy("For what"), scopes)
    number = short(gettext_lazy("Number of the change"), gettext_lazy("Only for one change, such as CHG-2026-00042."), limit=40)
    reason = short(gettext_lazy("Why"), limit=300)
    out_of_office = yes_no(gettext_lazy("I am out of office"), gettext_lazy("It covers all your votes. You end it with “I am back”."))

    def given(self) -> dict[str, Any]:
        """What the verb takes. Call it on a valid form."""
        data = self.cleaned_data
        kind, _colon, value = (data["scope"] or f"{Scope.ALL}:").partition(":")
        if kind == Scope.CHANGE or (data["number"] and kind == Scope.ALL):
            kind, value = str(Scope.CHANGE), data["number"].strip()
        names = ("starts_at", "ends_at", "reason", "out_of_office")
        return {"scope": (kind, value), "delegator": data.get("delegator") or None, **{name: data[name] for name in names}}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name, message in (("delegate", _("Choose somebody.")), ("ends_at", _("Give a time."))):
            if not data.get(name) and name not in self.errors:
                self.add_error(name, message)
        return data


class GiveForAnyoneForm(GiveForm):
    """The same for administrators, who give other people's votes too."""

    delegator = one_of(gettext_lazy("Whose votes"), lambda: [("", _("My own")), *people()])
    delegate = one_of(gettext_lazy("Who votes"), someone)
    out_of_office = yes_no(gettext_lazy("Out of office"), gettext_lazy("It covers all votes. Who is back ends it with “I am back”."))
    field_order = ("delegator",)


class EndForm(forms.Form):
    """Another end or reason."""

    ends_at = Moment(gettext_lazy("Until"), required=True)
    reason = short(gettext_lazy("Why"), limit=300)


@page("GET", "HEAD", "POST")
def mine(request: PageRequest) -> HttpResponse:
    """What I gave and what I hold; POST lets somebody vote for me."""
    form = give_form(request)
    refusal = None
    if request.method == "POST":
        verbs.may_delegate(request.user, delegator=request.POST.get("delegator") or None, delegate=request.POST.get("delegate")).enforce()
        if form.is_valid():
            made, refusal = attempt_at(
                request, form, lambda: verbs.delegate(form.cleaned_data["delegate"], actor=request.user, now=request.now, **form.given())
            )
            if made:
                return done(request, said_of(made, request), reverse("delegations"))
    status = refused_status(request, refusal) if refusal else 400 if form.is_bound and form.errors else 200
    return render(request, "accounts/delegations.html", {"form": form, "problem": refusal, **listed(request)}, status=status)


def give_form(request: PageRequest) -> GiveForm:
    kind = GiveForAnyoneForm if has_role(request.user, "administrator") else GiveForm
    return kind(request.POST if request.method == "POST" else None, auto_id="d-%s")


def attempt_at(request: PageRequest, form: forms.Form, act: Any) -> tuple[Any, DomainError | None]:
    """Run the act; what it refuses at a field stands at that field."""
    result, refusal = attempt(request, act)
    for name, messages in refusal.errors.items() if refusal else ():
        place = "number" if name == "scope" and form.cleaned_data.get("number") else name
        form.add_error(place if place in form.fields else None, messages)
    return result, refusal


def said_of(row: Delegation, request: PageRequest) -> str:
    names = {"delegate": row.delegate.display_name, "delegator": row.delegator.display_name}
    if row.delegator_id != request.user.pk:
        return _("%(delegate)s votes for %(delegator)s. Both are told.") % names
    if row.begun_at:
        return _("%(delegate)s votes for you from now on, and is told so.") % names
    return _("%(delegate)s is told now, and again when it begins.") % names


def listed(request: PageRequest) -> dict[str, Any]:
    """The delegations of the page: mine in two lists, what is past, and for those who may see all what runs or is planned."""
    user, live = request.user, not_over(request.now)
    given, held = Q(delegator=user), Q(delegate=user)
    lists = {
        "given": delegations().filter(given, live).order_by("starts_at", "pk")[:MOST_OF_ALL],
        "held": delegations().filter(held, live).order_by("starts_at", "pk")[:MOST_OF_ALL],
        "past": delegations().filter(given | held).exclude(live).order_by("-ends_at", "-pk")[:MOST_SHOWN],
    }
    if has_role(user, *SEES_ALL):
        lists["everybodys"] = delegations().filter(live).exclude(given | held).order_by("starts_at", "pk")[:MOST_OF_ALL]
    return {
        **{name: [shown(row, request) for row in rows] for name, rows in lists.items()},
        "may_give": verbs.may_delegate(user).allowed,
        "may_look_ahead": has_role(user, *coverage.READERS),
    }


def shown(row: Delegation, request: PageRequest) -> dict[str, Any]:
    """One delegation as the template draws it, with the acts this person may do."""
    standing = standing_of(row, request.now)
    label, look = STANDINGS[standing]
    return {
        "row": row,
        "standing": label,
        "look": look,
        "scope": scope_in_words(row),
        "may_change": verbs.may_change(row, actor=request.user, now=request.now).allowed,
        "may_revoke": standing in ("running", "planned") and verbs.may_revoke(row, actor=request.user, now=request.now).allowed,
    }


def scope_in_words(row: Delegation) -> str:
    label = str(row.get_scope_kind_display()).capitalize()
    value = Type(row.scope_value).label if row.scope_kind == Scope.TYPE and row.scope_value in Type.values else row.scope_value
    return f"{label}: {value}" if value else label


@page("GET", "HEAD", "POST")
def one(request: PageRequest, key: int) -> HttpResponse:
    """Another end, or another reason."""
    row = row_of(request, key)
    Verdict(refusal=verbs.may_change(row, actor=request.user, now=request.now).refusal).enforce()
    form = EndForm(request.POST if request.method == "POST" else None, initial={"ends_at": row.ends_at, "reason": row.reason}, auto_id="d-%s")
    refusal = None
    if request.method == "POST" and form.is_valid():
        changed, refusal = attempt_at(request, form, lambda: verbs.change_delegation(key, actor=request.user, now=request.now, **moved(form, row)))
        if changed:
            return done(request, _("Saved. Who votes is told."), reverse("delegations"))
    status = refused_status(request, refusal) if refusal else 400 if form.is_bound and form.errors else 200
    return render(request, "accounts/delegation.html", {"one": shown(row, request), "form": form, "problem": refusal}, status=status)


def moved(form: forms.Form, row: Delegation) -> dict[str, Any]:
    """What was changed; the form knows minutes only, so an end that it repeats stays as it is."""
    data = form.cleaned_data
    same = data["ends_at"] == row.ends_at.replace(second=0, microsecond=0)
    return {"reason": data["reason"], "ends_at": None if same else data["ends_at"]}


def row_of(request: PageRequest, key: int) -> Delegation:
    if key > 2**63 - 1:
        raise NotFound(_("There is no delegation with this id that you may see."))
    return existing(delegations_seen_by(request.user).filter(pk=key).first(), _("There is no delegation with this id that you may see."))


@page("POST")
def revoke(request: PageRequest, key: int) -> HttpResponse:
    """End one at once: mine, one I hold, or any by an administrator."""
    row = verbs.revoke_delegation(row_of(request, key).pk, actor=request.user, now=request.now)
    if row.delegate_id == request.user.pk:
        return done(request, _("You don't vote for %(name)s any more.") % {"name": row.delegator.display_name}, reverse("delegations"))
    return done(request, _("%(name)s doesn't vote any more.") % {"name": row.delegate.display_name}, reverse("delegations"))


@page("POST")
def back(request: PageRequest) -> HttpResponse:
    """I am back: nobody votes for me any more."""
    verbs.come_back(actor=request.user, now=request.now)
    return done(request, _("Welcome back. You vote for yourself again."), reverse("delegations"))


# --- looking ahead ---


@page()
def look_ahead(request: PageRequest) -> HttpResponse:
    """The coming days on which a seat has nobody, as a calendar."""
    if not has_role(request.user, *coverage.READERS):
        raise NotPermitted(_("Change managers, administrators and auditors look at this."))
    days = days_asked(request.GET.get("days", str(coverage.DAYS)))
    found = coverage.gaps(now=request.now, days=days)
    context = {"days": days, "spans": SPANS, "calendars": calendars(found, coverage.days_from(request.now, days)), "gaps": len(found)}
    return render(request, "approvals/coverage.html", context)


def days_asked(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= coverage.MOST_DAYS):
        raise Invalid.field("days", _("Give a whole number from 1 to %(most)s.") % {"most": coverage.MOST_DAYS})
    return int(text)


def calendars(gaps: list[coverage.Gap], days: list[date]) -> list[dict[str, Any]]:
    """One table for every thirty days that have a gap: a row for each seat, a cell for each day."""
    found = []
    for first in range(0, len(days), DAYS_BESIDE):
        beside = days[first : first + DAYS_BESIDE]
        missing: dict[tuple[str, str, str], set[date]] = {}
        for gap in gaps:
            if beside[0] <= gap.date <= beside[-1]:
                missing.setdefault((gap.chain, gap.level, gap.seat), set()).add(gap.date)
        rows = [{"seat": seat, "cells": [(day, day in there) for day in beside], "runs": runs(there)} for seat, there in missing.items()]
        if rows:
            found.append({"days": beside, "rows": rows})
    return found


def runs(days: set[date]) -> list[tuple[date, date]]:
    """The first and the last day of every stretch without a break."""
    found: list[tuple[date, date]] = []
    for day in sorted(days):
        if found and found[-1][1] + timedelta(days=1) == day:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


urlpatterns = [
    path("profile/delegations/", mine, name="delegations"),
    path("profile/delegations/back/", back, name="delegations-back"),
    path("profile/delegations/<int:key>/", one, name="delegation"),
    path("profile/delegations/<int:key>/revoke/", revoke, name="delegation-revoke"),
    path("approvals/coverage/", look_ahead, name="coverage"),
]
