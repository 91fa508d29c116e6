"""`templates/`: the catalogue. Everybody reads it, administrators write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.changes.models import Item, Type
from changemgmt.changes.models import Template as TemplateRow
from changemgmt.core.errors import Invalid, existing
from changemgmt.lifecycle import manage_templates

from .base import Resource

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

COUNTS = ("uses", "successes", "finished")
NAMES = (*manage_templates.FIELDS, *COUNTS)


class TemplateBody(serializers.Serializer):
    slug = serializers.SlugField(max_length=100)
    name = serializers.CharField(max_length=200)
    description = serializers.CharField(required=False)
    type = serializers.ChoiceField(Type.choices, required=False)
    active = serializers.BooleanField(required=False)
    fields = serializers.DictField(required=False)  # type: ignore[assignment]  # a declared field
    plan = serializers.DictField(required=False)
    item_operations = serializers.ListField(child=serializers.ChoiceField(Item.Operation.choices), required=False)
    max_items = serializers.IntegerField(required=False, allow_null=True)
    scope = serializers.DictField(required=False)
    pre_approved = serializers.BooleanField(required=False)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class TemplateShape(TemplateBody):
    uses = serializers.IntegerField()
    successes = serializers.IntegerField()
    finished = serializers.IntegerField()


class Templates(Resource):
    """The templates of changes."""

    parameters: ClassVar = ("type", "active")
    roles: ClassVar = {"POST": ("administrator",)}
    orderings: ClassVar = {"name": "name", "slug": "slug", "uses": "uses"}
    ordering = "name"
    names: ClassVar = NAMES
    accepts: ClassVar = {"POST": TemplateBody}
    answers: ClassVar = {"GET": TemplateShape, "POST": TemplateShape}
    statuses: ClassVar = {"POST": "201"}

    def get(self, request: Request) -> Response:
        rows = TemplateRow.objects.all()
        type, active = self.choice("type", Type.values), self.choice("active", ("true", "false"))
        rows = rows.filter(type=type) if type else rows
        rows = rows.filter(active=active == "true") if active else rows
        return self.listing(rows, lambda found: map(shown, found))

    def post(self, request: Request) -> Response:
        template = manage_templates.create_template(body(request.data, {}), actor=self.user, now=self.now)
        return self.answer(shown(template), 201, location=f"/api/v1/templates/{template.slug}/")


class Template(Resource):
    """One template."""

    roles: ClassVar = {"PATCH": ("administrator",), "DELETE": ("administrator",)}
    accepts: ClassVar = {"PATCH": TemplateBody}
    answers: ClassVar = {"GET": TemplateShape, "PATCH": TemplateShape}

    def find(self) -> None:
        self.template = existing(TemplateRow.objects.filter(slug=self.kwargs["slug"]).first(), "There is no template of this slug.")

    def get(self, request: Request, slug: str) -> Response:
        return self.answer(shown(self.template))

    def patch(self, request: Request, slug: str) -> Response:
        values = body(request.data, shown(self.template))
        return self.answer(shown(manage_templates.edit_template(slug, values, actor=self.user, now=self.now)))

    def delete(self, request: Request, slug: str) -> Response:
        manage_templates.delete_template(slug, actor=self.user, now=self.now)
        return self.answer(None, 204)


def shown(template: TemplateRow) -> dict[str, Any]:
    return manage_templates.shape(template) | {name: getattr(template, name) for name in COUNTS}


def body(data: Any, current: dict[str, Any]) -> dict[str, Any]:
    """The fields of the body; counts may only repeat what they are."""
    if not isinstance(data, dict):
        raise Invalid("Send an object of fields.")
    errors = {name: ["This is counted by the system: leave it out."] for name in COUNTS if name in data and current.get(name) != data[name]}
    if errors:
        raise Invalid("Some fields can't be written.", errors=errors)
    return {name: value for name, value in data.items() if name not in COUNTS}


urlpatterns = [
    path("templates/", Templates.as_view(), name="templates"),
    path("templates/<str:slug>/", Template.as_view(), name="template"),
]
