"""`approval-chains/`: chains as administrators configure them, in the JSON of the contract."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from changemgmt.accounts.models import User
from changemgmt.approvals.chains import chain_shape
from changemgmt.approvals.dry_run import dry_run, facts_from
from changemgmt.approvals.models import Chain, Level, Power, RuleKind
from changemgmt.approvals.prover import prove, prove_stored, shapes
from changemgmt.changes.facts import facts_of
from changemgmt.changes.queries import visible
from changemgmt.core.errors import Invalid, NotFound
from changemgmt.lifecycle import configure_chain

from .base import Resource, StrictSerializer, Text

ADMINISTRATOR = ("administrator",)
READERS = ("administrator", "auditor", "change_manager")


class RuleShape(serializers.Serializer):
    kind = serializers.ChoiceField(RuleKind.choices)
    value = serializers.IntegerField(allow_null=True, required=False)


class SlotShape(serializers.Serializer):
    label = serializers.CharField(max_length=100)  # type: ignore[assignment]  # a declared field
    group = serializers.CharField(required=False)
    user = serializers.CharField(required=False)
    dynamic = serializers.CharField(
        required=False, help_text="requester_manager, manager:2, unit_head, component_owners:4, service_owner, on_call:team"
    )
    power = serializers.ChoiceField(Power.choices, required=False)
    weight = serializers.IntegerField(required=False)
    required = serializers.IntegerField(required=False)  # type: ignore[assignment]  # a declared field


class LevelShape(serializers.Serializer):
    number = serializers.IntegerField()
    name = serializers.CharField(max_length=100)
    applies_when = serializers.JSONField(required=False)
    rule = RuleShape()
    watches = serializers.ListField(child=serializers.CharField(), required=False)
    sla_hours = serializers.IntegerField(required=False)
    on_timeout = serializers.ChoiceField(Level.OnTimeout.choices, required=False)
    expires_hours = serializers.IntegerField(required=False, allow_null=True)
    allow_conditions = serializers.BooleanField(required=False)
    require_comment_on_reject = serializers.BooleanField(required=False)
    require_signature = serializers.BooleanField(required=False)
    allow_guests = serializers.BooleanField(required=False)
    reminders = serializers.ListField(child=serializers.IntegerField(), required=False)
    seats = SlotShape(many=True)


class FindingShape(serializers.Serializer):
    path = serializers.CharField(help_text="The field it concerns, such as levels[0].seats[1].group.")
    message = serializers.CharField()
    severity = serializers.ChoiceField(("error", "warning"), help_text="An error refuses activation.")
    kind = serializers.CharField(help_text="The sort of mistake; shape is one of the JSON itself. All stand in docs/approvals.md.")


class ChainShape(serializers.Serializer):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=100)
    order = serializers.IntegerField(required=False)
    active = serializers.BooleanField(required=False)
    version = serializers.IntegerField(read_only=True)
    pending = serializers.BooleanField(read_only=True)
    digest = serializers.CharField(read_only=True, help_text="Of what is configured; an activation may name it.")
    valid_from = serializers.DateTimeField(required=False, allow_null=True)
    valid_to = serializers.DateTimeField(required=False, allow_null=True)
    additive = serializers.BooleanField(required=False)
    applies_when = serializers.JSONField(required=False)
    levels = LevelShape(many=True)


class WrittenChainShape(ChainShape):
    findings = FindingShape(many=True, read_only=True, help_text="What the prover finds in what is stored now.")


class Chains(Resource):
    """All chains in order; an administrator adds one. It comes into force when another administrator activates it."""

    roles: ClassVar = {"GET": READERS, "POST": ADMINISTRATOR}
    orderings: ClassVar = {"order": "order", "name": "name"}
    ordering = "order"
    names: ClassVar = ("id", "name", "order", "active", "version", "pending", "valid_from", "valid_to", "additive", "applies_when", "levels")
    accepts: ClassVar = {"POST": ChainShape}
    answers: ClassVar = {"GET": ChainShape, "POST": WrittenChainShape}

    def get(self, request: Request) -> Response:
        return self.listing(Chain.objects.all(), lambda rows: map(chain_shape, rows))

    def post(self, request: Request) -> Response:
        chain = configure_chain.save_chain(None, plain(request.data), actor=self.user, now=self.now)
        return self.answer(written(chain, self.now), 201, location=f"/api/v1/approval-chains/{chain.pk}/")


class OneChain(Resource):
    """One chain. PUT replaces its configuration, PATCH some of it; what is in force stays until it is activated."""

    roles: ClassVar = {"GET": READERS, "PUT": ADMINISTRATOR, "PATCH": ADMINISTRATOR, "DELETE": ADMINISTRATOR}
    accepts: ClassVar = {"PUT": ChainShape, "PATCH": ChainShape}
    answers: ClassVar = {"GET": ChainShape, "PUT": WrittenChainShape, "PATCH": WrittenChainShape}

    def find(self) -> None:
        self.chain = chain_with(self.kwargs["pk"], self.user)

    def get(self, request: Request, pk: int) -> Response:
        return self.answer(chain_shape(self.chain))

    def put(self, request: Request, pk: int) -> Response:
        return self.answer(written(configure_chain.save_chain(pk, plain(request.data), actor=self.user, now=self.now), self.now))

    def patch(self, request: Request, pk: int) -> Response:
        return self.answer(written(configure_chain.save_chain(pk, plain(request.data), actor=self.user, now=self.now, partial=True), self.now))

    def delete(self, request: Request, pk: int) -> Response:
        configure_chain.remove_chain(pk, actor=self.user, now=self.now)
        return self.answer(None, 204)


class CheckAnyChain(Resource):
    """What the prover finds in the chain that is sent, stored or not: a bare array of findings."""

    roles: ClassVar = {"POST": ADMINISTRATOR}
    accepts: ClassVar = {"POST": ChainShape}
    answers: ClassVar = {"POST": FindingShape(many=True)}

    def post(self, request: Request) -> Response:
        return self.answer(shapes(prove(plain(request.data), now=self.now)))


class CheckChain(Resource):
    """What the prover finds in the configuration as it is stored, or in the one that is sent: a bare array of findings."""

    roles: ClassVar = {"POST": ADMINISTRATOR}
    accepts: ClassVar = {"POST": ChainShape}
    answers: ClassVar = {"POST": FindingShape(many=True)}

    def find(self) -> None:
        self.chain = chain_with(self.kwargs["pk"], self.user)

    def post(self, request: Request, pk: int) -> Response:
        stored = chain_shape(self.chain)
        sent = plain(request.data) if request.data else {}
        return self.answer(shapes(prove({**stored, **sent} if isinstance(sent, dict) else sent, now=self.now)))


class ActivateBody(StrictSerializer):
    digest = Text(required=False, max_length=64, help_text="Of the chain as you saw it: 412 where it was edited since.")


class ActivateChain(Resource):
    """Put the stored configuration into force; refused (403) to the administrator who wrote it, and (400) where the prover finds an error."""

    roles: ClassVar = {"POST": ADMINISTRATOR}
    accepts: ClassVar = {"POST": ActivateBody}
    answers: ClassVar = {"POST": WrittenChainShape}

    def find(self) -> None:
        self.chain = chain_with(self.kwargs["pk"], self.user)

    def permit(self) -> None:
        configure_chain.may_activate(self.chain, actor=self.user).enforce()

    def post(self, request: Request, pk: int) -> Response:
        seen = self.read(ActivateBody).get("digest")
        return self.answer(written(configure_chain.activate_chain(pk, actor=self.user, now=self.now, seen=seen), self.now))


class DryRunBody(StrictSerializer):
    change = Text(required=False, max_length=40)
    attributes = serializers.DictField(required=False, help_text="The fields of conditions, such as type, risk_level, tags, custom.<name>.")
    draft = serializers.IntegerField(required=False, help_text="A chain to take as it is saved, in the place of what is in force of it.")


class ReasonShape(serializers.Serializer):
    text = serializers.CharField()
    holds = serializers.BooleanField()


class TriedChainShape(serializers.Serializer):
    name = serializers.CharField()
    version = serializers.IntegerField()
    additive = serializers.BooleanField()
    applies = serializers.BooleanField()
    used = serializers.BooleanField()
    why = ReasonShape(many=True)


class TriedSeatShape(serializers.Serializer):
    label = serializers.CharField()  # type: ignore[assignment]  # a declared field
    power = serializers.ChoiceField(Power.choices)
    people = serializers.ListField(child=serializers.CharField())
    why = serializers.CharField()


class TriedLevelShape(serializers.Serializer):
    chain = serializers.CharField()
    number = serializers.IntegerField()
    name = serializers.CharField()
    opens = serializers.BooleanField()
    rule = RuleShape()
    why = ReasonShape(many=True)
    seats = TriedSeatShape(many=True)


class DryRunShape(serializers.Serializer):
    blocked = serializers.BooleanField(help_text="No chain applies, or no level of it.")
    chains = TriedChainShape(many=True)
    levels = TriedLevelShape(many=True)


class DryRun(Resource):
    """Which chain a change takes, or one with these attributes would; which levels open, who is asked, and why. Stores nothing."""

    roles: ClassVar = {"POST": READERS}
    accepts: ClassVar = {"POST": DryRunBody}
    answers: ClassVar = {"POST": DryRunShape}

    def post(self, request: Request) -> Response:
        asked = self.read(DryRunBody)
        draft = chain_with(asked.pop("draft"), self.user) if "draft" in asked else None
        if len(asked) != 1:
            raise Invalid("Give either a change or attributes.", errors={"change": ["Give either a change or attributes."]})
        change = visible(self.user, asked["change"]) if "change" in asked else None
        facts = facts_of(change) if change else facts_from(asked["attributes"])
        return self.answer(dry_run(facts, now=self.now, change=change, draft=draft))


def chain_with(pk: int, user: User) -> Chain:
    chain = Chain.objects.filter(pk=pk).select_related("edited_by").first()
    if chain is None:
        raise NotFound("There is no approval chain with this id.")
    return chain


def written(chain: Chain, now: datetime) -> dict[str, Any]:
    """A chain as it was stored, with what the prover says of it."""
    return {**chain_shape(chain), "findings": shapes(prove_stored(chain, now=now))}


def plain(data: Any) -> Any:
    """The body as plain data."""
    return dict(data) if hasattr(data, "items") else data


urlpatterns = [
    path("approval-chains/", Chains.as_view(), name="approval_chains"),
    path("approval-chains/check/", CheckAnyChain.as_view(), name="approval_chains_check"),
    path("approval-chains/dry-run/", DryRun.as_view(), name="approval_chains_dry_run"),
    path("approval-chains/<int:pk>/", OneChain.as_view(), name="approval_chain"),
    path("approval-chains/<int:pk>/check/", CheckChain.as_view(), name="approval_chain_check"),
    path("approval-chains/<int:pk>/activate/", ActivateChain.as_view(), name="approval_chain_activate"),
]
