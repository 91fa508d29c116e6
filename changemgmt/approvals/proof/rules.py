"""What can be wrong with a chain as a model: conditions, clocks and rules of its levels, and its place among the others. Pure.

A chain is the contract's JSON that the check of its shape found nothing in, filled up by `whole`. Findings on people are
in `people`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from changemgmt.conditions.proof import World, can_hold, dull_parts, example, implies
from changemgmt.core.time import parse_instant

ERROR, WARNING = "error", "warning"
LOW: dict[str, Any] = {"field": "risk_level", "op": "eq", "value": "low"}
LEVEL_DEFAULTS: dict[str, Any] = {
    "applies_when": {},
    "on_timeout": "escalate",
    "sla_hours": 48,
    "expires_hours": None,
    "reminders": [],
    "allow_guests": False,
}
SEAT_DEFAULTS: dict[str, Any] = {"power": "voter", "weight": 1, "required": 1}


class Finding(NamedTuple):
    """One mistake in a chain: where, such as `levels[0].seats[1].group`, and what would be right.

    An error refuses activation, a warning does not. `kind` names the sort of mistake; `shape` is one of the JSON itself.
    """

    path: str
    message: str
    severity: str = ERROR
    kind: str = "shape"


@dataclass(frozen=True)
class Case:
    """A chain to be looked at: itself, the other chains in force in their order, what is known of values, and the moment."""

    chain: Mapping[str, Any]
    others: Sequence[Mapping[str, Any]]
    world: World
    now: datetime

    @property
    def own(self) -> Mapping[str, Any]:
        """What the chain applies to."""
        condition: Mapping[str, Any] = self.chain["applies_when"]
        return condition

    @property
    def levels(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Each level with its path."""
        return [(f"levels[{index}]", level) for index, level in enumerate(self.chain["levels"])]

    @property
    def before(self) -> list[Mapping[str, Any]]:
        """The chains that are asked first wherever this one is: in force for as long, and not additive."""
        return [one for one in self.others if not one["additive"] and place(one) < place(self.chain) and covers(one, self.chain)]

    @property
    def after(self) -> list[Mapping[str, Any]]:
        return [one for one in self.others if not one["additive"] and place(one) > place(self.chain) and covers(self.chain, one)]

    @property
    def not_taken(self) -> list[Mapping[str, Any]]:
        """Conditions that hold where no earlier chain takes the change."""
        return [] if self.chain["additive"] else [{"not": one["applies_when"]} for one in self.before]

    def possible(self, *conditions: Mapping[str, Any]) -> bool:
        return can_hold(*conditions, world=self.world)


def whole(data: Mapping[str, Any]) -> dict[str, Any]:
    """The chain with what it leaves out filled up, and its dates as moments."""
    levels = [{**LEVEL_DEFAULTS, **level, "seats": [{**SEAT_DEFAULTS, **seat} for seat in level["seats"]]} for level in data["levels"]]
    dates = {name: parse_instant(data[name], field=name) if data.get(name) else None for name in ("valid_from", "valid_to")}
    return {"order": 100, "additive": False, "active": True, "applies_when": {}, **data, **dates, "levels": levels}


def place(chain: Mapping[str, Any]) -> tuple[int, str]:
    return chain["order"], chain["name"]


