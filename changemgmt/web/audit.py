"""The audit page: is the record intact, and what stands in it."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.audit.actions import start_verification
from changemgmt.audit.models import Verification
from changemgmt.audit.queries import Filter, actions_seen, last_verification, matching, representations, visible_events
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import NotPermitted

from .base import PageRequest, done, names_of, page
from .paging import newest_first

SEE_ALL = ("auditor", "administrator")
CHANNELS = [
    ("web", gettext_lazy("Page")),
    ("api", gettext_lazy("API")),
    ("cli", gettext_lazy("Command line")),
    ("mail", gettext_lazy("Mail link")),
    ("system", gettext_lazy("System")),
    ("agent", gettext_lazy("Agent")),
]


def word(label: Any, *, hint: Any = "", values: str = "") -> forms.CharField:
    attrs = {"class": "in", "autocomplete": "off", **({"placeholder": hint} if hint else {}), **({"list": values} if values else {})}
    return forms.CharField(label=label, max_length=300, required=False, widget=forms.TextInput(attrs=attrs))


def day(label: Any) -> forms.DateField:
    return forms.DateField(label=label, required=False, widget=forms.DateInput(attrs={"class": "in", "type": "date"}))


class EventFilters(forms.Form):
    """Every field narrows the list; an empty one doesn't."""

    q = word(gettext_lazy("Search events"), hint=gettext_lazy("Any words of an event"))
    since = day(gettext_lazy("From"))
    until = day(gettext_lazy("To"))
    actor = word(gettext_lazy("Person"), hint=gettext_lazy("Username"))
    action = word(gettext_lazy("Action"), hint="vote.cast", values="audit-actions")
    change = word(gettext_lazy("Change"), hint="CHG-2026-00001")
    object = word(gettext_lazy("Object"), hint="component:crm")
    stream = word(gettext_lazy("Stream"), hint="auth")
    channel = forms.MultipleChoiceField(label=gettext_lazy("Channel"), choices=CHANNELS, required=False, widget=forms.CheckboxSelectMultiple)

    def wanted(self) -> Filter:
        """What is looked for; days are days where the reader is."""
        given = self.cleaned_data
        words = {name: (given[name].strip(),) for name in ("actor", "action", "change", "object", "stream") if given[name].strip()}
        return Filter(
            **words, channel=tuple(given["channel"]), q=given["q"].strip(),
            after=midnight(given["since"]) if given["since"] else None, before=midnight(given["until"], end=True) if given["until"] else None,
        )  # fmt: skip


def midnight(on: date, *, end: bool = False) -> datetime:
    """When the day begins in the reader's zone, or the last moment of it."""
    if not end:
        return timezone.make_aware(datetime.combine(on, time.min))
    return timezone.make_aware(datetime.combine(on, time.max))


@page()
def audit(request: PageRequest) -> HttpResponse:
    """The events this person may see, newest first; `?open=` shows one of them whole."""
    form = EventFilters(request.GET)
    valid = form.is_valid()
    numbers = None if has_role(request.user, "auditor") else visible_to(request.user).values("number")
    events = visible_events(numbers, private=has_role(request.user, "administrator"))
    rows = newest_first(matching(events, form.wanted()) if valid else events.none(), request, field="at")
    shown = representations(rows.rows)
    context = {
        "form": form, "page": rows, "events": shown, "actions": actions_seen(), "opened": request.GET.get("open", ""),
        "used": any(request.GET.get(name) for name in form.fields), "here": without_open(request),
        "people": names_of([*(event["actor"] for event in shown), *(event["on_behalf_of"] for event in shown)]), **badge(request.user, request.now),
    }  # fmt: skip
    return render(request, "audit/list.html", context, status=200 if valid else 400)


def without_open(request: PageRequest) -> str:
    """The query of this page without the event that stands open."""
    query = request.GET.copy()
    query.pop("open", None)
    return f"?{query.urlencode()}{'&' if query else ''}"


def badge(user: User, now: datetime) -> dict[str, Any]:
    """What the verify badge shows, and whether this person sees it and may have the record checked."""
    if not has_role(user, *SEE_ALL):
        return {"see_badge": False}
    run = last_verification()
    stuck = run is not None and run.state == Verification.State.RUNNING and now - run.asked_at > Verification.GIVE_UP
    return {"see_badge": True, "verification": run, "stuck": stuck, "may_verify": has_role(user, "auditor")}


@page("GET", "HEAD", "POST")
def verify(request: PageRequest) -> HttpResponse:
    """POST has the record checked; GET is the badge, which asks again while a check is under way."""
    if request.method == "POST":
        if not has_role(request.user, "auditor"):
            raise NotPermitted(_("Only an auditor has the record checked."))
        start_verification(actor=request.user.username, now=request.now)
        return done(request, _("The record is being checked."), "/audit/")
    if not getattr(request, "htmx", False):
        return redirect("/audit/")
    return render(request, "audit/_badge.html", badge(request.user, request.now))


urlpatterns = [
    path("audit/", audit, name="audit"),
    path("audit/verify/", verify, name="audit-verify"),
]
