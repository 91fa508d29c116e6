"""The seeded chains: emergency, major, high priority, normal, in this order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group

from .actions import activate
from .chains import store
from .models import Chain


def test(field: str, value: Any, op: str = "eq") -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def seat(label: str, group: str, power: str = "voter", required: int = 1) -> dict[str, Any]:
    return {"label": label, "group": group, "power": power, "required": required}


def level(number: int, name: str, rule: str, hours: int, seats: list[dict[str, Any]], when: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"number": number, "name": name, "rule": {"kind": rule, "value": None}, "sla_hours": hours, "seats": seats, "applies_when": when or {}}


CAB = [
    seat("Change Manager", "change_manager", "deciding"),
    seat("Technical Lead", "technical_lead", "veto"),
    seat("Operations Lead", "operations_lead", "veto"),
    seat("Business Lead", "business_lead", "veto"),
    seat("Security Lead", "security_lead", "veto"),
    seat("Quality Lead", "quality_lead", "veto"),
    seat("Customer Representative", "customer_representative", "advisory"),
]
LOW = test("risk_level", "low")
CHAINS: list[dict[str, Any]] = [
    {
        "name": "Emergency change",
        "order": 10,
        "applies_when": {"any": [test("type", "emergency"), test("priority", "critical")]},
        "levels": [level(1, "ECAB", "any", 4, [seat("ECAB member", "ecab")])],
    },
    {
        "name": "Major change",
        "order": 20,
        "applies_when": test("type", "major"),
        "levels": [
            level(1, "CAB", "all", 72, CAB),
            level(2, "Senior management", "any", 72, [seat("Senior management", "senior_management")]),
        ],
    },
    {
        "name": "High priority change",
        "order": 30,
        "applies_when": test("priority", "high"),
        "levels": [
            level(1, "Architecture review", "any", 24, [seat("Architect", "architect")]),
            level(2, "Stakeholders", "any", 24, [seat("Stakeholder", "stakeholder")]),
            level(3, "CAB", "all", 48, CAB),
        ],
    },
    {
        "name": "Normal change",
        "order": 40,
        "applies_when": {},
        "levels": [
            level(1, "Peer review", "any", 24, [seat("Peer", "approver")]),
            level(2, "Change Manager", "all", 24, [seat("Change Manager", "change_manager", "deciding")], LOW),
            level(2, "CAB", "all", 72, CAB, {"not": LOW}),
        ],
    },
]


def seed(*, now: datetime) -> None:
    """Make and activate the seeded chains that are not there; those an administrator has, changed or not, stay as they are."""
    for group in {seat["group"] for chain in CHAINS for level in chain["levels"] for seat in level["seats"]}:
        Group.objects.get_or_create(name=group)
    for data in CHAINS:
        if not Chain.objects.filter(name=data["name"]).exists():
            activate(store(Chain(), {**data, "active": True}, by=None))
