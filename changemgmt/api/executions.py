"""Executions: a run of the approved plan, and its steps done by people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import Invalid, NotFound, existing
from changemgmt.execution.models import Execution as ExecutionRow
from changemgmt.execution.models import Task
from changemgmt.execution.queries import shape, with_tasks
from changemgmt.lifecycle import may, start, steps

from .auth import SAFE
from .base import Empty, Resource, StrictSerializer, Text
from .changes import OfChange

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

LONGEST_NOTE = 20_000


class TaskShape(serializers.Serializer):
    id = serializers.UUIDField()
    step = serializers.CharField()
    kind = serializers.ChoiceField(Task.Kind.choices)
    name = serializers.CharField()
    state = serializers.ChoiceField(Task.State.choices)
    attempt = serializers.IntegerField()
    agent = serializers.CharField()
    by = serializers.CharField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    result = serializers.DictField()
    error = serializers.CharField(allow_null=True)


class ExecutionShape(serializers.Serializer):
    id = serializers.IntegerField()
    change = serializers.CharField()
    state = serializers.ChoiceField(ExecutionRow.State.choices)
    tasks = TaskShape(many=True)
    progress = serializers.FloatField()
    waiting_for = serializers.ChoiceField(("person", "gate", "window", "change"), allow_null=True)
    started_by = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()


class NoteBody(StrictSerializer):
    note = Text(required=False, allow_blank=True, max_length=LONGEST_NOTE)
    kind = serializers.ChoiceField(Task.Kind.choices, required=False)


class ReasonBody(StrictSerializer):
    reason = Text(required=False, allow_blank=True, max_length=LONGEST_NOTE)
    kind = serializers.ChoiceField(Task.Kind.choices, required=False)


class RetryBody(StrictSerializer):
    note = Text(required=False, allow_blank=True, max_length=LONGEST_NOTE)


BODIES = {"done": NoteBody, "fail": ReasonBody, "retry": RetryBody}


class Executions(OfChange):
    """The executions of a change. POST starts it."""

    orderings: ClassVar = {"started_at": "started_at", "id": "pk"}
    ordering = "-started_at"
    names: ClassVar = ("id", "change", "state", "tasks", "progress", "waiting_for", "digest", "started_by", "started_at", "ended_at", "reason")
    accepts: ClassVar = {"POST": Empty}
    answers: ClassVar = {"GET": ExecutionShape, "POST": ExecutionShape}
    statuses: ClassVar = {"POST": "201"}

    def permit(self) -> None:
        refusal = may.implementer(self.user, self.change)
        if self.writing and refusal:
            start.may_start(self.change, actor=self.user, now=self.now).enforce()

    def get(self, request: Request, number: str) -> Response:
        rows = with_tasks(self.change.executions.all())
        return self.listing(rows, lambda rows: map(shape, rows))

    def post(self, request: Request, number: str) -> Response:
        self.read(Empty)
        change = start.start(number, actor=self.user, now=self.now, seen=self.seen or "*")
        execution = existing(change.executions.last(), "Nothing was started.")
        return self.answer(shape(execution), 201, etag=change.etag, location=f"/api/v1/executions/{execution.pk}/")


class OfExecution(Resource):
    """Something of one execution: `self.execution`, where the change is the person's to see."""

    def find(self) -> None:
        rows = ExecutionRow.objects.filter(change__in=visible_to(self.user)).select_related("change", "started_by")
        self.execution = existing(rows.filter(pk=self.kwargs["pk"]).first(), "There is no execution with this id that you may see.")
        self.change = self.execution.change


class Execution(OfExecution):
    """How far it is."""

    answers: ClassVar = {"GET": ExecutionShape}

    def get(self, request: Request, pk: int) -> Response:
        return self.answer(shape(self.execution))


class TaskAct(OfExecution):
    """Say that a step, its verification or its compensation is done or failed, or try a failed one again."""

    answers: ClassVar = {"POST": ExecutionShape}
    accepts: ClassVar = {"POST": NoteBody}

    def find(self) -> None:
        super().find()
        if self.kwargs["act"] not in BODIES:
            raise NotFound(f"A task takes {', '.join(BODIES)}.")
        if not self.execution.tasks.filter(step=self.kwargs["step"]).exists():
            raise NotFound("This execution has no such step.")

    def permit(self) -> None:
        refusal = may.implementer_or_manager(self.user, self.change)
        if self.request.method not in SAFE and refusal:
            steps.may_tick(
                self.change, self.execution, steps.current_task(self.execution, self.kwargs["step"], None), actor=self.user, now=self.now
            ).enforce()

    def post(self, request: Request, pk: int, step: str, act: str) -> Response:
        body: dict[str, Any] = self.read(BODIES[act])
        kind = body.get("kind")
        if kind and not self.execution.tasks.filter(step=step, kind=kind).exists():
            raise Invalid.field("kind", "This step has no such task.")
        if act == "retry":
            done = steps.retry_step(pk, step, note=body.get("note", ""), actor=self.user, now=self.now)
        elif act == "done":
            done = steps.finish_step(pk, step, note=body.get("note", ""), kind=kind, actor=self.user, now=self.now)
        else:
            done = steps.fail_step(pk, step, reason=body.get("reason", ""), kind=kind, actor=self.user, now=self.now)
        return self.answer(shape(done))


urlpatterns = [
    path("changes/<str:number>/executions/", Executions.as_view(), name="executions"),
    path("executions/<int:pk>/", Execution.as_view(), name="execution"),
    path("executions/<int:pk>/tasks/<str:step>/<str:act>/", TaskAct.as_view(), name="task_act"),
]
