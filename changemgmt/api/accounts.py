"""`me/`, people, and one's own tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.db.models import Prefetch, Q, QuerySet
from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.accounts.models import ApiToken, OrgUnit, Team, User
from changemgmt.accounts.queries import roles_of
from changemgmt.approvals.queue import queue_of
from changemgmt.changes.models import Change, State
from changemgmt.core.errors import existing
from changemgmt.execution.models import Task
from changemgmt.lifecycle import manage_people
from changemgmt.notifications.queries import unread_count

from .base import Resource


class CountsShape(serializers.Serializer):
    approvals = serializers.IntegerField()
    info_requested = serializers.IntegerField()
    tasks = serializers.IntegerField()
    notifications = serializers.IntegerField()


class MeShape(serializers.Serializer):
    username = serializers.CharField()
    name = serializers.CharField()
    email = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    org_unit = serializers.CharField(allow_null=True)
    time_zone = serializers.CharField()
    counts = CountsShape()


class PersonShape(serializers.Serializer):
    username = serializers.CharField()
    name = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    org_unit = serializers.CharField(allow_null=True)


class TokenShape(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    scope = serializers.ChoiceField(ApiToken.Scope.choices)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class OrgUnitShape(serializers.Serializer):
    slug = serializers.CharField()
    name = serializers.CharField()
    parent = serializers.CharField(allow_null=True)  # type: ignore[assignment]  # a declared field
    head = serializers.CharField(allow_null=True)


class TeamShape(serializers.Serializer):
    slug = serializers.CharField()
    name = serializers.CharField()
    org_unit = serializers.CharField(allow_null=True)
    lead = serializers.CharField(allow_null=True)
    members = serializers.ListField(child=serializers.CharField())


class Me(Resource):
    """Who I am, my roles, and how much waits for me."""

    answers: ClassVar = {"GET": MeShape}

    def get(self, request: Request) -> Response:
        user = self.user
        return self.answer(
            {
                "username": user.username,
                "name": user.display_name,
                "email": user.email,
                "roles": sorted(roles_of(user)),
                "org_unit": user.org_unit.slug if user.org_unit else None,
                "time_zone": user.time_zone,
                "counts": counts_of(user, self.now),
            }
        )


class People(Resource):
    """Active people, for pickers: `q` finds them by username or name, `role` by role."""

    parameters: ClassVar = ("q", "role")
    orderings: ClassVar = {"username": "username", "name": "last_name"}
    ordering = "username"
    names: ClassVar = ("username", "name", "roles", "org_unit")
    answers: ClassVar = {"GET": PersonShape}

    def get(self, request: Request) -> Response:
        groups = Prefetch("groups", Group.objects.order_by("name"))
        people = people_like(request.query_params.get("q", ""), request.query_params.get("role", ""))
        return self.listing(people.select_related("org_unit").prefetch_related(groups), lambda rows: map(person, rows))


class Tokens(Resource):
    """My API tokens. They are made on the profile page or by `manage.py token`."""

    orderings: ClassVar = {"created_at": "created_at"}
    ordering = "-created_at"
    names: ClassVar = ("id", "name", "scope", "created_at", "expires_at", "last_used_at", "revoked_at")
    answers: ClassVar = {"GET": TokenShape}

    def get(self, request: Request) -> Response:
        return self.listing(ApiToken.objects.filter(user=self.user), lambda rows: map(token_shown, rows))


class OneToken(Resource):
    """One of my tokens; deleting revokes it at once and keeps the record."""

    answers: ClassVar = {"GET": TokenShape}

    def find(self) -> None:
        self.token = existing(ApiToken.objects.filter(user=self.user, pk=self.kwargs["pk"]).first(), "You have no token with this id.")

    def get(self, request: Request, pk: int) -> Response:
        return self.answer(token_shown(self.token))

    def delete(self, request: Request, pk: int) -> Response:
        manage_people.revoke_token(pk, actor=self.user, now=self.now)
        return self.answer(None, 204)


class OrgUnits(Resource):
    """The units of the organisation."""

    orderings: ClassVar = {"slug": "slug", "name": "name"}
    ordering = "slug"
    names: ClassVar = ("slug", "name", "parent", "head")
    answers: ClassVar = {"GET": OrgUnitShape}

    def get(self, request: Request) -> Response:
        return self.listing(OrgUnit.objects.select_related("parent", "head"), lambda rows: map(unit_shown, rows))


class Teams(Resource):
    """Teams and their members."""

    orderings: ClassVar = {"slug": "slug", "name": "name"}
    ordering = "slug"
    names: ClassVar = ("slug", "name", "org_unit", "lead", "members")
    answers: ClassVar = {"GET": TeamShape}

    def get(self, request: Request) -> Response:
        members = Prefetch("members", User.objects.filter(is_active=True).order_by("username"))
        teams = Team.objects.select_related("org_unit", "lead").prefetch_related(members)
        return self.listing(teams, lambda rows: map(team_shown, rows))


def counts_of(user: User, now: datetime) -> dict[str, int]:
    """What waits for the user: seats to vote on, questions to answer, steps to do, unread notifications."""
    asked = Q(requester=user) | Q(owner=user)
    mine = Q(execution__change__implementers=user, agent="person", state__in=[Task.State.READY, Task.State.RUNNING])
    return {
        "approvals": len(queue_of(user, now)),
        "info_requested": Change.objects.filter(asked, state=State.INFO_REQUESTED).count(),
        "tasks": Task.objects.filter(mine, execution__ended_at=None).count(),
        "notifications": unread_count(user),
    }


def people_like(text: str, role: str) -> QuerySet[User]:
    """Active people's accounts, found by part of the username or name, and by role."""
    people = User.objects.filter(is_active=True, is_service=False, is_guest=False)
    if role:
        people = people.filter(groups__name=role)
    for word in text.split()[:5]:
        people = people.filter(Q(username__icontains=word) | Q(first_name__icontains=word) | Q(last_name__icontains=word))
    return people


def person(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "name": user.display_name,
        "roles": [group.name for group in user.groups.all()],
        "org_unit": user.org_unit.slug if user.org_unit else None,
    }


def token_shown(token: ApiToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in Tokens.names}


def unit_shown(unit: OrgUnit) -> dict[str, Any]:
    return {
        "slug": unit.slug,
        "name": unit.name,
        "parent": unit.parent.slug if unit.parent else None,
        "head": unit.head.username if unit.head else None,
    }


def team_shown(team: Team) -> dict[str, Any]:
    return {
        "slug": team.slug,
        "name": team.name,
        "org_unit": team.org_unit.slug if team.org_unit else None,
        "lead": team.lead.username if team.lead else None,
        "members": [user.username for user in team.members.all()],
    }


urlpatterns = [
    path("me/", Me.as_view(), name="me"),
    path("me/tokens/", Tokens.as_view(), name="tokens"),
    path("me/tokens/<int:pk>/", OneToken.as_view(), name="token"),
    path("users/", People.as_view(), name="people"),
    path("org-units/", OrgUnits.as_view(), name="org_units"),
    path("teams/", Teams.as_view(), name="teams"),
]
