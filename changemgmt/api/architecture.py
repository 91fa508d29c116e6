"""`components/`, `relations/`, `layers/`, `component-types/`, `relation-types/`, `architecture/…`: what exists, and what would be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import Q
from django.http import HttpResponse
from django.urls import path
from rest_framework import serializers

from changemgmt.architecture.exports import EXPORTS, LIVE
from changemgmt.architecture.losses import left_out
from changemgmt.architecture.models import Component, ComponentType, Layer, Relation, RelationType, Revision
from changemgmt.architecture.past import revision_of, source_at
from changemgmt.architecture.queries import component as component_of
from changemgmt.architecture.queries import component_image, relation_image, relations, search, trusted_since
from changemgmt.architecture.rules import CREATE, DELETE, STATUSES, UPDATE
from changemgmt.architecture.trust import CONFIRMED, REFUTED, STALE, UNCONFIRMED, trust_of
from changemgmt.core.errors import Invalid, NotFound, existing
from changemgmt.lifecycle.edit_architecture import (
    EDITORS,
    delete_type,
    edit_component,
    edit_relation,
    save_component_type,
    save_layer,
    save_relation_type,
    shown,
)
from changemgmt.preview.queries import revisions_shown

from .base import Flag, Resource, StrictSerializer, Text, Whole

if TYPE_CHECKING:
    from datetime import datetime

    from rest_framework.request import Request
    from rest_framework.response import Response

WRITES = {"POST": EDITORS, "PATCH": EDITORS, "PUT": EDITORS, "DELETE": EDITORS}


class ComponentShape(serializers.Serializer):
    key = serializers.CharField(max_length=300)
    name = serializers.CharField(allow_blank=True)
    type = serializers.CharField()
    layer = serializers.CharField(required=False)
    owner = serializers.CharField(allow_blank=True, required=False)
    org_unit = serializers.CharField(allow_null=True, required=False)
    criticality = serializers.IntegerField(min_value=1, max_value=5, required=False)
    users = serializers.IntegerField(min_value=0, required=False)
    status = serializers.ChoiceField(STATUSES, required=False)
    environment = serializers.CharField(allow_blank=True, required=False)
    attributes = serializers.DictField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    needs = serializers.DictField(child=serializers.IntegerField(), required=False)
    external_references = serializers.ListField(child=serializers.DictField(), read_only=True)
    revision = serializers.IntegerField(read_only=True)


class RelationShape(serializers.Serializer):
    id = serializers.IntegerField(read_only=True)
    key = serializers.CharField(max_length=700, required=False)
    source = serializers.CharField()  # type: ignore[assignment]  # a declared field
    target = serializers.CharField()
    type = serializers.CharField()
    attributes = serializers.DictField(required=False)
    source_system = serializers.CharField(read_only=True)
    confirmed_at = serializers.DateTimeField(allow_null=True, read_only=True)
    trust = serializers.ChoiceField((CONFIRMED, STALE, UNCONFIRMED, REFUTED), read_only=True)
    refuted_at = serializers.DateTimeField(allow_null=True, read_only=True)
    refuted_reason = serializers.CharField(read_only=True)
    revision = serializers.IntegerField(read_only=True)


def shown_component(row: Component) -> dict[str, Any]:
    """A component as the API shows it."""
    return component_image(row) | {"revision": row.revision}


def shown_relation(row: Relation, now: datetime) -> dict[str, Any]:
    """A relation as the API shows it, with how far it can be relied upon `now`."""
    trust = trust_of(row.confirmed_at, row.refuted_at, trusted_since(now))
    refuted = {"refuted_at": row.refuted_at, "refuted_reason": row.refuted_reason}
    return {"id": row.pk, **relation_image(row), **refuted, "trust": trust, "revision": row.revision}


COMPONENT_NAMES = tuple(ComponentShape().fields)
RELATION_NAMES = tuple(RelationShape().fields)
SET_BY_THE_SYSTEM = ("id", "revision", "source_system", "confirmed_at", "trust", "refuted_at", "refuted_reason")


def body_of(request: Request, read_only: tuple[str, ...], current: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body as an object, without the fields the system sets; those may repeat what is shown."""
    data = request.data
    if not isinstance(data, dict):
        raise Invalid.field("body", "Send an object of fields.")
    wrong = [name for name in read_only if name in data and (current is None or data[name] != current.get(name))]
    if wrong:
        raise Invalid("Some fields can't be written.", errors={name: ["This is set by the system: leave it out."] for name in wrong})
    return {name: value for name, value in data.items() if name not in read_only}


