"""The verdicts on voting, one by one: who may sit, when a seat takes a vote, what a vote has to be, when it may be taken back, who may ask and answer."""

from datetime import timedelta

import pytest

from changemgmt.accounts.models import Delegation, Identity
from changemgmt.approvals import taking
from changemgmt.approvals.models import Chain, Guest, Round, RoundLevel, Seat, Vote
from changemgmt.approvals.sitting import (
    able,
    can_vote,
    candidates,
    claimed_away,
    eligible,
    may_sit,
    mine_of,
    my_open_seats,
    open_seats,
    seat_now,
    seat_open,
    sitters,
    spoken_at,
    standing_of,
    still_good,
    visible_seat,
)
from changemgmt.approvals.standing import Sitter, delegators_of, first_votes, parents
from changemgmt.approvals.taking import hold, mine_at, seat_to_take
from changemgmt.changes.models import Change, Preview
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, OutOfDate, PreconditionMissing, UnmetGuard
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.vote import (
    Said,
    check_content,
    check_form,
    check_moment,
    may_provide_information,
    may_request_information,
    may_withdraw,
    my_vote,
    no_seat,
    open_question,
    provide_information,
    question_given,
    repeats,
    request_information,
)
from changemgmt.tests.cast import make_person

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = [pytest.mark.django_db, pytest.mark.needs_sqlite]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def round(cast, now):
    """Two approvers and, side by side, the security lead; then the ECAB."""
    a_chain(
        a_level(a_seat("approver", "Peer", required=2), {"label": "Sam", "user": "sam", "power": "veto"}, name="First"),
        a_level(a_seat("ecab", "Board"), number=2, name="Second"),
    )
    return in_review(a_change(cast.rita, now, owner=cast.max, implementers=(cast.ian,)), now)


def seat(round, label="Peer"):
    return Seat.objects.select_related("level__round__change").get(pk=seat_of(round, label).pk)


def stands_in(delegator, delegate, now, **more):
    fields = {"starts_at": now - DAY, "ends_at": now + DAY, "scope_kind": "all", "created_by": delegator, "created_at": now - DAY, **more}
    return Delegation.objects.create(delegator=delegator, delegate=delegate, **fields)


def said(vote="approve", comment="", digest="x", conditions=()):
    return Said(vote, digest, comment, conditions)


# --- who may sit ---


def test_who_is_asked_may_sit_and_everybody_else_is_told_why_not(cast, round, now):
    place = seat(round)
    assert may_sit(place, cast.petra, now=now) == ""
    assert may_sit(place, cast.sam, now=now) == "This vote is not asked of you."
    assert may_sit(seat(round, "Sam"), cast.sam, now=now) == ""
    assert may_sit(seat(round, "Sam"), cast.petra, now=now) == "This vote is not asked of you."
    bot = make_person("bot", ("approver",), is_service=True)
    assert may_sit(place, bot, now=now) == "A service account can never vote."
    cast.paul.is_active = False
    cast.paul.save()
    assert may_sit(place, cast.paul, now=now) == "This account is not active."
    round.change.implementers.add(cast.petra)
    assert may_sit(place, cast.petra, now=now) == "You can't vote on this change: you (or another account of yours) is to implement it."


def test_another_account_of_the_same_person_has_the_same_part(cast, round, now):
    one = Identity.objects.create()
    twin = make_person("twin", ("approver",), identity=one)
    cast.rita.identity = one
    cast.rita.save()
    assert may_sit(seat(round), twin, now=now) == "You can't vote on this change: you (or another account of yours) requested it."


def test_a_delegate_may_sit_unless_who_they_stand_in_for_has_a_part(cast, round, now):
    stands_in(cast.petra, cast.olga, now)
    assert may_sit(seat(round), cast.olga, now=now) == ""
    round.change.implementers.add(cast.petra)
    assert may_sit(seat(round), cast.olga, now=now) == "You can't vote for Petra on this change: they is to implement it."


