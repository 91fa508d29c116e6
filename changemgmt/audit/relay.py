"""Handing events to what reacts to them, from the outbox. The database holds what is owed; the message only says "look"."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models import F, Q

from .models import OutboxEntry

logger = logging.getLogger(__name__)

DRAIN = "changemgmt.drain_outbox"
LEASE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
QUIET_AFTER_FAILURE = 5.0


def drain(reactions: Mapping[str, Sequence[Any]], *, now: datetime, limit: int = 200) -> int:
    """Start the reactions of the events that are due, oldest first; returns how many events were handed over.

    `reactions` maps each kind of event to Celery tasks, which are called with `event_id`. An entry goes once all its
    reactions are started. One that fails, or whose kind nobody knows, stays and is tried again, ever later.
    """
    entries = claim(now=now, limit=limit)
    done, failure = [], ""
    for entry in entries:
        # One broker serves all: after it failed once the others are not tried in this round.
        failure = failure or start(entry, reactions)
        if not failure:
            done.append(entry.pk)
        elif put_back(entry, failure, now=now):
            failure = ""
    OutboxEntry.objects.filter(pk__in=done).delete()
    return len(done)


def claim(*, now: datetime, limit: int) -> list[OutboxEntry]:
    """Take due entries for the length of a lease, so that two drains never start the same; a crash only costs the lease."""
    with transaction.atomic():
        due = OutboxEntry.objects.filter(Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now)).order_by("id")
        entries = list(due.select_for_update(skip_locked=True)[:limit])
        OutboxEntry.objects.filter(pk__in=[entry.pk for entry in entries]).update(attempts=F("attempts") + 1, next_attempt_at=now + LEASE)
    return entries


def start(entry: OutboxEntry, reactions: Mapping[str, Sequence[Any]]) -> str:
    """Start every reaction to the event; returns what went wrong, empty when all was well."""
    if entry.kind not in reactions:
        return f"unknown: no line for {entry.kind} in the table of reactions"
    try:
        for task in reactions[entry.kind]:
            task.delay(event_id=entry.event)
    except Exception as error:  # noqa: BLE001  whatever a broker raises, the entry has to stay
        logger.warning("the reactions to event %s could not be started: %s", entry.event, error)
        return f"{type(error).__name__}: {error}"
    return ""


def put_back(entry: OutboxEntry, failure: str, *, now: datetime) -> bool:
    """Leave the entry for later. True when the fault is the entry's own, so that the others may go on."""
    OutboxEntry.objects.filter(pk=entry.pk).update(next_attempt_at=now + wait_after(entry.attempts + 1), last_error=failure[:300])
    return failure.startswith("unknown:")


def wait_after(attempts: int) -> timedelta:
    """How long an entry waits after its n-th failure: 5 s, 10 s, 20 s … up to an hour."""
    return min(timedelta(seconds=5) * 2 ** min(attempts - 1, 12), LONGEST_WAIT)


class Doorbell:
    """Rings the worker from a thread of its own, so that a broker that is slow or down costs the act nothing.

    Several acts in a moment make one ring. After a failure it keeps quiet for some seconds: the scheduler drains anyway.
    """

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self.guard = threading.Lock()
        self.process = 0

    def ring(self) -> None:
        """Ask for a ring; returns at once."""
        self.wanted.set()
        if self.process != os.getpid():
            with self.guard:
                self.begin()

    def begin(self) -> None:
        """Start the thread, once per process: a fork does not take threads along."""
        if self.process != os.getpid():
            self.process = os.getpid()
            threading.Thread(target=self.work, name="doorbell", daemon=True).start()

    def work(self) -> None:
        quiet_until = 0.0
        while self.wanted.wait():
            self.wanted.clear()
            if monotonic() >= quiet_until and not self.sent():
                quiet_until = monotonic() + QUIET_AFTER_FAILURE

    def sent(self) -> bool:
        try:
            current_app.send_task(DRAIN, retry=False, expires=60)
        except Exception as error:  # noqa: BLE001  the scheduler drains what the bell could not announce
            logger.warning("the worker could not be woken: %s", error)
            return False
        return True


bell = Doorbell()


def ring() -> None:
    """Wake the worker that drains the outbox; never fails, never waits."""
    bell.ring()
