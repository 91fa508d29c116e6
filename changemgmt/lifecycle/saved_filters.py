"""Filters somebody keeps under a name, for their queue and for the list of changes. Everybody has their own; nobody sees another's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

from django.db import transaction

from changemgmt.accounts.models import SavedFilter, User
from changemgmt.approvals import filters as of_approvals
from changemgmt.changes.filters import filtered
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotFound

MOST = 50
LONGEST_NAME, LONGEST_QUERY = 100, 1_000
OF_CHANGES = (
    "q", "state", "type", "priority", "risk_level", "requester", "owner", "component", "layer", "tag", "planned_after", "planned_before", "awaiting",
)  # fmt: skip
"""The filters that the page of changes reads."""


def save_filter(values: Mapping[str, Any], *, actor: User, now: datetime) -> SavedFilter:
    """Keep a filter: `name`, `page` (approvals or changes) and `query`. A name that is taken on that page is refused."""
    with transaction.atomic():
        if User.objects.select_for_update().get(pk=actor.pk).saved_filters.count() >= MOST:
            raise Invalid.field("name", f"At most {MOST} filters are kept: remove one first.")
        row = SavedFilter(user=actor, created_at=now, **checked({"page": SavedFilter.Page.APPROVALS, "query": "", **values}, actor))
        refuse_doubled(row)
        row.save()
    return row


def alter_filter(key: int, values: Mapping[str, Any], *, actor: User) -> SavedFilter:
    """Write fields of one's own filter; NotFound for anybody else's."""
    with transaction.atomic():
        row = own(key, actor)
        for name, value in checked({"name": row.name, "page": row.page, "query": row.query, **values}, actor).items():
            setattr(row, name, value)
        refuse_doubled(row)
        row.save()
    return row


def remove_filter(key: int, *, actor: User) -> SavedFilter:
    """Forget one's own filter."""
    with transaction.atomic():
        row = own(key, actor)
        SavedFilter.objects.filter(pk=row.pk).delete()
    return row


def own(key: int, actor: User) -> SavedFilter:
    row = SavedFilter.objects.filter(user=actor, pk=key).select_for_update().first()
    if row is None:
        raise NotFound("You have no saved filter with this id.")
    return row


def refuse_doubled(row: SavedFilter) -> None:
    if SavedFilter.objects.filter(user=row.user, page=row.page, name=row.name).exclude(pk=row.pk).exists():
        raise Invalid.field("name", "You keep a filter of this name there already.")


def checked(values: Mapping[str, Any], actor: User) -> dict[str, str]:
    """The fields of a filter, its query in one spelling; raises Invalid at the field that can't be."""
    page = values["page"]
    if page not in SavedFilter.Page.values:
        raise Invalid.field("page", f"One of: {', '.join(SavedFilter.Page.values)}.")
    return {"name": name_of(values.get("name")), "page": page, "query": query_of(values["query"], page, actor)}


def name_of(value: Any) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if not name or len(name) > LONGEST_NAME or any(ord(sign) < ord(" ") for sign in name):
        raise Invalid.field("name", f"Give it a name of at most {LONGEST_NAME} characters.")
    return name


def query_of(value: Any, page: str, actor: User) -> str:
    """The query string with what narrows nothing left out. Each part has to be a filter of that page."""
    if not isinstance(value, str) or len(value) > LONGEST_QUERY or "\x00" in value:
        raise Invalid.field("query", f"Give a query string of at most {LONGEST_QUERY} characters.")
    try:
        given = parse_qs(value.strip().lstrip("?"), strict_parsing=bool(value.strip().lstrip("?")), errors="strict", max_num_fields=100)
    except ValueError:
        raise Invalid.field("query", "This is not a query string, such as type=emergency&due=late.") from None
    check_query(given, page, actor)
    return urlencode(given, doseq=True)


def check_query(given: dict[str, list[str]], page: str, actor: User) -> None:
    """Raise Invalid at `query` for a filter or a value that the page does not know."""
    if page == SavedFilter.Page.APPROVALS:
        wrong = of_approvals.sort_out(given)[1]
    else:
        wrong = {name: f"There is no filter {name[:60]}." for name in given if name not in OF_CHANGES} or wrong_of_changes(given, actor)
    if wrong:
        raise Invalid.field("query", " ".join(wrong.values()))


def wrong_of_changes(given: dict[str, list[str]], actor: User) -> dict[str, str]:
    try:
        filtered(Change.objects.none(), given, actor, lambda user: ())
    except Invalid as error:
        return {name: " ".join(texts) for name, texts in error.errors.items()} or {"query": error.detail}
    return {}