def test_candidates_are_active_people_of_the_group_or_those_named_and_guests_where_allowed(cast, round, now):
    make_person("bot", ("approver",), is_service=True)
    make_person("gone", ("approver",), is_active=False)
    anna = make_person("anna", (), is_guest=True)
    places = [seat(round), seat(round, "Sam")]
    found = {place.label: [user.username for user in candidates(places)[place.pk]] for place in places}
    assert found == {"Peer": ["paul", "petra"], "Sam": ["sam"]}
    guest = Guest.objects.create(
        seat=places[0],
        user=anna,
        name="Anna",
        email="a@b.example",
        second_channel="c@d.example",
        invited_by=cast.max,
        invited_at=now,
        expires_at=now + DAY,
    )
    assert "anna" not in {user.username for user in candidates(places)[places[0].pk]}
    places[0].level.settings["allow_guests"] = True
    assert "anna" in {user.username for user in candidates(places)[places[0].pk]}
    guest.revoked_at = now
    guest.save()
    assert "anna" not in {user.username for user in candidates(places)[places[0].pk]}
    cast.sam.is_active = False
    cast.sam.save()
    assert candidates(places)[places[1].pk] == []
    assert candidates([]) == {}


def test_the_eligible_are_the_candidates_without_who_has_a_part(cast, round, now):
    place = seat(round)
    assert [user.username for user in eligible([place], {cast.petra.person: "requested it"})[place.pk]] == ["paul"]


def test_who_stands_in_counts_only_while_neither_has_a_part(cast):
    own, other = Sitter(cast.petra), Sitter(cast.olga, cast.sam)
    assert able([own, other], {}) == [own, other]
    assert able([own, other], {cast.petra.person: "x"}) == [other]
    assert able([own, other], {cast.olga.person: "x"}) == [own]
    assert able([own, other], {cast.sam.person: "x"}) == [own]
    assert (own.voice, other.voice) == (cast.petra.person, cast.sam.person)
    assert mine_of([own, other], cast.olga) == [other] and mine_of([own, other], cast.sam) == []


# --- when a seat takes a vote ---


def test_a_seat_takes_votes_only_while_its_level_its_round_and_its_change_do(cast, round, now):
    place = seat(round)
    assert seat_open(place) == ""
    assert seat_open(seat(round, "Board")) == "The level “Second” is waiting, not open."
    for state, words in (("closed", "The change is closed."), ("cancelled", "The change is cancelled.")):
        place.level.round.change.__dict__["state"] = state
        assert seat_open(place) == words
    place.level.round.change.__dict__["state"] = "approved"
    assert seat_open(place) == "A change that is approved is not voted on."
    place.level.round.retrospective = True
    assert seat_open(place) == ""
    place.level.round.outcome = "withdrawn"
    assert seat_open(place) == "This approval is over: withdrawn."


def test_while_information_is_requested_nobody_votes(cast, round, now):
    request_information(seat(round).pk, actor=cast.petra, now=now, question="Why?")
    assert seat_open(seat(round)) == "Information is requested: nobody votes until it is there."
    provide_information(round.change.number, actor=cast.rita, now=now, answer="Because")
    assert seat_open(seat(round)) == ""


def test_a_claim_keeps_others_away_until_its_time_and_only_while_who_claimed_it_is_there(cast, round, now):
    place = seat(round)
    assert claimed_away(place, {cast.paul.person}, now=now) == ""
    place.claimed_by, place.claimed_until = cast.petra, now + HOUR
    assert "Petra claimed this vote until 20 Nov, 10:00 UTC" in claimed_away(place, {cast.paul.person}, now=now)
    assert claimed_away(place, {cast.paul.person, cast.petra.person}, now=now) == ""
    assert claimed_away(place, {cast.paul.person}, now=now + HOUR) == ""
    assert claimed_away(place, {cast.paul.person}, now=now + HOUR - timedelta(seconds=1))
    place.claimed_until = None
    assert claimed_away(place, {cast.paul.person}, now=now) == ""
    place.claimed_until, cast.petra.is_active = now + HOUR, False
    assert claimed_away(place, {cast.paul.person}, now=now) == ""


def test_can_vote_says_never_or_not_now_or_yes(cast, round, now):
    place = seat(round)
    assert can_vote(place, actor=cast.petra, now=now).allowed
    assert can_vote(place, actor=cast.sam, now=now).refusal == "This vote is not asked of you."
    assert "waiting" in can_vote(seat(round, "Board"), actor=cast.eva, now=now).impossible
    Seat.objects.filter(pk=place.pk).update(claimed_by=cast.paul, claimed_until=now + HOUR)
    assert "Paul claimed" in can_vote(seat(round), actor=cast.petra, now=now).impossible
    assert can_vote(seat(round), actor=cast.paul, now=now).allowed
    stands_in(cast.paul, cast.olga, now)
    assert can_vote(seat(round), actor=cast.olga, now=now).allowed, "in the voice of who claimed it"
    Change.objects.filter(pk=round.change_id).update(state="cancelled")
    assert can_vote(seat(round), actor=cast.paul, now=now).impossible == "The change is cancelled."


