"""Votes: given, given again, claimed, taken back; evidence and its acceptance."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.files import File

from changemgmt.accounts.second_factor import has_second_factor
from changemgmt.approvals.models import Seat, Vote
from changemgmt.approvals.queries import my_open_seats
from changemgmt.approvals.shapes import level_shape, levels_whole
from changemgmt.approvals.sitting import visible_seat
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible, existing
from changemgmt.lifecycle import claim, obligations
from changemgmt.lifecycle.guards import stamp
from changemgmt.lifecycle.reconfirm import reconfirm_vote, said_before
from changemgmt.lifecycle.signature import meaning_of
from changemgmt.lifecycle.vote import cast_vote, withdraw_vote
from changemgmt.preview.diff_files import markdown
from changemgmt.preview.queries import told_of

from .call import Call

AFTER_THE_TEXT = ("due", "owner", "evidence", "expires_at", "on_expiry")
DUES = ("before_schedule", "before_start", "during", "before_close")


def vote(call: Call) -> None:
    """Vote at one's open seat."""
    give(call, call.vote, [seat for seat in open_seats(call) if call.level is None or seat.level.number == call.level])


def cab_review(call: Call) -> None:
    """Vote at one's seat in the CAB."""
    give(call, call.decision, [seat for seat in open_seats(call) if "CAB" in seat.level.name])


def open_seats(call: Call) -> list[Seat]:
    """The caller's own open seats; where they have none, every open one, so that the verb says why they can't take it."""
    call.reader = call.actor
    change = call.change
    theirs = Seat.objects.filter(level__round__change=change, state=Seat.State.OPEN).select_related("level").order_by("pk")
    return my_open_seats(change, call.actor, now=call.now) or list(theirs)


def give(call: Call, answer: str, seats: list[Seat]) -> None:
    if not seats:
        raise NotPossible("No vote of this level is open now.")
    seat = seats[0]
    digest = call.digest or asked(call, seat, answer)
    cast = cast_vote(
        seat.pk, vote=answer, digest=digest, comment=call.comment, conditions=[condition(text) for text in call.conditions or []],
        **signature(call, seat, answer), **call.acting,
    )  # fmt: skip
    shown = level_shape(levels_whole().get(pk=cast.level_id))
    change = Change.objects.get(pk=call.change.pk)
    call.answer(
        shown | {"change": change.number, "change_state": change.state},
        f"Voted {answer} at {cast.label}. The level is {shown['state']}, the change is {change.get_state_display().lower()}.",
    )


def signature(call: Call, seat: Seat, answer: str) -> dict[str, Any]:
    """What signs the vote where its level demands it; on a terminal its meaning is shown first."""
    if not seat.level.settings.get("require_signature"):
        return {}
    if call.on_terminal:
        call.write(f"{meaning_of(seat, answer)}.\n{call.actor.display_name}")
    return factors(call)


def factors(call: Call) -> dict[str, Any]:
    """Password and code: asked for on a terminal, else from standard input and `--code`. Never an argument with a password in it."""
    asks = sys.stdin.isatty()
    password = sys.stdin.readline().rstrip("\n") if call.password_stdin else getpass.getpass("Your password, to sign this vote: ") if asks else None
    code = call.code or (getpass.getpass("The code of your app: ") if asks and has_second_factor(call.actor) else None)
    return {"password": password, "code": code}


def reconfirm(call: Call) -> None:
    """Say again what one said in the round before, where nothing the level watches has moved since."""
    seats = [existing(visible_seat(call.seat, call.actor), "There is no vote with this id that you may see.")] if call.seat else open_seats(call)
    if not seats:
        raise NotPossible("No vote is open now.")
    said = {seat.pk: said_before(seat, call.actor, now=call.now) for seat in seats}
    seat = next((seat for seat in seats if said[seat.pk]), seats[0])
    before = said[seat.pk]
    word = before.vote if before else Vote.Kind.APPROVE
    digest = call.digest or asked(call, seat, word)
    cast = reconfirm_vote(seat.pk, digest=digest, **signature(call, seat, word), **call.acting)
    say_level(call, cast, f"You said {word} again at {cast.label}.")


