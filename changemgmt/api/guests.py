"""`changes/{number}/guests/`: people without an account who are asked for a vote."""

from __future__ import annotations

from typing import ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.approvals.guests import guest_shape, guests_of
from changemgmt.lifecycle import invite_guest as verbs

from .base import StrictSerializer, Text, Whole
from .changes import OfChange


class GuestBody(StrictSerializer):
    seat = Whole(min_value=1)
    name = Text(max_length=150)
    email = Text(max_length=200)
    second_channel = Text(max_length=200, help_text="Where the code goes: a phone number, or a mail address other than `email`.")


class GuestShape(serializers.Serializer):
    id = serializers.IntegerField()
    seat = serializers.IntegerField()
    level = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a declared field
    name = serializers.CharField()
    email = serializers.CharField(allow_null=True)
    second_channel = serializers.CharField(allow_null=True)
    invited_by = serializers.CharField()
    invited_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    active = serializers.BooleanField()


class Guests(OfChange):
    """Who was asked, and asking somebody; the addresses are shown to those who may ask. The links and codes are in no answer."""

    accepts: ClassVar = {"POST": GuestBody}
    answers: ClassVar = {"GET": GuestShape(many=True), "POST": GuestShape}

    def permit(self) -> None:
        if self.writing:
            verbs.may_invite(self.change, actor=self.user).enforce()

    def get(self, request: Request, number: str) -> Response:
        whole = verbs.may_invite(self.change, actor=self.user).allowed
        return self.answer([guest_shape(row, self.now, whole=whole) for row in guests_of(self.change)])

    def post(self, request: Request, number: str) -> Response:
        row = verbs.invite_guest(number, actor=self.user, now=self.now, **self.read(GuestBody))
        return self.answer(guest_shape(row, self.now, whole=True), 201, location=f"/api/v1/changes/{number}/guests/{row.pk}/")


class OneGuest(OfChange):
    """One invitation; deleting takes it back at once and keeps the record."""

    answers: ClassVar = {"GET": GuestShape}

    def permit(self) -> None:
        if self.writing:
            verbs.may_invite(self.change, actor=self.user).enforce()

    def find(self) -> None:
        super().find()
        self.guest = verbs.guest_of(self.change, self.kwargs["pk"])

    def get(self, request: Request, number: str, pk: int) -> Response:
        whole = verbs.may_invite(self.change, actor=self.user).allowed
        return self.answer(guest_shape(self.guest, self.now, whole=whole))

    def delete(self, request: Request, number: str, pk: int) -> Response:
        verbs.revoke_guest(number, pk, actor=self.user, now=self.now)
        return self.answer(None, 204)


urlpatterns = [
    path("changes/<str:number>/guests/", Guests.as_view(), name="change_guests"),
    path("changes/<str:number>/guests/<int:pk>/", OneGuest.as_view(), name="change_guest"),
]
