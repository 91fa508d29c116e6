"""Standing in for somebody: whose voice it is, at which seats, and for how long."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changemgmt.accounts.models import Delegation
from changemgmt.approvals.models import RoundLevel, Seat, Vote
from changemgmt.approvals.queue import queue_of
from changemgmt.approvals.sitting import current_votes, sitters
from changemgmt.approvals.standing import delegators_of, first_votes, given_by
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import NotPermitted, NotPossible
from changemgmt.lifecycle.rights import settle_rights
from changemgmt.lifecycle.vote import cast_vote

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of

pytestmark = pytest.mark.django_db
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def stands_in(delegator, delegate, now, *, kind="all", value="", made=None, days=7):
    return Delegation.objects.create(
        delegator=delegator, delegate=delegate, starts_at=now - DAY, ends_at=now + days * DAY, scope_kind=kind, scope_value=value,
        created_by=delegator, created_at=made or now - DAY,
    )  # fmt: skip


@pytest.fixture
def asked(cast, seeded, now):
    """A change in review at one level: a veto seat for Sam, and two for the approvers, of which there are Petra and Paul."""
    a_chain(a_level(a_seat("security_lead", power="veto", label="Security"), a_seat("approver", required=2, label="Peer")))
    change = a_change(cast.rita, now, implementers=(cast.ian,))
    in_review(change, now)
    return change


def vote(change, user, now, *, label="Security", answer="approve"):
    seat = seat_of(change.rounds.last(), label)
    return cast_vote(seat.pk, actor=user, now=now, vote=answer, digest=seat.level.digest, comment="Seen.")


def at_seat(change, now, label="Security"):
    """Who may take the seat at this moment, in their own name first."""
    seat = Seat.objects.select_related("level__round__change").get(pk=seat_of(change.rounds.last(), label).pk)
    return [one.user.username for one in sitters([seat], now=now)[seat.pk]]


def votes_of(change):
    return current_votes(RoundLevel.objects.get(round__change=change))


def test_the_delegate_votes_for_the_one_who_is_away_and_both_are_on_record(asked, cast, now):
    stands_in(cast.sam, cast.olga, now)
    assert [(row.seat.label, row.on_behalf_of) for row in queue_of(cast.olga, now)] == [("Security", cast.sam)]
    vote(asked, cast.olga, now)
    (given,) = votes_of(asked)
    assert (given.by, given.on_behalf_of, given.printed_name) == (cast.olga, cast.sam, cast.olga.display_name)
    assert queue_of(cast.olga, now) == [] and queue_of(cast.sam, now) == []


def test_who_is_stood_in_for_overrules_their_delegate_until_the_level_is_decided(asked, cast, now):
    stands_in(cast.sam, cast.olga, now)
    vote(asked, cast.olga, now)
    vote(asked, cast.sam, now, answer="abstain")
    (given,) = votes_of(asked)
    assert (given.by, given.vote, given.on_behalf_of) == (cast.sam, "abstain", None)
    with pytest.raises(NotPossible):
        vote(asked, cast.olga, now)


def test_a_delegate_with_a_seat_of_their_own_is_one_person(asked, cast, now):
    """Petra leaves Sam's seat to Sam where hers would find nobody else; neither voice counts twice."""
    stands_in(cast.sam, cast.petra, now)
    vote(asked, cast.petra, now)
    (given,) = votes_of(asked)
    assert (given.seat.label, given.on_behalf_of) == ("Peer", None)
    vote(asked, cast.petra, now, label="Peer")
    assert len(votes_of(asked)) == 1 and queue_of(cast.petra, now) == []


def test_the_strongest_power_counts_where_nobody_else_is_kept_out_by_it(asked, cast, now):
    cast.olga.groups.add(Group.objects.get(name="approver"))
    stands_in(cast.sam, cast.petra, now)
    vote(asked, cast.petra, now, label="Peer")
    (given,) = votes_of(asked)
    assert (given.seat.label, given.on_behalf_of) == ("Security", cast.sam)


@pytest.mark.parametrize(
    ("kind", "value", "holds"),
    [
        ("all", "", True),
        ("type", "normal", True),
        ("type", "emergency", False),
        ("chain", "Test", True),
        ("chain", "Other", False),
        ("org_unit", "payments", False),
    ],
)
def test_a_scope_covers_what_it_names(asked, cast, now, kind, value, holds):
    chain = seat_of(asked.rounds.last(), "Security").level.settings["chain"]
    stands_in(cast.sam, cast.olga, now, kind=kind, value=chain if value == "Test" else value)
    assert bool(queue_of(cast.olga, now)) is holds


