"""Pages of a list that stay right while rows come in: each begins after the last row of the one before."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Q

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, QueryDict


@dataclass(frozen=True)
class Page:
    """The rows of one page, and the URLs (query strings) of its neighbours where there are any."""

    rows: list[Any]
    next: str | None
    previous: str | None
    first: str | None


def newest_first(rows: QuerySet[Any], request: HttpRequest, *, field: str = "created_at", size: int = 50) -> Page:
    """One page of `rows`, ordered by `field` and key downwards; `?at=` says where it begins."""
    forward, place = read_cursor(request.GET.get("at", ""))
    found = list(beyond(rows, field, place, forward)[: size + 1])
    more, found = len(found) > size, found[:size]
    if not forward:
        found.reverse()
    older = cursor("o", found[-1], field) if found and (more or not forward) else None
    newer = cursor("n", found[0], field) if found and place and (forward or more) else None
    return Page(found, link(request.GET, older), link(request.GET, newer), link(request.GET, "") if place else None)


def beyond(rows: QuerySet[Any], field: str, place: tuple[datetime, int] | None, forward: bool) -> QuerySet[Any]:
    """The rows after `place` (or before it, nearest first)."""
    order = (f"-{field}", "-pk") if forward else (field, "pk")
    if place is None:
        return rows.order_by(*order)
    side = "lt" if forward else "gt"
    return rows.filter(Q(**{f"{field}__{side}": place[0]}) | Q(**{field: place[0], f"pk__{side}": place[1]})).order_by(*order)


def cursor(direction: str, row: Any, field: str) -> str:
    """Where the neighbour page begins, as text."""
    return urlsafe_b64encode(f"{direction}|{getattr(row, field).isoformat()}|{row.pk}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[bool, tuple[datetime, int] | None]:
    """Direction (True is towards older rows) and place; one that can't be read is the first page."""
    try:
        direction, moment, key = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split("|")
        place = datetime.fromisoformat(moment), int(key)
    except (ValueError, UnicodeError):
        return True, None
    return (direction != "n", place) if place[0].tzinfo else (True, None)


def link(query: QueryDict, at: str | None) -> str | None:
    """The same list at another place."""
    if at is None:
        return None
    copy = query.copy()
    copy.pop("at", None)
    if at:
        copy["at"] = at
    return f"?{copy.urlencode()}"
