"""Approvals together with the other verbs of a change: submitted, amended, taken back, withdrawn from."""

import pytest

from changemgmt.approvals.models import Round, Vote
from changemgmt.approvals.queries import queue_of
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.core.errors import NotPermitted, NotPossible
from changemgmt.lifecycle.cancel import cancel
from changemgmt.lifecycle.edit import create_change, edit_change
from changemgmt.lifecycle.go_ahead import emergency_go_ahead
from changemgmt.lifecycle.revise import revise
from changemgmt.lifecycle.submit import submit
from changemgmt.lifecycle.vote import cast_vote, withdraw_vote

from .making import a_chain, a_level, a_seat, vote_of

pytestmark = pytest.mark.django_db
FIELDS = {
    "title": "Move the ledger",
    "description": "to the other room",
    "business_justification": "the room is needed",
    "implementation_plan": "carry it",
    "rollback_plan": "carry it back",
    "test_plan": "look",
    "no_items_reason": "paper only",
}


@pytest.fixture
def submitted(cast, seeded, now):
    """A change submitted through its verbs, before the peers."""

    def make(**fields):
        change = create_change({**FIELDS, "implementers": ["ian"], **fields}, actor=cast.rita, now=now)
        submit(change.number, actor=cast.rita, now=now, seen=change.etag)
        return Change.objects.get(pk=change.pk)

    return make


def last(change) -> Round:
    return Round.objects.filter(change=change).latest("number")


def now_in(change) -> str:
    return Change.objects.get(pk=change.pk).state


def voters_of(change) -> dict[str, bool]:
    return dict(Vote.objects.filter(level__round=last(change)).values_list("by__username", "superseded"))


def approved(change, cast, now):
    """Petra as the peer, then everybody whose queue it stands in."""
    vote_of(last(change), "Peer", cast.petra, now)
    for user in cast.everybody():
        for row in queue_of(user, now):
            cast_vote(row.seat.pk, actor=user, now=now, vote="approve", digest=row.level.digest)


def test_a_submitted_change_opens_its_chain_and_ends_approved(submitted, cast, now):
    change = submitted()
    assert now_in(change) == "in_review"
    assert last(change).digest == Change.objects.get(pk=change.pk).digest
    approved(change, cast, now)
    assert now_in(change) == "approved"


def test_an_edit_lets_exactly_the_votes_fall_that_watch_it(submitted, cast, now):
    a_chain(
        a_level(a_seat("approver"), name="window", watches=["window"]),
        a_level(a_seat("technical_lead"), name="texts", watches=["texts"]),
        a_level(a_seat("security_lead"), number=2, name="last"),
    )
    change = submitted()
    vote_of(last(change), "approver", cast.petra, now)
    vote_of(last(change), "technical_lead", cast.tina, now)
    edit_change(change.number, {"description": "to the cellar"}, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)
    assert voters_of(change) == {"petra": False}
    assert [row.changed_since_my_vote for row in queue_of(cast.tina, now)] == [True]
    edit_change(change.number, {"title": "Another title"}, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)
    assert voters_of(change) == {"petra": False}


def test_an_edit_of_an_approved_change_asks_again(submitted, cast, now):
    change = submitted()
    approved(change, cast, now)
    edit_change(change.number, {"rollback_plan": "leave it there"}, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)
    assert now_in(change) == "in_review"
    assert voters_of(change) == {}
    assert Vote.objects.filter(superseded=False).count() == 0


def test_a_change_whose_open_levels_nothing_watched_moved_is_approved_again_at_once(submitted, cast, now):
    a_chain(a_level(a_seat("approver"), watches=["window"]))
    change = submitted()
    vote_of(last(change), "approver", cast.petra, now)
    edit_change(change.number, {"description": "to the cellar"}, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)
    assert now_in(change) == "approved"
    assert last(change).number == 2


def test_naming_a_voter_as_implementer_takes_the_vote_away(submitted, cast, now):
    a_chain(a_level(a_seat("approver"), name="one", watches=["texts"]), a_level(a_seat("technical_lead"), name="two"))
    change = submitted()
    vote_of(last(change), "approver", cast.petra, now)
    edit_change(change.number, {"implementers": ["petra"]}, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)
    assert voters_of(change) == {}
    with pytest.raises(NotPermitted):
        vote_of(last(change), "approver", cast.petra, now)


def test_a_change_of_type_after_submission_runs_the_levels_of_both_chains(submitted, cast, now):
    change = submitted()
    edit_change(
        change.number, {"type": "major", "communication_plan": "tell them"}, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag
    )
    names = set(last(change).levels.exclude(state="skipped").values_list("name", flat=True))
    assert {"Peer review", "CAB", "Senior management"} <= names
    assert last(change).chain == "Normal change + Major change"


def test_what_was_taken_back_begins_anew(submitted, cast, now):
    change = submitted()
    vote_of(last(change), "Peer", cast.petra, now)
    revise(change.number, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)
    assert not queue_of(cast.max, now)
    submit(change.number, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)
    assert voters_of(change) == {}
    assert Vote.objects.get().superseded


def test_a_vote_withdrawn_after_the_decision_reopens_the_review_and_keeps_the_others(submitted, cast, now):
    change = submitted()
    approved(change, cast, now)
    seat = Vote.objects.get(by=cast.petra).seat
    withdraw_vote(seat.pk, actor=cast.petra, now=now, reason="I read it again")
    assert now_in(change) == "in_review"
    assert Event.objects.filter(action="change.review_reopened").count() == 1
    assert voters_of(change).keys() >= {"max", "sam"}
    assert not any(voters_of(change).values())
    vote_of(last(change), "Peer", cast.paul, now)
    assert now_in(change) == "approved"


def test_a_vote_on_a_cancelled_change_is_refused(submitted, cast, now):
    change = submitted()
    round = last(change)
    cancel(change.number, actor=cast.rita, now=now, reason="no need", seen=Change.objects.get(pk=change.pk).etag)
    with pytest.raises(NotPossible):
        vote_of(round, "Peer", cast.petra, now)
    assert now_in(change) == "cancelled"
    assert queue_of(cast.petra, now) == []


def test_a_retrospective_round_is_voted_on_while_the_work_goes_on_and_changes_no_state(submitted, cast, now):
    change = submitted(type="emergency")
    emergency_go_ahead(change.number, actor=cast.eva, now=now, reason="it burns", seen=Change.objects.get(pk=change.pk).etag)
    assert now_in(change) == "scheduled"
    with pytest.raises(NotPermitted):
        vote_of(last(change), "ECAB member", cast.eva, now)
    assert [row.change.number for row in queue_of(cast.emil, now)] == [change.number]
    vote_of(last(change), "ECAB member", cast.emil, now)
    assert now_in(change) == "scheduled"
    assert last(change).outcome == "approved"


def test_a_change_nobody_can_approve_stays_submitted_with_an_alarm(submitted, cast, now):
    for user in (cast.petra, cast.paul):
        user.groups.clear()
    change = submitted()
    assert now_in(change) == "submitted"
    assert not Round.objects.filter(change=change).exists()
    assert Event.objects.filter(action="approval.blocked").count() == 1


def test_a_change_no_chain_matches_is_blocked_and_never_approved(submitted, cast, now):
    from changemgmt.approvals.models import Chain

    Chain.objects.all().update(in_force=None)
    change = submitted()
    assert now_in(change) == "submitted"
