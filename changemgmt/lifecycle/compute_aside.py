"""Computing the preview of a change aside: nothing is locked while it is computed, one process does it, and it can be stopped.

What was computed is stored only where the change and the architecture within its reach are still those it was computed from.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import OperationalError, transaction

from changemgmt.architecture.queries import current_revision
from changemgmt.audit.actions import record
from changemgmt.changes.models import Change, Preview
from changemgmt.computations.actions import Cancelled, Lost, Stopped, Work, claim, note_cancelled
from changemgmt.core.errors import DomainError
from changemgmt.preview.actions import put_back
from changemgmt.preview.compute import PHASES, Computed, Progress, compute, quiet
from changemgmt.preview.queries import computation_of, further_of, made_from, moved_under

from .move import locked

Settle = Callable[[Change, Computed | None], None]
TRIES = 3
"""So often it is computed aside before it is computed under the lock, where nothing moves."""
LOOK_SECONDS = 0.2


def compute_aside(
    number: str,
    *,
    needed: Callable[[Change], bool],
    settle: Settle,
    now: datetime,
    anew: bool = False,
    patience: float = 0.0,
    progress: Progress = quiet,
) -> bool:
    """Compute the preview, and let `settle` have it with the locked change, in one transaction. None where none is `needed`.

    `anew` computes it even then, unless somebody does so at this moment: whoever comes second waits up to `patience` seconds for them, and
    then looks whether it is needed still. False: somebody else computes it still. Raises Stopped where it is cancelled.
    """
    until = time.monotonic() + patience
    while True:
        if not anew and _settled_as_it_is(number, needed, settle):
            return True
        work = claim(computation_of(number))
        if work:
            if _done(work, _Task(number, always if anew else needed, settle, now, progress)):
                return True
        elif time.monotonic() >= until:
            return False
        else:
            time.sleep(LOOK_SECONDS)
        anew = False


def _settled_as_it_is(number: str, needed: Callable[[Change], bool], settle: Settle) -> bool:
    """Settle without computing, where nothing is needed; only then the change is locked."""
    if needed(Change.objects.get(number=number)):
        return False
    with transaction.atomic():
        change = locked(number, None)
        if needed(change):
            return False
        settle(change, None)
    return True


@dataclass(frozen=True)
class _Task:
    """What is to be computed, and what becomes of it."""

    number: str
    needed: Callable[[Change], bool]
    settle: Settle
    now: datetime
    progress: Progress


def always(change: Change) -> bool:
    """Also where what is kept holds."""
    return True


def _done(work: Work, task: _Task) -> bool:
    """Compute and settle what one has claimed. False where somebody took it over."""
    try:
        with work:
            return any(_try(work, task, last=turn == TRIES) for turn in range(1, TRIES + 1))
    except Lost:
        return False
    except Cancelled as stop:
        put_on_record(task.number, by=stop.by, now=task.now)
        raise Stopped(f"The computation was cancelled by {stop.by}.") from None
    except (DomainError, OperationalError):
        raise
    except Exception as error:
        with transaction.atomic():
            put_back(locked(task.number, None), error=f"{type(error).__name__}: {error}")
        raise


def _try(work: Work, task: _Task, *, last: bool) -> bool:
    """Compute once, and settle it where nothing moved meanwhile. The last try computes again under the lock where something did."""

    def at(phase: str, share: float) -> None:
        work.at(phase, share)
        task.progress(phase, share)

    change, revision = Change.objects.get(number=task.number), current_revision()
    seen = content_of(change)
    computed = compute(change, now=task.now, progress=at)
    at("storing", PHASES["storing"])
    with transaction.atomic():
        change = locked(task.number, None)
        work.hold()
        held = seen == content_of(change) and not moved_under(computed, revision)
        if not task.needed(change):
            task.settle(change, None)
        elif held or last:
            task.settle(change, computed if held else compute(change, now=task.now))
        else:
            work.storing = False
            return False
        work.end()
    return True


def content_of(change: Change) -> tuple[int, str]:
    """What of a change the preview is computed from."""
    return change.version, made_from(change, further_of(change))


def put_on_record(number: str, *, by: str, now: datetime) -> None:
    """It was cancelled: what was stored before counts again, and it is not begun again by itself for the same."""
    with transaction.atomic():
        change = locked(number, None)
        put_back(change)
        note_cancelled(computation_of(number), subject=subject_of(change, current_revision()))
        record("preview.cancelled", actor=by, object=f"change:{number}", change=number, now=now, data={"version": change.version})


def subject_of(change: Change, revision: int) -> str:
    """What a computation of the change is about: its content, and the architecture."""
    return f"{change.etag}@{revision}"


def is_owed(change: Change) -> bool:
    """Whether it was asked for and is not there yet."""
    return Preview.objects.filter(change=change, state=Preview.State.RUNNING).exists()
