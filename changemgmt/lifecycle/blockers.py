"""Who can unblock it: everything that keeps a change from its next step, from the same code that refuses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import people_with_role
from changemgmt.approvals.blocking import blocker, blockers_of
from changemgmt.changes.models import Change, State
from changemgmt.core.verdict import Guard

from .close import may_close
from .complete import may_complete
from .review import may_begin_review
from .schedule import schedule_guards
from .start import start_guards
from .submit import may_submit

RULES = {
    "submit": "It can be submitted when",
    "begin_review": "Its review can begin when",
    "schedule": "It can be scheduled when",
    "start": "It can start when",
    "complete": "It can be completed when",
    "close": "It can be closed when",
}


def all_blockers(change: Change, *, actor: User, now: datetime) -> list[dict[str, Any]]:
    """Every blocker now: of the approval and its conditions, and what the step that comes next would be refused for, whoever took it.

    It is the same for everybody who may see the change; other changes the actor may not see are not named.
    """
    found = blockers_of(change, now)
    name, guards = next_guards(change, actor=actor, now=now)
    return found + [from_guard(name, guard) for guard in guards if not guard.guard.startswith("conditions_")]


def next_guards(change: Change, *, actor: User, now: datetime) -> tuple[str, Sequence[Guard]]:
    """The transition that comes next and its unmet guards, whoever performs it."""
    match change.state:
        case State.DRAFT:
            return "submit", may_submit(change, actor=change.requester).guards
        case State.SUBMITTED:
            return "begin_review", may_begin_review(change, now=now).guards
        case State.APPROVED | State.APPROVED_WITH_CONDITIONS:
            start, end = change.requested_start, change.requested_end
            return "schedule", schedule_guards(change, now=now, start=start, end=end, viewer=actor)
        case State.SCHEDULED:
            return "start", [*somebody_does_it(change), *start_guards(change, now=now, viewer=actor)]
        case State.IMPLEMENTING:
            doer = change.implementers.order_by("pk").first()
            return "complete", may_complete(change, actor=doer, now=now).guards if doer else somebody_does_it(change)
        case State.IMPLEMENTED | State.FAILED | State.ROLLED_BACK:
            closer = change.owner or people_with_role("change_manager").first()
            return "close", may_close(change, actor=closer, viewer=actor).guards if closer else ()
    return "", ()


def somebody_does_it(change: Change) -> list[Guard]:
    """Only an implementer starts and completes a change: there has to be one who can."""
    if change.implementers.filter(is_active=True, is_service=False).exists():
        return []
    return [Guard("implementer_named", "Nobody is named who implements it.", (change.requester.username,))]


def from_guard(name: str, guard: Guard) -> dict[str, Any]:
    rule = f"{RULES[name]} “{guard.guard.replace('_', ' ')}” is met."
    return blocker(guard.message, rule, [guard.guard], list(guard.who_can_clear), guard.clears_at)
