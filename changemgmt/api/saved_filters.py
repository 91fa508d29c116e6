"""`saved-filters/`: the filters somebody keeps for their queue and for the list of changes. Everybody sees their own only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.accounts.models import SavedFilter as FilterRow
from changemgmt.core.errors import existing
from changemgmt.lifecycle import saved_filters as verbs

from .base import Resource, StrictSerializer, Text

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

NAMES = ("id", "name", "page", "query", "created_at")


class FilterBody(StrictSerializer):
    name = Text(max_length=verbs.LONGEST_NAME)
    page = serializers.ChoiceField(FilterRow.Page.choices, required=False)
    query = Text(required=False, allow_blank=True, max_length=verbs.LONGEST_QUERY)


class FilterChanges(FilterBody):
    """For PATCH: any of the fields."""

    name = Text(required=False, max_length=verbs.LONGEST_NAME)


class FilterShape(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    page = serializers.ChoiceField(FilterRow.Page.choices)
    query = serializers.CharField()
    created_at = serializers.DateTimeField()


class SavedFilters(Resource):
    """My filters."""

    parameters: ClassVar = ("page",)
    orderings: ClassVar = {"name": "name", "page": "page", "created_at": "created_at"}
    ordering = "name"
    names: ClassVar = NAMES
    accepts: ClassVar = {"POST": FilterBody}
    answers: ClassVar = {"GET": FilterShape, "POST": FilterShape}
    statuses: ClassVar = {"POST": "201"}

    def get(self, request: Request) -> Response:
        page = self.choice("page", FilterRow.Page.values)
        rows = FilterRow.objects.filter(user=self.user, **({"page": page} if page else {}))
        return self.listing(rows, lambda found: map(shown, found))

    def post(self, request: Request) -> Response:
        row = verbs.save_filter(self.read(FilterBody), actor=self.user, now=self.now)
        return self.answer(shown(row), 201, location=f"/api/v1/saved-filters/{row.pk}/")


class SavedFilter(Resource):
    """One of my filters; anybody else's is not there."""

    accepts: ClassVar = {"PATCH": FilterChanges}
    answers: ClassVar = {"GET": FilterShape, "PATCH": FilterShape}

    def find(self) -> None:
        self.row = existing(FilterRow.objects.filter(user=self.user, pk=self.kwargs["pk"]).first(), "You have no saved filter with this id.")

    def get(self, request: Request, pk: int) -> Response:
        return self.answer(shown(self.row))

    def patch(self, request: Request, pk: int) -> Response:
        return self.answer(shown(verbs.alter_filter(pk, self.read(FilterChanges), actor=self.user)))

    def delete(self, request: Request, pk: int) -> Response:
        verbs.remove_filter(pk, actor=self.user)
        return self.answer(None, 204)


def shown(row: FilterRow) -> dict[str, Any]:
    return {"id": row.pk, **{name: getattr(row, name) for name in NAMES[1:]}}


urlpatterns = [
    path("saved-filters/", SavedFilters.as_view(), name="saved_filters"),
    path("saved-filters/<int:pk>/", SavedFilter.as_view(), name="saved_filter"),
]
