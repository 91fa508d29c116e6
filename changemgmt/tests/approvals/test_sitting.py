"""Who may take a seat now, in their own name or for somebody, and when a seat takes a vote at all."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changemgmt.accounts.models import Delegation, Identity
from changemgmt.accounts.queries import roles_of
from changemgmt.approvals.models import Guest, Round, RoundLevel, Seat, Vote
from changemgmt.approvals.sitting import (
    able,
    can_vote,
    candidates,
    chairs_of,
    claimed_away,
    eligible,
    may_sit,
    mine_of,
    my_open_seats,
    open_seats,
    seat_now,
    seat_open,
    spoken_at,
    standing_of,
    still_good,
    visible_seat,
)
from changemgmt.approvals.standing import Sitter
from changemgmt.changes.models import Change
from changemgmt.core.reading import reading
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.vote import provide_information, request_information
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


def asked_in(act):
    """How many questions to the database it takes."""
    with CaptureQueriesContext(connection) as found:
        act()
    return len(found)


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


def test_an_account_that_was_deleted_meanwhile_sits_nowhere(cast, round, now):
    gone = make_person("gone", ("approver",))
    gone.delete()
    assert may_sit(seat(round), gone, now=now) == "This account is not active."


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


def test_nobody_with_a_part_in_the_change_picks_who_stands_in_not_even_an_administrator(cast, round, now):
    """Ada sends Olga for Petra, as administrators can; then the work is given to Ada."""
    stands_in(cast.petra, cast.olga, now, created_by=cast.ada)
    assert may_sit(seat(round), cast.olga, now=now) == ""
    vote_of(round, "Peer", cast.olga, now)
    vote = Vote.objects.get()
    assert still_good(vote, [cast.petra], {})
    round.change.implementers.add(cast.ada)
    assert may_sit(seat(round), cast.olga, now=now) == "You can't vote for Petra on this change: Ada, who chose you for that, is to implement it."
    assert not still_good(vote, [cast.petra], {cast.ada.person: "is to implement it"})
    assert may_sit(seat(round), cast.petra, now=now) == "", "Petra herself was chosen by nobody"


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


def test_members_of_all_groups_are_read_at_once_and_so_is_who_is_named_where_somebody_is(cast, round, now):
    group, named = seat(round), seat(round, "Sam")
    board = seat(round, "Board")
    assert asked_in(lambda: candidates([])) == 0
    assert asked_in(lambda: candidates([group])) == asked_in(lambda: candidates([group, board])) == 1
    assert asked_in(lambda: candidates([named])) == 1
    assert asked_in(lambda: candidates([group, board, named])) == 2


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
    place.claimed_until, place.claimed_by = now + HOUR, None
    assert claimed_away(place, {cast.paul.person}, now=now) == "", "nobody claims it"
    place.claimed_by, cast.petra.is_active = cast.petra, False
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


def test_a_seat_that_nobody_claims_costs_no_question_about_claims(cast, round, now):
    place = seat(round)
    assert asked_in(lambda: can_vote(place, actor=cast.petra, now=now)) == asked_in(lambda: (may_sit(place, cast.petra, now=now), seat_open(place)))


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


def test_who_is_asked_at_one_seat_alone_has_that(cast, round, now):
    assert [place.label for place in my_open_seats(round.change, cast.sam, now=now)] == ["Sam"]
    assert my_open_seats(round.change, cast.eva, now=now) == [], "the ECAB comes later"


def test_who_has_voted_at_one_level_still_has_the_seats_of_the_level_beside_it(cast, now):
    a_chain(a_level(a_seat("approver", "Peer", required=2), name="First"), a_level(a_seat("approver", "Beside"), name="Beside"))
    change = a_change(cast.rita, now)
    round = in_review(change, now)
    assert [place.label for place in my_open_seats(change, cast.petra, now=now)] == ["Peer", "Peer", "Beside"]
    vote_of(round, "Peer", cast.petra, now)
    assert [place.label for place in my_open_seats(change, cast.petra, now=now)] == ["Beside"]


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


def test_who_has_two_accounts_stands_where_either_of_them_is_asked_and_nobody_else_does(cast, round, now):
    cast.petra.identity = Identity.objects.create()
    cast.petra.save()
    twin, places = make_person("twin", identity=cast.petra.identity), [seat(round), seat(round, "Sam")]
    asked = {places[0].pk: [Sitter(cast.petra)], places[1].pk: []}
    assert chairs_of(twin, places, now=now) == chairs_of(cast.petra, places, now=now) == asked
    assert standing_of(twin, places, now=now) == {places[0].pk: Sitter(cast.petra)}
    assert may_sit(places[0], twin, now=now) == ""


def test_as_whom_somebody_stands_is_read_only_where_there_is_a_seat_of_that_kind(cast, round, now):
    group, named = seat(round), seat(round, "Sam")
    assert asked_in(lambda: standing_of(cast.petra, [], now=now)) == 0
    of_group = asked_in(lambda: chairs_of(cast.petra, [group], now=now))
    assert asked_in(lambda: chairs_of(cast.petra, [group, named], now=now)) == of_group + 1


def test_a_group_counts_as_it_is_at_the_moment_whatever_was_read_before(cast, round, now):
    assert "approver" in roles_of(cast.petra), "from here on the account remembers it"
    place = seat(round)
    cast.petra.groups.remove(Group.objects.get(name="approver"))
    assert standing_of(cast.petra, [place], now=now) == {} and list(open_seats(cast.petra, now=now)) == []


def test_a_page_reads_the_roles_once_and_those_of_whom_its_reader_stands_in_for_as_well(cast, round, now):
    place = seat(round)
    with reading():
        assert "approver" in roles_of(cast.petra)
        assert [place.label for place in open_seats(cast.petra, now=now)] == ["Peer", "Peer"]
        assert asked_in(lambda: list(open_seats(cast.petra, now=now))) == 1
        assert asked_in(lambda: chairs_of(cast.petra, [place], now=now)) == 0
    stands_in(cast.paul, cast.olga, now)
    with reading():
        assert [place.label for place in open_seats(cast.olga, now=now)] == ["Peer", "Peer"]


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
    assert seat_now(old) is old, "it is of the newest"
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
    assert still_good(own, [cast.paul], {}) is True and still_good(own, [cast.petra], {}) is False
    assert still_good(lent, [cast.petra], {}) and not still_good(lent, [cast.olga], {})
    assert not still_good(lent, [cast.petra], {cast.olga.person: "x"})
    lent.by.is_active = False
    assert not still_good(lent, [cast.petra], {})
    lent.by.is_active = True
    row.revoked_at = now
    row.save()
    assert not still_good(Vote.objects.get(pk=lent.pk), [cast.petra], {})