def test_a_scope_of_a_unit_covers_those_below_it(asked, cast, now):
    stands_in(cast.sam, cast.olga, now, kind="org_unit", value="company")
    assert at_seat(asked, now) == ["sam"], "the change is of no unit"
    for unit in ("payments", "company"):
        Change.objects.filter(pk=asked.pk).update(org_unit=unit)
        assert at_seat(asked, now) == ["sam", "olga"]
    stands_in(cast.sam, cast.vera, now, kind="chain", value="Another chain")
    assert at_seat(asked, now) == ["sam", "olga"], "whatever else is handed on"
    Delegation.objects.filter(scope_kind="org_unit").update(scope_value="payments")
    assert at_seat(asked, now) == ["sam"], "the unit above is not covered"


def test_the_narrowest_scope_wins_and_the_newest_of_equals(asked, cast, now):
    wide, narrow = stands_in(cast.sam, cast.olga, now), stands_in(cast.sam, cast.vera, now, kind="type", value="normal")
    assert at_seat(asked, now) == ["sam", "vera"]
    narrow.delete()
    assert at_seat(asked, now) == ["sam", "olga"]
    stands_in(cast.sam, cast.arno, now)
    assert at_seat(asked, now) == ["sam", "arno"] and wide.revoked_at is None
    stands_in(cast.sam, cast.vera, now, kind="chain", value="Another chain")
    assert at_seat(asked, now) == ["sam", "arno"]
    stands_in(cast.sam, cast.stella, now, kind="chain", value="Test chain")
    assert at_seat(asked, now) == ["sam", "stella"]


def test_a_delegation_holds_from_its_first_moment_up_to_its_last_or_until_it_is_revoked(asked, cast, now):
    row = stands_in(cast.sam, cast.olga, now, days=1)
    assert [at_seat(asked, moment) for moment in (now - DAY, now, now + DAY - SECOND)] == [["sam", "olga"]] * 3
    assert [at_seat(asked, moment) for moment in (now - DAY - SECOND, now + DAY)] == [["sam"]] * 2
    assert delegators_of(cast.olga, now) == {cast.sam.pk}
    row.revoked_at = now
    row.save()
    assert at_seat(asked, now) == ["sam"] and delegators_of(cast.olga, now) == set()


@pytest.mark.parametrize("fact", [{"is_active": False}, {"is_service": True}, {"is_guest": True}], ids=str)
def test_no_leaver_no_service_account_and_no_guest_stands_in(asked, cast, now, fact):
    stands_in(cast.sam, cast.olga, now)
    type(cast.olga).objects.filter(pk=cast.olga.pk).update(**fact)
    assert at_seat(asked, now) == ["sam"] and delegators_of(cast.olga, now) == set()


def test_who_is_not_there_any_more_hands_nothing_on(asked, cast, now):
    stands_in(cast.sam, cast.olga, now)
    type(cast.sam).objects.filter(pk=cast.sam.pk).update(is_active=False)
    assert at_seat(asked, now) == [] and delegators_of(cast.olga, now) == set()


def test_nobody_picks_the_voter_of_one_change_once_its_vote_is_open(asked, cast, now):
    stands_in(cast.sam, cast.olga, now, kind="change", value=asked.number, made=now + timedelta(seconds=1))
    with pytest.raises(NotPermitted):
        vote(asked, cast.olga, now + timedelta(seconds=2))
    stands_in(cast.sam, cast.olga, now, kind="all", made=now + timedelta(seconds=1))
    vote(asked, cast.olga, now + timedelta(seconds=2))


def test_the_voter_of_one_change_is_picked_up_to_the_moment_its_vote_opens(asked, cast, now):
    row = stands_in(cast.sam, cast.olga, now, kind="change", value=asked.number, made=now)
    assert at_seat(asked, now) == ["sam", "olga"]
    row.created_at = now + SECOND
    row.save()
    assert at_seat(asked, now + DAY) == ["sam"]


def test_the_voter_of_one_change_is_picked_while_its_level_still_waits(cast, seeded, now):
    a_chain(a_level(a_seat("approver", "Peer")), a_level(a_seat("security_lead", "Security"), number=2, name="Later"))
    change = a_change(cast.rita, now)
    in_review(change, now)
    stands_in(cast.sam, cast.olga, now, kind="change", value=change.number, made=now + SECOND)
    assert at_seat(change, now + DAY) == ["sam", "olga"]


