"""What administrators' rules find in the things a change touches or reaches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from changemgmt.architecture.rules import COMPONENT, DELETE
from changemgmt.conditions.rules import describe, explain, holds, uses

from .policy_fields import KNOWN, OF_THE_CHANGE, Side

ERROR, WARNING = "error", "warning"
POLICY = "policy"
Condition = Mapping[str, Any]


@dataclass(frozen=True)
class Policy:
    """A rule: what `applies_when` holds of has to meet `must`; with None there it may not be at all.

    `reached`: not only what the change touches is looked at, but also what it reaches.
    """

    name: str
    about: str = COMPONENT
    applies_when: Condition | None = None
    must: Condition | None = None
    severity: str = WARNING
    blocks: bool = False
    reached: bool = False
    message: str = ""
    id: int = 0

    @cached_property
    def asks(self) -> set[str]:
        """The fields it asks for."""
        return uses(self.applies_when) | uses(self.must)

    @property
    def about_the_change(self) -> bool:
        """Whether it asks what a change does; else it speaks of what is."""
        return bool(self.asks & OF_THE_CHANGE)

    def broken_by(self, side: Side) -> bool:
        return holds(self.applies_when, side) and (self.must is None or not holds(self.must, side))

    def sentence(self, side: Side) -> str:
        """What is wrong: in the administrator's words, else what does not hold."""
        if self.message:
            return self.message
        known = KNOWN[self.about].get
        if self.must is None:
            return f"There may be no {self.about} of which this holds: {describe(self.applies_when, known)}."
        unmet = [row.text for row in explain(self.must, side) if not row.holds and not row.text.endswith(":")]
        return f"It has to hold that {describe(self.must, known)}{': ' + '; '.join(unmet) if unmet else ''}."


@dataclass(frozen=True, slots=True)
class Case:
    """One thing, as it is without the change (None: not there) and as it would be. What goes stands in `after` as it was, with `delete`."""

    key: str
    before: Side | None
    after: Side
    touched: bool = True


def findings(policies: Iterable[Policy], cases: Sequence[Case]) -> list[dict[str, Any]]:
    """What the rules find, in the shape of checks.

    What goes is only judged by rules that ask for the operation. What a rule finds today as well is a warning with `already`: the change
    does not bring it.
    """
    return [
        finding(policy, case)
        for policy in policies
        for case in cases
        if case.after.about == policy.about and (case.touched or policy.reached) and judged(policy, case) and policy.broken_by(case.after)
    ]


def judged(policy: Policy, case: Case) -> bool:
    return case.after.operation != DELETE or "operation" in policy.asks


def finding(policy: Policy, case: Case) -> dict[str, Any]:
    already = not policy.about_the_change and case.before is not None and policy.broken_by(case.before)
    return {
        "rule": POLICY,
        "severity": WARNING if already else policy.severity,
        "key": case.key,
        "message": policy.sentence(case.after),
        "policy": {"id": policy.id, "name": policy.name},
        "blocks": policy.blocks and not already,
        "already": already,
    }
