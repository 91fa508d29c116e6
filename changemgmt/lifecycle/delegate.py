"""Standing in for each other: give one's votes to somebody for a time, change or end that, and tell the delegate when it begins.

Whoever stands in is tested in person against every rule when they vote; here only what can be known beforehand is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from changemgmt.accounts.delegations import (
    away_by,
    delegations_seen_by,
    due_to_begin,
    ended,
    is_running,
    standing_of,
)
from changemgmt.accounts.models import Delegation, User
from changemgmt.accounts.queries import has_role, roles_of, same_person
from changemgmt.approvals.actions import settle
from changemgmt.approvals.models import Round, RoundLevel, Seat
from changemgmt.approvals.sitting import may_sit, open_seats
from changemgmt.audit.actions import Personal, record
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible_to
from changemgmt.core.diff import Difference
from changemgmt.core.errors import Invalid, existing
from changemgmt.core.time import rfc3339
from changemgmt.core.verdict import Verdict

from .conclude import conclude
from .delegation_checks import LATE, LONGEST, check_part, check_paths, check_people, check_scope, check_span, person_named, short
from .move import locked as locked_change
from .review import pending
from .rights import settle_rights

SWEPT = timedelta(days=1)
READERS = frozenset({"viewer", "auditor"})
Scope = Delegation.Scope
EVERYTHING = (str(Scope.ALL), "")


def delegate(
    to: str,
    *,
    actor: User,
    now: datetime,
    ends_at: datetime,
    starts_at: datetime | None = None,
    scope: tuple[str, str] = EVERYTHING,
    reason: str = "",
    delegator: str | None = None,
    out_of_office: bool = False,
) -> Delegation:
    """Let `to` vote for the actor, or, said by an administrator, for `delegator`, from `starts_at` (now) up to `ends_at`.

    Raises NotPermitted for who may not give votes, Invalid at the field that is wrong.
    """
    may_delegate(actor, delegator=delegator, delegate=to).enforce()
    with transaction.atomic():
        giver = person_named(delegator, "delegator") if delegator is not None else actor
        row = Delegation(
            delegator=giver, delegate=person_named(to, "delegate"), starts_at=starts_at or now, ends_at=ends_at, scope_kind=scope[0],
            scope_value=scope[1], reason=short(reason), out_of_office=out_of_office, created_by=actor, created_at=now,
        )  # fmt: skip
        check_people(row)
        check_span(row, now=now)
        check_scope(row, actor)
        lock_people(row)
        check_paths(row, now=now)
        row.save()
        tell(row, "created", actor=actor, now=now, reason=row.reason)
        begin(row, now=now)
    settle_sight(row, now=now)
    return row


def change_delegation(key: int, *, actor: User, now: datetime, ends_at: datetime | None = None, reason: str | None = None) -> Delegation:
    """Another end, or another reason. An end that has just passed ends it now; a later one is checked like a new delegation."""
    with transaction.atomic():
        lock_people(seen(key, actor))
        row = locked(key, actor)
        may_change(row, actor=actor, now=now).enforce()
        before = {name: getattr(row, name) for name in ("ends_at", "reason")}
        row.reason = row.reason if reason is None else short(reason)
        if ends_at is not None and ends_at != row.ends_at:
            move_end(row, ends_at, now=now)
        moved = [Difference(name, on_record(value), on_record(getattr(row, name))) for name, value in before.items() if getattr(row, name) != value]
        if moved:
            row.save(update_fields=["ends_at", "reason"])
            tell(row, "changed", actor=actor, now=now, differences=moved)
            end_claims(row, now=now)
    settle_sight(row, now=now)
    return row


def revoke_delegation(key: int, *, actor: User, now: datetime) -> Delegation:
    """End it at once, by who gave it, who holds it or an administrator; the record stays. Votes by it that have decided nothing yet fall."""
    with transaction.atomic():
        row = locked(key, actor)
        may_revoke(row, actor=actor, now=now).enforce()
        if row.revoked_at is None:
            row.revoked_at, row.revoked_by = now, actor
            row.save(update_fields=["revoked_at", "revoked_by"])
            tell(row, "revoked", actor=actor, now=now)
            end_claims(row, now=now)
    judge_votes(row, now=now)
    settle_sight(row, now=now)
    return row


def come_back(*, actor: User, now: datetime) -> list[Delegation]:
    """The actor is back: their out-of-office notes that run end now."""
    keys = away_by(actor, now).values_list("pk", flat=True)
    return [revoke_delegation(key, actor=actor, now=now) for key in list(keys)]


def begin_due_delegations(*, now: datetime) -> int:
    """Tell the delegates whose time has come, each once, and let them see what they vote on; whose time is over see it no more. How many began."""
    with transaction.atomic():
        rows = list(due_to_begin(now).select_related("delegator", "delegate").select_for_update(of=("self",), skip_locked=True))
        for row in rows:
            begin(row, now=now)
    for row in [*rows, *ended(now, within=SWEPT)]:
        end_claims(row, now=now)
        settle_sight(row, now=now)
    return len(rows)


def end_claims(row: Delegation, *, now: datetime) -> None:
    """A claim ends with the delegation by which somebody could vote there: it holds nobody up any more."""
    held = Seat.objects.filter(claimed_by=row.delegate_id, claimed_until__gt=now, state=Seat.State.OPEN).select_related("level__round__change")
    lost = [seat.pk for seat in held if may_sit(seat, row.delegate, now=now)]
    if lost:
        Seat.objects.filter(pk__in=lost, claimed_by=row.delegate_id).update(claimed_by=None, claimed_until=None)


def judge_votes(row: Delegation, *, now: datetime) -> None:
    """Judge the open levels again at which somebody votes by this delegation. Asked again, it changes nothing."""
    undecided = Change.objects.filter(
        rounds__outcome=Round.Outcome.PENDING,
        rounds__levels__state=RoundLevel.State.OPEN,
        rounds__levels__votes__delegation=row,
        rounds__levels__votes__superseded=False,
    )
    for number in list(undecided.order_by("pk").distinct().values_list("number", flat=True)):
        settle_again(number, now=now)


def settle_sight(row: Delegation, *, now: datetime) -> None:
    """Whoever stands in sees the confidential changes whose open votes they may give, as long as that lasts. Asked again, it changes nothing."""
    waiting = open_seats(row.delegator, now=now).filter(level__round__change__confidential=True)
    if not is_running(row, now):
        waiting = waiting.filter(level__round__change__in=visible_to(row.delegate))
    for number in sorted(set(waiting.values_list("level__round__change__number", flat=True))):
        with transaction.atomic():
            settle_rights(locked_change(number, None), now=now)


def settle_again(number: str, *, now: datetime) -> None:
    with transaction.atomic():
        change = locked_change(number, None)
        round = pending(change)
        if round is not None:
            settle(round, now=now)
            conclude(change, round, now=now)
            settle_rights(change, now=now)


# --- who may ---


def may_delegate(actor: User, *, delegator: str | None = None, delegate: str | None = None) -> Verdict:
    """People give their own votes; administrators give somebody else's, to anybody but themselves."""
    if actor.is_service or actor.is_guest or not actor.is_active:
        return Verdict(refusal="This account has no votes to give.")
    if roles_of(actor) and roles_of(actor) <= READERS:
        return Verdict(refusal="Viewers and auditors read; they don't write.")
    if delegator is None or delegator == actor.username:
        return Verdict()
    if not has_role(actor, "administrator"):
        return Verdict(refusal="Only an administrator gives somebody else's votes.")
    taker = User.objects.filter(username=delegate).first()
    own = taker is not None and same_person(actor, taker)
    return Verdict(refusal="You can't give yourself somebody else's votes: another administrator has to." if own else "")


