"""Comments and watching: open to everybody who sees the change, and never part of what is signed."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.audit.actions import Personal, record
from changemgmt.changes.documents import write_documents
from changemgmt.changes.fields import Mistake, person, text
from changemgmt.changes.models import Change, Comment, State
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible

from . import may
from .move import locked
from .rights import settle_rights

MOST_WATCHERS = 200
WRITERS = ("requester", "approver", "cab_member", "change_manager", "implementer", "administrator")


def add_comment(number: str, comment: str, *, actor: User, now: datetime) -> Comment:
    """Say something about a change. @names are told."""
    with transaction.atomic():
        change = locked(number, actor)
        refuse_readers(actor)
        try:
            cleaned = text(20_000, required=True)(comment)
        except Mistake as mistake:
            raise Invalid.field("text", str(mistake)) from None
        row = Comment.objects.create(change=change, author=actor, text=cleaned, at=now)
        record("comment.added", actor=actor.username, object=f"change:{number}", change=number, now=now, data={"comment": row.pk})
    return row


def refuse_readers(actor: User) -> None:
    if has_role(actor, "viewer", "auditor") and not has_role(actor, *WRITERS):
        raise NotPermitted("Viewers and auditors read; they don't write.")


def watch(number: str, username: str, *, actor: User, now: datetime) -> Change:
    """Be told about a change. Somebody else is added by its requester, owner or a change manager."""
    return set_watching(number, username, actor=actor, now=now, watching=True)


def unwatch(number: str, username: str, *, actor: User, now: datetime) -> Change:
    return set_watching(number, username, actor=actor, now=now, watching=False)


def set_watching(number: str, username: str, *, actor: User, now: datetime, watching: bool) -> Change:
    with transaction.atomic():
        change = locked(number, actor)
        refuse_readers(actor)
        try:
            watcher = person(username)
        except Mistake as mistake:
            raise Invalid.field("username", str(mistake)) from None
        if watcher != actor and may.requester_owner_or_manager(actor, change):
            raise NotPermitted("Only its requester, its owner or a change manager may add or remove others as watchers.")
        if change.state == State.CLOSED and watching:
            raise NotPossible("A closed change is not watched any more.")
        if watching and change.watchers.count() >= MOST_WATCHERS:
            raise Invalid.field("username", f"A change has at most {MOST_WATCHERS} watchers.")
        there = change.watchers.filter(pk=watcher.pk).exists()
        if there != watching:
            (change.watchers.add if watching else change.watchers.remove)(watcher)
            settle_rights(change, now=now)
            write_documents([change.pk])
            action = "watcher.added" if watching else "watcher.removed"
            record(action, actor=actor.username, object=f"change:{number}", change=number, now=now, data={"watcher": Personal(watcher.username)})
    return change
