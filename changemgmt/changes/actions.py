"""Writes to the rows of changes that carry no decision: numbers, versions, authorship."""

from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.core.canonical import plain

from .digest import content_of, digest_of, parts_of
from .models import Authorship, Change, NumberSeries, Version


def next_number(year: int) -> str:
    """The next number of the year, without gaps: its row stays locked until the caller's transaction ends."""
    with transaction.atomic():
        NumberSeries.objects.get_or_create(year=year)
        series = NumberSeries.objects.select_for_update().get(year=year)
        series.last += 1
        series.save(update_fields=["last"])
    return f"CHG-{year}-{series.last:05d}"


def note_author(change: Change, user: Any) -> None:
    """Remember that `user` touched the content of the current version: they can't vote on it."""
    Authorship.objects.get_or_create(change=change, version=change.version, user=user)


def seal_version(change: Change, *, by: str, now: datetime, reason: str = "") -> dict[str, str]:
    """Compute the digest of the content as it is, keep the version whole, and return the digests of its parts."""
    parts = parts_of(change)
    change.digest = digest_of(parts)
    content = {"title": change.title, **plain(content_of(change))}
    Version.objects.update_or_create(
        change=change,
        version=change.version,
        defaults={"content": content, "parts": parts, "digest": change.digest, "by": by, "reason": reason, "at": now},
    )
    return parts
