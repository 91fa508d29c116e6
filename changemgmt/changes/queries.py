"""Reads of changes. `visible_to` is the only door to rows for a user."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.core.errors import NotFound
from changemgmt.core.reading import once
from changemgmt.core.time import rfc3339

from .models import Change, ChangeRight

Row = TypeVar("Row")
PLAIN = (
    "number", "title", "description", "type", "priority", "state", "version", "digest", "confidential", "imported", "business_justification",
    "urgency", "impact", "implementation_plan", "test_plan", "communication_plan", "rollback_plan", "verification_checklist", "success_criteria",
    "testing_evidence", "compliance_scope", "tags", "custom_fields", "expected_downtime_minutes", "risk_level", "risk_score", "affected_count",
    "result", "external_references", "no_items_reason", "on_window_end", "irreversible_steps", "retrospective", "revenue_at_stake",
    "reputation_at_stake", "rollback_rehearsed", "review",
)  # fmt: skip
TIMES = (
    "requested_start", "requested_end", "planned_start", "planned_end", "actual_start", "actual_end", "created_at", "updated_at", "submitted_at",
    "decided_at", "closed_at", "approval_expires_at",
)  # fmt: skip
NAMES = {
    "template": "template_id", "category": "category_id", "org_unit": "org_unit_id", "requester": "requester__username", "owner": "owner__username",
    "parent": "parent__number", "copied_from": "copied_from__number",
}  # fmt: skip
TIED = ("implementers", "watchers")
OTHERS = ("parent", "copied_from")
COLUMNS = ("pk", "edits", "cost_estimate", *PLAIN, *TIMES, *NAMES.values(), *(f"{name}__confidential" for name in OTHERS))
FIELDS = (*PLAIN, *NAMES, *TIMES, "cost_estimate", *TIED, "edits")


def visible_to(user: User | AnonymousUser) -> QuerySet[Change]:
    """The changes this person may see: all but the confidential ones, of which only those they have the right to view."""
    return seen_by(user, Change.objects.all())


def seen_by(user: User | AnonymousUser, rows: QuerySet[Change, Row]) -> QuerySet[Change, Row]:
    """Those of `rows` that this person may see."""
    if not user.is_active or not user.is_authenticated:
        return rows.none()
    if has_role(user, "auditor"):
        return rows
    return rows.filter(seen_by_user(user.pk))


def seen_by_user(key: int) -> Q:
    """Public, or theirs to view: the condition for the user with this primary key."""
    may_view = ChangeRight.objects.filter(content_object=OuterRef("pk"), user_id=key, permission__codename="view_change")
    return Q(confidential=False) | Q(Exists(may_view))


def visible(user: User | AnonymousUser, number: str) -> Change:
    """The change with this number, or NotFound, the same for one that is not there and one that is not theirs to see."""
    change = visible_to(user).filter(number=number).first()
    if change is None:
        raise NotFound("There is no change with this number that you may see.")
    return change


@once
def has_right(user: User, right: str, change: Change) -> bool:
    """Whether this person holds the object right (view, edit, vote, implement, manage). Being a superuser grants nothing."""
    return ChangeRight.objects.filter(user=user, content_object=change, permission__codename=f"{right}_change").exists()


def representation(change: Change) -> dict[str, Any]:
    """The change as the API shows it."""
    return representations(Change.objects.filter(pk=change.pk))[0]


def representations(rows: QuerySet[Change]) -> list[dict[str, Any]]:
    """The changes of a query as the API shows them, in its order, in three queries whatever their number."""
    found = list(rows.values(*COLUMNS))
    tied = people_of([row["pk"] for row in found])
    shown = [shape(row, tied) for row in found]
    for row in shown:
        row.update((name, rfc3339(row[name])) for name in TIMES)
    return shown


def people_of(keys: list[int]) -> dict[tuple[str, int], list[str]]:
    """The people tied to each change, by (kind, change), in alphabetic order."""
    people: dict[tuple[str, int], list[str]] = defaultdict(list)
    if keys:
        with connection.cursor() as cursor:
            cursor.execute(people_sql(len(keys)), [*keys] * len(TIED))
            for kind, key, username in sorted(cursor.fetchall()):
                people[kind, key].append(username)
    return people


@lru_cache(maxsize=512)
def people_sql(count: int) -> str:
    """The query of `people_of` for so many changes. Written out, since composing it took longer than running it."""
    users, marks = User._meta.db_table, ", ".join(["%s"] * count)
    tables = {kind: getattr(Change, kind).through._meta.db_table for kind in TIED}
    return " UNION ALL ".join(
        f'SELECT \'{kind}\', tied.change_id, person.username FROM "{table}" tied JOIN "{users}" person ON person.id = tied.user_id '
        f"WHERE tied.change_id IN ({marks})"
        for kind, table in tables.items()
    )


def shape(row: dict[str, Any], tied: dict[tuple[str, int], list[str]]) -> dict[str, Any]:
    """One row of columns as the API shows it, in the row itself; times stay times. Another change that is confidential is not named."""
    key, cost = row.pop("pk"), row["cost_estimate"]
    for name, column in NAMES.items():
        row[name] = row.pop(column)
    for name in OTHERS:
        row[name] = None if row.pop(f"{name}__confidential") else row[name]
    row["cost_estimate"] = None if cost is None else format(cost, "f")
    for kind in TIED:
        row[kind] = tied.get((kind, key), [])
    return row
