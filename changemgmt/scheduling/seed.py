"""The starter pack of the calendar: one business calendar, and no freeze."""

from datetime import datetime

from .models import BusinessCalendar


def seed(*, now: datetime) -> None:
    """Add the default calendar where there is none; what an administrator set stays."""
    if not BusinessCalendar.objects.filter(is_default=True).exists():
        BusinessCalendar.objects.get_or_create(name="Business hours", defaults={"is_default": True})
