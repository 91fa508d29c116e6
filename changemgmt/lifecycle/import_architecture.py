"""Bring an architecture in from files of other tools: seen before it is done, whole or not at all, the same again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files.base import File as Stored
from django.db import OperationalError, transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.architecture.importers.files import of_upload
from changemgmt.architecture.importers.records import File, Options
from changemgmt.architecture.importers.yaml import documents
from changemgmt.architecture.imports import (
    PHASES,
    READERS,
    Plan,
    Progress,
    apply_plan,
    computation_of,
    consumed,
    plan_import,
    quiet,
    read_records,
)
from changemgmt.architecture.models import ImportRun, Source
from changemgmt.audit.actions import record
from changemgmt.computations.actions import Cancelled, Lost, Stopped, Work, ask_to_stop, claim, note_cancelled, ring_once
from changemgmt.computations.queries import is_computing
from changemgmt.core.errors import DomainError, Invalid, NotPermitted, NotPossible, existing
from changemgmt.core.verdict import Verdict

from .note_drift import note_drift, settle_drift

EDITORS = ("administrator", "change_manager")
MODES = ("preview", "apply")
# Larger uploads are read by a worker while the caller waits for nothing.
INLINE_BYTES = 4 * 1024 * 1024
FIRST_RING = timedelta(seconds=15)
"""So long the message of a queued import has to arrive."""


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
    _forget_older(run)
    upload.seek(0)
    run.file.save(f"{run.pk}-{Path(str(upload.name)).name[-100:]}", Stored(upload))


def _forget_older(run: ImportRun) -> None:
    for old in ImportRun.objects.filter(by=run.by, mode="preview", state=ImportRun.State.DONE).exclude(pk=run.pk).exclude(file=""):
        old.file.delete(save=True)


def apply_preview(run_id: int, *, actor: User, now: datetime) -> ImportRun:
    """Apply the file of a preview, a large one by a worker. The plan is made anew: the architecture may have moved since."""
    seen = ImportRun.objects.filter(pk=run_id, mode="preview", by=actor.username).exclude(file="").first()
    if seen is None:
        raise NotPossible("The file of this preview is not kept any more: choose it again.")
    if seen.file.size > INLINE_BYTES:
        run = queue_import(_named(seen), actor=actor, now=now, format=seen.format, source=seen.source, mode="apply", options=_asked(seen.options))
        seen.file.delete(save=True)
        return run
    run = begin(actor=actor, now=now, format=seen.format, source=seen.source, mode="apply", options=_asked(seen.options), file_name=seen.file_name)
    done = _carry_out(run, of_upload(_named(seen)), actor=actor, now=now)
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
    upload = _named(run)
    with suppress(DomainError):
        _carry_out(run, of_upload(upload), actor=User.objects.get(username=run.by), now=now, read=upload.share)
    if run.state == ImportRun.State.DONE and run.mode == "preview":
        _forget_older(run)
    elif run.state != ImportRun.State.RUNNING:
        run.file.delete(save=True)
    return run


def _named(run: ImportRun) -> _Upload:
    """The kept upload under the name it came with."""
    return _Upload(run.file.storage.open(run.file.name or "", "rb"), run.file_name, run.file.size)


class _Upload:
    """A stored file that can be read like an upload."""

    def __init__(self, stream: IO[bytes], name: str, size: int) -> None:
        self.stream, self.name, self.size = stream, name, size
        self.reached = 0

    def open(self) -> None:
        """It is open already."""

    def read(self, size: int = -1) -> bytes:
        content = self.stream.read(size) if size >= 0 else self.stream.read()
        self.reached = max(self.reached, self.stream.tell())
        return content

    def share(self) -> float:
        """How much of it was read."""
        return min(self.reached / max(self.size, 1), 1.0)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()


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
    return ImportRun.objects.create(
        mode=mode, format=format, source=source, options=options, by=actor.username, started_at=now, file_name=file_name[:255]
    )


def is_controlled(source: str) -> bool:
    """Whether an import of this source opens a drift case: it is marked so, and had its first import."""
    known = Source.objects.filter(name=source, controlled=True).first()
    if known is None:
        return False
    return known.claims.exists() or ImportRun.objects.filter(source=source, mode="apply", state=ImportRun.State.DONE).exists()


def _carry_out(
    run: ImportRun, files: Sequence[File], *, actor: User, now: datetime, progress: Progress = quiet, read: Callable[[], float] = lambda: 0.0
) -> ImportRun:
    """Do the import, unless somebody else does it. `progress` is told what is done, `read` says how much of the file was read."""
    work = claim(computation_of(run.pk))
    if work is None:
        return run

    def at(phase: str, done: int, total: int) -> None:
        begin, span = PHASES[phase]
        work.at(phase, begin + span * (read() if phase == "reading" else min(done / max(total, 1), 1.0)))
        progress(phase, done, total)

    try:
        with work:
            _read_and_land(run, files, work, actor=actor, now=now, progress=at)
    except Lost:
        return run
    except Cancelled as stop:
        _note_cancelled(run, by=stop.by, now=now)
        raise Stopped(f"The import was cancelled by {stop.by}. Nothing was imported.") from None
    except OperationalError:
        raise
    except DomainError as error:
        _note_failure(run, error.detail, actor=actor, now=now)
        raise
    except Exception as error:
        _note_failure(run, f"{type(error).__name__}: {error}", actor=actor, now=now)
        raise
    return run


def _read_and_land(run: ImportRun, files: Sequence[File], work: Work, *, actor: User, now: datetime, progress: Progress) -> None:
    options = run.options
    mapping = options.get("mapping") or mapping_for(run.source, run.format)
    records = read_records(run.format, files, Options(mapping, lambda done: progress("reading", done, 0)))
    with transaction.atomic():
        work.hold()
        if ImportRun.objects.select_for_update().get(pk=run.pk).state != ImportRun.State.RUNNING:
            raise Lost  # it was cancelled, or done, before it was claimed
        plan = plan_import(
            consumed(records),
            source=run.source,
            now=now,
            namespace=options.get("namespace", ""),
            create_types=options.get("create_types", True),
            progress=progress,
        )
        _land(run, plan, actor=actor, now=now, progress=progress)
        _note(run, plan, now=now)
        work.end()


def _land(run: ImportRun, plan: Plan, *, actor: User, now: datetime, progress: Progress) -> None:
    """Write the plan; of a controlled source only what its drift case shows by it. The plan holds the lock of the architecture."""
    if run.mode != "apply":
        return
    if is_controlled(run.source):
        run.drift_case = note_drift(plan, run, actor=actor, now=now)
        return
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
    run.revision = applied.revision
    settle_drift(run, actor=actor, now=now)


def _note(run: ImportRun, plan: Plan, *, now: datetime) -> None:
    run.state, run.ended_at, run.progress = ImportRun.State.DONE, now, 1.0
    run.components, run.relations = plan.counts("component"), plan.counts("relation")
    run.skipped, run.skipped_total = plan.report(), len(plan.skipped)
    run.options = run.options | {"new_types": plan.new_types}
    run.save()


def _note_failure(run: ImportRun, why: str, *, actor: User, now: datetime) -> None:
    """In a transaction of its own: the import's own was rolled back."""
    run.state, run.ended_at, run.error = ImportRun.State.FAILED, now, why
    run.revision = run.drift_case = None
    with transaction.atomic():
        run.save()
        record("import.failed", actor=actor.username, object=f"import:{run.pk}", now=now, data={"source": run.source, "reason": why[:300]})


