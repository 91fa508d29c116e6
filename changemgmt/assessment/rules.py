"""The risk of a change by the published formulas. Pure: the same inputs and settings give the same assessment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from changemgmt.assessment.inputs import ASKED, LEVELS, NUMBERS, Assessment, Factor, Inputs, Risk, Rung, Settings

__all__ = ["ASKED", "LEVELS", "NUMBERS", "Assessment", "Factor", "Inputs", "Risk", "Rung", "Settings", "assess"]

HIGHEST = 16
# Comparing with a threshold must not hang on the last binary digit of 0.6 × x + 0.4 × y.
DIGITS = 9


def assess(inputs: Inputs, settings: Settings | None = None) -> Assessment:
    """The assessment of these inputs, with statements and what would lower it."""
    settings = settings or Settings()
    risks = risks_of(inputs, settings)
    factors = factors_of(inputs, settings)
    technical, business = technical_of(risks), business_of(factors)
    overall = overall_of(technical, business, settings)
    level = level_of(overall, settings)
    return Assessment(technical, business, overall, level, risks, factors, statements_of(inputs, settings), ladder(inputs, settings, overall))


def technical_of(risks: Iterable[Risk]) -> float:
    """The worst risk as a share of the worst there can be; 0 with none."""
    return max((risk.score for risk in risks), default=0) / HIGHEST


def business_of(factors: Mapping[str, Factor]) -> float:
    return round(sum(factor.score * factor.weight for factor in factors.values()), DIGITS)


def overall_of(technical: float, business: float, settings: Settings) -> float:
    return round(settings.technical_weight * technical + settings.business_weight * business, DIGITS)


def level_of(overall: float, settings: Settings) -> str:
    """low < 0.25 ≤ medium < 0.50 ≤ high < 0.75 ≤ very high, with the default thresholds."""
    return LEVELS[sum(overall >= threshold for threshold in (settings.medium_from, settings.high_from, settings.very_high_from))]


def overall_at(inputs: Inputs, settings: Settings) -> float:
    return overall_of(technical_of(risks_of(inputs, settings)), business_of(factors_of(inputs, settings)), settings)


# Technical risks


def risks_of(inputs: Inputs, settings: Settings) -> tuple[Risk, ...]:
    """Every risk that something about the change raises, worst first."""
    found = (
        complexity(inputs, settings),
        dependencies(inputs, settings),
        testing(inputs),
        rollback(inputs, settings),
        performance(inputs),
        *inputs.extra,
    )
    return tuple(sorted((risk for risk in found if risk), key=lambda risk: (-risk.score, risk.category)))


def complexity(inputs: Inputs, settings: Settings) -> Risk | None:
    if inputs.items <= settings.items_over and len(inputs.layers) <= settings.layers_over:
        return None
    limits = f"{settings.items_over} items or {settings.layers_over} layers"
    evidence = f"{inputs.items} items in {len(inputs.layers)} layers; it counts as complex over {limits}."
    return Risk("complexity", "medium", "high", "Split it into smaller changes that can be verified one by one.", evidence)


def dependencies(inputs: Inputs, settings: Settings) -> Risk | None:
    if inputs.reached_directly <= settings.direct_over:
        return None
    evidence = f"{inputs.reached_directly} components are reached directly; over {settings.direct_over} counts."
    return Risk(
        "dependencies", "medium", "medium", f"Depends on {inputs.reached_directly} components: tell their owners and test with them.", evidence
    )


def testing(inputs: Inputs) -> Risk | None:
    if inputs.testing_evidence:
        return None
    return Risk("testing_inadequate", "high", "high", "Test it and write down the evidence.", "There is no testing evidence.")


def rollback(inputs: Inputs, settings: Settings) -> Risk | None:
    """Impossible outweighs complex: only the worse of the two is a risk."""
    if inputs.irreversible_steps or not inputs.rollback_plan:
        reason = f"{inputs.irreversible_steps} steps can't be undone." if inputs.irreversible_steps else "There is no rollback plan."
        return Risk("rollback_impossible", "high", "very_high", "Write a rollback plan and make every step reversible.", reason)
    reasons = [] if inputs.rollback_rehearsed else ["The rollback was not rehearsed."]
    if inputs.compensations > settings.compensations_over:
        reasons.append(f"{inputs.compensations} compensations would have to run; over {settings.compensations_over} counts.")
    if not reasons:
        return None
    return Risk("rollback_complex", "low", "very_high", "Rehearse the rollback and keep it short.", " ".join(reasons))


def performance(inputs: Inputs) -> Risk | None:
    if not inputs.performance_components:
        return None
    named = ", ".join(inputs.performance_components[:5])
    return Risk("performance", "medium", "medium", "Measure before and after under load.", f"It changes components tagged performance: {named}.")


# Business impact


def factors_of(inputs: Inputs, settings: Settings) -> dict[str, Factor]:
    """The five parts of the business impact, each 0 to 1."""
    users = min(1.0, inputs.users / settings.users_at_most)
    criticality = (max(inputs.max_criticality, 1) - 1) / 4
    scopes = ", ".join(inputs.compliance_scope)
    return {
        "affected_users": Factor(users, settings.users_weight, f"{inputs.users} users reached of {settings.users_at_most} that count as all."),
        "business_criticality": Factor(criticality, settings.criticality_weight, criticality_basis(inputs)),
        "revenue": Factor(inputs.revenue, settings.revenue_weight, f"Revenue at stake was answered with {inputs.revenue:g}."),
        "compliance": Factor(
            float(bool(scopes)), settings.compliance_weight, f"In the scope of {scopes}." if scopes else "No compliance scope applies."
        ),
        "reputation": Factor(inputs.reputation, settings.reputation_weight, f"Reputation at stake was answered with {inputs.reputation:g}."),
    }


def criticality_basis(inputs: Inputs) -> str:
    if not inputs.max_criticality:
        return "Nothing is reached."
    return f"The most critical of the components reached has criticality {inputs.max_criticality} of 5."


# What else an assessment says


def statements_of(inputs: Inputs, settings: Settings) -> dict[str, str]:
    """Resources, tests, rollback complexity, dependencies and constraints, in words."""
    return {
        "resources": resources(inputs),
        "testing": tests(inputs),
        "rollback_complexity": rollback_words(inputs, settings),
        "dependencies": dependency_words(inputs),
        "constraints": constraints(inputs),
    }


def resources(inputs: Inputs) -> str:
    people = f"{inputs.implementers} implementers are named." if inputs.implementers else "No implementer is named yet."
    return f"{people} {inputs.steps} steps, {inputs.manual_steps} of them done by a person."


def tests(inputs: Inputs) -> str:
    if inputs.testing_evidence:
        return "Testing evidence is given; verify again after implementation."
    needed = "Follow the test plan and give its evidence." if inputs.test_plan else "Write a test plan, test, and give the evidence."
    return f"{needed} Test with the {inputs.reached_directly} components reached directly." if inputs.reached_directly else needed


def rollback_words(inputs: Inputs, settings: Settings) -> str:
    risk = rollback(inputs, settings)
    if risk is None:
        return f"Low: rehearsed, {inputs.compensations} compensations."
    return f"{'Impossible as planned' if risk.category == 'rollback_impossible' else 'Complex'}: {risk.evidence}"


def dependency_words(inputs: Inputs) -> str:
    reach = f"It reaches {inputs.reached} components, {inputs.reached_directly} of them directly."
    if inputs.reached_unsurely:
        reach += f" It reaches {inputs.reached_unsurely} more over relations that nobody confirmed lately; they are not counted."
    return f"{reach} It depends on {', '.join(inputs.depends_on)}." if inputs.depends_on else reach


def constraints(inputs: Inputs) -> str:
    found = [f"In the scope of {', '.join(inputs.compliance_scope)}."] if inputs.compliance_scope else []
    found += ["It has to run in the requested window."] if inputs.requested_window else []
    found += [f"{inputs.downtime_minutes} minutes of downtime are expected."] if inputs.downtime_minutes else []
    return " ".join(found) or "None known."


def ladder(inputs: Inputs, settings: Settings, overall: float) -> tuple[Rung, ...]:
    """What would lower the risk, the heaviest first, each with where it leads when all before it are done too.

    What helps only together with the next thing stays in; what never helps does not.
    """
    rungs: list[Rung] = []
    seen: set[str] = set()
    while (risk := next((risk for risk in risks_of(inputs, settings) if risk.category in REMEDIES and risk.category not in seen), None)) is not None:
        seen.add(risk.category)
        what, mend = REMEDIES[risk.category]
        inputs = mend(inputs, settings)
        after = overall_at(inputs, settings)
        rungs.append(Rung(what, after, level_of(after, settings)))
    helpful = max((index for index, rung in enumerate(rungs) if rung.overall < (rungs[index - 1].overall if index else overall)), default=-1)
    return tuple(rungs[: helpful + 1])


REMEDIES: dict[str, tuple[str, Callable[[Inputs, Settings], Inputs]]] = {
    "rollback_impossible": (
        "Write a rollback plan and make every step reversible.",
        lambda inputs, _: replace(inputs, rollback_plan=True, irreversible_steps=0),
    ),
    "testing_inadequate": ("Test it and give the evidence.", lambda inputs, _: replace(inputs, testing_evidence=True, test_plan=True)),
    "complexity": (
        "Split it into smaller changes.",
        lambda inputs, settings: replace(inputs, items=min(inputs.items, settings.items_over), layers=inputs.layers[: settings.layers_over]),
    ),
    "dependencies": (
        "Split it so that fewer components are reached directly.",
        lambda inputs, settings: replace(inputs, reached_directly=settings.direct_over),
    ),
    "rollback_complex": (
        "Rehearse the rollback and shorten it.",
        lambda inputs, settings: replace(inputs, rollback_rehearsed=True, compensations=min(inputs.compensations, settings.compensations_over)),
    ),
    "performance": (
        "Do the part on components tagged performance as a change of its own.",
        lambda inputs, _: replace(inputs, performance_components=()),
    ),
}
