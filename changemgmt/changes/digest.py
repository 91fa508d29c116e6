"""What of a change is signed: its content in parts, and the digest of each part.

A vote carries the digest of the parts its level watches, so a vote falls exactly when one of them moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from changemgmt.core.canonical import digest

from .models import Change, Preview

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PARTS = ("texts", "items", "impact", "risk", "plan", "window", "chain")
TEXTS = (
    "description", "business_justification", "implementation_plan", "test_plan", "communication_plan", "rollback_plan", "testing_evidence",
    "no_items_reason",
)  # fmt: skip
RISK = (
    "type", "category_id", "priority", "urgency", "impact", "cost_estimate", "compliance_scope", "org_unit_id", "template_id", "custom_fields",
    "revenue_at_stake", "reputation_at_stake", "rollback_rehearsed",
)  # fmt: skip
STEP = (
    "step_id", "name", "agent", "action", "parameters", "depends_on", "timeout_seconds", "retries", "manual", "irreversible", "verification",
    "compensation",
)  # fmt: skip


def digest_of(parts: Mapping[str, str], watched: Iterable[str] | None = None) -> str:
    """One digest over the digests of the watched parts (all when None). The chain is always among them."""
    names = set(PARTS if watched is None else watched) | {"chain"}
    return digest({name: parts[name] for name in sorted(names) if name in parts})


def parts_of(change: Change) -> dict[str, str]:
    """The digest of each part of the change as it is stored now."""
    return {name: digest(content) for name, content in content_of(change).items()}


def content_of(change: Change) -> dict[str, Any]:
    """Everything that is signed, as plain data, by part."""
    items = list(change.items.all())
    return {
        "texts": texts_of(change),
        "items": [item_content(item) for item in items],
        "impact": impact_of(change),
        "risk": {name.removesuffix("_id"): getattr(change, name) for name in RISK}
        | {"requester": change.requester.username, "override": override_of(change)},
        "plan": plan_of(change, {item.pk: f"{item.object}:{item.key}" for item in items}),
        "window": {name: getattr(change, name) for name in ("requested_start", "requested_end", "expected_downtime_minutes")},
        "chain": change.chain,
    }


def texts_of(change: Change) -> dict[str, Any]:
    return {name: getattr(change, name) for name in TEXTS} | {
        "verification_checklist": [entry["text"] for entry in change.verification_checklist],
        "success_criteria": [[entry["group"], entry["text"]] for entry in change.success_criteria],
        "attachments": sorted([file.name, file.sha256] for file in change.attachments.all() if not file.evidence),
        "links": sorted([link.kind, link.target or f"change {link.other_id}", link.system, link.url] for link in change.links.all()),
    }


def item_content(item: Any) -> dict[str, Any]:
    names = ("operation", "object", "key", "source", "target", "relation_type", "data", "replace")
    return {name: getattr(item, name) for name in names}


def impact_of(change: Change) -> str:
    """The digest of the preview's result, or nothing where none was computed yet."""
    return Preview.objects.filter(change=change).values_list("result_digest", flat=True).first() or ""


def override_of(change: Change) -> str:
    """The risk level a change manager set by hand for this version, if one did."""
    last = change.assessments.filter(version=change.version).last()
    return last.override_level if last else ""


def plan_of(change: Change, item_names: Mapping[int, str]) -> dict[str, Any]:
    plan = getattr(change, "plan", None)
    steps = plan.steps.all() if plan else ()
    return {
        "strategy": plan.strategy if plan else "all_at_once",
        "on_failure": plan.on_failure if plan else "roll_back",
        "gates": plan.gates if plan else [],
        "steps": [{name: getattr(step, name) for name in STEP} | {"items": [item_names.get(pk, "") for pk in step.items]} for step in steps],
        "on_window_end": change.on_window_end,
        "implementers": sorted(change.implementers.values_list("username", flat=True)),
    }
