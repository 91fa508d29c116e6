"""Links in mails that lead to one decision: made when the mail is sent, kept as a hash, judged when somebody opens one."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from changemgmt.accounts.models import User
from changemgmt.core.errors import Gone, OutOfDate

from . import rules
from .eligibility import involved_persons
from .models import MailLink, RoundLevel, Seat, Vote
from .sitting import able, can_vote, current_votes, may_sit, seat_now, seat_open, sitters

LIFE = timedelta(hours=72)
LENGTH = 43  # characters of 256 random bits
ACTIONS = (Vote.Kind.APPROVE, Vote.Kind.REJECT)


@dataclass(frozen=True)
class Offer:
    """What a mail offers: a path for each decision, as whom, and until when. The paths exist nowhere else."""

    seat: Seat
    user: User
    on_behalf_of: User | None
    approve: str
    reject: str
    expires_at: datetime


# --- making them ---


def offer_for(user: User, level: RoundLevel, *, now: datetime) -> Offer | None:
    """New links for the vote this person may cast at an open level now, None where there is none."""
    seat = seat_for(user, level, now=now)
    return make_offer(seat, user, now=now, expires_at=now + LIFE) if seat else None


def seat_for(user: User, level: RoundLevel, *, now: datetime) -> Seat | None:
    """The strongest open seat of the level that this person may take now; none once they, or whom they stand in for, have voted."""
    spoken = {voice for vote in current_votes(level) for voice in (vote.person, vote.voice)}
    seats = list(level.seats.filter(state=Seat.State.OPEN).select_related("level__round__change", "claimed_by"))
    if not seats or user.person in spoken:
        return None
    found, involved = sitters(seats, now=now), involved_persons(seats[0].level.round.change)
    mine = [seat for seat in seats if any(one.user.person == user.person and one.voice not in spoken for one in able(found[seat.pk], involved))]
    mine.sort(key=lambda seat: (rules.STRENGTH[rules.Power(seat.power)], seat.pk))
    return next((seat for seat in mine if can_vote(seat, actor=user, now=now).allowed), None)


def make_offer(seat: Seat, user: User, *, now: datetime, expires_at: datetime) -> Offer:
    """A link for each decision of this person at this seat, bound to what the level covers now."""
    approve, reject = (make_link(seat, user, action, now=now, expires_at=expires_at) for action in ACTIONS)
    return Offer(seat, user, stands_for(seat, user, now=now), approve, reject, expires_at)


def make_link(seat: Seat, user: User, action: str, *, now: datetime, expires_at: datetime) -> str:
    """Keep the hash of a new token; answers the path with the token in it."""
    token = secrets.token_urlsafe(32)
    MailLink.objects.create(
        token_hash=hash_of(token),
        seat=seat,
        user=user,
        action=action,
        version=seat.level.round.version,
        digest=seat.level.digest,
        created_at=now,
        expires_at=expires_at,
    )
    return f"/approvals/link/{token}/"


def take_back(offer: Offer, *, now: datetime) -> None:
    """The mail did not go out: its links lead nowhere."""
    tokens = [hash_of(path.split("/")[-2]) for path in (offer.approve, offer.reject)]
    MailLink.objects.filter(token_hash__in=tokens, used_at=None, revoked_at=None).update(revoked_at=now)


def hash_of(token: str) -> str:
    """What is kept of a token. It is 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


# --- judging them ---


def link_of(token: str) -> MailLink | None:
    """The link with this token, whatever became of it."""
    if len(token) != LENGTH or not token.isascii():
        return None
    rows = MailLink.objects.select_related("seat__level__round__change", "user")
    return rows.filter(token_hash=hash_of(token)).first()


def seat_behind(link: MailLink) -> Seat:
    """The seat the link leads to, as it is now."""
    return seat_now(Seat.objects.select_related("level__round__change").get(pk=link.seat_id))


def check_link(link: MailLink, seat: Seat, *, viewer: User | None, now: datetime) -> None:
    """Raise Gone where the link decides nothing any more or is somebody else's, OutOfDate where the content is another.

    `viewer` is who is signed in, if anybody is.
    """
    if viewer is not None and viewer.pk != link.user_id:
        raise Gone("This link is for somebody else than the person who is signed in here. Sign out to use it.")
    if why := spent(link, now=now):
        raise Gone(why)
    if why := may_sit(seat, link.user, now=now):
        raise Gone(f"The vote is not asked of you any more. {why}")
    if seat.level.round.version != link.version or seat.level.digest != link.digest:
        raise OutOfDate("The change was edited after this mail was sent. Sign in to see what it is now, then vote there.")
    if any(vote.person == link.user.person for vote in current_votes(seat.level)):
        raise Gone("You have voted on this level. Sign in to change your vote while the level is open.")
    if seat.level.state != RoundLevel.State.OPEN or seat.state == Seat.State.CLOSED:
        raise Gone(seat_open(seat) or "This vote is not asked any more.")


def spent(link: MailLink, *, now: datetime) -> str:
    """Why the link itself does not count any more, or nothing."""
    if link.used_at is not None:
        return "This link was used. A link counts once."
    if link.revoked_at is not None:
        return "This link was taken back. It may have been replaced, or the vote was given in another way."
    if link.expires_at <= now:
        return "This link is too old: it counts 72 hours."
    return ""


def stands_for(seat: Seat, user: User, *, now: datetime) -> User | None:
    """For whom this person sits at the seat, if not for themselves."""
    mine = [one for one in sitters([seat], now=now)[seat.pk] if one.user.person == user.person]
    found = able(mine, involved_persons(seat.level.round.change))
    return found[0].on_behalf_of if found else None


# --- ending them ---


def take_once(link: MailLink, *, now: datetime) -> bool:
    """Use the link up. False where somebody did so first, or it was taken back meanwhile."""
    return bool(MailLink.objects.filter(pk=link.pk, used_at=None, revoked_at=None, expires_at__gt=now).update(used_at=now))


def end_links(seat: int, user: int, *, now: datetime) -> int:
    """All links of this person at this seat lead nowhere any more; how many did until now."""
    return MailLink.objects.filter(seat=seat, user=user, used_at=None, revoked_at=None).update(revoked_at=now)
