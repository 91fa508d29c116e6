"""`changes/{number}/items/`: what a change does to the architecture, written one by one or brought in from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser

from changemgmt.architecture.validation import check_items
from changemgmt.changes.models import Item
from changemgmt.core.errors import Invalid, existing
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.edit.items import written
from changemgmt.lifecycle.import_items import FORMATS, import_items

from .changes import OfChange

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

NAMES = ("id", "operation", "object", "key", "source", "target", "relation_type", "data", "before", "layer", "replace", "base_revision")
SYSTEM = ("id", "before", "layer", "base_revision")
MOST_AT_ONCE = 1_000
LARGEST_FILE = 16 * 1024 * 1024


class ItemBody(serializers.Serializer):
    """What can be written of an item."""

    operation = serializers.ChoiceField(Item.Operation.choices)
    object = serializers.ChoiceField(Item.Object.choices)
    key = serializers.CharField(required=False)
    source = serializers.CharField(allow_null=True, required=False)  # type: ignore[assignment]  # a declared field
    target = serializers.CharField(allow_null=True, required=False)
    relation_type = serializers.CharField(allow_null=True, required=False)
    data = serializers.DictField(required=False)  # type: ignore[assignment]  # a declared field
    replace = serializers.BooleanField(required=False)


class ItemShape(ItemBody):
    """One operation on the architecture."""

    id = serializers.IntegerField()
    before = serializers.DictField(allow_null=True)
    layer = serializers.CharField()
    base_revision = serializers.IntegerField()


class SkippedShape(serializers.Serializer):
    where = serializers.CharField()
    reason = serializers.CharField()


class ImportShape(serializers.Serializer):
    items = ItemShape(many=True)
    skipped = SkippedShape(many=True)


class ImportBody(serializers.Serializer):
    file = serializers.FileField()
    format = serializers.ChoiceField(FORMATS)
    namespace = serializers.CharField(required=False)
    create_missing = serializers.BooleanField(required=False)


def shown(item: Item) -> dict[str, Any]:
    """An item as the API shows it; what it does not have is null."""
    return {name: getattr(item, "pk" if name == "id" else name) for name in NAMES} | {
        name: getattr(item, name) or None for name in ("source", "target", "relation_type")
    }


class Items(OfChange):
    """The items of a change, in their order. POST takes one, or a list of them; with `cascade=true` the deletions that a deletion needs are added."""

    orderings: ClassVar = {"position": "position", "key": "key", "id": "pk"}
    ordering = "position"
    names: ClassVar = NAMES
    write_parameters: ClassVar = ("cascade",)
    accepts: ClassVar = {"POST": ItemBody}
    answers: ClassVar = {"GET": ItemShape, "POST": ItemShape}
    statuses: ClassVar = {"POST": "201"}

    def permit(self) -> None:
        if self.writing:
            self.permit_edit()

    def get(self, request: Request, number: str) -> Response:
        return self.listing(self.change.items.all(), lambda rows: map(shown, rows))

    def post(self, request: Request, number: str) -> Response:
        given = request.data if isinstance(request.data, list) else [request.data]
        if not 0 < len(given) <= MOST_AT_ONCE:
            raise Invalid(f"Send an item, or a list of 1 to {MOST_AT_ONCE} items.")
        cascade = self.cascade()
        if self.will_be_refused():
            check_items(given, others=self.change.items.all(), cascade=cascade).enforce()
        change = edit.add_items(number, given, actor=self.user, now=self.now, seen=self.seen, cascade=cascade)
        added = [shown(item) for item in change.added_items]
        if isinstance(request.data, list):
            return self.answer(added, 201, etag=change.etag)
        location = f"/api/v1/changes/{number}/items/{added[0]['id']}/"
        return self.answer({**added[0], **({"cascaded": added[1:]} if cascade else {})}, 201, etag=change.etag, location=location)

    def cascade(self) -> bool:
        text = self.request.query_params.get("cascade", "false")
        if text not in {"true", "false"}:
            raise Invalid.field("cascade", "True or false.")
        return text == "true"


class OneItem(OfChange):
    """One item of a change."""

    accepts: ClassVar = {"PATCH": ItemBody}
    answers: ClassVar = {"GET": ItemShape, "PATCH": ItemShape}

    def find(self) -> None:
        super().find()
        self.item = existing(self.change.items.filter(pk=self.kwargs["pk"]).first(), "This change has no item with this id.")

    def permit(self) -> None:
        if self.writing:
            self.permit_edit()

    def get(self, request: Request, number: str, pk: int) -> Response:
        return self.answer(shown(self.item), etag=self.change.etag)

    def patch(self, request: Request, number: str, pk: int) -> Response:
        fields, current = self.fields(), shown(self.item)
        errors = {name: ["This is set by the system: leave it out."] for name in SYSTEM if name in fields and fields[name] != current[name]}
        if errors:
            raise Invalid("Some fields can't be written.", errors=errors)
        fields = {name: value for name, value in fields.items() if name not in SYSTEM}
        if self.will_be_refused():
            check_items([written(self.item) | fields], others=self.change.items.exclude(pk=pk)).enforce()
        change = edit.change_item(number, pk, fields, actor=self.user, now=self.now, seen=self.seen)
        return self.answer(shown(change.items.get(pk=pk)), etag=change.etag)

    def delete(self, request: Request, number: str, pk: int) -> Response:
        change = edit.remove_item(number, pk, actor=self.user, now=self.now, seen=self.seen)
        return self.answer(None, 204, etag=change.etag)


class ItemImport(OfChange):
    """Items from a file: a terraform plan, CSV or JSON. What can't become an item is skipped, with its place and reason."""

    parser_classes = [MultiPartParser]
    upload_limit = LARGEST_FILE
    accepts: ClassVar = {"POST": ImportBody}
    answers: ClassVar = {"POST": ImportShape}

    def permit(self) -> None:
        self.permit_edit()

    def post(self, request: Request, number: str) -> Response:
        file = request.FILES.get("file")
        if file is None:
            raise Invalid.field("file", "Send the file as multipart field “file”.")
        given = self.fields()
        unknown = set(given) - {"file", "format", "namespace", "create_missing"}
        if unknown:
            raise Invalid("Some fields are not known.", errors={name[:60]: ["There is no field of this name."] for name in unknown})
        create_missing = given.get("create_missing", "false")
        if create_missing not in {"true", "false"}:
            raise Invalid.field("create_missing", "True or false.")
        report = import_items(
            number,
            file.read(),
            format=given.get("format", ""),
            namespace=given.get("namespace", ""),
            create_missing=create_missing == "true",
            actor=self.user,
            now=self.now,
            seen=self.seen,
        )
        skipped = [{"where": where, "reason": reason} for where, reason in report.skipped]
        return self.answer({"items": [shown(item) for item in report.items], "skipped": skipped}, etag=report.change.etag)


urlpatterns = [
    path("changes/<str:number>/items/", Items.as_view(), name="items"),
    path("changes/<str:number>/items/import/", ItemImport.as_view(), name="item_import"),
    path("changes/<str:number>/items/<int:pk>/", OneItem.as_view(), name="item"),
]
