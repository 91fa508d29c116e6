"""`changes/{number}/assessment/`: the risk with every factor; answers, computing again and overriding."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.assessment.queries import assessment_of
from changemgmt.changes.queries import visible
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle import assess

from .base import Resource, StrictSerializer, Text


@extend_schema_field(OpenApiTypes.DOUBLE)
class Answer(serializers.Field):
    """0, 0.25, 0.5, 0.75 or 1; the verb says so at its field."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class OverrideBody(StrictSerializer):
    level = serializers.ChoiceField(choices=["low", "medium", "high", "very_high"], allow_null=True)
    reason = Text(required=False, allow_blank=True, default="", max_length=2000)


class AssessmentBody(StrictSerializer):
    """Empty computes the risk of a draft again; answers and an override are two different acts."""

    revenue = Answer(required=False)
    reputation = Answer(required=False)
    override = OverrideBody(required=False)


class FactorShape(serializers.Serializer):
    score = serializers.FloatField()
    weight = serializers.FloatField()
    basis = serializers.CharField()


class RiskShape(serializers.Serializer):
    category = serializers.CharField()
    likelihood = serializers.CharField()
    impact = serializers.CharField()
    score = serializers.IntegerField()
    mitigation = serializers.CharField()
    evidence = serializers.CharField()


class RungShape(serializers.Serializer):
    what = serializers.CharField()
    overall = serializers.FloatField()
    level = serializers.CharField()


class SuccessShape(serializers.Serializer):
    value = serializers.FloatField(allow_null=True)
    sample = serializers.IntegerField()


class OverrideShape(serializers.Serializer):
    level = serializers.CharField()
    reason = serializers.CharField()
    by = serializers.CharField(allow_null=True)


class AssessmentShape(serializers.Serializer):
    version = serializers.IntegerField()
    technical = serializers.FloatField(allow_null=True)
    business = serializers.FloatField(allow_null=True)
    overall = serializers.FloatField(allow_null=True)
    level = serializers.CharField(allow_null=True)
    computed_level = serializers.CharField(allow_null=True)
    risks = RiskShape(many=True)
    factors = serializers.DictField(child=FactorShape())
    statements = serializers.DictField(child=serializers.CharField())
    lowers = RungShape(many=True)
    weights = serializers.DictField(child=serializers.FloatField())
    success_score = SuccessShape()
    override = OverrideShape(allow_null=True)
    at = serializers.DateTimeField(allow_null=True)


class AssessmentOf(Resource):
    """The newest assessment. POST answers what is asked, overrides the level, or computes the risk of a draft again."""

    accepts: ClassVar = {"POST": AssessmentBody}
    answers: ClassVar = {"GET": AssessmentShape, "POST": AssessmentShape}

    def find(self) -> None:
        self.change = visible(self.user, self.kwargs["number"])

    def get(self, request: Request, number: str) -> Response:
        return self.answer(assessment_of(self.change), etag=self.change.etag)

    def post(self, request: Request, number: str) -> Response:
        body = self.read(AssessmentBody)
        override = body.pop("override", None)
        if override and body:
            raise Invalid.field("override", "Answer the questions and override the level in two requests.")
        if override:
            changed = assess.override(number, level=override["level"], reason=override["reason"], actor=self.user, now=self.now, seen=self.seen)
        elif body:
            changed = assess.answer(number, body, actor=self.user, now=self.now, seen=self.seen)
        else:
            changed = assess.reassess(number, actor=self.user, now=self.now)
        return self.answer(assessment_of(changed), etag=changed.etag)


urlpatterns = [path("changes/<str:number>/assessment/", AssessmentOf.as_view())]