def asked(call: Call, seat: Seat, answer: str) -> str:
    """On a terminal: show the brief and ask. Elsewhere the digest of what was seen is needed."""
    if not call.on_terminal:
        raise Invalid.field("digest", "Give --digest with the digest you saw: `show` prints it.")
    change = call.change
    call.write(f"{change}\nrequested by {change.requester.username}, risk {change.risk_level}, {change.affected_count} components affected\n")
    call.write(change.business_justification or change.description)
    call.write(markdown(told_of(change, "What differs")))
    call.write(f"How to undo: {change.rollback_plan or 'not said'}")
    if not call.confirmed(f"Vote {answer} on this?"):
        raise NotPossible("Nothing was voted.")
    return seat.level.digest


def condition(text: str) -> dict[str, Any]:
    """`TEXT;due;owner;evidence;expires_at;on_expiry` as a condition; all but the text may be left out."""
    words, *rest = [part.strip() for part in text.split(";")]
    if len(rest) >= len(AFTER_THE_TEXT) + 1 or (rest and rest[0] not in ("", *DUES)):
        raise Invalid.field("condition", f"Write TEXT;{';'.join(AFTER_THE_TEXT)} with due one of {', '.join(DUES)}.")
    said = {name: value for name, value in zip(AFTER_THE_TEXT, rest, strict=False) if value}
    return {"text": words, "due": "before_start", "evidence": "statement", **said}


def claim_vote(call: Call) -> None:
    """Take a group's vote for oneself."""
    seats = [seat for seat in open_seats(call) if call.seat in (None, seat.pk)]
    if not seats:
        raise NotPossible("No such vote is open now.")
    seat = claim.claim_seat(next((seat.pk for seat in seats if seat.group), seats[0].pk), **call.acting)
    say_level(call, seat, f"You claimed {seat.label} until {stamp(seat.claimed_until)}." if seat.claimed_until else "")


def release_vote(call: Call) -> None:
    """Give a claimed vote back to its group: one's own, or, with --seat, anybody's as a change manager."""
    call.reader = call.actor
    claimed = Seat.objects.filter(level__round__change=call.change, claimed_until__gt=call.now, state=Seat.State.OPEN)
    mine = claimed.filter(pk=call.seat) if call.seat else claimed.filter(claimed_by=call.actor)
    key = mine.values_list("pk", flat=True).first()
    if key is None:
        raise NotPossible("You have claimed no vote of this change." if call.seat is None else "Nobody has claimed this vote.")
    seat = claim.release_seat(key, **call.acting)
    say_level(call, seat, f"{seat.label} is released.")


def reassign_vote(call: Call) -> None:
    """Ask somebody else at a seat."""
    call.reader = call.actor
    if not Seat.objects.filter(pk=call.seat, level__round__change=call.change).exists():
        raise NotFound("This change has no vote with this id.")
    seat = claim.reassign_seat(call.seat, to=call.to, reason=call.reason, **call.acting)
    say_level(call, seat, f"{call.to} is asked at {seat.label} now, instead of {seat.reassigned_from}.")


def withdraw(call: Call) -> None:
    """Take one's own vote back; of several, the newest, or the one of --seat."""
    call.reader = call.actor
    mine = Vote.objects.filter(level__round__change=call.change, person=call.actor.person, superseded=False).order_by("at", "pk")
    given = (mine.filter(seat=call.seat) if call.seat else mine).last()
    if given is None:
        raise NotPermitted("You have no vote on this change that counts.")
    seat = withdraw_vote(given.seat_id, reason=call.reason, **call.acting)
    say_level(call, seat, f"Your vote at {seat.label} is withdrawn.")


def say_level(call: Call, seat: Seat, line: str) -> None:
    call.answer(level_shape(levels_whole().get(pk=seat.level_id)), line)


def evidence(call: Call) -> None:
    """Show that a condition is met."""
    given: dict[str, Any] = (
        {"kind": "file"} if call.file else {"kind": "link", "url": call.url} if call.url else {"kind": "statement", "text": call.text or ""}
    )
    if call.file:
        with call.file.open("rb") as handle:
            item = obligations.give_evidence(call.id, given, number=call.number, file=Upload(handle, name=call.file.name), **call.acting)
    else:
        item = obligations.give_evidence(call.id, given, number=call.number, **call.acting)
    call.answer({"id": item.pk, "state": item.state}, f"Evidence is given; {item.set_by.username} or a change manager accepts it.")


class Upload(File):
    """A file from disk as an upload."""

    content_type = "application/octet-stream"


def accept(call: Call) -> None:
    """The evidence is good."""
    item = obligations.accept(call.id, number=call.number, comment=call.comment, **call.acting)
    call.answer({"id": item.pk, "state": item.state}, f"Condition {item.pk} is {item.get_state_display()}.")