# --- which seats are mine ---


def test_my_open_seats_are_those_i_may_vote_at_now_the_strongest_first(cast, now):
    a_chain(
        a_level(a_seat("approver", "Plain"), {"label": "Petra", "user": "petra", "power": "veto"}, a_seat("approver", "Advice", power="advisory")),
        a_level({"label": "Later", "user": "petra"}, number=2, name="Later"),
    )
    change = a_change(cast.rita, now)
    round = in_review(change, now)
    assert [place.label for place in my_open_seats(change, cast.petra, now=now)] == ["Petra", "Plain", "Advice"]
    assert [place.label for place in my_open_seats(change, cast.paul, now=now)] == ["Plain", "Advice"]
    assert my_open_seats(change, cast.sam, now=now) == []
    Seat.objects.filter(label="Plain").update(claimed_by=cast.petra, claimed_until=now + HOUR)
    assert [place.label for place in my_open_seats(change, cast.paul, now=now)] == ["Advice"]
    assert [place.label for place in my_open_seats(change, cast.petra, now=now)] == ["Petra", "Plain", "Advice"]
    vote_of(round, "Petra", cast.petra, now)
    assert my_open_seats(change, cast.petra, now=now) == [], "one person, one seat"
    request_information(seat(round, "Advice").pk, actor=cast.paul, now=now, question="Why?")
    assert my_open_seats(Change.objects.get(pk=change.pk), cast.paul, now=now) == []


def test_as_whom_somebody_stands_at_each_seat(cast, round, now):
    places = [seat(round), seat(round, "Sam")]
    assert {key: sitter.user for key, sitter in standing_of(cast.petra, places, now=now).items()} == {places[0].pk: cast.petra}
    assert standing_of(cast.petra, [], now=now) == {}
    stands_in(cast.sam, cast.petra, now)
    both = standing_of(cast.petra, places, now=now)
    assert both[places[0].pk].on_behalf_of is None and both[places[1].pk].on_behalf_of == cast.sam
    vote_of(round, "Sam", cast.sam, now)
    assert set(standing_of(cast.petra, places, now=now)) == {places[0].pk}, "Sam has spoken"
    vote_of(round, "Peer", cast.petra, now)
    assert standing_of(cast.petra, places, now=now) == {}
    bot = make_person("bot", ("approver",), is_service=True)
    gone = make_person("gone", ("approver",), is_active=False)
    assert standing_of(bot, places, now=now) == standing_of(gone, places, now=now) == {}
    round.change.implementers.add(cast.paul)
    assert standing_of(cast.paul, places, now=now) == {}


def test_open_seats_are_those_of_open_levels_that_ask_me_my_groups_or_whom_i_stand_in_for(cast, round, now):
    def labels(user):
        return [place.label for place in open_seats(user, now=now)]

    assert labels(cast.petra) == ["Peer", "Peer"] and labels(cast.sam) == ["Sam"] and labels(cast.eva) == [] and labels(cast.olga) == []
    stands_in(cast.sam, cast.olga, now)
    assert labels(cast.olga) == ["Sam"]
    Round.objects.update(outcome="withdrawn")
    assert labels(cast.petra) == []
    Round.objects.update(outcome="pending")
    RoundLevel.objects.update(state="approved")
    assert labels(cast.petra) == []
    RoundLevel.objects.update(state="open")
    assert labels(cast.eva) == []
    Seat.objects.update(state="open")
    assert labels(cast.eva) == ["Board"]


def test_a_seat_of_an_earlier_round_stands_for_the_same_seat_of_the_newest(cast, round, now):
    old = seat(round, "Sam")
    assert seat_now(old) == old
    edit.edit_change(round.change.number, {"description": "New"}, actor=cast.rita, now=now, seen="*")
    new = seat_now(seat_of_round(old))
    assert new.level.round.number == 2 and (new.label, new.level.name) == ("Sam", "First")
    Round.objects.filter(number=2).update(outcome="approved")
    assert seat_now(seat_of_round(old)) == old, "nothing waits any more"
    Round.objects.filter(number=2).update(outcome="pending")
    RoundLevel.objects.filter(round__number=2, name="First").update(settings={"chain": "Another"})
    assert seat_now(seat_of_round(old)) == old
    RoundLevel.objects.filter(round__number=2, name="First").update(settings=old.level.settings, name="Otherwise")
    assert seat_now(seat_of_round(old)) == old


