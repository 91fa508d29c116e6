"""`changes/{number}/preview/rebase/`: a change that was moved underneath is put on what is live now."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.architecture.rules import OBJECTS
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle import edit
from changemgmt.preview.queries import preview_of, rebase_of
from changemgmt.preview.rebasing import KINDS, TAKES

from .changes import OfChange
from .preview import DriftShape, PreviewShape

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class ConflictShape(DriftShape):
    """One thing to decide at a re-base."""

    object = serializers.ChoiceField(OBJECTS)
    kind = serializers.ChoiceField(KINDS)
    takes = serializers.ListField(child=serializers.ChoiceField(TAKES))
    merged = serializers.CharField(allow_null=True, help_text="The text with the edits of both sides, where they do not touch.")


class RebaseShape(serializers.Serializer):
    revision = serializers.IntegerField()
    digest = serializers.CharField(help_text="Of the conflicts; empty where there is none. It is sent back with the choices.")
    conflicts = ConflictShape(many=True)
    clean = serializers.IntegerField(help_text="What moved and needs no choice.")


class ChoiceShape(serializers.Serializer):
    """What to take at a conflict, or at every conflict of a thing where no field is named."""

    key = serializers.CharField()
    object = serializers.ChoiceField(OBJECTS, required=False)
    field = serializers.CharField(required=False)
    take = serializers.ChoiceField(TAKES)
    value = serializers.JSONField(required=False, allow_null=True)


class RebaseBody(serializers.Serializer):
    digest = serializers.CharField(required=False)
    all = serializers.ChoiceField(TAKES[:2], required=False)
    choices = ChoiceShape(many=True, required=False)


class Rebase(OfChange):
    """What moved under the change, with what can be chosen at each conflict. POST takes a choice for every one: the change stands on the live
    architecture as it is now, and the preview is computed on it."""

    accepts: ClassVar = {"POST": RebaseBody}
    answers: ClassVar = {"GET": RebaseShape, "POST": PreviewShape}

    def permit(self) -> None:
        if self.writing:
            self.permit_edit()

    def get(self, request: Request, number: str) -> Response:
        return self.answer(rebase_of(self.change, self.user), etag=self.change.etag)

    def post(self, request: Request, number: str) -> Response:
        given = self.fields()
        if unknown := given.keys() - {"digest", "all", "choices"}:
            raise Invalid("Some fields are not known.", errors={str(name)[:60]: ["There is no field of this name."] for name in unknown})
        for name in ("digest", "all"):
            if not isinstance(given.get(name, ""), str):
                raise Invalid.field(name, "Give text.")
        change = edit.rebase_items(
            number,
            actor=self.user,
            now=self.now,
            seen=self.seen,
            choices=given.get("choices", []),
            everything=given.get("all", ""),
            digest=given.get("digest", ""),
        )
        return self.answer(preview_of(change, self.user), etag=change.etag)


urlpatterns = [path("changes/<str:number>/preview/rebase/", Rebase.as_view(), name="change_rebase")]
