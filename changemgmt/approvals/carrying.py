"""Votes that are still good go with the change into its next round."""

from __future__ import annotations

from .eligibility import involved_persons
from .models import ActionItem, Guest, Round, RoundLevel, Seat, Vote
from .sitting import eligible, still_good


def carry_votes(last: Round, round: Round) -> None:
    """Repeat the votes of `last` at the same seats of `round` where every watched part and the rule are the same and the approval has not expired."""
    levels = {place(level): level for level in last.levels.all()}
    for level in round.levels.exclude(state=RoundLevel.State.SKIPPED).select_related("round__change"):
        before = levels.get(place(level))
        if before is not None:
            carry_guests(before, level)
        if before is not None and terms(before) == terms(level) and not (before.expires_at and before.expires_at <= round.opened_at):
            carry_level(before, level)


def carry_guests(before: RoundLevel, level: RoundLevel) -> None:
    """Whoever was invited to a seat is asked at the same seat of the next round too."""
    if not (before.settings.get("allow_guests") and level.settings.get("allow_guests")):
        return
    seats = {(seat.position, seat.label, seat.power): seat for seat in level.seats.all()}
    for guest in Guest.objects.filter(seat__level=before, revoked_at=None).select_related("seat").order_by("pk"):
        seat = seats.get((guest.seat.position, guest.seat.label, guest.seat.power))
        if seat is not None:
            kept = {
                name: getattr(guest, name) for name in ("user_id", "name", "email", "second_channel", "invited_by_id", "invited_at", "expires_at")
            }
            Guest.objects.create(seat=seat, **kept)


def place(level: RoundLevel) -> tuple[str, str]:
    """What makes two levels of two rounds the same: chain and name."""
    return level.settings.get("chain", ""), level.name


def terms(level: RoundLevel) -> tuple[str, str, int | None]:
    """What a vote was given on: the digest of the watched parts, and the rule."""
    return level.digest, level.rule_kind, level.rule_value


def carry_level(before: RoundLevel, level: RoundLevel) -> None:
    """Carry the votes of one level whose voters may still sit there."""
    seats = {(seat.position, seat.label, seat.power): seat for seat in level.seats.all()}
    involved = involved_persons(level.round.change)
    able = eligible(seats.values(), involved)
    for vote in before.votes.filter(superseded=False).select_related("seat", "by", "on_behalf_of", "delegation__created_by"):
        seat = seats.get((vote.seat.position, vote.seat.label, vote.seat.power))
        if seat is not None and still_good(vote, able[seat.pk], involved):
            carry_vote(vote, level, seat)


def carry_vote(vote: Vote, level: RoundLevel, seat: Seat) -> None:
    """The same vote in the next round; what it demanded goes with it."""
    carried = Vote.objects.create(
        level=level,
        seat=seat,
        by=vote.by,
        on_behalf_of=vote.on_behalf_of,
        delegation=vote.delegation,
        signature=vote.signature,
        person=vote.person,
        printed_name=vote.printed_name,
        vote=vote.vote,
        comment=vote.comment,
        conditions=vote.conditions,
        version=vote.version,
        digest=vote.digest,
        at=vote.at,
        carried_from=vote,
    )
    ActionItem.objects.filter(vote=vote).update(vote=carried)
    seat.state = Seat.State.VOTED
    seat.save(update_fields=["state"])
