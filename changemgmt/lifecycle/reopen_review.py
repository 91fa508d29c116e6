"""Reopen review: an approval that does not hold any more is asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.architecture.models import Revision
from changemgmt.architecture.queries import current_revision
from changemgmt.changes.models import AMENDABLE, Change, Preview, Scale, State
from changemgmt.computations.queries import cancelled, shared
from changemgmt.preview.compute import Computed
from changemgmt.preview.queries import computation_of, moved_under_all, state_of

from .compute_aside import compute_aside, subject_of
from .conclude import conclude, expiry_of
from .move import legal, locked, move
from .prepare import prepare
from .review import alarm_blocked, may_begin_review, renew_round, start_round
from .rights import settle_rights

REBASED = [state for state in AMENDABLE if state != State.INFO_REQUESTED]
REBASED_TO = "rebased-to"
"""Where the revision is kept up to which no change is left to be rebased. Forgotten, it costs one more look."""
REASONS = {
    "expired": "The approval expired.",
    "base_moved": "The architecture moved within the reach of this change.",
    "vote_withdrawn": "A vote was withdrawn.",
    "condition_expired": "A condition expired.",
}


def reopen(change: Change, *, why: str, now: datetime, actor: User | None = None) -> None:
    """Back into review, with a new round that carries every vote that is still good. `why` is a key of REASONS."""
    carry = not (why == "expired" and ended_by_type(change, now=now))
    change.approval_expires_at, change.decided_at = None, None
    move(change, "reopen_review", actor=actor, now=now, data={"why": why, "reason": REASONS[why]})
    renew_round(change, actor=actor, now=now, reason=REASONS[why], by_task=True, carry=carry)


def ended_by_type(change: Change, *, now: datetime) -> bool:
    """Whether it is the type that ends the approval: then no vote is good any more."""
    last = change.rounds.last()
    end = expiry_of(change, last, now=now) if last else None
    return last is None or (end is not None and end <= now and end != last.expires_at)


def reopen_expired(number: str, *, now: datetime) -> None:
    """Reopen the review of a change whose approval ran out; asked again, it changes nothing."""
    with transaction.atomic():
        change = locked(number, None)
        if legal(change, "reopen_review") and change.approval_expires_at and change.approval_expires_at <= now and not change.retrospective:
            reopen(change, why="expired", now=now)


def rebase(number: str, *, now: datetime) -> None:
    """Compute an open change anew under which the architecture moved; where its result is another, its approval is asked for again.

    Asked again, or while somebody else does it, it changes nothing; what was cancelled is not begun again until something moves.
    """

    def needed(change: Change) -> bool:
        return change.state in REBASED and Preview.objects.filter(change=change).exists() and state_of(change) == "stale"

    def settle(change: Change, computed: Computed | None) -> None:
        if computed:
            compute_anew(change, now=now, computed=computed)

    if cancelled().get(computation_of(number)) != subject_of(Change.objects.get(number=number), current_revision()):
        compute_aside(number, needed=needed, settle=settle, now=now)


def to_rebase() -> Iterator[str]:
    """The open changes under which the architecture moved since they were computed, by number. Cheap where it did not move."""
    head = Revision.objects.values_list("token", flat=True).first()
    if head is None or shared().get(REBASED_TO) == head:
        return
    found, stopped, revision = False, cancelled(), current_revision()
    for change in moved_under_all(Change.objects.filter(state__in=REBASED, imported=False)):
        if stopped.get(computation_of(change.number)) != subject_of(change, revision):
            found = True
            yield change.number
    if not found:
        shared().set(REBASED_TO, head, None)


def rose(before: str | None, after: str | None) -> bool:
    """Whether a risk level is higher than it was."""
    order = list(Scale.values)
    return before in order and after in order and order.index(after) > order.index(before)


def compute_anew(change: Change, *, now: datetime, computed: Computed | None = None) -> None:
    """Preview and assessment of a locked change as the architecture is now, or as computed aside.

    Where a result that is signed moved, or the risk rose, it is signed again.

    While information is requested nothing moves: it is computed when the answer is there.
    """
    if change.state == State.INFO_REQUESTED:
        return
    before, risk = Preview.objects.filter(change=change).values_list("result_digest", flat=True).first(), change.risk_level
    prepare(change, now=now, computed=computed)
    change.save()
    after = Preview.objects.get(change=change).result_digest
    if before == after and not rose(risk, change.risk_level) or change.state == State.DRAFT:
        return
    if change.retrospective:
        ask_afterwards_again(change, now=now)
    elif legal(change, "reopen_review"):
        reopen(change, why="base_moved", now=now)
    elif change.state == State.IN_REVIEW:
        renew_round(change, actor=None, now=now, reason=REASONS["base_moved"], by_task=True)


def ask_afterwards_again(change: Change, *, now: datetime) -> None:
    """What runs on a go-ahead stays scheduled; its retrospective round is opened again on what is signed now."""
    verdict = may_begin_review(change, now=now)
    if not verdict.allowed:
        alarm_blocked(change, verdict, now=now)
        return
    conclude(change, start_round(change, now=now, retrospective=True), now=now)
    settle_rights(change, now=now)