def seat_of_round(old):
    return Seat.objects.select_related("level__round__change").get(pk=old.pk)


def test_a_seat_is_seen_where_its_change_is(cast, round):
    place = seat(round)
    assert visible_seat(place.pk, cast.olga) == place
    Change.objects.filter(pk=round.change_id).update(confidential=True)
    assert visible_seat(place.pk, cast.olga) is None and visible_seat(place.pk, cast.petra) == place
    assert visible_seat(0, cast.petra) is None


def test_who_has_spoken_at_which_level(cast, round, now):
    stands_in(cast.petra, cast.olga, now)
    vote_of(round, "Peer", cast.olga, now)
    level = seat(round).level_id
    assert spoken_at({level}) == {level: {cast.olga.person, cast.petra.person}}
    votes = list(Vote.objects.all())
    assert spoken_at({level}, votes) == {level: {cast.olga.person, cast.petra.person}}
    assert spoken_at({0}, votes) == {}
    Vote.objects.update(superseded=True)
    assert spoken_at({level}) == {} and spoken_at({level}, list(Vote.objects.all())) == {}


def test_a_vote_is_good_while_its_voice_may_sit_and_who_gave_it_may_stand_in(cast, round, now):
    row = stands_in(cast.petra, cast.olga, now)
    vote_of(round, "Peer", cast.olga, now)
    vote_of(round, "Peer", cast.paul, now)
    lent, own = Vote.objects.get(by=cast.olga), Vote.objects.get(by=cast.paul)
    assert still_good(own, [cast.paul], {}) and not still_good(own, [cast.petra], {})
    assert still_good(lent, [cast.petra], {}) and not still_good(lent, [cast.olga], {})
    assert not still_good(lent, [cast.petra], {cast.olga.person: "x"})
    lent.by.is_active = False
    assert not still_good(lent, [cast.petra], {})
    lent.by.is_active = True
    row.revoked_at = now
    row.save()
    assert not still_good(Vote.objects.get(pk=lent.pk), [cast.petra], {})


# --- standing in ---


def test_a_delegation_holds_within_its_time_until_it_is_revoked_between_people_who_can_act(cast, round, now):
    row = stands_in(cast.sam, cast.olga, now)
    place = seat(round, "Sam")

    def stands(moment=now):
        return {one.user.username for one in sitters([seat(round, "Sam")], now=moment)[place.pk]} - {"sam"}

    assert stands() == {"olga"} and delegators_of(cast.olga, now) == {cast.sam.pk}
    assert stands(now - DAY) == {"olga"} and stands(now - DAY - HOUR) == set()
    assert stands(now + DAY - HOUR) == {"olga"} and stands(now + DAY) == set()
    for change in ({"is_active": False}, {"is_service": True}, {"is_guest": True}):
        for name, value in change.items():
            setattr(cast.olga, name, value)
        cast.olga.save()
        assert stands() == set(), change
        cast.olga.is_active, cast.olga.is_service, cast.olga.is_guest = True, False, False
        cast.olga.save()
    row.revoked_at = now
    row.save()
    assert stands() == set() and delegators_of(cast.olga, now) == set()


def test_the_narrowest_scope_wins_and_the_newest_of_equals(cast, round, now):
    wide, narrow = stands_in(cast.sam, cast.olga, now), stands_in(cast.sam, cast.vera, now, scope_kind="type", scope_value="normal")
    place = seat(round, "Sam")

    def who():
        return [(one.user.username, one.delegation.pk) for one in sitters([seat(round, "Sam")], now=now)[place.pk] if one.delegation]

    assert who() == [("vera", narrow.pk)]
    narrow.delete()
    assert who() == [("olga", wide.pk)]
    newer = stands_in(cast.sam, cast.arno, now)
    assert who() == [("arno", newer.pk)]
    stands_in(cast.sam, cast.vera, now, scope_kind="chain", scope_value="Another chain")
    assert who() == [("arno", newer.pk)]
    stands_in(cast.sam, cast.stella, now, scope_kind="chain", scope_value="Test chain")
    assert [name for name, _ in who()] == ["stella"]


