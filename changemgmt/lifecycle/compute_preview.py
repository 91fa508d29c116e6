"""Compute the preview of a change, and with it its risk, on the architecture as it is now."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.architecture.queries import current_revision
from changemgmt.audit.actions import record
from changemgmt.changes.models import AMENDABLE, Change, Preview, State
from changemgmt.core.verdict import YES, Verdict
from changemgmt.preview.queries import state_of

from . import may
from .move import locked
from .prepare import is_small
from .reopen_review import compute_anew


def may_compute(change: Change, *, actor: User) -> Verdict:
    """Its requester, owner, implementers or a change manager, as long as the content can still move."""
    refusal = may.requester_owner_or_manager(actor, change)
    if refusal and not may.implementer(actor, change):
        refusal = ""
    if change.state == State.INFO_REQUESTED:
        return Verdict(refusal=refusal, impossible="Information is requested: the preview is computed again when the answer is there.")
    if refusal or change.state in (State.DRAFT, *AMENDABLE):
        return Verdict(refusal=refusal) if refusal else YES
    return Verdict(impossible=f"The preview of a change that is {change.get_state_display().lower()} is kept as it was.")


def ask_for_preview(number: str, *, actor: User, now: datetime) -> bool:
    """Compute it at once when the change is small (True), else put it on the record as asked for, and the task follows (False)."""
    with transaction.atomic():
        change = locked(number, actor)
        may_compute(change, actor=actor).enforce()
        if is_small(change):
            compute(change, actor=actor, now=now)
            return True
        running = {"state": Preview.State.RUNNING, "started_at": now}
        Preview.objects.update_or_create(
            change=change,
            defaults=running,
            create_defaults={**running, "version": change.version, "items_digest": "", "revision": current_revision()},
        )
        record("preview.asked", actor=actor.username, object=f"change:{number}", change=number, now=now, data={"version": change.version})
    return False


def compute_asked(number: str, *, now: datetime) -> None:
    """The task's part: compute what was asked for. Asked again, it changes nothing."""
    with transaction.atomic():
        change = locked(number, None)
        if change.state in (State.DRAFT, *AMENDABLE) and state_of(change) not in {"ready", "conflict"}:
            compute(change, actor=None, now=now)


def compute(change: Change, *, actor: User | None, now: datetime) -> None:
    compute_anew(change, now=now)
    data = {"version": change.version, "affected": change.affected_count, "risk": change.risk_level}
    record("preview.computed", actor=actor.username if actor else "", object=f"change:{change.number}", change=change.number, now=now, data=data)