class Components(Resource):
    """Components by name and key; filters repeat for several values."""

    parameters: ClassVar = ("q", "layer", "type", "owner", "status", "tag")
    orderings: ClassVar = {"key": "key", "name": "name", "criticality": "criticality", "users": "users", "revision": "revision", "id": "pk"}
    ordering = "key"
    names: ClassVar = COMPONENT_NAMES
    roles: ClassVar = WRITES
    accepts: ClassVar = {"POST": ComponentShape}
    answers: ClassVar = {"GET": ComponentShape, "POST": ComponentShape}
    statuses: ClassVar = {"POST": "201"}

    def get(self, request: Request) -> Response:
        query = request.query_params
        status = self.choice("status", STATUSES) or ""
        rows = search(
            q=query.get("q", ""),
            layer=query.getlist("layer"),
            type=query.getlist("type"),
            owner=query.get("owner", ""),
            status=status,
            tag=query.get("tag", ""),
        )
        return self.listing(rows, lambda found: map(shown_component, found))

    def post(self, request: Request) -> Response:
        fields = body_of(request, ("revision", "external_references"))
        key = fields.pop("key", None)
        edit_component(CREATE, key, fields, actor=self.user, now=self.now)
        return self.answer(shown_component(component_of(key)), 201, location=f"{request.path}{key}/")


class OneComponent(Resource):
    """One component. A PATCH is a JSON merge patch; deleting one needs `?cascade=true` where relations end on it."""

    roles: ClassVar = WRITES
    write_parameters: ClassVar = ("cascade",)
    accepts: ClassVar = {"PATCH": ComponentShape}
    answers: ClassVar = {"GET": ComponentShape, "PATCH": ComponentShape}

    def find(self) -> None:
        self.row = component_of(self.kwargs["key"])

    def get(self, request: Request, key: str) -> Response:
        return self.answer(shown_component(self.row))

    def patch(self, request: Request, key: str) -> Response:
        current = shown_component(self.row)
        fields = body_of(request, ("key", "revision", "external_references"), current)
        edit_component(UPDATE, key, fields, actor=self.user, now=self.now)
        return self.answer(shown_component(component_of(key)))

    def delete(self, request: Request, key: str) -> Response:
        cascade = request.query_params.get("cascade", "false")
        if cascade not in {"true", "false"}:
            raise Invalid.field("cascade", "True or false.")
        edit_component(DELETE, key, {}, actor=self.user, now=self.now, cascade=cascade == "true")
        return self.answer(None, 204)


class Relations(Resource):
    """Relations; `component` narrows to those that end on it."""

    parameters: ClassVar = ("component", "source", "target", "type")
    orderings: ClassVar = {"key": "key", "id": "pk", "revision": "revision"}
    ordering = "key"
    names: ClassVar = RELATION_NAMES
    roles: ClassVar = WRITES
    accepts: ClassVar = {"POST": RelationShape}
    answers: ClassVar = {"GET": RelationShape, "POST": RelationShape}
    statuses: ClassVar = {"POST": "201"}

    def get(self, request: Request) -> Response:
        query, rows = request.query_params, relations()
        if "component" in query:
            ids = Component.objects.filter(key__in=query.getlist("component")).values("pk")
            rows = rows.filter(Q(source__in=ids) | Q(target__in=ids))
        for side in ("source", "target"):
            if side in query:
                rows = rows.filter(**{f"{side}__key__in": query.getlist(side)})
        if "type" in query:
            rows = rows.filter(type__name__in=query.getlist("type"))
        return self.listing(rows, lambda found: (shown_relation(row, self.now) for row in found))

    def post(self, request: Request) -> Response:
        fields = body_of(request, SET_BY_THE_SYSTEM)
        refuse_unknown(fields, RELATION_NAMES)
        applied = edit_relation(CREATE, fields.get("key"), fields, actor=self.user, now=self.now)
        key = applied.images[0].key
        return self.answer(shown_relation(relations().get(key=key), self.now), 201, location=f"{request.path}{key}/")


def refuse_unknown(fields: dict[str, Any], known: tuple[str, ...]) -> None:
    """Raise Invalid for fields nobody reads."""
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise Invalid("Some fields are not known.", errors={name[:60]: ["There is no field of this name."] for name in unknown})


def relation_named(key: str) -> Relation:
    """The relation of this key, or of this id where there is no such key; or NotFound."""
    row = relations().filter(key=key).first()
    if row is None and key.isascii() and key.isdigit() and len(key) < 19:
        row = relations().filter(pk=int(key)).first()
    return existing(row, "There is no such relation.")


