"""Checking the record against what it should hold: every change there is has a stream of its own."""

from __future__ import annotations

from datetime import datetime

from changemgmt.audit.verify import Progress, Report, verify
from changemgmt.changes.models import Change


def verify_record(*, now: datetime, progress: Progress | None = None) -> Report:
    """Check the whole record; a change without a stream is a stream that is gone."""
    return verify(now=now, progress=progress, expected=Change.objects.values_list("number", flat=True).iterator())
