"""`changes/{number}/action-items/`: the conditions of an approval, their evidence, acceptance and waiver."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.approvals.models import ActionItem
from changemgmt.changes.queries import visible
from changemgmt.core.errors import existing
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import obligations as verbs

from .base import Resource, StrictSerializer, Text
from .body import JSONParser


class EvidenceBody(StrictSerializer):
    kind = serializers.ChoiceField(verbs.KINDS)
    text = Text(required=False, allow_blank=True)
    url = Text(required=False, allow_blank=True)
    file = serializers.FileField(required=False)


class AcceptBody(StrictSerializer):
    comment = Text(required=False, allow_blank=True, default="", max_length=2_000)


class WaiveBody(StrictSerializer):
    reason = Text(required=False, allow_blank=True, default="", max_length=2_000)


class ActionItemShape(serializers.Serializer):
    id = serializers.IntegerField()
    text = serializers.CharField()
    due = serializers.ChoiceField(ActionItem.Due.choices)
    evidence_kind = serializers.ChoiceField(ActionItem.Evidence.choices)
    owner = serializers.CharField()
    set_by = serializers.CharField()
    state = serializers.ChoiceField(ActionItem.State.choices)
    advisory = serializers.BooleanField()
    expires_at = serializers.DateTimeField(allow_null=True)
    on_expiry = serializers.ChoiceField(ActionItem.OnExpiry.choices)
    evidence = serializers.ListField(child=serializers.JSONField())
    created_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    closed_by = serializers.CharField(allow_null=True)
    closed_comment = serializers.CharField()


def shape(item: ActionItem) -> dict[str, Any]:
    same = ("text", "due", "evidence_kind", "state", "advisory", "expires_at", "on_expiry", "evidence", "created_at", "closed_at", "closed_comment")
    people = {"owner": item.owner.username, "set_by": item.set_by.username, "closed_by": item.closed_by.username if item.closed_by else None}
    return {"id": item.pk, **{name: getattr(item, name) for name in same}, **people}


class ActionItems(Resource):
    """What approvers demanded, oldest first."""

    orderings: ClassVar = {"id": "pk", "due": "due", "state": "state"}
    ordering = "id"
    names: ClassVar = tuple(ActionItemShape().fields)
    answers: ClassVar = {"GET": ActionItemShape}

    def find(self) -> None:
        self.change = visible(self.user, self.kwargs["number"])

    def get(self, request: Request, number: str) -> Response:
        return self.listing(self.change.action_items.select_related("owner", "set_by", "closed_by", "vote"), lambda rows: map(shape, rows))


class OneItem(Resource):
    """One of them."""

    def find(self) -> None:
        rows = visible(self.user, self.kwargs["number"]).action_items.select_related("owner", "set_by", "closed_by", "vote")
        self.item = existing(rows.filter(pk=self.kwargs["pk"]).first(), "This change has no condition with this id.")


class Evidence(OneItem):
    """Show that it is met: a statement, a link, or a file sent as multipart."""

    parser_classes = [JSONParser, MultiPartParser]
    accepts: ClassVar = {"POST": EvidenceBody}
    answers: ClassVar = {"POST": ActionItemShape}

    def permit(self) -> None:
        refusal = verbs.may_give_evidence(self.item, actor=self.user).refusal
        Verdict(refusal=refusal).enforce()

    def post(self, request: Request, number: str, pk: int) -> Response:
        given = self.read(EvidenceBody)
        file = given.pop("file", None)
        return self.answer(shape(verbs.give_evidence(pk, given, actor=self.user, now=self.now, file=file, number=number)))


class Accept(OneItem):
    """The evidence is good."""

    accepts: ClassVar = {"POST": AcceptBody}
    answers: ClassVar = {"POST": ActionItemShape}

    def permit(self) -> None:
        Verdict(refusal=verbs.may_accept(self.item, actor=self.user).refusal).enforce()

    def post(self, request: Request, number: str, pk: int) -> Response:
        return self.answer(shape(verbs.accept(pk, actor=self.user, now=self.now, number=number, **self.read(AcceptBody))))


class Waive(OneItem):
    """Who set it asks for it no more."""

    accepts: ClassVar = {"POST": WaiveBody}
    answers: ClassVar = {"POST": ActionItemShape}

    def permit(self) -> None:
        Verdict(refusal=verbs.may_waive(self.item, actor=self.user).refusal).enforce()

    def post(self, request: Request, number: str, pk: int) -> Response:
        return self.answer(shape(verbs.waive(pk, actor=self.user, now=self.now, number=number, **self.read(WaiveBody))))


urlpatterns = [
    path("changes/<str:number>/action-items/", ActionItems.as_view(), name="action_items"),
    path("changes/<str:number>/action-items/<int:pk>/evidence/", Evidence.as_view(), name="action_item_evidence"),
    path("changes/<str:number>/action-items/<int:pk>/accept/", Accept.as_view(), name="action_item_accept"),
    path("changes/<str:number>/action-items/<int:pk>/waive/", Waive.as_view(), name="action_item_waive"),
]
