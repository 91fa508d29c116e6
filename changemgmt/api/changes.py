"""`changes/`: the list, the record, and the base of everything below one change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.urls import path
from rest_framework import serializers
from rest_framework.response import Response

from changemgmt.approvals.queue import awaited_of
from changemgmt.changes import fields
from changemgmt.changes.documents import as_objects, as_stored, document_of, newest, visible_documents
from changemgmt.changes.filters import NAMES, filtered
from changemgmt.changes.models import OnWindowEnd, Priority, Result, Scale, State, Type, Urgency
from changemgmt.changes.queries import FIELDS, representation, visible
from changemgmt.core.errors import Invalid, existing
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.edit.editing import may_edit
from changemgmt.lifecycle.edit.record import checked

from .auth import SAFE
from .base import Resource
from .paging import PAGE_SIZE, PARAMETERS, Order, first_page, listed

if TYPE_CHECKING:
    from rest_framework.request import Request

    from changemgmt.changes.models import Change


NEWEST_FIRST = Order("created_at", descending=True, nullable=False)


class TickShape(serializers.Serializer):
    text = serializers.CharField()
    done = serializers.BooleanField(read_only=True)


class CriterionShape(serializers.Serializer):
    group = serializers.ChoiceField(fields.GROUPS)
    text = serializers.CharField()
    met = serializers.BooleanField(allow_null=True, read_only=True)


class ReferenceShape(serializers.Serializer):
    system = serializers.CharField()
    id = serializers.CharField()
    url = serializers.URLField(allow_null=True, required=False)


class ChangeBody(serializers.Serializer):
    """What can be written of a change."""

    title = serializers.CharField(max_length=300)
    description = serializers.CharField(required=False)
    type = serializers.ChoiceField(Type.choices, required=False)
    category = serializers.CharField(allow_null=True, required=False)
    priority = serializers.ChoiceField(Priority.choices, required=False)
    template = serializers.CharField(allow_null=True, required=False)
    confidential = serializers.BooleanField(required=False)
    requester = serializers.CharField(required=False)
    owner = serializers.CharField(allow_null=True, required=False)
    implementers = serializers.ListField(child=serializers.CharField(), required=False)
    watchers = serializers.ListField(child=serializers.CharField(), required=False)
    org_unit = serializers.CharField(allow_null=True, required=False)
    parent = serializers.CharField(allow_null=True, required=False)  # type: ignore[assignment]  # a declared field
    business_justification = serializers.CharField(required=False)
    urgency = serializers.ChoiceField(Urgency.choices, required=False)
    impact = serializers.ChoiceField(Scale.choices, required=False)
    cost_estimate = serializers.CharField(allow_null=True, required=False)
    revenue_at_stake = serializers.FloatField(required=False)
    reputation_at_stake = serializers.FloatField(required=False)
    implementation_plan = serializers.CharField(required=False)
    test_plan = serializers.CharField(required=False)
    communication_plan = serializers.CharField(required=False)
    rollback_plan = serializers.CharField(required=False)
    testing_evidence = serializers.CharField(required=False)
    rollback_rehearsed = serializers.BooleanField(required=False)
    verification_checklist = TickShape(many=True, required=False)
    success_criteria = CriterionShape(many=True, required=False)
    compliance_scope = serializers.ListField(child=serializers.ChoiceField(fields.COMPLIANCE), required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    custom_fields = serializers.DictField(required=False)
    external_references = ReferenceShape(many=True, required=False)
    no_items_reason = serializers.CharField(required=False)
    on_window_end = serializers.ChoiceField(OnWindowEnd.choices, required=False)
    requested_start = serializers.DateTimeField(allow_null=True, required=False)
    requested_end = serializers.DateTimeField(allow_null=True, required=False)
    expected_downtime_minutes = serializers.IntegerField(min_value=0, required=False)


class ChangeShape(ChangeBody):
    """A change."""

    number = serializers.CharField()
    state = serializers.ChoiceField(State.choices)
    version = serializers.IntegerField()
    edits = serializers.IntegerField()
    digest = serializers.CharField()
    imported = serializers.BooleanField()
    retrospective = serializers.BooleanField()
    copied_from = serializers.CharField(allow_null=True)
    risk_level = serializers.ChoiceField(Scale.choices, allow_null=True)
    risk_score = serializers.FloatField(allow_null=True)
    affected_count = serializers.IntegerField()
    irreversible_steps = serializers.IntegerField()
    planned_start = serializers.DateTimeField(allow_null=True)
    planned_end = serializers.DateTimeField(allow_null=True)
    actual_start = serializers.DateTimeField(allow_null=True)
    actual_end = serializers.DateTimeField(allow_null=True)
    approval_expires_at = serializers.DateTimeField(allow_null=True)
    result = serializers.ChoiceField(Result.choices, allow_null=True)
    review = serializers.DictField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class OfChange(Resource):
    """Something of one change: the change is `self.change`, and a stranger finds nothing."""

    def find(self) -> None:
        self.change: Change = visible(self.user, self.kwargs["number"])

    @property
    def writing(self) -> bool:
        return self.request.method not in SAFE

    def shown(self, change: Change, status: int = 200) -> Response:
        """The answer that is the whole change."""
        return self.answer(representation(change), status, etag=change.etag)

    def fields(self) -> dict[str, Any]:
        """The body as an object of fields."""
        data = self.request.data
        if not isinstance(data, dict):
            raise Invalid("Send an object of fields.")
        return data

    def will_be_refused(self) -> bool:
        """Whether what the caller saw would be refused anyway: then what it sends is looked at first, since 400 comes before 428 and 412."""
        return self.seen != self.change.etag and not (self.seen is None and self.change.state == State.DRAFT)

    def permit_edit(self, *, material: bool = True) -> None:
        """Raise NotPermitted where this person may never edit this change."""
        verdict = may_edit(self.change, actor=self.user, material=material)
        if verdict.refusal:
            verdict.enforce()


class Changes(Resource):
    """The changes this person may see; POST drafts a new one."""

    parameters: ClassVar = NAMES
    roles: ClassVar = {"POST": ("requester", "change_manager")}
    orderings: ClassVar = {
        name: name
        for name in (
            *("number", "title", "type", "priority", "state", "version", "risk_level", "risk_score", "affected_count"),
            *("created_at", "updated_at", "submitted_at", "decided_at", "closed_at", "planned_start", "planned_end"),
        )
    }
    ordering = "-created_at"
    names: ClassVar = FIELDS
    accepts: ClassVar = {"POST": ChangeBody}
    answers: ClassVar = {"GET": ChangeShape, "POST": ChangeShape}
    statuses: ClassVar = {"POST": "201"}

    def get(self, request: Request) -> Response:
        if request.query_params.dict() in ({}, {"page_size": str(PAGE_SIZE)}):  # what most programs ask: compiled once
            return Response(listed(request, first_page(request, newest(self.user), order=NEWEST_FIRST), as_stored))
        given = {name: values for name, values in request.query_params.lists() if name not in PARAMETERS}
        ordered_by = request.query_params.get("ordering", self.ordering).removeprefix("-")
        rows = visible_documents(self.user, *({ordered_by} & self.orderings.keys()))
        return self.listing(filtered(rows, given, self.user, awaited_of(self.now)), as_objects if "fields" in request.query_params else as_stored)

    def post(self, request: Request) -> Response:
        if not isinstance(request.data, dict):
            raise Invalid("Send an object of fields.")
        refuse_system_fields(request.data, {})
        change = edit.create_change(request.data, actor=self.user, now=self.now)
        return self.answer(representation(change), 201, etag=change.etag, location=f"/api/v1/changes/{change.number}/")


class OneChange(OfChange):
    """The record of one change."""

    accepts: ClassVar = {"PATCH": ChangeBody}
    answers: ClassVar = {"GET": ChangeShape, "PATCH": ChangeShape}

    def find(self) -> None:
        if self.writing:
            super().find()
            return
        self.shown_now = existing(document_of(self.user, self.kwargs["number"]), "There is no change with this number that you may see.")

    def permit(self) -> None:
        if self.writing:
            self.permit_edit(material=False)

    def get(self, request: Request, number: str) -> Response:
        document, etag = self.shown_now
        return self.answer(document, etag=etag)

    def patch(self, request: Request, number: str) -> Response:
        current = representation(self.change)
        given = refuse_system_fields(self.fields(), current)
        moved = {name: value for name, value in given.items() if name not in current or current[name] != value}
        checked(self.change, moved)
        return self.shown(edit.edit_change(number, moved, actor=self.user, now=self.now, seen=self.seen))


def refuse_system_fields(given: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """The writable ones of the given fields. One the system writes may only repeat what it is now."""
    errors = {}
    for name in given.keys() - fields.FIELDS.keys():
        if name not in FIELDS:
            errors[str(name)[:60]] = ["There is no field of this name."]
        elif name not in current or current[name] != given[name]:
            errors[name] = ["This is set by the system: leave it out."]
    if errors:
        raise Invalid("Some fields can't be written.", errors=errors)
    return {name: value for name, value in given.items() if name in fields.FIELDS}


urlpatterns = [
    path("changes/", Changes.as_view(), name="changes"),
    path("changes/<str:number>/", OneChange.as_view(), name="change"),
]
