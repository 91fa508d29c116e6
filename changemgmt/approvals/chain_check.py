"""Checking a chain as it was written: every mistake at its place, in words that say what would be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from django.contrib.auth.models import Group

from changemgmt.accounts.models import Team, User
from changemgmt.changes.models import CustomField
from changemgmt.conditions.rules import check as check_condition
from changemgmt.core.errors import Invalid
from changemgmt.core.time import parse_instant

from .eligibility import DYNAMIC
from .models import PARTS, Level, Power, RuleKind
from .proof.rules import Finding

__all__ = ["Finding", "check"]

CHAIN = {"id", "name", "order", "active", "version", "valid_from", "valid_to", "additive", "applies_when", "levels", "pending", "digest", "findings"}
LEVEL = {
    "number", "name", "applies_when", "rule", "watches", "sla_hours", "on_timeout", "expires_hours", "allow_conditions",
    "require_comment_on_reject", "require_signature", "allow_guests", "reminders", "seats",
}  # fmt: skip
SEAT = {"label", "group", "user", "dynamic", "power", "weight", "required"}
SWITCHES = ("allow_conditions", "require_comment_on_reject", "require_signature", "allow_guests")
NUMBERED = {RuleKind.COUNT, RuleKind.PERCENT, RuleKind.WEIGHT}
MAX_LEVELS, MAX_SEATS, MAX_NUMBER, MAX_ASKED = 20, 30, 10_000, 150


def check(data: Any) -> list[Finding]:
    """Every mistake in a chain as JSON, each at its place; none means it can be stored."""
    if not isinstance(data, Mapping):
        return [Finding("", "A chain is an object.")]
    return list(chain_findings(data))


def chain_findings(data: Mapping[str, Any]) -> Iterator[Finding]:
    yield from unknown(data, CHAIN, "")
    yield from text(data, "name", "", 100)
    yield from number(data, "order", "", 0, missing=True)
    for name in ("active", "additive"):
        yield from boolean(data, name, "")
    yield from dates(data)
    yield from condition(data.get("applies_when", {}), "applies_when")
    levels = data.get("levels")
    if not isinstance(levels, list) or not levels or len(levels) > MAX_LEVELS:
        yield Finding("levels", f"Give 1 to {MAX_LEVELS} levels.")
        return
    for index, level in enumerate(levels):
        yield from level_findings(level, f"levels[{index}]")
    yield from doubles(
        [level.get("name") for level in levels if isinstance(level, Mapping)], "levels", "Give each level of a chain a name of its own"
    )


def level_findings(level: Any, path: str) -> Iterator[Finding]:
    if not isinstance(level, Mapping):
        yield Finding(path, "A level is an object.")
        return
    yield from unknown(level, LEVEL, path)
    yield from number(level, "number", path, 1)
    yield from text(level, "name", path, 100)
    yield from condition(level.get("applies_when", {}), f"{path}.applies_when")
    yield from number(level, "sla_hours", path, 1, missing=True)
    yield from number(level, "expires_hours", path, 1, missing=True, null=True)
    for name in SWITCHES:
        yield from boolean(level, name, path)
    yield from choice(level.get("on_timeout", "escalate"), Level.OnTimeout.values, f"{path}.on_timeout")
    yield from watches(level.get("watches", PARTS), f"{path}.watches")
    yield from reminders(level.get("reminders", []), f"{path}.reminders")
    seats = level.get("seats")
    if not isinstance(seats, list) or not seats or len(seats) > MAX_SEATS:
        yield Finding(f"{path}.seats", f"Give 1 to {MAX_SEATS} seats.")
        return
    for index, seat in enumerate(seats):
        yield from seat_findings(seat, f"{path}.seats[{index}]")
    if all(isinstance(seat, Mapping) for seat in seats):
        yield from rule_findings(level.get("rule"), seats, f"{path}.rule")


def rule_findings(rule: Any, seats: list[Mapping[str, Any]], path: str) -> Iterator[Finding]:
    """The rule, and whether the seats can meet it at all."""
    if not isinstance(rule, Mapping) or set(rule) - {"kind", "value"}:
        yield Finding(path, 'A rule is {"kind": …, "value": …}.')
        return
    kind, value = rule.get("kind"), rule.get("value")
    if kind not in RuleKind.values:
        yield from choice(kind, RuleKind.values, f"{path}.kind")
        return
    deciders = [seat for seat in seats if seat.get("power", Power.VOTER) != Power.ADVISORY]
    if not deciders:
        words = "Only advisory seats: nobody could decide this level. Give at least one seat another power."
        yield Finding(path, words, kind="advisory_only")
    if kind not in NUMBERED:
        if value is not None:
            yield Finding(f"{path}.value", f"The rule {kind} has no value.")
    elif not is_number(value, 1, 100 if kind == RuleKind.PERCENT else MAX_NUMBER):
        yield Finding(f"{path}.value", "Give a whole number from 1 to 100." if kind == RuleKind.PERCENT else "Give a whole number from 1.")
    elif kind != RuleKind.PERCENT and not any(seat.get("dynamic") for seat in deciders):
        yield from quorum(kind, value, deciders, f"{path}.value")


def quorum(kind: str, value: int, deciders: list[Mapping[str, Any]], path: str) -> Iterator[Finding]:
    def of(seat: Mapping[str, Any], name: str) -> int:
        given = seat.get(name, 1)
        return given if isinstance(given, int) else 1

    most = sum(of(seat, "required") * (of(seat, "weight") if kind == RuleKind.WEIGHT else 1) for seat in deciders)
    if value > most:
        yield Finding(path, f"It can't be met: the seats reach {most} at most.", kind="quorum")


def seat_findings(seat: Any, path: str) -> Iterator[Finding]:
    if not isinstance(seat, Mapping):
        yield Finding(path, "A seat is an object.")
        return
    yield from unknown(seat, SEAT, path)
    yield from text(seat, "label", path, 100)
    yield from choice(seat.get("power", Power.VOTER), Power.values, f"{path}.power")
    yield from number(seat, "weight", path, 1, missing=True)
    yield from number(seat, "required", path, 1, missing=True, most=MAX_SEATS)
    asked = [name for name in ("group", "user", "dynamic") if seat.get(name)]
    if len(asked) != 1:
        yield Finding(path, "Say who is asked: one of group, user or dynamic.")
        return
    yield from asked_findings(asked[0], seat[asked[0]], f"{path}.{asked[0]}")
    if asked[0] != "group" and seat.get("required", 1) != 1:
        yield Finding(f"{path}.required", "Only a group can be asked for more than one vote.")


def asked_findings(kind: str, value: Any, path: str) -> Iterator[Finding]:
    if not isinstance(value, str) or "\x00" in value or len(value) > MAX_ASKED:
        yield Finding(path, f"Give a text of 1 to {MAX_ASKED} characters.")
    elif kind == "group" and not Group.objects.filter(name=value).exists():
        yield Finding(path, f"There is no group {value}.")
    elif kind == "user" and not User.objects.filter(username=value).exists():
        yield Finding(path, f"There is nobody with the username {value}.")
    elif kind == "dynamic":
        yield from dynamic_findings(value, path)


def dynamic_findings(value: str, path: str) -> Iterator[Finding]:
    kind, colon, argument = value.partition(":")
    if len(value) > 100:
        yield Finding(path, "Give at most 100 characters.")
    elif kind == "on_call":
        if not Team.objects.filter(slug=argument).exists():
            yield Finding(path, f"There is no team {argument or '(none)'}: write on_call: and the short name of a team.")
    elif kind not in DYNAMIC or not right_argument(kind, argument) or bool(colon) != bool(argument):
        yield Finding(path, "Use requester_manager, manager:2, unit_head, component_owners:4, service_owner or on_call:team.")


def right_argument(kind: str, argument: str) -> bool:
    if kind not in ("manager", "component_owners"):
        return not argument
    return argument.isascii() and argument.isdigit() and len(argument) < 3 and 1 <= int(argument) <= 10


def condition(value: Any, path: str) -> Iterator[Finding]:
    custom = dict(CustomField.objects.values_list("name", "kind"))
    for found in check_condition(value, custom=custom):
        yield Finding(f"{path}.{found.path}".rstrip("."), found.message)


def dates(data: Mapping[str, Any]) -> Iterator[Finding]:
    moments = {}
    for name in ("valid_from", "valid_to"):
        if data.get(name) is None:
            continue
        try:
            moments[name] = parse_instant(data[name], field=name)
        except Invalid as error:
            yield Finding(name, error.detail)
    if len(moments) == 2 and moments["valid_from"] >= moments["valid_to"]:
        yield Finding("valid_to", "It ends before it begins.", kind="dates")


def watches(value: Any, path: str) -> Iterator[Finding]:
    if not isinstance(value, list) or not value or any(part not in PARTS for part in value):
        yield Finding(path, f"Give a list of at least one of {', '.join(PARTS)}.")


def reminders(value: Any, path: str) -> Iterator[Finding]:
    if not isinstance(value, list) or not all(is_number(part, 1, 100) for part in value):
        yield Finding(path, "Give a list of whole percentages from 1 to 100.")


def unknown(data: Mapping[str, Any], known: set[str], path: str) -> Iterator[Finding]:
    for name in sorted(set(map(str, data)) - known):
        yield Finding(f"{path}.{name}".lstrip("."), "There is no such field.")


def text(data: Mapping[str, Any], name: str, path: str, limit: int) -> Iterator[Finding]:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > limit or "\x00" in value:
        yield Finding(f"{path}.{name}".lstrip("."), f"Give a text of 1 to {limit} characters.")


def number(
    data: Mapping[str, Any], name: str, path: str, least: int, *, missing: bool = False, null: bool = False, most: int = MAX_NUMBER
) -> Iterator[Finding]:
    if (missing and name not in data) or (null and data.get(name) is None):
        return
    if not is_number(data.get(name), least, most):
        yield Finding(f"{path}.{name}".lstrip("."), f"Give a whole number from {least} to {most}.")


def is_number(value: Any, least: int, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def boolean(data: Mapping[str, Any], name: str, path: str) -> Iterator[Finding]:
    if not isinstance(data.get(name, False), bool):
        yield Finding(f"{path}.{name}".lstrip("."), "Give true or false.")


def choice(value: Any, known: list[str], path: str) -> Iterator[Finding]:
    if not isinstance(value, str) or value not in known:
        yield Finding(path, f"Use one of {', '.join(known)}.")


def doubles(names: list[Any], path: str, message: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if isinstance(name, str) and name in seen:
            yield Finding(f"{path}[{index}].name", f"{message}: {name} is there twice.")
        seen.add(str(name))
