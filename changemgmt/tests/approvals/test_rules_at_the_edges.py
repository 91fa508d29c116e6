"""The pure rules at their edges: the cases that a small mistake in them would decide otherwise. By example; the properties stand in test_rules.py."""

from datetime import UTC, datetime, timedelta

import pytest

from changemgmt.approvals import rules
from changemgmt.approvals.rules import LevelRule, Outcome, SeatVote, levels_to_open, outcome_of, queue_key, seat_for, seating, tally, time_left

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def seat(vote=None, power="voter", **more):
    return SeatVote(power=power, vote=vote, **more)


def outcome(rule, *seats):
    return tally(rule, seats).outcome


def test_a_seat_is_open_of_weight_one_fillable_and_without_conditions_unless_it_says_otherwise():
    assert SeatVote(power="voter") == SeatVote("voter", 1, None, False, "", True)
    assert outcome(LevelRule("weight", 2), SeatVote("voter", vote="approve")) == Outcome.ESCALATE
    assert outcome(LevelRule("all"), SeatVote("voter", vote="approve")) == Outcome.APPROVED
    assert outcome(LevelRule("all"), SeatVote("voter")) == Outcome.PENDING


@pytest.mark.parametrize("kind", ["", "most", "ANY"])
def test_a_rule_that_is_none_is_an_error_of_the_program_not_an_approval(kind):
    with pytest.raises(ValueError, match=f"unknown rule {kind}"):
        tally(LevelRule(kind), [seat("approve")])
    with pytest.raises(ValueError, match=f"unknown rule {kind}"):
        rules.in_words(LevelRule(kind))


@pytest.mark.parametrize("kind", ["count", "percent", "weight"])
def test_a_rule_without_its_number_still_needs_one_approval(kind):
    assert outcome(LevelRule(kind), seat()) == Outcome.PENDING
    assert outcome(LevelRule(kind), seat(), seat("approve")) == Outcome.APPROVED
    assert outcome(LevelRule(kind, 0), seat("abstain"), seat()) == Outcome.PENDING


def test_each_rule_says_itself_in_words():
    said = [rules.in_words(LevelRule(kind, 7)) for kind in ("all", "any", "count", "percent", "weight")]
    assert said == ["All must approve", "Any one approval", "At least 7 approvals", "At least 7% of the votes", "Approvals of weight 7 or more"]


def test_a_decision_says_why():
    assert tally(LevelRule("all"), [seat("reject", "veto")]).why == "A seat with a veto rejected it."
    assert tally(LevelRule("any"), [seat("abstain")]).why == "Everybody abstained: somebody has to decide."
    assert tally(LevelRule("any"), [seat("approve")]).why == "Any one approval: met."
    assert tally(LevelRule("count", 2), [seat("approve"), seat()]).why == "At least 2 approvals: 1 so far."
    assert tally(LevelRule("any"), [seat("reject")]).why == "Any one approval: can't be met any more."
    assert "though nobody rejected" in tally(LevelRule("count", 2), [seat("approve")]).why
    assert tally(LevelRule("any"), [seat(fillable=False)]).why == "A seat has nobody who may take it."
    assert tally(LevelRule("any"), [seat("approve"), seat(None, "veto")]).why == "Enough approvals; a seat with a veto has not voted yet."
    tie = [seat("approve", "deciding"), seat("reject")]
    assert tally(LevelRule("percent", 60), tie).why == "The votes stand equal or better and the deciding seat approved."


# --- rule 5, the tie ---


def test_the_deciding_seat_breaks_a_tie_of_percent_only_when_everybody_has_voted_and_no_majority_is_against():
    sixty = LevelRule("percent", 60)
    assert outcome(sixty, seat("approve", "deciding"), seat("reject")) == Outcome.APPROVED
    assert outcome(sixty, seat("approve", "deciding"), seat("reject"), seat()) == Outcome.PENDING
    assert outcome(sixty, seat("approve", "deciding"), seat("reject"), seat("reject")) == Outcome.REJECTED
    assert outcome(sixty, seat("reject", "deciding"), seat("approve")) == Outcome.REJECTED
    assert outcome(sixty, seat("abstain", "deciding"), seat("approve"), seat("reject")) == Outcome.REJECTED
    assert outcome(sixty, seat("approve"), seat("reject")) == Outcome.REJECTED
    assert outcome(LevelRule("all"), seat("approve", "deciding"), seat("reject")) == Outcome.REJECTED
    assert outcome(LevelRule("count", 2), seat("approve", "deciding"), seat("reject")) == Outcome.REJECTED


