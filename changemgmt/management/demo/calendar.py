"""A freeze to be refused by, and the nights on which the technology may be touched."""

from datetime import datetime, timedelta

from changemgmt.accounts.models import User
from changemgmt.lifecycle.change_calendar import create_freeze, create_window
from changemgmt.scheduling.models import Freeze, MaintenanceWindow

FREEZE = "Quarter-end closing"
WINDOW = "Infrastructure nights"


def add_calendar(*, now: datetime) -> None:
    """Both, unless something of that name is there."""
    manager = User.objects.get(username="max")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if not Freeze.objects.filter(name=FREEZE).exists():
        monday = midnight + timedelta(days=7 + -midnight.weekday() % 7)
        fields = {
            "name": FREEZE,
            "start": monday,
            "end": monday + timedelta(days=1),
            "allowed_types": ["emergency"],
            "reason": "The books are being closed.",
        }
        create_freeze(fields, actor=manager, now=now)
    if not MaintenanceWindow.objects.filter(name=WINDOW).exists():
        saturday = midnight + timedelta(days=(5 - midnight.weekday()) % 7, hours=22)
        technology = {"field": "layers", "op": "contains", "value": "technology"}
        fields = {
            "name": WINDOW,
            "start": saturday,
            "end": saturday + timedelta(hours=6),
            "recurrence": "FREQ=WEEKLY;BYDAY=SA,SU",
            "scope": technology,
        }
        create_window(fields, actor=manager, now=now)
