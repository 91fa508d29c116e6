"""`changes/{number}/override/`: a level decided by two named people; `overrides/`: all of them, for those who look after it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.approvals.models import Override, Power, Vote
from changemgmt.approvals.overrides import STATES, override_shape, overrides_of, overrides_seen
from changemgmt.changes.queries import visible
from changemgmt.core.errors import existing
from changemgmt.core.time import parse_instant
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import override as verbs

from .base import Empty, Resource, StrictSerializer, Text

READERS = ("auditor", "change_manager", "administrator")


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer"}]})
class LevelName(serializers.Field):
    """A level by its name, its number, or its id."""

    def to_internal_value(self, data: Any) -> str | int:
        if isinstance(data, bool) or not isinstance(data, str | int) or len(str(data)) > 100:
            raise serializers.ValidationError("Name a level: by its name, its number, or its id.")
        return data


class OverrideBody(StrictSerializer):
    level = LevelName()
    decision = serializers.ChoiceField(Override.Decision.choices)
    reason = Text(required=False, allow_blank=True, default="")


class StoodShape(serializers.Serializer):
    label = serializers.CharField()  # type: ignore[assignment]  # a declared field
    power = serializers.ChoiceField(Power.choices)
    by = serializers.CharField()
    on_behalf_of = serializers.CharField(allow_null=True)
    vote = serializers.ChoiceField(Vote.Kind.choices)
    comment = serializers.CharField()
    at = serializers.DateTimeField()
    superseded = serializers.BooleanField()


class OverrideShape(serializers.Serializer):
    id = serializers.IntegerField()
    change = serializers.CharField()
    round = serializers.IntegerField()
    level = serializers.CharField()
    level_id = serializers.IntegerField()
    decision = serializers.ChoiceField(Override.Decision.choices)
    reason = serializers.CharField()
    state = serializers.ChoiceField(STATES)
    digest = serializers.CharField()
    asked_by = serializers.CharField()
    asked_at = serializers.DateTimeField()
    confirmed_by = serializers.CharField(allow_null=True)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    withdrawn_at = serializers.DateTimeField(allow_null=True)
    votes = StoodShape(many=True)


class OneOfAllShape(OverrideShape):
    """An override in the list of all of them."""


class OfChange(Resource):
    """Something of one change."""

    def find(self) -> None:
        self.change = visible(self.user, self.kwargs["number"])

    def shown(self, row: Override, status: int = 200) -> Response:
        return self.answer(override_shape(overrides_of(self.change).get(pk=row.pk)), status)


class Overrides(OfChange):
    """Overrides of this change, the newest first; POST asks for one, which holds when a second person confirms it."""

    orderings: ClassVar = {"asked_at": "asked_at"}
    ordering = "-asked_at"
    names: ClassVar = tuple(OverrideShape().fields)
    accepts: ClassVar = {"POST": OverrideBody}
    answers: ClassVar = {"GET": OverrideShape, "POST": OverrideShape}

    def permit(self) -> None:
        if self.method == "POST":
            verbs.may_override(self.change, actor=self.user).enforce()

    def get(self, request: Request, number: str) -> Response:
        return self.listing(overrides_of(self.change), lambda rows: map(override_shape, rows))

    def post(self, request: Request, number: str) -> Response:
        row = verbs.ask_override(number, actor=self.user, now=self.now, seen=self.seen, **self.read(OverrideBody))
        return self.shown(row, 201)


class AtOverride(OfChange):
    """One of them."""

    def find(self) -> None:
        super().find()
        self.row = existing(overrides_of(self.change).filter(pk=self.kwargs["pk"]).first(), "This change has no override with this id.")


class OneOverride(AtOverride):
    """One override, with the votes that stood."""

    answers: ClassVar = {"GET": OverrideShape}

    def get(self, request: Request, number: str, pk: int) -> Response:
        return self.answer(override_shape(self.row))


class Confirm(AtOverride):
    """Decide the level as it was asked: by another administrator or change manager than who asked."""

    accepts: ClassVar = {"POST": Empty}
    answers: ClassVar = {"POST": OverrideShape}

    def permit(self) -> None:
        if self.row.confirmed_by_id != self.user.pk:
            verdict = verbs.may_confirm(self.row, actor=self.user)
            Verdict(refusal=verdict.refusal, guards=verdict.guards if verdict.refusal else ()).enforce()

    def post(self, request: Request, number: str, pk: int) -> Response:
        self.read(Empty)
        return self.shown(verbs.confirm_override(number, pk, actor=self.user, now=self.now, seen=self.seen))


class Withdraw(AtOverride):
    """Ask for it no more: by who asked."""

    accepts: ClassVar = {"POST": Empty}
    answers: ClassVar = {"POST": OverrideShape}

    def permit(self) -> None:
        Verdict(refusal=verbs.may_withdraw_override(self.row, actor=self.user).refusal).enforce()

    def post(self, request: Request, number: str, pk: int) -> Response:
        self.read(Empty)
        return self.shown(verbs.withdraw_override(number, pk, actor=self.user, now=self.now))


class AllOverrides(Resource):
    """Every override of the changes one may see, the newest first: for auditors, change managers and administrators.

    `after` and `before` are about when it was asked for.
    """

    roles: ClassVar = {"GET": READERS}
    parameters: ClassVar = ("after", "before", "decision")
    orderings: ClassVar = {"asked_at": "asked_at"}
    ordering = "-asked_at"
    names: ClassVar = tuple(OverrideShape().fields)
    answers: ClassVar = {"GET": OneOfAllShape}

    def get(self, request: Request) -> Response:
        rows = overrides_seen(self.user)
        for name, lookup in (("after", "asked_at__gte"), ("before", "asked_at__lt")):
            if text := request.query_params.get(name):
                rows = rows.filter(**{lookup: parse_instant(text, field=name)})
        if decision := self.choice("decision", Override.Decision.values):
            rows = rows.filter(decision=decision)
        return self.listing(rows, lambda found: map(override_shape, found))


urlpatterns = [
    path("overrides/", AllOverrides.as_view(), name="overrides"),
    path("changes/<str:number>/override/", Overrides.as_view(), name="change_overrides"),
    path("changes/<str:number>/override/<int:pk>/", OneOverride.as_view(), name="override"),
    path("changes/<str:number>/override/<int:pk>/confirm/", Confirm.as_view(), name="override_confirm"),
    path("changes/<str:number>/override/<int:pk>/withdraw/", Withdraw.as_view(), name="override_withdraw"),
]
