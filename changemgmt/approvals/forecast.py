"""What my vote will do, said before I give it: the tally is asked with the vote as if it were given."""

from __future__ import annotations

from dataclasses import replace

from django.utils.translation import gettext as _

from changemgmt.accounts.models import User

from . import rules
from .deciding import seat_votes
from .models import Power, RoundLevel, Seat
from .sitting import current_votes


def forecast_of(seat: Seat, user: User) -> dict[str, str]:
    """For each vote (approve, abstain, reject) a sentence that says what follows at once."""
    level = seat.level
    seats = list(level.seats.all())
    mine = next((vote.seat_id for vote in current_votes(level) if vote.person == user.person), None)
    votes = dict(zip((one.pk for one in seats), seat_votes(level), strict=True))
    if mine is not None and mine != seat.pk:
        votes[mine] = replace(votes[mine], vote=None)
    return {vote: sentence(seat, votes, vote) for vote in ("approve", "abstain", "reject")}


def sentence(seat: Seat, votes: dict[int, rules.SeatVote], vote: str) -> str:
    if seat.power == Power.ADVISORY:
        return _("Your advice is recorded and shown; it decides nothing.")
    level = seat.level
    after = {**votes, seat.pk: replace(votes[seat.pk], vote=vote)}
    outcome = rules.tally(rules.LevelRule(level.rule_kind, level.rule_value), list(after.values())).outcome
    if outcome == rules.Outcome.REJECTED:
        return _("Your vote rejects the level “%(name)s” and ends the approval at once.") % {"name": level.name}
    if outcome in rules.PASSED:
        return passed(level)
    if outcome == rules.Outcome.ESCALATE:
        return _("The level “%(name)s” can't decide itself then; the change managers are told.") % {"name": level.name}
    left = sum(one.vote is None and one.power != Power.ADVISORY for one in after.values())
    return _("The level “%(name)s” then waits for the others (%(left)d open).") % {"name": level.name, "left": left}


def passed(level: RoundLevel) -> str:
    """What opens, or ends, when this level passes."""
    states = [RoundLevel.State.WAITING, RoundLevel.State.OPEN]
    rest = list(RoundLevel.objects.filter(round_id=level.round_id, state__in=states).exclude(pk=level.pk).order_by("position"))
    if not rest:
        return _("Your vote decides: the change is approved.")
    if rest[0].number > level.number:
        return _("The level “%(name)s” passes with your vote and “%(next)s” opens.") % {"name": level.name, "next": rest[0].name}
    return _("The level “%(name)s” passes with your vote; “%(next)s” beside it goes on.") % {"name": level.name, "next": rest[0].name}
