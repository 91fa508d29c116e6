"""`architecture/propagation/`: how far a change is followed, and how much each operation weighs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.lifecycle.edit_architecture import propagation_shown, save_propagation

from .base import Resource, StrictSerializer, Text, Whole

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


def weight() -> serializers.FloatField:
    return serializers.FloatField(min_value=0.01, max_value=1.0, required=False)


class PropagationBody(StrictSerializer):
    max_depth = Whole(min_value=1, max_value=50, required=False)
    min_score = serializers.FloatField(min_value=0.0001, max_value=1.0, required=False)
    layers = serializers.ListField(child=Text(max_length=60), required=False, max_length=50, help_text="Entered; empty for all.")
    relation_types = serializers.ListField(child=Text(max_length=100), required=False, max_length=200, help_text="Followed; empty for all.")
    delete_weight = weight()
    update_weight = weight()
    interface_weight = weight()
    create_weight = weight()


class Propagation(Resource):
    """How far every change is followed. What is written makes a revision: previews fall stale and are computed again."""

    roles: ClassVar = {"PATCH": ("administrator",)}
    accepts: ClassVar = {"PATCH": PropagationBody}
    answers: ClassVar = {"GET": PropagationBody, "PATCH": PropagationBody}

    def get(self, request: Request) -> Response:
        return self.answer(propagation_shown())

    def patch(self, request: Request) -> Response:
        save_propagation(self.read(PropagationBody), actor=self.user, now=self.now)
        return self.answer(propagation_shown())


urlpatterns = [path("architecture/propagation/", Propagation.as_view(), name="propagation")]
