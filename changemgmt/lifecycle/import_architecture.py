"""Bring an architecture in from files of other tools: seen before it is done, whole or not at all, the same again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files.base import File as Stored
from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.architecture.importers.files import of_upload
from changemgmt.architecture.importers.records import File, Options
from changemgmt.architecture.importers.yaml import documents
from changemgmt.architecture.imports import READERS, Plan, Progress, apply_plan, plan_import, quiet, read_records
from changemgmt.architecture.models import ImportRun, Source
from changemgmt.audit.actions import record
from changemgmt.core.errors import DomainError, Invalid, NotPermitted, NotPossible

EDITORS = ("administrator", "change_manager")
MODES = ("preview", "apply")
# Larger uploads are read by a worker while the caller waits for nothing.
INLINE_BYTES = 4 * 1024 * 1024


def may_import(actor: User) -> bool:
    """The direct-edit right: administrators and change managers."""
    return has_role(actor, *EDITORS)


def import_architecture(
    files: Sequence[File],
    *,
    actor: User,
    now: datetime,
    format: str,
    source: str,
    mode: str = "apply",
    mapping: Mapping[str, Any] | None = None,
    namespace: str = "",
    create_types: bool = True,
    file_name: str = "",
    progress: Progress = quiet,
) -> ImportRun:
    """Import the files at once. A malformed file raises Invalid with its place; the run stays on record as failed, and nothing landed."""
    run = begin(
        actor=actor,
        now=now,
        format=format,
        source=source,
        mode=mode,
        options={"mapping": mapping or {}, "namespace": namespace, "create_types": create_types},
        file_name=file_name,
    )
    return _carry_out(run, files, actor=actor, now=now, progress=progress)


def keep_for_apply(run: ImportRun, upload: Any) -> None:
    """Keep the file of a preview, so that it can be applied as it was seen. The person's older previews are forgotten."""
    for old in ImportRun.objects.filter(by=run.by, mode="preview").exclude(pk=run.pk).exclude(file=""):
        old.file.delete(save=True)
    upload.seek(0)
    run.file.save(f"{run.pk}-{Path(str(upload.name)).name[-100:]}", Stored(upload))


def apply_preview(run_id: int, *, actor: User, now: datetime) -> ImportRun:
    """Apply the file of a preview. The plan is made anew: the architecture may have moved since."""
    seen = ImportRun.objects.filter(pk=run_id, mode="preview", by=actor.username).exclude(file="").first()
    if seen is None:
        raise NotPossible("The file of this preview is not kept any more: choose it again.")
    run = begin(actor=actor, now=now, format=seen.format, source=seen.source, mode="apply", options=_asked(seen.options), file_name=seen.file_name)
    done = _carry_out(run, of_upload(_named(seen)), actor=actor, now=now, progress=quiet)
    seen.file.delete(save=True)
    return done


def _asked(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("mapping", "namespace", "create_types") if name in options}


def queue_import(upload: Any, *, actor: User, now: datetime, format: str, source: str, mode: str, options: Mapping[str, Any]) -> ImportRun:
    """Keep a large upload for a worker; the run is `running` until `finish_import` is done with it."""
    with transaction.atomic():
        run = begin(actor=actor, now=now, format=format, source=source, mode=mode, options=dict(options), file_name=upload.name)
        run.file.save(f"{run.pk}-{Path(str(upload.name)).name[-100:]}", Stored(upload))
        record("import.requested", actor=actor.username, object=f"import:{run.pk}", now=now, data={"source": source, "format": format, "mode": mode})
    return run


def finish_import(run_id: int, *, now: datetime) -> ImportRun:
    """Do a queued import. One that is done already, or that somebody else does, stays as it is."""
    run = ImportRun.objects.get(pk=run_id)
    if run.state != ImportRun.State.RUNNING or not run.file:
        return run
    actor = User.objects.get(username=run.by)
    try:
        return _carry_out(run, of_upload(_named(run)), actor=actor, now=now, progress=_noting(run))
    except DomainError:
        return run
    finally:
        run.file.delete(save=True)


def _named(run: ImportRun) -> _Upload:
    """The kept upload under the name it came with."""
    return _Upload(run.file.storage.open(run.file.name or "", "rb"), run.file_name, run.file.size)


class _Upload:
    """A stored file that can be read like an upload."""

    def __init__(self, stream: IO[bytes], name: str, size: int) -> None:
        self.stream, self.name, self.size = stream, name, size

    def open(self) -> None:
        """It is open already."""

    def read(self, size: int = -1) -> bytes:
        return self.stream.read(size) if size >= 0 else self.stream.read()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()


