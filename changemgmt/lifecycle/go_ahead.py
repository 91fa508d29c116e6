"""Emergency go-ahead: it may run before its chain ends; the chain then decides afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role, usernames_with_role
from changemgmt.approvals.actions import settle
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Round, RoundLevel
from changemgmt.audit.actions import record
from changemgmt.audit.models import Event
from changemgmt.audit.queries import Filter, matching
from changemgmt.changes.models import Change, State
from changemgmt.core.errors import Throttled
from changemgmt.core.time import rfc3339
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.scheduling.actions import hold_calendar
from changemgmt.scheduling.queries import freeze_guard

from . import may
from .cancel import reason_given
from .conclude import conclude
from .move import check_seen, legal, locked, move
from .prepare import prepare
from .review import pending, start_round
from .rights import settle_rights

DEFAULT_SPAN = timedelta(hours=4)
DAY = timedelta(days=1)


def may_go_ahead(change: Change, *, actor: User, now: datetime, reason: str = "") -> Verdict:
    """An ECAB member who has no part in the change (requester, author of this version, implementer …), for an emergency, with a reason, outside freezes."""
    if not has_role(actor, "ecab") or actor.is_service:
        return refused("may_go_ahead", "Only a member of the emergency CAB may give a go-ahead.")
    part = involved_persons(change).get(actor.person)
    if part:
        return refused("not_involved", f"You can't give this change its go-ahead: you (or another account of yours) {part}.")
    if not legal(change, "emergency_go_ahead"):
        return Verdict(impossible=f"A change that is {change.get_state_display().lower()} needs no go-ahead.")
    found = list(reason_given(reason, actor))
    if change.type != "emergency" and change.priority != "critical":
        found.append(Guard("emergency", "A go-ahead is for emergencies: type emergency or priority critical.", may.managers(change)))
    freeze = freeze_guard(change, now, now=now)
    return Verdict(guards=(*found, *([freeze] if freeze else [])))


def refused(guard: str, message: str) -> Verdict:
    return Verdict(refusal=message, guards=(Guard(guard, message, usernames_with_role("ecab")),))


def emergency_go_ahead(number: str, *, actor: User, now: datetime, reason: str, seen: str | None = None) -> Change:
    """Scheduled from now on. The round goes on, or opens, as a retrospective one.

    Throttled (429), with the alarm `emergency.limit_reached`, from one more than EMERGENCY_GO_AHEADS_PER_DAY by one person within 24 hours.
    """
    try:
        with transaction.atomic():
            return give(locked(number, actor), actor=actor, now=now, reason=reason, seen=seen)
    except Throttled as refusal:
        alarm(number, refusal.detail, actor=actor, now=now)
        raise


def give(change: Change, *, actor: User, now: datetime, reason: str, seen: str | None) -> Change:
    hold_calendar()
    may_go_ahead(change, actor=actor, now=now, reason=reason).enforce()
    check_seen(change, seen)
    check_limit(actor, now=now)
    change.retrospective, change.go_ahead_by = True, actor
    round = round_afterwards(change, now=now)
    span = change.requested_end - change.requested_start if change.requested_start and change.requested_end else DEFAULT_SPAN
    change.planned_start, change.planned_end = now, now + span
    move(change, "emergency_go_ahead", actor=actor, now=now, data={"reason": reason, "ecab": list(usernames_with_role("ecab"))})
    settle(round, now=now)
    conclude(change, round, now=now)
    settle_rights(change, now=now)
    return change


def check_limit(actor: User, *, now: datetime) -> None:
    """Throttled when this human being, over all their accounts, gave as many go-aheads within 24 hours as are allowed.

    The calendar is held, so two at the same instant are counted one after the other.
    """
    accounts = User.objects.filter(identity=actor.identity_id) if actor.identity_id else User.objects.filter(pk=actor.pk)
    names = tuple(accounts.values_list("username", flat=True))
    given = matching(Event.objects.all(), Filter(actor=names, action=("change.go_ahead_given",)))
    times = sorted(given.filter(at__gt=now - DAY).values_list("at", flat=True))
    most = settings.EMERGENCY_GO_AHEADS_PER_DAY
    if len(times) >= most:
        again = times[len(times) - most] + DAY if most else now + DAY
        said = f"You gave {len(times)} emergency go-aheads within 24 hours, and {most} are allowed: somebody else of the emergency CAB has to."
        raise Throttled(said, retry_after=max(1, int((again - now).total_seconds())))


def alarm(number: str, why: str, *, actor: User, now: datetime) -> None:
    """Kept although the go-ahead was refused and rolled back: change managers and auditors look into it."""
    with transaction.atomic():
        data = {"reason": why, "most": settings.EMERGENCY_GO_AHEADS_PER_DAY}
        record("emergency.limit_reached", actor=actor.username, object=f"change:{number}", change=number, now=now, data=data)


def round_afterwards(change: Change, *, now: datetime) -> Round:
    """The open round, which goes on as a retrospective one; a new one where none is open."""
    round = pending(change)
    if round is None:
        prepare(change, now=now)
        return start_round(change, now=now, retrospective=True)
    round.retrospective = True
    round.save(update_fields=["retrospective"])
    restart_clocks(round, now=now)
    return round


def restart_clocks(round: Round, *, now: datetime) -> None:
    """What is decided afterwards has its time from the go-ahead on."""
    for level in round.levels.filter(state=RoundLevel.State.OPEN):
        level.due_at, level.reminded, level.timed_out_at = now + timedelta(hours=level.settings["sla_hours"]), 0, None
        level.save(update_fields=["due_at", "reminded", "timed_out_at"])


def reviews_due(changes: Iterable[Change]) -> dict[str, datetime]:
    """number → by when each of these that ran on a go-ahead is to be decided, reviewed and closed; in one query."""
    numbers = [change.number for change in changes if change.retrospective]
    given = Event.objects.filter(change__in=numbers, action="change.go_ahead_given").values("change").annotate(at=Max("at")) if numbers else ()
    return {row["change"]: row["at"] + timedelta(hours=settings.EMERGENCY_REVIEW_HOURS) for row in given}


def remind_of_review(number: str, *, now: datetime) -> None:
    """Say once that the review of an emergency is overdue: to its owner, the change managers and the auditors."""
    with transaction.atomic():
        change = locked(number, None)
        due, over = reviews_due([change]).get(number), change.state in (State.CLOSED, State.CANCELLED)
        if due is None or due > now or over or Event.objects.filter(change=number, action="emergency.review_overdue", at__gte=due).exists():
            return
        data = {"due_at": rfc3339(due), "state": change.state}
        record("emergency.review_overdue", actor="", object=f"change:{number}", change=number, now=now, data=data)