def test_who_votes_in_person_hands_on_only_what_they_had_before(asked, cast, now):
    vote(asked, cast.sam, now + DAY, answer="abstain")
    row = stands_in(cast.sam, cast.olga, now, made=now + DAY)
    assert at_seat(asked, now + DAY) == ["sam", "olga"]
    row.created_at = now + DAY + SECOND
    row.save()
    assert at_seat(asked, now + DAY + SECOND) == ["sam"]
    round = asked.rounds.get()
    assert first_votes({round.pk}, {cast.sam.person}) == {(round.pk, cast.sam.person): now + DAY}
    assert first_votes({round.pk}, {cast.petra.person}) == first_votes({0}, {cast.sam.person}) == {}


def test_what_somebody_voted_first_counts_even_where_it_was_taken_back(asked, cast, now):
    vote(asked, cast.sam, now, answer="abstain")
    Vote.objects.update(superseded=True)
    vote(asked, cast.sam, now + DAY)
    stands_in(cast.sam, cast.olga, now, made=now + SECOND)
    assert at_seat(asked, now + DAY) == ["sam"]


def test_who_has_voted_hands_nothing_on_in_that_round(asked, cast, now):
    vote(asked, cast.petra, now, label="Peer")
    stands_in(cast.petra, cast.olga, now, made=now + timedelta(seconds=1))
    with pytest.raises(NotPermitted):
        vote(asked, cast.olga, now + timedelta(seconds=2), label="Peer")


def test_one_step_and_no_further(asked, cast, now, settings):
    stands_in(cast.sam, cast.petra, now)
    stands_in(cast.petra, cast.olga, now)
    assert {row.on_behalf_of for row in queue_of(cast.olga, now)} == {cast.petra}
    with pytest.raises(NotPermitted):
        vote(asked, cast.olga, now)
    settings.DELEGATION_HOPS = 2
    vote(asked, cast.olga, now)
    assert votes_of(asked)[0].on_behalf_of == cast.sam


def test_two_who_stand_in_for_each_other_give_their_own_votes(asked, cast, now, settings):
    settings.DELEGATION_HOPS = 3
    stands_in(cast.sam, cast.olga, now)
    stands_in(cast.olga, cast.sam, now)
    assert (delegators_of(cast.sam, now), delegators_of(cast.olga, now)) == ({cast.olga.pk}, {cast.sam.pk})
    vote(asked, cast.sam, now)
    assert [(given.by, given.on_behalf_of) for given in votes_of(asked)] == [(cast.sam, None)]


def test_where_many_are_asked_they_are_not_named_one_by_one_to_the_database(cast, seeded, now):
    mine, other = stands_in(cast.sam, cast.olga, now), stands_in(cast.petra, cast.paul, now)
    assert given_by({cast.sam.pk}, now) == {cast.sam.pk: [mine]}
    with CaptureQueriesContext(connection) as asked:
        found = given_by({cast.sam.pk, *range(10**6, 10**6 + 499)}, now)
    assert found == {cast.sam.pk: [mine], cast.petra.pk: [other]}
    assert str(10**6) not in asked[0]["sql"]
    with CaptureQueriesContext(connection) as asked:
        given_by(set(range(10**6, 10**6 + 499)), now)
    assert str(10**6) in asked[0]["sql"]


def test_a_requester_disqualifies_nobody_by_making_them_their_delegate(asked, cast, now):
    stands_in(cast.rita, cast.sam, now)
    vote(asked, cast.sam, now)
    assert votes_of(asked)[0].on_behalf_of is None


def test_nobody_votes_for_somebody_with_a_part_in_the_change(asked, cast, now):
    cast.ian.groups.add(Group.objects.get(name="security_lead"))
    stands_in(cast.ian, cast.olga, now)
    with pytest.raises(NotPermitted, match="You can't vote for"):
        vote(asked, cast.olga, now)


def test_a_revoked_delegation_takes_its_undecided_vote_with_it(asked, cast, now):
    row = stands_in(cast.sam, cast.olga, now)
    vote(asked, cast.olga, now)
    row.revoked_at = now
    row.save()
    vote(asked, cast.petra, now, label="Peer")
    assert [given.by for given in votes_of(asked)] == [cast.petra]
    assert Seat.objects.get(level__round__change=asked, label="Security").state == Seat.State.OPEN


def test_a_delegate_sees_a_confidential_change_while_it_waits_for_them(asked, cast, now):
    Change.objects.filter(pk=asked.pk).update(confidential=True)
    settle_rights(asked, now=now)
    assert not visible_to(cast.olga).filter(pk=asked.pk).exists()
    stands_in(cast.sam, cast.olga, now)
    settle_rights(asked, now=now)
    assert visible_to(cast.olga).filter(pk=asked.pk).exists()
    settle_rights(asked, now=now + 8 * DAY)
    assert not visible_to(cast.olga).filter(pk=asked.pk).exists()
