"""`changes/{number}/plan/`: the plan whole, and its steps one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.core.errors import Invalid, NotFound
from changemgmt.lifecycle import edit
from changemgmt.planning import rules
from changemgmt.planning.models import Plan as PlanRow
from changemgmt.planning.models import Step as StepRow
from changemgmt.planning.queries import STEP_COLUMNS, custom_kinds, plan_of

from .changes import OfChange

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

NAMES = ("id", *STEP_COLUMNS)


class ActShape(serializers.Serializer):
    action = serializers.CharField(required=False)
    parameters = serializers.DictField(required=False)
    agent = serializers.CharField(required=False)


class StepShape(serializers.Serializer):
    id = serializers.CharField()
    name = serializers.CharField(required=False)
    agent = serializers.CharField(required=False)
    action = serializers.CharField(required=False)
    parameters = serializers.DictField(required=False)
    depends_on = serializers.ListField(child=serializers.CharField(), required=False)
    timeout_seconds = serializers.IntegerField(required=False)
    retries = serializers.IntegerField(required=False)
    manual = serializers.BooleanField(required=False)
    irreversible = serializers.BooleanField(required=False)
    items = serializers.ListField(child=serializers.IntegerField(), required=False)
    verification = ActShape(required=False)
    compensation = ActShape(required=False)


class PlacedStep(StepShape):
    """A step; `position` puts it at that place of the list, from 1."""

    position = serializers.IntegerField(required=False, min_value=1)


class PlanGateShape(serializers.Serializer):
    name = serializers.CharField()
    kind = serializers.ChoiceField(rules.GATE_KINDS)
    before = serializers.CharField(allow_null=True)
    criteria = serializers.DictField()


class FindingShape(serializers.Serializer):
    severity = serializers.ChoiceField(("error", "warning"))
    step = serializers.CharField(allow_null=True)
    message = serializers.CharField()


class PlanShape(serializers.Serializer):
    steps = StepShape(many=True)
    gates = PlanGateShape(many=True)
    strategy = serializers.ChoiceField(rules.STRATEGIES)
    on_failure = serializers.ChoiceField(rules.ON_FAILURE)
    findings = FindingShape(many=True, read_only=True)


class OfPlan(OfChange):
    def permit(self) -> None:
        if self.writing:
            self.permit_edit()

    def check(self, plan: Any) -> None:
        """Say what is wrong with a plan before anything else is, where what the caller saw will be refused."""
        if self.will_be_refused():
            try:
                rules.clean(plan, item_ids=list(self.change.items.values_list("pk", flat=True)), custom=custom_kinds())
            except rules.PlanError as error:
                raise Invalid(str(error), errors=error.errors) from None

    def alter(self, alter: Any) -> Any:
        """Alter the plan as it is under the lock of the edit; answers the change."""
        if self.will_be_refused():
            self.check(alter(plan_of(self.change)))
        return edit.alter_plan(self.change.number, alter, actor=self.user, now=self.now, seen=self.seen)


class Plan(OfPlan):
    """The plan of a change, with what is still wrong with it. PUT replaces it whole."""

    accepts: ClassVar = {"PUT": PlanShape}
    answers: ClassVar = {"GET": PlanShape, "PUT": PlanShape}

    def get(self, request: Request, number: str) -> Response:
        return self.answer(plan_of(self.change), etag=self.change.etag)

    def put(self, request: Request, number: str) -> Response:
        plan = self.fields()
        self.check(plan)
        change = edit.set_plan(number, plan, actor=self.user, now=self.now, seen=self.seen)
        return self.answer(plan_of(change), etag=change.etag)


class Steps(OfPlan):
    """The steps in their order. POST adds one, at the end or at `position`."""

    orderings: ClassVar = {"position": "position", "id": "step_id"}
    ordering = "position"
    names: ClassVar = NAMES
    accepts: ClassVar = {"POST": PlacedStep}
    answers: ClassVar = {"GET": StepShape, "POST": StepShape}
    statuses: ClassVar = {"POST": "201"}

    def get(self, request: Request, number: str) -> Response:
        return self.listing(StepRow.objects.filter(plan__change=self.change), lambda rows: map(shown, rows))

    def post(self, request: Request, number: str) -> Response:
        given = self.fields()
        change = self.alter(lambda plan: plan | {"steps": placed(plan["steps"], without_place(given), given.get("position"))})
        location = f"/api/v1/changes/{number}/plan/steps/{given['id']}/"
        return self.answer(step_of(plan_of(change), given["id"]), 201, etag=change.etag, location=location)


class Step(OfPlan):
    """One step of the plan."""

    accepts: ClassVar = {"PATCH": PlacedStep}
    answers: ClassVar = {"GET": StepShape, "PATCH": StepShape}

    def find(self) -> None:
        super().find()
        if not PlanRow.objects.filter(change=self.change, steps__step_id=self.kwargs["step"]).exists():
            raise NotFound("The plan has no step with this id.")

    def get(self, request: Request, number: str, step: str) -> Response:
        return self.answer(step_of(plan_of(self.change), step), etag=self.change.etag)

    def patch(self, request: Request, number: str, step: str) -> Response:
        given = self.fields()

        def altered(plan: dict[str, Any]) -> dict[str, Any]:
            merged = step_of(plan, step) | without_place(given)
            others = [other for other in plan["steps"] if other["id"] != step]
            place = given.get("position", 1 + next(index for index, other in enumerate(plan["steps"]) if other["id"] == step))
            return renamed(plan | {"steps": placed(others, merged, place)}, step, merged["id"])

        change = self.alter(altered)
        return self.answer(step_of(plan_of(change), given.get("id", step)), etag=change.etag)

    def delete(self, request: Request, number: str, step: str) -> Response:
        change = self.alter(lambda plan: plan | {"steps": [other for other in plan["steps"] if step_of(plan, step) is not other]})
        return self.answer(None, 204, etag=change.etag)


def shown(step: StepRow) -> dict[str, Any]:
    return {"id": step.step_id, **{name: getattr(step, name) for name in STEP_COLUMNS}}


def step_of(plan: dict[str, Any], step_id: str) -> dict[str, Any]:
    """The step of this id, or NotFound."""
    found = next((step for step in plan["steps"] if step["id"] == step_id), None)
    if found is None:
        raise NotFound("The plan has no step with this id.")
    return found


def without_place(step: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if name != "position"}


def placed(steps: list[dict[str, Any]], step: dict[str, Any], position: Any) -> list[dict[str, Any]]:
    """`steps` with `step` at this place, counted from 1; at the end where none is said."""
    if position is None:
        return [*steps, step]
    if isinstance(position, bool) or not isinstance(position, int) or not 1 <= position <= len(steps) + 1:
        raise Invalid.field("position", f"A whole number from 1 to {len(steps) + 1}.")
    return [*steps[: position - 1], step, *steps[position - 1 :]]


def renamed(plan: dict[str, Any], old: str, new: Any) -> dict[str, Any]:
    """The plan with every mention of a step under its new id."""
    if old == new or not isinstance(new, str):
        return plan
    steps = [step | {"depends_on": [new if other == old else other for other in step["depends_on"]]} for step in plan["steps"]]
    gates = [gate | {"before": new} if gate.get("before") == old else gate for gate in plan["gates"]]
    return plan | {"steps": steps, "gates": gates}


urlpatterns = [
    path("changes/<str:number>/plan/", Plan.as_view(), name="plan"),
    path("changes/<str:number>/plan/steps/", Steps.as_view(), name="plan_steps"),
    path("changes/<str:number>/plan/steps/<str:step>/", Step.as_view(), name="plan_step"),
]
