"""Who can unblock it: the panel says what enforcement does, in every state."""

from datetime import timedelta

import pytest

from changemgmt.accounts.models import Delegation
from changemgmt.approvals.models import ActionItem, Power, Seat
from changemgmt.approvals.sitting import can_vote
from changemgmt.changes.models import Change
from changemgmt.lifecycle.blockers import all_blockers
from changemgmt.lifecycle.cancel import cancel
from changemgmt.lifecycle.claim import claim_seat, reassign_seat
from changemgmt.lifecycle.manage_people import deactivate
from changemgmt.lifecycle.obligations import give_evidence, may_accept
from changemgmt.lifecycle.rights import settle_rights
from changemgmt.lifecycle.schedule import may_schedule
from changemgmt.lifecycle.start import may_start
from changemgmt.lifecycle.submit import may_submit
from changemgmt.lifecycle.vote import provide_information, request_information

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db
LEVEL = "is not decided"


@pytest.fixture
def round(cast, seeded, now):
    """Two of the approvers, the security lead with a veto, and somebody by name."""
    a_chain(
        a_level(a_seat("approver", required=1), a_seat("security_lead", power="veto"), {"label": "Arno", "user": "arno"}, name="First", sla_hours=10),
        a_level(a_seat("change_manager"), number=2, name="Second"),
    )
    return in_review(a_change(cast.rita, now, owner=cast.max, implementers=(cast.ian,)), now)


def blockers(round, cast, now):
    return all_blockers(Change.objects.get(pk=round.change_id), actor=cast.vera, now=now)


def agree(round, cast, now):
    """Exactly those whom the panel names for the open levels are let in by the vote; change managers besides where a claim can be released."""
    rows = [row for row in blockers(round, cast, now) if LEVEL in row["what"]]
    named = {name for row in rows for name in row["who_can_clear"]}
    seats = Seat.objects.filter(level__round=round, level__state="open", state="open").exclude(power=Power.ADVISORY)
    let_in = {user.username for user in cast.everybody() for seat in seats if may_take(seat, user, now)}
    claimed = seats.filter(claimed_until__gt=now).exists()
    assert named - ({"max"} if claimed else set()) == let_in
    return named


def may_take(seat, user, now):
    voted = {vote.person for vote in seat.level.votes.filter(superseded=False)}
    return user.person not in voted and can_vote(seat, actor=user, now=now).allowed


def nothing(round, cast, now):
    return {"petra", "paul", "sam", "arno"}


def one_vote(round, cast, now):
    vote_of(round, "approver", cast.petra, now)
    return {"sam", "arno"}


def a_claim(round, cast, now):
    claim_seat(seat_of(round, "approver").pk, actor=cast.paul, now=now)
    return {"paul", "sam", "arno", "max"}


def a_claim_that_is_over(round, cast, now):
    claim_seat(seat_of(round, "approver").pk, actor=cast.paul, now=now - timedelta(hours=9))
    return {"petra", "paul", "sam", "arno"}


def another_person(round, cast, now):
    reassign_seat(seat_of(round, "Arno").pk, actor=cast.max, now=now, to="stella")
    return {"petra", "paul", "sam", "stella"}


def a_stand_in(round, cast, now):
    period = {
        "starts_at": now - timedelta(days=1),
        "ends_at": now + timedelta(days=1),
        "created_at": now - timedelta(days=1),
        "created_by": cast.arno,
    }
    Delegation.objects.create(delegator=cast.arno, delegate=cast.quinn, **period)
    return {"petra", "paul", "sam", "arno", "quinn"}


def a_stand_in_who_implements(round, cast, now):
    period = {
        "starts_at": now - timedelta(days=1),
        "ends_at": now + timedelta(days=1),
        "created_at": now - timedelta(days=1),
        "created_by": cast.arno,
    }
    Delegation.objects.create(delegator=cast.arno, delegate=cast.ian, **period)
    return {"petra", "paul", "sam", "arno"}


