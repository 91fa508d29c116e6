"""Risk in the Django admin: weights and thresholds under two pairs of eyes, and rules of one's own."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.admin_base import AuditedHistoryAdmin, actor_of
from changemgmt.changes.models import CustomField
from changemgmt.conditions.forms import ConditionField
from changemgmt.conditions.rules import describe
from changemgmt.core.errors import DomainError
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import configure_risk

from .models import RiskRule, RiskSettings
from .rules import Settings

NAMES = tuple(field.name for field in fields(Settings))


class SettingsForm(forms.ModelForm):
    """The values in force, or those that wait."""

    class Meta:
        model = RiskSettings
        fields = NAMES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        instance = kwargs.get("instance")
        if instance is not None and instance.pending:
            kwargs["initial"] = {**instance.pending, **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)


@admin.register(RiskSettings)
class RiskSettingsAdmin(AuditedHistoryAdmin):
    """What is saved here is proposed: it comes into force when another administrator activates it."""

    form = SettingsForm
    list_display = ("__str__", "waits", "pending_by")
    actions = ("activate",)
    readonly_fields = ("waits",)
    overall = ("technical_weight", "business_weight"), ("medium_from", "high_from", "very_high_from")
    business = ("users_weight", "criticality_weight", "revenue_weight", "compliance_weight", "reputation_weight", "users_at_most")
    overall_words = gettext_lazy("Overall is technical risk × its weight + business impact × its weight. The two weights add to 1.")
    fieldsets = (
        (gettext_lazy("Overall"), {"fields": overall, "description": overall_words}),
        (gettext_lazy("Business impact"), {"fields": business, "description": gettext_lazy("The five weights add to 1.")}),
        (gettext_lazy("Technical risks"), {"fields": ("items_over", "layers_over", "direct_over", "compensations_over")}),
        (gettext_lazy("In force"), {"fields": ("waits",)}),
    )

    @admin.display(description=gettext_lazy("waits for a second administrator"), boolean=True)
    def waits(self, row: RiskSettings) -> bool:
        return row.pending is not None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not RiskSettings.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: RiskSettings | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: RiskSettings, form: Any, change: bool) -> None:
        """Propose the values; the row in force is not touched."""
        values = {name: form.cleaned_data[name] for name in NAMES}
        saved = configure_risk.propose_settings(values, actor=actor_of(request), now=utc_now())
        obj.pk, obj._state.adding = saved.pk, False

    def log_addition(self, request: HttpRequest, obj: RiskSettings, message: Any) -> Any:
        return admin.ModelAdmin.log_addition(self, request, obj, message)

    def log_change(self, request: HttpRequest, obj: RiskSettings, message: Any) -> Any:
        return admin.ModelAdmin.log_change(self, request, obj, message)

    @admin.action(description=gettext_lazy("Activate the proposed settings"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[RiskSettings]) -> Any:
        question = _("Every assessment from now on is computed with the proposed values. Those already made stay:")
        if page := self.ask_first(request, queryset, action="activate", title=_("Activate risk settings"), question=question):
            return page
        try:
            configure_risk.activate_settings(actor=actor_of(request), now=utc_now())
        except DomainError as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)
            return None
        messages.success(request, _("The settings are in force."))
        return None


class RuleForm(forms.ModelForm):
    condition = ConditionField(
        label=gettext_lazy("Holds for"),
        custom=lambda: dict(CustomField.objects.values_list("name", "kind")),
        help_text=gettext_lazy("Changes that have this risk."),
    )

    class Meta:
        model = RiskRule
        fields = ("name", "active", "condition", "category", "likelihood", "impact", "mitigation", "evidence")


@admin.register(RiskRule)
class RiskRuleAdmin(AuditedHistoryAdmin):
    """Risks beside the published ones."""

    form = RuleForm
    list_display = ("name", "active", "category", "likelihood", "impact", "holds_for")
    list_filter = ("active", "likelihood", "impact")
    search_fields = ("name", "category")

    @admin.display(description=gettext_lazy("holds for"))
    def holds_for(self, rule: RiskRule) -> str:
        return describe(rule.condition)
