"""What administrators set up for changes, in the Django admin: categories, demands, custom fields, templates."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.admin_base import AuditedAdmin, AuditedHistoryAdmin, actor_of
from changemgmt.conditions.forms import ConditionField
from changemgmt.core.time import rfc3339, utc_now
from changemgmt.lifecycle import manage_templates

from .models import Category, CustomField, Item, Template, Type, TypePolicy

FIELD_WORDS = {
    "title": gettext_lazy("title"),
    "description": gettext_lazy("description"),
    "business_justification": gettext_lazy("business justification"),
    "testing_evidence": gettext_lazy("testing evidence"),
    "category": gettext_lazy("category"),
    "org_unit": gettext_lazy("org unit"),
    "owner": gettext_lazy("owner"),
    "requested_start": gettext_lazy("requested start"),
    "requested_end": gettext_lazy("requested end"),
}
PLAN_WORDS = {
    "implementation_plan": gettext_lazy("implementation plan"),
    "test_plan": gettext_lazy("test plan"),
    "communication_plan": gettext_lazy("communication plan"),
    "rollback_plan": gettext_lazy("rollback plan"),
}


def several(label: Any, choices: Any, help_text: Any = "") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(label=label, choices=choices, required=False, widget=forms.CheckboxSelectMultiple, help_text=help_text)


@admin.register(Category)
class CategoryAdmin(AuditedAdmin):
    """The categories a change can have."""

    list_display = ("name", "slug")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Changes and conditions name it by its slug."""
        return ("slug",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else self.prepopulated_fields


class TypePolicyForm(forms.ModelForm):
    required_fields = several(gettext_lazy("Fields needed to submit"), list(FIELD_WORDS.items()))
    required_plans = several(gettext_lazy("Plans needed to submit"), list(PLAN_WORDS.items()))

    class Meta:
        model = TypePolicy
        fields = ("required_fields", "required_plans", "review_required", "approval_expires_hours")
        help_texts = {"approval_expires_hours": gettext_lazy("Hours after which an approval is asked for again. Empty: never.")}


@admin.register(TypePolicy)
class TypePolicyAdmin(AuditedHistoryAdmin):
    """What a change of each type has to bring. The types themselves are fixed."""

    form = TypePolicyForm
    list_display = ("type", "review_required", "approval_expires_hours")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class CustomFieldForm(forms.ModelForm):
    choices = forms.CharField(
        label=gettext_lazy("List"), required=False, widget=forms.Textarea(attrs={"rows": 5, "cols": 40}), help_text=gettext_lazy("One value a line.")
    )
    types = several(gettext_lazy("Types it belongs to"), Type.choices, gettext_lazy("None means all."))

    class Meta:
        model = CustomField
        fields = ("label", "name", "kind", "choices", "types", "required")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["choices"] = "\n".join(self.instance.choices)

    def clean_choices(self) -> list[str]:
        return list(dict.fromkeys(line.strip() for line in self.cleaned_data["choices"].splitlines() if line.strip()))

    def clean(self) -> dict[str, Any]:
        super().clean()
        if self.cleaned_data.get("kind") == CustomField.Kind.CHOICE and not self.cleaned_data.get("choices"):
            self.add_error("choices", ValidationError(_("Write what can be chosen, one value a line.")))
        return self.cleaned_data


@admin.register(CustomField)
class CustomFieldAdmin(AuditedAdmin):
    """Fields of your own. Conditions name them as custom.<name>."""

    form = CustomFieldForm
    list_display = ("label", "name", "kind", "required")
    search_fields = ("label", "name")
    prepopulated_fields = {"name": ("label",)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Changes and conditions name it so."""
        return ("name",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else self.prepopulated_fields


class TemplateForm(forms.ModelForm):
    item_operations = several(gettext_lazy("Items may"), Item.Operation.choices, gettext_lazy("None means all."))
    scope = ConditionField(
        custom=lambda: dict(CustomField.objects.values_list("name", "kind")),
        label=gettext_lazy("Pre-approved when"),
        help_text=gettext_lazy("A pre-approved change that does not meet this goes through the chain of a normal one."),
    )

    class Meta:
        model = Template
        fields = ("name", "slug", "description", "type", "active", "item_operations", "max_items", "pre_approved", "scope", "expires_at")


@admin.register(Template)
class TemplateAdmin(AuditedHistoryAdmin):
    """The catalogue. What a template fills in, and its steps, are written over `templates/` of the API."""

    form = TemplateForm
    list_display = ("name", "type", "active", "pre_approved", "uses", "successes")
    list_filter = ("type", "active", "pre_approved")
    search_fields = ("name", "slug")
    readonly_fields = ("fills_in", "steps", "uses", "finished", "successes")
    prepopulated_fields = {"slug": ("name",)}

    @admin.display(description=gettext_lazy("fills in"))
    def fills_in(self, template: Template) -> str:
        return "; ".join(f"{name.replace('_', ' ')} ({rule['mode']})" for name, rule in template.fields.items()) or _("nothing")

    @admin.display(description=gettext_lazy("steps"))
    def steps(self, template: Template) -> str:
        return "; ".join(step.get("name") or step["id"] for step in template.plan.get("steps", [])) or _("none")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "slug") if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return {} if obj else self.prepopulated_fields

    def save_model(self, request: HttpRequest, obj: Template, form: Any, change: bool) -> None:
        """By the verb, which checks and records."""
        values = {name: form.cleaned_data[name] for name in form.Meta.fields if name in form.cleaned_data}
        values["expires_at"] = rfc3339(values["expires_at"]) if values.get("expires_at") else None
        if change:
            manage_templates.edit_template(obj.slug, values, actor=actor_of(request), now=utc_now())
            return
        made = manage_templates.create_template(values, actor=actor_of(request), now=utc_now())
        obj.pk, obj._state.adding = made.pk, False

    def delete_model(self, request: HttpRequest, obj: Template) -> None:
        manage_templates.delete_template(obj.slug, actor=actor_of(request), now=utc_now())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleted one by one, each by its verb."""
        return {}

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The verb has put it on the record."""
        return admin.ModelAdmin.log_addition(self, request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The verb has put it on the record."""
        return admin.ModelAdmin.log_change(self, request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """The verb puts it on the record."""
        return admin.ModelAdmin.log_deletions(self, request, queryset)
