"""`architecture/imports/`: bring in files of other tools, previewed or applied."""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.urls import path
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser

from changemgmt.architecture.importers.files import PACKED, of_upload
from changemgmt.architecture.imports import PHASES, READERS, running
from changemgmt.architecture.models import ImportRun
from changemgmt.core.errors import Invalid, existing
from changemgmt.lifecycle.import_architecture import EDITORS, INLINE_BYTES, MODES, cancel_import, import_architecture, mapping_of, queue_import

from .base import Resource

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

TABLES = ("nodes", "edges")
FIELDS = {"file", *TABLES, "format", "mode", "source", "mapping", "namespace", "create_types"}


class ImportBody(serializers.Serializer):
    file = serializers.FileField(required=False, help_text="Not with nodes and edges.")
    nodes = serializers.FileField(required=False, help_text="CSV: the components, in place of a file.")
    edges = serializers.FileField(required=False, help_text="CSV: the relations, in place of a file.")
    format = serializers.ChoiceField(tuple(READERS))
    mode = serializers.ChoiceField(MODES)
    source = serializers.CharField(max_length=100)  # type: ignore[assignment]  # a declared field
    mapping = serializers.CharField(required=False, help_text="CSV: an object as JSON or YAML, our field and its column.")
    namespace = serializers.CharField(required=False)
    create_types = serializers.BooleanField(required=False)


class CountsShape(serializers.Serializer):
    adds = serializers.IntegerField()
    updates = serializers.IntegerField()
    removes = serializers.IntegerField()
    unchanged = serializers.IntegerField()


class SkippedShape(serializers.Serializer):
    where = serializers.CharField()
    reason = serializers.CharField()


class RunShape(serializers.Serializer):
    id = serializers.IntegerField()
    state = serializers.ChoiceField(ImportRun.State.choices)
    mode = serializers.ChoiceField(MODES)
    format = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a declared field
    by = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    cancelled_by = serializers.CharField()
    progress = serializers.FloatField()
    phase = serializers.ChoiceField(("", *PHASES), help_text="While it runs: what is done now; empty before a worker took it, and afterwards.")
    components = CountsShape()
    relations = CountsShape()
    skipped = SkippedShape(many=True, help_text="The first ten thousand.")
    skipped_total = serializers.IntegerField()
    new_types = serializers.ListField(child=serializers.CharField())
    revision = serializers.IntegerField(allow_null=True)
    drift_case = serializers.IntegerField(
        allow_null=True, help_text="Of a controlled source: the case that shows what nobody requested. Nothing was written."
    )
    error = serializers.CharField()


NOTHING = {"adds": 0, "updates": 0, "removes": 0, "unchanged": 0}


def shown(run: ImportRun) -> dict[str, Any]:
    """A run as the API shows it."""
    plain = (
        "state",
        "mode",
        "format",
        "source",
        "by",
        "cancelled_by",
        "started_at",
        "ended_at",
        "skipped",
        "skipped_total",
        "revision",
        "drift_case",
        "error",
    )
    at = running(run)
    told = {"progress": at.share if at else run.progress, "phase": at.phase if at else ""}
    values = {name: getattr(run, name) for name in plain}
    counts = {"components": run.components or NOTHING, "relations": run.relations or NOTHING}
    return {"id": run.pk, **values, **told, **counts, "new_types": run.options.get("new_types", [])}


