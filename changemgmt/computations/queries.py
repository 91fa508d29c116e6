"""How far a computation is, told by whoever does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.cache import caches
from django.db.models import QuerySet
from django.db.models.functions import Now

from .models import Computation

SILENCE = timedelta(seconds=20)
"""Who gave no sign of life for so long is gone, and somebody else takes over."""


@dataclass(frozen=True)
class Progress:
    """How far it is: `share` from 0 to 1, and the name of the phase, empty before the first."""

    phase: str = ""
    share: float = 0.0

    @property
    def percent(self) -> int:
        return round(self.share * 100)


def living() -> QuerySet[Computation]:
    """The computations that somebody does now. By the clock of the database, which all processes share."""
    return Computation.objects.filter(token__isnull=False, beat_at__gte=Now() - SILENCE)


def is_computing(name: str) -> bool:
    """Whether somebody does it now."""
    return living().filter(name=name).exists()


def progress_of(name: str) -> Progress | None:
    """How far it is; None when nobody does it."""
    token = living().filter(name=name).values_list("token", flat=True).first()
    return noted(token) if token else None


def noted(token: Any) -> Progress:
    """What whoever holds this token said last."""
    phase, share = shared().get(f"progress:{token}") or ("", 0.0)
    return Progress(phase, share)


def shared() -> Any:
    """The cache that all processes see."""
    return caches["shared"]


def cancelled() -> dict[str, str]:
    """The computations that were stopped the last time, each with what it was done for; those begun or done since are not among them."""
    return dict(Computation.objects.filter(token=None, outcome=Computation.Outcome.CANCELLED).values_list("name", "subject"))
