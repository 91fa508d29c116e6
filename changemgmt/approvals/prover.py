"""The prover: a chain checked as a model against the directory and the other chains. Every way in asks it.

First the shape; only what has one is looked at further. Kinds and severities stand in docs/approvals.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from changemgmt.conditions.proof import World

from .chain_check import Finding, check
from .chains import draft_of, refuse
from .models import Chain
from .proof.directory import Directory
from .proof.people import people_findings
from .proof.rules import Case, model_findings, whole, worst

__all__ = ["prove", "prove_all", "prove_stored", "refuse_unproven", "shapes"]


def prove(data: Any, *, now: datetime, others: Iterable[Mapping[str, Any]] | None = None) -> list[Finding]:
    """Every mistake of a chain in the contract's JSON, each at its place.

    `others` are the chains it will stand among, as JSON; without them those in force, less the one of its name.
    """
    if found := check(data):
        return found
    chain = whole(data)
    around = [whole(one) for one in (in_force(chain.get("id")) if others is None else others) if one["name"] != chain["name"]]
    directory = directory_of(chain)
    around.sort(key=lambda one: (one["order"], one["name"]))
    case = Case(chain, [one for one in around if one["active"]], World(directory.custom, directory.unit_lines), now)
    return sorted([*model_findings(case), *people_findings(case, directory)], key=lambda finding: (finding.severity, place_key(finding.path)))


def place_key(path: str) -> tuple[bool, list[tuple[int, str]]]:
    """Sorts `levels[10]` after `levels[2]`, and the chain's own fields before its levels."""
    parts = path.replace("]", "").replace("[", ".").split(".")
    return path.startswith("levels"), [(int(part) if part.isdecimal() else -1, part) for part in parts]


def in_force(but: int | None = None) -> list[dict[str, Any]]:
    """The chains in force as JSON, less the one with this id."""
    rows = Chain.objects.filter(in_force__isnull=False)
    return [chain.in_force for chain in rows if chain.in_force and chain.pk != but]


def directory_of(chain: Mapping[str, Any]) -> Directory:
    seats = [seat for level in chain["levels"] for seat in level["seats"]]
    return Directory((seat["group"] for seat in seats if seat.get("group")), (seat["user"] for seat in seats if seat.get("user")))


def prove_stored(chain: Chain, *, now: datetime) -> list[Finding]:
    """Every mistake of the configuration of a chain as it is stored."""
    return prove({**draft_of(chain), "id": chain.pk}, now=now)


def prove_all(chains: list[Any], *, now: datetime) -> list[tuple[str, Finding]]:
    """Every mistake of several chains, such as those of a file, each seen among the others: (name or place, finding)."""
    sound = {data["name"]: data for data in chains if not check(data)}
    kept = [one for one in in_force() if one["name"] not in sound]
    found = []
    for index, data in enumerate(chains):
        name = str(data.get("name", index)) if isinstance(data, Mapping) else str(index)
        others = [*kept, *(one for one in sound.values() if one.get("active", True))]
        found += [(name, finding) for finding in prove(data, now=now, others=others)]
    return found


def refuse_unproven(chain: Chain, *, now: datetime) -> None:
    """Raise Invalid with every error of the configuration as it is stored; warnings refuse nothing."""
    refuse(worst(prove_stored(chain, now=now)))


def shapes(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as the API and the command give them."""
    return [found._asdict() for found in findings]
