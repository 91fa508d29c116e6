"""What a valid plan is, and what is still wrong with one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from changemgmt.conditions.rules import check

STRATEGIES = ("all_at_once", "rolling", "blue_green", "canary")
ON_FAILURE = ("roll_back", "hold")
GATE_KINDS = ("entry", "exit", "validation")
STEP_DEFAULTS: dict[str, Any] = {
    "name": "",
    "agent": "person",
    "action": "",
    "parameters": {},
    "depends_on": [],
    "timeout_seconds": 3600,
    "retries": 3,
    "manual": False,
    "irreversible": False,
    "items": [],
    "verification": {},
    "compensation": {},
}
MOST_STEPS = 500
STEP_ID = re.compile(r"[a-zA-Z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a plan: an `error` forbids scheduling, a `warning` is only said. `step` is None for the whole plan."""

    severity: str
    step: str | None
    message: str

    def as_dict(self) -> dict[str, Any]:
        return {"severity": self.severity, "step": self.step, "message": self.message}


class PlanError(ValueError):
    """A plan that can't be stored. `errors` maps a place such as `steps.2.depends_on` to its messages."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__("The plan is not right.")
        self.errors = dict(errors)


def clean(data: Any, *, item_ids: Sequence[int], custom: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The plan with every default filled in; raises PlanError with all mistakes at their places. `custom` maps custom fields to their kinds."""
    if not isinstance(data, dict):
        raise PlanError({"plan": ["Give an object with steps."]})
    errors: dict[str, list[str]] = {}
    for name in data.keys() - {"steps", "gates", "strategy", "on_failure", "findings"}:
        errors[str(name)[:60]] = ["This field is not known."]
    strategy, on_failure = data.get("strategy", "all_at_once"), data.get("on_failure", "roll_back")
    if strategy not in STRATEGIES:
        errors["strategy"] = [f"One of {', '.join(STRATEGIES)}."]
    if on_failure not in ON_FAILURE:
        errors["on_failure"] = [f"One of {', '.join(ON_FAILURE)}."]
    steps = clean_steps(data.get("steps", []), item_ids, errors)
    gates = clean_gates(data.get("gates", []), {step["id"] for step in steps}, errors, custom or {})
    if errors:
        raise PlanError(errors)
    return {"strategy": strategy, "on_failure": on_failure, "steps": steps, "gates": gates}


def clean_steps(steps: Any, item_ids: Sequence[int], errors: dict[str, list[str]]) -> list[dict[str, Any]]:
    if not isinstance(steps, list) or len(steps) > MOST_STEPS:
        errors["steps"] = [f"Give a list of at most {MOST_STEPS} steps."]
        return []
    cleaned = [clean_step(step, f"steps.{index}", item_ids, errors) for index, step in enumerate(steps)]
    if errors:
        return []
    for problem in (repeated_ids(cleaned), unknown_dependencies(cleaned), repeated_items(cleaned), cycle(cleaned)):
        if problem:
            errors.setdefault("steps", []).append(problem)
    return cleaned


def clean_step(step: Any, place: str, item_ids: Sequence[int], errors: dict[str, list[str]]) -> dict[str, Any]:
    """One step with its defaults; mistakes go into `errors` below `place`."""
    if not isinstance(step, dict):
        errors[place] = ["A step is an object."]
        return {}
    for name in step.keys() - STEP_DEFAULTS.keys() - {"id", "position"}:
        errors[f"{place}.{str(name)[:60]}"] = ["This field is not known."]
    values = {"id": step.get("id"), **STEP_DEFAULTS, **{name: step[name] for name in STEP_DEFAULTS.keys() & step.keys()}}
    checks = {
        "id": isinstance(values["id"], str) and STEP_ID.fullmatch(values["id"]) is not None,
        "name": is_text(values["name"], 200),
        "agent": is_text(values["agent"], 60) and bool(values["agent"]),
        "action": is_text(values["action"], 10_000),
        "parameters": isinstance(values["parameters"], dict),
        "depends_on": is_list_of(values["depends_on"], str),
        "timeout_seconds": is_whole(values["timeout_seconds"], 1, 7 * 86_400),
        "retries": is_whole(values["retries"], 0, 100),
        "manual": isinstance(values["manual"], bool),
        "irreversible": isinstance(values["irreversible"], bool),
        "items": is_list_of(values["items"], int) and set(values["items"]) <= set(item_ids),
        "verification": is_act(values["verification"]),
        "compensation": is_act(values["compensation"]),
    }
    for name, right in checks.items():
        if not right:
            errors[f"{place}.{name}"] = [RIGHT[name]]
    if values["agent"] == "person":
        values["manual"] = True
    elif values["manual"] is True and "agent" not in step:
        values["agent"] = "person"
    values["name"] = values["name"] or values["id"]
    return values


