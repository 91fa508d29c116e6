"""What a decided round means for its change. Every verb that votes or opens a round ends here."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max

from changemgmt.accounts.models import User
from changemgmt.approvals.models import Round, Vote
from changemgmt.audit.actions import record
from changemgmt.changes.models import Change, State, TypePolicy

from .move import move
from .rights import settle_rights

TRANSITION: dict[str, str] = {
    Round.Outcome.APPROVED: "approve",
    Round.Outcome.CONDITIONS: "approve_with_conditions",
    Round.Outcome.REJECTED: "reject",
}


def expiry_of(change: Change, round: Round, *, now: datetime) -> datetime | None:
    """When the approval of a round ends: as its levels or its type say, whichever is first. Counted from the last vote, so that carrying votes over prolongs nothing."""
    last_vote = Vote.objects.filter(level__round=round, superseded=False).aggregate(at=Max("at"))["at"]
    ends = (round.expires_at, type_expiry(change, since=last_vote or now))
    return min((end for end in ends if end), default=None)


def type_expiry(change: Change, *, since: datetime) -> datetime | None:
    """When an approval given at `since` ends by the change's type; None where it does not."""
    hours = TypePolicy.objects.filter(type=change.type).values_list("approval_expires_hours", flat=True).first()
    return since + timedelta(hours=hours) if hours else None


def conclude(change: Change, round: Round, *, now: datetime, actor: User | None = None) -> None:
    """Carry the outcome of a decided round into the state of its locked change; a pending round changes nothing but who sees it.

    A retrospective round's outcome is its own: the change already runs on its go-ahead.
    """
    if change.confidential:
        settle_rights(change, now=now)  # who stands in for somebody sees it as long as a vote they may give is open
    if round.outcome not in TRANSITION:
        return
    data = {"round": round.number, "chain": round.chain, "outcome": round.outcome}
    change.approval_expires_at = expiry_of(change, round, now=now)
    if change.retrospective and change.state != State.IN_REVIEW:
        change.decided_at = change.decided_at or now
        change.updated_at = now
        change.save()
        record("change.retrospectively_decided", actor="", object=f"change:{change.number}", change=change.number, now=now, data=data)
        return
    change.decided_at = now
    move(change, TRANSITION[round.outcome], actor=None, now=now, data=data)
    settle_rights(change, now=now)