def test_a_tie_that_can_still_come_about_keeps_a_level_of_percent_open():
    ninety = LevelRule("percent", 90)
    assert outcome(ninety, seat("reject"), seat(None, "deciding")) == Outcome.PENDING
    assert outcome(ninety, seat("reject"), seat("reject"), seat(None, "deciding")) == Outcome.REJECTED
    assert outcome(ninety, seat("reject"), seat("reject"), seat(None, "deciding"), seat()) == Outcome.PENDING
    assert outcome(ninety, seat("reject"), seat("reject", "deciding"), seat(), seat()) == Outcome.REJECTED
    assert outcome(LevelRule("all"), seat("reject"), seat(None, "deciding")) == Outcome.REJECTED


def test_percent_is_met_exactly_at_its_share():
    assert outcome(LevelRule("percent", 50), seat("approve"), seat()) == Outcome.APPROVED
    assert outcome(LevelRule("percent", 51), seat("approve"), seat()) == Outcome.PENDING
    assert outcome(LevelRule("percent", 100), seat("approve"), seat("approve")) == Outcome.APPROVED


def test_weights_count_only_under_the_weight_rule():
    heavy = seat("approve", weight=5)
    assert outcome(LevelRule("count", 2), heavy, seat()) == Outcome.PENDING
    assert outcome(LevelRule("weight", 5), heavy, seat()) == Outcome.APPROVED
    assert outcome(LevelRule("weight", 6), heavy, seat("reject", weight=9)) == Outcome.REJECTED
    assert outcome(LevelRule("weight", 6), heavy, seat()) == Outcome.PENDING


def test_conditions_colour_the_outcome_only_from_an_approval_of_a_counted_seat():
    assert outcome(LevelRule("any"), seat("approve", conditions=True)) == Outcome.CONDITIONS
    assert outcome(LevelRule("any"), seat("approve"), seat("abstain", conditions=True)) == Outcome.APPROVED
    assert outcome(LevelRule("any"), seat("approve"), seat("approve", "advisory", conditions=True)) == Outcome.APPROVED
    tie = (seat("approve", "deciding", conditions=True), seat("reject"))
    assert outcome(LevelRule("percent", 60), *tie) == Outcome.CONDITIONS


def test_a_level_of_advisers_alone_decides_nothing():
    assert outcome(LevelRule("all"), seat("approve", "advisory")) == Outcome.ESCALATE
    assert outcome(LevelRule("any"), seat("reject", "advisory")) == Outcome.ESCALATE
    assert outcome(LevelRule("any")) == Outcome.ESCALATE


def test_nobody_for_a_seat_escalates_only_while_the_level_is_not_decided_without_it():
    assert outcome(LevelRule("any"), seat("approve"), seat(fillable=False)) == Outcome.APPROVED
    assert outcome(LevelRule("any"), seat(), seat(fillable=False)) == Outcome.ESCALATE
    assert outcome(LevelRule("any"), seat(), seat("abstain", fillable=False)) == Outcome.PENDING
    assert outcome(LevelRule("any"), seat(), seat(None, "advisory", fillable=False)) == Outcome.PENDING


# --- rounds ---


def test_a_superseded_level_says_nothing_about_its_round_and_a_skipped_one_does_not_hold_it():
    assert outcome_of(["approved", "superseded"]) == Outcome.APPROVED
    assert outcome_of(["approved_with_conditions", "superseded", "skipped"]) == Outcome.CONDITIONS
    assert outcome_of(["rejected", "open"]) == Outcome.REJECTED
    for undecided in ([], ["superseded"], ["skipped"], ["approved", "open"], ["approved", "waiting"]):
        assert outcome_of(undecided) == Outcome.PENDING


def test_the_lowest_number_that_is_not_done_opens_whatever_the_order_of_the_levels():
    assert levels_to_open([(9, "waiting"), (3, "waiting"), (5, "waiting"), (3, "approved"), (3, "waiting")]) == [1, 4]
    assert levels_to_open([(30, "waiting"), (4, "waiting"), (100, "waiting"), (17, "waiting"), (2, "skipped")]) == [1]
    assert levels_to_open([(2, "waiting"), (1, "open")]) == []
    assert levels_to_open([(1, "open"), (1, "waiting"), (2, "waiting")]) == [1]
    assert levels_to_open([(1, "waiting"), (1, "rejected")]) == []
    assert levels_to_open([(1, "approved"), (2, "rejected")]) == []
    assert levels_to_open([(1, "approved"), (2, "skipped")]) == []