def may_change(row: Delegation, *, actor: User, now: datetime) -> Verdict:
    """Who gave it, or an administrator who doesn't hold it, as long as it isn't over."""
    if actor.is_service or not actor.is_active:
        return Verdict(refusal="This account has no votes to give.")
    own = row.delegator_id == actor.pk
    if not own and (not has_role(actor, "administrator") or same_person(row.delegate, actor)):
        return Verdict(refusal="Only who gave these votes or an administrator changes this; who holds them may only decline.")
    return Verdict(impossible=over(row, now))


def may_revoke(row: Delegation, *, actor: User, now: datetime) -> Verdict:
    """Who gave it, who holds it, or an administrator. Doing so twice is fine; what is over by itself needs no end."""
    if actor.pk not in (row.delegator_id, row.delegate_id) and not has_role(actor, "administrator"):
        return Verdict(refusal="Only who gave these votes, who holds them or an administrator ends this.")
    return Verdict(impossible=over(row, now) if row.revoked_at is None else "")


def over(row: Delegation, now: datetime) -> str:
    return {"revoked": "It was revoked already.", "over": "It is over already."}.get(standing_of(row, now), "")


# --- what is read and written ---


def seen(key: int, actor: User) -> Delegation:
    """The row; NotFound where the actor has no part in it."""
    return existing(delegations_seen_by(actor).filter(pk=key).first(), "There is no delegation with this id that you may see.")


