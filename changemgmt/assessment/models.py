"""What administrators set about risk: weights, thresholds, limits, and rules of their own."""

from dataclasses import fields
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from changemgmt.accounts.models import User
from changemgmt.assessment.rules import Settings
from changemgmt.changes.models import CustomField, Scale
from changemgmt.conditions.rules import check, uses

OWN_RESULT = {"risk_level", "risk_score"}


def weight(label: Any, default: float) -> models.FloatField:
    return models.FloatField(label, default=default)


class RiskSettings(models.Model):
    """The one row of weights and thresholds. Without it the published defaults hold."""

    technical_weight = weight(_("weight of technical risk"), 0.6)
    business_weight = weight(_("weight of business impact"), 0.4)
    users_weight = weight(_("weight of users reached"), 0.20)
    criticality_weight = weight(_("weight of business criticality"), 0.30)
    revenue_weight = weight(_("weight of revenue"), 0.25)
    compliance_weight = weight(_("weight of compliance"), 0.15)
    reputation_weight = weight(_("weight of reputation"), 0.10)
    medium_from = models.FloatField(_("medium from"), default=0.25)
    high_from = models.FloatField(_("high from"), default=0.50)
    very_high_from = models.FloatField(_("very high from"), default=0.75)
    users_at_most = models.PositiveIntegerField(_("users that count as all"), default=10_000, validators=[MinValueValidator(1)])
    items_over = models.PositiveIntegerField(_("complex over this many items"), default=10)
    layers_over = models.PositiveIntegerField(_("complex over this many layers"), default=2)
    direct_over = models.PositiveIntegerField(_("many dependencies over"), default=5, help_text=_("Components reached directly."))
    compensations_over = models.PositiveIntegerField(_("complex rollback over this many compensations"), default=5)
    pending = models.JSONField(null=True, blank=True, editable=False, help_text=_("New values that wait for a second administrator."))
    pending_by = models.ForeignKey(django_settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+")
    history = HistoricalRecords()

    _history_user: User
    """Who writes it, for the rows of its history."""

    class Meta:
        verbose_name = verbose_name_plural = _("risk settings")
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="risk_settings_one_row")]

    def __str__(self) -> str:
        return str(_("Risk settings"))

    def as_settings(self) -> Settings:
        """The row as the pure rules take it."""
        return Settings(**{field.name: getattr(self, field.name) for field in fields(Settings)})

    def clean(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(Settings)}
        if None not in values.values() and (mistakes := Settings(**values).mistakes()):
            raise ValidationError(mistakes)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.pk = 1
        super().save(*args, **kwargs)


class RiskRule(models.Model):
    """A risk that a change has whenever the condition holds."""

    name = models.CharField(max_length=100, unique=True)
    active = models.BooleanField(default=True)
    condition = models.JSONField(default=dict, blank=True)
    category = models.CharField(max_length=60)
    likelihood = models.CharField(max_length=9, choices=Scale)
    impact = models.CharField(max_length=9, choices=Scale)
    mitigation = models.CharField(max_length=300)
    evidence = models.CharField(max_length=300, help_text=_("Why it is a risk, as shown in the assessment."))
    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        found = check(self.condition, custom=dict(CustomField.objects.values_list("name", "kind")))
        if found:
            raise ValidationError({"condition": [f"{finding.path}: {finding.message}" if finding.path else finding.message for finding in found]})
        if uses(self.condition) & OWN_RESULT:
            raise ValidationError({"condition": _("A rule that makes risk can't ask for the risk that comes out of it.")})
