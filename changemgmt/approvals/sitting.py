"""Who may vote where, judged at this moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db.models import F, Q, QuerySet

from changemgmt.accounts.models import Delegation, User
from changemgmt.accounts.queries import roles_of
from changemgmt.changes.models import Change, State
from changemgmt.changes.queries import visible_to
from changemgmt.core.reading import active, once
from changemgmt.core.verdict import YES, Verdict

from . import rules
from .eligibility import ABLE, involved_in, involved_persons
from .models import Guest, Round, RoundLevel, Seat, Vote
from .standing import Sitter, delegators_of, stand_ins

OVER = (State.CLOSED, State.CANCELLED)


def candidates(seats: Iterable[Seat]) -> dict[int, list[User]]:
    """Who is asked at each seat now, before anybody is taken out: a group by its members of this moment, and guests where the level allows them."""
    seats = list(seats)
    members: dict[str, list[User]] = defaultdict(list)
    groups = {seat.group for seat in seats if seat.group}
    for user in members_of(groups):
        members[user.of_group].append(user)
    named = [seat.pk for seat in seats if not seat.group]
    fixed: dict[int, list[User]] = defaultdict(list)
    if named:
        for link in Seat.people.through.objects.filter(seat_id__in=named, user__is_active=True, user__is_service=False).select_related("user"):
            fixed[link.seat_id].append(link.user)
    guests = guests_at(seats)
    return {seat.pk: [*(members[seat.group] if seat.group else fixed[seat.pk]), *guests.get(seat.pk, ())] for seat in seats}


def members_of(groups: Collection[str]) -> Iterable[Any]:
    """Active people of these groups by username, once for each group, whose name is `of_group`."""
    return User.objects.filter(ABLE, groups__name__in=groups).annotate(of_group=F("groups__name")).order_by("username") if groups else ()


def guests_at(seats: Iterable[Seat]) -> dict[int, list[User]]:
    """The guests invited to seats of levels that allow guests."""
    found: dict[int, list[User]] = defaultdict(list)
    open_to_guests = [seat.pk for seat in seats if seat.level.settings.get("allow_guests")]
    if open_to_guests:
        for guest in Guest.objects.filter(seat__in=open_to_guests, revoked_at=None, user__is_active=True).select_related("user"):
            found[guest.seat_id].append(guest.user)
    return found


def sitters(seats: Iterable[Seat], *, now: datetime) -> dict[int, list[Sitter]]:
    """Everybody who may take each seat, in their own name first, before anybody who has a part in the change is taken out."""
    seats = list(seats)
    own = candidates(seats)
    others = stand_ins(seats, own, now=now)
    return {seat.pk: [*map(Sitter, own[seat.pk]), *others[seat.pk]] for seat in seats}


def able(sitters: Iterable[Sitter], involved: Mapping[str, str]) -> list[Sitter]:
    """Those of the sitters who have no part in the change, nor has the one they stand in for, nor who arranged that."""
    return [one for one in sitters if one.user.person not in involved and one.voice not in involved and not arranged(one.delegation, involved)]


def arranged(row: Delegation | None, involved: Mapping[str, str]) -> bool:
    """Whether somebody with a part in the change chose who stands in: an administrator can for others, but nobody picks who judges their own change."""
    return row is not None and row.created_by.person in involved


def eligible(seats: Iterable[Seat], involved: Mapping[str, str]) -> dict[int, list[User]]:
    """`candidates` without everybody who has a part in the change."""
    return {pk: [user for user in people if user.person not in involved] for pk, people in candidates(seats).items()}


def current_votes(level: RoundLevel) -> list[Vote]:
    """The votes of the level that count: one per seat at most."""
    return list(level.votes.filter(superseded=False).select_related("by", "on_behalf_of", "delegation__created_by"))


def still_good(vote: Vote, able: Iterable[User], involved: Mapping[str, str]) -> bool:
    """Whether a vote's voice may still sit among `able`, and who gave it for somebody else may still stand in: not revoked, active, without a part."""
    if vote.voice not in {user.person for user in able}:
        return False
    if vote.on_behalf_of is None:
        return True
    revoked = vote.delegation is not None and vote.delegation.revoked_at is not None
    return not revoked and not arranged(vote.delegation, involved) and vote.by.is_active and vote.person not in involved


