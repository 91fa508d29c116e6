"""The way back, shared by every verb that takes it: compensations in reverse, then the revert, then the state."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.architecture.actions import Applied
from changemgmt.audit.actions import record
from changemgmt.changes.models import Change, Result, State
from changemgmt.core.errors import DomainError, NotPossible
from changemgmt.execution import rules
from changemgmt.execution.actions import end, plain, turn_back
from changemgmt.execution.models import Execution, Task
from changemgmt.planning.queries import plan_of
from changemgmt.preview.actions import revert_items
from changemgmt.preview.queries import not_as_written

from .move import move


def begin_undo(change: Change, execution: Execution, *, actor: User, now: datetime, reason: str) -> None:
    """Start the compensations; where nothing has to be undone by hand, go back at once."""
    compensations = turn_back(execution, plan_of(change)["steps"], reason=reason)
    data = {"reason": reason, "compensations": [task.step for task in compensations]}
    record("execution.rolling_back", actor=actor.username, object=f"execution:{execution.pk}", change=change.number, now=now, data=data)
    if not compensations:
        finish_undo(change, execution, actor=actor, now=now)


def finish_undo(change: Change, execution: Execution, *, actor: User, now: datetime) -> None:
    """Every compensation is done: revert what was applied, all of it, and move on; a failed revert is an alarm, never silence."""
    try:
        with transaction.atomic():
            reverted = revert_items(change, actor=actor.username, now=now)
            verify_rollback(reverted)
    except DomainError as problem:
        undo_failed(change, execution, actor=actor, now=now, reason=problem.detail)
        return
    if reverted is not None and reverted.images:
        keys = [image.key for image in reverted.images]
        name, data = f"change:{change.number}", {"revision": reverted.revision, "keys": keys}
        record("architecture.reverted", actor=actor.username, object=name, change=change.number, now=now, data=data)
    end(execution, Execution.State.ROLLED_BACK, now=now)
    change.result, change.actual_end = Result.ROLLED_BACK, now
    move(change, "roll_back", actor=actor, now=now, data={"reason": execution.reason})


def verify_rollback(reverted: Applied | None) -> None:
    """The observed architecture is what the revert meant it to be; NotPossible names what is not."""
    wrong = not_as_written(reverted.images) if reverted else []
    if wrong:
        raise NotPossible(f"The rollback could not be verified: {', '.join(wrong[:5])} is not as it was.")


def undo_failed(change: Change, execution: Execution, *, actor: User, now: datetime, reason: str) -> None:
    """The way back failed: the change is failed, and people are called."""
    end(execution, Execution.State.ROLLBACK_FAILED, now=now, reason=reason)
    change.result = Result.FAILED
    data = {"reason": reason}
    record("execution.rollback_failed", actor=actor.username, object=f"execution:{execution.pk}", change=change.number, now=now, data=data)
    change.actual_end = now
    if change.state != State.FAILED:
        move(change, "fail", actor=actor, now=now, data=data)
    else:
        change.updated_at = now
        change.save()


def cannot_undo(execution: Execution) -> list[str]:
    """Steps that were done and can't be undone."""
    return rules.irreversible_done(plain(execution.tasks.all()))


def undone(execution: Execution) -> bool:
    """Whether every compensation is ticked."""
    return not execution.tasks.filter(kind=Task.Kind.COMPENSATE).exclude(state=Task.State.COMPENSATED).exists()