class OneRelation(Resource):
    """One relation, by its key or its id (the key goes first)."""

    roles: ClassVar = WRITES
    accepts: ClassVar = {"PATCH": RelationShape}
    answers: ClassVar = {"GET": RelationShape, "PATCH": RelationShape}

    def find(self) -> None:
        self.row = relation_named(self.kwargs["key"])

    def get(self, request: Request, key: str) -> Response:
        return self.answer(shown_relation(self.row, self.now))

    def patch(self, request: Request, key: str) -> Response:
        fields = body_of(request, ("key", *SET_BY_THE_SYSTEM), shown_relation(self.row, self.now))
        refuse_unknown(fields, RELATION_NAMES)
        edit_relation(UPDATE, self.row.key, fields, actor=self.user, now=self.now)
        return self.answer(shown_relation(relations().get(pk=self.row.pk), self.now))

    def delete(self, request: Request, key: str) -> Response:
        edit_relation(DELETE, self.row.key, {}, actor=self.user, now=self.now)
        return self.answer(None, 204)


# Layers and types: three tables of the same kind.


class LayerBody(StrictSerializer):
    name = serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,59}$")
    order = Whole(min_value=0, required=False)
    colour = serializers.RegexField(r"^(#[0-9a-fA-F]{6})?$", required=False, allow_blank=True)
    forbids_cycles = Flag(
        required=False, help_text="Its components may not rely on each other in a circle: previews find those a change would close."
    )


class ComponentTypeBody(StrictSerializer):
    name = serializers.RegexField(r"^[^\x00-\x1f\x7f/]{1,100}$")
    layer = Text(max_length=60)
    icon = Text(max_length=40, required=False, allow_blank=True)
    schema = serializers.JSONField(required=False)
    interface_attributes = serializers.ListField(child=Text(max_length=100), required=False, max_length=200)
    is_service = Flag(required=False)


class RelationTypeBody(StrictSerializer):
    name = serializers.RegexField(r"^[^\x00-\x1f\x7f/]{1,100}$")
    inverse = Text(max_length=100, required=False, allow_blank=True)
    propagation = serializers.ChoiceField(RelationType.Propagation.values, required=False)
    weight = serializers.FloatField(min_value=0.000001, max_value=1.0, required=False)
    layers = serializers.ListField(child=Text(max_length=60), required=False, max_length=50)


class Table(Resource):
    """A list of layers or types."""

    model: ClassVar[Any] = Layer
    body: ClassVar[Any] = LayerBody
    save: ClassVar[Any] = staticmethod(save_layer)
    roles: ClassVar = WRITES
    orderings: ClassVar = {"name": "name", "id": "pk"}
    ordering = "name"
    statuses: ClassVar = {"POST": "201"}

    def rows(self) -> Any:
        return self.model.objects.all()

    def get(self, request: Request) -> Response:
        return self.listing(self.rows(), lambda found: map(shown, found))

    def post(self, request: Request) -> Response:
        row = self.save(None, self.read(self.body), actor=self.user, now=self.now)
        return self.answer(shown(row), 201, location=f"{request.path}{row.name}/")


class OneOfTable(Resource):
    """One layer or type. Its name stays."""

    model: ClassVar[Any] = Layer
    body: ClassVar[Any] = LayerBody
    save: ClassVar[Any] = staticmethod(save_layer)
    roles: ClassVar = WRITES

    def find(self) -> None:
        self.row = self.model.objects.filter(name=self.kwargs["name"]).first()
        if self.row is None:
            raise NotFound(f"There is no {self.model._meta.verbose_name} of this name.")

    def get(self, request: Request, name: str) -> Response:
        return self.answer(shown(self.row))

    def patch(self, request: Request, name: str) -> Response:
        row = self.save(name, self.read(self.body, current=shown(self.row)), actor=self.user, now=self.now)
        return self.answer(shown(row))

    def put(self, request: Request, name: str) -> Response:
        return self.patch(request, name)

    def delete(self, request: Request, name: str) -> Response:
        delete_type(self.model, name, actor=self.user, now=self.now)
        return self.answer(None, 204)


class Layers(Table):
    """Layers, drawn in their order."""

    orderings: ClassVar = {"name": "name", "order": "order", "id": "pk"}
    ordering = "order"
    names: ClassVar = ("name", "order", "colour", "forbids_cycles")
    accepts: ClassVar = {"POST": LayerBody}
    answers: ClassVar = {"GET": LayerBody, "POST": LayerBody}