def mine_of(sitters: Iterable[Sitter], user: User) -> list[Sitter]:
    """Those of the sitters that are this person, in their own name or for somebody."""
    return [one for one in sitters if one.user.person == user.person]


def may_sit(seat: Seat, actor: User, *, now: datetime) -> str:
    """Why this account can't take the seat, or nothing. Everything is read afresh."""
    fresh = User.objects.filter(pk=actor.pk).first()
    if fresh is None or not fresh.is_active:
        return "This account is not active."
    if fresh.is_service:
        return "A service account can never vote."
    involved = involved_persons(seat.level.round.change)
    if part := involved.get(fresh.person):
        return f"You can't vote on this change: you (or another account of yours) {part}."
    mine = mine_of(sitters([seat], now=now)[seat.pk], fresh)
    if not mine:
        return "This vote is not asked of you."
    return "" if able(mine, involved) else barred(mine[0], involved)


def barred(sitter: Sitter, involved: Mapping[str, str]) -> str:
    """Why this sitter, who has no part in the change, still can't vote for somebody else."""
    whose = sitter.whose
    if sitter.delegation is None or whose.person in involved:
        return f"You can't vote for {whose.display_name} on this change: they {involved[whose.person]}."
    chose = sitter.delegation.created_by
    return f"You can't vote for {whose.display_name} on this change: {chose.display_name}, who chose you for that, {involved[chose.person]}."


def claimed_away(seat: Seat, voices: Collection[str], *, now: datetime) -> str:
    """Why this seat takes none of these voices for now: a colleague works on it. Nothing where it is free or claimed by one of them."""
    claimer = seat.claimed_by
    if claimer is None or seat.claimed_until is None or seat.claimed_until <= now or not claimer.is_active or claimer.person in voices:
        return ""
    return f"{claimer.display_name} claimed this vote until {seat.claimed_until:%d %b, %H:%M} UTC. They can release it, or a change manager can."


def seat_open(seat: Seat) -> str:
    """Why nobody can vote at this seat's level now, or nothing."""
    level, change = seat.level, seat.level.round.change
    if change.state in OVER:
        return f"The change is {change.get_state_display().lower()}."
    if level.round.outcome != Round.Outcome.PENDING:
        return f"This approval is over: {level.round.get_outcome_display()}."
    if level.state != RoundLevel.State.OPEN:
        return f"The level “{level.name}” is {level.get_state_display()}, not open."
    if information_open(level.round):
        return "Information is requested: nobody votes until it is there."
    if change.state != State.IN_REVIEW and not level.round.retrospective:
        return f"A change that is {change.get_state_display().lower()} is not voted on."
    return ""


def can_vote(seat: Seat, *, actor: User, now: datetime) -> Verdict:
    """May this person vote at this seat now? Answers the button, the API and the enforcement alike."""
    refusal = may_sit(seat, actor, now=now)
    if refusal:
        return Verdict(refusal=refusal)
    closed = seat_open(seat)
    if not closed and seat.claimed_by_id:
        voices = {actor.person, *(one.voice for one in mine_of(sitters([seat], now=now)[seat.pk], actor))}
        closed = claimed_away(seat, voices, now=now)
    return Verdict(impossible=closed) if closed else YES


def information_open(round: Round) -> bool:
    return round.information_requests.filter(answered_at__isnull=True).exists()


def seat_with(pk: int) -> Seat:
    """A seat with its level, round and change."""
    return Seat.objects.select_related("level__round__change").get(pk=pk)


def visible_seat(pk: int, user: User) -> Seat | None:
    """The seat, where the user may see its change."""
    return Seat.objects.select_related("level__round__change").filter(pk=pk, level__round__change__in=visible_to(user)).first()