def covers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Is `one` valid at every moment `other` is?"""
    starts = one["valid_from"] is None or (other["valid_from"] is not None and one["valid_from"] <= other["valid_from"])
    ends = one["valid_to"] is None or (other["valid_to"] is not None and one["valid_to"] >= other["valid_to"])
    return starts and ends


def model_findings(case: Case) -> Iterator[Finding]:
    """Everything that can be said without looking at people."""
    yield from condition_findings(case)
    yield from end_findings(case)
    yield from unreachable_levels(case)
    yield from place_findings(case)
    yield from date_findings(case)
    for path, level in case.levels:
        yield from clock_findings(case, level, path)
        yield from value_findings(level, path)
        yield from power_findings(level, path)


# --- conditions ---


def condition_findings(case: Case) -> Iterator[Finding]:
    """Conditions, or parts of them, that hold never or always."""
    for path, condition in [("applies_when", case.own), *((f"{path}.applies_when", level["applies_when"]) for path, level in case.levels)]:
        for part in dull_parts(condition, case.world):
            at = f"{path}.{part.path}".rstrip(".")
            if not part.always:
                words = "It can never hold: what it asks for excludes itself." if part.whole else "This part can never hold, so it adds nothing."
                yield Finding(at, words, ERROR if part.whole else WARNING, "contradiction")
            else:
                words = (
                    "It holds of every change. Leave it empty where everything is meant."
                    if part.whole
                    else "This part always holds, so it asks nothing."
                )
                yield Finding(at, words, ERROR if part.whole else WARNING, "tautology")


def end_findings(case: Case) -> Iterator[Finding]:
    """Changes that take the chain and find no level in it."""
    if not case.possible(case.own):
        return
    conditions = [level["applies_when"] for _, level in case.levels]
    if not any(case.possible(case.own, condition) for condition in conditions):
        yield Finding("levels", "No level ever opens where the chain applies, so it never comes to an end.", ERROR, "no_end")
    elif not case.chain["additive"]:
        left = example(case.own, *case.not_taken, *({"not": condition} for condition in conditions), world=case.world)
        if left is not None:
            words = f"A change takes this chain and finds no level, for example: {left}. It would be blocked. Let one level apply then."
            yield Finding("levels", words, ERROR, "no_level_left")


def unreachable_levels(case: Case) -> Iterator[Finding]:
    """Levels whose condition excludes the chain's, or holds only where an earlier chain takes the change."""
    used = case.possible(case.own, *case.not_taken)
    for path, level in case.levels:
        condition = level["applies_when"]
        if not case.possible(condition) or not case.possible(case.own):
            continue
        if not case.possible(case.own, condition):
            yield Finding(f"{path}.applies_when", "The level never opens: its condition excludes that of the chain.", ERROR, "unreachable_level")
        elif used and not case.possible(case.own, condition, *case.not_taken):
            names = ", ".join(one["name"] for one in case.before)
            words = f"The level never opens: where it applies, a chain that comes first takes the change ({names})."
            yield Finding(f"{path}.applies_when", words, WARNING, "unreachable_level")


# --- among the other chains ---


def place_findings(case: Case) -> Iterator[Finding]:
    if not case.possible(case.own):
        return
    yield from alone(case) if case.chain["additive"] else shadow_findings(case)


def shadow_findings(case: Case) -> Iterator[Finding]:
    own = case.own
    wider = next((one for one in case.before if implies(own, one["applies_when"], case.world)), None)
    if wider is not None:
        yield Finding("order", f"It is never used: {wider['name']} comes first and applies wherever this one does.", WARNING, "shadowed")
    elif not case.possible(own, *case.not_taken):
        yield Finding("order", "It is never used: the chains before it take every change it applies to.", WARNING, "shadowed")
    else:
        hidden = [one["name"] for one in case.after if implies(one["applies_when"], own, case.world) and case.possible(one["applies_when"])]
        if hidden:
            yield Finding("order", f"It takes every change of {', '.join(hidden)}, which comes later and is never used then.", WARNING, "shadows")
    for other in case.others:
        if not other["additive"] and other["order"] == case.chain["order"] and case.possible(own, other["applies_when"]):
            words = f"{other['name']} has the same order and applies to some of the same changes: only the names decide which is used."
            yield Finding("order", words, WARNING, "same_order")


def alone(case: Case) -> Iterator[Finding]:
    if not any(not other["additive"] and case.possible(case.own, other["applies_when"]) for other in case.others):
        words = "No other chain applies where this one is to be added, and an additive chain alone is never used."
        yield Finding("additive", words, WARNING, "additive_alone")


def date_findings(case: Case) -> Iterator[Finding]:
    if case.chain["valid_to"] is not None and case.chain["valid_to"] <= case.now:
        yield Finding("valid_to", "The time in which it is valid is over: it would never be used.", ERROR, "expired")


