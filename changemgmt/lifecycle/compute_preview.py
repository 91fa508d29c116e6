"""Compute the preview of a change, and with it its risk, on the architecture as it is now; cancel that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.architecture.graphs import live
from changemgmt.audit.actions import record
from changemgmt.changes.models import AMENDABLE, Change, Preview, State
from changemgmt.computations.actions import ask_to_stop, ring_once
from changemgmt.computations.queries import is_computing
from changemgmt.core.errors import Invalid
from changemgmt.core.verdict import YES, Verdict
from changemgmt.preview.actions import follow_further, mark_asked, put_back
from changemgmt.preview.compute import Computed, Progress, quiet
from changemgmt.preview.queries import computation_of, running, state_of, stored

from . import may
from .compute_aside import compute_aside, is_owed, put_on_record
from .move import locked
from .prepare import is_small
from .reopen_review import compute_anew
from .review import waits

DEEPEST, WEAKEST = 50, 0.0001
FIRST_RING = timedelta(seconds=15)
"""So long the message of who asked has to arrive."""
JOIN_SECONDS = 10.0
"""For so long a person waits for a computation that somebody else began."""


def may_compute(change: Change, *, actor: User) -> Verdict:
    """Its requester, owner, implementers or a change manager, as long as the content can still move."""
    refusal = may.requester_owner_or_manager(actor, change)
    if refusal and not may.implementer(actor, change):
        refusal = ""
    if change.state == State.INFO_REQUESTED:
        return Verdict(refusal=refusal, impossible="Information is requested: the preview is computed again when the answer is there.")
    if refusal or computable(change):
        return Verdict(refusal=refusal) if refusal else YES
    return Verdict(impossible=f"The preview of a change that is {change.get_state_display().lower()} is kept as it was.")


def computable(change: Change) -> bool:
    """Whether its content can still move."""
    return change.state in (State.DRAFT, *AMENDABLE) and change.state != State.INFO_REQUESTED


def ask_for_preview(number: str, *, actor: User, now: datetime, further: Mapping[str, Any] | None = None, progress: Progress = quiet) -> bool:
    """Compute it at once when the change is small (True), else put it on the record as asked for, and the task follows (False).

    `further` follows this change further from now on: `max_depth` and `min_score`. `progress` is told how far it is where it is computed at once.
    """
    with transaction.atomic():
        change = locked(number, actor)
        may_compute(change, actor=actor).enforce()
        if asked := {name: value for name, value in (further or {}).items() if value is not None}:
            _look_further(change, asked, actor=actor, now=now)
        if not is_small(change):
            _ask(change, actor=actor, now=now)
            return False

    def settle(change: Change, computed: Computed | None) -> None:
        may_compute(change, actor=actor).enforce()
        if computed:
            _keep(change, computed, actor=actor, now=now)

    if compute_aside(number, needed=_is_stale, settle=settle, now=now, anew=True, patience=JOIN_SECONDS, progress=progress):
        return True
    with transaction.atomic():
        _ask(locked(number, actor), actor=actor, now=now)
    return False


def _look_further(change: Change, further: Mapping[str, Any], *, actor: User, now: datetime) -> None:
    """Follow the change further than is set; less far would hide what it reaches. What is as it is set is kept as nothing."""
    ground = live().bounds
    set_so = {"max_depth": ground.max_depth or DEEPEST, "min_score": ground.min_score}
    asked = set_so | dict(further)
    if not set_so["max_depth"] <= asked["max_depth"] <= DEEPEST:
        raise Invalid.field("max_depth", f"Give {ground.max_depth} steps, as is set, or more, up to {DEEPEST}: less far would hide what it reaches.")
    if not WEAKEST <= asked["min_score"] <= set_so["min_score"]:
        raise Invalid.field("min_score", f"Give {ground.min_score}, as is set, or less, down to {WEAKEST}: more would hide what it reaches.")
    data = {name: value for name, value in asked.items() if value != set_so[name]}
    follow_further(change, data, now=now)
    record("preview.widened", actor=actor.username, object=f"change:{change.number}", change=change.number, now=now, data=data)


def compute_or_ask(change: Change, *, actor: User, now: datetime) -> bool:
    """The preview of a change that is locked for an edit: computed (True), or on the record as asked for (False)."""
    if is_small(change):
        _keep(change, None, actor=actor, now=now)
        return True
    _ask(change, actor=actor, now=now)
    return False


def _ask(change: Change, *, actor: User, now: datetime) -> None:
    mark_asked(change, now=now)
    data = {"version": change.version}
    record("preview.asked", actor=actor.username, object=f"change:{change.number}", change=change.number, now=now, data=data)


def _is_stale(change: Change) -> bool:
    return state_of(change) not in {"ready", "conflict"}


def compute_asked(number: str, *, now: datetime) -> None:
    """The task's part: compute what was asked for. Asked again, or while somebody else does it, it changes nothing."""

    def settle(change: Change, computed: Computed | None) -> None:
        if computed:
            _keep(change, computed, actor=None, now=now)
        else:
            put_back(change)

    compute_aside(number, needed=lambda change: computable(change) and is_owed(change), settle=settle, now=now)


def left_previews(*, now: datetime) -> Iterator[str]:
    """Changes whose preview is owed and computed by nobody, by number; each at most once a minute, but at once when its worker died."""
    asked = Preview.objects.filter(state=Preview.State.RUNNING, started_at__lt=now - FIRST_RING)
    for number in asked.values_list("change__number", flat=True):
        if not is_computing(computation_of(number)) and ring_once(computation_of(number)):
            yield number


def _keep(change: Change, computed: Computed | None, *, actor: User | None, now: datetime) -> None:
    compute_anew(change, now=now, computed=computed)
    data = {"version": change.version, "affected": change.affected_count, "risk": change.risk_level}
    record("preview.computed", actor=actor.username if actor else "", object=f"change:{change.number}", change=change.number, now=now, data=data)


def may_cancel(change: Change, *, actor: User) -> Verdict:
    """Who may have it computed may cancel that, but where a review waits for it."""
    refusal = may_compute(change, actor=actor).refusal
    if refusal or running(change, stored(change)) is None:
        return Verdict(refusal=refusal, impossible="Nothing is computed that could be cancelled.")
    if waits(change):
        return Verdict(impossible="Its review begins when the preview is there: cancel or amend the change instead.")
    return YES


def cancel_preview(number: str, *, actor: User, now: datetime) -> bool:
    """Cancel what is computed or waits to be: what was stored before counts again.

    True when that is done, False when whoever computes it stops at the next step.
    """
    with transaction.atomic():
        change = locked(number, actor)
        may_cancel(change, actor=actor).enforce()
        if ask_to_stop(computation_of(number), by=actor.username):
            return False
        put_on_record(number, by=actor.username, now=now)
    return True
