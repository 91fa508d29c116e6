"""`me/second-factor/`: whether a code is asked of me; and taking it away. It is set up on the page alone, which shows the secret once."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.accounts.models import User
from changemgmt.accounts.second_factor import device_of
from changemgmt.core.errors import existing
from changemgmt.lifecycle import second_factor as verbs

from .base import Resource, StrictSerializer, Text


class RemovalBody(StrictSerializer):
    password = Text(required=False, allow_blank=True, default="")
    code = Text(required=False, allow_blank=True, default="")


class ResetBody(StrictSerializer):
    reason = Text(required=False, allow_blank=True, default="", max_length=verbs.LONGEST_REASON)


class SecondFactorShape(serializers.Serializer):
    confirmed = serializers.BooleanField()
    since = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)


class SecondFactor(Resource):
    """Whether I have a second factor. The secret is nowhere in it."""

    answers: ClassVar = {"GET": SecondFactorShape}

    def get(self, request: Request) -> Response:
        return self.answer(shown(self.user))


class Removal(Resource):
    """Remove my second factor, with my password and a code of it."""

    accepts: ClassVar = {"POST": RemovalBody}
    answers: ClassVar = {"POST": SecondFactorShape}

    def post(self, request: Request) -> Response:
        verbs.remove(self.user, now=self.now, **self.read(RemovalBody))
        return self.answer(shown(self.user))


class Reset(Resource):
    """Take the second factor from somebody who lost theirs; they are told."""

    roles: ClassVar = {"GET": ("administrator",), "POST": ("administrator",)}
    accepts: ClassVar = {"POST": ResetBody}
    answers: ClassVar = {"POST": SecondFactorShape}

    def find(self) -> None:
        people = User.objects.filter(username=self.kwargs["username"], is_guest=False)
        self.person = existing(people.first(), "There is no such account.")

    def post(self, request: Request, username: str) -> Response:
        return self.answer(shown(verbs.reset(username, actor=self.user, now=self.now, **self.read(ResetBody))))


def shown(user: User) -> dict[str, Any]:
    device = device_of(user)
    return {"confirmed": device is not None, "since": device and device.created_at, "last_used_at": device and device.last_used_at}


urlpatterns = [
    path("me/second-factor/", SecondFactor.as_view(), name="second_factor"),
    path("me/second-factor/remove/", Removal.as_view(), name="second_factor_remove"),
    path("users/<str:username>/second-factor/reset/", Reset.as_view(), name="second_factor_reset"),
]
