"""Re-base: put a change onto the live architecture as it is now, once somebody chose at every conflict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.architecture.actions import lock
from changemgmt.architecture.fields import json_problem, printable
from changemgmt.architecture.rules import RELATION
from changemgmt.changes.models import Change, State
from changemgmt.core.errors import Invalid, OutOfDate
from changemgmt.preview.drift import Base, base_of
from changemgmt.preview.rebasing import END, TAKES, VALUE, Choice, Conflict, conflicts_of, digest_of, rebased, without_strays

from ..compute_preview import compute_or_ask
from .editing import editing
from .items import rewrite_items

MOST_CHOICES = 20_000
NAMES = ("object", "key", "field", "take", "value")


def rebase_items(number: str, *, actor: User, now: datetime, seen: str | None, choices: Any = (), everything: str = "", digest: str = "") -> Change:
    """Write what was chosen at every conflict, and make the live architecture the base of all items.

    `choices` are objects of `key`, `take` (live, proposed, merged or value) and, where it is not about every conflict of the thing,
    `object` and `field`; `value` where that is taken. `everything` is taken where none says else. `digest` is that of the conflicts as
    they were shown: where another one is true now, OutOfDate. What moved without a conflict needs no choice.

    Where the content moves, the votes on it fall; where only the base does, they hold as long as the preview's result is the same.
    """
    with transaction.atomic():
        with editing(number, actor=actor, now=now, seen=seen) as edit:
            lock()
            version = edit.change.version
            base = base_of(edit.change)
            conflicts = conflicts_of(base.moved, base.live)
            refuse_unseen(conflicts, digest)
            write(edit.change, base, decided(conflicts, choices, everything))
        if edit.change.version == version and edit.change.state != State.INFO_REQUESTED:  # else what follows the act computes it
            compute_or_ask(edit.change, actor=actor, now=now)
    return edit.change


Where = tuple[str, str | None, str | None]
"""What a choice speaks of: key, and object and field where it says them."""


def refuse_unseen(conflicts: Sequence[Conflict], digest: str) -> None:
    """Raise where the caller decides about something else than what is true now."""
    if conflicts and not digest:
        raise Invalid.field("digest", "Send the digest of the conflicts you saw.")
    if digest and digest != digest_of(conflicts):
        raise OutOfDate("The live architecture moved again since these conflicts were shown: look at them anew.")


def decided(conflicts: Sequence[Conflict], choices: Any, everything: str) -> list[tuple[Conflict, Choice]]:
    """Every conflict with what was chosen at it, or Invalid that names those that are left open."""
    if everything and everything not in TAKES[:2]:
        raise Invalid.field("all", f"One of {', '.join(TAKES[:2])}.")
    given = read_choices(choices)
    said: dict[Where, Mapping[str, Any]] = {}
    for row in given:
        said.setdefault((row["key"], row.get("object"), row.get("field")), row)
    found: list[tuple[Conflict, Choice]] = []
    errors: dict[str, list[str]] = {}
    for conflict in conflicts:
        choice = chosen_at(conflict, said) or (Choice(everything) if everything else None)
        if choice is None or choice.take not in conflict.takes:
            errors[f"{conflict.object}:{conflict.key} {conflict.field}"] = [f"Choose one of {', '.join(conflict.takes)}."]
        elif (conflict.kind, choice.take) == (END, VALUE) and not isinstance(choice.value, str):
            errors[f"{conflict.object}:{conflict.key} {conflict.field}"] = ["Give the key of the other end as text."]
        else:
            found.append((conflict, choice))
    there = {where for conflict in conflicts for where in ways_to_name(conflict)}
    errors |= {f"{key} {field or ''}".strip(): ["There is no such conflict."] for key, object, field in said.keys() - there}
    if errors:
        where, messages = next(iter(errors.items()))
        raise Invalid(f"{where}: {messages[0]}", errors=errors)
    return found


def read_choices(choices: Any) -> list[Mapping[str, Any]]:
    """The choices as they were sent, their shape checked."""
    if not isinstance(choices, list | tuple):
        raise Invalid.field("choices", "Give a list of choices.")
    if len(choices) > MOST_CHOICES:
        raise Invalid.field("choices", f"At most {MOST_CHOICES:,} choices.")
    for place, row in enumerate(choices):
        if not isinstance(row, Mapping) or not isinstance(row.get("key"), str) or row.get("take") not in TAKES:
            raise Invalid.field(f"choices.{place}", f"Give an object with a key and what to take: one of {', '.join(TAKES)}.")
        if unknown := row.keys() - set(NAMES):
            raise Invalid.field(f"choices.{place}", f"Not a field of a choice: {printable(min(map(str, unknown)))}. Known: {', '.join(NAMES)}.")
        if row["take"] == VALUE and "value" not in row:
            raise Invalid.field(f"choices.{place}.value", "Give the value to write.")
        if problem := json_problem(row.get("value")):
            raise Invalid.field(f"choices.{place}.value", problem)
    return list(choices)


def ways_to_name(conflict: Conflict) -> list[Where]:
    """How a choice can speak of this conflict, the most particular first: of the field, then of the whole thing."""
    return [(conflict.key, object, field) for field in (conflict.field, None) for object in (conflict.object, None)]


def chosen_at(conflict: Conflict, said: Mapping[Where, Mapping[str, Any]]) -> Choice | None:
    """What is said of this conflict."""
    row = next((said[where] for where in ways_to_name(conflict) if where in said), None)
    return Choice(row["take"], row.get("value")) if row else None


def write(change: Change, base: Base, choices: Sequence[tuple[Conflict, Choice]]) -> None:
    """All items as they become."""
    at: dict[int, list[tuple[Conflict, Choice]]] = defaultdict(list)
    for conflict, choice in choices:
        at[conflict.item_id].append((conflict, choice))
    results = {item.item_id: rebased(item, base.live[item.object].get(item.key), at[item.item_id]) for item in base.proposals}
    dropped = {item.key for item in base.proposals if item.object == RELATION and results[item.item_id].item is None}
    lost = dropped - base.live[RELATION].keys()
    strays = without_strays([row.item for row in results.values() if row.item], lost)
    wanted = {pk: None if row.item and row.item["object"] == RELATION and row.item["key"] in strays else row.item for pk, row in results.items()}
    there = {(item["object"], item["key"]) for item in wanted.values() if item}
    further = {(item["object"], item["key"]): item for row in results.values() for item in row.further}
    rewrite_items(change, wanted, [item for thing, item in further.items() if thing not in there])
