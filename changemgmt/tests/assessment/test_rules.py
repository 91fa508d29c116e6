"""The published formulas of risk."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.assessment.rules import ASKED, LEVELS, Inputs, Risk, Settings, assess, level_of

SAFE = Inputs(testing_evidence=True, rollback_plan=True, rollback_rehearsed=True)
MODEST = settings(max_examples=100, deadline=None)


def risks(**more):
    return {risk.category: risk for risk in assess(dataclasses.replace(SAFE, **more)).risks}


def business(**more):
    return assess(dataclasses.replace(SAFE, **more)).business


def test_nothing_to_fear_is_nought_and_low():
    found = assess(SAFE)
    assert (found.technical, found.business, found.overall, found.level, found.risks) == (0, 0, 0, "low", ())


@pytest.mark.parametrize(
    ("inputs", "category", "likelihood", "impact", "technical"),
    [
        ({"items": 11}, "complexity", "medium", "high", 6 / 16),
        ({"layers": ("a", "b", "c")}, "complexity", "medium", "high", 6 / 16),
        ({"reached_directly": 6}, "dependencies", "medium", "medium", 4 / 16),
        ({"testing_evidence": False}, "testing_inadequate", "high", "high", 9 / 16),
        ({"rollback_rehearsed": False}, "rollback_complex", "low", "very_high", 4 / 16),
        ({"compensations": 6}, "rollback_complex", "low", "very_high", 4 / 16),
        ({"irreversible_steps": 1}, "rollback_impossible", "high", "very_high", 12 / 16),
        ({"rollback_plan": False}, "rollback_impossible", "high", "very_high", 12 / 16),
        ({"performance_components": ("db",)}, "performance", "medium", "medium", 4 / 16),
    ],
)
def test_each_technical_risk_is_raised_by_what_is_published(inputs, category, likelihood, impact, technical):
    found = risks(**inputs)
    assert set(found) == {category}
    assert (found[category].likelihood, found[category].impact) == (likelihood, impact)
    assert found[category].evidence and found[category].mitigation
    assert assess(dataclasses.replace(SAFE, **inputs)).technical == technical


def test_at_the_limit_itself_nothing_is_raised():
    assert risks(items=10, layers=("a", "b"), reached_directly=5, compensations=5) == {}


def test_an_impossible_rollback_is_not_also_complex():
    assert set(risks(rollback_plan=False, rollback_rehearsed=False)) == {"rollback_impossible"}


def test_the_worst_risk_counts_not_their_sum():
    assert assess(dataclasses.replace(SAFE, testing_evidence=False, items=30, reached_directly=9)).technical == 9 / 16


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        ({"users": 5_000}, 0.10),
        ({"users": 80_000}, 0.20),
        ({"max_criticality": 5}, 0.30),
        ({"max_criticality": 3}, 0.15),
        ({"max_criticality": 1}, 0.0),
        ({"revenue": 1.0}, 0.25),
        ({"compliance_scope": ("sox",)}, 0.15),
        ({"compliance_scope": ("sox", "pci")}, 0.15),
        ({"reputation": 0.5}, 0.05),
        ({"users": 10_000, "max_criticality": 5, "revenue": 1.0, "reputation": 1.0, "compliance_scope": ("gdpr",)}, 1.0),
    ],
)
def test_each_factor_of_business_impact_weighs_as_published(inputs, wanted):
    assert business(**inputs) == pytest.approx(wanted)


def test_the_example_of_the_contract():
    inputs = dataclasses.replace(SAFE, testing_evidence=False, users=500, max_criticality=5)
    found = assess(inputs)
    assert (found.technical, found.business) == (0.5625, pytest.approx(0.31))
    assert found.overall == pytest.approx(0.4615) and found.level == "medium"


@pytest.mark.parametrize(
    ("overall", "level"),
    [(0, "low"), (0.2499, "low"), (0.25, "medium"), (0.4999, "medium"), (0.5, "high"), (0.7499, "high"), (0.75, "very_high"), (1, "very_high")],
)
def test_levels_begin_at_their_thresholds(overall, level):
    assert level_of(overall, Settings()) == level


def test_a_threshold_hangs_on_no_binary_digit():
    # 0.6 × 0.25 + 0.4 × 0.25 is 0.25 in decimal.
    found = assess(dataclasses.replace(SAFE, reached_directly=6, revenue=1.0))
    assert found.overall == 0.25 and found.level == "medium"


def test_a_rule_of_the_administrator_counts_like_any_risk():
    extra = Risk("night_shift", "very_high", "very_high", "Ask the night shift.", "It runs at night.")
    found = assess(dataclasses.replace(SAFE, extra=(extra,)))
    assert found.technical == 1 and found.risks == (extra,)


def test_weights_that_do_not_add_to_one_are_refused():
    assert Settings().mistakes() == {}
    assert "users_weight" in Settings(users_weight=0.3).mistakes()
    assert "technical_weight" in Settings(technical_weight=0.7).mistakes()
    assert "medium_from" in Settings(medium_from=0.6).mistakes()
    assert "revenue_weight" in Settings(revenue_weight=-0.25, users_weight=0.7).mistakes()
    assert "users_at_most" in Settings(users_at_most=0).mistakes()


def test_what_would_lower_it_names_the_heaviest_first_and_where_each_leads():
    found = assess(Inputs(max_criticality=3))
    assert [rung.what for rung in found.lowers] == [
        "Write a rollback plan and make every step reversible.", "Test it and give the evidence.", "Rehearse the rollback and shorten it.",
    ]  # fmt: skip
    overalls = [found.overall, *(rung.overall for rung in found.lowers)]
    assert overalls == sorted(overalls, reverse=True) and found.lowers[-1].level == "low"
    assert assess(SAFE).lowers == ()


def test_statements_say_it_in_words():
    said = assess(Inputs(reached=7, reached_directly=2, compliance_scope=("sox",), depends_on=("CHG-2026-00001",), downtime_minutes=30)).statements
    assert set(said) == {"resources", "testing", "rollback_complexity", "dependencies", "constraints"}
    assert "CHG-2026-00001" in said["dependencies"] and "sox" in said["constraints"] and "30 minutes" in said["constraints"]


inputs = st.builds(
    Inputs,
    items=st.integers(0, 40), layers=st.lists(st.sampled_from("abcd"), unique=True).map(tuple), reached_directly=st.integers(0, 20), users=st.integers(0, 50_000),
    max_criticality=st.integers(0, 5), testing_evidence=st.booleans(), rollback_plan=st.booleans(), rollback_rehearsed=st.booleans(),
    compensations=st.integers(0, 12), irreversible_steps=st.integers(0, 2), performance_components=st.sampled_from([(), ("db",)]),
    compliance_scope=st.sampled_from([(), ("sox",)]), revenue=st.sampled_from(ASKED), reputation=st.sampled_from(ASKED),
)  # fmt: skip


@MODEST
@given(inputs)
def test_every_figure_lies_between_nought_and_one_and_follows_from_its_parts(one):
    found = assess(one)
    assert 0 <= found.technical <= 1 and 0 <= found.business <= 1 and 0 <= found.overall <= 1
    assert found.business == pytest.approx(sum(factor.score * factor.weight for factor in found.factors.values()))
    assert found.technical == max((risk.score for risk in found.risks), default=0) / 16
    assert found.overall == pytest.approx(0.6 * found.technical + 0.4 * found.business)
    assert all(0 <= factor.score <= 1 and factor.basis for factor in found.factors.values())


@MODEST
@given(inputs)
def test_evidence_rehearsal_and_a_plan_never_raise_the_risk(one):
    here = assess(one)
    for better in (
        {"testing_evidence": True},
        {"rollback_rehearsed": True},
        {"rollback_plan": True},
        {"irreversible_steps": 0},
        {"revenue": 0.0},
        {"users": 0},
    ):
        after = assess(dataclasses.replace(one, **better))
        assert after.overall <= here.overall and LEVELS.index(after.level) <= LEVELS.index(here.level)


@MODEST
@given(inputs)
def test_the_ladder_only_goes_down(one):
    found = assess(one)
    steps = [found.overall, *(rung.overall for rung in found.lowers)]
    assert steps == sorted(steps, reverse=True)
    assert not found.lowers or found.lowers[-1].overall < found.overall
