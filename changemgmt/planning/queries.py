"""Reads of plans."""

from __future__ import annotations

from typing import Any

from changemgmt.changes.models import Change, CustomField
from changemgmt.core.reading import active

from . import rules
from .models import Plan

STEP_COLUMNS = (
    "name",
    "agent",
    "action",
    "parameters",
    "depends_on",
    "timeout_seconds",
    "retries",
    "manual",
    "irreversible",
    "items",
    "verification",
    "compensation",
)


def custom_kinds() -> dict[str, str]:
    """The kind of every custom field, for conditions that ask about them."""
    return dict(CustomField.objects.values_list("name", "kind"))


def capabilities() -> tuple[str, ...]:
    """What agents can do now. None are registered yet: every step is done by a person."""
    return ()


def plan_of(change: Change) -> dict[str, Any]:
    """The plan as the API shows it, findings included; a change without one has an empty plan."""
    plan = getattr(change, "plan", None) if active() else Plan.objects.filter(change=change).first()
    steps = [{"id": step.step_id, **{name: getattr(step, name) for name in STEP_COLUMNS}} for step in plan.steps.all()] if plan else []
    shown = {
        "steps": steps,
        "gates": plan.gates if plan else [],
        "strategy": plan.strategy if plan else "all_at_once",
        "on_failure": plan.on_failure if plan else "roll_back",
    }
    return shown | {"findings": [finding.as_dict() for finding in findings_of(change, shown)]}


def findings_of(change: Change, plan: dict[str, Any]) -> list[rules.Finding]:
    item_ids = [item.pk for item in change.items.all()]
    return rules.findings(plan, rollback_plan=change.rollback_plan, capabilities=capabilities(), item_ids=item_ids)
