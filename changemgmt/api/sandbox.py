"""`changes/{number}/sandbox/`: the architecture as the change would leave it, read and edited as things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.architecture.rules import COMPONENT, RELATION
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle import edit
from changemgmt.preview.sandbox import pulled

from .changes import OfChange
from .items import ItemShape, shown

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

MOST_ASKED = 200


class KeysShape(serializers.Serializer):
    components = serializers.ListField(child=serializers.CharField(), required=False)
    relations = serializers.ListField(child=serializers.CharField(), required=False)


class ThingsShape(serializers.Serializer):
    """Things as they would be, in the words of the JSON export, and what would be gone."""

    components = serializers.ListField(child=serializers.DictField(), required=False)
    relations = serializers.ListField(child=serializers.DictField(), required=False)
    removed = KeysShape(required=False)
    revision = serializers.IntegerField(required=False, help_text="Of the live architecture this was read from.")


class CapturedShape(serializers.Serializer):
    items = ItemShape(many=True)
    dropped = serializers.ListField(child=serializers.CharField(), help_text="Keys of what needs no item any more.")


class Sandbox(OfChange):
    """What the change touches, as it would be; with `component` and `relation` further things by their keys. It can be edited and captured."""

    parameters: ClassVar = ("component", "relation")
    answers: ClassVar = {"GET": ThingsShape}

    def get(self, request: Request, number: str) -> Response:
        asked = {object: request.query_params.getlist(object) for object in (COMPONENT, RELATION)}
        if sum(map(len, asked.values())) > MOST_ASKED:
            raise Invalid(f"Ask for at most {MOST_ASKED} things.")
        return self.answer(pulled(self.change, asked), etag=self.change.etag)


class Capture(OfChange):
    """Things as they should be become the items that make them so. What is not named stays; what is as it is live needs no item."""

    accepts: ClassVar = {"POST": ThingsShape}
    answers: ClassVar = {"POST": CapturedShape}

    def permit(self) -> None:
        self.permit_edit()

    def post(self, request: Request, number: str) -> Response:
        given: dict[str, Any] = self.fields()
        desired = {name: value for name, value in given.items() if name != "revision"}
        found = edit.capture(number, desired, actor=self.user, now=self.now, seen=self.seen, revision=given.get("revision"))
        return self.answer({"items": [shown(item) for item in found.items], "dropped": found.dropped}, etag=found.change.etag)


urlpatterns = [
    path("changes/<str:number>/sandbox/", Sandbox.as_view(), name="change_sandbox"),
    path("changes/<str:number>/sandbox/capture/", Capture.as_view(), name="change_capture"),
]