def somebody_left(round, cast, now):
    deactivate("arno", actor=cast.ada, now=now)
    return {"petra", "paul", "sam"}


def the_next_level(round, cast, now):
    for label, user in (("approver", cast.petra), ("security_lead", cast.sam), ("Arno", cast.arno)):
        vote_of(round, label, user, now)
    return {"max"}


STATES = (nothing, one_vote, a_claim, a_claim_that_is_over, another_person, a_stand_in, a_stand_in_who_implements, somebody_left, the_next_level)


@pytest.mark.parametrize("happens", STATES, ids=lambda state: state.__name__)
def test_whom_the_panel_names_the_vote_lets_in_and_nobody_else(round, cast, now, happens):
    expected = happens(round, cast, now)
    assert agree(round, cast, now) == expected


def test_a_vote_that_nobody_can_take_is_a_blocker_of_its_own_for_the_change_managers(round, cast, now):
    deactivate("arno", actor=cast.ada, now=now)
    row = next(row for row in blockers(round, cast, now) if "Nobody can take" in row["what"])
    assert "Arno" in row["what"]
    assert row["who_can_clear"] == ["max"]
    reassign_seat(seat_of(round, "Arno").pk, actor=cast.max, now=now, to="stella")
    assert not any("Nobody can take" in row["what"] for row in blockers(round, cast, now))


def test_the_facts_say_who_claimed_who_stands_in_and_whom_the_chain_asked(round, cast, now):
    a_claim(round, cast, now)
    a_stand_in(round, cast, now)
    facts = " | ".join(next(row for row in blockers(round, cast, now) if LEVEL in row["what"])["facts"])
    assert "claimed by paul until" in facts
    assert "quinn for arno" in facts
    another_person(round, cast, now)
    facts = " | ".join(next(row for row in blockers(round, cast, now) if LEVEL in row["what"])["facts"])
    assert "stella (instead of arno)" in facts


@pytest.mark.parametrize(("on_timeout", "by_itself"), [("escalate", False), ("reassign", False), ("approve", True), ("reject", True)])
def test_a_level_that_decides_itself_says_when(cast, seeded, now, on_timeout, by_itself):
    a_chain(a_level(a_seat("approver"), sla_hours=10, on_timeout=on_timeout))
    round = in_review(a_change(cast.rita, now), now)
    row = next(row for row in blockers(round, cast, now) if LEVEL in row["what"])
    assert row["clears_at"] == (now + timedelta(hours=10) if by_itself else None)


def test_an_open_question_is_cleared_by_who_may_answer_it(round, cast, now):
    request_information(seat_of(round, "Arno").pk, actor=cast.arno, now=now, question="Why on Friday?")
    row = next(row for row in blockers(round, cast, now) if "Information is requested" in row["what"])
    assert row["who_can_clear"] == ["max", "rita"]
    assert row["facts"] == ["arno: Why on Friday?"]
    provide_information(round.change.number, actor=cast.rita, now=now, answer="It is quiet then.")
    assert not any("Information" in row["what"] for row in blockers(round, cast, now))


def test_it_is_the_same_for_everybody_who_may_see_the_change(round, cast, now):
    one_vote(round, cast, now)
    change = Change.objects.get(pk=round.change_id)
    answers = [all_blockers(change, actor=user, now=now) for user in (cast.vera, cast.rita, cast.petra, cast.max, cast.aud)]
    assert all(answer == answers[0] for answer in answers)


def test_a_part_that_may_not_be_seen_is_not_named_to_who_reads_what_keeps_the_whole_open(round, cast, now):
    whole = Change.objects.get(pk=round.change_id)
    Change.objects.filter(pk=whole.pk).update(state="implemented")
    part = a_change(cast.max, now, owner=cast.max, confidential=True, parent=whole)
    settle_rights(part, now=now)
    whole = Change.objects.get(pk=whole.pk)
    words = {user.username: str(all_blockers(whole, actor=user, now=now)) for user in (cast.vera, cast.max)}
    assert part.number not in words["vera"] and part.number in words["max"]
    assert "a change you may not see" in words["vera"]


