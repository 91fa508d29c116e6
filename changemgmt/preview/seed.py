"""The starter pack of policy rules: examples that an administrator switches on. Loading it again adds what is missing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .models import PolicyRule

OWNED = "Critical components have an owner"
Condition = dict[str, Any]


def asks(field: str, op: str, value: Any) -> Condition:
    return {"field": field, "op": op, "value": value}


def every(*conditions: Condition) -> Condition:
    return {"all": list(conditions)}


PHASED_OUT = ["deprecated", "retired"]
RELIES = ["dependsOn", "uses", "calls", "consumesApi", "depends", "pre-depends"]
RULES: dict[str, dict[str, Any]] = {
    OWNED: {
        "applies_when": every(asks("status", "eq", "live"), asks("criticality", "gte", 4)),
        "must": asks("owner", "is_set", True),
        "message": "Name the team or the person who answers for it.",
    },
    "Databases say how they are backed up": {
        "applies_when": every(asks("type", "in", ["database", "datastore"]), asks("status", "eq", "live")),
        "must": asks("attributes.backup", "is_set", True),
        "message": "Write its backup into the attribute “backup”.",
    },
    "Technology does not depend on business": {
        "about": "relation",
        "applies_when": every(asks("type", "in", RELIES), asks("source.layer", "eq", "technology"), asks("target.layer", "eq", "business")),
        "severity": "error",
    },
    "What is phased out gets no new relations": {
        "about": "relation",
        "applies_when": every(
            asks("operation", "eq", "create"), {"any": [asks("source.status", "in", PHASED_OUT), asks("target.status", "in", PHASED_OUT)]}
        ),
        "severity": "error",
        "message": "One of its ends is deprecated or retired: use what takes its place.",
    },
    "Critical components are retired before they are deleted": {
        "applies_when": every(asks("operation", "eq", "delete"), asks("criticality", "gte", 4)),
        "must": asks("status", "eq", "retired"),
        "severity": "error",
        "message": "Set its status to retired by a change of its own first, and delete it once nobody misses it.",
    },
    "No critical component goes down": {
        "applies_when": every(asks("effect", "eq", "down"), asks("criticality", "gte", 4)),
        "reached": True,
        "severity": "error",
        "message": "Too few of those it needs would stay: keep one, or give it another first.",
    },
}


def seed(*, now: datetime) -> None:
    """Add the rules that are missing, switched off. Idempotent."""
    for name, values in RULES.items():
        PolicyRule.objects.get_or_create(name=name, defaults={"active": False, **values})
