"""`policy-rules/`: what administrators add to the checks of every preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.core.errors import Invalid, existing
from changemgmt.lifecycle.configure_policy import delete_rule, save_rule, shown
from changemgmt.lifecycle.import_architecture import EDITORS
from changemgmt.preview.models import PolicyRule
from changemgmt.preview.policies import as_policy
from changemgmt.preview.scan import PAGE, breaches

from .base import Flag, Resource, StrictSerializer, Text

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

ADMINISTRATOR = ("administrator",)
MOST_ON_A_PAGE = 200


class PolicyRuleBody(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = Text(max_length=100)
    about = serializers.ChoiceField(PolicyRule.About.choices, required=False)
    applies_when = serializers.JSONField(required=False, help_text="The condition that says whom it is about; {} is everything.")
    must = serializers.JSONField(required=False, allow_null=True, help_text="The condition they have to meet; null: such a thing may not be at all.")
    message = Text(required=False, allow_blank=True, max_length=500, help_text="Tells the requester what to do; empty: what does not hold.")
    severity = serializers.ChoiceField(PolicyRule.Severity.choices, required=False)
    blocks = Flag(required=False, help_text="Whether a change that brings such an error is kept from being submitted and started.")
    reached = Flag(required=False, help_text="Whether every component the change reaches is looked at, and not only what it touches.")
    active = Flag(required=False)


class BreachShape(serializers.Serializer):
    key = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    message = serializers.CharField()


class BreachesShape(serializers.Serializer):
    count = serializers.IntegerField(help_text="How many break it in all.")
    looked_at = serializers.IntegerField()
    about_the_change = serializers.BooleanField(help_text="Whether only a change can break it: then there is nothing to find without one.")
    page = serializers.IntegerField()
    pages = serializers.IntegerField()
    results = BreachShape(many=True)


def shape(row: PolicyRule) -> dict[str, Any]:
    """A rule as the API shows it."""
    return {"id": row.pk, **shown(row)}


class PolicyRules(Resource):
    """The rules, by name; an administrator adds one."""

    roles: ClassVar = {"POST": ADMINISTRATOR}
    parameters: ClassVar = ("active",)
    orderings: ClassVar = {"name": "name", "id": "pk"}
    ordering = "name"
    names: ClassVar = tuple(PolicyRuleBody().fields)
    accepts: ClassVar = {"POST": PolicyRuleBody}
    answers: ClassVar = {"GET": PolicyRuleBody, "POST": PolicyRuleBody}
    statuses: ClassVar = {"POST": "201"}

    def get(self, request: Request) -> Response:
        active = self.choice("active", ("true", "false"))
        rows = PolicyRule.objects.all() if active is None else PolicyRule.objects.filter(active=active == "true")
        return self.listing(rows, lambda found: map(shape, found))

    def post(self, request: Request) -> Response:
        row = save_rule(None, self.read(PolicyRuleBody), actor=self.user, now=self.now)
        return self.answer(shape(row), 201, location=f"{request.path}{row.pk}/")


class OnPolicyRule(Resource):
    """A path below one rule."""

    def find(self) -> None:
        self.row = existing(PolicyRule.objects.filter(pk=self.kwargs["pk"]).first(), "There is no policy rule with this id.")


class OnePolicyRule(OnPolicyRule):
    """One rule. A PATCH writes the fields it names; `must` and `applies_when` whole."""

    roles: ClassVar = {"PATCH": ADMINISTRATOR, "DELETE": ADMINISTRATOR}
    accepts: ClassVar = {"PATCH": PolicyRuleBody}
    answers: ClassVar = {"GET": PolicyRuleBody, "PATCH": PolicyRuleBody}

    def get(self, request: Request, pk: int) -> Response:
        return self.answer(shape(self.row))

    def patch(self, request: Request, pk: int) -> Response:
        return self.answer(shape(save_rule(pk, self.read(PolicyRuleBody, current=shape(self.row)), actor=self.user, now=self.now)))

    def delete(self, request: Request, pk: int) -> Response:
        delete_rule(pk, actor=self.user, now=self.now)
        return self.answer(None, 204)


class PolicyRuleBreaches(OnPolicyRule):
    """What in the live architecture breaks the rule now, whether it is active or not, in key order. Every component or relation is looked at."""

    roles: ClassVar = {"GET": EDITORS}
    parameters: ClassVar = ("page", "page_size")
    answers: ClassVar = {"GET": BreachesShape}

    def get(self, request: Request, pk: int) -> Response:
        found = breaches(as_policy(self.row), page=self.whole("page", 1, 1_000_000), size=self.whole("page_size", PAGE, MOST_ON_A_PAGE))
        counts = {name: getattr(found, name) for name in ("count", "looked_at", "about_the_change", "page", "pages")}
        return self.answer(counts | {"results": list(found.rows)})

    def whole(self, name: str, otherwise: int, most: int) -> int:
        """A query parameter that has to be a number from 1 to `most`."""
        text = self.request.query_params.get(name, str(otherwise))
        if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= most):
            raise Invalid.field(name, f"A whole number from 1 to {most}.")
        return int(text)


urlpatterns = [
    path("policy-rules/", PolicyRules.as_view(), name="policy_rules"),
    path("policy-rules/<int:pk>/", OnePolicyRule.as_view(), name="policy_rule"),
    path("policy-rules/<int:pk>/breaches/", PolicyRuleBreaches.as_view(), name="policy_rule_breaches"),
]