def seat_now(seat: Seat) -> Seat:
    """The seat in the newest round that stands for this one of an earlier round, or the seat itself."""
    last = seat.level.round.change.rounds.latest("number")
    if last.pk == seat.level.round_id or last.outcome != Round.Outcome.PENDING:
        return seat
    chain = seat.level.settings.get("chain")
    same = Seat.objects.filter(level__round=last, level__name=seat.level.name, label=seat.label, power=seat.power, position=seat.position)
    found = [one for one in same.select_related("level__round__change") if one.level.settings.get("chain") == chain]
    return found[0] if found else seat


@once
def my_open_seats(change: Change, user: User, *, now: datetime) -> list[Seat]:
    """The seats of this change at which this person may vote now, strongest first; the number of queries does not depend on how many."""
    seats = list(open_seats(user, now=now).filter(level__round__change=change))
    standing = standing_of(user, seats, now=now)
    if not standing or seat_open(seats[0]):
        return []
    mine = [seat for seat in seats if seat.pk in standing and not claimed_away(seat, {user.person, standing[seat.pk].voice}, now=now)]
    return sorted(mine, key=lambda seat: (rules.STRENGTH[rules.Power(seat.power)], seat.pk))


def standing_of(user: User, seats: list[Seat], *, now: datetime, votes: Iterable[Vote] | None = None) -> dict[int, Sitter]:
    """As whom this person may vote at each of these seats: not where they have a part, nor where they or the one they stand in for have voted.

    `votes` are those of the levels (and may be more), where they were read already.
    """
    if user.is_service or not user.is_active or not seats:
        return {}
    involved = involved_in({seat.level.round.change_id: seat.level.round.change for seat in seats}.values())
    spoken = spoken_at({seat.level_id for seat in seats}, votes)
    everybody = chairs_of(user, seats, now=now)
    found = {}
    for seat in seats:
        mine = mine_of(everybody[seat.pk], user)
        done = spoken[seat.level_id]
        fit = [one for one in able(mine, involved[seat.level.round.change_id]) if one.voice not in done and user.person not in done]
        if fit:
            found[seat.pk] = fit[0]
    return found


def chairs_of(user: User, seats: list[Seat], *, now: datetime) -> dict[int, list[Sitter]]:
    """Who may take each seat, as far as this person is concerned: who stands in for nobody and has one account sits where they are asked themselves."""
    known = delegators_of(user, now)
    if user.identity_id or known:
        own = {key: [one for one in found if one.pk in known or one.person == user.person] for key, found in candidates(seats).items()}
        others = stand_ins(seats, own, now=now)
        return {key: [*map(Sitter, own[key]), *others[key]] for key in own}
    groups = set(roles_of(user) if active() else user.groups.values_list("name", flat=True))
    named = {seat.pk for seat in seats if not seat.group}
    mine = set(Seat.people.through.objects.filter(seat_id__in=named, user=user).values_list("seat_id", flat=True)) if named else set()
    return {seat.pk: [Sitter(user)] if (seat.group in groups if seat.group else seat.pk in mine) else [] for seat in seats}


def spoken_at(levels: set[int], votes: Iterable[Vote] | None = None) -> dict[int, set[str]]:
    """Who has voted at each level, the voters and those they stood in for."""
    found: dict[int, set[str]] = defaultdict(set)
    if votes is None:
        votes = Vote.objects.filter(level__in=levels, superseded=False).select_related("by", "on_behalf_of")
    for vote in votes:
        if vote.level_id in levels and not vote.superseded:
            found[vote.level_id] |= {vote.person, vote.voice}
    return found


def open_seats(user: User, *, now: datetime) -> QuerySet[Seat]:
    """Open seats of pending rounds that ask this person, a group of theirs, or somebody they may stand in for: the widest set, which `may_sit` judges."""
    people = {user.pk} | delegators_of(user, now)
    alone = active() and people == {user.pk}
    groups = list(roles_of(user) if alone else Group.objects.filter(user__in=people).values_list("name", flat=True))
    asked = Q(group="", people__in=people) | Q(group__in=groups)
    rows = Seat.objects.filter(asked, state=Seat.State.OPEN, level__state=RoundLevel.State.OPEN, level__round__outcome=Round.Outcome.PENDING)
    return rows.select_related("level__round__change", "claimed_by").distinct()
