"""Editing what hangs on a change: attachments and links. Both are content, so both are signed."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from changemgmt.accounts.models import User
from changemgmt.changes.fields import Mistake, choice, text, web_address
from changemgmt.changes.models import Attachment, Change, Link
from changemgmt.changes.queries import visible
from changemgmt.core.errors import Invalid, NotFound, TooLarge
from changemgmt.scheduling.actions import hold_calendar

from .editing import editing

LARGEST = 25 * 1024 * 1024
MOST_ATTACHMENTS = 100
OTHER_CHANGE = {Link.Kind.DEPENDS_ON, Link.Kind.BLOCKS, Link.Kind.RELATED}


def attach(number: str, *, file: UploadedFile, actor: User, now: datetime, seen: str | None) -> Attachment:
    """Add a file. It is kept under a name nobody can guess and only ever served as a download."""
    if (file.size or 0) > LARGEST:
        raise TooLarge(f"A file has at most {LARGEST // 1024 // 1024} MB.")
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        if edit.change.attachments.count() >= MOST_ATTACHMENTS:
            raise Invalid.field("file", f"A change has at most {MOST_ATTACHMENTS} attachments.")
        return store_file(edit.change, file, by=actor, now=now)


def store_file(change: Change, file: UploadedFile, *, by: User, now: datetime, evidence: bool = False) -> Attachment:
    """Keep an uploaded file with its hash. The content type is what the sender says and only ever shown."""
    sha256 = hashlib.sha256()
    for chunk in file.chunks():
        sha256.update(chunk)
    name = (file.name or "file").replace("\\", "/").rsplit("/", 1)[-1][:255]
    return Attachment.objects.create(
        change=change,
        file=file,
        name=name,
        size=file.size or 0,
        content_type=(file.content_type or "")[:100],
        sha256=sha256.hexdigest(),
        by=by,
        at=now,
        evidence=evidence,
    )


def detach(number: str, attachment_id: int, *, actor: User, now: datetime, seen: str | None) -> Change:
    """Take an attachment away. Earlier versions still name it by its hash."""
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        deleted, _ = edit.change.attachments.filter(pk=attachment_id, evidence=False).delete()
        if not deleted:
            raise NotFound("This change has no attachment with this id.")
    return edit.change


def link(number: str, fields: dict[str, Any], *, actor: User, now: datetime, seen: str | None) -> Link:
    """Tie the change to another one, or to something in another system. Order between changes has no cycles."""
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        kind, target = cleaned(fields, "kind", choice(*Link.Kind.values)), cleaned(fields, "target", text(300, required=True))
        system, url = cleaned(fields, "system", text(60), ""), cleaned(fields, "url", web_address, "") or ""
        if kind not in OTHER_CHANGE:
            return Link.objects.get_or_create(change=edit.change, kind=kind, system=system, target=target, defaults={"url": url})[0]
        other = other_change(actor, target)
        if kind != Link.Kind.RELATED:
            hold_calendar()  # one at a time, so that two links can't close a circle
        refuse_cycle(edit.change, kind, other)
        named = "" if other.confidential else other.number  # it is signed and recorded, for everybody who sees this change
        return Link.objects.get_or_create(change=edit.change, kind=kind, other=other, system="", defaults={"target": named})[0]


def other_change(actor: User, number: str) -> Change:
    try:
        return visible(actor, number)
    except NotFound as error:
        raise Invalid.field("target", error.detail) from None


def cleaned(fields: dict[str, Any], name: str, cleaner: Any, default: Any = None) -> Any:
    try:
        return cleaner(fields[name] if fields.get(name) is not None else default)
    except Mistake as mistake:
        raise Invalid.field(name, str(mistake)) from None


def refuse_cycle(change: Change, kind: str, other: Change) -> None:
    """`depends_on` and `blocks` say an order; following it from the later change must never come back to it."""
    if kind == Link.Kind.RELATED and other != change:
        return
    first, then = (other, change) if kind == Link.Kind.DEPENDS_ON else (change, other)
    waiting, reached = [first.pk], set()
    while waiting:
        reached.update(waiting)
        needs = Link.objects.filter(kind=Link.Kind.DEPENDS_ON, change__in=waiting).values_list("other", flat=True)
        blocked_by = Link.objects.filter(kind=Link.Kind.BLOCKS, other__in=waiting).values_list("change", flat=True)
        waiting = [key for key in {*needs, *blocked_by} if key not in reached]
    if then.pk in reached:
        raise Invalid.field("target", "These changes would wait for each other: the order of changes has no cycles.")


def unlink(number: str, link_id: int, *, actor: User, now: datetime, seen: str | None) -> Change:
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        deleted, _ = edit.change.links.filter(pk=link_id).delete()
        if not deleted:
            raise NotFound("This change has no link with this id.")
    return edit.change
