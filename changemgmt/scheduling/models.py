"""Calendars, maintenance windows and freezes."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from changemgmt.accounts.models import User
from changemgmt.changes.models import CustomField
from changemgmt.scheduling.recurrence import Pattern
from changemgmt.scheduling.rules import calendar_mistakes, span_mistakes


def holidays_known(country: str) -> bool:
    """Whether the public holidays of this country (two capital letters) are known."""
    from holidays import list_supported_countries  # slow to import, and only an administrator waits for it

    return country in list_supported_countries()


def weekdays() -> list[int]:
    """All days of the week, Monday is 0."""
    return [0, 1, 2, 3, 4, 5, 6]


class BusinessCalendar(models.Model):
    """When people work, and on which days changes may run."""

    name = models.CharField(max_length=100, unique=True)
    is_default = models.BooleanField(default=False)
    timezone = models.CharField(max_length=64, default="UTC")
    business_start = models.PositiveSmallIntegerField(_("business hours from"), default=9, validators=[MaxValueValidator(24)])
    business_end = models.PositiveSmallIntegerField(_("business hours to"), default=17, validators=[MaxValueValidator(24)])
    operational_days = models.JSONField(default=weekdays, help_text=_("Days on which changes may run, Monday is 0."))
    country = models.CharField(_("public holidays of"), max_length=2, blank=True)
    peak_seasons = models.JSONField(default=list, blank=True, help_text=_("From and to, as month-day."))
    peak_start = models.PositiveSmallIntegerField(_("peak hours from"), null=True, blank=True, validators=[MaxValueValidator(24)])
    peak_end = models.PositiveSmallIntegerField(_("peak hours to"), null=True, blank=True, validators=[MaxValueValidator(24)])
    org_unit = models.ForeignKey("changemgmt.OrgUnit", null=True, blank=True, on_delete=models.PROTECT, related_name="calendars")
    service = models.CharField(
        max_length=300, blank=True, db_index=True, help_text=_("Key of the service it is the calendar of; it goes before the org unit's.")
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        mistakes = calendar_mistakes(
            timezone=self.timezone, hours=(self.business_start, self.business_end), peak=(self.peak_start, self.peak_end),
            days=self.operational_days, seasons=self.peak_seasons, country=self.country,
        )  # fmt: skip
        if self.country and not holidays_known(self.country):
            mistakes.setdefault("country", []).append(gettext("No public holidays are known for this country. Use two capital letters, such as AT."))
        if mistakes:
            raise ValidationError(mistakes)


class Span(models.Model):
    """A named span of time, perhaps recurring, for what its scope names. An empty scope is everything."""

    name = models.CharField(max_length=200)
    start = models.DateTimeField()
    end = models.DateTimeField()
    recurrence = models.CharField(max_length=500, blank=True, help_text=_("RRULE of RFC 5545; empty happens once."))
    timezone = models.CharField(max_length=64, default="UTC", help_text=_("The recurrence follows the clocks of this zone."))
    scope = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    removed_at = models.DateTimeField(null=True, blank=True)

    _history_user: User
    """Who writes it, for the rows of its history."""

    class Meta:
        abstract = True
        ordering = ["start"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        custom = dict(CustomField.objects.values_list("name", "kind"))
        if mistakes := span_mistakes(self.start, self.end, self.recurrence, self.timezone, self.scope, custom=custom):
            raise ValidationError(mistakes)

    @property
    def pattern(self) -> Pattern:
        """When it happens, as the pure rules take it."""
        return Pattern(self.start, self.end, self.recurrence, self.timezone)


class MaintenanceWindow(Span):
    """When changes to what it covers may run. A component that some window covers may only be changed inside one."""

    history = HistoricalRecords()

    class Meta(Span.Meta):
        abstract = False
        constraints = [models.CheckConstraint(condition=Q(end__gt=models.F("start")), name="maintenance_ends_after_start")]


class Freeze(Span):
    """When changes to what it covers must not run, but for the allowed types."""

    allowed_types = models.JSONField(default=list, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    pending = models.JSONField(null=True, blank=True, help_text=_("A shortening or removal that waits for a second person."))
    pending_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    history = HistoricalRecords()

    class Meta(Span.Meta):
        abstract = False
        constraints = [models.CheckConstraint(condition=Q(end__gt=models.F("start")), name="freeze_ends_after_start")]


class Blackout(Span):
    """When a compliance scope or an owner would rather see nothing happen: it lowers the score of a window and warns, it does not block."""

    compliance_scope = models.CharField(max_length=60, blank=True, help_text=_("For changes in this scope, such as sox."))
    owner = models.CharField(
        max_length=200, blank=True, help_text=_("Slug of a team or name of a user: for changes to what they own, or that they implement.")
    )
    history = HistoricalRecords()

    class Meta(Span.Meta):
        abstract = False
        constraints = [models.CheckConstraint(condition=Q(end__gt=models.F("start")), name="blackout_ends_after_start")]
