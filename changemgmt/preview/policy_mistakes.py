"""What is wrong with a policy rule as it was written. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from changemgmt.architecture.rules import COMPONENT, RELATION
from changemgmt.conditions.rules import check

from .policy import ERROR, WARNING
from .policy_fields import Names, vocabulary

FIELDS = ("name", "about", "applies_when", "must", "message", "severity", "blocks", "reached", "active")
LONGEST = {"name": 100, "message": 500}


def mistakes(rule: Mapping[str, Any], names: Names) -> dict[str, list[str]]:
    """Every mistake by its place, such as `must.all[0].field`; none means it can be kept."""
    found = wrong_values(rule)
    if "about" in found:
        return found
    for name in ("applies_when", "must"):
        if name == "applies_when" or rule[name] is not None:
            for path, message in check(rule[name], custom=vocabulary(rule["about"], names)):
                found.setdefault(f"{name}.{path}" if path else name, []).append(message)
    return found or contradictions(rule)


def wrong_values(rule: Mapping[str, Any]) -> dict[str, list[str]]:
    """Fields that hold what they can't."""
    found: dict[str, list[str]] = {}
    for name, longest in LONGEST.items():
        text = rule[name]
        if not isinstance(text, str) or "\0" in text or len(text) > longest or (name == "name" and not text.strip()):
            found[name] = [f"Give a text of {'1' if name == 'name' else '0'} to {longest} characters."]
    for name, choices in {"about": (COMPONENT, RELATION), "severity": (ERROR, WARNING)}.items():
        if rule[name] not in choices:
            found[name] = [f"Give one of {', '.join(choices)}."]
    return found | {name: ["Give true or false."] for name in ("blocks", "reached", "active") if not isinstance(rule[name], bool)}


def contradictions(rule: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is right by itself and not together."""
    found = {}
    if rule["must"] == {}:
        found["must"] = ["Everything meets this. Say what has to hold, or give null where such a thing may not be at all."]
    elif rule["must"] is None and not rule["applies_when"]:
        found["must"] = ["This would forbid everything: say whom the rule is about, or what has to hold."]
    if rule["blocks"] and rule["severity"] != ERROR:
        found["blocks"] = ["Only an error blocks: make it one, or let it not block."]
    if rule["reached"] and rule["about"] != COMPONENT:
        found["reached"] = ["A change reaches components; a rule about relations looks at those it touches."]
    return found
