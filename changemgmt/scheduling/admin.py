"""The calendar in the Django admin. Freezes and maintenance windows are written by their verbs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.admin_base import AuditedAdmin, AuditedHistoryAdmin, actor_of
from changemgmt.changes.models import CustomField, Type
from changemgmt.conditions.forms import ConditionField
from changemgmt.conditions.rules import describe
from changemgmt.core.errors import DomainError
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import change_calendar

from .models import Blackout, BusinessCalendar, Freeze, MaintenanceWindow, Span
from .rules import seasons_of

WEEKDAYS = [
    (0, gettext_lazy("Monday")), (1, gettext_lazy("Tuesday")), (2, gettext_lazy("Wednesday")), (3, gettext_lazy("Thursday")), (4, gettext_lazy("Friday")),
    (5, gettext_lazy("Saturday")), (6, gettext_lazy("Sunday")),
]  # fmt: skip


def custom_fields() -> dict[str, str]:
    return dict(CustomField.objects.values_list("name", "kind"))


class SeasonsField(forms.CharField):
    """Seasons, one a line: `11-20 to 12-31`."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 30})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{first} to {last}" for first, last in value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[list[str]]:
        text = super().clean(value) or ""
        seasons = [[part.strip() for part in line.split(" to ")] for line in text.splitlines() if line.strip()]
        if any(len(season) != 2 for season in seasons) or seasons_of(seasons) is None:
            raise forms.ValidationError(_("Write each season on its own line as month-day to month-day, such as 11-20 to 12-31."))
        return seasons


class CalendarForm(forms.ModelForm):
    operational_days = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Days on which changes may run"), choices=WEEKDAYS, coerce=int, widget=forms.CheckboxSelectMultiple, empty_value=[]
    )
    peak_seasons = SeasonsField(label=gettext_lazy("Peak seasons"), required=False, help_text=gettext_lazy("One a line: 11-20 to 12-31."))

    class Meta:
        model = BusinessCalendar
        fields = (
            "name", "is_default", "timezone", "business_start", "business_end", "peak_start", "peak_end", "operational_days", "country", "peak_seasons",
            "org_unit", "service",
        )  # fmt: skip


@admin.register(BusinessCalendar)
class BusinessCalendarAdmin(AuditedAdmin):
    """When people work, and when the business is busy."""

    form = CalendarForm
    list_display = ("name", "is_default", "timezone", "org_unit", "service")
    search_fields = ("name", "service")


class SpanForm(forms.ModelForm):
    """A span with its scope in rows."""

    scope = ConditionField(label=gettext_lazy("For which changes"), custom=custom_fields)


class FreezeForm(SpanForm):
    allowed_types = forms.MultipleChoiceField(
        label=gettext_lazy("Types that may pass"), choices=Type.choices, required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = Freeze
        fields = ("name", "start", "end", "recurrence", "timezone", "scope", "allowed_types", "reason")


class WindowForm(SpanForm):
    class Meta:
        model = MaintenanceWindow
        fields = ("name", "start", "end", "recurrence", "timezone", "scope")


class BlackoutForm(SpanForm):
    class Meta:
        model = Blackout
        fields = ("name", "start", "end", "recurrence", "timezone", "scope", "compliance_scope", "owner")


class SpanAdmin(AuditedHistoryAdmin):
    """What freezes and windows have in common: written by verbs, taken out rather than deleted."""

    list_display: Any = ("name", "start", "end", "recurrence", "timezone", "covers")
    search_fields = ("name",)
    ordering = ("-start",)
    actions: Any = ("take_out",)
    verbs: Any = ()

    @admin.display(description=gettext_lazy("for"))
    def covers(self, span: Span) -> str:
        return describe(span.scope)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(removed_at__isnull=True)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The verb has put it on the record."""
        return admin.ModelAdmin.log_addition(self, request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The verb has put it on the record."""
        return admin.ModelAdmin.log_change(self, request, obj, message)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        fields = {name: form.cleaned_data[name] for name in form.Meta.fields}
        create, edit, _remove = self.verbs
        if not change:
            made = create(fields, actor=actor_of(request), now=utc_now())
            obj.pk, obj._state.adding = made.pk, False
        else:
            self.said(request, edit(obj.pk, fields, actor=actor_of(request), now=utc_now()))

    def said(self, request: HttpRequest, answer: Any) -> None:
        """Tell the person what the verb made of it."""

    @admin.action(description=gettext_lazy("Take out of the calendar"), permissions=["change"])
    def take_out(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        title, question = (
            _("Take out of the calendar"),
            _("They leave the calendar; their record stays. A freeze goes on until another person confirms:"),
        )
        if page := self.ask_first(request, queryset, action="take_out", title=title, question=question):
            return page
        for span in queryset:
            self.verbs[2](span.pk, actor=actor_of(request), now=utc_now())
        messages.success(request, self.taken_out())
        return None

    def taken_out(self) -> str:
        return _("They are taken out of the calendar.")


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(SpanAdmin):
    """What a window's scope names may only be changed inside one."""

    form = WindowForm
    verbs = (change_calendar.create_window, change_calendar.edit_window, change_calendar.remove_window)


@admin.register(Freeze)
class FreezeAdmin(SpanAdmin):
    """A freeze holds at once; shortening or ending one needs a second person."""

    form = FreezeForm
    list_display = (*SpanAdmin.list_display, "waits")
    actions = ("take_out", "confirm")
    verbs = (change_calendar.create_freeze, change_calendar.edit_freeze, change_calendar.remove_freeze)

    @admin.display(description=gettext_lazy("waits for a second person"), boolean=True)
    def waits(self, freeze: Freeze) -> bool:
        return freeze.pending is not None

    def said(self, request: HttpRequest, answer: Any) -> None:
        if not answer[1]:
            messages.warning(request, _("This would loosen the freeze: it holds as it was until another person confirms."))

    def taken_out(self) -> str:
        return _("Asked for: they hold until another person confirms their end.")

    @admin.action(description=gettext_lazy("Confirm what another person asked for"), permissions=["change"])
    def confirm(self, request: HttpRequest, queryset: QuerySet[Freeze]) -> HttpResponse | None:
        question = _("What another person asked for holds from then on, for:")
        if page := self.ask_first(request, queryset, action="confirm", title=_("Confirm"), question=question):
            return page
        for freeze in queryset:
            try:
                change_calendar.confirm_freeze(freeze.pk, actor=actor_of(request), now=utc_now())
                messages.success(request, _("Confirmed: %(name)s.") % {"name": freeze.name})
            except DomainError as refusal:
                messages.error(request, f"{freeze.name}: {refusal.detail}")
        return None


@admin.register(Blackout)
class BlackoutAdmin(AuditedHistoryAdmin):
    """Times that owners or compliance would rather keep quiet: they warn and cost points, they do not block."""

    form = BlackoutForm
    list_display = ("name", "start", "end", "recurrence", "compliance_scope", "owner")
    search_fields = ("name", "owner", "compliance_scope")
