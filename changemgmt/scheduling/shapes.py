"""Maintenance windows and freezes as the API and the record show them."""

from __future__ import annotations

from typing import Any

from changemgmt.core.time import rfc3339

from .models import Freeze, MaintenanceWindow, Span

COMMON = ("name", "recurrence", "timezone", "scope")


def span_shape(row: Span) -> dict[str, Any]:
    """One window or freeze as plain data; a freeze also with its allowed types, its reason and what waits for a second person."""
    shape: dict[str, Any] = {"id": row.pk, "name": row.name, "start": rfc3339(row.start), "end": rfc3339(row.end)}
    shape |= {"recurrence": row.recurrence or None, "timezone": row.timezone, "scope": row.scope}
    if isinstance(row, Freeze):
        shape |= {"allowed_types": row.allowed_types, "reason": row.reason, "pending": row.pending}
        shape["pending_by"] = row.pending_by.username if row.pending_by else None
    elif isinstance(row, MaintenanceWindow):
        shape["allowed_types"] = []
    return shape
