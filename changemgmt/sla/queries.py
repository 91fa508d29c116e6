"""What is due by the clock at a moment: keys only; each verb looks at its thing again under the lock."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q, QuerySet

from changemgmt.approvals.conditions import WAITING
from changemgmt.approvals.models import ActionItem, Round, RoundLevel
from changemgmt.audit.models import Event
from changemgmt.changes.models import AMENDABLE, Change, State
from changemgmt.lifecycle.expire import RESTS
from changemgmt.lifecycle.time_out import reminder_due
from changemgmt.preview.models import DriftCase

OVER = (State.CLOSED, State.CANCELLED)
ASKING = Q(round__information_requests__isnull=False, round__information_requests__answered_at__isnull=True)


def running_levels() -> QuerySet[RoundLevel]:
    """Open levels whose clock runs: no question stands in their round."""
    rows = RoundLevel.objects.filter(state=RoundLevel.State.OPEN, round__outcome=Round.Outcome.PENDING, due_at__isnull=False)
    return rows.exclude(pk__in=RoundLevel.objects.filter(ASKING).values("pk")).order_by("due_at", "pk")


def levels_to_remind(now: datetime) -> list[int]:
    """Levels at which a reminder is due."""
    return [level.pk for level in running_levels().filter(due_at__gt=now) if reminder_due(level, now) is not None]


def levels_timed_out(now: datetime) -> list[int]:
    """Levels whose time is up, and about which nothing was done."""
    late = running_levels().filter(Q(timed_out_at=None) | Q(timed_out_at__lt=F("due_at")), due_at__lte=now)
    return list(late.values_list("pk", flat=True))


def conditions_expired(now: datetime) -> list[int]:
    """Conditions whose time is up and that are not met."""
    rows = ActionItem.objects.filter(state__in=WAITING, expires_at__lte=now).exclude(change__state__in=RESTS)
    return list(rows.order_by("expires_at", "pk").values_list("pk", flat=True))


def approvals_expired(now: datetime) -> list[str]:
    """Numbers of the changes whose approval ran out before they began."""
    return list(Change.objects.filter(approval_expires_at__lte=now, state__in=AMENDABLE).values_list("number", flat=True))


def reverts_overdue(now: datetime) -> list[int]:
    """Drift cases whose source was to be put back by now, and about which nobody was told yet."""
    late = DriftCase.objects.filter(state=DriftCase.State.REVERTING, overdue_at=None, due_at__lte=now)
    return list(late.order_by("due_at", "pk").values_list("pk", flat=True))


def reviews_overdue(now: datetime) -> list[str]:
    """Numbers of the changes that ran on a go-ahead, are not closed in time, and about which nobody was told yet."""
    given = Event.objects.filter(action="change.go_ahead_given", at__lte=now - timedelta(hours=settings.EMERGENCY_REVIEW_HOURS))
    told = Event.objects.filter(action="emergency.review_overdue")
    late = Change.objects.filter(retrospective=True, number__in=given.values("change")).exclude(state__in=OVER)
    return list(late.exclude(number__in=told.values("change")).order_by("pk").values_list("number", flat=True))