def test_no_level_opens_where_none_is_left():
    assert levels_to_open([]) == []
    assert levels_to_open([(1, "superseded")]) == []


# --- seats ---


def test_a_person_who_is_not_asked_has_no_seat_and_one_who_can_not_be_placed_takes_their_strongest():
    assert seat_for("max", {1: frozenset({"eva"})}, {1: "voter"}, vote="approve") is None
    assert seat_for("max", {}, {}, vote="reject") is None
    asked = {1: frozenset({"max"}), 2: frozenset({"max"})}
    assert seat_for("max", asked, {1: "voter", 2: "veto"}, vote="approve") == 2
    assert seat_for("max", asked, {1: "deciding", 2: "voter"}, vote="approve") == 1
    assert seat_for("max", asked, {1: "advisory", 2: "voter"}, vote="abstain") == 2
    assert seat_for("max", asked, {1: "voter", 2: "voter"}, vote="approve") == 1


def test_an_approval_leaves_the_strong_seat_to_the_only_other_person_who_can_take_it_and_a_rejection_does_not():
    people, powers = {1: frozenset({"max", "eva"}), 2: frozenset({"max"})}, {1: "veto", 2: "voter"}
    assert seat_for("max", people, powers, vote="approve") == 2
    assert seat_for("max", people, powers, vote="abstain") == 2
    assert seat_for("max", people, powers, vote="reject") == 1


def test_as_many_seats_as_can_be_are_taken_by_moving_people_on():
    people = {1: frozenset("abc"), 2: frozenset("ab"), 3: frozenset("a")}
    assert seating(people) == {3: "a", 2: "b", 1: "c"}
    chain = {1: frozenset("ab"), 2: frozenset("bc"), 3: frozenset("ca"), 4: frozenset("a")}
    found = seating(chain)
    assert len(found) == 3 == len(set(found.values()))
    assert seating({}) == {}
    assert seating({1: frozenset()}) == {}


def test_seating_is_the_same_every_time_and_serves_the_seats_with_the_fewest_people_first():
    assert seating({1: frozenset("xy"), 2: frozenset("y")}) == {1: "x", 2: "y"}
    assert seating({2: frozenset("xy"), 1: frozenset("xy")}) == {1: "y", 2: "x"}
    assert seating({5: frozenset("q"), 9: frozenset("q")}) == {5: "q"}


# --- scopes of delegations ---

CASE = rules.Case(chain="Normal change", type="normal", units=frozenset({"payments", "company"}), number="CHG-2026-00001")


@pytest.mark.parametrize(
    ("kind", "value", "holds"),
    [
        ("all", "", True), ("chain", "Normal change", True), ("chain", "Major change", False), ("type", "normal", True), ("type", "major", False),
        ("org_unit", "payments", True), ("org_unit", "company", True), ("org_unit", "ledger", False),
        ("change", "CHG-2026-00001", True), ("change", "CHG-2026-00002", False),
    ],
)  # fmt: skip
def test_a_scope_covers_what_it_names_and_nothing_else(kind, value, holds):
    assert rules.covers(kind, value, CASE) is holds


def test_a_scope_of_no_kind_is_an_error_of_the_program():
    with pytest.raises(ValueError, match="unknown scope nonsense"):
        rules.covers("nonsense", "", CASE)


def test_scopes_are_tried_from_the_narrowest_to_the_widest_and_each_is_known():
    assert rules.NARROWEST == ("change", "chain", "type", "org_unit", "all")
    assert [rules.covers(kind, "", CASE) for kind in rules.NARROWEST] == [False, False, False, False, True]


# --- the queue ---


@pytest.mark.parametrize(
    ("hours", "rank"),
    [(-1, 0), (-0.001, 0), (0, 1), (7.999, 1), (8, 2), (23.999, 2), (24, 3), (71.999, 3), (72, 4), (1000, 4)],
)
def test_time_left_has_five_steps_each_from_its_hour_on(hours, rank):
    assert time_left(NOW + timedelta(hours=hours), NOW) == rank


