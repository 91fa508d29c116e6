"""Writes to votes and seats, and to what votes demand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Permission

from changemgmt.accounts.models import User
from changemgmt.audit.actions import Personal, record
from changemgmt.changes.models import Change, ChangeRight
from changemgmt.core.time import parse_instant

from .models import ActionItem, Power, Seat, Vote
from .sitting import current_votes
from .standing import Sitter

ASKED = ("vote_change", "view_change")
TAKEN_BACK = "Withdrawn: "
"""How the reason begins with which somebody took their own vote back."""


def open_seat(seat: Seat) -> None:
    """Ask the people of one seat."""
    open_seats([seat], seat.level.round.change)
    seat.state = Seat.State.OPEN


def open_seats(seats: Collection[Seat], change: Change) -> None:
    """Ask the people of these seats: they stand in their queues and the people hold the rights."""
    keys = [seat.pk for seat in seats]
    Seat.objects.filter(pk__in=keys).update(state=Seat.State.OPEN)
    people = set(Seat.people.through.objects.filter(seat_id__in=keys).values_list("user_id", flat=True))
    permissions = Permission.objects.filter(content_type__app_label="changemgmt", codename__in=ASKED)
    rows = [ChangeRight(user_id=user, permission=permission, content_object=change) for permission in permissions for user in sorted(people)]
    ChangeRight.objects.bulk_create(rows, ignore_conflicts=True)


def end_rights(people: Collection[int], change: Change) -> None:
    """Take the right to vote from these people; what they may see is settled by the change's own people."""
    ChangeRight.objects.filter(content_object=change, user_id__in=people, permission__codename="vote_change").delete()


def record_vote(
    seat: Seat,
    *,
    sitter: Sitter,
    vote: str,
    digest: str,
    comment: str,
    conditions: list[dict[str, Any]],
    signature: dict[str, Any] | None,
    now: datetime,
) -> Vote:
    """Insert the vote and take the seat. What this person, or this voice through somebody else, said at this level before is superseded."""
    by = sitter.user
    for before in current_votes(seat.level):
        if before.person == by.person or before.voice == sitter.voice:
            supersede(before, f"{by.username} voted again." if before.person == by.person else f"{by.username} voted in person.", now=now)
            if before.seat_id != seat.pk:
                open_seat(before.seat)
    row = Vote.objects.create(
        level=seat.level,
        seat=seat,
        by=by,
        on_behalf_of=sitter.on_behalf_of,
        delegation=sitter.delegation,
        signature=signature,
        person=by.person,
        printed_name=by.display_name,
        vote=vote,
        comment=comment,
        conditions=conditions,
        version=seat.level.round.version,
        digest=digest,
        at=now,
    )
    seat.state, seat.claimed_by, seat.claimed_until = Seat.State.VOTED, None, None
    seat.save(update_fields=["state", "claimed_by", "claimed_until"])
    record(
        "vote.cast",
        actor=by.username,
        on_behalf_of=sitter.on_behalf_of.username if sitter.on_behalf_of else "",
        object=f"change:{seat.level.round.change.number}",
        change=seat.level.round.change.number,
        now=now,
        data=vote_data(row),
    )
    return row


def vote_data(vote: Vote) -> dict[str, Any]:
    """What the record keeps of a vote; the voter's name and words can be erased."""
    seat, level = vote.seat, vote.level
    return {
        "round": level.round.number,
        "level": level.name,
        "level_id": level.pk,
        "seat": seat.pk,
        "label": seat.label,
        "power": seat.power,
        "by": Personal(vote.printed_name),
        **({"for": Personal(vote.on_behalf_of.display_name)} if vote.on_behalf_of else {}),
        "vote": vote.vote,
        "comment": Personal(vote.comment),
        "conditions": vote.conditions,
        **({"meaning": vote.signature["meaning"], "factors": vote.signature["factors"]} if vote.signature else {}),
        "version": vote.version,
        "digest": vote.digest,
    }


def supersede(vote: Vote, why: str, *, now: datetime, action: str = "vote.superseded") -> None:
    """A vote counts no more, and what it demanded goes with it; it stays on record."""
    vote.superseded, vote.superseded_why = True, (TAKEN_BACK + why if action == "vote.withdrawn" else why)[:300]
    vote.save(update_fields=["superseded", "superseded_why"])
    items = vote.action_items.filter(state__in=[ActionItem.State.OPEN, ActionItem.State.EVIDENCE_GIVEN])
    items.update(state=ActionItem.State.WAIVED, closed_at=now, closed_comment="The vote that demanded it was superseded.")
    change = vote.level.round.change
    data = {"seat": vote.seat_id, "level": vote.level.name, "vote": vote.vote, "by": Personal(vote.printed_name), "why": why, "digest": vote.digest}
    record(action, actor=vote.by.username, object=f"change:{change.number}", change=change.number, now=now, data=data)


def supersede_all(change: Change, why: str, *, now: datetime) -> None:
    """Every vote given on this change counts no more: it was taken back whole."""
    votes = Vote.objects.filter(level__round__change=change, superseded=False)
    for vote in votes.select_related("seat", "by", "level__round__change"):
        supersede(vote, why, now=now)


def add_obligations(vote: Vote, owners: Sequence[User], *, now: datetime) -> list[ActionItem]:
    """One action item per condition of the vote; those of an advisory seat are recommendations."""
    change = vote.level.round.change
    return [
        ActionItem.objects.create(
            change=change,
            vote=vote,
            text=condition["text"],
            due=condition["due"],
            evidence_kind=condition["evidence"],
            advisory=vote.seat.power == Power.ADVISORY,
            owner=owner,
            set_by=vote.by,
            created_at=now,
            expires_at=parse_instant(condition["expires_at"], field="expires_at") if condition.get("expires_at") else None,
            on_expiry=condition.get("on_expiry") or ActionItem.OnExpiry.REVIEW,
        )
        for condition, owner in zip(vote.conditions, owners, strict=True)
    ]