def test_a_scope_of_a_unit_covers_those_below_it(cast, round, now):
    stands_in(cast.sam, cast.olga, now, scope_kind="org_unit", scope_value="company")
    place = seat(round, "Sam")

    def who():
        return [one.user.username for one in sitters([seat(round, "Sam")], now=now)[place.pk]]

    assert who() == ["sam"]
    Change.objects.filter(pk=round.change_id).update(org_unit="payments")
    assert who() == ["sam", "olga"]
    Change.objects.filter(pk=round.change_id).update(org_unit="company")
    assert who() == ["sam", "olga"]
    assert parents() == {"company": None, "payments": "company"}


def test_nobody_picks_a_voter_for_an_open_vote_nor_after_voting(cast, round, now):
    place = seat(round, "Sam")

    def who(**more):
        row = stands_in(cast.sam, cast.olga, now, **more)
        found = [one.user.username for one in sitters([seat(round, "Sam")], now=now + HOUR)[place.pk]]
        row.delete()
        return found

    of_one = {"scope_kind": "change", "scope_value": round.change.number}
    assert who(**of_one, created_at=now) == ["sam", "olga"]
    assert who(**of_one, created_at=now + HOUR) == ["sam"]
    assert who(created_at=now + HOUR) == ["sam", "olga"]
    vote_of(round, "Sam", cast.sam, now + HOUR, "abstain")
    assert who(created_at=now + HOUR) == ["sam", "olga"] and who(created_at=now + 2 * HOUR) == ["sam"]
    assert first_votes({round.pk}, {cast.sam.person}) == {(round.pk, cast.sam.person): now + HOUR}
    assert first_votes({round.pk}, {cast.petra.person}) == first_votes({0}, {cast.sam.person}) == {}


# --- what a vote has to be ---


def test_a_vote_is_one_of_three_words_with_text_of_some_length_and_a_digest_of_text(cast, round, now):
    place = seat(round)
    for wrong, field in (
        (said(vote="maybe"), "vote"), (said(vote=None), "vote"), (said(comment=5), "comment"), (said(comment="x" * 20_001), "comment"),
        (said(comment="a\x00b"), "comment"), (said(digest=5), "digest"), (said(conditions="x"), "conditions"),
        (said(vote="abstain", conditions=[{"text": "x"}]), "conditions"), (said(vote="reject", conditions=[{"text": "x"}]), "conditions"),
    ):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            check_form(place, wrong, now)
        assert list(refused.value.errors) == [field]
    for right in (said(), said(vote="reject"), said(vote="abstain", comment="x" * 20_000), said(digest=None)):
        assert check_form(place, right, now) == []
    assert [demand.text for demand in check_form(place, said(conditions=[{"text": "Tell them"}]), now)] == ["Tell them"]
    place.level.settings["allow_conditions"] = False
    with pytest.raises(Invalid, match="takes no conditions"):
        check_form(place, said(conditions=[{"text": "x"}]), now)
    assert check_form(place, said(), now) == []
    del place.level.settings["allow_conditions"]
    assert len(check_form(place, said(conditions=[{"text": "x"}]), now)) == 1


def test_no_vote_without_a_finished_preview_and_no_rejection_without_its_reason(cast, round, now):
    place = seat(round)
    check_moment(place, cast.petra, said(), now)
    check_moment(place, cast.petra, said("reject", "Because"), now)
    check_moment(place, cast.petra, said("abstain"), now)
    with pytest.raises(UnmetGuard) as refused:
        check_moment(place, cast.petra, said("reject", "  "), now)
    assert [(guard.guard, guard.who_can_clear) for guard in refused.value.guards] == [("reason_given", ("petra",))]
    del place.level.settings["require_comment_on_reject"]
    with pytest.raises(UnmetGuard):
        check_moment(place, cast.petra, said("reject"), now)
    place.level.settings["require_comment_on_reject"] = False
    check_moment(place, cast.petra, said("reject"), now)
    Preview.objects.update(state="conflict")
    check_moment(place, cast.petra, said(), now)
    Preview.objects.update(state="running")
    with pytest.raises(UnmetGuard, match="running") as refused:
        check_moment(place, cast.petra, said(), now)
    assert [(guard.guard, guard.who_can_clear) for guard in refused.value.guards] == [("preview_ready", ("rita",))]
    with pytest.raises(NotPermitted):
        check_moment(place, cast.sam, said(), now)


