"""The verdicts on voting, one by one: what a vote has to be, which seat it takes, when it may be taken back, who may ask and answer."""

from datetime import timedelta

import pytest

from changemgmt.accounts.models import Delegation
from changemgmt.approvals import taking
from changemgmt.approvals.models import Chain, Round, Seat
from changemgmt.approvals.sitting import (
    sitters,
)
from changemgmt.approvals.standing import Sitter
from changemgmt.approvals.taking import hold, mine_at, seat_to_take
from changemgmt.changes.models import Change, Preview
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, OutOfDate, PreconditionMissing, UnmetGuard
from changemgmt.lifecycle.vote import (
    Said,
    check_content,
    check_form,
    check_moment,
    may_provide_information,
    may_request_information,
    may_take_back,
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


def test_only_who_has_a_vote_that_counts_takes_one_back(cast, round, now):
    vote_of(round, "Peer", cast.petra, now)
    assert may_take_back(seat(round), actor=cast.petra).allowed
    assert may_take_back(seat(round), actor=cast.paul).refusal == "You have no vote at this level that counts."


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
