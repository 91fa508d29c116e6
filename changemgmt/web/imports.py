"""Importing architectures: a form, the preview of what would be done, and the report of what was."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.architecture.importers.files import of_upload
from changemgmt.architecture.imports import running
from changemgmt.architecture.models import ImportRun
from changemgmt.computations.queries import Progress
from changemgmt.core.errors import DomainError, NotFound, NotPermitted, existing
from changemgmt.lifecycle.import_architecture import (
    INLINE_BYTES,
    apply_preview,
    cancel_import,
    import_architecture,
    is_controlled,
    keep_for_apply,
    mapping_of,
    may_import,
    queue_import,
)

from .base import PageRequest, attempt, done, page, refused_status

LAST = 20
SHOWN = 200
PHASES = {
    "": gettext_lazy("It waits for a worker"),
    "reading": gettext_lazy("The file is read"),
    "comparing components": gettext_lazy("Components are compared with what is there"),
    "comparing relations": gettext_lazy("Relations are compared with what is there"),
    "writing": gettext_lazy("It is written, whole or not at all"),
}
FORMATS = [
    ("archi", gettext_lazy("Archi model (.archimate)")),
    ("archimate", gettext_lazy("ArchiMate exchange file (.xml)")),
    ("backstage", gettext_lazy("Backstage catalog (.yaml, or a zip of them)")),
    ("terraform_state", gettext_lazy("Terraform state (terraform show -json, or .tfstate)")),
    ("compose", gettext_lazy("Docker Compose file (.yaml)")),
    ("cyclonedx", gettext_lazy("CycloneDX bill of materials (.json or .xml)")),
    ("csv", gettext_lazy("Tables of nodes and edges (.csv, or a zip of both)")),
    ("json", gettext_lazy("Countersign's own JSON")),
]


class ImportForm(forms.Form):
    """What to read and how."""

    file = forms.FileField(
        label=gettext_lazy("File"), help_text=gettext_lazy("Also packed as .gz or .xz."), widget=forms.FileInput(attrs={"class": "in"})
    )
    format = forms.ChoiceField(label=gettext_lazy("Format"), choices=FORMATS, widget=forms.Select(attrs={"class": "in"}))
    source = forms.CharField(
        label=gettext_lazy("Source"),
        max_length=100,
        help_text=gettext_lazy("The system it comes from. What it no longer speaks of goes when no other source does."),
        widget=forms.TextInput(attrs={"class": "in", "autocomplete": "off"}),
    )
    namespace = forms.CharField(
        label=gettext_lazy("Namespace"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("Goes before keys that have none."),
        widget=forms.TextInput(attrs={"class": "in", "autocomplete": "off"}),
    )
    mapping = forms.CharField(
        label=gettext_lazy("Columns"),
        required=False,
        help_text=gettext_lazy("Tables only. Which of our fields is which column, as YAML: key: id"),
        widget=forms.Textarea(attrs={"class": "in mono", "rows": 4}),
    )
    create_types = forms.BooleanField(label=gettext_lazy("Make types nobody knows yet"), required=False, initial=True, widget=forms.CheckboxInput())


@page("GET", "HEAD", "POST")
def imports(request: PageRequest) -> HttpResponse:
    """The form and the last imports. A POST previews, or applies where the button says so."""
    only_editors(request)
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    refusal: DomainError | None = None
    if request.method == "POST" and form.is_valid():
        run, refusal = attempt(request, lambda: run_of(request, form.cleaned_data))
        if run:
            return redirect(f"/imports/{run.pk}/")
    context = {"form": form, "runs": ImportRun.objects.defer("skipped")[:LAST], "refusal": refusal}
    status = 400 if request.method == "POST" and not form.is_valid() else refused_status(request, refusal)
    return render(request, "architecture/imports.html", context, status=status)


def only_editors(request: PageRequest) -> None:
    if not may_import(request.user):
        raise NotPermitted(_("Only administrators and change managers import."))


def run_of(request: PageRequest, given: dict[str, Any]) -> ImportRun:
    """Read the upload; a large one is left to a worker."""
    upload = given["file"]
    options = {
        "mapping": mapping_of(given["mapping"]) if given["mapping"].strip() else {},
        "namespace": given["namespace"].strip(),
        "create_types": given["create_types"],
    }
    actor, now, source = request.user, request.now, given["source"].strip()
    mode = "apply" if request.POST.get("mode") == "apply" else "preview"
    if upload.size > INLINE_BYTES:
        return queue_import(upload, actor=actor, now=now, format=given["format"], source=source, mode=mode, options=options)
    run = import_architecture(
        of_upload(upload), actor=actor, now=now, format=given["format"], source=source, mode=mode, file_name=upload.name, **options
    )
    if mode == "preview":
        keep_for_apply(run, upload)
    return run


@page()
def report(request: PageRequest, number: int) -> HttpResponse:
    """What an import did, or would do, and what was left out."""
    only_editors(request)
    run = ImportRun.objects.filter(pk=number).first()
    if run is None:
        raise NotFound(_("There is no such import."))
    context = {
        "run": run,
        "numbers": [(_("Components"), run.components), (_("Relations"), run.relations)],
        "skipped": run.skipped[:SHOWN],
        "more": max(run.skipped_total - SHOWN, 0),
        "new_types": run.options.get("new_types", []),
        "controlled": is_controlled(run.source),
        "may_apply": run.mode == "preview" and run.state == "done" and bool(run.file) and run.by == request.user.username,
        **how_far(run),
    }
    return render(request, "architecture/import.html", context)


def how_far(run: ImportRun) -> dict[str, Any]:
    """For `parts/progress.html`: what is done now, and how much of the whole."""
    at = running(run) or Progress()
    return {"what": _("The import is running."), "state_url": f"/imports/{run.pk}/state/", "phase": PHASES[at.phase], "percent": at.percent}


@page()
def state(request: PageRequest, number: int) -> HttpResponse:
    """Asked by the page while it runs: how far it is, or load the page again."""
    only_editors(request)
    run = existing(ImportRun.objects.filter(pk=number).first(), _("There is no such import."))
    if run.state != ImportRun.State.RUNNING:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "parts/progress.html", how_far(run))


@page("POST")
def cancel(request: PageRequest, number: int) -> HttpResponse:
    """Stop it: nothing of it is imported."""
    only_editors(request)
    at_once = cancel_import(number, actor=request.user, now=request.now)
    return done(request, _("Cancelled.") if at_once else _("It stops at the next step."), f"/imports/{number}/")


@page("POST")
def apply(request: PageRequest, number: int) -> HttpResponse:
    """Apply what the preview showed."""
    only_editors(request)
    run = apply_preview(number, actor=request.user, now=request.now)
    if run.state == ImportRun.State.RUNNING:
        return done(request, _("A worker imports it."), f"/imports/{run.pk}/")
    text = _("Imported from %(source)s.") if run.revision is not None else _("Compared with %(source)s.")
    return done(request, text % {"source": run.source}, f"/imports/{run.pk}/")


urlpatterns = [
    path("imports/", imports, name="imports"),
    path("imports/<int:number>/", report, name="import"),
    path("imports/<int:number>/apply/", apply, name="import-apply"),
    path("imports/<int:number>/state/", state, name="import-state"),
    path("imports/<int:number>/cancel/", cancel, name="import-cancel"),
]
