"""`delegations/`: standing in for each other; `approvals/coverage/`: on which days a seat has nobody."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.accounts.delegations import delegation_shape, delegations_seen_by
from changemgmt.accounts.models import Delegation
from changemgmt.approvals import coverage
from changemgmt.core.errors import existing
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import delegate as verbs

from .approvals import number_of
from .base import Flag, Instant, Resource, StrictSerializer, Text


class ScopeShape(serializers.Serializer):
    kind = serializers.ChoiceField(Delegation.Scope.choices)
    value = serializers.CharField(allow_null=True)


class ScopeBody(StrictSerializer):
    kind = serializers.ChoiceField(Delegation.Scope.choices)
    value = Text(required=False, allow_null=True, allow_blank=True, max_length=100)


class Kept(StrictSerializer):
    """What the system writes."""

    id = serializers.IntegerField(read_only=True)
    active = serializers.BooleanField(read_only=True)
    created_by = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    begun_at = serializers.DateTimeField(read_only=True)
    revoked_at = serializers.DateTimeField(read_only=True)
    revoked_by = serializers.CharField(read_only=True)


class DelegationBody(Kept):
    """A delegation. `starts_at` is now unless given, `scope` everything, `delegator` the caller."""

    delegator = Text(required=False, max_length=150)
    delegate = Text(max_length=150)
    starts_at = Instant(required=False)
    ends_at = Instant()
    scope = ScopeBody(required=False)
    reason = Text(required=False, allow_blank=True)
    out_of_office = Flag(required=False)


class ChangedBody(Kept):
    """Only end and reason can change: who stands in for whom, and for what, is a delegation of its own."""

    delegator = serializers.CharField(read_only=True)
    delegate = serializers.CharField(read_only=True)
    starts_at = serializers.DateTimeField(read_only=True)
    ends_at = Instant(required=False)
    scope = ScopeShape(read_only=True)
    reason = Text(required=False, allow_blank=True)
    out_of_office = serializers.BooleanField(read_only=True)


class DelegationShape(serializers.Serializer):
    id = serializers.IntegerField()
    delegator = serializers.CharField()
    delegate = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    scope = ScopeShape()
    reason = serializers.CharField()
    out_of_office = serializers.BooleanField()
    active = serializers.BooleanField()
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    begun_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    revoked_by = serializers.CharField(allow_null=True)


class CoverageShape(serializers.Serializer):
    date = serializers.DateField()
    chain = serializers.CharField()
    level = serializers.CharField()
    seat = serializers.CharField()


class Delegations(Resource):
    """Those I gave and those I hold; administrators and auditors see all."""

    orderings: ClassVar = {"starts_at": "starts_at", "ends_at": "ends_at", "created_at": "created_at", "id": "pk"}
    ordering = "-starts_at"
    names: ClassVar = tuple(DelegationShape().fields)
    accepts: ClassVar = {"POST": DelegationBody}
    answers: ClassVar = {"GET": DelegationShape, "POST": DelegationShape}
    statuses: ClassVar = {"POST": "201"}

    def permit(self) -> None:
        if self.method == "POST":
            verbs.may_delegate(self.user).enforce()

    def get(self, request: Request) -> Response:
        return self.listing(delegations_seen_by(self.user), lambda rows: [delegation_shape(row, self.now) for row in rows])

    def post(self, request: Request) -> Response:
        given = self.read(DelegationBody)
        scope = given.pop("scope", {"kind": "all"})
        row = verbs.delegate(given.pop("delegate"), actor=self.user, now=self.now, scope=(scope["kind"], scope.get("value") or ""), **given)
        return self.answer(delegation_shape(row, self.now), 201, location=f"{request.path}{row.pk}/")


class OneDelegation(Resource):
    """One of them. PATCH writes its end and reason; DELETE revokes it at once and keeps the record."""

    accepts: ClassVar = {"PATCH": ChangedBody}
    answers: ClassVar = {"GET": DelegationShape, "PATCH": DelegationShape}

    def find(self) -> None:
        row = delegations_seen_by(self.user).filter(pk=self.kwargs["pk"]).first()
        self.row = existing(row, "There is no delegation with this id that you may see.")

    def permit(self) -> None:
        refusals: dict[str, Any] = {"PATCH": verbs.may_change, "DELETE": verbs.may_revoke}
        if self.method in refusals:
            Verdict(refusal=refusals[self.method](self.row, actor=self.user, now=self.now).refusal).enforce()

    def get(self, request: Request, pk: int) -> Response:
        return self.answer(delegation_shape(self.row, self.now))

    def patch(self, request: Request, pk: int) -> Response:
        row = verbs.change_delegation(pk, actor=self.user, now=self.now, **self.read(ChangedBody, current=delegation_shape(self.row, self.now)))
        return self.answer(delegation_shape(row, self.now))

    def delete(self, request: Request, pk: int) -> Response:
        verbs.revoke_delegation(pk, actor=self.user, now=self.now)
        return self.answer(None, 204)


class Coverage(Resource):
    """On which of the coming days a seat of a chain has nobody who may take it, as far as people said that they are away."""

    parameters: ClassVar = ("days",)
    roles: ClassVar = {"GET": coverage.READERS}
    answers: ClassVar = {"GET": CoverageShape(many=True)}

    def get(self, request: Request) -> Response:
        days = number_of(request, "days", coverage.DAYS, coverage.MOST_DAYS)
        return self.answer([gap.shape() for gap in coverage.gaps(now=self.now, days=days)])


urlpatterns = [
    path("delegations/", Delegations.as_view()),
    path("delegations/<int:pk>/", OneDelegation.as_view()),
    path("approvals/coverage/", Coverage.as_view()),
]
