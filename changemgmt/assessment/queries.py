"""Reads of risk: what goes into an assessment, how similar changes ended, and the assessment as shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.models import Count, Q, QuerySet

from changemgmt.architecture.impact import trusted
from changemgmt.architecture.models import Component
from changemgmt.changes.facts import component_keys, direct_components, facts_of, impact_document
from changemgmt.changes.models import Assessment, Change, Item, Link, Result
from changemgmt.conditions.rules import holds

from .models import RiskRule, RiskSettings
from .rules import Inputs, Risk, Settings

GOOD = (Result.SUCCESSFUL, Result.ISSUES)
DEFAULT_WEIGHTS = {"technical": Settings().technical_weight, "business": Settings().business_weight}
TOLD = (*GOOD, Result.FAILED, Result.ROLLED_BACK)


def settings_now() -> Settings:
    """The administrators' weights and thresholds, or the published defaults."""
    row = RiskSettings.objects.first()
    return row.as_settings() if row else Settings()


def inputs_of(change: Change) -> Inputs:
    """Everything the risk of this change is made of, as it is stored now."""
    items = list(change.items.all())
    direct = direct_components(items)
    impact = impact_document(change)
    affected = trusted(impact.get("affected", []))
    return Inputs(
        items=len(items),
        layers=tuple(sorted({entry["layer"] for entry in direct if entry["layer"]})),
        reached_directly=sum(entry["distance"] == 1 for entry in affected),
        reached=len(affected),
        reached_unsurely=impact.get("untrusted", 0),
        users=impact.get("users", 0),
        max_criticality=max((entry["criticality"] for entry in [*direct, *affected]), default=0),
        testing_evidence=bool(change.testing_evidence.strip()),
        test_plan=bool(change.test_plan.strip()),
        rollback_plan=bool(change.rollback_plan.strip()),
        rollback_rehearsed=change.rollback_rehearsed,
        performance_components=tagged(items, "performance"),
        compliance_scope=tuple(sorted(change.compliance_scope)),
        revenue=change.revenue_at_stake,
        reputation=change.reputation_at_stake,
        implementers=change.implementers.count(),
        downtime_minutes=change.expected_downtime_minutes,
        depends_on=depends_on(change),
        requested_window=change.requested_start is not None,
        extra=extra_risks(change),
        **plan_counts(change),
    )


def plan_counts(change: Change) -> dict[str, int]:
    """Steps, manual and irreversible ones, and compensations. The plan lies above this package and comes by its relation."""
    plan = getattr(change, "plan", None)
    steps = list(plan.steps.all()) if plan else []
    return {
        "steps": len(steps),
        "manual_steps": sum(step.manual for step in steps),
        "compensations": sum(bool(step.compensation) for step in steps),
        "irreversible_steps": sum(step.irreversible for step in steps) if plan else change.irreversible_steps,
    }


def tagged(items: list[Item], tag: str) -> tuple[str, ...]:
    """Keys of components the items write that carry `tag`, live or by the item itself."""
    written = {item.key: item for item in items if item.object == Item.Object.COMPONENT}
    live = Component.objects.filter(key__in=written).values_list("key", "tags")
    carrying = {key for key, tags in live if tag in (tags or [])}
    carrying |= {key for key, item in written.items() if tag in (item.data.get("tags") or [])}
    return tuple(sorted(carrying))


def depends_on(change: Change) -> tuple[str, ...]:
    """Numbers of the changes this one waits for; a confidential one is not named."""
    links = change.links.filter(kind=Link.Kind.DEPENDS_ON, other__isnull=False)
    others = links.values_list("other__number", "other__confidential")
    return tuple("a change you may not see" if confidential else number for number, confidential in others)


def extra_risks(change: Change) -> tuple[Risk, ...]:
    """The risks of the administrators' rules that hold for this change."""
    rules = list(RiskRule.objects.filter(active=True))
    facts = replace(facts_of(change), risk_level=None, risk_score=None) if rules else None
    return tuple(
        Risk(rule.category, rule.likelihood, rule.impact, rule.mitigation, rule.evidence)
        for rule in rules
        if facts is not None and holds(rule.condition, facts)
    )


def similar_to(change: Change) -> QuerySet[Change]:
    """Changes with a known end that name a component this one names, come from its template or belong to its org unit.

    Confidential ones are left out, since figures made of them are shown to everybody.
    """
    naming = Item.objects.filter(key__in=component_keys(change.items.all())).values("change_id")
    alike = Q(pk__in=naming)
    alike |= Q(template_id=change.template_id) if change.template_id else Q(pk__in=())
    alike |= Q(org_unit_id=change.org_unit_id) if change.org_unit_id else Q(pk__in=())
    return Change.objects.filter(alike, result__in=TOLD, confidential=False).exclude(pk=change.pk).order_by()


def success_of(change: Change) -> tuple[float | None, int]:
    """How many of the similar changes went well (0 to 1, None without any), and out of how many."""
    counts = similar_to(change).aggregate(good=Count("pk", filter=Q(result__in=GOOD)), all=Count("pk"))
    return (round(counts["good"] / counts["all"], 4) if counts["all"] else None), counts["all"]


def last_of(change: Change) -> Assessment | None:
    """The assessment that counts: the newest."""
    return change.assessments.select_related("override_by").last()


def assessment_of(change: Change) -> dict[str, Any]:
    """The newest assessment as the API shows it; its figures are null while there is none."""
    row = last_of(change)
    return shape(row) if row else EMPTY | {"version": change.version}


EMPTY: dict[str, Any] = {
    "technical": None, "business": None, "overall": None, "level": None, "computed_level": None, "risks": [], "factors": {}, "statements": {},
    "lowers": [], "weights": DEFAULT_WEIGHTS, "success_score": {"value": None, "sample": 0}, "override": None, "at": None,
}  # fmt: skip


def shape(row: Assessment) -> dict[str, Any]:
    """One assessment; `level` is the one that counts, `computed_level` what the formula gave."""
    statements = dict(row.statements)
    override = {"level": row.override_level, "reason": row.override_reason, "by": row.override_by and row.override_by.username}
    return {
        "version": row.version,
        "technical": row.technical,
        "business": row.business,
        "overall": row.overall,
        "level": row.override_level or row.level,
        "computed_level": row.level,
        "risks": row.risks,
        "factors": row.factors,
        "lowers": statements.pop("lowers", []),
        "weights": statements.pop("weights", DEFAULT_WEIGHTS),
        "statements": statements,
        "success_score": {"value": row.success_value, "sample": row.success_sample},
        "override": override if row.override_level else None,
        "at": row.at,
    }
