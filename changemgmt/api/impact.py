"""`architecture/impact/`: what doing something to components would reach, answered at once, or by a worker where many are asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers

from changemgmt.architecture.impact import PHASES
from changemgmt.architecture.models import ImpactQuestion
from changemgmt.architecture.rules import OPERATIONS
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle.ask_impact import ask_impact, cancel_impact, how_far, question_of

from .base import Resource, StrictSerializer, Text, Whole

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

MOST_SEEDS = 1_000


class ImpactBody(StrictSerializer):
    components = serializers.ListField(child=Text(max_length=300), min_length=1, max_length=MOST_SEEDS)
    operation = serializers.ChoiceField(OPERATIONS, required=False)
    max_depth = Whole(min_value=1, max_value=50, required=False, allow_null=True)
    min_score = serializers.FloatField(min_value=0.0, max_value=1.0, required=False)
    layers = serializers.ListField(child=Text(max_length=60), required=False, max_length=50)
    relation_types = serializers.ListField(child=Text(max_length=100), required=False, max_length=200)


class ImpactShape(serializers.Serializer):
    revision = serializers.IntegerField()
    state = serializers.ChoiceField(("ready",))
    direct = serializers.ListField(child=serializers.CharField())
    affected = serializers.ListField(child=serializers.DictField())
    by_layer = serializers.DictField(child=serializers.IntegerField())
    by_owner = serializers.DictField(child=serializers.IntegerField(), help_text="By slug of the team or name of the user; empty for nobody's.")
    by_criticality = serializers.DictField(child=serializers.IntegerField())
    users = serializers.IntegerField()
    services = serializers.ListField(child=serializers.CharField())
    untrusted = serializers.IntegerField(help_text="So many of `affected` are reached over relations that nobody confirmed lately, and not counted.")


class ImpactAskedShape(serializers.Serializer):
    id = serializers.IntegerField()
    state = serializers.ChoiceField(("running", "failed", "cancelled"))
    progress = serializers.FloatField()
    phase = serializers.ChoiceField(("", *PHASES), help_text="What is done now; empty before a worker took it, and afterwards.")
    error = serializers.CharField()


EITHER = PolymorphicProxySerializer("ImpactAnswer", [ImpactShape, ImpactAskedShape], resource_type_field_name=None)


def limit_of(request: Request) -> int | None:
    """How many of the affected are wanted; None for all."""
    text = request.query_params.get("limit", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 8):
        raise Invalid.field("limit", "Give a whole number.")
    return int(text) if text else None


def answered(impact: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """The answer as it is shown, the same whether it was computed at once or by a worker."""
    return impact | {"affected": impact["affected"][:limit], "collisions": []}


def waiting(asked: ImpactQuestion) -> dict[str, Any]:
    """A question without an answer."""
    at = how_far(asked)
    return {"id": asked.pk, "state": asked.state, "progress": at.share if at else 0.0, "phase": at.phase if at else "", "error": asked.error}


class Impact(Resource):
    """What doing something to these components would reach, in the live architecture: at once (200), or by a worker where they are many (202)."""

    write_parameters: ClassVar = ("limit",)
    accepts: ClassVar = {"POST": ImpactBody}
    answers: ClassVar = {"POST": EITHER}

    def post(self, request: Request) -> Response:
        asked, limit = self.read(ImpactBody), limit_of(request)
        if "relation_types" in asked:
            asked["types"] = asked.pop("relation_types")
        found = ask_impact(asked, actor=self.user, now=self.now)
        if isinstance(found, ImpactQuestion):
            return self.answer(waiting(found), 202, location=f"{request.path}{found.pk}/")
        return self.answer(answered(found, limit))


class OfQuestion(Resource):
    """What is about a question one has asked."""

    def find(self) -> None:
        self.asked = question_of(self.kwargs["id"], actor=self.user)


class AskedImpact(OfQuestion):
    """The answer to what one has asked, or how far it is. Kept for a day, for who asked."""

    parameters: ClassVar = ("limit",)
    answers: ClassVar = {"GET": EITHER}

    def get(self, request: Request, id: int) -> Response:
        limit = limit_of(request)
        return self.answer(answered(self.asked.result, limit) if self.asked.result else waiting(self.asked))


class CancelImpact(OfQuestion):
    """Stop computing an answer. 200 when that is done, 202 when it stops at the next step."""

    answers: ClassVar = {"POST": ImpactAskedShape}

    def post(self, request: Request, id: int) -> Response:
        if request.data:
            raise Invalid("Nothing is sent with this.")
        done = cancel_impact(id, actor=self.user, now=self.now)
        return self.answer(waiting(question_of(id, actor=self.user)), 200 if done else 202)


urlpatterns = [
    path("architecture/impact/", Impact.as_view(), name="architecture_impact"),
    path("architecture/impact/<int:id>/", AskedImpact.as_view(), name="architecture_impact_asked"),
    path("architecture/impact/<int:id>/cancel/", CancelImpact.as_view(), name="architecture_impact_cancel"),
]