def locked(key: int, actor: User) -> Delegation:
    """The same, locked until the transaction ends."""
    row = delegations_seen_by(actor).select_for_update(of=("self",)).filter(pk=key).first()
    return existing(row, "There is no delegation with this id that you may see.")


def lock_people(row: Delegation) -> None:
    """Two delegations that would make a circle together have a person in common: they come one after the other."""
    list(User.objects.select_for_update(no_key=True).filter(pk__in=[row.delegator_id, row.delegate_id]).order_by("pk"))


def move_end(row: Delegation, ends_at: datetime, *, now: datetime) -> None:
    """Write another end: one that has just passed is now; a later one is judged like a new delegation."""
    if now - LATE <= ends_at <= now:
        ends_at = now
    if ends_at < now:
        raise Invalid.field("ends_at", "It can't have ended in the past.")
    if ends_at <= row.starts_at:
        raise Invalid.field("ends_at", "It has not begun by then: revoke it instead.")
    longer, row.ends_at = ends_at > row.ends_at, ends_at
    if not longer:
        return
    if row.ends_at - row.starts_at > LONGEST:
        raise Invalid.field("ends_at", f"At most {LONGEST.days} days: give a new one then.")
    person_named(row.delegate.username, "delegate")
    check_part(row)
    check_paths(row, now=now)


def begin(row: Delegation, *, now: datetime) -> None:
    """Tell the delegate that it holds from now on, once."""
    if row.begun_at is None and standing_of(row, now) == "running":
        row.begun_at = now
        row.save(update_fields=["begun_at"])
        tell(row, "begun", actor=None, now=now)


def tell(row: Delegation, what: str, *, actor: User | None, now: datetime, differences: Sequence[Difference] = (), reason: str = "") -> None:
    """Put it on the record, in the transaction of the act. One for a single change stands with that change."""
    data = {
        "delegator": Personal(row.delegator.username),
        "delegate": Personal(row.delegate.username),
        "start": rfc3339(row.starts_at),
        "end": rfc3339(row.ends_at),
        "scope": {"kind": row.scope_kind, "value": row.scope_value or None},
        "planned": row.starts_at > now,
        "out_of_office": row.out_of_office,
        **({"reason": Personal(reason)} if reason else {}),
    }
    record(
        f"delegation.{what}", actor=actor.username if actor else "", object=f"delegation:{row.pk}", now=now,
        change=row.scope_value if row.scope_kind == Scope.CHANGE else "", differences=differences, data=data,
    )  # fmt: skip


def on_record(value: Any) -> Any:
    """A time as text; words as somebody's, which can be erased."""
    return rfc3339(value) if isinstance(value, datetime) else Personal(value)
