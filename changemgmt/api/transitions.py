"""`changes/{number}/transitions/`: what may be done with a change now, and doing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.changes.models import State
from changemgmt.changes.queries import representation
from changemgmt.core.errors import Invalid, NotFound
from changemgmt.core.time import parse_instant
from changemgmt.core.verdict import Guard
from changemgmt.lifecycle import verify_results
from changemgmt.lifecycle.start import gate_of
from changemgmt.lifecycle.transitions import ACTS, Answer, perform, refusal_of, transitions_of

from .changes import ChangeShape, OfChange
from .schema import GuardShape

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class TransitionShape(serializers.Serializer):
    name = serializers.CharField()
    target = serializers.ChoiceField(State.choices)
    by = serializers.ChoiceField(("person", "system", "edit"))
    allowed = serializers.BooleanField()
    reason = serializers.CharField()
    guards = GuardShape(many=True)


class ReviewBody(serializers.Serializer):
    summary = serializers.CharField(required=False)
    lessons = serializers.CharField(required=False)
    issues = serializers.CharField(required=False)
    criteria = serializers.ListField(required=False)


class TransitionBody(serializers.Serializer):
    """The parameters of the transitions; each takes its own."""

    comment = serializers.CharField(required=False)
    question = serializers.CharField(required=False)
    answer = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)
    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)
    result = serializers.CharField(required=False)
    review = ReviewBody(required=False)


class TickBody(serializers.Serializer):
    index = serializers.IntegerField()
    done = serializers.BooleanField()


class CriterionBody(serializers.Serializer):
    index = serializers.IntegerField()
    met = serializers.BooleanField(allow_null=True)
    note = serializers.CharField(required=False)


class VerificationBody(serializers.Serializer):
    checklist = TickBody(many=True, required=False)
    success_criteria = CriterionBody(many=True, required=False)


class GateShape(serializers.Serializer):
    allowed = serializers.BooleanField()
    reasons = serializers.ListField(child=serializers.CharField())
    until = serializers.DateTimeField(allow_null=True)
    change = serializers.CharField()


def guard_shown(guard: Guard) -> dict[str, Any]:
    return {"guard": guard.guard, "message": guard.message, "who_can_clear": list(guard.who_can_clear), "clears_at": guard.clears_at}


def shown(answer: Answer) -> dict[str, Any]:
    """One transition as the API shows it."""
    return {
        "name": answer.name,
        "target": answer.target,
        "by": answer.by,
        "allowed": answer.verdict.allowed,
        "reason": answer.verdict.reason,
        "guards": [guard_shown(guard) for guard in answer.verdict.guards],
    }


class Transitions(OfChange):
    """Every transition: whether this person may do it now, and what stands in the way. `start` and `end` ask about a window beforehand."""

    parameters: ClassVar = ("start", "end")
    answers: ClassVar = {"GET": TransitionShape(many=True)}

    def get(self, request: Request, number: str) -> Response:
        window = {name: parse_instant(request.query_params[name], field=name) for name in ("start", "end") if name in request.query_params}
        if len(window) == 1:
            raise Invalid("A window has a start and an end.", errors={name: ["Give both."] for name in ("start", "end") if name not in window})
        if window and window["end"] <= window["start"]:
            raise Invalid.field("end", "The window has to end after it starts.")
        return self.answer([shown(answer) for answer in transitions_of(self.change, actor=self.user, now=self.now, **window)], etag=self.change.etag)


class Transition(OfChange):
    """Do one. An If-Match is honoured; without one the transition is of the change as it is."""

    accepts: ClassVar = {"POST": TransitionBody}
    answers: ClassVar = {"POST": ChangeShape}

    def find(self) -> None:
        super().find()
        if self.kwargs["name"] not in ACTS:
            raise NotFound(f"There is no transition of this name that a person performs; there are: {', '.join(ACTS)}.")

    def permit(self) -> None:
        if self.writing:
            refusal_of(self.change, self.kwargs["name"], actor=self.user, now=self.now).enforce()

    def post(self, request: Request, number: str, name: str) -> Response:
        change = perform(number, name, self.fields() if request.data else {}, actor=self.user, now=self.now, seen=self.seen or "*")
        made = name == "reopen_as_new"
        location = f"/api/v1/changes/{change.number}/" if made else ""
        return self.answer(representation(change), 201 if made else 200, etag=change.etag, location=location)


class Verification(OfChange):
    """Tick the verification checklist and answer the success criteria."""

    accepts: ClassVar = {"POST": VerificationBody}
    answers: ClassVar = {"POST": ChangeShape}

    def permit(self) -> None:
        verdict = verify_results.may_record_results(self.change, actor=self.user)
        if verdict.refusal:
            verdict.enforce()

    def post(self, request: Request, number: str) -> Response:
        results = self.fields()
        unknown = results.keys() - {"checklist", "success_criteria"}
        if unknown:
            raise Invalid("Some fields are not known.", errors={str(name)[:60]: ["There is no field of this name."] for name in unknown})
        return self.shown(verify_results.record_results(number, results, actor=self.user, now=self.now, seen=self.seen))


class Gate(OfChange):
    """May this change be deployed now?"""

    answers: ClassVar = {"GET": GateShape}

    def get(self, request: Request, number: str) -> Response:
        return self.answer(gate_of(self.change, now=self.now, viewer=self.user))


urlpatterns = [
    path("changes/<str:number>/transitions/", Transitions.as_view(), name="transitions"),
    path("changes/<str:number>/transitions/<str:name>/", Transition.as_view(), name="transition"),
    path("changes/<str:number>/verification/", Verification.as_view(), name="verification"),
    path("changes/<str:number>/gate/", Gate.as_view(), name="change_gate"),
]
