"""Writes to the rows of plans."""

from __future__ import annotations

from typing import Any

from changemgmt.changes.models import Change

from .models import Plan, Step


def store_plan(change: Change, plan: dict[str, Any]) -> Plan:
    """Replace the plan of a change by this clean one (see `rules.clean`)."""
    row, _ = Plan.objects.update_or_create(change=change, defaults={name: plan[name] for name in ("strategy", "on_failure", "gates")})
    row.steps.all().delete()
    Step.objects.bulk_create(
        Step(plan=row, position=position, step_id=step["id"], **{name: value for name, value in step.items() if name != "id"})
        for position, step in enumerate(plan["steps"], start=1)
    )
    return row


def forget_item(change: Change, item_id: int) -> None:
    """Take a removed item out of the steps that named it."""
    for step in Step.objects.filter(plan__change=change):
        if item_id in step.items:
            step.items = [other for other in step.items if other != item_id]
            step.save(update_fields=["items"])
