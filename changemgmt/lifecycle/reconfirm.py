"""Reconfirm: somebody who is asked again, and whose grounds did not move, says what they said before. Through `cast_vote`, like every vote."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.approvals.models import Seat, Vote
from changemgmt.approvals.queue import vote_to_repeat
from changemgmt.approvals.sitting import may_sit, seat_now, visible_seat
from changemgmt.core.errors import NotPossible, PreconditionMissing, existing
from changemgmt.core.verdict import Verdict

from .vote import cast_vote, my_vote


def reconfirm_vote(seat_id: int, *, actor: User, now: datetime, digest: Any, password: str | None = None, code: str | None = None) -> Seat:
    """Give the vote of the round before once more: the same word, comment and conditions, on the digest that was shown.

    NotPossible where there is none, or where what it covered moved since. Sent twice it changes nothing.
    """
    seat = seat_now(existing(visible_seat(seat_id, actor), "There is no vote with this id that you may see."))
    Verdict(refusal=may_sit(seat, actor, now=now)).enforce()
    if not digest:
        raise PreconditionMissing("Send the digest of what you saw: it stands with the seat.")
    before = said_before(seat, actor, now=now)
    if before is None:
        raise NotPossible("You have no earlier vote on just this: look at it and vote.")
    return cast_vote(
        seat_id,
        actor=actor,
        now=now,
        vote=before.vote,
        digest=digest,
        comment=before.comment,
        conditions=before.conditions,
        password=password,
        code=code,
    )


def said_before(seat: Seat, actor: User, *, now: datetime) -> Vote | None:
    """The vote to repeat; once it was repeated, the repetition itself."""
    return my_vote(seat, actor) or vote_to_repeat(seat, actor, now=now)
