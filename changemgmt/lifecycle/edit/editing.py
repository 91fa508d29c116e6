"""The frame of every edit. What an edit means for votes and windows is settled here, once, in its transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.audit.actions import record
from changemgmt.changes.actions import note_author
from changemgmt.changes.digest import content_of
from changemgmt.changes.models import AMENDABLE, Change, State
from changemgmt.core.canonical import digest
from changemgmt.core.diff import differences
from changemgmt.core.verdict import YES, Verdict
from changemgmt.planning.models import Step

from .. import may
from ..move import check_seen, locked, move
from ..review import renew_round
from ..rights import settle_rights

RELEASES_WINDOW = {"window", "items", "plan"}


@dataclass
class Edit:
    """One edit under way: the locked change, and its content before, by part."""

    change: Change
    actor: User
    now: datetime
    before: dict[str, Any]
    extra: list[Any] = field(default_factory=list)
    authors: list[User] = field(default_factory=list)
    """Others who answer for the content as it will be, besides the actor."""
    comment: str = ""


def may_edit(change: Change, *, actor: User, material: bool = True) -> Verdict:
    """May this person edit the content (or, when not material, the rest of the record) now?"""
    refusal = may.requester_or_owner(actor, change)
    if refusal and not material and has_role(actor, "change_manager"):
        refusal = ""
    if refusal or actor.is_service and change.requester_id != actor.pk:
        return Verdict(refusal=refusal or "A service account can edit only what it requested.")
    if material and change.state == State.REJECTED:
        return Verdict(impossible="A rejected change is edited after it was taken back: use “revise” first.")
    if material and change.state not in (State.DRAFT, *AMENDABLE):
        return Verdict(impossible=f"The content of a change that is {change.get_state_display().lower()} can't be edited any more.")
    if change.state == State.CLOSED:
        return Verdict(impossible=f"A change that is {change.get_state_display().lower()} can't be edited any more.")
    return YES


@contextmanager
def editing(number: str, *, actor: User, now: datetime, seen: str | None, material: bool = True, comment: str = "") -> Iterator[Edit]:
    """Lock the change, refuse who may not or saw another version, run the edit, then settle what it means."""
    with transaction.atomic():
        change = locked(number, actor)
        verdict = may_edit(change, actor=actor, material=material)
        if verdict.refusal:
            verdict.enforce()
        if seen is None:
            check_seen(change, seen)
        verdict.enforce()
        check_seen(change, seen)
        edit = Edit(change, actor, now, before=content_of(change), comment=comment)
        yield edit
        settle(edit)


def settle(edit: Edit) -> None:
    """After the edit: count it, note the author, and, beyond draft, let exactly the votes fall whose parts moved."""
    change = edit.change
    change.irreversible_steps = Step.objects.filter(plan__change=change, irreversible=True).count()
    after = content_of(change)
    moved = {part for part in after if digest(after[part]) != digest(edit.before[part])}
    found = [*differences(edit.before, after), *edit.extra]
    change.updated_at = edit.now
    if moved and change.state != State.DRAFT:
        amend(edit, moved, found)
    else:
        change.edits += 1
        if moved:
            note_authors(edit)
        change.save()
        name, data = f"change:{change.number}", {"version": change.version, **({"comment": edit.comment} if edit.comment else {})}
        record("change.updated", actor=edit.actor.username, object=name, change=change.number, now=edit.now, differences=found, data=data)
    settle_rights(change, now=edit.now)


def amend(edit: Edit, moved: set[str], found: list[Any]) -> None:
    """A material edit after submission: the next version, the window released where it has to be, and a new round."""
    change = edit.change
    change.version += 1
    change.edits = 1
    change.approval_expires_at = change.decided_at = None
    change.retrospective, change.go_ahead_by = False, None
    if moved & RELEASES_WINDOW:
        change.planned_start = change.planned_end = None
    note_authors(edit)
    move(change, "amend", actor=edit.actor, now=edit.now, comment=edit.comment, differences=found, data={"parts": sorted(moved)})
    renew_round(change, actor=edit.actor, now=edit.now, reason=f"amended to version {change.version}")


def note_authors(edit: Edit) -> None:
    """None of them can vote on this version."""
    for author in (edit.actor, *edit.authors):
        note_author(edit.change, author)
