"""The first page: my work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import F, Q
from django.http import HttpResponse
from django.shortcuts import render

from changemgmt.accounts.queries import has_role
from changemgmt.approvals.conditions import UNMET
from changemgmt.approvals.models import ActionItem
from changemgmt.approvals.queries import queue_of
from changemgmt.changes.models import APPROVED, OPEN, Change, State
from changemgmt.changes.queries import visible_to
from changemgmt.lifecycle.go_ahead import reviews_due
from changemgmt.lifecycle.import_architecture import may_import
from changemgmt.preview.drift_cases import concerning

from .base import PageRequest, page

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from changemgmt.accounts.models import User

MOST = 8
IN_REVIEW = (State.SUBMITTED, State.IN_REVIEW, State.APPROVED, State.APPROVED_WITH_CONDITIONS)


@page()
def my_work(request: PageRequest) -> HttpResponse:
    """What waits for this person, in the order in which it is best done."""
    return render(request, "home/home.html", work_of(request.user, request))


def work_of(user: User, request: PageRequest) -> dict[str, Any]:
    """The lists of the page, each cut to what fits."""
    seen = visible_to(user).select_related("requester", "owner")
    mine = seen.filter(requester=user)
    queue = request.queue = queue_of(user, request.now)
    return {
        "queue": queue[:MOST],
        "queue_total": len(queue),
        "asked": list(mine.filter(state=State.INFO_REQUESTED)[:MOST]),
        "drafts": list(mine.filter(state__in=[State.DRAFT, State.REJECTED])[:MOST]),
        "under_way": list(mine.filter(state__in=IN_REVIEW)[:MOST]),
        "running": running_for(seen, user),
        "next": list(ahead(seen, user).filter(planned_end__gte=request.now)[:MOST]),
        "to_schedule": list(to_schedule(seen, user)[:MOST]),
        "to_close": list(seen.filter(owner=user, state__in=[State.IMPLEMENTED, State.FAILED, State.ROLLED_BACK])[:MOST]),
        "conditions": owed(user),
        "drift": list(concerning(user, everything=may_import(user))[:MOST]),
        "unreviewed": unreviewed(seen) if has_role(user, "change_manager", "auditor") else [],
    }


def to_schedule(seen: QuerySet[Change], user: User) -> QuerySet[Change]:
    """What is approved and theirs to schedule: as its owner and, where it has none, as a change manager. Their own come first."""
    theirs = Q(owner=user) | Q(owner=None) if has_role(user, "change_manager") else Q(owner=user)
    return seen.filter(theirs, state__in=APPROVED).order_by(F("owner").asc(nulls_last=True), "-created_at", "-pk")


def running_for(seen: QuerySet[Change], user: User) -> list[Change]:
    """Changes under way that this person does or runs."""
    ours = seen.filter(implementers=user) | seen.filter(owner=user)
    return list(ours.filter(state=State.IMPLEMENTING).distinct().order_by("planned_end")[:MOST])


def ahead(seen: QuerySet[Change], user: User) -> QuerySet[Change]:
    """What has a window and is theirs in some part."""
    ours = seen.filter(implementers=user) | seen.filter(owner=user) | seen.filter(requester=user)
    return ours.filter(state=State.SCHEDULED).distinct().order_by("planned_start", "pk")


def owed(user: User) -> list[ActionItem]:
    """Conditions this person has to meet, and evidence that waits for their word."""
    rows = ActionItem.objects.filter(change__in=visible_to(user), change__state__in=[*OPEN, State.ROLLED_BACK]).select_related(
        "change", "owner", "set_by"
    )
    mine = rows.filter(UNMET | Q(state=ActionItem.State.OPEN), owner=user).exclude(state=ActionItem.State.EVIDENCE_GIVEN)
    theirs = rows.filter(set_by=user, state=ActionItem.State.EVIDENCE_GIVEN)
    return [*mine[:MOST], *theirs[:MOST]]


def unreviewed(seen: QuerySet[Change]) -> list[dict[str, Any]]:
    """What ran on a go-ahead and is not reviewed and closed, the oldest first, with the time by which it is to be."""
    rows = list(seen.filter(retrospective=True).exclude(state__in=[State.CLOSED, State.CANCELLED]).order_by("planned_start", "pk")[:MOST])
    due = reviews_due(rows)
    return [{"change": row, "due": due.get(row.number)} for row in rows]
