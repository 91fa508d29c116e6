"""Revise: the requester takes a change back whole."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.approvals.casting import supersede_all
from changemgmt.changes.actions import note_author
from changemgmt.changes.models import Change
from changemgmt.core.verdict import Verdict

from . import may
from .move import check_seen, legal, locked, move
from .review import close_pending
from .rights import settle_rights


def may_revise(change: Change, *, actor: User) -> Verdict:
    """Not once it was started."""
    if not legal(change, "revise"):
        return Verdict(
            refusal=may.requester_or_owner(actor, change), impossible=f"A change that is {change.get_state_display().lower()} can't be taken back."
        )
    return Verdict(refusal=may.requester_or_owner(actor, change))


def revise(number: str, *, actor: User, now: datetime, seen: str | None = None, comment: str = "") -> Change:
    """Back to draft as the next version. Open requests are withdrawn; votes given stay on record as superseded."""
    with transaction.atomic():
        change = locked(number, actor)
        may_revise(change, actor=actor).enforce()
        check_seen(change, seen)
        close_pending(change, "taken back", now=now)
        supersede_all(change, "The change was taken back.", now=now)
        change.version += 1
        change.edits = 1
        change.chain = ""
        change.planned_start = change.planned_end = change.approval_expires_at = change.decided_at = None
        change.retrospective, change.go_ahead_by = False, None
        note_author(change, actor)
        move(change, "revise", actor=actor, now=now, comment=comment)
        settle_rights(change, now=now)
    return change