def test_no_deadline_is_as_far_as_can_be():
    assert time_left(None, NOW) == 4


def key(**more):
    return queue_key(**{"due_at": None, "emergency": False, "risk": "low", "priority": "low", "opened_at": NOW, "now": NOW, **more})


def test_my_approvals_stand_by_time_left_then_emergency_then_risk_then_priority_then_age():
    first = [
        key(due_at=NOW - timedelta(hours=1)),
        key(due_at=NOW + timedelta(hours=1), emergency=False),
        key(emergency=True),
        key(risk="very_high"),
        key(risk="high", priority="critical"),
        key(risk="high", priority="high"),
        key(risk="medium", priority="critical"),
        key(priority="critical"),
        key(priority="medium"),
        key(opened_at=NOW - timedelta(days=1)),
        key(),
        key(priority="odd"),
        key(risk=None, priority="critical"),
        key(risk=None),
    ]
    assert first == sorted(first)
    assert len(set(first)) == len(first)
    assert key(risk=None) == key(risk="") == key(risk="odd") == (4, True, 4, 3, NOW)
    assert key(risk="very_high", priority="critical", emergency=True, due_at=NOW - timedelta(1)) == (0, False, 0, 0, NOW)
    assert key(priority="") == (4, True, 3, 4, NOW)


# --- what else a small mistake would change ---


def test_a_veto_is_stronger_than_the_deciding_seat_and_that_than_a_voter_and_advice_is_the_weakest():
    asked = {1: frozenset({"max"}), 2: frozenset({"max"})}
    for weaker, stronger in (("deciding", "veto"), ("voter", "deciding"), ("advisory", "voter")):
        assert seat_for("max", asked, {1: weaker, 2: stronger}, vote="reject") == 2


def test_a_level_has_ended_when_it_passed_or_was_rejected():
    assert {Outcome.APPROVED, Outcome.CONDITIONS} == rules.PASSED
    assert {Outcome.APPROVED, Outcome.CONDITIONS, Outcome.REJECTED} == rules.ENDED


def test_a_share_just_below_the_percentage_is_not_enough():
    assert outcome(LevelRule("percent", 51), *[seat("approve")] * 50, *[seat()] * 49) == Outcome.PENDING
    assert outcome(LevelRule("percent", 50), *[seat("approve")] * 50, *[seat()] * 50) == Outcome.APPROVED


def test_no_rule_but_the_known_ones_is_ever_met():
    with pytest.raises(ValueError, match="unknown rule most"):
        rules.met(LevelRule("most"), 1, 1)


def test_the_words_tell_a_missing_seat_from_an_abstention_and_a_waiting_veto_from_missing_approvals():
    assert tally(LevelRule("all"), []).why == "All must approve: can't be met with the seats that are left, though nobody rejected."
    assert tally(LevelRule("count", 2), [seat("approve"), seat(None, "veto")]).why == "At least 2 approvals: 1 so far."


def a_chain(name, order, *, additive=False, start=None, end=None, active=True):
    return {"name": name, "order": order, "additive": additive, "valid_from": start, "valid_to": end, "active": active, "applies_when": {}}


def test_an_added_chain_never_stands_in_for_one_of_the_changes_own():
    chains = [a_chain("added", 1, additive=True), a_chain("own", 2), a_chain("later", 3)]
    assert [chain["name"] for chain in rules.choose(chains, lambda condition: True, NOW)] == ["own", "added"]


def test_a_chain_is_in_force_from_its_first_moment_up_to_and_without_its_last():
    day = timedelta(days=1)
    assert rules.in_force(a_chain("x", 1, start=NOW, end=NOW + day), NOW)
    assert rules.in_force(a_chain("x", 1, end=NOW + day), NOW) and rules.in_force(a_chain("x", 1, start=NOW - day), NOW)
    assert not rules.in_force(a_chain("x", 1, start=NOW + day), NOW)
    assert not rules.in_force(a_chain("x", 1, end=NOW), NOW)
    assert not rules.in_force(a_chain("x", 1, end=NOW - day), NOW)
    assert not rules.in_force(a_chain("x", 1, active=False), NOW)


def test_the_steps_of_time_left_have_their_words():
    assert [word for _, word in rules.TIME_LEFT] == ["late", "now", "today", "soon"]
