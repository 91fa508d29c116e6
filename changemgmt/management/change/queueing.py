"""One's queue, and the same vote on several of its rows."""

from __future__ import annotations

import sys
from typing import Any

from changemgmt.api.errors import body_of
from changemgmt.approvals.models import Seat
from changemgmt.approvals.queue import queue_of
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle.vote import bulk_vote

from .approving import factors
from .call import Call


def queue(call: Call) -> None:
    """What waits for one's vote, in the order in which it is best done."""
    rows = [row.shape() for row in queue_of(call.person[0], call.now)]
    lines = [
        f"{row['id']}={row['digest']}  {row['change']}  {row['title']}  {row['level']}, {row['label']}, "
        + (f"due {row['due_at']:%Y-%m-%d %H:%M} UTC" if row["due_at"] else "no time set")
        for row in rows
    ]
    call.answer(rows, lines or "Nothing waits for your vote.")


def vote_on_several(call: Call) -> None:
    """The same vote at several seats; each is checked and recorded by itself. Ends with 1 when one of them was refused."""
    votes = [seat_and_digest(text) for text in call.votes]
    seats = Seat.objects.filter(pk__in=[one["id"] for one in votes]).select_related("level")
    signed = factors(call) if any(seat.level.settings.get("require_signature") for seat in seats) else {}
    found = bulk_vote(votes, vote=call.vote, comment=call.comment, **signed, **call.acting)
    shown = [{**one, "problem": body_of(one["problem"]) if one["problem"] else None} for one in found]
    call.answer(shown, [f"{one['id']}  " + (f"refused: {one['problem'].detail}" if one["problem"] else f"voted {call.vote}") for one in found])
    if not all(one["ok"] for one in found):
        sys.exit(1)


def seat_and_digest(text: str) -> dict[str, Any]:
    """`ID=DIGEST` as `queue` prints it."""
    seat, _equals, digest = text.partition("=")
    if not (seat.isascii() and seat.isdigit() and digest):
        raise Invalid.field("votes", f"Write ID=DIGEST as `queue` prints it, not {text}.")
    return {"id": int(seat), "digest": digest}