# --- clocks, rule and powers of a level ---


def clock_findings(case: Case, level: Mapping[str, Any], path: str) -> Iterator[Finding]:
    if level["on_timeout"] == "approve":
        risky = example(case.own, *case.not_taken, level["applies_when"], {"not": LOW}, world=case.world)
        if risky is not None:
            words = f"Silence may approve at low risk only; this level also opens for others, for example: {risky}. Let it apply at risk level low."
            yield Finding(f"{path}.on_timeout", words, ERROR, "silent_consent")
    reminders = level["reminders"]
    if any(left >= right for left, right in zip(reminders, reminders[1:], strict=False)):
        yield Finding(f"{path}.reminders", "Write the reminders in rising order, each once.", WARNING, "reminders_order")
    if level["expires_hours"] is not None and level["expires_hours"] < level["sla_hours"]:
        words = f"The approval expires after {level['expires_hours']} hours, sooner than the {level['sla_hours']} hours that deciding may take."
        yield Finding(f"{path}.expires_hours", words, WARNING, "expires_early")


def deciders(level: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The counted seats that the level opens, as far as their number does not depend on the change."""
    return [seat for seat in level["seats"] if seat["power"] != "advisory" for _ in range(seat["required"])]


def value_findings(level: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """Values that ask for less, or more, than they seem to."""
    kind, value, seats = level["rule"]["kind"], level["rule"].get("value") or 0, deciders(level)
    vetoes = sum(seat["power"] == "veto" for seat in seats)
    enough = 1 if kind == "any" else value if kind == "count" else 0
    if enough and vetoes > enough:
        words = f"It asks for {enough}, but each of the {vetoes} seats with a veto has to vote before it passes."
        yield Finding(f"{path}.rule.{'value' if kind == 'count' else 'kind'}", words, WARNING, "vetoes_outnumber")
    if not vetoes and len(seats) > 1 and one_is_enough(kind, value, seats):
        yield Finding(f"{path}.rule.value", "One seat alone meets it. Use “any one” where that is meant.", WARNING, "one_is_enough")
    if kind != "weight" and any(seat["weight"] != 1 for seat in seats):
        index = next(index for index, seat in enumerate(level["seats"]) if seat["weight"] != 1 and seat["power"] != "advisory")
        yield Finding(f"{path}.seats[{index}].weight", "Weights count only with the rule “weight”.", WARNING, "weights_unused")


def one_is_enough(kind: str, value: int, seats: Sequence[Mapping[str, Any]]) -> bool:
    match kind:
        case "count":
            return value == 1
        case "percent":
            return not any(seat.get("dynamic") for seat in seats) and value * len(seats) <= 100
        case "weight":
            return any(seat["weight"] >= value for seat in seats)
    return False


def power_findings(level: Mapping[str, Any], path: str) -> Iterator[Finding]:
    """Powers that have no effect."""
    counted = {asked(seat) for seat in level["seats"] if seat["power"] != "advisory"}
    for index, seat in enumerate(level["seats"]):
        if seat["power"] == "advisory" and asked(seat) in counted:
            words = "The same people are asked for their vote on this level; a person sits once, at the strongest seat."
            yield Finding(f"{path}.seats[{index}].power", words, WARNING, "advice_twice")
    deciding = [index for index, seat in enumerate(level["seats"]) if seat["power"] == "deciding"]
    if level["rule"]["kind"] == "percent" and len(deciding) > 1:
        words = "Only one seat can decide a tie; the first of them does."
        yield from (Finding(f"{path}.seats[{index}].power", words, WARNING, "several_deciding") for index in deciding[1:])


def asked(seat: Mapping[str, Any]) -> tuple[str, str]:
    """What a seat asks, and the field it stands in."""
    return next((name, str(seat[name])) for name in ("group", "user", "dynamic") if seat.get(name))


def worst(findings: Iterable[Finding]) -> list[Finding]:
    """Those that refuse activation."""
    return [found for found in findings if found.severity == ERROR]