def _note_cancelled(run: ImportRun, *, by: str, now: datetime) -> None:
    run.state, run.ended_at, run.cancelled_by, run.revision = ImportRun.State.CANCELLED, now, by, None
    with transaction.atomic():
        run.save()
        record("import.cancelled", actor=by, object=f"import:{run.pk}", now=now, data={"source": run.source})


def may_cancel_import(run: ImportRun, *, actor: User) -> Verdict:
    """Who may import may cancel one that is not done."""
    refusal = "" if may_import(actor) else "Only administrators and change managers import, and cancel imports."
    return Verdict(refusal=refusal, impossible="" if run.state == ImportRun.State.RUNNING else f"This import is {run.get_state_display()} already.")


def cancel_import(run_id: int, *, actor: User, now: datetime) -> bool:
    """Cancel an import: nothing of it is imported. True when that is done, False when whoever does it stops at the next step."""
    run = existing(ImportRun.objects.filter(pk=run_id).first(), "There is no such import.")
    may_cancel_import(run, actor=actor).enforce()
    if ask_to_stop(computation_of(run_id), by=actor.username):
        return False
    with transaction.atomic():
        note_cancelled(computation_of(run_id), subject="")
        run = ImportRun.objects.select_for_update().get(pk=run_id)
        may_cancel_import(run, actor=actor).enforce()
        _note_cancelled(run, by=actor.username, now=now)
    run.file.delete(save=True)
    return True


def left_imports(*, now: datetime) -> Iterator[int]:
    """Imports that nobody does any more, by id: queued ones, to be done. Those that somebody waited for have failed with who did them."""
    for run in ImportRun.objects.filter(state=ImportRun.State.RUNNING, started_at__lt=now - FIRST_RING):
        name = computation_of(run.pk)
        if is_computing(name) or not ring_once(name):
            continue
        if run.file:
            yield run.pk
        else:
            _note_failure(run, "The process that did it ended before it was done.", actor=User.objects.get(username=run.by), now=now)


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
