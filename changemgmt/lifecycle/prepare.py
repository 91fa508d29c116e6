"""What approvers need before they can decide: the preview and the assessment of the version as it is."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from changemgmt.architecture.impact import trusted
from changemgmt.assessment.actions import assess_change
from changemgmt.changes.models import Change, Preview
from changemgmt.computations.queries import is_computing
from changemgmt.preview.actions import store
from changemgmt.preview.compute import Computed, compute
from changemgmt.preview.queries import computation_of, state_of


def prepare(change: Change, *, now: datetime, computed: Computed | None = None) -> None:
    """Compute preview and assessment of a locked change and keep them; the caller saves the change. `computed` is what was computed aside."""
    computed = computed or compute(change, now=now)
    store(change, computed, now=now)
    change.affected_count = len(trusted(computed.impact["affected"]))
    assess_change(change, now=now)


def bring_up_to_date(change: Change, *, now: datetime) -> None:
    """Preview and assessment of a locked change as it is now, saved; a preview that still holds is kept."""
    if is_prepared(change):
        assess_change(change, now=now)
    else:
        prepare(change, now=now)
    change.save()


def is_prepared(change: Change) -> bool:
    """Whether preview and assessment are those of this version and of the architecture as it is now."""
    return change.assessments.filter(version=change.version).exists() and has_preview(change)


def has_preview(change: Change) -> bool:
    """Whether the preview that is kept is that of this version and of the architecture as it is now."""
    return Preview.objects.filter(change=change, version=change.version).exists() and state_of(change) in {"ready", "conflict"}


def is_small(change: Change) -> bool:
    """Small enough to be computed while the person waits."""
    return change.items.count() <= settings.INLINE_ITEMS


def at_once(change: Change) -> bool:
    """Whether a verb computes it under its lock: where it is small, and nobody computes it already. Else the task follows."""
    return is_small(change) and not is_computing(computation_of(change.number))
