"""Deciding a level, by example and by property."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.approvals.rules import (
    ENDED,
    PASSED,
    LevelRule,
    Outcome,
    SeatVote,
    choose,
    levels_to_open,
    outcome_of,
    queue_key,
    seat_for,
    seating,
    tally,
)

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
ALL, ANY = LevelRule("all"), LevelRule("any")


def seat(vote=None, power="voter", **more):
    return SeatVote(power=power, vote=vote, **more)


def outcome(rule, *seats):
    return tally(rule, seats).outcome


def test_all_needs_every_counted_seat_and_an_abstention_leaves_the_base():
    assert outcome(ALL, seat("approve"), seat()) == Outcome.PENDING
    assert outcome(ALL, seat("approve"), seat("abstain")) == Outcome.APPROVED
    assert outcome(ALL, seat("approve"), seat("reject")) == Outcome.REJECTED


def test_any_is_decided_by_the_first_approval_and_not_by_the_first_rejection():
    assert outcome(ANY, seat("approve"), seat(), seat()) == Outcome.APPROVED
    assert outcome(ANY, seat("reject"), seat(), seat()) == Outcome.PENDING
    assert outcome(ANY, seat("reject"), seat("reject")) == Outcome.REJECTED


def test_a_pending_veto_holds_an_approval_that_has_its_votes():
    assert outcome(LevelRule("count", 2), seat("approve"), seat("approve"), seat(None, "veto")) == Outcome.PENDING
    assert outcome(LevelRule("count", 2), seat("approve"), seat("approve"), seat("abstain", "veto")) == Outcome.APPROVED


def test_a_veto_rejects_at_once_whatever_the_others_said():
    assert outcome(ANY, seat("approve"), seat("reject", "veto")) == Outcome.REJECTED


def test_percent_counts_open_seats_in_the_base_until_they_abstain():
    half = LevelRule("percent", 50)
    assert outcome(half, seat("approve"), seat(), seat()) == Outcome.PENDING
    assert outcome(half, seat("approve"), seat(), seat("abstain")) == Outcome.APPROVED


def test_a_tie_is_decided_by_the_deciding_seat_of_a_percent_level_only():
    sixty = LevelRule("percent", 60)
    tied = (seat("reject"), seat("approve", "deciding"))
    assert outcome(sixty, *tied) == Outcome.APPROVED
    assert outcome(sixty, seat("approve"), seat("reject", "deciding")) == Outcome.REJECTED
    assert outcome(LevelRule("count", 2), *tied) == Outcome.REJECTED
    assert outcome(sixty, seat("reject"), seat("reject"), seat("approve", "deciding")) == Outcome.REJECTED


def test_a_level_that_only_the_deciding_seat_can_save_waits_for_it():
    assert outcome(LevelRule("percent", 60), seat("approve"), seat("reject"), seat(None, "deciding"), seat("reject")) == Outcome.PENDING


def test_nothing_passes_or_is_rejected_by_emptiness():
    for rule in (ALL, ANY, LevelRule("count", 1), LevelRule("percent", 0), LevelRule("weight", 1)):
        assert outcome(rule, seat("abstain"), seat("abstain")) == Outcome.ESCALATE
        assert outcome(rule) == Outcome.ESCALATE
    assert outcome(LevelRule("count", 2), seat("approve"), seat("abstain")) == Outcome.ESCALATE
    assert outcome(ALL, seat(fillable=False)) == Outcome.ESCALATE


def test_advice_is_not_counted_and_its_conditions_are_recommendations():
    assert outcome(ALL, seat("approve"), seat("reject", "advisory")) == Outcome.APPROVED
    assert outcome(ALL, seat("approve"), seat("approve", "advisory", conditions=True)) == Outcome.APPROVED
    assert outcome(ALL, seat("approve", conditions=True), seat("approve")) == Outcome.CONDITIONS


def test_weights_are_added_for_the_weight_rule():
    rule = LevelRule("weight", 5)
    assert outcome(rule, seat("approve", weight=3), seat(weight=2)) == Outcome.PENDING
    assert outcome(rule, seat("approve", weight=3), seat("approve", weight=2), seat()) == Outcome.APPROVED
    assert outcome(rule, seat("approve", weight=3), seat("reject", weight=2), seat()) == Outcome.REJECTED


votes = st.sampled_from(["approve", "reject", "abstain", None])
powers = st.sampled_from(["voter", "veto", "deciding", "advisory"])
seats_ = st.lists(
    st.builds(SeatVote, power=powers, weight=st.integers(1, 4), vote=votes, conditions=st.booleans(), fillable=st.booleans()), min_size=1, max_size=6
)
rules_ = st.one_of(
    st.sampled_from([ALL, ANY]),
    st.builds(LevelRule, st.just("count"), st.integers(1, 6)),
    st.builds(LevelRule, st.just("percent"), st.integers(1, 100)),
    st.builds(LevelRule, st.just("weight"), st.integers(1, 10)),
)


@settings(max_examples=150, deadline=None)
@given(rules_, seats_, st.randoms())
def test_the_order_of_the_votes_does_not_matter(rule, seats, random):
    shuffled = list(seats)
    random.shuffle(shuffled)
    assert tally(rule, seats) == tally(rule, shuffled)


@settings(max_examples=200, deadline=None)
@given(rules_, seats_)
def test_an_added_approval_never_unapproves(rule, seats):
    passed = tally(rule, seats).outcome in PASSED
    for index, one in enumerate(seats):
        if passed and one.vote is None:
            assert tally(rule, seats[:index] + [replace(one, vote="approve")] + seats[index + 1 :]).outcome in PASSED


@settings(max_examples=200, deadline=None)
@given(rules_, seats_)
def test_a_veto_always_rejects(rule, seats):
    assert tally(rule, [*seats, seat("reject", "veto")]).outcome == Outcome.REJECTED


@settings(max_examples=150, deadline=None)
@given(rules_, seats_.filter(lambda seats: sum(one.vote is None for one in seats) <= 4))
def test_an_early_decision_is_what_a_late_one_would_be_whatever_the_open_seats_vote(rule, seats):
    early = tally(rule, seats).outcome
    open_seats = [index for index, one in enumerate(seats) if one.vote is None and early in ENDED]
    for rest in product(["approve", "reject", "abstain"], repeat=len(open_seats)):
        late = list(seats)
        for index, vote in zip(open_seats, rest, strict=True):
            late[index] = replace(late[index], vote=vote)
        assert early not in ENDED or (tally(rule, late).outcome in PASSED) == (early in PASSED)


@settings(max_examples=150, deadline=None)
@given(rules_, seats_)
def test_a_level_on_which_everybody_has_voted_never_waits(rule, seats):
    done = [replace(one, vote=one.vote or "approve") for one in seats]
    assert tally(rule, done).outcome != Outcome.PENDING


@settings(max_examples=150, deadline=None)
@given(rules_, seats_)
def test_a_level_that_waits_can_still_be_approved(rule, seats):
    waits = tally(rule, seats).outcome == Outcome.PENDING
    assert not waits or tally(rule, [replace(one, vote=one.vote or "approve") for one in seats]).outcome in PASSED


@settings(max_examples=150, deadline=None)
@given(rules_, seats_)
def test_without_an_approval_nothing_is_approved_and_without_a_rejection_nothing_is_rejected(rule, seats):
    result = tally(rule, seats).outcome
    assert result not in PASSED or any(one.vote == "approve" and one.power != "advisory" for one in seats)
    assert result != Outcome.REJECTED or any(one.vote == "reject" and one.power != "advisory" for one in seats)


def test_levels_of_one_number_open_together_and_the_next_when_all_have_passed():
    assert levels_to_open([(1, "waiting"), (1, "waiting"), (2, "waiting")]) == [0, 1]
    assert levels_to_open([(1, "approved"), (1, "open"), (2, "waiting")]) == []
    assert levels_to_open([(1, "approved"), (1, "skipped"), (2, "waiting")]) == [2]
    assert levels_to_open([(1, "rejected"), (2, "waiting")]) == []


def test_a_round_is_approved_when_all_levels_are_and_never_without_a_level():
    assert outcome_of(["approved", "skipped"]) == Outcome.APPROVED
    assert outcome_of(["approved", "approved_with_conditions"]) == Outcome.CONDITIONS
    assert outcome_of(["approved", "open"]) == Outcome.PENDING
    assert outcome_of(["open", "rejected"]) == Outcome.REJECTED
    assert outcome_of(["skipped"]) == outcome_of([]) == Outcome.PENDING


def chain(name, order=1, **more):
    return {"name": name, "order": order, "active": True, "additive": False, "valid_from": None, "valid_to": None, "applies_when": True} | more


def test_the_first_chain_in_order_is_used_with_every_additive_one():
    chains = [
        chain("late", 9),
        chain("added", 20, additive=True),
        chain("first", 2),
        chain("off", 1, active=False),
        chain("no", 1, applies_when=False),
    ]
    assert [one["name"] for one in choose(chains, bool, NOW)] == ["first", "added"]


def test_a_chain_outside_its_dates_is_not_used():
    gone, not_yet = chain("gone", valid_to=NOW), chain("not yet", valid_from=NOW + timedelta(seconds=1))
    assert choose([gone, not_yet], bool, NOW) == []
    assert choose([chain("from now", valid_from=NOW)], bool, NOW)


def test_one_person_takes_one_seat():
    both = frozenset({"user:1"})
    assert len(seating({1: both, 2: both})) == 1
    assert seating({1: frozenset({"user:1", "user:2"}), 2: frozenset({"user:1"})}) == {1: "user:2", 2: "user:1"}


def test_a_vote_counts_at_the_strongest_seat_but_leaves_the_others_fillable():
    powers = {1: "voter", 2: "veto"}
    shared = {1: frozenset({"a", "b"}), 2: frozenset({"a", "b"})}
    only = {1: frozenset({"a"}), 2: frozenset({"a", "b"})}
    assert seat_for("a", shared, powers, vote="approve") == 2
    assert seat_for("a", only, powers, vote="approve") == 1
    assert seat_for("a", only, powers, vote="reject") == 2
    assert seat_for("c", only, powers, vote="approve") is None


def test_the_queue_is_by_time_left_then_emergency_risk_priority_and_age():
    def key(hours, **more):
        facts = {"emergency": False, "risk": "low", "priority": "medium", "opened_at": NOW} | more
        return queue_key(due_at=None if hours is None else NOW + timedelta(hours=hours), now=NOW, **facts)

    in_order = [
        key(-1),
        key(2, emergency=True),
        key(2, risk="high"),
        key(2, priority="high"),
        key(2, opened_at=NOW - timedelta(1)),
        key(2),
        key(30),
        key(None),
    ]
    assert in_order == sorted(in_order)


def test_an_unknown_rule_is_an_error_of_the_program():
    with pytest.raises(ValueError):
        tally(LevelRule("most"), [seat("approve")])
