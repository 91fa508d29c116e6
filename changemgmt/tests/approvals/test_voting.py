"""Voting through the one decision function."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import transaction

from changemgmt.accounts.models import Identity
from changemgmt.approvals.models import ActionItem, Round, RoundLevel, Seat, Vote
from changemgmt.approvals.queries import approval_of, queue_of
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, Preview, Template
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible, OutOfDate, PreconditionMissing, UnmetGuard
from changemgmt.lifecycle.vote import bulk_vote, cast_vote, provide_information, request_information, withdraw_vote

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def round(cast, seeded, now):
    """A low-risk normal change in review: peer review, then the Change Manager."""
    return in_review(a_change(cast.rita, now, owner=cast.max, implementers=(cast.ian,)), now)


@pytest.fixture
def board(cast, seeded, now):
    """A change of medium risk before the whole CAB."""
    round = in_review(a_change(cast.rita, now, implementers=(cast.ian,), risk_level="medium"), now)
    vote_of(round, "Peer", cast.petra, now)
    return round


def state_of(round):
    return Change.objects.get(pk=round.change_id).state


def test_the_last_needed_vote_approves_the_change_in_the_same_act(round, cast, now):
    vote_of(round, "Peer", cast.petra, now)
    assert state_of(round) == "in_review"
    vote_of(round, "Change Manager", cast.max, now)
    assert state_of(round) == "approved"
    assert Round.objects.get(pk=round.pk).outcome == "approved"
    assert Event.objects.filter(action="change.approved").count() == 1
    assert Event.objects.filter(action="vote.cast").count() == 2


def test_levels_whose_condition_does_not_hold_are_skipped(round):
    assert dict(round.levels.values_list("name", "state")) == {"Peer review": "open", "Change Manager": "waiting", "CAB": "skipped"}


def test_the_whole_board_has_to_be_heard_and_a_condition_colours_the_outcome(board, cast, now):
    for label, user in (("Technical Lead", cast.tina), ("Operations Lead", cast.omar), ("Business Lead", cast.bea), ("Quality Lead", cast.quinn)):
        vote_of(board, label, user, now)
    vote_of(
        board,
        "Security Lead",
        cast.sam,
        now,
        conditions=[{"text": "Rotate the keys", "due": "before_start", "evidence": "statement", "owner": "ian"}],
    )
    assert state_of(board) == "in_review"
    vote_of(board, "Change Manager", cast.max, now)
    assert state_of(board) == "approved_with_conditions"
    item = ActionItem.objects.get()
    assert (item.owner, item.set_by, item.due, item.advisory) == (cast.ian, cast.sam, "before_start", False)


def test_a_veto_ends_it_at_once_and_closes_the_seats_of_the_others(board, cast, now):
    vote_of(board, "Security Lead", cast.sam, now, "reject")
    assert state_of(board) == "rejected"
    assert not Seat.objects.filter(state="open").exists()
    assert queue_of(cast.tina, now) == []


def test_advice_counts_for_nothing_and_its_conditions_are_recommendations(board, cast, now):
    vote_of(board, "Customer Representative", cast.cara, now, conditions=[{"text": "Tell the shops"}])
    assert ActionItem.objects.get().advisory
    for label, user in zip(
        ("Technical Lead", "Operations Lead", "Business Lead", "Quality Lead", "Security Lead", "Change Manager"),
        (cast.tina, cast.omar, cast.bea, cast.quinn, cast.sam, cast.max),
        strict=True,
    ):
        vote_of(board, label, user, now)
    assert state_of(board) == "approved"


def test_the_same_vote_again_changes_nothing_and_answers_like_the_first(round, cast, now):
    first = vote_of(round, "Peer", cast.petra, now, comment="fine")
    events = Event.objects.count()
    second = vote_of(round, "Peer", cast.petra, now + timedelta(minutes=1), comment="fine")
    assert first.pk == second.pk
    assert Vote.objects.count() == 1
    assert Event.objects.count() == events


def test_another_vote_before_the_decision_supersedes_the_first(board, cast, now):
    vote_of(board, "Technical Lead", cast.tina, now)
    vote_of(board, "Technical Lead", cast.tina, now, "abstain")
    votes = Vote.objects.filter(by=cast.tina).order_by("pk")
    assert [(vote.vote, vote.superseded) for vote in votes] == [("approve", True), ("abstain", False)]
    assert Event.objects.filter(action="vote.superseded").count() == 1


def test_a_vote_after_the_decision_of_its_level_is_refused(round, cast, now):
    vote_of(round, "Peer", cast.petra, now)
    with pytest.raises(NotPossible):
        vote_of(round, "Peer", cast.petra, now, "reject")
    with pytest.raises(NotPossible):
        vote_of(round, "Peer", cast.paul, now)


def test_a_level_that_is_not_open_is_not_voted_on(round, cast, now):
    with pytest.raises(NotPossible):
        vote_of(round, "Change Manager", cast.max, now)


def test_without_a_digest_or_with_another_one_a_vote_is_refused(round, cast, now):
    with pytest.raises(PreconditionMissing):
        vote_of(round, "Peer", cast.petra, now, digest=None)
    with pytest.raises(OutOfDate):
        vote_of(round, "Peer", cast.petra, now, digest="0" * 64)
    assert not Vote.objects.exists()


def test_content_that_moved_without_anybody_noticing_is_noticed_by_the_vote(round, cast, now):
    Change.objects.filter(pk=round.change_id).update(description="something else")
    with pytest.raises(OutOfDate):
        vote_of(round, "Peer", cast.petra, now)


def test_a_rejection_needs_its_reason(round, cast, now):
    with pytest.raises(UnmetGuard):
        vote_of(round, "Peer", cast.petra, now, "reject", comment=" ")


@pytest.mark.parametrize(
    "conditions",
    [
        ["x"],
        [{"text": ""}],
        [{"text": "x", "due": "someday"}],
        [{"text": "x", "owner": "nobody-here"}],
        [{"text": "x", "more": 1}],
        "text",
        [{"text": "a\0b"}],
    ],
)
def test_malformed_conditions_are_refused_at_their_place(round, cast, now, conditions):
    with pytest.raises(Invalid) as refusal:
        vote_of(round, "Peer", cast.petra, now, conditions=conditions)
    assert any(field.startswith("conditions") for field in refusal.value.errors)


def test_only_an_approval_carries_conditions(round, cast, now):
    with pytest.raises(Invalid):
        vote_of(round, "Peer", cast.petra, now, "reject", conditions=[{"text": "x"}])


# --- who can't ---


def refused(round, label, user, now):
    votes = Vote.objects.count()
    with pytest.raises(NotPermitted):
        vote_of(round, label, user, now)
    assert Vote.objects.count() == votes
    assert state_of(round) == "in_review"


def test_the_requester_can_never_vote_whatever_groups_they_hold(cast, seeded, now):
    round = in_review(a_change(cast.petra, now), now)
    refused(round, "Peer", cast.petra, now)


def test_another_account_of_the_requester_is_the_requester(cast, seeded, now):
    identity = Identity.objects.create(name="Petra and Paul are one")
    for user in (cast.petra, cast.paul):
        user.identity = identity
        user.save()
    cast.tina.groups.add(Group.objects.get(name="approver"))
    round = in_review(a_change(cast.petra, now), now)
    refused(round, "Peer", cast.paul, now)
    vote_of(round, "Peer", cast.tina, now)


def test_an_implementer_can_never_vote(cast, seeded, now):
    round = in_review(a_change(cast.rita, now, implementers=(cast.petra,)), now)
    refused(round, "Peer", cast.petra, now)


def test_who_wrote_the_current_version_can_not_vote_and_who_wrote_an_old_one_can(cast, seeded, now):
    change = a_change(cast.rita, now)
    change.authorships.create(version=1, user=cast.petra)
    round = in_review(change, now)
    refused(round, "Peer", cast.petra, now)
    Change.objects.filter(pk=change.pk).update(version=2)
    change = Change.objects.get(pk=change.pk)
    change.authorships.create(version=2, user=cast.rita)
    vote_of(in_review(change, now), "Peer", cast.petra, now)


@pytest.mark.parametrize("who", ["olga", "vera", "aud", "ada", "tina", "max"])
def test_who_is_not_asked_can_not_vote_an_administrator_included(round, cast, now, who):
    refused(round, "Peer", getattr(cast, who), now)


def test_a_superuser_is_not_asked_either(round, cast, now):
    cast.olga.is_superuser = True
    cast.olga.save()
    refused(round, "Peer", cast.olga, now)


def test_a_service_account_in_the_group_can_not_vote(round, cast, now):
    cast.olga.is_service = True
    cast.olga.save()
    cast.olga.groups.add(Group.objects.get(name="approver"))
    refused(round, "Peer", cast.olga, now)


def test_an_inactive_account_can_not_vote(round, cast, now):
    cast.petra.is_active = False
    cast.petra.save()
    with pytest.raises((NotPermitted, NotFound)):
        vote_of(round, "Peer", cast.petra, now)


def test_who_lost_the_role_before_voting_can_not_vote(round, cast, now):
    cast.petra.groups.clear()
    refused(round, "Peer", cast.petra, now)


def test_a_confidential_change_is_not_there_for_outsiders(cast, seeded, now):
    round = in_review(a_change(cast.rita, now, confidential=True), now)
    with pytest.raises(NotFound):
        vote_of(round, "Peer", cast.olga, now)
    vote_of(round, "Peer", cast.petra, now)


def test_a_vote_addressed_to_one_person_is_not_cast_by_a_colleague(cast, seeded, now):
    a_chain(a_level({"label": "Petra", "user": "petra"}))
    round = in_review(a_change(cast.rita, now), now)
    refused(round, "Petra", cast.paul, now)
    vote_of(round, "Petra", cast.petra, now)


# --- membership, seats ---


def test_a_vote_of_somebody_who_lost_the_role_falls_when_the_level_is_decided(board, cast, now):
    vote_of(board, "Technical Lead", cast.tina, now)
    cast.tina.groups.remove(Group.objects.get(name="technical_lead"))
    for label, user in (("Operations Lead", cast.omar), ("Business Lead", cast.bea), ("Quality Lead", cast.quinn), ("Security Lead", cast.sam)):
        vote_of(board, label, user, now)
    vote_of(board, "Change Manager", cast.max, now)
    assert state_of(board) == "in_review"
    assert Vote.objects.get(by=cast.tina).superseded
    assert Event.objects.filter(action="approval.no_approver").exists()


def test_one_person_fills_one_seat_of_a_level(cast, seeded, now):
    a_chain(a_level(a_seat("approver", required=2)))
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "approver", cast.petra, now)
    second = round.levels.get().seats.get(state="open")
    seat = cast_vote(second.pk, actor=cast.petra, now=now, vote="abstain", digest=second.level.digest)
    assert Vote.objects.filter(superseded=False, person=cast.petra.person).count() == 1
    assert state_of(round) == "in_review"
    assert seat.level.votes.filter(superseded=False).count() == 1


def test_the_strongest_power_counts(cast, seeded, now):
    cast.petra.groups.add(Group.objects.get(name="security_lead"))
    a_chain(a_level(a_seat("approver", "weak"), a_seat("security_lead", "strong", power="veto"), rule="any"))
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "weak", cast.petra, now, "reject")
    assert state_of(round) == "rejected"


def test_the_only_member_of_the_group_who_asked_for_it_leaves_nobody(cast, seeded, now):
    from changemgmt.approvals.matching import match, unfilled
    from changemgmt.changes.facts import facts_of

    cast.paul.groups.clear()
    change = a_change(cast.petra, now)
    facts = facts_of(change)
    assert [label for label, _ in unfilled(change, match(facts, now=now), facts=facts)] == ["Peer"]
    round = in_review(change, now)
    assert round.levels.get(name="Peer review").state == "open"
    assert round.levels.get(name="Peer review").escalated_at
    assert Round.objects.get(pk=round.pk).outcome == "pending"


# --- amendments ---


def amended(round, now, **fields):
    Change.objects.filter(pk=round.change_id).update(version=2, **fields)
    return in_review(Change.objects.get(pk=round.change_id), now)


def test_votes_whose_watched_parts_did_not_move_are_carried_and_the_others_fall(cast, seeded, now):
    a_chain(
        a_level(a_seat("approver"), name="plan only", watches=["plan"]),
        a_level(a_seat("security_lead"), name="texts", watches=["texts"]),
        a_level(a_seat("quality_lead"), number=2, name="last"),
    )
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "approver", cast.petra, now)
    vote_of(round, "security_lead", cast.sam, now)
    second = amended(round, now, description="another text")
    assert dict(second.levels.values_list("name", "state")) == {"plan only": "approved", "texts": "open", "last": "waiting"}
    assert Vote.objects.get(level__round=second).carried_from.by == cast.petra
    assert Vote.objects.get(by=cast.sam).superseded
    assert [row.changed_since_my_vote for row in queue_of(cast.sam, now)] == [True]


def test_a_vote_on_the_old_version_is_refused_as_stale(round, cast, now):
    seat = seat_of(round, "Peer")
    amended(round, now, description="another text")
    with pytest.raises(OutOfDate):
        cast_vote(seat.pk, actor=cast.petra, now=now, vote="approve", digest=seat.level.digest)
    assert not Vote.objects.exists()


def test_a_seat_of_an_earlier_round_stands_for_the_same_seat_now(cast, seeded, now):
    a_chain(a_level(a_seat("approver", required=1), watches=["plan"]))
    round = in_review(a_change(cast.rita, now), now)
    old = seat_of(round, "approver")
    amended(round, now, description="another text")
    seat = cast_vote(old.pk, actor=cast.petra, now=now, vote="approve", digest=old.level.digest)
    assert seat.level.round.number == 2
    assert state_of(round) == "approved"


def test_a_round_keeps_its_chain_when_the_chain_is_edited_meanwhile(cast, seeded, now):
    from changemgmt.approvals.actions import activate
    from changemgmt.approvals.chains import store

    chain = a_chain(a_level(a_seat("approver")))
    round = in_review(a_change(cast.rita, now), now)
    store(chain, {"name": "Test chain", "order": 1, "active": True, "levels": [a_level(a_seat("viewer"))]}, by=None)
    activate(chain)
    assert [seat.label for seat in amended(round, now, description="x").levels.get().seats.all()] == ["approver"]


def test_condition_items_of_a_carried_vote_go_with_it_and_those_of_a_fallen_one_end(cast, seeded, now):
    a_chain(a_level(a_seat("approver"), name="plan", watches=["plan"]), a_level(a_seat("security_lead"), name="all"))
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "approver", cast.petra, now, conditions=[{"text": "kept"}])
    vote_of(round, "security_lead", cast.sam, now, conditions=[{"text": "gone"}])
    amended(round, now, description="x")
    third = amended(round, now, description="y")
    assert dict(ActionItem.objects.values_list("text", "state")) == {"kept": "open", "gone": "waived"}
    assert ActionItem.objects.get(text="kept").vote.level.round_id == third.pk


# --- preview, information, withdrawal ---


def test_nobody_votes_while_the_preview_is_not_finished(round, cast, now):
    Preview.objects.filter(change=round.change).update(state="running")
    with pytest.raises(UnmetGuard) as refusal:
        vote_of(round, "Peer", cast.petra, now)
    assert [guard.guard for guard in refusal.value.guards] == ["preview_ready"]


def test_a_question_stops_votes_and_clocks_until_it_is_answered(round, cast, now):
    due = round.levels.get(name="Peer review").due_at
    request_information(seat_of(round, "Peer").pk, actor=cast.petra, now=now, question="Why on Friday?")
    assert state_of(round) == "info_requested"
    with pytest.raises(NotPossible):
        vote_of(round, "Peer", cast.paul, now)
    assert queue_of(cast.paul, now) == []
    with pytest.raises(NotPermitted):
        provide_information(round.change.number, actor=cast.olga, now=now, answer="x")
    with pytest.raises(UnmetGuard):
        provide_information(round.change.number, actor=cast.rita, now=now, answer=" ")
    provide_information(round.change.number, actor=cast.rita, now=now + timedelta(hours=5), answer="Quiet day")
    assert state_of(round) == "in_review"
    assert round.levels.get(name="Peer review").due_at == due + timedelta(hours=5)
    vote_of(round, "Peer", cast.petra, now)


def test_only_an_approver_whose_seat_is_open_asks_and_only_with_a_question(round, cast, now):
    seat = seat_of(round, "Peer")
    with pytest.raises(UnmetGuard):
        request_information(seat.pk, actor=cast.petra, now=now, question=" ")
    with pytest.raises(NotPermitted):
        request_information(seat.pk, actor=cast.olga, now=now, question="x")


def test_a_vote_can_be_withdrawn_until_its_level_is_decided(board, cast, now):
    seat = vote_of(board, "Technical Lead", cast.tina, now)
    with pytest.raises(UnmetGuard):
        withdraw_vote(seat.pk, actor=cast.tina, now=now, reason="")
    with pytest.raises(NotPermitted):
        withdraw_vote(seat.pk, actor=cast.omar, now=now, reason="x")
    withdraw_vote(seat.pk, actor=cast.tina, now=now, reason="second thoughts")
    assert Seat.objects.get(pk=seat.pk).state == "open"
    assert [row.seat.pk for row in queue_of(cast.tina, now)] == [seat.pk]
    assert Event.objects.filter(action="vote.withdrawn").count() == 1


def test_a_bulk_vote_is_one_vote_each_and_an_id_of_somebody_else_refuses_all(cast, seeded, now):
    template = Template.objects.exclude(type="standard").first()
    rounds = [in_review(a_change(cast.rita, now, template=template), now) for _ in range(3)]
    seats = [seat_of(round, "Peer") for round in rounds]
    asked = [{"id": seat.pk, "digest": seat.level.digest} for seat in seats]
    asked[1]["digest"] = "0" * 64
    answers = bulk_vote(asked, actor=cast.petra, now=now, vote="approve")
    assert [answer["ok"] for answer in answers] == [True, False, True]
    assert answers[1]["problem"].status == 412
    with pytest.raises(NotFound):
        bulk_vote(asked, actor=cast.olga, now=now, vote="approve")


def test_a_decided_level_opens_the_next_and_leaves_the_queue_of_the_others(round, cast, now):
    assert len(queue_of(cast.paul, now)) == 1
    assert queue_of(cast.max, now) == []
    vote_of(round, "Peer", cast.petra, now)
    assert queue_of(cast.paul, now) == []
    assert [row.level.name for row in queue_of(cast.max, now)] == ["Change Manager"]


def test_the_approval_says_who_is_asked_and_who_can_unblock_it(round, cast, now):
    shape = approval_of(round.change, cast.rita, now=now)
    assert shape["levels"][0]["seats"][0]["people"] == ["paul", "petra"]
    assert shape["levels"][0]["rule"] == {"kind": "any", "value": None}
    assert shape["blockers"][0]["who_can_clear"] == ["paul", "petra"]


def test_the_queue_asks_the_database_the_same_however_long_it_is(cast, seeded, now, django_assert_max_num_queries):
    for number in range(6):
        in_review(a_change(cast.rita, now, title=f"change {number}"), now)
    with django_assert_max_num_queries(10):
        assert len(queue_of(cast.petra, now)) == 6


def test_a_level_with_a_signature_refuses_a_wrong_password(cast, seeded, now):
    from changemgmt.tests.cast import PASSWORD

    a_chain(a_level(a_seat("approver"), require_signature=True))
    round = in_review(a_change(cast.rita, now), now)
    for password in (None, "", "wrong"):
        with pytest.raises(NotPermitted):
            vote_of(round, "approver", cast.petra, now, password=password)
    vote_of(round, "approver", cast.petra, now, password=PASSWORD)
    assert state_of(round) == "approved"


def test_a_closed_round_can_not_be_voted_on(round, cast, now):
    from changemgmt.approvals.actions import close_round

    with transaction.atomic():
        close_round(round, outcome=Round.Outcome.WITHDRAWN, now=now, why="cancelled")
    with pytest.raises(NotPossible):
        vote_of(round, "Peer", cast.petra, now)
    assert set(RoundLevel.objects.filter(round=round).values_list("state", flat=True)) == {"superseded", "skipped"}
