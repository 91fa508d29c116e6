"""Freezes and maintenance windows as pages: write one, alter or end it, confirm what another asked for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.queries import has_role
from changemgmt.changes.models import CustomField, Type
from changemgmt.conditions.forms import ConditionField
from changemgmt.conditions.rules import describe
from changemgmt.core.errors import DomainError, NotFound
from changemgmt.lifecycle import change_calendar
from changemgmt.scheduling.models import Freeze, MaintenanceWindow, Span
from changemgmt.scheduling.recurrence import zone_named

from .base import PageRequest, attempt, done, page, refused_status
from .record_form import Moment, several, short

NEVER, OWN = "", "own"
REPEATS = {
    NEVER: gettext_lazy("It happens once"),
    "FREQ=DAILY": gettext_lazy("Every day"),
    "FREQ=WEEKLY": gettext_lazy("Every week"),
    "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR": gettext_lazy("Monday to Friday"),
    "FREQ=MONTHLY": gettext_lazy("Every month, on the same day"),
    "FREQ=YEARLY": gettext_lazy("Every year"),
    OWN: gettext_lazy("By a rule of my own"),
}
KINDS: dict[str, Any] = {"freezes": Freeze, "windows": MaintenanceWindow}


def custom_fields() -> dict[str, str]:
    """The custom fields that scopes may ask for, with their kinds."""
    return dict(CustomField.objects.values_list("name", "kind"))


class SpanForm(forms.Form):
    """A span of the calendar. Times are on the clocks of its own zone."""

    name = short(gettext_lazy("Name"), limit=200)
    start = Moment(gettext_lazy("From"))
    end = Moment(gettext_lazy("To"))
    timezone = short(gettext_lazy("Time zone"), gettext_lazy("Times and repetition follow the clocks of this zone, such as Europe/Oslo."), limit=64)
    repeats = forms.ChoiceField(label=gettext_lazy("Repeats"), choices=REPEATS.items(), required=False, widget=forms.Select(attrs={"class": "in"}))
    rule = short(gettext_lazy("Own rule"), gettext_lazy("As in RFC 5545, for example FREQ=MONTHLY;BYDAY=2SA."), limit=500)
    scope = ConditionField(label=gettext_lazy("For which changes"), custom=custom_fields)

    def fields_given(self) -> dict[str, Any]:
        """What the verbs take. Call it on a valid form."""
        data = self.cleaned_data
        zone = zone_named(data["timezone"])
        given: dict[str, Any] = {name: data[name] for name in ("name", "timezone", "scope", "reason", "allowed_types") if name in data}
        given |= {name: data[name].replace(tzinfo=zone) if data[name] and zone else data[name] for name in ("start", "end")}
        return given | {"recurrence": data["rule"] if data["repeats"] == OWN else data["repeats"]}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name in ("start", "end"):
            if data.get(name):
                data[name] = timezone.make_naive(data[name])
            elif name not in self.errors:
                self.add_error(name, _("Give a time."))
        return data


class FreezeForm(SpanForm):
    allowed_types = several(gettext_lazy("Types that may pass"), Type.choices, boxes=True)
    reason = short(gettext_lazy("Why"))


def initial_of(row: Span) -> dict[str, Any]:
    zone = zone_named(row.timezone)
    local = {name: getattr(row, name).astimezone(zone).replace(tzinfo=None) for name in ("start", "end")}
    known = row.recurrence in REPEATS
    rest: dict[str, Any] = {name: getattr(row, name) for name in ("name", "timezone", "scope", "reason", "allowed_types") if hasattr(row, name)}
    return local | rest | {"repeats": row.recurrence if known else OWN, "rule": "" if known else row.recurrence}


def writer_only(request: PageRequest) -> None:
    change_calendar.refuse_others(request.user)


def row_of(kind: str, key: int) -> Span:
    row = KINDS[kind].objects.filter(pk=key, removed_at__isnull=True).first()
    if row is None:
        raise NotFound("There is no such entry in the calendar.")
    return row


@page()
def spans(request: PageRequest, kind: str) -> HttpResponse:
    """All freezes, or all maintenance windows, that are not removed."""
    rows = KINDS[kind].objects.filter(removed_at__isnull=True)
    shown = [{"row": row, "scope": describe(row.scope), "repeats": REPEATS.get(row.recurrence, row.recurrence)} for row in rows]
    context = {"kind": kind, "spans": shown, "writer": has_role(request.user, *change_calendar.WRITERS)}
    return render(request, "calendar/spans.html", context)


@page("GET", "HEAD", "POST")
def new(request: PageRequest, kind: str) -> HttpResponse:
    """A new freeze or maintenance window."""
    writer_only(request)
    form_class = FreezeForm if kind == "freezes" else SpanForm
    form = form_class(request.POST or None, initial={"timezone": request.user.time_zone}, auto_id="s-%s")
    refusal = None
    if request.method == "POST" and form.is_valid():
        create = change_calendar.create_freeze if kind == "freezes" else change_calendar.create_window
        made, refusal = attempt_span(request, form, lambda: create(form.fields_given(), actor=request.user, now=request.now))
        if made:
            return done(request, _("It is in the calendar and holds from now on."), reverse(f"calendar-{kind}"))
    return drawn(request, kind, form, refusal)


@page("GET", "HEAD", "POST")
def one(request: PageRequest, kind: str, key: int) -> HttpResponse:
    """Alter one. What loosens a freeze waits for another person."""
    writer_only(request)
    row = row_of(kind, key)
    form_class = FreezeForm if kind == "freezes" else SpanForm
    form = form_class(request.POST or None, initial=initial_of(row), auto_id="s-%s")
    refusal = None
    if request.method == "POST" and form.is_valid():
        edit = change_calendar.edit_freeze if kind == "freezes" else change_calendar.edit_window
        edited, refusal = attempt_span(request, form, lambda: edit(key, form.fields_given(), actor=request.user, now=request.now))
        if edited:
            holds = kind == "windows" or edited[1]
            text = _("Saved; it holds from now on.") if holds else _("Asked for. The freeze holds as it is until another person confirms.")
            return done(request, text, reverse(f"calendar-{kind}"))
    return drawn(request, kind, form, refusal, row)


def attempt_span(request: PageRequest, form: SpanForm, act: Any) -> tuple[Any, DomainError | None]:
    """Run the act; what it refuses at a field stands at that field."""
    result, refusal = attempt(request, act)
    if refusal is not None:
        for name, messages in refusal.errors.items():
            place = {"recurrence": "rule"}.get(name, name)
            form.add_error(place if place in form.fields else None, messages)
    return result, refusal


def drawn(request: PageRequest, kind: str, form: SpanForm, refusal: DomainError | None, row: Span | None = None) -> HttpResponse:
    status = refused_status(request, refusal) if refusal else 400 if form.is_bound and form.errors else 200
    return render(request, "calendar/span.html", {"kind": kind, "form": form, "row": row, "problem": refusal}, status=status)


@page("POST")
def remove(request: PageRequest, kind: str, key: int) -> HttpResponse:
    """Take a maintenance window out, or ask for the end of a freeze."""
    if kind == "freezes":
        change_calendar.remove_freeze(key, actor=request.user, now=request.now)
        return done(request, _("Asked for. The freeze holds until another person confirms its end."), reverse(f"calendar-{kind}"))
    change_calendar.remove_window(key, actor=request.user, now=request.now)
    return done(request, _("The window is taken out."), reverse(f"calendar-{kind}"))


@page("POST")
def confirm(request: PageRequest, key: int) -> HttpResponse:
    """Confirm what another person asked for about a freeze."""
    change_calendar.confirm_freeze(key, actor=request.user, now=request.now)
    return done(request, _("Confirmed; it holds from now on."), reverse("calendar"))


def entries(kind: str) -> list[Any]:
    named = {"kind": kind}
    return [
        path(f"calendar/{kind}/", spans, named, name=f"calendar-{kind}"),
        path(f"calendar/{kind}/new/", new, named, name=f"calendar-{kind}-new"),
        path(f"calendar/{kind}/<int:key>/", one, named, name=f"calendar-{kind}-one"),
        path(f"calendar/{kind}/<int:key>/remove/", remove, named, name=f"calendar-{kind}-remove"),
    ]


urlpatterns = [*entries("freezes"), *entries("windows"), path("calendar/freezes/<int:key>/confirm/", confirm, name="calendar-freeze-confirm")]
