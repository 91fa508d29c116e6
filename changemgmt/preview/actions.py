"""Writes of the preview: what was computed is kept; items are applied to the live architecture and taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from changemgmt.architecture.actions import Applied, lock, write
from changemgmt.architecture.catalogue import Catalogue
from changemgmt.architecture.queries import current_revision, portions
from changemgmt.architecture.trust import said_now
from changemgmt.changes.models import Change, Item, Preview, Reach
from changemgmt.core.errors import NotPossible
from changemgmt.core.time import rfc3339

from .compute import Computed, overlay_images
from .drift import base_of
from .models import AppliedItem
from .queries import further_of, made_from, not_as_written, public_name
from .reverting import undoing

BATCH = 1000


def store(change: Change, computed: Computed, *, now: datetime) -> Preview:
    """Keep what was computed, in the place of what was kept before, with the reach it is found by."""
    preview, _ = Preview.objects.update_or_create(
        change=change,
        defaults={
            "state": computed.state,
            "version": change.version,
            "items_digest": made_from(change, further_of(change)),
            "revision": computed.revision,
            "impact": computed.impact,
            "diff": computed.diff,
            "summary": computed.summary,
            "checks": computed.checks,
            "drift": computed.drift,
            "layout": computed.layout,
            "result_digest": computed.result_digest,
            "started_at": now,
            "computed_at": now,
            "error": "",
        },
    )
    Reach.objects.filter(change=change).delete()
    Reach.objects.bulk_create([Reach(change=change, key=key, score=score, direct=direct) for key, score, direct in computed.reach], batch_size=BATCH)
    change.preview = preview
    return preview


def mark_asked(change: Change, *, now: datetime) -> None:
    """Computing it is owed from now on. What is kept stays until the new is there."""
    running = {"state": Preview.State.RUNNING, "started_at": now, "error": ""}
    create = {**running, "version": change.version, "items_digest": "", "revision": current_revision()}
    Preview.objects.update_or_create(change=change, defaults=running, create_defaults=create)


def follow_further(change: Change, further: dict[str, Any], *, now: datetime) -> None:
    """Follow the change so much further from now on; what is kept is stale by it."""
    if not Preview.objects.filter(change=change).update(further=further):
        mark_asked(change, now=now)
        Preview.objects.filter(change=change).update(further=further)


def put_back(change: Change, *, error: str = "") -> None:
    """Computing it is not owed any more: what was kept before counts again, and where there was nothing, nothing is there.

    With an error the row says why it could not be computed.
    """
    asked = Preview.objects.filter(change=change)
    if error:
        asked.update(state=Preview.State.FAILED, error=error[:300])
        return
    asked = asked.filter(state=Preview.State.RUNNING)
    asked.filter(computed_at=None).delete()
    for preview in asked:
        conflict = any(row["conflict"] for row in preview.drift)
        asked.filter(pk=preview.pk).update(state=Preview.State.CONFLICT if conflict else Preview.State.READY)


def apply_items(change: Change, items: Iterable[Item], *, actor: str, now: datetime, step: str = "") -> Applied:
    """Write these items into the live architecture, in the caller's transaction, as one revision.

    Only where the base did not move or was re-based clean; otherwise NotPossible names base, live and proposed of every conflict.
    """
    lock()
    chosen = list(items)
    _refuse_applied(change, chosen)
    base = base_of(change, chosen)
    conflicts = [row for row in base.drift if row.conflict]
    if conflicts:
        sentences = [replace(row, moved_by=public_name(row.moved_by, change)).sentence for row in conflicts]
        raise NotPossible(f"The architecture moved under this change. {sentences[0]}", errors={"items": sentences})
    steps = said_now(overlay_images(base, Catalogue.load()), rfc3339(now) or "")
    applied = write(steps, actor=actor, now=now, change=change.number, reason=f"step {step}" if step else "")
    if wrong := not_as_written(applied.images):
        raise NotPossible(f"What was written is not what the preview showed, at {', '.join(wrong[:5])}. Nothing was applied.")
    AppliedItem.objects.bulk_create(
        [
            AppliedItem(
                change=change,
                item_id=item.pk,
                step=step,
                object=image.object,
                key=image.key,
                before=image.before,
                after=image.after,
                revision=applied.revision,
            )
            for item, image in zip(chosen, steps, strict=True)
        ],
        batch_size=BATCH,
    )
    return applied


def _refuse_applied(change: Change, items: Sequence[Item]) -> None:
    there = AppliedItem.objects.filter(change=change, reverted_in=None)
    twice = [key for portion in portions([item.pk for item in items]) for key in there.filter(item_id__in=portion).values_list("key", flat=True)[:5]]
    if twice:
        raise NotPossible(f"Applied already: {', '.join(twice[:5])}.")


def revert_items(change: Change, *, actor: str, now: datetime, step: str | None = None) -> Applied | None:
    """Take back what this change applied (or what one step did), in the caller's transaction, as a new revision.

    Where something later moved the same fields it raises NotPossible with their names, and nothing is reverted. None: nothing to revert.
    """
    lock()
    plan = undoing(change, step)
    if not plan.rows:
        return None
    if plan.problems:
        sentences = [f"{sentence}{f' ({public_name(by, change)})' if by else ''}." for _, sentence, by in plan.problems]
        raise NotPossible(f"Later changes stand on this one. {sentences[0]}", errors={"items": sentences})
    applied = write(plan.steps, actor=actor, now=now, change=change.number, reason="revert")
    AppliedItem.objects.filter(pk__in=[row.pk for row in plan.rows]).update(reverted_in=applied.revision)
    return applied
