"""Changes in review for the tests: submitted content without the doors, then the real round."""

from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.approvals.actions import activate, open_round
from changemgmt.approvals.chains import store
from changemgmt.approvals.matching import chain_text, chains_for
from changemgmt.approvals.models import Chain, Round, Seat
from changemgmt.audit.actions import record
from changemgmt.changes.actions import next_number, note_author, seal_version
from changemgmt.changes.facts import facts_of
from changemgmt.changes.models import Change
from changemgmt.lifecycle.vote import cast_vote
from changemgmt.preview.actions import store as store_preview
from changemgmt.preview.compute import compute


def a_change(requester: User, now: datetime, *, implementers: tuple[User, ...] = (), **fields: Any) -> Change:
    """A submitted change with a finished preview."""
    values = {"title": "Move the ledger", "risk_level": "low", "risk_score": 0.1, "no_items_reason": "paper only", **fields}
    change = Change.objects.create(number=next_number(now.year), requester=requester, created_at=now, updated_at=now, submitted_at=now, **values)
    change.implementers.set(implementers)
    note_author(change, requester)
    change = Change.objects.get(pk=change.pk)
    store_preview(change, compute(change, now=now), now=now)
    with transaction.atomic():
        change.submit()
        change.save()
    return change


def in_review(change: Change, now: datetime) -> Round:
    """Open its round as `begin_review` does."""
    with transaction.atomic():
        facts = facts_of(change)
        chains = chains_for(change, facts, now=now)
        change.chain = chain_text(chains)
        parts = seal_version(change, by=change.requester.username, now=now)
        round = open_round(change, chains=chains, facts=facts, parts=parts, now=now)
        if change.state == "submitted":
            change.begin_review()
        change.save()
        record("change.review_begun", actor="", object=f"change:{change.number}", change=change.number, now=now)
    return round


def a_chain(*levels: dict[str, Any], name: str = "Test chain", order: int = 1, **more: Any) -> Chain:
    """An active chain with these levels."""
    return activate_chain({"name": name, "order": order, "active": True, "applies_when": {}, "levels": list(levels), **more})


def activate_chain(data: dict[str, Any]) -> Chain:
    chain = store(Chain(), data, by=None)
    activate(chain)
    return chain


def a_level(*seats: dict[str, Any], rule: str = "all", value: int | None = None, number: int = 1, name: str = "Level", **more: Any) -> dict[str, Any]:
    return {"number": number, "name": name, "rule": {"kind": rule, "value": value}, "seats": list(seats), **more}


def a_seat(group: str, label: str = "", **more: Any) -> dict[str, Any]:
    return {"label": label or group, "group": group, **more}


def seat_of(round: Round, label: str) -> Seat:
    """The first seat with this label in the newest round of the change."""
    return Seat.objects.filter(level__round__change_id=round.change_id, label=label).order_by("-level__round__number", "position").first()


def vote_of(round: Round, label: str, user: User, now: datetime, vote: str = "approve", **more: Any) -> Seat:
    """Cast a vote with the digest that stands with the seat."""
    seat = seat_of(round, label)
    comment = more.pop("comment", "no" if vote == "reject" else "")
    return cast_vote(seat.pk, actor=user, now=now, vote=vote, digest=more.pop("digest", seat.level.digest), comment=comment, **more)
