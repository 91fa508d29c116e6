"""What a change of some components would reach, asked of the live architecture without any change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings

from changemgmt.computations.kept import kept
from changemgmt.core.errors import Invalid

from .graphs import live
from .models import Component, ComponentType, Layer, RelationType
from .propagation import Reach, Reached, propagate
from .queries import architecture_token, exists, portions
from .rules import COMPONENT, DELETE, OPERATIONS, severity
from .trust import CONFIRMED

Progress = Callable[[str, float], None]
BOUNDS = ("max_depth", "min_score", "layers", "types")
LISTS: dict[str, Any] = {"layers": Layer, "types": RelationType}
PHASES = {"graph": 0.0, "propagation": 0.3, "summary": 0.8}


def quiet(phase: str, share: float) -> None:
    """Tell nobody."""


def checked(question: Mapping[str, Any]) -> dict[str, Any]:
    """A question as it is kept and compared: `components`, `operation`, and of `max_depth`, `min_score`, `layers` and `types` what it asks
    otherwise than the administrators set it. Unknown keys are Invalid."""
    keys = sorted(set(question["components"]))
    missing = sorted(set(keys) - {key for portion in portions(keys) for key in exists(COMPONENT, portion)})
    if missing:
        raise Invalid.field("components", f"There is no component {missing[0]!r}.")
    bounds = {name: sorted(set(question[name])) if name in LISTS else question[name] for name in BOUNDS if name in question}
    for name, model in LISTS.items():
        there = set(model.objects.filter(name__in=bounds.get(name, ())).values_list("name", flat=True)) if bounds.get(name) else set()
        if unknown := sorted(set(bounds.get(name, ())) - there):
            raise Invalid.field(name, f"There is no {model._meta.verbose_name} {unknown[0][:60]!r}.")
        if name in bounds and not bounds[name]:
            del bounds[name]  # empty means all, as in the settings
    return {"components": keys, "operation": question.get("operation", "update"), "bounds": bounds}


def impact_of_question(question: Mapping[str, Any], *, now: datetime, progress: Progress = quiet) -> dict[str, Any]:
    """The answer to a checked question. For the same architecture it is computed once in ten minutes, however many ask."""
    asked = {name: value for name, value in question.items() if name != "components"}
    about = {"question": question, "architecture": architecture_token(), "trust": settings.RELATION_TRUST_DAYS}
    found: dict[str, Any] = kept("impact", about, lambda: impact_of_components(question["components"], **asked, now=now, progress=progress))
    return found


def impact_of_components(
    keys: Sequence[str],
    *,
    operation: str = "update",
    bounds: Mapping[str, Any] | None = None,
    now: datetime,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """The impact of doing `operation` to these components, as the API shows it. Unknown keys are Invalid.

    `bounds`: what of `max_depth`, `min_score`, `layers` and `types` is other than the administrators set it.
    """
    missing = sorted(set(keys) - exists(COMPONENT, keys))
    if missing:
        raise Invalid.field("components", f"There is no component {missing[0]!r}.")
    if operation not in OPERATIONS:
        raise Invalid.field("operation", f"Give one of {', '.join(OPERATIONS)}.")
    progress("graph", PHASES["graph"])
    ground = live()
    weight = severity(operation, weights=ground.weights)
    asked: dict[str, Any] = {name: frozenset(value) if isinstance(value, list) else value for name, value in (bounds or {}).items()}
    removed = frozenset(keys) if operation == DELETE else frozenset()
    far = replace(ground.bounds_at(now), **asked)
    progress("propagation", PHASES["propagation"])
    reached = propagate(ground.graph, dict.fromkeys(keys, weight), rules=ground.rules, bounds=far, removed=removed)
    progress("summary", PHASES["summary"])
    return {"revision": ground.graph.revision, "state": "ready", "direct": sorted(set(keys)), **summed(reached, sorted(set(keys)))}


def in_words(path: Sequence[Mapping[str, Any]]) -> str:
    """An explaining path as one reads it: `db → serving → api ← composition (stale) ← shop`."""
    words = [path[0]["key"]]
    for step in path[1:]:
        arrow, doubt = "→" if step["direction"] == "forward" else "←", f" ({step['trust']})" if "trust" in step else ""
        words.append(f"{arrow} {step['relation']}{doubt} {arrow} {step['key']}")
    return " ".join(words)


def shown(one: Reached) -> dict[str, Any]:
    """A reached component as the API shows it."""
    return {
        "key": one.key,
        "layer": one.layer,
        "type": one.type,
        "criticality": one.criticality,
        "users": one.users,
        "distance": one.distance,
        "score": one.score,
        "effect": one.effect,
        "trust": one.trust,
        "path": list(one.path),
    }


def summed(reached: Reach, direct: Sequence[str]) -> dict[str, Any]:
    """What is reached, with its counts: by layer, owner ("" for none) and criticality, users (of what is changed as well), services.

    The counts are of what is reached over confirmed relations; `untrusted` says how many more there are.
    """
    affected = [shown(one) for one in reached]
    sure = affected[: reached.sure]
    services = set(ComponentType.objects.filter(is_service=True).values_list("name", flat=True))
    return {
        "affected": affected,
        "by_layer": reached.by_layer(),
        "by_owner": owners_of([row["key"] for row in sure]),
        "by_criticality": {str(level): count for level, count in sorted(Counter(row["criticality"] for row in sure).items(), reverse=True)},
        "users": users_of(direct) + sum(row["users"] for row in sure),
        "services": [row["key"] for row in sure if row["type"] in services],
        "untrusted": len(affected) - len(sure),
    }


def trusted(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the reached components, as the API shows them, that are reached over confirmed relations."""
    return [row for row in rows if row.get("trust", CONFIRMED) == CONFIRMED]


def owners_of(keys: Sequence[str]) -> dict[str, int]:
    """How many of these components each team or user owns, who has most first."""
    rows = (row for portion in portions(keys) for row in Component.objects.filter(key__in=portion).values_list("owner", flat=True))
    return dict(sorted(Counter(rows).items(), key=lambda pair: (-pair[1], pair[0])))


def users_of(keys: Sequence[str]) -> int:
    """How many users these components serve, all together."""
    return sum(users for portion in portions(keys) for users in Component.objects.filter(key__in=portion).values_list("users", flat=True))
