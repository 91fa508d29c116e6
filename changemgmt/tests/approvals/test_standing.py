"""Standing in for somebody: whose voice it is, at which seats, and for how long."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from changemgmt.accounts.models import Delegation
from changemgmt.approvals.models import RoundLevel, Seat
from changemgmt.approvals.queue import queue_of
from changemgmt.approvals.sitting import current_votes
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import NotPermitted, NotPossible
from changemgmt.lifecycle.rights import settle_rights
from changemgmt.lifecycle.vote import cast_vote

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


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


def test_nobody_picks_the_voter_of_one_change_once_its_vote_is_open(asked, cast, now):
    stands_in(cast.sam, cast.olga, now, kind="change", value=asked.number, made=now + timedelta(seconds=1))
    with pytest.raises(NotPermitted):
        vote(asked, cast.olga, now + timedelta(seconds=2))
    stands_in(cast.sam, cast.olga, now, kind="all", made=now + timedelta(seconds=1))
    vote(asked, cast.olga, now + timedelta(seconds=2))


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
