"""The filters of "my approvals": the same names and values for the API, the page and saved filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from changemgmt.changes.models import Priority, Scale, Type
from changemgmt.core.errors import Invalid

from . import rules
from .queue import Waiting

DUE = ("late", "8h", "24h", "72h", "later")
FOR = ("me", "delegated", "group")
CLAIMED = ("me", "nobody")
CHOICES: dict[str, tuple[str, ...]] = {
    "type": tuple(Type.values),
    "risk_level": tuple(Scale.values),
    "priority": tuple(Priority.values),
    "due": DUE,
    "for": FOR,
    "claimed": CLAIMED,
}
"""Filters with fixed values."""
TEXTS = ("chain", "level", "q")
"""Filters with free text: name of the chain, of the level, and words of number or title."""
NAMES = (*CHOICES, *TEXTS)
LONGEST = 200
MOST_VALUES = 50

Wanted = Mapping[str, Sequence[str]]


def read(params: Wanted) -> dict[str, list[str]]:
    """The filled filters; raises Invalid with every name that is unknown and every value that can't be."""
    given, wrong = sort_out(params)
    if wrong:
        raise Invalid(next(iter(wrong.values())), errors={name: [text] for name, text in wrong.items()})
    return given


def sort_out(params: Wanted) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The filters that hold, and for each of the others why it doesn't. Empty values narrow nothing."""
    given: dict[str, list[str]] = {}
    wrong: dict[str, str] = {}
    for name, values in params.items():
        filled = [value for value in values if value]
        if text := mistake(name, filled):
            wrong[name[:60]] = text
        elif filled:
            given[name] = filled
    return given, wrong


def mistake(name: str, values: Sequence[str]) -> str:
    """What is wrong with the values of one filter, or nothing."""
    if name not in NAMES:
        return f"There is no such filter; there are: {', '.join(NAMES)}."
    if len(values) > MOST_VALUES:
        return f"At most {MOST_VALUES} values."
    if name in CHOICES:
        unknown = [value for value in values if value not in CHOICES[name]]
        return f"“{unknown[0][:60]}” is none of {', '.join(CHOICES[name])}." if unknown else ""
    if any(len(value) > LONGEST or "\x00" in value for value in values):
        return f"A value has at most {LONGEST} characters."
    return ""


def narrow(rows: Iterable[Waiting], wanted: Wanted, *, now: datetime) -> list[Waiting]:
    """The rows that meet every filter, in their order. Of several values of one filter any may hold."""
    return [row for row in rows if all(any(HOLDS[name](row, value, now) for value in values) for name, values in wanted.items())]


def asked_as(row: Waiting) -> str:
    """For whom the vote would be: as a delegate, as one of a group, or in person."""
    return "delegated" if row.on_behalf_of else "group" if row.seat.group else "me"


def speaks_of(row: Waiting, words: str) -> bool:
    text = f"{row.change.number} {row.change.title} {row.level.name}".casefold()
    return all(word in text for word in words.casefold().split())


HOLDS: dict[str, Callable[[Waiting, str, datetime], bool]] = {
    "type": lambda row, value, now: row.change.type == value,
    "risk_level": lambda row, value, now: row.change.risk_level == value,
    "priority": lambda row, value, now: row.change.priority == value,
    "due": lambda row, value, now: DUE[rules.time_left(row.level.due_at, now)] == value,
    "for": lambda row, value, now: asked_as(row) == value,
    "claimed": lambda row, value, now: ("me" if row.claimed_by else "nobody") == value,
    "chain": lambda row, value, now: row.level.settings.get("chain", "") == value,
    "level": lambda row, value, now: row.level.name == value,
    "q": lambda row, value, now: speaks_of(row, value),
}
