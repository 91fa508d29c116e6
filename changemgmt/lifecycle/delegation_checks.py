"""What has to be right about a delegation before it is kept: who, when, for what, and where the vote would go. Each raises Invalid at its field."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings

from changemgmt.accounts.delegations import delegations, not_over, stand_ins
from changemgmt.accounts.models import Delegation, OrgUnit, User
from changemgmt.accounts.queries import same_person
from changemgmt.accounts.rules import Path, forbidden_path
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Chain
from changemgmt.changes.fields import Mistake, text
from changemgmt.changes.models import Change, Type
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import Invalid

LONGEST = timedelta(days=366)
LATE = timedelta(minutes=5)
MOST = 100
Scope = Delegation.Scope


def person_named(username: str, field: str) -> User:
    """Somebody who votes: an active account of a human being."""
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise Invalid.field(field, "There is nobody active with this username.")
    if user.is_service or user.is_guest:
        raise Invalid.field(field, "This account never votes for anybody: it is a program's or a guest's.")
    return user


def short(reason: str) -> str:
    try:
        return text(300)(reason).strip()
    except Mistake as mistake:
        raise Invalid.field("reason", str(mistake)) from None


def check_people(row: Delegation) -> None:
    if same_person(row.delegator, row.delegate):
        raise Invalid.field("delegate", "Somebody can't stand in for themselves, nor with another account of theirs.")


def check_span(row: Delegation, *, now: datetime) -> None:
    """Not in the past, not back to front, not for ever."""
    if row.starts_at < now - LATE:
        raise Invalid.field("starts_at", "It can't begin in the past.")
    if row.ends_at <= row.starts_at:
        raise Invalid.field("ends_at", "It has to end after it begins.")
    if row.ends_at <= now:
        raise Invalid.field("ends_at", "It would be over already.")
    if row.ends_at - row.starts_at > LONGEST:
        raise Invalid.field("ends_at", f"At most {LONGEST.days} days: give a new one then.")


def check_scope(row: Delegation, actor: User) -> None:
    """The kind is one there is, and its value names something the actor may see."""
    kind, value = row.scope_kind, row.scope_value
    if kind not in Scope.values:
        raise Invalid.field("scope", f"The kind is one of {', '.join(Scope.values)}.")
    if kind == Scope.ALL:
        if value:
            raise Invalid.field("scope", "A delegation of all votes takes no value.")
        return
    if row.out_of_office:
        raise Invalid.field("scope", "Somebody who is away gives all votes: leave the scope out.")
    if not known(kind, value, actor):
        raise Invalid.field("scope", UNKNOWN[kind])
    check_part(row)


def check_part(row: Delegation) -> None:
    """For one change nobody is named who can never vote on it."""
    change = Change.objects.filter(number=row.scope_value).first() if row.scope_kind == Scope.CHANGE else None
    if change and (part := involved_persons(change).get(row.delegate.person)):
        raise Invalid.field("delegate", f"{row.delegate.display_name} can't vote on this change: they (or another account of theirs) {part}.")


UNKNOWN = {
    "chain": "There is no chain of this name.",
    "type": f"The type is one of {', '.join(Type.values)}.",
    "org_unit": "There is no org unit with this slug.",
    "change": "There is no change with this number that you may see.",
}


def known(kind: str, value: str, actor: User) -> bool:
    match kind:
        case Scope.CHAIN:
            return Chain.objects.filter(name=value).exists()
        case Scope.TYPE:
            return value in Type.values
        case Scope.ORG_UNIT:
            return OrgUnit.objects.filter(slug=value).exists()
    return visible_to(actor).filter(number=value).exists()


def check_paths(row: Delegation, *, now: datetime) -> None:
    """No circle, and no vote passed on more often than allowed. Of two that would make one together the later waits for the first."""
    live = delegations().filter(not_over(now)).exclude(pk=row.pk).order_by("pk")
    list(live.select_for_update(of=("self",)))
    rows = {one.pk: one for one in live}
    if sum(one.delegator_id == row.delegator_id for one in rows.values()) >= MOST:
        raise Invalid.field("delegate", f"At most {MOST} delegations at once: revoke some first.")
    new, *others = stand_ins([row, *rows.values()])
    path = forbidden_path(new, others, hops=settings.DELEGATION_HOPS)
    if path:
        raise Invalid.field("delegate", why_forbidden(row, path, rows))


def why_forbidden(row: Delegation, path: Path, rows: dict[int, Delegation]) -> str:
    """What is in the way, by name, and what to do instead."""
    giver, taker = row.delegator.display_name, row.delegate.display_name
    steps = [rows.get(step.key, row) for step in path]
    if path[0].giver == path[-1].taker:
        return f"{giver}'s votes would come back to {giver}: {' and '.join(one_step(step) for step in steps if step is not row)}. Name somebody else."
    if steps[0] is not row:
        first = steps[0].delegator.display_name
        return f"{giver} stands in for {first} in that time, and a vote is not passed on that far. {first} can name {taker} directly."
    last = steps[-1]
    return (
        f"{taker} gives their own votes to {last.delegate.display_name} in that time, and a vote is not passed on that far. "
        f"Name {last.delegate.display_name} directly, or choose another time."
    )


def one_step(row: Delegation) -> str:
    return f"{row.delegate.display_name} stands in for {row.delegator.display_name} until {row.ends_at:%d %b %Y}"
