"""The starter pack of changes: categories, what each type has to bring, and catalogued templates."""

from datetime import datetime
from typing import Any

from .models import Category, Template, Type, TypePolicy

CATEGORIES = ("application", "infrastructure", "database", "network", "security", "access", "documentation")
POLICIES = {
    Type.STANDARD: {"required_fields": ["title"], "required_plans": [], "review_required": False},
    Type.NORMAL: {
        "required_fields": ["title", "business_justification"],
        "required_plans": ["implementation_plan", "rollback_plan"],
        "review_required": False,
    },
    Type.EMERGENCY: {"required_fields": ["title", "business_justification"], "required_plans": ["rollback_plan"], "review_required": True},
    Type.MAJOR: {
        "required_fields": ["title", "description", "business_justification"],
        "required_plans": ["implementation_plan", "test_plan", "communication_plan", "rollback_plan"],
        "review_required": True,
    },
}
SUCCESS_CRITERIA = [
    {"group": group, "text": text, "met": None}
    for group, texts in {
        "technical": ("No service outage", "Performance within its SLA", "No regressions", "Monitoring healthy"),
        "process": ("Completed on time", "Within the change window", "Documentation updated", "Knowledge transferred"),
        "business": ("Goals met", "Minimal user impact", "No revenue loss", "Customer satisfaction kept"),
        "compliance": ("Audit trail complete", "Regulatory requirements met", "Security controls intact", "Data integrity preserved"),
    }.items()
    for text in texts
]


def manual_step(step_id: str, name: str, undo: str) -> dict[str, object]:
    return {"id": step_id, "name": name, "agent": "person", "manual": True, "compensation": {"action": undo}}


def fixed(value: object) -> dict[str, object]:
    return {"mode": "fixed", "value": value}


def defaulted(value: object) -> dict[str, object]:
    return {"mode": "defaulted", "value": value}


TEMPLATES: dict[str, dict[str, Any]] = {
    "standard-patch": {
        "name": "Standard patch",
        "type": Type.STANDARD,
        "description": "A vendor's patch on components that are patched every month.",
        "pre_approved": True,
        "item_operations": ["update"],
        "max_items": 5,
        "scope": {"all": [{"field": "max_criticality", "op": "lte", "value": 4}, {"field": "irreversible_steps", "op": "eq", "value": 0}]},
        "fields": {
            "type": fixed("standard"),
            "category": defaulted("infrastructure"),
            "priority": defaulted("low"),
            "implementation_plan": defaulted("Install the patch, restart, check health."),
            "rollback_plan": defaulted("Uninstall the patch, restart, check health."),
            "testing_evidence": defaulted("Installed on the test environment beforehand."),
            "rollback_rehearsed": defaulted(True),
        },
        "plan": {"steps": [manual_step("patch", "Install the patch and restart", "Uninstall the patch and restart")]},
    },
    "database-schema-change": {
        "name": "Database schema change",
        "type": Type.NORMAL,
        "description": "A change of tables with a backup before and a tested way back.",
        "fields": {
            "type": fixed("normal"),
            "category": fixed("database"),
            "implementation_plan": defaulted("Back up, migrate, verify."),
            "rollback_plan": defaulted("Restore the backup taken before the migration."),
        },
        "plan": {
            "steps": [
                manual_step("backup", "Back up the database", "Remove the backup"),
                manual_step("migrate", "Run the migration", "Restore the backup") | {"depends_on": ["backup"]},
            ]
        },
    },
    "dependency-upgrade": {
        "name": "Dependency upgrade",
        "type": Type.NORMAL,
        "description": "A library or runtime goes to a newer version.",
        "fields": {"type": fixed("normal"), "category": fixed("application"), "rollback_plan": defaulted("Deploy the release before.")},
        "plan": {"steps": [manual_step("deploy", "Deploy the release with the new version", "Deploy the release before")]},
    },
    "access-change": {
        "name": "Access or security change",
        "type": Type.NORMAL,
        "description": "Rights, keys, certificates, firewall rules.",
        "fields": {"type": fixed("normal"), "category": fixed("access"), "rollback_plan": defaulted("Restore the rights as they were.")},
        "plan": {"steps": [manual_step("grant", "Apply the new rights", "Restore the rights as they were")]},
    },
    "platform-change": {
        "name": "Platform change",
        "type": Type.MAJOR,
        "description": "Six phases from planning to handoff, five deliverables.",
        "fields": {
            "type": fixed("major"),
            "category": fixed("infrastructure"),
            "verification_checklist": defaulted(
                [
                    {"text": text}
                    for text in ("Change report", "Updated documentation", "Monitoring dashboard", "Onboarding guide", "Incident-response update")
                ]
            ),
            "success_criteria": defaulted([{"group": entry["group"], "text": entry["text"]} for entry in SUCCESS_CRITERIA]),
        },
        "plan": {
            "steps": [
                manual_step("planning", "Planning and risk", "Withdraw the plan"),
                manual_step("infrastructure", "Infrastructure as code", "Apply the code as it was") | {"depends_on": ["planning"]},
                manual_step("experience", "Developer experience", "Restore the earlier tools") | {"depends_on": ["infrastructure"]},
                manual_step("testing", "Testing", "Remove the test environment") | {"depends_on": ["experience"]},
                manual_step("rollout", "Production rollout", "Roll out the release before") | {"depends_on": ["testing"]},
                manual_step("handoff", "Documentation and handoff", "Restore the documentation") | {"depends_on": ["rollout"]},
            ]
        },
    },
}


def seed(*, now: datetime) -> None:
    """Add what is missing; what an administrator altered stays."""
    for slug in CATEGORIES:
        Category.objects.get_or_create(slug=slug, defaults={"name": slug.capitalize()})
    for type, policy in POLICIES.items():
        TypePolicy.objects.get_or_create(type=type, defaults=policy)
    for slug, template in TEMPLATES.items():
        Template.objects.get_or_create(slug=slug, defaults=template)
