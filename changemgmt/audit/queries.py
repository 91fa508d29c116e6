"""Reads of the record. Which changes a person may see is an argument: the record knows none of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from changemgmt.core.time import rfc3339

from .models import Event, PersonalValue, Verification
from .rules import clean, reveal

PRIVATE_STREAMS = ("auth", "policy", "admin")
FIELDS = (
    "id", "sequence", "stream", "at", "actor", "on_behalf_of", "channel", "address", "request_id", "action", "object", "change", "differences", "data",
    "text", "previous_hash", "hash",
)  # fmt: skip
# One look into the index for each action there is, where DISTINCT would read every event.
ACTIONS = """
    WITH RECURSIVE seen(action) AS (
        SELECT min(action) FROM changemgmt_event
        UNION ALL SELECT (SELECT min(e.action) FROM changemgmt_event e WHERE e.action > seen.action) FROM seen WHERE seen.action IS NOT NULL
    ) SELECT action FROM seen WHERE action IS NOT NULL
"""
EXPORT_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for; several values of one kind mean any of them, an empty tuple means all."""

    change: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    object: tuple[str, ...] = ()
    stream: tuple[str, ...] = ()
    channel: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None
    q: str = ""


def visible_events(numbers: QuerySet[Any] | Iterable[str] | None, *, private: bool = False) -> QuerySet[Event]:
    """The events a person may see: all with `numbers` None, else those of the changes with these numbers.

    What stands in the streams of sign-ins, policies and administration is for those who see all; `private` adds it, as far as it
    concerns no other change.
    """
    if numbers is None:
        return Event.objects.all()
    if private:
        return Event.objects.filter(Q(change="") | Q(change__in=numbers))
    return Event.objects.filter(change__in=numbers).exclude(stream__in=PRIVATE_STREAMS)


def matching(events: QuerySet[Event], wanted: Filter) -> QuerySet[Event]:
    """The events among these that the filter lets through. `after` and `before` belong to the span."""
    columns = {name: [clean(value) for value in getattr(wanted, name)] for name in ("change", "action", "object", "stream", "channel")}
    events = events.filter(**{f"{name}__in": values for name, values in columns.items() if values})
    if wanted.actor:
        events = events.filter(acted_by(wanted.actor))
    if wanted.after:
        events = events.filter(at__gte=wanted.after)
    if wanted.before:
        events = events.filter(at__lte=wanted.before)
    return events.filter(containing(clean(wanted.q))) if wanted.q else events


def acted_by(usernames: Iterable[str]) -> Exists:
    """Events done by, or for, one of these people."""
    names = [clean(name) for name in usernames]
    said = PersonalValue.objects.filter(event=OuterRef("pk"), path__in=("actor", "on_behalf_of"), value__in=names)
    return Exists(said.filter(beginning__in=[name[: PersonalValue.BEGINNING] for name in names]))


def containing(text: str) -> Q:
    """Events whose text or personal values hold these words, whatever their case."""
    said = PersonalValue.objects.filter(event=OuterRef("pk"), value__icontains=text)
    return Q(text__icontains=json.dumps(text, ensure_ascii=False)[1:-1]) | Q(Exists(said))


def representations(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events as the API shows them, personal values put back where they are not erased, in one query."""
    events = list(events)
    clears = clear_values([event.pk for event in events])
    return [representation(event, clears.get(event.pk, {})) for event in events]


def representation(event: Event, clears: Mapping[str, str]) -> dict[str, Any]:
    """One event as the API shows it."""
    body = reveal(json.loads(event.text), clears)
    columns = {
        "id": event.pk,
        "sequence": event.sequence,
        "stream": event.stream,
        "at": rfc3339(event.at),
        "object": event.object,
        "change": event.change,
    }
    chained = {"text": event.text, "previous_hash": event.previous_hash, "hash": event.hash}
    said = {name: body.get(name) for name in ("actor", "on_behalf_of", "channel", "address", "request_id", "action", "differences", "data")}
    shown = columns | said | chained
    return {name: shown[name] for name in FIELDS}


def clear_values(events: Sequence[int]) -> dict[int, dict[str, str]]:
    """event → path → clear value, for the personal values of these events that are not erased."""
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for event, path, value in PersonalValue.objects.filter(event__in=events).values_list("event", "path", "value"):
        found[event][path] = value
    return found


def event_shown(key: int) -> dict[str, Any] | None:
    """One event as the API shows it, None when there is none."""
    found = representations(Event.objects.filter(pk=key))
    return found[0] if found else None


def everything() -> Iterator[dict[str, Any]]:
    """All events as the API shows them, oldest first, in flat memory: what an export holds."""
    last = 0
    while rows := list(Event.objects.filter(pk__gt=last).order_by("pk")[:EXPORT_BATCH]):
        yield from representations(rows)
        last = rows[-1].pk


def actions_seen() -> list[str]:
    """Every action that stands in the record, in order."""
    with connection.cursor() as cursor:
        cursor.execute(ACTIONS)
        return [action for (action,) in cursor.fetchall()]


def last_verification() -> Verification | None:
    """The newest check of the record."""
    return Verification.objects.order_by("-id").first()


def verification_shown(run: Verification) -> dict[str, Any]:
    """A check of the record as the API shows it. `at` is when it was asked for until it ends."""
    names = ("state", "ok", "events", "streams", "first_bad", "kind", "message")
    return {"id": run.pk, "at": rfc3339(run.at or run.asked_at), **{name: getattr(run, name) for name in names}}
