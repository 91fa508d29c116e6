"""The only place a change changes state, and the lock that every verb takes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_fsm import TransitionNotAllowed

from changemgmt.audit.actions import record
from changemgmt.changes.models import Change, State
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import NotFound, NotPossible, OutOfDate, PreconditionMissing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from changemgmt.accounts.models import User

ACTIONS = {
    "submit": "change.submitted",
    "begin_review": "change.review_begun",
    "auto_approve": "change.approved",
    "request_info": "information.requested",
    "provide_info": "information.provided",
    "approve": "change.approved",
    "approve_with_conditions": "change.approved_with_conditions",
    "reject": "change.rejected",
    "amend": "change.amended",
    "reopen_review": "change.review_reopened",
    "revise": "change.revised",
    "emergency_go_ahead": "change.go_ahead_given",
    "schedule": "change.scheduled",
    "start": "change.started",
    "complete": "change.completed",
    "fail": "change.failed",
    "roll_back": "change.rolled_back",
    "close": "change.closed",
    "cancel": "change.cancelled",
}


def locked(number: str, actor: User | None) -> Change:
    """The change, its row locked until the transaction ends; NotFound where the actor may not see it. None is the system.

    `no_key`: another change may be tied to this one meanwhile, so that two that are tied to each other don't wait for each other.
    """
    rows = Change.objects.all() if actor is None else visible_to(actor)
    change = rows.filter(number=number).select_for_update(of=("self",), no_key=True).first()
    if change is None:
        raise NotFound("There is no change with this number that you may see.")
    return change


def check_seen(change: Change, seen: str | None) -> None:
    """Refuse a write by somebody who saw another version (412) or, beyond draft, who does not say which (428)."""
    if seen is None:
        if change.state != State.DRAFT:
            raise PreconditionMissing("Send If-Match with the ETag of the change you saw.")
    elif seen.strip('"') not in {change.etag, "*"}:
        raise OutOfDate(f"You saw version {seen}; it is {change.etag} now. Read it again and repeat what is still right.")


def legal(change: Change, name: str) -> bool:
    """Whether the state machine has this transition from the state the change is in."""
    return any(transition.name == name for transition in change.get_available_state_transitions())


def move(
    change: Change,
    name: str,
    *,
    actor: User | None,
    now: datetime,
    data: dict[str, Any] | None = None,
    comment: str = "",
    differences: Iterable[Any] = (),
) -> Change:
    """Perform one transition of a locked change: state, row and audit event in the caller's transaction.

    Raises NotPossible where the state machine does not have it. `actor` None is the system.
    """
    before = change.state
    try:
        getattr(change, name)()
    except TransitionNotAllowed:
        raise NotPossible(f"A change that is {change.get_state_display().lower()} can't do “{name.replace('_', ' ')}”.") from None
    change.updated_at = now
    change.save()
    record(
        ACTIONS[name],
        actor=actor.username if actor else "",
        object=f"change:{change.number}",
        change=change.number,
        now=now,
        differences=[{"path": "state", "before": before, "after": change.state}, *differences],
        data={**({"comment": comment} if comment else {}), "version": change.version, "digest": change.digest, **(data or {})},
    )
    return change
