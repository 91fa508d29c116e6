"""`changes/{number}/versions/`: each version as it was signed, and what differs between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.changes import versions
from changemgmt.changes.models import Version as VersionRow
from changemgmt.core.errors import Invalid

from .body import LARGEST
from .changes import OfChange

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class VersionShape(serializers.Serializer):
    version = serializers.IntegerField()
    digest = serializers.CharField()
    parts = serializers.DictField(child=serializers.CharField())
    by = serializers.CharField()
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class WholeVersionShape(serializers.Serializer):
    version = serializers.IntegerField()
    signed = VersionShape(allow_null=True)
    content = serializers.DictField()


class DifferenceShape(serializers.Serializer):
    path = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


NAMES = ("version", "digest", "parts", "by", "reason", "at")


class Versions(OfChange):
    """The versions that were signed, with the digest of each part."""

    orderings: ClassVar = {"version": "version"}
    ordering = "version"
    names: ClassVar = NAMES
    answers: ClassVar = {"GET": VersionShape}

    def get(self, request: Request, number: str) -> Response:
        return self.listing(self.change.versions.defer("content"), lambda rows: map(shown, rows))


class Version(OfChange):
    """One version whole. The one being written is there as it is now, with nothing signed."""

    answers: ClassVar = {"GET": WholeVersionShape}

    def find(self) -> None:
        super().find()
        self.content = versions.content(self.change, self.kwargs["version"])

    def get(self, request: Request, number: str, version: int) -> Response:
        row = self.change.versions.filter(version=version).first()
        return self.answer({"version": version, "signed": shown(row) if row else None, "content": self.content})


class VersionDiff(OfChange):
    """What differs between two versions, field by field."""

    parameters: ClassVar = ("from", "to")
    answers: ClassVar = {"GET": DifferenceShape(many=True)}

    def get(self, request: Request, number: str) -> Response:
        before, after = (versions.content(self.change, self.whole(name)) for name in ("from", "to"))
        return self.answer(versions.difference(before, after))

    def whole(self, name: str) -> int:
        text = self.request.query_params.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST):
            raise Invalid.field(name, "The number of a version.")
        return int(text)


def shown(row: VersionRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in NAMES}


urlpatterns = [
    path("changes/<str:number>/versions/", Versions.as_view(), name="versions"),
    path("changes/<str:number>/versions/diff/", VersionDiff.as_view(), name="version_diff"),
    path("changes/<str:number>/versions/<int:version>/", Version.as_view(), name="version"),
]
