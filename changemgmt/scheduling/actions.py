"""Writes and locks of the calendar's own rows."""

from __future__ import annotations

from .models import BusinessCalendar


def hold_calendar() -> None:
    """Let one scheduling at a time through, until the caller's transaction ends: two changes that collide can't both pass the guards.

    The lowest calendar row is the lock; the starter pack brings one.
    """
    BusinessCalendar.objects.select_for_update().order_by("pk").first()
