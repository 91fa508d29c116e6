"""`audit/`: the record, read only, and the checking of it."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db.models import QuerySet
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.audit.actions import start_verification
from changemgmt.audit.models import Event, Verification
from changemgmt.audit.queries import FIELDS, Filter, last_verification, matching, representations, verification_shown, visible_events
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import NotFound
from changemgmt.core.time import parse_instant

from .base import Empty, Resource

SEE_ALL = ("auditor", "administrator")
VERIFIERS = ("auditor",)
MANY = ("change", "actor", "action", "object", "stream", "channel")


class DifferenceShape(serializers.Serializer):
    path = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class EventShape(serializers.Serializer):
    id = serializers.IntegerField()
    sequence = serializers.IntegerField()
    stream = serializers.CharField()
    at = serializers.DateTimeField()
    actor = serializers.CharField(allow_null=True)
    on_behalf_of = serializers.CharField(allow_null=True)
    channel = serializers.CharField()
    address = serializers.CharField(allow_null=True)
    request_id = serializers.CharField()
    action = serializers.CharField()
    object = serializers.CharField()
    change = serializers.CharField()
    differences = DifferenceShape(many=True)
    data = serializers.DictField()  # type: ignore[assignment]  # a declared field
    text = serializers.CharField(help_text="Canonical, exactly as hashed.")
    previous_hash = serializers.CharField()
    hash = serializers.CharField(help_text='Lower-case hex SHA-256 of previous_hash + "\\n" + text, UTF-8.')


class VerificationShape(serializers.Serializer):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    state = serializers.ChoiceField(Verification.State.choices)
    ok = serializers.BooleanField(allow_null=True)
    events = serializers.IntegerField()
    streams = serializers.IntegerField()
    first_bad = serializers.CharField(allow_null=True)
    kind = serializers.CharField(allow_null=True)
    message = serializers.CharField()


def events_for(user: User) -> QuerySet[Event]:
    """The events this person may see. Even to an administrator a confidential change is closed."""
    numbers = None if has_role(user, "auditor") else visible_to(user).values("number")
    return visible_events(numbers, private=has_role(user, "administrator"))


class Events(Resource):
    """Every act, newest first. Auditors and administrators see all, others what concerns the changes they may see."""

    parameters: ClassVar = (*MANY, "after", "before", "q")
    orderings: ClassVar = {"id": "pk"}
    ordering = "-id"
    names: ClassVar = FIELDS
    answers: ClassVar = {"GET": EventShape}

    def get(self, request: Request) -> Response:
        return self.listing(matching(events_for(self.user), self.wanted()), representations)

    def wanted(self) -> Filter:
        """The filter that the query parameters give."""
        given = self.request.query_params
        return Filter(
            **{name: tuple(value for value in given.getlist(name) if value) for name in MANY},
            after=self.moment("after"), before=self.moment("before"), q=given.get("q", ""),
        )  # fmt: skip

    def moment(self, name: str) -> datetime | None:
        text = self.request.query_params.get(name)
        return parse_instant(text, field=name) if text else None


class OneEvent(Resource):
    """One act."""

    answers: ClassVar = {"GET": EventShape}

    def find(self) -> None:
        found = representations(list(events_for(self.user).filter(pk=self.kwargs["pk"])))
        if not found:
            raise NotFound("There is no event with this id that you may see.")
        self.event = found[0]

    def get(self, request: Request, pk: int) -> Response:
        return self.answer(self.event)


class Verify(Resource):
    """Check the whole record: POST starts a run, GET gives the last."""

    roles: ClassVar = {"POST": VERIFIERS, "GET": SEE_ALL}
    accepts: ClassVar = {"POST": Empty}
    answers: ClassVar = {"GET": VerificationShape, "POST": VerificationShape}
    statuses: ClassVar = {"POST": "202"}

    def get(self, request: Request) -> Response:
        run = last_verification()
        if run is None:
            raise NotFound("The record was not checked yet: POST here to check it.")
        return self.answer(verification_shown(run))

    def post(self, request: Request) -> Response:
        self.read(Empty)
        run = start_verification(actor=self.user.username, now=self.now)
        return self.answer(verification_shown(run), 202, location=request.build_absolute_uri(request.path))


urlpatterns = [
    path("audit/events/", Events.as_view(), name="audit_events"),
    path("audit/events/<int:pk>/", OneEvent.as_view(), name="audit_event"),
    path("audit/verify/", Verify.as_view(), name="audit_verify"),
]