def zipped(tables: dict[str, UploadedFile]) -> UploadedFile:
    """Tables as one zip, each under the name of its part; `.gz` and `.xz` stay packed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, table in tables.items():
            packing = PurePosixPath(str(table.name)).suffix
            archive.writestr(f"{name}.csv{packing if packing in PACKED else ''}", table.read())
    return SimpleUploadedFile("tables.zip", content.getvalue(), "application/zip")


class Imports(Resource):
    """Imports, newest first. POST reads a file: small ones at once (200), large ones by a worker (202)."""

    parser_classes = [MultiPartParser]
    roles: ClassVar = {"GET": (*EDITORS, "auditor"), "POST": EDITORS}
    orderings: ClassVar = {"started_at": "started_at", "id": "pk"}
    ordering = "-started_at"
    names: ClassVar = tuple(RunShape().fields)
    accepts: ClassVar = {"POST": ImportBody}
    answers: ClassVar = {"GET": RunShape, "POST": RunShape}

    def get(self, request: Request) -> Response:
        return self.listing(ImportRun.objects.all(), lambda found: map(shown, found))

    def post(self, request: Request) -> Response:
        fields = self.fields(request)
        upload = self.upload(request)
        options = {"mapping": fields["mapping"], "namespace": fields["namespace"], "create_types": fields["create_types"]}
        shared = {"actor": self.user, "now": self.now, "format": fields["format"], "source": fields["source"], "mode": fields["mode"]}
        if upload.size > INLINE_BYTES:
            run = queue_import(upload, options=options, **shared)
            return self.answer(shown(run), 202, location=f"{request.path}{run.pk}/")
        run = import_architecture(of_upload(upload), file_name=upload.name, **options, **shared)
        return self.answer(shown(run), location=f"{request.path}{run.pk}/")

    def upload(self, request: Request) -> Any:
        """The file; or the two tables of a CSV import, as one zip."""
        whole = request.FILES.get("file")
        tables = {name: table for name in TABLES if (table := request.FILES.get(name)) is not None}
        if whole is None and not tables:
            raise Invalid.field("file", "Send the file as multipart field “file”, or CSV tables as “nodes” and “edges”.")
        if whole is not None and tables:
            raise Invalid.field("file", "Send either a file, or nodes and edges.")
        if tables and request.POST.get("format") != "csv":
            raise Invalid.field("format", "Nodes and edges are tables of the format csv.")
        return whole or zipped(tables)

    def fields(self, request: Request) -> dict[str, Any]:
        """The text fields of the form, read."""
        data = request.data
        if not isinstance(data, dict):
            raise Invalid("Send a form.")
        unknown = set(data) - FIELDS
        if unknown:
            raise Invalid("Some fields are not known.", errors={name[:60]: ["There is no field of this name."] for name in unknown})
        found = {name: str(data.get(name, "")) for name in ("format", "mode", "source", "namespace")}
        if len(found["namespace"]) > 100 or not found["namespace"].isprintable():
            raise Invalid.field("namespace", "At most 100 characters that can be printed.")
        create = str(data.get("create_types", "true")).lower()
        if create not in {"true", "false"}:
            raise Invalid.field("create_types", "True or false.")
        mapping = data.get("mapping")
        text = mapping.read().decode("utf-8", "replace") if isinstance(mapping, UploadedFile) else mapping
        return found | {"mode": found["mode"] or "preview", "create_types": create == "true", "mapping": mapping_of(text) if text else {}}


class OfImport(Resource):
    """What is about one import."""

    def find(self) -> None:
        self.run = existing(ImportRun.objects.filter(pk=self.kwargs["id"]).first(), "There is no such import.")


class OneImport(OfImport):
    """One import and its report."""

    roles: ClassVar = {"GET": (*EDITORS, "auditor")}
    answers: ClassVar = {"GET": RunShape}

    def get(self, request: Request, id: int) -> Response:
        return self.answer(shown(self.run))


class CancelImport(OfImport):
    """Stop an import: nothing of it is imported. 200 when that is done, 202 when it stops at the next step."""

    roles: ClassVar = {"POST": EDITORS}
    answers: ClassVar = {"POST": RunShape}

    def post(self, request: Request, id: int) -> Response:
        if request.data:
            raise Invalid("Nothing is sent with this.")
        done = cancel_import(id, actor=self.user, now=self.now)
        return self.answer(shown(ImportRun.objects.get(pk=id)), 200 if done else 202)


urlpatterns = [
    path("architecture/imports/", Imports.as_view(), name="architecture_imports"),
    path("architecture/imports/<int:id>/", OneImport.as_view(), name="architecture_import"),
    path("architecture/imports/<int:id>/cancel/", CancelImport.as_view(), name="architecture_import_cancel"),
]
