"""Cancel: a change is given up before it began."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change, Result
from changemgmt.core.verdict import Guard, Verdict

from . import may
from .move import check_seen, legal, locked, move
from .review import close_pending
from .rights import settle_rights


def may_cancel(change: Change, *, actor: User, reason: str = "") -> Verdict:
    """Before it is implementing, with a reason."""
    refusal = may.requester_owner_or_manager(actor, change)
    if refusal or not legal(change, "cancel"):
        return Verdict(refusal=refusal, impossible=f"A change that is {change.get_state_display().lower()} can't be cancelled.")
    return Verdict(guards=reason_given(reason, actor))


def reason_given(reason: str, actor: User) -> tuple[Guard, ...]:
    """The guard of every act that asks why."""
    return () if reason.strip() else (Guard("reason_given", "Say why.", (actor.username,)),)


def cancel(number: str, *, actor: User, now: datetime, reason: str, seen: str | None = None) -> Change:
    """Give a change up; its open requests leave their queues at once."""
    with transaction.atomic():
        change = locked(number, actor)
        may_cancel(change, actor=actor, reason=reason).enforce()
        check_seen(change, seen)
        close_pending(change, "cancelled", now=now)
        change.result, change.closed_at = Result.CANCELLED, now
        change.planned_start = change.planned_end = None
        move(change, "cancel", actor=actor, now=now, data={"reason": reason})
        settle_rights(change, now=now)
    return change
