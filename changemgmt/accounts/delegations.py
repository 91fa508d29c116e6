"""Reads of delegations: who stands in for whom, when, and for what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from .models import Delegation, OrgUnit, User
from .queries import has_role
from .rules import StandIn

SEES_ALL = ("administrator", "auditor")


def delegations() -> QuerySet[Delegation]:
    """All of them, with the people they name."""
    return Delegation.objects.select_related("delegator", "delegate", "created_by", "revoked_by")


def delegations_seen_by(user: User) -> QuerySet[Delegation]:
    """Those this person gave or holds; administrators and auditors see all."""
    return delegations() if has_role(user, *SEES_ALL) else delegations().filter(Q(delegator=user) | Q(delegate=user))


def running(now: datetime) -> Q:
    """The condition for delegations that hold at this moment."""
    return Q(revoked_at=None, starts_at__lte=now, ends_at__gt=now)


def not_over(now: datetime) -> Q:
    """The condition for delegations that hold now or will."""
    return Q(revoked_at=None, ends_at__gt=now)


def is_running(row: Delegation, now: datetime) -> bool:
    return row.revoked_at is None and row.starts_at <= now < row.ends_at


def standing_of(row: Delegation, now: datetime) -> str:
    """Where it stands: revoked, over, running or planned."""
    if row.revoked_at is not None:
        return "revoked"
    return "over" if row.ends_at <= now else "running" if row.starts_at <= now else "planned"


def voting_for(user: User, now: datetime) -> QuerySet[Delegation]:
    """By what this person votes for others at this moment."""
    return delegations().filter(running(now), delegate=user, delegator__is_active=True).order_by("ends_at", "pk")


def away_by(user: User, now: datetime) -> QuerySet[Delegation]:
    """The out-of-office notes of this person that run at this moment."""
    return delegations().filter(running(now), delegator=user, out_of_office=True).order_by("ends_at", "pk")


def due_to_begin(now: datetime) -> QuerySet[Delegation]:
    """Those that hold by now and whose delegate was not told so."""
    return Delegation.objects.filter(running(now), begun_at=None)


def ended(now: datetime, *, within: timedelta) -> QuerySet[Delegation]:
    """Those whose time was over in the last `within`."""
    return delegations().filter(revoked_at=None, ends_at__lte=now, ends_at__gt=now - within)


def stand_ins(rows: Iterable[Delegation]) -> list[StandIn]:
    """The rows as the rules take them; an org unit stands behind those above it."""
    rows = list(rows)
    units = any(row.scope_kind == Delegation.Scope.ORG_UNIT for row in rows)
    above = dict(OrgUnit.objects.values_list("slug", "parent__slug")) if units else {}
    return [
        StandIn(
            row.delegator.person, row.delegate.person, row.starts_at, row.ends_at, scope_path(row.scope_kind, row.scope_value, above), row.pk or 0
        )
        for row in rows
    ]


def scope_path(kind: str, value: str, above: Mapping[str, str | None]) -> tuple[str, ...]:
    """The scope as the rules take it, given the unit above each unit."""
    if kind != Delegation.Scope.ORG_UNIT:
        return () if kind == Delegation.Scope.ALL else (kind, value)
    path: list[str] = []
    unit: str | None = value
    while unit and unit not in path:
        path.append(unit)
        unit = above.get(unit)
    return (kind, *reversed(path))


def scope_shape(row: Delegation) -> dict[str, str | None]:
    return {"kind": row.scope_kind, "value": row.scope_value or None}


def delegation_shape(row: Delegation, now: datetime) -> dict[str, Any]:
    """As the API shows it."""
    same = ("starts_at", "ends_at", "reason", "out_of_office", "created_at", "begun_at", "revoked_at")
    return {
        "id": row.pk,
        "delegator": row.delegator.username,
        "delegate": row.delegate.username,
        "scope": scope_shape(row),
        **{name: getattr(row, name) for name in same},
        "active": is_running(row, now),
        "created_by": row.created_by.username,
        "revoked_by": row.revoked_by.username if row.revoked_by else None,
    }
