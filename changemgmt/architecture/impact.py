"""What a change of some components would reach, asked of the live architecture without any change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from changemgmt.core.errors import Invalid

from .graphs import live
from .models import Component, ComponentType
from .propagation import Reach, Reached, propagate
from .queries import exists, portions
from .rules import COMPONENT, DELETE, OPERATIONS, severity
from .trust import CONFIRMED


def impact_of_components(
    keys: Sequence[str],
    *,
    operation: str = "update",
    bounds: Mapping[str, Any] | None = None,
    now: datetime,
) -> dict[str, Any]:
    """The impact of doing `operation` to these components, as the API shows it. Unknown keys are Invalid.

    `bounds`: what of `max_depth`, `min_score`, `layers` and `types` is other than the administrators set it.
    """
    missing = sorted(set(keys) - exists(COMPONENT, keys))
    if missing:
        raise Invalid.field("components", f"There is no component {missing[0]!r}.")
    if operation not in OPERATIONS:
        raise Invalid.field("operation", f"Give one of {', '.join(OPERATIONS)}.")
    now_live = live()
    weight = severity(operation, weights=now_live.weights)
    asked: dict[str, Any] = {name: frozenset(value) if isinstance(value, list) else value for name, value in (bounds or {}).items()}
    removed = frozenset(keys) if operation == DELETE else frozenset()
    far = replace(now_live.bounds_at(now), **asked)
    reached = propagate(now_live.graph, dict.fromkeys(keys, weight), rules=now_live.rules, bounds=far, removed=removed)
    return {"revision": now_live.graph.revision, "state": "ready", "direct": sorted(set(keys)), **summed(reached, sorted(set(keys)))}


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
    """What is reached, with its counts: by layer, users (of what is changed as well), services.

    The counts are of what is reached over confirmed relations; `untrusted` says how many more there are.
    """
    affected = [shown(one) for one in reached]
    sure = affected[: reached.sure]
    services = set(ComponentType.objects.filter(is_service=True).values_list("name", flat=True))
    return {
        "affected": affected,
        "by_layer": reached.by_layer(),
        "users": users_of(direct) + sum(row["users"] for row in sure),
        "services": [row["key"] for row in sure if row["type"] in services],
        "untrusted": len(affected) - len(sure),
    }


def trusted(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the reached components, as the API shows them, that are reached over confirmed relations."""
    return [row for row in rows if row.get("trust", CONFIRMED) == CONFIRMED]


def users_of(keys: Sequence[str]) -> int:
    """How many users these components serve, all together."""
    return sum(users for portion in portions(keys) for users in Component.objects.filter(key__in=portion).values_list("users", flat=True))
