"""`maintenance-windows/` and `freezes/`: change managers and administrators write them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.core.errors import existing
from changemgmt.lifecycle import change_calendar
from changemgmt.scheduling.models import Freeze, MaintenanceWindow
from changemgmt.scheduling.shapes import span_shape

from .base import Instant, Resource, StrictSerializer, Text

WRITERS = change_calendar.WRITERS


class SpanBody(StrictSerializer):
    """A named span of time; the recurrence is an RRULE on the clocks of `timezone`, the scope a condition."""

    id = serializers.IntegerField(read_only=True)
    name = Text(max_length=200)
    start = Instant()
    end = Instant()
    recurrence = Text(required=False, allow_null=True, allow_blank=True, max_length=500)
    timezone = Text(required=False, max_length=64)
    scope = serializers.JSONField(required=False)


class FreezeBody(SpanBody):
    allowed_types = serializers.ListField(child=Text(), required=False, max_length=10)
    reason = Text(required=False, allow_blank=True, max_length=300)
    pending = serializers.JSONField(read_only=True)
    pending_by = serializers.CharField(read_only=True)


class WindowBody(SpanBody):
    allowed_types = serializers.ListField(child=Text(), read_only=True)


class SpanShape(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    recurrence = serializers.CharField(allow_null=True)
    timezone = serializers.CharField()
    scope = serializers.JSONField()
    allowed_types = serializers.ListField(child=serializers.CharField())


class FreezeShape(SpanShape):
    reason = serializers.CharField()
    pending = serializers.JSONField(allow_null=True)
    pending_by = serializers.CharField(allow_null=True)


class Spans(Resource):
    """What both lists are like."""

    model: ClassVar[Any] = MaintenanceWindow
    roles: ClassVar = {"POST": WRITERS}
    orderings: ClassVar = {"start": "start", "end": "end", "name": "name", "id": "pk"}
    ordering = "start"

    def get(self, request: Request) -> Response:
        rows = self.model.objects.filter(removed_at__isnull=True)
        if self.model is Freeze:
            rows = rows.select_related("pending_by")
        return self.listing(rows, lambda found: map(span_shape, found))


class One(Resource):
    """What both single entries are like."""

    model: ClassVar[Any] = MaintenanceWindow
    roles: ClassVar = {"PATCH": WRITERS, "DELETE": WRITERS, "POST": WRITERS}

    def find(self) -> None:
        self.row = existing(
            self.model.objects.filter(pk=self.kwargs["id"], removed_at__isnull=True).first(), "There is no such entry in the calendar."
        )


class MaintenanceWindows(Spans):
    """Maintenance windows that are not removed. A component that some window's scope names may only be changed inside one."""

    names: ClassVar = ("id", "name", "start", "end", "recurrence", "timezone", "scope", "allowed_types")
    accepts: ClassVar = {"POST": WindowBody}
    answers: ClassVar = {"GET": SpanShape, "POST": SpanShape}
    statuses: ClassVar = {"POST": "201"}

    def post(self, request: Request) -> Response:
        row = change_calendar.create_window(self.read(WindowBody), actor=self.user, now=self.now)
        return self.answer(span_shape(row), 201, location=f"{request.path}{row.pk}/")


class Shown(One):
    """What both are like that can be read."""

    def get(self, request: Request, id: int) -> Response:
        return self.answer(span_shape(self.row))


class MaintenanceWindowOne(Shown):
    """One maintenance window."""

    accepts: ClassVar = {"PATCH": WindowBody}
    answers: ClassVar = {"GET": SpanShape, "PATCH": SpanShape}

    def patch(self, request: Request, id: int) -> Response:
        row = change_calendar.edit_window(id, self.read(WindowBody, current=span_shape(self.row)), actor=self.user, now=self.now)
        return self.answer(span_shape(row))

    def delete(self, request: Request, id: int) -> Response:
        change_calendar.remove_window(id, actor=self.user, now=self.now)
        return self.answer(None, 204)


class Freezes(Spans):
    """Freezes that are not removed. A new one holds at once."""

    model = Freeze
    names: ClassVar = (*MaintenanceWindows.names, "reason", "pending", "pending_by")
    accepts: ClassVar = {"POST": FreezeBody}
    answers: ClassVar = {"GET": FreezeShape, "POST": FreezeShape}
    statuses: ClassVar = {"POST": "201"}

    def post(self, request: Request) -> Response:
        row = change_calendar.create_freeze(self.read(FreezeBody), actor=self.user, now=self.now)
        return self.answer(span_shape(row), 201, location=f"{request.path}{row.pk}/")


class FreezeOne(Shown):
    """One freeze. What loosens it, and its removal, is answered 202 and holds once another person confirms."""

    model = Freeze
    accepts: ClassVar = {"PATCH": FreezeBody}
    answers: ClassVar = {"GET": FreezeShape, "PATCH": FreezeShape, "DELETE": FreezeShape}
    statuses: ClassVar = {"DELETE": "202"}

    def patch(self, request: Request, id: int) -> Response:
        row, holds = change_calendar.edit_freeze(id, self.read(FreezeBody, current=span_shape(self.row)), actor=self.user, now=self.now)
        return self.answer(span_shape(row), 200 if holds else 202)

    def delete(self, request: Request, id: int) -> Response:
        return self.answer(span_shape(change_calendar.remove_freeze(id, actor=self.user, now=self.now)), 202)


class FreezeConfirmed(One):
    """Confirm what another change manager or administrator asked for."""

    model = Freeze
    answers: ClassVar = {"POST": FreezeShape}

    def post(self, request: Request, id: int) -> Response:
        return self.answer(span_shape(change_calendar.confirm_freeze(id, actor=self.user, now=self.now)))


urlpatterns = [
    path("maintenance-windows/", MaintenanceWindows.as_view()),
    path("maintenance-windows/<int:id>/", MaintenanceWindowOne.as_view()),
    path("freezes/", Freezes.as_view()),
    path("freezes/<int:id>/", FreezeOne.as_view()),
    path("freezes/<int:id>/confirm/", FreezeConfirmed.as_view()),
]
