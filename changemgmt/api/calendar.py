"""The calendar, its feed, and a change's windows and conflicts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.accounts.actions import token_of
from changemgmt.accounts.models import ApiToken, User
from changemgmt.changes.queries import visible
from changemgmt.core.errors import Invalid
from changemgmt.core.time import parse_instant, utc_now
from changemgmt.scheduling.entries import calendar_entries
from changemgmt.scheduling.feed import feed
from changemgmt.scheduling.queries import conflicts_of, windows_for

from .auth import BrowserAuthentication, TokenAuthentication
from .base import Resource
from .errors import NotAuthenticated

LONGEST = timedelta(days=100)
BEHIND, AHEAD = timedelta(days=30), timedelta(days=180)


class EntryShape(serializers.Serializer):
    kind = serializers.ChoiceField(choices=["change", "freeze", "window"])
    number = serializers.CharField()
    title = serializers.CharField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    type = serializers.CharField(allow_null=True)
    state = serializers.CharField(allow_null=True)
    services = serializers.ListField(child=serializers.CharField())
    conflict = serializers.BooleanField()


class CalendarShape(serializers.Serializer):
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = EntryShape(many=True)


class ConflictShape(serializers.Serializer):
    kind = serializers.CharField()
    severity = serializers.ChoiceField(choices=["hard", "soft"])
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    message = serializers.CharField()

    def get_fields(self) -> dict:
        return {**super().get_fields(), "with": serializers.CharField()}


class FactorsShape(serializers.Serializer):
    business_impact = serializers.FloatField()
    historical_success = serializers.FloatField()
    resource_availability = serializers.FloatField()
    dependency_coordination = serializers.FloatField()
    compliance_penalty = serializers.FloatField()


class WindowShape(serializers.Serializer):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    score = serializers.FloatField()
    factors = FactorsShape()
    soft_conflicts = ConflictShape(many=True)


class Timed(Resource):
    """Reads times and whole numbers of the query."""

    def moment(self, name: str) -> datetime | None:
        """The time in a query parameter; a plus that was not encoded came as a space."""
        text = self.request.query_params.get(name)
        return parse_instant(text.replace(" ", "+"), field=name) if text else None

    def number(self, name: str, default: int, most: int) -> int:
        text = self.request.query_params.get(name, str(default))
        if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= most):
            raise Invalid.field(name, f"A whole number from 1 to {most:,}.")
        return int(text)


class Calendar(Timed):
    """Changes, freezes and maintenance windows between `start` and `end` (a month from now), at most 100 days."""

    parameters: ClassVar = ("start", "end")
    answers: ClassVar = {"GET": CalendarShape}

    def get(self, request: Request) -> Response:
        start = self.moment("start") or self.now
        end = self.moment("end") or start + timedelta(days=31)
        if not timedelta(0) < end - start <= LONGEST:
            raise Invalid.field("end", "It lies after the start, by at most 100 days.")
        found = [entry.as_dict() for entry in calendar_entries(self.user, start, end)]
        return self.answer({"next": None, "previous": None, "results": found})


class AddressAuthentication(BaseAuthentication):
    """`?token=<key>` for calendar programs, which send no headers. Only a token that may only read is taken from an address."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        key = request.query_params.get("token")
        if key is None:
            return None
        token = token_of(key, now=utc_now())
        if token is None or token.scope != ApiToken.Scope.READ:
            raise NotAuthenticated("The address needs a token of scope read that is neither expired nor revoked.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Token realm="api"'


class CalendarFeed(Resource):
    """The calendar as iCalendar, from a month ago to half a year ahead."""

    authentication_classes = [TokenAuthentication, AddressAuthentication, BrowserAuthentication]
    parameters: ClassVar = ("token",)

    def get(self, request: Request) -> HttpResponse:
        entries = calendar_entries(self.user, self.now - BEHIND, self.now + AHEAD)
        body = feed(entries, name=f"{settings.PRODUCT_NAME} {self.user.username}", base_url=settings.BASE_URL, now=self.now)
        return HttpResponse(body, content_type="text/calendar; charset=utf-8", headers={"Content-Disposition": 'inline; filename="calendar.ics"'})


class OfChange(Timed):
    def find(self) -> None:
        self.change = visible(self.user, self.kwargs["number"])


class Windows(OfChange):
    """The best windows: `duration` in minutes, from `earliest` (now) to `latest` (30 days on)."""

    parameters: ClassVar = ("earliest", "latest", "duration", "limit")
    answers: ClassVar = {"GET": WindowShape(many=True)}

    def get(self, request: Request, number: str) -> Response:
        found = windows_for(
            self.change,
            earliest=self.moment("earliest"),
            latest=self.moment("latest"),
            duration=timedelta(minutes=self.number("duration", 120, 43_200)),
            limit=self.number("limit", 5, 50),
            now=self.now,
            viewer=self.user,
        )
        return self.answer([window.as_dict() for window in found])


class Conflicts(OfChange):
    """What the window from `start` to `end` meets; the planned or requested window unless told otherwise."""

    parameters: ClassVar = ("start", "end")
    answers: ClassVar = {"GET": ConflictShape(many=True)}

    def get(self, request: Request, number: str) -> Response:
        start = self.moment("start") or self.change.planned_start or self.change.requested_start
        end = self.moment("end") or self.change.planned_end or self.change.requested_end
        if start is None or end is None:
            raise Invalid.field("start", "Give start and end: this change has no window yet.")
        if not timedelta(0) < end - start <= timedelta(days=366):
            raise Invalid.field("end", "It lies after the start, by at most a year.")
        return self.answer([conflict.as_dict() for conflict in conflicts_of(self.change, start, end, now=self.now, viewer=self.user)])


urlpatterns = [
    path("calendar/", Calendar.as_view()),
    path("calendar.ics", CalendarFeed.as_view()),
    path("changes/<str:number>/windows/", Windows.as_view()),
    path("changes/<str:number>/conflicts/", Conflicts.as_view()),
]
