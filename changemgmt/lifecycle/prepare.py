"""What approvers need before they can decide: the preview and the assessment of the version as it is."""

from __future__ import annotations

from datetime import datetime

from changemgmt.architecture.impact import trusted
from changemgmt.assessment.actions import assess_change
from changemgmt.changes.models import Change, Preview
from changemgmt.preview.actions import store
from changemgmt.preview.compute import compute
from changemgmt.preview.queries import state_of

INLINE_ITEMS = 200


def prepare(change: Change, *, now: datetime) -> None:
    """Compute preview and assessment of a locked change and keep them; the caller saves the change."""
    computed = compute(change, now=now)
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
    kept = Preview.objects.filter(change=change, version=change.version)
    return kept.exists() and change.assessments.filter(version=change.version).exists() and state_of(change) in {"ready", "conflict"}


def is_small(change: Change) -> bool:
    """Small enough to be computed while the person waits."""
    return change.items.count() <= INLINE_ITEMS
