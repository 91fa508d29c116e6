"""The architecture as it was at a revision or on a day, and what moved between two of these."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from changemgmt.core.errors import Invalid
from changemgmt.core.time import parse_instant

from .exports import LIVE, Source
from .models import Revision
from .queries import current_revision, images_at, names_by_id
from .rules import COMPONENT, OBJECTS, RELATION, Image

LONGEST = 12


def revision_of(text: str, field: str) -> int:
    """The revision a reader names: by its number, by a day (its last one), or by a moment (the last one until then). 0 is before the first.

    Invalid at `field` for what is none of these, or is still to come.
    """
    if text.isascii() and text.isdigit() and len(text) <= LONGEST:
        if int(text) > current_revision():
            raise Invalid.field(field, f"The architecture is at revision {current_revision()}.")
        return int(text)
    until = _end_of(text)
    rows = Revision.objects.filter(at__lt=until) if until else Revision.objects.filter(at__lte=parse_instant(text, field=field))
    return rows.order_by("-number").values_list("number", flat=True).first() or 0


def _end_of(text: str) -> datetime | None:
    """The end of a day, in UTC; None where the text is no day."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight + timedelta(days=1) if day < date.max else midnight


def source_at(revision: int) -> Source:
    """What an export of back then is written from; of the newest revision, the live tables."""
    if revision >= current_revision():
        return LIVE
    return Source(lambda: iter(images_at(COMPONENT, revision).values()), lambda: iter(images_at(RELATION, revision).values()))


def images_between(first: int, last: int) -> list[Image]:
    """Every thing that is another at `last` than it was at `first`, with how it was and how it is. The cost follows what the revisions touched."""
    moved = Revision.objects.filter(number__gt=min(first, last), number__lte=max(first, last)).values_list("touched", flat=True)
    touched = {key for keys in moved for key in keys}
    keys = None if "*" in touched else sorted(key for key in touched if not key.startswith("type:"))
    names = names_by_id()
    found = []
    for object in OBJECTS:
        before, after = images_at(object, first, keys, names), images_at(object, last, keys, names)
        found += [Image(object, key, before.get(key), after.get(key)) for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return found
