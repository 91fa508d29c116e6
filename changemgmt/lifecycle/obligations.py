"""Obligations: the conditions of an approval are shown to be met, accepted, or waived by who set them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role, persons, same_person
from changemgmt.approvals.models import ActionItem
from changemgmt.audit.actions import record
from changemgmt.changes.models import State
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import Invalid, NotFound, TooLarge
from changemgmt.core.text import given_text
from changemgmt.core.time import rfc3339
from changemgmt.core.verdict import Guard, Verdict

from .cancel import reason_given
from .edit.ties import LARGEST, store_file
from .move import locked

KINDS = ("statement", "file", "link")
OVER = (State.CLOSED, State.CANCELLED)


def locked_item(item_id: int, actor: User, number: str | None) -> ActionItem:
    """The item, its change locked; NotFound where the actor may not see the change."""
    rows = ActionItem.objects.filter(pk=item_id, change__in=visible_to(actor))
    found = rows.filter(change__number=number).first() if number is not None else rows.first()
    if found is None:
        raise NotFound("There is no condition with this id that you may see.")
    change = locked(found.change.number, actor)
    item = ActionItem.objects.select_related("owner", "set_by", "vote").get(pk=item_id)
    item.change = change
    return item


def may_give_evidence(item: ActionItem, *, actor: User) -> Verdict:
    """Its owner, or an implementer of the change, while it is open."""
    owners = {item.owner.person} | {person.person for person in item.change.implementers.all()}
    refusal = (
        ""
        if actor.person in owners and not actor.is_service
        else f"Only {item.owner.username}, who owns this condition, or an implementer gives its evidence."
    )
    return Verdict(refusal=refusal, impossible=closed(item))


def closed(item: ActionItem) -> str:
    """Why nothing is done with the item any more. One that expired is still owed while the approval that demanded it counts."""
    lapsed = item.state == ActionItem.State.EXPIRED and item.vote is not None and item.vote.superseded
    if lapsed or item.state in (ActionItem.State.DONE, ActionItem.State.WAIVED):
        return f"This condition is {item.get_state_display()}."
    return f"The change is {item.change.get_state_display().lower()}." if item.change.state in OVER else ""


def give_evidence(
    item_id: int, evidence: Mapping[str, Any], *, actor: User, now: datetime, file: Any = None, number: str | None = None
) -> ActionItem:
    """Add a statement, a link or a file. It waits for acceptance by who set the condition, or by a change manager who does not own it."""
    with transaction.atomic():
        item = locked_item(item_id, actor, number)
        verdict = may_give_evidence(item, actor=actor)
        Verdict(refusal=verdict.refusal).enforce()
        given = read_evidence(item, evidence, file)
        Verdict(impossible=verdict.impossible).enforce()
        if file is not None:
            given["attachment"] = store_file(item.change, file, by=actor, now=now, evidence=True).pk
        item.evidence = [*item.evidence, {**given, "by": actor.username, "at": rfc3339(now)}]
        if item.state == ActionItem.State.OPEN:
            item.state = ActionItem.State.EVIDENCE_GIVEN
        item.save(update_fields=["evidence", "state"])
        told(item, "condition.evidence_given", actor=actor, now=now, data={"kind": given["kind"]})
    return item


def read_evidence(item: ActionItem, evidence: Mapping[str, Any], file: Any) -> dict[str, Any]:
    """What was given, as it is kept; Invalid at the field that is wrong, or where it is of another kind than was demanded."""
    kind = evidence.get("kind")
    if kind not in KINDS:
        raise Invalid.field("kind", f"One of {', '.join(KINDS)}.")
    if item.evidence_kind in ("file", "link") and kind != item.evidence_kind:
        raise Invalid.field("kind", f"This condition asks for a {item.evidence_kind}.")
    if item.evidence_kind == ActionItem.Evidence.CHECK and kind == "statement":
        raise Invalid.field("kind", "This condition asks for an automated check: give a link to its run, or its report as a file.")
    if kind == "statement":
        return {"kind": kind, "text": text_of(evidence.get("text"))}
    if kind == "link":
        return {"kind": kind, "url": url_of(evidence.get("url"))}
    if file is None:
        raise Invalid.field("file", "Send the file as multipart.")
    if (file.size or 0) > LARGEST:
        raise TooLarge(f"A file has at most {LARGEST // 1024 // 1024} MB.")
    return {"kind": kind, "name": file.name}


def text_of(value: Any) -> str:
    return given_text(value, "text", required=True)


def url_of(value: Any) -> str:
    try:
        URLValidator(schemes=["http", "https"])(value)
    except ValidationError:
        raise Invalid.field("url", "Give a link that begins with http:// or https://.") from None
    if len(value) > 1000:
        raise Invalid.field("url", "A link has at most 1000 characters.")
    return str(value)


def may_accept(item: ActionItem, *, actor: User) -> Verdict:
    """Who set it, or a change manager who is not its owner, once evidence is there. Nobody accepts their own evidence."""
    if not same_person(actor, item.set_by) and not (has_role(actor, "change_manager") and not same_person(actor, item.owner)):
        return Verdict(refusal=f"Only {item.set_by.username}, who set this condition, or a change manager who does not own it accepts the evidence.")
    if item.evidence_kind == ActionItem.Evidence.VOTE and same_person(actor, item.owner):
        return Verdict(refusal="This condition asks for a second person's word.")
    if actor.person in givers(item):
        return Verdict(refusal="You gave this evidence yourself: somebody else has to accept it.")
    if why := closed(item):
        return Verdict(impossible=why)
    if not item.evidence:
        return Verdict(guards=(Guard("evidence_given", "There is no evidence to accept yet.", (item.owner.username,)),))
    return Verdict()


def givers(item: ActionItem) -> set[str]:
    """The human beings who gave evidence for it."""
    return persons(User.objects.filter(username__in={entry["by"] for entry in item.evidence})) if item.evidence else set()


def accept(item_id: int, *, actor: User, now: datetime, comment: str = "", number: str | None = None) -> ActionItem:
    """The evidence is good: the condition is done. Accepted again by the same person, nothing changes."""
    with transaction.atomic():
        item = locked_item(item_id, actor, number)
        if item.state == ActionItem.State.DONE and item.closed_by_id == actor.pk:
            return item
        may_accept(item, actor=actor).enforce()
        close(item, ActionItem.State.DONE, actor=actor, now=now, comment=comment)
        told(item, "condition.accepted", actor=actor, now=now, data={"comment": comment})
    return item


def may_waive(item: ActionItem, *, actor: User, reason: str = "") -> Verdict:
    """Only who set it, with a reason."""
    if not same_person(actor, item.set_by):
        return Verdict(refusal=f"Only {item.set_by.username}, who set this condition, can waive it.")
    if why := closed(item):
        return Verdict(impossible=why)
    return Verdict(guards=reason_given(reason, actor))


def waive(item_id: int, *, actor: User, now: datetime, reason: str, number: str | None = None) -> ActionItem:
    """Its setter asks for it no more."""
    with transaction.atomic():
        item = locked_item(item_id, actor, number)
        may_waive(item, actor=actor, reason=reason).enforce()
        close(item, ActionItem.State.WAIVED, actor=actor, now=now, comment=reason)
        told(item, "condition.waived", actor=actor, now=now, data={"reason": reason})
    return item


def close(item: ActionItem, state: str, *, actor: User, now: datetime, comment: str) -> None:
    item.state, item.closed_by, item.closed_at, item.closed_comment = state, actor, now, given_text(comment, "comment")
    item.save(update_fields=["state", "closed_by", "closed_at", "closed_comment"])


def told(item: ActionItem, action: str, *, actor: User, now: datetime, data: dict[str, Any]) -> None:
    record(
        action, actor=actor.username, object=f"condition:{item.pk}", change=item.change.number, now=now,
        data={"text": item.text, "due": item.due, "owner": item.owner.username, "set_by": item.set_by.username, **data},
    )  # fmt: skip
