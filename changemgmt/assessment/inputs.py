"""What goes into an assessment and what comes out of it, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

LEVELS = ("low", "medium", "high", "very_high")
NUMBERS = {level: number for number, level in enumerate(LEVELS, 1)}
ASKED = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """Weights, thresholds and limits; administrators set them. The weights of each group add to 1."""

    technical_weight: float = 0.6
    business_weight: float = 0.4
    users_weight: float = 0.20
    criticality_weight: float = 0.30
    revenue_weight: float = 0.25
    compliance_weight: float = 0.15
    reputation_weight: float = 0.10
    medium_from: float = 0.25
    high_from: float = 0.50
    very_high_from: float = 0.75
    users_at_most: int = 10_000
    items_over: int = 10
    layers_over: int = 2
    direct_over: int = 5
    compensations_over: int = 5

    def mistakes(self) -> dict[str, str]:
        """What is wrong with them, by field; empty when they can be used."""
        found: dict[str, str] = {}
        numbers = asdict(self)
        weights = {name: value for name, value in numbers.items() if name.endswith("_weight")}
        found |= {name: "A weight lies between 0 and 1." for name, value in weights.items() if not 0 <= value <= 1}
        if not adds_to_one((self.technical_weight, self.business_weight)):
            found.setdefault("technical_weight", "The weights of technical risk and business impact have to add to 1.")
        if not adds_to_one(value for name, value in weights.items() if name not in ("technical_weight", "business_weight")):
            found.setdefault("users_weight", "The five weights of business impact have to add to 1.")
        if not 0 < self.medium_from < self.high_from < self.very_high_from <= 1:
            found["medium_from"] = "The thresholds have to rise between 0 and 1: medium, high, very high."
        return found | {name: "Give at least 1." for name in ("users_at_most",) if numbers[name] < 1}


def adds_to_one(weights: Iterable[float]) -> bool:
    return abs(sum(weights) - 1) < 1e-6


@dataclass(frozen=True, slots=True)
class Risk:
    """One technical risk: how likely and how bad (low to very_high), what to do about it, and what raised it."""

    category: str
    likelihood: str
    impact: str
    mitigation: str
    evidence: str

    @property
    def score(self) -> int:
        """1 to 16."""
        return NUMBERS[self.likelihood] * NUMBERS[self.impact]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"score": self.score}


@dataclass(frozen=True, slots=True)
class Factor:
    """One part of the business impact: 0 to 1, its weight, and what it rests on."""

    score: float
    weight: float
    basis: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything an assessment looks at. `extra` are the administrator's rules that hold for this change.

    What is reached only over relations that nobody confirmed lately (`reached_unsurely`) is in no other number.
    """

    items: int = 0
    layers: tuple[str, ...] = ()
    reached_directly: int = 0
    reached: int = 0
    reached_unsurely: int = 0
    users: int = 0
    max_criticality: int = 0
    testing_evidence: bool = False
    test_plan: bool = False
    rollback_plan: bool = False
    rollback_rehearsed: bool = False
    compensations: int = 0
    steps: int = 0
    manual_steps: int = 0
    irreversible_steps: int = 0
    performance_components: tuple[str, ...] = ()
    compliance_scope: tuple[str, ...] = ()
    revenue: float = 0.0
    reputation: float = 0.0
    implementers: int = 0
    downtime_minutes: int = 0
    depends_on: tuple[str, ...] = ()
    requested_window: bool = False
    extra: tuple[Risk, ...] = ()


@dataclass(frozen=True, slots=True)
class Rung:
    """One thing that would lower the risk, and where it would stand with this and everything before it done."""

    what: str
    overall: float
    level: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """How risky a change is, with everything the figures are made of."""

    technical: float
    business: float
    overall: float
    level: str
    risks: tuple[Risk, ...]
    factors: Mapping[str, Factor]
    statements: Mapping[str, str] = field(default_factory=dict)
    lowers: tuple[Rung, ...] = ()
