"""One look at the clock a minute: what is due is done by the verb it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from celery import shared_task

from changemgmt.approvals import guests
from changemgmt.core.errors import DomainError
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.decide_drift import remind_of_revert
from changemgmt.lifecycle.delegate import begin_due_delegations
from changemgmt.lifecycle.expire import expire_condition
from changemgmt.lifecycle.go_ahead import remind_of_review
from changemgmt.lifecycle.invite_guest import expire_guest
from changemgmt.lifecycle.reopen_review import reopen_expired
from changemgmt.lifecycle.time_out import remind, time_out

from . import queries

log = logging.getLogger("changemgmt.sla")
# What runs out comes before what it would remind of.
DUE: tuple[tuple[Callable[[datetime], Iterable[Any]], Callable[..., object]], ...] = (
    (queries.conditions_expired, expire_condition),
    (queries.approvals_expired, reopen_expired),
    (guests.expired, expire_guest),
    (queries.levels_timed_out, time_out),
    (queries.levels_to_remind, remind),
    (queries.reviews_overdue, remind_of_review),
    (queries.reverts_overdue, remind_of_revert),
)


@shared_task
def act_on_due() -> None:
    """Act on everything that is due by the clock. Coming twice or after a pause it does each thing once."""
    act_on(utc_now())


def act_on(now: datetime) -> None:
    """Act on everything that is due at this moment; what one change refuses keeps no other from its turn."""
    begin_due_delegations(now=now)
    for due, verb in DUE:
        for key in due(now):
            try:
                verb(key, now=now)
            except DomainError as refusal:
                log.warning("%s of %s: %s", verb.__name__, key, refusal.detail)