def test_a_vote_is_on_what_is_stored_now(cast, round, now):
    place = seat(round)
    check_content(place, said(digest=place.level.digest))
    with pytest.raises(OutOfDate, match="since you saw it"):
        check_content(place, said(digest="0" * 64))
    Change.objects.filter(pk=round.change_id).update(description="Behind their backs")
    with pytest.raises(OutOfDate, match="moved under this approval"):
        check_content(seat(round), said(digest=place.level.digest))
    with pytest.raises(PreconditionMissing):
        vote_of(round, "Peer", cast.petra, now, digest=None)


def test_the_same_said_again_is_the_same_and_anything_else_is_not(cast, round, now):
    vote_of(round, "Peer", cast.petra, now, comment="Good", conditions=[{"text": "Tell them"}])
    before = my_vote(seat(round), cast.petra)
    demands = check_form(seat(round), said(conditions=[{"text": "Tell them"}]), now)
    digest = before.digest
    assert repeats(before, said("approve", "Good", digest), demands)
    for other in (said("abstain", "Good", digest), said("approve", "Bad", digest), said("approve", "Good", "y")):
        assert not repeats(before, other, demands)
    assert not repeats(before, said("approve", "Good", digest), [])
    before.level.round.outcome = "withdrawn"
    assert not repeats(before, said("approve", "Good", digest), demands)
    assert before.by == cast.petra and my_vote(seat(round), cast.paul) is None


# --- which seat a vote takes ---


def test_a_vote_takes_the_strongest_free_seat_and_none_is_left_when_all_are_taken(cast, now):
    a_chain(a_level(a_seat("approver", "Plain"), a_seat("approver", "Strong", power="veto"), a_seat("approver", "Third")))
    round = in_review(a_change(cast.rita, now), now)
    place = seat(round, "Plain")
    taken, sitter = seat_to_take(place, cast.petra, "reject", now=now)
    assert taken.label == "Strong" and sitter.user == cast.petra and sitter.on_behalf_of is None
    vote_of(round, "Plain", cast.petra, now)
    again, _ = seat_to_take(seat(round, "Plain"), cast.petra, "abstain", now=now)
    assert again == my_vote(place, cast.petra).seat, "one's own seat is free to oneself"
    other, _ = seat_to_take(seat(round, "Plain"), cast.paul, "approve", now=now)
    assert other != again


def test_who_finds_every_seat_taken_or_claimed_is_told_so(cast, round, now):
    nina = make_person("nina", ("approver",))
    Seat.objects.filter(label="Peer").update(claimed_by=cast.paul, claimed_until=now + HOUR)
    with pytest.raises(NotPossible, match="taken or claimed"):
        seat_to_take(seat(round), nina, "approve", now=now)
    Seat.objects.filter(label="Peer").update(claimed_by=None, claimed_until=None)
    vote_of(round, "Peer", cast.petra, now)
    vote_of(round, "Peer", cast.paul, now)
    with pytest.raises(NotPossible, match="taken or claimed"):
        seat_to_take(seat(round), nina, "approve", now=now)
    taken, _ = seat_to_take(seat(round), cast.petra, "abstain", now=now)
    assert taken == my_vote(seat(round), cast.petra).seat, "whoever voted may vote again at their seat"


def test_nobody_takes_a_seat_for_who_has_spoken_nor_past_a_claim(cast, round, now):
    place, lent = seat(round), Sitter(cast.olga, cast.sam)
    assert mine_at(place, [lent, Sitter(cast.petra)], cast.olga, set(), now=now) == [lent]
    assert mine_at(place, [lent], cast.olga, {cast.sam.person}, now=now) == []
    place.claimed_by, place.claimed_until = cast.paul, now + HOUR
    assert mine_at(place, [lent], cast.olga, set(), now=now) == []
    place.claimed_by = cast.sam
    assert mine_at(place, [lent], cast.olga, set(), now=now) == [lent], "it is Sam's claim"


