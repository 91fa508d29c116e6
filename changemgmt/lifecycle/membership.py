"""When somebody leaves a group or the organisation, their open requests end and their votes are judged again; who joins a group is asked what it is asked."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from changemgmt.accounts.actions import withdraw
from changemgmt.accounts.models import User
from changemgmt.approvals.actions import settle
from changemgmt.approvals.casting import open_seats
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Round, Seat
from changemgmt.approvals.sitting import candidates
from changemgmt.changes.models import Change

from .conclude import conclude
from .move import locked
from .review import pending
from .rights import settle_rights


def leave(username: str, *, now: datetime) -> list[str]:
    """Judge the open rounds again that ask this person, or where they voted for somebody; answers the numbers of the changes. Asked again, it changes nothing."""
    user = User.objects.get(username=username)
    part = Q(rounds__levels__seats__people=user) | Q(rounds__levels__votes__by=user)
    numbers = list(Change.objects.filter(part, rounds__outcome=Round.Outcome.PENDING).distinct().values_list("number", flat=True))
    for number in numbers:
        with transaction.atomic():
            judge_again(locked(number, None), user, now=now)
    return numbers


def judge_again(change: Change, user: User, *, now: datetime) -> None:
    """Take the person out of the seats they may not take any more; what is decided by that is decided."""
    round = pending(change)
    if round is None:
        return
    seats = list(Seat.objects.filter(level__round=round, people=user))
    able = candidates(seats)
    for seat in seats:
        if user not in able[seat.pk]:
            seat.people.remove(user)
            if seat.claimed_by_id == user.pk:
                Seat.objects.filter(pk=seat.pk).update(claimed_by=None, claimed_until=None)
    if not Seat.objects.filter(level__round=round, people=user, state=Seat.State.OPEN).exists():
        withdraw("vote", user, change)
    settle(round, now=now)
    conclude(change, round, now=now)
    settle_rights(change, now=now)


def join(username: str, *, now: datetime) -> list[str]:
    """Ask this person at the seats that ask a group of theirs; answers the numbers of the changes. Asked again, it changes nothing.

    So who joins after a round over a confidential change was opened may see what they are to vote on.
    """
    user = User.objects.get(username=username)
    if not user.is_active or user.is_service or user.is_guest:
        return []
    numbers = list(unasked(user).order_by().distinct().values_list("level__round__change__number", flat=True))
    for number in numbers:
        with transaction.atomic():
            ask_too(locked(number, None), user, now=now)
    return numbers


def unasked(user: User) -> QuerySet[Seat]:
    """Seats of pending rounds that ask a group of this person's, but not yet them."""
    groups = list(user.groups.values_list("name", flat=True))
    waiting = Seat.objects.filter(group__in=groups, state__in=[Seat.State.OPEN, Seat.State.WAITING], level__round__outcome=Round.Outcome.PENDING)
    return waiting.exclude(pk__in=Seat.people.through.objects.filter(user=user).values("seat"))


def ask_too(change: Change, user: User, *, now: datetime) -> None:
    """Add the person to those the seats of their groups ask; nobody who has a part in the change."""
    round = pending(change)
    if round is None or user.person in involved_persons(change):
        return
    seats = list(unasked(user).filter(level__round=round))
    for seat in seats:
        seat.people.add(user)
    open_seats([seat for seat in seats if seat.state == Seat.State.OPEN], change)
    settle_rights(change, now=now)