class OneLayer(OneOfTable):
    """One layer."""

    accepts: ClassVar = {"PATCH": LayerBody, "PUT": LayerBody}
    answers: ClassVar = {"GET": LayerBody, "PATCH": LayerBody, "PUT": LayerBody}


class ComponentTypes(Table):
    """Component types, each with its layer and the JSON Schema of its attributes."""

    model, body, save = ComponentType, ComponentTypeBody, staticmethod(save_component_type)
    names: ClassVar = ("name", "layer", "icon", "schema", "interface_attributes", "is_service")
    accepts: ClassVar = {"POST": ComponentTypeBody}
    answers: ClassVar = {"GET": ComponentTypeBody, "POST": ComponentTypeBody}

    def rows(self) -> Any:
        return ComponentType.objects.select_related("layer")


class OneComponentType(OneOfTable):
    """One component type."""

    model, body, save = ComponentType, ComponentTypeBody, staticmethod(save_component_type)
    accepts: ClassVar = {"PATCH": ComponentTypeBody, "PUT": ComponentTypeBody}
    answers: ClassVar = {"GET": ComponentTypeBody, "PATCH": ComponentTypeBody, "PUT": ComponentTypeBody}


class RelationTypes(Table):
    """Relation types, each with how it propagates."""

    model, body, save = RelationType, RelationTypeBody, staticmethod(save_relation_type)
    names: ClassVar = ("name", "inverse", "propagation", "weight", "layers")
    accepts: ClassVar = {"POST": RelationTypeBody}
    answers: ClassVar = {"GET": RelationTypeBody, "POST": RelationTypeBody}

    def rows(self) -> Any:
        return RelationType.objects.prefetch_related("layers")


class OneRelationType(OneOfTable):
    """One relation type."""

    model, body, save = RelationType, RelationTypeBody, staticmethod(save_relation_type)
    accepts: ClassVar = {"PATCH": RelationTypeBody, "PUT": RelationTypeBody}
    answers: ClassVar = {"GET": RelationTypeBody, "PATCH": RelationTypeBody, "PUT": RelationTypeBody}


# Questions to the whole.


class Export(Resource):
    """The whole architecture as a file, in stable order; with `at` as it was at that revision, on that day or at that moment.

    With `losses` instead of the file: what the form leaves out, field by field (`object`, `field`, `things`, `why`).
    """

    parameters: ClassVar = ("as", "at", "losses")

    def get(self, request: Request) -> HttpResponse:
        name = self.choice("as", EXPORTS, "json") or "json"
        form, at = EXPORTS[name], request.query_params.get("at")
        source = source_at(revision_of(at, "at")) if at else LIVE
        if self.choice("losses", ("0", "1"), "0") == "1":
            return self.answer({"as": name, "left_out": left_out(name, source.components(), source.relations())})
        response = HttpResponse(form.write(source), content_type=form.content_type)
        response["Content-Disposition"] = f'attachment; filename="{form.file_name}"'
        return response


class RevisionShape(serializers.Serializer):
    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    change = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    touched = serializers.ListField(child=serializers.CharField())


class Revisions(Resource):
    """The steps of the live architecture, newest first."""

    orderings: ClassVar = {"number": "number"}
    ordering = "-number"
    names: ClassVar = ("number", "at", "actor", "change", "reason", "touched")
    answers: ClassVar = {"GET": RevisionShape}

    def get(self, request: Request) -> Response:
        return self.listing(Revision.objects.all(), lambda found: revisions_shown(found, self.user))


urlpatterns = [
    path("components/", Components.as_view(), name="components"),
    path("components/<path:key>/", OneComponent.as_view(), name="component"),
    path("relations/", Relations.as_view(), name="relations"),
    path("relations/<path:key>/", OneRelation.as_view(), name="relation"),
    path("layers/", Layers.as_view(), name="layers"),
    path("layers/<str:name>/", OneLayer.as_view(), name="layer"),
    path("component-types/", ComponentTypes.as_view(), name="component_types"),
    path("component-types/<str:name>/", OneComponentType.as_view(), name="component_type"),
    path("relation-types/", RelationTypes.as_view(), name="relation_types"),
    path("relation-types/<str:name>/", OneRelationType.as_view(), name="relation_type"),
    path("architecture/export/", Export.as_view(), name="architecture_export"),
    path("architecture/revisions/", Revisions.as_view(), name="architecture_revisions"),
]
