"""How the architecture is described, in the Django admin. What exists is looked at here and written elsewhere."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.admin_base import AuditedAdmin, ReadOnlyAdmin
from changemgmt.core.time import utc_now

from .actions import save_type
from .fields import bad_schema
from .models import Component, ComponentType, ImportRun, Layer, PropagationSettings, Relation, RelationType, Revision, Source


class LinesField(forms.CharField):
    """A list of names, one a line."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 40})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        text = super().clean(value) or ""
        return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


class SchemaField(forms.JSONField):
    """A JSON Schema; empty allows anything."""

    widget = forms.Textarea(attrs={"rows": 14, "cols": 80, "class": "vLargeTextField"})

    def clean(self, value: Any) -> Any:
        schema = super().clean(value) or {}
        if problem := bad_schema(schema):
            raise forms.ValidationError(problem)
        return schema

    def prepare_value(self, value: Any) -> Any:
        return "" if value in ({}, None) else json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict) else value


class RevisedAdmin(AuditedAdmin):
    """A table whose rows decide what propagates: every save is a revision of the architecture."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        save_type(obj, actor=request.user.username, now=utc_now())

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        save_type(obj, actor=request.user.username, now=utc_now(), delete=True)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)


@admin.register(Layer)
class LayerAdmin(RevisedAdmin):
    """Layers, drawn from the top in their order."""

    list_display = ("name", "order", "colour", "forbids_cycles")
    search_fields = ("name",)


class ComponentTypeForm(forms.ModelForm):
    schema = SchemaField(
        label=gettext_lazy("Schema of the attributes"),
        required=False,
        help_text=gettext_lazy('A JSON Schema, such as {"required": ["version"]}. Empty allows anything.'),
    )
    interface_attributes = LinesField(
        label=gettext_lazy("Interface attributes"),
        required=False,
        help_text=gettext_lazy("One a line. Touching one weighs more (0.9 instead of 0.8)."),
    )

    class Meta:
        model = ComponentType
        fields = ("name", "layer", "icon", "is_service", "interface_attributes", "schema")


@admin.register(PropagationSettings)
class PropagationSettingsAdmin(RevisedAdmin):
    """How far a change is followed and how much each operation weighs: one row."""

    list_display = ("__str__", "max_depth", "min_score", "delete_weight", "update_weight", "interface_weight", "create_weight")
    filter_horizontal = ("layers", "relation_types")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not PropagationSettings.objects.exists()


@admin.register(ComponentType)
class ComponentTypeAdmin(RevisedAdmin):
    """Kinds of components, each with its layer."""

    form = ComponentTypeForm
    list_display = ("name", "layer", "is_service")
    list_filter = ("layer", "is_service")
    search_fields = ("name",)


@admin.register(RelationType)
class RelationTypeAdmin(RevisedAdmin):
    """Kinds of relations, and how a change travels along them."""

    list_display = ("name", "propagation", "weight", "example")
    list_filter = ("propagation",)
    search_fields = ("name", "inverse")
    filter_horizontal = ("layers",)
    fields = ("name", "inverse", "propagation", "weight", "layers", "example")
    readonly_fields = ("example",)

    @admin.display(description=gettext_lazy("What it reaches, for example"))
    def example(self, row: RelationType) -> str:
        """The rule in the words of a relation that is there."""
        found = (
            Relation.objects.filter(type=row, source__isnull=False, target__isnull=False).select_related("source", "target").order_by("key").first()
        )
        source = str(found.source or "") if found else _("the source")
        target = str(found.target or "") if found else _("the target")
        words = {
            "forward": _("A change of %(source)s reaches %(target)s."),
            "backward": _("A change of %(target)s reaches %(source)s."),
            "both": _("A change of %(source)s reaches %(target)s, and the other way round."),
            "none": _("A change of %(source)s does not reach %(target)s, nor the other way round."),
        }
        return format_html("{}", words[row.propagation] % {"source": source, "target": target})


@admin.register(Source)
class SourceAdmin(AuditedAdmin):
    """Systems whose imports feed the architecture."""

    list_display = ("name", "controlled", "confirms")
    search_fields = ("name",)


@admin.register(Component)
class ComponentAdmin(ReadOnlyAdmin):
    list_display = ("name", "key", "type", "layer", "owner", "criticality", "status")
    list_filter = ("layer", "status", "criticality")
    list_select_related = ("type", "layer")
    search_fields = ("name", "key", "owner")


@admin.register(Relation)
class RelationAdmin(ReadOnlyAdmin):
    list_display = ("key", "type", "source", "target", "source_system", "confirmed_at", "refuted_at")
    list_filter = ("type",)
    list_select_related = ("type", "source", "target")
    search_fields = ("key",)


@admin.register(Revision)
class RevisionAdmin(ReadOnlyAdmin):
    list_display = ("number", "at", "actor", "change", "reason")
    search_fields = ("change", "actor", "reason")


@admin.register(ImportRun)
class ImportRunAdmin(ReadOnlyAdmin):
    list_display = ("source", "mode", "state", "by", "started_at", "revision")
    list_filter = ("state", "mode", "format")
    search_fields = ("source", "file_name", "by")
