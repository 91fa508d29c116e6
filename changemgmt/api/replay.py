"""`approval-chains/…/replay/`: what a draft chain would have meant for the changes of past months. Stores nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.approvals import replay

from .base import Resource, StrictSerializer, Text, Whole
from .chains import ADMINISTRATOR, chain_with, plain

DATE = "A date such as 2026-08-01; the whole day, UTC."


class ReplayBody(StrictSerializer):
    to = Text(max_length=40, help_text=DATE)
    limit = Whole(required=False, min_value=0, max_value=replay.MOST_LISTED, help_text="How many moved changes to list; 100 unless given.")
    offset = Whole(required=False, min_value=0, help_text="How many of them to leave out before.")

    def get_fields(self) -> dict[str, Any]:
        return {"from": Text(max_length=40, help_text=DATE), **super().get_fields()}


class ReplaySentBody(ReplayBody):
    def get_fields(self) -> dict[str, Any]:
        return {"chain": serializers.JSONField(help_text="A chain in the shape of this API."), **super().get_fields()}


class RouteShape(serializers.Serializer):
    kind = serializers.ChoiceField([(kind, kind) for kind in ("automatic", "chain", "blocked")])
    chains = serializers.ListField(child=serializers.CharField())
    levels = serializers.ListField(child=serializers.CharField())
    votes = serializers.IntegerField(help_text="Seats asked.")
    hours = serializers.IntegerField(help_text="Time given to levels that wait for one another.")
    words = serializers.CharField()


class MoveShape(serializers.Serializer):
    before = RouteShape()
    after = RouteShape()
    moved = serializers.BooleanField()
    changes = serializers.IntegerField()
    more_votes = serializers.IntegerField()
    more_hours = serializers.IntegerField()
    outcomes = serializers.DictField(child=serializers.IntegerField())


class SumShape(serializers.Serializer):
    before = serializers.IntegerField()
    after = serializers.IntegerField()
    more = serializers.IntegerField()


class TotalsShape(serializers.Serializer):
    votes = SumShape()
    hours = SumShape()
    outcomes = serializers.DictField(child=serializers.IntegerField(), help_text="What became of those that move.")


class MovedShape(serializers.Serializer):
    change = serializers.CharField()
    title = serializers.CharField()
    type = serializers.CharField()
    imported = serializers.BooleanField()
    submitted_at = serializers.DateTimeField()
    took = serializers.CharField(help_text="The chains it ran in fact, with their versions.")
    before = serializers.CharField()
    after = serializers.CharField()
    more_votes = serializers.IntegerField()
    more_hours = serializers.IntegerField()
    outcome = serializers.CharField()


class UnknownShape(serializers.Serializer):
    changes = serializers.IntegerField(help_text="Imported ones.")
    attributes = serializers.ListField(child=serializers.CharField())
    asked = serializers.ListField(child=serializers.CharField(), help_text="Those of them that some condition asks about.")
    words = serializers.CharField()


class ReplayShape(serializers.Serializer):
    chain = serializers.CharField()
    to = serializers.DateField()
    changes = serializers.IntegerField()
    moved = serializers.IntegerField()
    not_shown = serializers.IntegerField(help_text="Moved changes that the caller may not see: counted, not listed.")
    totals = TotalsShape()
    moves = MoveShape(many=True)
    list = MovedShape(many=True)
    next_offset = serializers.IntegerField(allow_null=True)
    unknown = UnknownShape()
    notes = serializers.ListField(child=serializers.CharField())

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.DateField(), **super().get_fields()}


class ReplayChain(Resource):
    """What the stored configuration of a chain would have meant for the changes of past months."""

    roles: ClassVar = {"POST": ADMINISTRATOR}
    accepts: ClassVar = {"POST": ReplayBody}
    answers: ClassVar = {"POST": ReplayShape}

    def find(self) -> None:
        self.chain = chain_with(self.kwargs["pk"], self.user)

    def post(self, request: Request, pk: int) -> Response:
        asked = self.read(ReplayBody)
        return self.replayed(replay.draft_to_replay(self.chain), asked)

    def replayed(self, draft: dict[str, Any], asked: dict[str, Any]) -> Response:
        period = replay.period_of(asked["from"], asked["to"])
        limit, offset = asked.get("limit", replay.LISTED), asked.get("offset", 0)
        return self.answer(replay.replay(draft, period, now=self.now, viewer=self.user, limit=limit, offset=offset))


class ReplaySent(ReplayChain):
    """The same for a chain that is sent, in the shape of this API; it need not be stored."""

    accepts: ClassVar = {"POST": ReplaySentBody}

    def find(self) -> None:
        """There is nothing to look up."""

    def post(self, request: Request, pk: int = 0) -> Response:
        asked = self.read(ReplaySentBody)
        return self.replayed(replay.draft_to_replay(None, plain(asked["chain"])), asked)


urlpatterns = [
    path("approval-chains/replay/", ReplaySent.as_view(), name="approval_chains_replay"),
    path("approval-chains/<int:pk>/replay/", ReplayChain.as_view(), name="approval_chain_replay"),
]
