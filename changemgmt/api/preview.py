"""What a change would do: its reach, its preview, its difference."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path
from rest_framework import serializers

from changemgmt.architecture.past import images_between, revision_of
from changemgmt.architecture.queries import current_revision
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle.compute_preview import ask_for_preview, cancel_preview, may_compute
from changemgmt.preview import diff_files
from changemgmt.preview.compute import PHASES
from changemgmt.preview.diff import diff_of_images
from changemgmt.preview.queries import diff_of, impact_of, known_of, preview_of, told_of
from changemgmt.preview.stacked import stacked_preview

from .base import Resource, StrictSerializer, Whole
from .changes import OfChange

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

STYLE_HASH = base64.b64encode(hashlib.sha256(diff_files.STYLE.encode()).digest()).decode()
ALONE = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"


class SummaryShape(serializers.Serializer):
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()
    affected = serializers.IntegerField()


class NamedRuleShape(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()


class CheckShape(serializers.Serializer):
    rule = serializers.CharField()
    severity = serializers.CharField()
    key = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    policy = NamedRuleShape(required=False, allow_null=True, help_text="Where `rule` is `policy`: the rule of an administrator that found it.")
    blocks = serializers.BooleanField(required=False, help_text="Whether it keeps the change from being submitted and started.")
    already = serializers.BooleanField(required=False, help_text="Whether it is so today, without the change.")


class DriftShape(serializers.Serializer):
    key = serializers.CharField()
    field = serializers.CharField()
    base = serializers.JSONField(allow_null=True)
    live = serializers.JSONField(allow_null=True)
    proposed = serializers.JSONField(allow_null=True)
    moved_by = serializers.CharField(allow_null=True)


class PreviewShape(serializers.Serializer):
    state = serializers.ChoiceField(("ready", "running", "stale", "conflict"))
    revision = serializers.IntegerField(allow_null=True)
    base_revision = serializers.IntegerField(allow_null=True)
    progress = serializers.FloatField(required=False, help_text="While it runs: the share that is done, from 0 to 1.")
    phase = serializers.ChoiceField(("", *PHASES), required=False, help_text="While it runs: what is done now; empty before a worker took it.")
    error = serializers.CharField(required=False, help_text="Why it could not be computed the last time; else empty.")
    summary = SummaryShape()
    checks = CheckShape(many=True)
    drift = DriftShape(many=True)


class PreviewBody(StrictSerializer):
    """How much further than is set this change is followed from now on; what is not given stays as it is set."""

    max_depth = Whole(required=False, min_value=1, max_value=50, help_text="Steps at most; not less than is set.")
    min_score = serializers.FloatField(required=False, min_value=0.0001, max_value=1.0, help_text="Score at least; not more than is set.")


class BoundsShape(serializers.Serializer):
    max_depth = serializers.IntegerField(allow_null=True)
    min_score = serializers.FloatField()


class BelowShape(serializers.Serializer):
    number = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField()
    start = serializers.DateTimeField(allow_null=True)


class StackedCheckShape(CheckShape):
    alone = serializers.BooleanField(help_text="Whether the change brings it to the live architecture, too.")


class StackedDriftShape(DriftShape):
    """Of conflicts with changes the reader may not see only that there are some: one row without place and values."""

    key = serializers.CharField(allow_null=True)
    field = serializers.CharField(allow_null=True)


class StackedShape(serializers.Serializer):
    state = serializers.ChoiceField(("ready", "conflict"))
    revision = serializers.IntegerField()
    below = BelowShape(many=True)
    left_out = serializers.IntegerField()
    conflicts = StackedDriftShape(many=True)
    checks = StackedCheckShape(many=True)


class StepOfPathShape(serializers.Serializer):
    key = serializers.CharField()
    relation = serializers.CharField(required=False)
    direction = serializers.CharField(required=False)
    trust = serializers.ChoiceField(("stale", "unconfirmed"), required=False)
    relation_key = serializers.CharField(required=False, help_text="Of a relation that is not confirmed.")


class AffectedShape(serializers.Serializer):
    key = serializers.CharField()
    layer = serializers.CharField()
    type = serializers.CharField()
    criticality = serializers.IntegerField()
    distance = serializers.IntegerField()
    score = serializers.FloatField()
    effect = serializers.ChoiceField(("down", "degraded", "touched"))
    trust = serializers.ChoiceField(("confirmed", "stale", "unconfirmed"), required=False)
    path = StepOfPathShape(many=True)


class CollisionShape(serializers.Serializer):
    number = serializers.CharField()
    kind = serializers.ChoiceField(("component", "reach", "field"))
    keys = serializers.ListField(child=serializers.CharField())


class ImpactShape(serializers.Serializer):
    revision = serializers.IntegerField(allow_null=True)
    version = serializers.IntegerField()
    state = serializers.ChoiceField(("ready", "running", "stale", "conflict"))
    direct = serializers.ListField(child=serializers.CharField())
    affected = AffectedShape(many=True)
    by_layer = serializers.DictField(child=serializers.IntegerField())
    by_owner = serializers.DictField(child=serializers.IntegerField(), help_text="By slug of the team or name of the user; empty for nobody's.")
    by_criticality = serializers.DictField(child=serializers.IntegerField())
    users = serializers.IntegerField()
    services = serializers.ListField(child=serializers.CharField(), help_text="Keys of the services among the affected.")
    untrusted = serializers.IntegerField()
    bounds = BoundsShape(required=False, help_text="How far it was followed.")
    collisions = CollisionShape(many=True)


class FieldShape(serializers.Serializer):
    path = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class ThingShape(serializers.Serializer):
    key = serializers.CharField()
    operation = serializers.CharField()
    fields = FieldShape(many=True)  # type: ignore[assignment]  # a declared field


class DiffCountsShape(serializers.Serializer):
    things = serializers.IntegerField()
    fields = serializers.IntegerField(help_text="Values that differ; lists are counted by element.")  # type: ignore[assignment]  # a declared field
    operation = serializers.DictField(child=serializers.IntegerField())
    layer = serializers.DictField(child=serializers.IntegerField())


class DiffGroupShape(serializers.Serializer):
    layer = serializers.CharField(allow_blank=True)
    operation = serializers.CharField()
    object = serializers.CharField()
    type = serializers.CharField(allow_blank=True)
    owner = serializers.CharField(allow_blank=True)
    keys = serializers.ListField(child=serializers.CharField(), help_text="Several where they are updated alike.")


class GraphShape(serializers.Serializer):
    added = serializers.ListField(child=serializers.CharField())
    removed = serializers.ListField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())
    affected = serializers.ListField(child=serializers.CharField(), required=False, help_text="Components that are reached over confirmed relations.")


class GraphsShape(serializers.Serializer):
    components = GraphShape()
    relations = GraphShape()


class DiffShape(serializers.Serializer):
    components = ThingShape(many=True)
    relations = ThingShape(many=True)
    summary = DiffCountsShape()
    graph = GraphsShape()
    groups = DiffGroupShape(many=True, help_text="In the order of the page: what goes first, then what is highly critical, then by score.")


class Impact(OfChange):
    """The components this change reaches, with the path that explains each, and the open changes it meets."""

    parameters: ClassVar = ("limit",)
    answers: ClassVar = {"GET": ImpactShape}

    def get(self, request: Request, number: str) -> Response:
        limit = request.query_params.get("limit")
        if limit is not None and not (limit.isascii() and limit.isdigit() and len(limit) <= 7):
            raise Invalid.field("limit", "A whole number.")
        impact = impact_of(self.change, self.user)
        if limit is not None:
            impact = impact | {"affected": impact["affected"][: int(limit)]}
        return self.answer(impact)


class Preview(OfChange):
    """The architecture as it would be. POST computes it: at once (200), or by a task where it is large (202)."""

    accepts: ClassVar = {"POST": PreviewBody}
    answers: ClassVar = {"GET": PreviewShape, "POST": PreviewShape}

    def permit(self) -> None:
        verdict = may_compute(self.change, actor=self.user)
        if self.writing and verdict.refusal:
            verdict.enforce()

    def get(self, request: Request, number: str) -> Response:
        return self.answer(preview_of(self.change, self.user))

    def post(self, request: Request, number: str) -> Response:
        done = ask_for_preview(number, actor=self.user, now=self.now, further=self.read(PreviewBody))
        shown = preview_of(self.change, self.user)
        return self.answer(shown) if done else self.answer(shown, 202, location=f"/api/v1/changes/{number}/preview/")


class CancelPreview(OfChange):
    """Stop computing it, by who may have it computed: what was stored before counts again. 200 when that is done, 202 when it stops at the next step."""

    answers: ClassVar = {"POST": PreviewShape}

    def permit(self) -> None:
        verdict = may_compute(self.change, actor=self.user)
        if self.writing and verdict.refusal:
            verdict.enforce()

    def post(self, request: Request, number: str) -> Response:
        if request.data:
            raise Invalid("Nothing is sent with this.")
        done = cancel_preview(number, actor=self.user, now=self.now)
        return self.answer(preview_of(self.change, self.user), 200 if done else 202)


class Stacked(OfChange):
    """The change on top of what is approved near it and not done yet, in calendar order: where it would not fit, and what it would bring then."""

    answers: ClassVar = {"GET": StackedShape}

    def get(self, request: Request, number: str) -> Response:
        return self.answer(stacked_preview(self.change, self.user))


class Diff(OfChange):
    """Before and after, field by field; as JSON, Markdown, or an HTML page that stands alone."""

    parameters: ClassVar = ("as",)
    answers: ClassVar = {"GET": DiffShape}

    def get(self, request: Request, number: str) -> Any:
        return as_asked(self, diff_of(self.change), told_of(self.change))


class Between(Resource):
    """What moved in the live architecture from one revision, day or moment to another (now unless said), field by field; in the forms of `diff`."""

    parameters: ClassVar = ("from", "to", "as")
    answers: ClassVar = {"GET": DiffShape}

    def get(self, request: Request) -> Any:
        if not request.query_params.get("from"):
            raise Invalid.field("from", "Name a revision, a day or a moment.")
        first = revision_of(request.query_params["from"], "from")
        last = revision_of(request.query_params.get("to") or str(current_revision()), "to")
        found = diff_of_images(images_between(first, last))
        return as_asked(self, found, diff_files.told(f"The architecture from revision {first} to {last}", found, known_of(found)))


def as_asked(resource: Resource, found: dict[str, Any], it: diff_files.Told) -> Any:
    """A difference as JSON, as Markdown, or as a page that stands alone."""
    wanted = resource.choice("as", ("json", "markdown", "html"), "json")
    if wanted == "markdown":
        return HttpResponse(diff_files.markdown(it), content_type="text/markdown; charset=utf-8", headers={"X-Content-Type-Options": "nosniff"})
    if wanted == "html":
        return HttpResponse(diff_files.page(it), content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": ALONE})
    return resource.answer(found | diff_files.extras(it))


urlpatterns = [
    path("changes/<str:number>/impact/", Impact.as_view(), name="change_impact"),
    path("changes/<str:number>/preview/", Preview.as_view(), name="change_preview"),
    path("changes/<str:number>/preview/cancel/", CancelPreview.as_view(), name="change_preview_cancel"),
    path("changes/<str:number>/preview/stacked/", Stacked.as_view(), name="change_stacked"),
    path("architecture/diff/", Between.as_view(), name="architecture_diff"),
    path("changes/<str:number>/diff/", Diff.as_view(), name="change_diff"),
]