def test_who_gave_the_evidence_is_not_named_to_accept_it(cast, seeded, now):
    a_chain(a_level(a_seat("approver")))
    round = in_review(a_change(cast.rita, now, owner=cast.arno, implementers=(cast.max, cast.ian)), now)
    vote_of(round, "approver", cast.petra, now, conditions=[{"text": "Show it", "due": "before_schedule", "owner": "ian"}])
    item = ActionItem.objects.get()
    give_evidence(item.pk, {"kind": "statement", "text": "It is so."}, actor=cast.max, now=now)
    assert may_accept(ActionItem.objects.get(), actor=cast.max).refusal
    row = next(row for row in blockers(round, cast, now) if "Show it" in row["what"])
    assert "max" not in row["who_can_clear"] and "petra" in row["who_can_clear"]


def guards_of(change, cast, now):
    """The guards that the next step would be refused for, of who may take it."""
    acts = {
        "draft": lambda: may_submit(change, actor=change.requester),
        "approved": lambda: may_schedule(change, actor=cast.max, now=now),
        "approved_with_conditions": lambda: may_schedule(change, actor=cast.max, now=now),
        "scheduled": lambda: may_start(change, actor=cast.ian, now=now),
    }
    return acts[change.state]()


@pytest.mark.parametrize("conditions", [(), ({"text": "Show it", "due": "before_schedule"},), ({"text": "Tell them", "due": "before_start"},)])
@pytest.mark.parametrize("state", ["draft", "approved", "scheduled"])
def test_the_next_step_is_refused_for_exactly_what_the_panel_lists(cast, seeded, now, state, conditions):
    a_chain(a_level(a_seat("approver")))
    round = in_review(a_change(cast.rita, now, owner=cast.max, implementers=(cast.ian,)), now)
    if state == "draft":
        change = Change.objects.create(number="CHG-2026-90000", requester=cast.rita, title="", created_at=now, updated_at=now)
    else:
        vote_of(round, "approver", cast.petra, now, conditions=list(conditions))
        change = Change.objects.get(pk=round.change_id)
    if state == "scheduled" and not any(one["due"] == "before_schedule" for one in conditions):
        change.planned_start, change.planned_end = now + timedelta(hours=1), now + timedelta(hours=2)
        change.schedule()
        change.save()
    verdict = guards_of(change, cast, now)
    listed = " | ".join(row["what"] for row in all_blockers(change, actor=cast.vera, now=now))
    for guard in verdict.guards:
        words = guard.message.split("“")[1].split("”")[0] if guard.guard.startswith("conditions_") else guard.message
        assert words in listed
    if not listed:
        assert verdict.allowed


def test_a_change_nobody_implements_says_so(cast, seeded, now):
    a_chain(a_level(a_seat("approver")))
    round = in_review(a_change(cast.rita, now, owner=cast.max), now)
    vote_of(round, "approver", cast.petra, now)
    change = Change.objects.get(pk=round.change_id)
    change.planned_start, change.planned_end = now, now + timedelta(hours=2)
    change.schedule()
    change.save()
    assert any("Nobody is named who implements it" in row["what"] for row in blockers(round, cast, now))


def test_what_is_over_has_no_blockers(round, cast, now):
    cancel(round.change.number, actor=cast.rita, now=now, reason="no", seen=Change.objects.get(pk=round.change_id).etag)
    assert blockers(round, cast, now) == []


def test_panel_and_endpoint_say_the_same(client, api, cast, round):
    rows = api(cast.vera).get(f"/api/v1/changes/{round.change.number}/blockers/").json()
    client.force_login(cast.vera)
    text = client.get(f"/changes/{round.change.number}/").content.decode()
    assert "Who can unblock it" in text
    for row in rows:
        assert row["what"] in text
        assert row["rule"] in text
        for fact in row["facts"]:
            assert fact in text
