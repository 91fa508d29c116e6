"""Reopen as new: what is over becomes the start of another draft."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.audit.actions import record
from changemgmt.changes.actions import next_number, note_author
from changemgmt.changes.documents import write_documents
from changemgmt.changes.fields import FIELDS, MANY
from changemgmt.changes.models import Change, Link, State
from changemgmt.core.verdict import Verdict
from changemgmt.planning.actions import store_plan
from changemgmt.planning.queries import plan_of

from . import may
from .move import check_seen, locked
from .rights import settle_rights

COPIED = [
    name for name in FIELDS if name not in (*MANY, "requester", "requested_start", "requested_end", "verification_checklist", "success_criteria")
]
OVER = (State.CLOSED, State.CANCELLED, State.REJECTED)


def may_reopen(change: Change, *, actor: User) -> Verdict:
    """The requester of what is closed, cancelled or rejected."""
    refusal = may.requester_or_owner(actor, change)
    if not refusal and not has_role(actor, "requester", "change_manager"):
        refusal = "Only people with the role requester or change_manager can request a change."
    return Verdict(
        refusal=refusal,
        impossible="" if change.state in OVER else "Only a change that is closed, cancelled or rejected can be reopened as a new one.",
    )


def reopen_as_new(number: str, *, actor: User, now: datetime, seen: str | None = None) -> Change:
    """Copy record, items and plan into a new draft, linked to the old change."""
    with transaction.atomic():
        old = locked(number, actor)
        may_reopen(old, actor=actor).enforce()
        check_seen(old, seen)
        values = {name: getattr(old, name) for name in (*COPIED, "irreversible_steps")}
        new = Change(number=next_number(now.year), requester=actor, created_at=now, updated_at=now, copied_from=old, **values)
        new.verification_checklist = [entry | {"done": False} for entry in old.verification_checklist]
        new.success_criteria = [{"group": entry["group"], "text": entry["text"], "met": None} for entry in old.success_criteria]
        new.save()
        for name in MANY:
            getattr(new, name).set(getattr(old, name).all())
        write_documents([new.pk])
        copy_items_and_plan(old, new)
        named = "" if old.confidential else old.number
        Link.objects.create(change=new, kind=Link.Kind.RELATED, other=old, target=named)
        note_author(new, actor)
        settle_rights(new, now=now)
        record("change.copied", actor=actor.username, object=f"change:{new.number}", change=new.number, now=now, data={"from": named})
    return new


def copy_items_and_plan(old: Change, new: Change) -> None:
    """Items keep what they were written against; steps name the copies."""
    renamed: dict[int, int] = {}
    for item in old.items.all():
        old_key, item.pk, item.change = item.pk, None, new
        item._state.adding = True
        item.save()
        renamed[old_key] = item.pk
    plan = plan_of(old)
    for step in plan["steps"]:
        step["items"] = [renamed[item] for item in step["items"] if item in renamed]
    if plan["steps"] or plan["gates"]:
        store_plan(new, plan)
