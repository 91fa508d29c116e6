"""Writing the record: an event goes in with the act it tells of, in the same transaction or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from .context import current
from .models import Event, OutboxEntry, PersonalValue, Stream, Verification
from .relay import ring
from .rules import Act, Clear, Personal, clean, hash_of, text_of

__all__ = ["Personal", "record", "record_refusal", "report_verification", "start_verification"]

SYSTEM = "system"


def record(
    action: str,
    *,
    actor: str,
    object: str,
    now: datetime,
    change: str = "",
    stream: str = "",
    differences: Iterable[Any] = (),
    data: Mapping[str, Any] | None = None,
    on_behalf_of: str = "",
) -> Event:
    """Append one event, and what is owed to those who react to it, in the caller's transaction.

    `actor` is a username, empty for the system itself. The stream is the change's unless given, `admin` without a change.
    Values wrapped in `Personal` stand in the text as commitments. Raises RuntimeError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An event is recorded in the transaction of its act.")
    context = current()
    act = Act(
        action, object, now, actor or SYSTEM, context.channel, context.address, context.request_id, on_behalf_of, change, tuple(differences), data or {}
    )  # fmt: skip
    event = append(act, stream or change or "admin")
    OutboxEntry.objects.create(event=event.pk, kind=action, change=event.change, created_at=now)
    transaction.on_commit(ring, robust=True)
    return event


def append(act: Act, name: str) -> Event:
    """Write the act at the end of its stream, whose row stays locked until the transaction ends."""
    stream = locked(name)
    sequence = stream.length + 1
    text, clears = text_of(act, name, sequence, lambda: secrets.token_hex(16))
    event = Event.objects.create(
        stream=name, sequence=sequence, at=act.at, action=act.action, object=clean(act.object)[:800], change=clean(act.change), channel=act.channel,
        text=text, previous_hash=stream.head, hash=hash_of(stream.head, text),
    )  # fmt: skip
    keep(event, clears)
    Stream.objects.filter(pk=stream.pk).update(length=sequence, head=event.hash)
    return event


def locked(name: str) -> Stream:
    """The row of the stream, locked; made when this is its first event."""
    stream = Stream.objects.select_for_update().filter(name=name).first()
    if stream is None:
        # Two first events at once: both try, one row comes to be, and the lock decides who is first.
        Stream.objects.bulk_create([Stream(name=name)], ignore_conflicts=True)
        stream = Stream.objects.select_for_update().get(name=name)
    return stream


def keep(event: Event, clears: list[Clear]) -> None:
    """Store the clear values behind the event's commitments where they can be erased."""
    PersonalValue.objects.bulk_create(
        PersonalValue(event=event.pk, path=clear.path, salt=clear.salt, value=clear.value, beginning=clear.value[: PersonalValue.BEGINNING])
        for clear in clears
    )


def record_refusal(
    action: str,
    *,
    actor: str,
    object: str,
    reason: str,
    now: datetime,
    change: str = "",
    data: Mapping[str, Any] | None = None,
    on_behalf_of: str = "",
) -> Event:
    """Record that `action` was refused, as `access.denied` in the stream `auth`.

    It has a transaction of its own: call it after the refused act rolled back.
    """
    with transaction.atomic():
        return record(
            "access.denied",
            actor=actor, object=object, now=now, change=change, stream="auth", data={**(data or {}), "attempted": action, "reason": reason}, on_behalf_of=on_behalf_of,
        )  # fmt: skip


def start_verification(*, actor: str, now: datetime) -> Verification:
    """Ask for the whole record to be checked; a reaction to the event does it. One that still waits is answered as it is."""
    with transaction.atomic():
        waiting = Verification.objects.filter(state=Verification.State.RUNNING, asked_at__gt=now - Verification.GIVE_UP).first()
        if waiting:
            return waiting
        run = Verification.objects.create(asked_at=now)
        record("verification.started", actor=actor, object=f"verification:{run.pk}", now=now)
    return run


def report_verification(run: Verification, report: Any, *, now: datetime) -> None:
    """Keep what a verification found, once."""
    with transaction.atomic():
        open_run = Verification.objects.select_for_update().filter(pk=run.pk, state=Verification.State.RUNNING).first()
        if open_run is None:
            return
        found = {"ok": report.ok, "events": report.events, "streams": report.streams, "first_bad": report.first_bad, "kind": report.kind}
        Verification.objects.filter(pk=run.pk).update(state=Verification.State.DONE, at=now, message=report.message[:1000], **found)
        record("verification.finished", actor="", object=f"verification:{run.pk}", now=now, data=found)
