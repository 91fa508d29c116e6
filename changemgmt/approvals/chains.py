"""Chains as code: the JSON of the contract, stored through one door for admin, API and command."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group

from changemgmt.accounts.models import User
from changemgmt.core.canonical import digest
from changemgmt.core.errors import Invalid
from changemgmt.core.time import parse_instant, rfc3339

from .chain_check import LEVEL, SWITCHES, Finding, check
from .models import Chain, Level, Power, Slot

__all__ = ["Finding", "chain_shape", "check", "draft_of", "refuse", "store"]


# --- as JSON ---


def draft_of(chain: Chain) -> dict[str, Any]:
    """The chain as it is configured now, in the contract's shape without id and state."""
    levels = chain.levels.prefetch_related("slots__group", "slots__user")
    return {
        "name": chain.name,
        "order": chain.order,
        "active": chain.active,
        "valid_from": rfc3339(chain.valid_from),
        "valid_to": rfc3339(chain.valid_to),
        "additive": chain.additive,
        "applies_when": chain.applies_when,
        "levels": [level_shape(level) for level in levels],
    }


def chain_shape(chain: Chain) -> dict[str, Any]:
    """The chain as the API shows it: as configured; `active` says what is in force, `pending` that the two differ."""
    draft = draft_of(chain)
    in_force = chain.in_force or {}
    pending = draft != in_force
    active = bool(in_force.get("active"))
    return {"id": chain.pk, "version": chain.version, **draft, "active": active, "pending": pending, "digest": digest(draft)}


def level_shape(level: Level) -> dict[str, Any]:
    same = ("number", "name", "applies_when", "watches", "sla_hours", "on_timeout", "expires_hours", *SWITCHES, "reminders")
    return {
        **{name: getattr(level, name) for name in same},
        "rule": {"kind": level.rule_kind, "value": level.rule_value},
        "seats": [slot_shape(slot) for slot in level.slots.all()],
    }


def slot_shape(slot: Slot) -> dict[str, Any]:
    asked = {"group": slot.group.name} if slot.group else {"user": slot.user.username} if slot.user else {"dynamic": slot.dynamic}
    return {"label": slot.label, **asked, "power": slot.power, "weight": slot.weight, "required": slot.required}


# --- storing ---


def refuse(findings: list[Finding]) -> None:
    """Raise Invalid with every finding at its field, if there is any."""
    if findings:
        errors: dict[str, list[str]] = {}
        for found in findings:
            errors.setdefault(found.path or "chain", []).append(found.message)
        raise Invalid(f"The chain has {len(findings)} mistake(s); the first: {findings[0].path or 'chain'}: {findings[0].message}", errors=errors)


def store(chain: Chain, data: Mapping[str, Any], *, by: User | None) -> Chain:
    """Write the configuration of a chain from JSON that `check` finds nothing in. What is in force stays as it is."""
    refuse(check(data))
    if Chain.objects.filter(name=data["name"]).exclude(pk=chain.pk).exists():
        raise Invalid.field("name", f"There is a chain {data['name']} already.")
    chain.name, chain.order = data["name"], data.get("order", 100)
    chain.active, chain.additive = data.get("active", True), data.get("additive", False)
    chain.valid_from, chain.valid_to = (moment(data.get(name), name) for name in ("valid_from", "valid_to"))
    chain.applies_when, chain.edited_by = data.get("applies_when", {}), by
    chain.save()
    chain.levels.all().delete()
    for level in data["levels"]:
        store_level(chain, level)
    return chain


def moment(value: str | None, name: str) -> datetime | None:
    return parse_instant(value, field=name) if value is not None else None


def store_level(chain: Chain, data: Mapping[str, Any]) -> None:
    given = {name: data[name] for name in LEVEL - {"rule", "seats"} if name in data}
    level = Level.objects.create(chain=chain, rule_kind=data["rule"]["kind"], rule_value=data["rule"].get("value"), **given)
    groups = {group.name: group for group in Group.objects.filter(name__in=[seat.get("group") or "" for seat in data["seats"]])}
    users = {user.username: user for user in User.objects.filter(username__in=[seat.get("user") or "" for seat in data["seats"]])}
    for position, seat in enumerate(data["seats"]):
        Slot.objects.create(
            level=level,
            position=position,
            label=seat["label"],
            group=groups.get(seat.get("group")),
            user=users.get(seat.get("user")),
            dynamic=seat.get("dynamic") or "",
            power=seat.get("power", Power.VOTER),
            weight=seat.get("weight", 1),
            required=seat.get("required", 1),
        )