def test_a_delegation_revoked_at_the_same_instant_gives_no_vote(cast, round, now, monkeypatch):
    row = stands_in(cast.sam, cast.olga, now)
    hold(Sitter(cast.olga, cast.sam, row))
    hold(Sitter(cast.petra))
    before = sitters([seat(round, "Sam")], now=now)
    Delegation.objects.update(revoked_at=now)
    with pytest.raises(NotPermitted, match="revoked just now"):
        hold(Sitter(cast.olga, cast.sam, row))
    monkeypatch.setattr(taking, "sitters", lambda seats, now: {place.pk: before.get(place.pk, []) for place in seats})
    with pytest.raises(NotPermitted, match="revoked just now"):
        seat_to_take(seat(round, "Sam"), cast.olga, "approve", now=now)


# --- taking it back ---


def state(place, value, **more):
    place.level.round.change.__dict__["state"] = value
    for name, given in more.items():
        setattr(place.level.round.change, name, given)
    return place


WITHDRAWALS = [
    ("open", "in_review", False, True), ("open", "info_requested", False, True), ("open", "approved", False, False), ("open", "scheduled", False, False),
    ("open", "scheduled", True, True), ("approved", "approved", False, True), ("approved", "approved_with_conditions", False, True),
    ("approved", "scheduled", False, True), ("approved", "scheduled", True, False), ("approved", "in_review", False, True),
    ("approved", "info_requested", False, False), ("approved", "in_review", True, False),
    ("approved", "implementing", False, False), ("rejected", "rejected", False, False), ("approved", "closed", False, False),
]  # fmt: skip
"""State of the level, state of the change, retrospective, and whether a vote may be taken back."""


def test_a_vote_is_taken_back_until_the_work_starts(cast, round, now):
    for level, change, retrospective, allowed in WITHDRAWALS:
        place = state(seat(round), change, retrospective=retrospective)
        place.level.state = level
        verdict = may_withdraw(place, actor=cast.petra, reason="I was wrong")
        assert verdict.allowed is allowed, (level, change)
        assert ("not voted on" in verdict.impossible) == (not allowed and level == "open")
        assert ("The level is decided" in verdict.impossible) == (not allowed and level != "open")
        without = may_withdraw(place, actor=cast.petra, reason=" ")
        assert not without.allowed and (not allowed or without.guards[0].who_can_clear == ("petra",))


# --- asking and answering ---


def test_who_has_an_open_seat_asks_with_a_question(cast, round, now):
    change = Change.objects.get(pk=round.change_id)
    assert may_request_information(change, actor=cast.petra, now=now, question="Why?").allowed
    without = may_request_information(change, actor=cast.petra, now=now, question=" ")
    assert [(guard.guard, guard.who_can_clear) for guard in without.guards] == [("question_given", ("petra",))]
    assert may_request_information(change, actor=cast.petra, now=now).guards == without.guards, "no question is an empty one"
    assert question_given("Why?", cast.petra) == ()
    assert "vote is open" in may_request_information(change, actor=cast.olga, now=now, question="Why?").refusal
    request_information(seat(round).pk, actor=cast.petra, now=now, question="Why?")
    later = may_request_information(Change.objects.get(pk=change.pk), actor=cast.petra, now=now, question="And why?")
    assert not later.refusal and [guard.guard for guard in later.guards] == ["seat_open"]
    assert no_seat(change, cast.olga, now=now).refusal and not no_seat(change, cast.petra, now=now).refusal


def test_the_requester_or_the_owner_answers_while_a_question_is_open(cast, round, now):
    change = Change.objects.get(pk=round.change_id)
    assert open_question(change) is None
    assert may_provide_information(change, actor=cast.rita, answer="x").impossible == "No question is open."
    request_information(seat(round).pk, actor=cast.petra, now=now, question="Why?")
    change = Change.objects.get(pk=round.change_id)
    assert open_question(change) == round
    assert may_provide_information(change, actor=cast.rita, answer="Because").allowed
    assert may_provide_information(change, actor=cast.max, answer="Because").allowed
    assert may_provide_information(change, actor=cast.petra, answer="Because").refusal
    without = may_provide_information(change, actor=cast.rita, answer=" ")
    assert [(guard.guard, guard.who_can_clear) for guard in without.guards] == [("answer_given", ("rita",))]
    assert may_provide_information(change, actor=cast.rita).guards == without.guards, "no answer is an empty one"
    Round.objects.update(outcome="withdrawn")
    assert open_question(change) is None
    Round.objects.update(outcome="pending")
    provide_information(change.number, actor=cast.rita, now=now, answer="Because")
    assert open_question(Change.objects.get(pk=round.change_id)) is None
    assert Chain.objects.count() == 1
