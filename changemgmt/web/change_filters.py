"""The filter form of the list of changes, and what it does to the rows."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from changemgmt.accounts.models import User
from changemgmt.approvals.queue import awaited_of
from changemgmt.architecture.models import Layer
from changemgmt.changes.filters import filtered
from changemgmt.changes.models import Change, Priority, Scale, State, Type

DAYS = ("planned_after", "planned_before")


RETROSPECTIVE = [("any", _("Ran on one")), ("unreviewed", _("Ran on one, not reviewed")), ("reviewed", _("Ran on one, reviewed"))]


def choices(options: Any, anything: Any) -> list[tuple[str, Any]]:
    """Options behind an entry that narrows nothing."""
    return [("", anything), *options]


def pick(label: Any, options: Any, anything: Any) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=lambda: choices(options() if callable(options) else options, anything),
        required=False,
        widget=forms.Select(attrs={"class": "in"}),
    )


def word(label: Any, hint: Any = "") -> forms.CharField:
    return forms.CharField(
        label=label, max_length=300, required=False, widget=forms.TextInput(attrs={"class": "in", "placeholder": hint, "autocomplete": "off"})
    )


def day(label: Any) -> forms.DateField:
    return forms.DateField(label=label, required=False, widget=forms.DateInput(attrs={"type": "date", "class": "in"}))


def layer_names() -> list[tuple[str, str]]:
    return [(name, name.replace("-", " ").capitalize()) for name in Layer.objects.values_list("name", flat=True)]


class ChangeFilters(forms.Form):
    """Every field narrows the list; an empty one doesn't."""

    q = word(_("Text"), _("Number, title or description"))
    state = pick(_("State"), State.choices, _("Any state"))
    type = pick(_("Type"), Type.choices, _("Any type"))
    priority = pick(_("Priority"), Priority.choices, _("Any priority"))
    risk_level = pick(_("Risk"), Scale.choices, _("Any risk"))
    requester = word(_("Requester"), _("Username"))
    owner = word(_("Owner"), _("Username"))
    component = word(_("Component"), _("Its key"))
    layer = pick(_("Layer"), layer_names, _("Any layer"))
    tag = word(_("Tag"))
    retrospective = pick(_("Emergency go-ahead"), RETROSPECTIVE, _("With or without"))
    planned_after = day(_("Planned from"))
    planned_before = day(_("Planned until"))
    awaiting = forms.CharField(required=False, max_length=150, widget=forms.HiddenInput)

    def narrow(self, rows: QuerySet[Change], viewer: User, *, now: datetime) -> QuerySet[Change]:
        """`rows` with every filled field applied: the filters of the API, but for days, which are those of the viewer's zone, the last one included."""
        given = {name: [value] for name, value in self.cleaned_data.items() if value and name not in DAYS}
        after, before = (self.cleaned_data.get(name) for name in DAYS)
        zone = timezone.get_current_timezone()
        if after:
            rows = rows.filter(planned_end__gt=datetime.combine(after, time.min, zone))
        if before:
            rows = rows.filter(planned_start__lt=datetime.combine(before, time.max, zone))
        return filtered(rows, given, viewer, awaited_of(now))

    @property
    def used(self) -> list[str]:
        """What narrows the list, in words."""
        return [f"{field.label}: {self.cleaned_data[name]}" for name, field in self.fields.items() if self.cleaned_data.get(name) and field.label]
