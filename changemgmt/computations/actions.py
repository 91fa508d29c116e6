"""Taking a computation, living on it, and stopping it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Self

from django.db import DatabaseError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from changemgmt.core.errors import NotPossible

from .models import Computation
from .queries import SILENCE, living, shared

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
KEPT_SECONDS = 3600
RUNG_SECONDS = 60


class Cancelled(Exception):
    """Somebody asked for the computation to stop; `by` is their username."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


class Stopped(NotPossible):
    """What one waited for was cancelled while it ran."""

    slug, title = "cancelled", "Cancelled"


class Lost(Exception):
    """The computation was silent for too long, and somebody else took it over."""


def claim(name: str) -> Work | None:
    """Take the computation of this name; None while somebody else does it. Whoever was silent for too long has lost it."""
    token = uuid.uuid4()
    Computation.objects.get_or_create(name=name)
    with transaction.atomic():
        # Locked by whoever stores its result at this moment: nothing to wait for.
        row = Computation.objects.select_for_update(skip_locked=True).filter(name=name).filter(Q(token=None) | Q(beat_at__lt=Now() - SILENCE)).first()
        if row is None:
            return None
        Computation.objects.filter(pk=row.pk).update(token=token, begun_at=Now(), beat_at=Now(), outcome="", subject="")
    return Work(name, token)


def ask_to_stop(name: str, *, by: str) -> bool:
    """Ask whoever does it to stop, which they do at the next step; False when nobody does it."""
    token = living().filter(name=name).values_list("token", flat=True).first()
    if token:
        shared().set(f"stop:{token}", by, KEPT_SECONDS)
    return token is not None


def ring_once(name: str) -> bool:
    """Whether somebody may be rung for it: once a minute, but again at once when whoever did it then went silent."""
    token = Computation.objects.filter(name=name).values_list("token", flat=True).first()
    return bool(shared().add(f"rung:{name}:{token}", True, RUNG_SECONDS))


def note_cancelled(name: str, *, subject: str) -> None:
    """Remember what it was stopped for, so that it is not begun again by itself; whoever was silent on it has lost it."""
    Computation.objects.update_or_create(name=name, defaults={"token": None, "outcome": Computation.Outcome.CANCELLED, "subject": subject})


class Work:
    """A computation one holds. Used as a context: while it lasts, a thread gives a sign of life and tells how far it is.

    In a transaction of the caller there is no such thread: nobody would see what it wrote, and nobody else can take the row.
    """

    def __init__(self, name: str, token: uuid.UUID) -> None:
        self.name, self.token = name, token
        self.phase, self.share = "", 0.0
        self.stop_asked_by = ""
        self.told_at = 0.0
        self.lost = self.storing = False
        self.over = threading.Event()
        self.beating: threading.Thread | None = None

    def __enter__(self) -> Self:
        if not connection.in_atomic_block:
            self.beating = threading.Thread(target=self._beat, name=f"beat of {self.name}", daemon=True)
            self.beating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        if self.beating:
            self.beating.join()
        if error is not None and not isinstance(error, Lost):
            with suppress(DatabaseError):
                self.end(Computation.Outcome.CANCELLED if isinstance(error, Cancelled) else Computation.Outcome.FAILED)

    def at(self, phase: str, share: float) -> None:
        """Say how far it is. Raises Cancelled where somebody asked for it to stop, Lost where somebody took it over."""
        begins = phase != self.phase
        self.phase, self.share = phase, share
        if self.beating is None and (begins or time.monotonic() > self.told_at + BEAT_SECONDS):
            self._tell()
        if self.lost:
            raise Lost(self.name)
        if self.stop_asked_by:
            raise Cancelled(self.stop_asked_by)

    def hold(self) -> None:
        """Keep it until the caller's transaction ends, in which the result is stored: nobody can take it over any more. Raises Lost."""
        self.storing = True
        if not self._mine().update(beat_at=Now()):
            self.lost = True
            raise Lost(self.name)

    def end(self, outcome: str = Computation.Outcome.DONE) -> None:
        """Let go of it, in the transaction in which its result is stored."""
        self._mine().update(token=None, outcome=outcome)

    def _mine(self) -> QuerySet[Computation]:
        return Computation.objects.filter(name=self.name, token=self.token)

    def _beat(self) -> None:
        """The thread: a sign of life and how far it is, every second. What can't be written now is written the next time."""
        try:
            while not self.over.wait(BEAT_SECONDS):
                try:
                    self._tell()
                    if not self.storing:
                        self.lost = not self._mine().update(beat_at=Now())
                except Exception as error:  # noqa: BLE001  a cache or database that is away for a moment ends no computation
                    logger.warning("no sign of life of %s could be given: %s", self.name, error)
        finally:
            connection.close()

    def _tell(self) -> None:
        self.told_at = time.monotonic()
        shared().set(f"progress:{self.token}", (self.phase, self.share), KEPT_SECONDS)
        self.stop_asked_by = shared().get(f"stop:{self.token}") or ""