def _noting(run: ImportRun) -> Progress:
    """Write progress to the run, in whole percents; not while the transaction is open, where nobody would see it."""

    def note(phase: str, done: int, total: int) -> None:
        share = round(min(done / total, 1.0) * 0.5, 2) if total and phase == "reading" else run.progress
        if share > run.progress:
            run.progress = share
            ImportRun.objects.filter(pk=run.pk).update(progress=share)

    return note


def begin(*, actor: User, now: datetime, format: str, source: str, mode: str, options: dict[str, Any], file_name: str) -> ImportRun:
    """Check what can be checked before the file is read, and put the run on record."""
    if not may_import(actor):
        raise NotPermitted("Only administrators and change managers may write to the architecture without a change.")
    if format not in READERS:
        raise Invalid.field("format", f"Give one of {', '.join(READERS)}.")
    if mode not in MODES:
        raise Invalid.field("mode", f"Give one of {', '.join(MODES)}.")
    if not source or len(source) > 100 or not source.isprintable():
        raise Invalid.field("source", "Name the source, in at most 100 characters.")
    if mode == "apply":
        _refuse_controlled(source)
    return ImportRun.objects.create(
        mode=mode, format=format, source=source, options=options, by=actor.username, started_at=now, file_name=file_name[:255]
    )


def _refuse_controlled(source: str) -> None:
    """The first import of a controlled source applies; what it brings later has to go through a change."""
    known = Source.objects.filter(name=source, controlled=True).first()
    if known and known.claims.exists():
        raise NotPossible(f"The source {source!r} is controlled: preview the import, and bring the differences in by a change.")


def _carry_out(run: ImportRun, files: Sequence[File], *, actor: User, now: datetime, progress: Progress) -> ImportRun:
    options = run.options
    try:
        records = read_records(
            run.format, files, Options(options.get("mapping") or mapping_for(run.source, run.format), lambda done: progress("reading", done, 0))
        )
        with transaction.atomic():
            plan = plan_import(
                records, source=run.source, namespace=options.get("namespace", ""), create_types=options.get("create_types", True), progress=progress
            )
            revision = _land(run, plan, actor=actor, now=now, progress=progress) if run.mode == "apply" else None
            _note(run, plan, revision, now=now)
    except DomainError as error:
        _note_failure(run, error, actor=actor, now=now)
        raise
    return run


def _land(run: ImportRun, plan: Plan, *, actor: User, now: datetime, progress: Progress) -> int:
    applied = apply_plan(plan, actor=actor.username, now=now, create_types=run.options.get("create_types", True), progress=progress)
    record(
        "import.applied",
        actor=actor.username,
        object=f"import:{run.pk}",
        now=now,
        data={
            "source": run.source,
            "format": run.format,
            "revision": applied.revision,
            "components": plan.counts("component"),
            "relations": plan.counts("relation"),
        },
    )
    return applied.revision


def _note(run: ImportRun, plan: Plan, revision: int | None, *, now: datetime) -> None:
    run.state, run.ended_at, run.progress, run.revision = ImportRun.State.DONE, now, 1.0, revision
    run.components, run.relations, run.skipped = plan.counts("component"), plan.counts("relation"), plan.report()
    run.options = run.options | {"new_types": plan.new_types}
    run.save()


def _note_failure(run: ImportRun, error: DomainError, *, actor: User, now: datetime) -> None:
    """In a transaction of its own: the import's own was rolled back."""
    run.state, run.ended_at, run.error = ImportRun.State.FAILED, now, error.detail
    with transaction.atomic():
        run.save()
        record("import.failed", actor=actor.username, object=f"import:{run.pk}", now=now, data={"source": run.source, "reason": error.detail[:300]})


def mapping_for(source: str, format: str) -> dict[str, Any]:
    """The mapping of columns that ships for a source of this name; empty where none does."""
    path = settings.BASE_DIR / "data" / "mappings" / f"{Path(source).name}.yaml"
    return read_mapping(path) if format == "csv" and path.is_file() else {}


def read_mapping(path: Path) -> dict[str, Any]:
    """A mapping file, or Invalid where it is none."""
    try:
        return mapping_of(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid.field("mapping", f"{path.name} can't be read: {error}.") from None


def mapping_of(text: str) -> dict[str, Any]:
    """A mapping as YAML or JSON text, or Invalid."""
    try:
        found = next((value for _, value in documents("The mapping", text)), None) if len(text) < 100_000 else None
    except Invalid as error:
        raise Invalid.field("mapping", error.detail) from None
    if not isinstance(found, dict):
        raise Invalid.field("mapping", "A mapping is an object: our field, and the column it comes from.")
    return found
