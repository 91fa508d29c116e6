"""`architecture/drift/`: what controlled sources show and nobody requested, and what is done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers

from changemgmt.architecture.rules import OBJECTS, OPERATIONS
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle.decide_drift import LONGEST_NOTE, adopt_drift, drift_case, may_adopt, may_decide, revert_drift
from changemgmt.preview.drift_cases import cases, names_for, requested, rows_of
from changemgmt.preview.models import DriftCase, DriftRow
from changemgmt.preview.sources import Key, fields_of

from .base import Empty, Instant, Resource, StrictSerializer, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rest_framework.request import Request
    from rest_framework.response import Response

    from changemgmt.accounts.models import User


class CaseShape(serializers.Serializer):
    id = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]  # a declared field
    state = serializers.ChoiceField(DriftCase.State.choices)
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()
    opened_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)
    run = serializers.IntegerField(help_text="The import that compared last.")
    change = serializers.CharField(allow_null=True, help_text="Number of the change that adopts it; other words where it is not yours to see.")
    assignee = serializers.CharField(allow_null=True)
    due_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField()


class DriftFieldShape(serializers.Serializer):
    path = serializers.CharField()
    live = serializers.JSONField(allow_null=True)
    source = serializers.JSONField(allow_null=True)  # type: ignore[assignment]  # a declared field


class DriftRowShape(serializers.Serializer):
    object = serializers.ChoiceField(OBJECTS)
    key = serializers.CharField()
    operation = serializers.ChoiceField(OPERATIONS)
    fields = DriftFieldShape(many=True)  # type: ignore[assignment]  # a declared field
    first_seen = serializers.DateTimeField()
    last_seen = serializers.DateTimeField()
    gone_at = serializers.DateTimeField(allow_null=True)
    requested_by = serializers.CharField(allow_null=True, help_text="The approved change that is about to do it.")


class LeftOutShape(serializers.Serializer):
    key = serializers.CharField()
    reason = serializers.CharField()


class AdoptedShape(CaseShape):
    left_out = LeftOutShape(many=True)


class RevertBody(StrictSerializer):
    assignee = Text(max_length=150)
    due = Instant()
    note = Text(required=False, allow_blank=True, max_length=LONGEST_NOTE)


def shown(case: DriftCase, names: Mapping[int, str]) -> dict[str, Any]:
    """A case as the API shows it; `names` are those of the changes for the viewer."""
    plain = ("source", "state", "added", "changed", "removed", "opened_at", "seen_at", "settled_at", "due_at", "note")
    ties = {"run": case.run_id, "change": names.get(case.change_id or 0), "assignee": case.assignee.username if case.assignee else None}
    return {"id": case.pk, **{name: getattr(case, name) for name in plain}, **ties}


def shown_all(found: Iterable[DriftCase], viewer: User) -> list[dict[str, Any]]:
    rows = list(found)
    names = names_for((case.change for case in rows), viewer)
    return [shown(case, names) for case in rows]


def shown_row(row: DriftRow, requested_by: Mapping[Key, str]) -> dict[str, Any]:
    plain = ("object", "key", "operation", "first_seen", "last_seen", "gone_at")
    fields = [{"path": name, "live": live, "source": source} for name, (live, source) in fields_of(row.image).items()]
    return {**{name: getattr(row, name) for name in plain}, "fields": fields, "requested_by": requested_by.get((row.object, row.key))}


class DriftCases(Resource):
    """Drift cases, newest first."""

    parameters: ClassVar = ("state", "source")
    orderings: ClassVar = {"opened_at": "opened_at", "seen_at": "seen_at", "id": "pk"}
    ordering = "-opened_at"
    names: ClassVar = tuple(CaseShape().fields)
    answers: ClassVar = {"GET": CaseShape}

    def get(self, request: Request) -> Response:
        asked = {"state": self.choice("state", DriftCase.State.values), "source": request.query_params.get("source")}
        rows = cases().filter(**{name: value for name, value in asked.items() if value is not None})
        return self.listing(rows, lambda found: shown_all(found, self.user))


class OnCase(Resource):
    """What is about the case that the path names."""

    def find(self) -> None:
        self.case = drift_case(self.kwargs["id"])

    def shown_case(self) -> dict[str, Any]:
        """The case as it is now."""
        return shown_all([drift_case(self.case.pk)], self.user)[0]


class OneCase(OnCase):
    """One case."""

    answers: ClassVar = {"GET": CaseShape}

    def get(self, request: Request, id: int) -> Response:
        return self.answer(self.shown_case())


class CaseRows(OnCase):
    """What a case shows, in the order of the keys: what differs still, and of a settled case everything it was about."""

    orderings: ClassVar = {"key": "key", "id": "pk"}
    ordering = "key"
    names: ClassVar = tuple(DriftRowShape._declared_fields)
    answers: ClassVar = {"GET": DriftRowShape}

    def get(self, request: Request, id: int) -> Response:
        return self.listing(rows_of(self.case), self.shown)

    def shown(self, rows: list[DriftRow]) -> list[dict[str, Any]]:
        found = requested((row.image for row in rows), self.user) if self.case.is_active else {}
        names = names_for(found.values(), self.user)
        return [shown_row(row, {key: names[change.pk] for key, change in found.items()}) for row in rows]


class Adopt(OnCase):
    """Make the draft of a change that brings the architecture to what the source shows."""

    accepts: ClassVar = {"POST": Empty}
    answers: ClassVar = {"POST": AdoptedShape}
    statuses: ClassVar = {"POST": "201"}

    def permit(self) -> None:
        Verdict(refusal=may_adopt(self.case, actor=self.user).refusal).enforce()

    def post(self, request: Request, id: int) -> Response:
        self.read(Empty)
        made = adopt_drift(id, actor=self.user, now=self.now)
        left_out = [{"key": key, "reason": reason} for key, reason in made.left_out]
        return self.answer(self.shown_case() | {"left_out": left_out}, 201, location=f"/api/v1/changes/{made.change.number}/")


class Revert(OnCase):
    """Have somebody put the source back as the architecture says."""

    accepts: ClassVar = {"POST": RevertBody}
    answers: ClassVar = {"POST": CaseShape}

    def permit(self) -> None:
        Verdict(refusal=may_decide(self.case, actor=self.user).refusal).enforce()

    def post(self, request: Request, id: int) -> Response:
        revert_drift(id, actor=self.user, now=self.now, **self.read(RevertBody))
        return self.answer(self.shown_case())


urlpatterns = [
    path("architecture/drift/", DriftCases.as_view(), name="drift_cases"),
    path("architecture/drift/<int:id>/", OneCase.as_view(), name="drift_case"),
    path("architecture/drift/<int:id>/rows/", CaseRows.as_view(), name="drift_rows"),
    path("architecture/drift/<int:id>/adopt/", Adopt.as_view(), name="drift_adopt"),
    path("architecture/drift/<int:id>/revert/", Revert.as_view(), name="drift_revert"),
]