RIGHT = {
    "id": "Letters, digits, - and _, at most 60.",
    "name": "Text of at most 200 characters.",
    "agent": "A capability, or person.",
    "action": "Text of at most 10,000 characters.",
    "parameters": "An object.",
    "depends_on": "A list of ids of other steps.",
    "timeout_seconds": "From 1 second to 7 days.",
    "retries": "From 0 to 100.",
    "manual": "True or false.",
    "irreversible": "True or false.",
    "items": "A list of ids of items of this change.",
    "verification": "An object with action and parameters.",
    "compensation": "An object with action and parameters.",
}


def is_text(value: Any, limit: int) -> bool:
    return (
        isinstance(value, str) and len(value) <= limit and "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(entry, kind) and not isinstance(entry, bool) for entry in value)


def is_act(value: Any) -> bool:
    """`{}` or an object with an action text and perhaps parameters."""
    if not isinstance(value, dict) or value.keys() - {"action", "parameters", "agent"}:
        return False
    agent_right = "agent" not in value or (is_text(value["agent"], 60) and bool(value["agent"]))
    return not value or (agent_right and is_text(value.get("action", ""), 10_000) and isinstance(value.get("parameters", {}), dict))


def repeated_ids(steps: Sequence[Mapping[str, Any]]) -> str:
    ids = [step["id"] for step in steps]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    return f"Two steps have the id {', '.join(twice)}." if twice else ""


def repeated_items(steps: Sequence[Mapping[str, Any]]) -> str:
    items = [item for step in steps for item in step["items"]]
    twice = sorted({item for item in items if items.count(item) > 1})
    return f"Item {', '.join(map(str, twice))} is applied by more than one step." if twice else ""


def unknown_dependencies(steps: Sequence[Mapping[str, Any]]) -> str:
    ids = {step["id"] for step in steps}
    strange = sorted({other for step in steps for other in step["depends_on"]} - ids)
    return f"A step depends on {', '.join(strange)}, which is no step of this plan." if strange else ""


def cycle(steps: Sequence[Mapping[str, Any]]) -> str:
    try:
        order(steps)
    except CycleError as error:
        return f"These steps wait for each other: {' → '.join(map(str, error.args[1]))}."
    return ""


def order(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the steps so that each comes after what it depends on; raises CycleError."""
    return list(TopologicalSorter({step["id"]: step["depends_on"] for step in steps}).static_order())


def clean_gates(gates: Any, step_ids: set[str], errors: dict[str, list[str]], custom: Mapping[str, str]) -> list[dict[str, Any]]:
    if not isinstance(gates, list) or len(gates) > 100:
        errors["gates"] = ["Give a list of at most 100 gates."]
        return []
    for index, gate in enumerate(gates):
        if not isinstance(gate, dict) or gate.keys() - {"name", "kind", "before", "criteria"}:
            errors[f"gates.{index}"] = ["An object with name, kind, before and criteria."]
        elif not is_text(gate.get("name"), 100) or gate.get("kind") not in GATE_KINDS or not isinstance(gate.get("criteria", {}), dict):
            errors[f"gates.{index}"] = [f"A name, a kind of {', '.join(GATE_KINDS)} and criteria are needed."]
        elif gate.get("before") is not None and not (isinstance(gate["before"], str) and gate["before"] in step_ids):
            errors[f"gates.{index}.before"] = ["The id of a step of this plan, or null."]
        elif wrong := check(gate.get("criteria", {}), custom=custom):
            errors |= {f"gates.{index}.criteria{'.' if finding.path else ''}{finding.path}": [finding.message] for finding in wrong}
    return [{"before": None, "criteria": {}, **gate} for gate in gates if isinstance(gate, dict)]


def findings(plan: Mapping[str, Any], *, rollback_plan: str, capabilities: Sequence[str], item_ids: Sequence[int]) -> list[Finding]:
    """What is missing in a well-formed plan. `capabilities` are those some agent has; a person can do every manual step."""
    found = []
    for step in plan["steps"]:
        if not step["manual"] and step["agent"] not in capabilities:
            found.append(Finding("error", step["id"], f"No agent can do “{step['agent']}”: make the step manual or name another capability."))
        if not step["irreversible"] and not step["compensation"]:
            covered = step["items"] or rollback_plan.strip()
            severity = "warning" if covered else "error"
            found.append(Finding(severity, step["id"], "Nothing says how to undo this step: add a compensation, or mark it as irreversible."))
        if not step["verification"]:
            found.append(Finding("warning", step["id"], "Nothing says how to verify this step."))
    left = set(item_ids) - {item for step in plan["steps"] for item in step["items"]}
    if plan["steps"] and left:
        found.append(Finding("warning", None, f"{len(left)} of the items belong to no step: they are applied when the change is completed."))
    return found
