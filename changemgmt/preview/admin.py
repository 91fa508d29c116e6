"""Policy rules in the Django admin, with what breaks them now, each write through its verb; and drift cases, looked at only."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.admin_base import AuditedHistoryAdmin, ReadOnlyAdmin, actor_of
from changemgmt.architecture.rules import COMPONENT, RELATION
from changemgmt.conditions.forms import ConditionField
from changemgmt.conditions.rules import describe
from changemgmt.core.errors import Invalid
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import configure_policy

from .models import DriftCase, DriftRow, PolicyRule
from .policies import as_policy, names_there
from .policy_fields import KNOWN, either, vocabulary
from .policy_mistakes import FIELDS
from .scan import breaches


class PolicyRuleForm(forms.ModelForm):
    """A rule in rows. What its conditions can ask depends on what it is about."""

    applies_when = ConditionField(label=gettext_lazy("Holds for"), help_text=gettext_lazy("Whom the rule is about."))
    must = ConditionField(label=gettext_lazy("Must"), help_text=gettext_lazy("What has to hold of them."))

    class Meta:
        model = PolicyRule
        fields = FIELDS
        widgets = {"message": forms.TextInput(attrs={"class": "vLargeTextField", "size": 80})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = names_there()
        about = str(self.data.get("about", "")) if self.is_bound else self.instance.about if self.instance.pk else ""
        known = vocabulary(about, names) if about in (COMPONENT, RELATION) else either(names)
        for name in ("applies_when", "must"):
            field: Any = self.fields[name]
            field.custom = field.widget.custom = known
        field.widget.no_rows = gettext_lazy("No row means: such a thing may not be at all.")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        cleaned["must"] = cleaned["must"] or None
        try:
            configure_policy.refuse_wrong(self.instance, {name: cleaned[name] for name in FIELDS})
        except Invalid as error:
            raise ValidationError({place.partition(".")[0]: messages for place, messages in error.errors.items()}) from None
        return cleaned


@admin.register(PolicyRule)
class PolicyRuleAdmin(AuditedHistoryAdmin):
    """Checks beside the built-in ones."""

    form = PolicyRuleForm
    list_display = ("name", "active", "about", "severity", "blocks", "rule")
    list_filter = ("active", "severity", "about", "blocks")
    search_fields = ("name", "message")
    readonly_fields = ("now",)
    fieldsets = (
        (None, {"fields": ("name", "active", "about", "applies_when", "must", "message")}),
        (gettext_lazy("What a finding means"), {"fields": ("severity", "blocks", "reached")}),
        (gettext_lazy("Today"), {"fields": ("now",)}),
    )

    @admin.display(description=gettext_lazy("rule"))
    def rule(self, row: PolicyRule) -> str:
        known = KNOWN[row.about].get
        words = _("must be: %(must)s") % {"must": describe(row.must, known)} if row.must else _("may not be at all")
        return f"{describe(row.applies_when, known)} → {words}"

    @admin.display(description=gettext_lazy("What breaks it now"))
    def now(self, row: PolicyRule) -> str:
        if not row.pk:
            return _("Save it first, switched off if you like; then see here what breaks it.")
        return format_html('<a href="{}">{}</a>', reverse("admin:changemgmt_policyrule_now", args=[row.pk]), _("Look through the architecture"))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.now_view)
        return [path("<int:key>/now/", view, name="changemgmt_policyrule_now"), *super().get_urls()]

    def now_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """What breaks the rule as it is saved, page by page."""
        row = PolicyRule.objects.filter(pk=key).first() if self.has_view_permission(request) else None
        if row is None:
            raise Http404
        page = request.GET.get("page", "1")
        found = breaches(as_policy(row), page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 and int(page) else 1)
        context = {"title": _("What breaks it now"), "opts": self.opts, "rule": row, "words": self.rule(row), "found": found}
        return TemplateResponse(request, "admin/policy_rule_now.html", {**self.admin_site.each_context(request), **context})

    def save_model(self, request: HttpRequest, obj: PolicyRule, form: Any, change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in FIELDS}
        saved = configure_policy.save_rule(obj.pk, values, actor=actor_of(request), now=utc_now())
        obj.pk, obj._state.adding = saved.pk, False

    def delete_model(self, request: HttpRequest, obj: PolicyRule) -> None:
        configure_policy.delete_rule(obj.pk, actor=actor_of(request), now=utc_now())

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    # The verb has put it on the record.

    def log_addition(self, request: HttpRequest, obj: PolicyRule, message: Any) -> Any:
        return admin.ModelAdmin.log_addition(self, request, obj, message)

    def log_change(self, request: HttpRequest, obj: PolicyRule, message: Any) -> Any:
        return admin.ModelAdmin.log_change(self, request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return admin.ModelAdmin.log_deletions(self, request, queryset)


@admin.register(DriftCase)
class DriftCaseAdmin(ReadOnlyAdmin):
    list_display = ("source", "state", "opened_at", "seen_at", "settled_at", "assignee", "due_at")
    list_filter = ("state",)
    list_select_related = ("assignee",)
    search_fields = ("source",)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The adopting change may be confidential: the page of the case names it to those who may see it."""
        return ("change",)


@admin.register(DriftRow)
class DriftRowAdmin(ReadOnlyAdmin):
    list_display = ("case_id", "object", "key", "operation", "first_seen", "last_seen", "gone_at")
    list_filter = ("object", "operation")
    search_fields = ("key",)
