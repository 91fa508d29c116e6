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
from changemgmt.preview.rebasing import TAKES, VALUE, Choice, Conflict, conflicts_of, digest_of, rebased, without_strays

from ..compute_preview import compute_or_ask
from .editing import editing
from .items import rewrite_items

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
    found: list[tuple[Conflict, Choice]] = []
    errors: dict[str, list[str]] = {}
    for conflict in conflicts:
        choice = chosen_at(conflict, given) or (Choice(everything) if everything else None)
        if choice is None or choice.take not in conflict.takes:
            errors[f"{conflict.object}:{conflict.key} {conflict.field}"] = [f"Choose one of {', '.join(conflict.takes)}."]
        else:
            found.append((conflict, choice))
    unknown = [row for row in given if not any(speaks_of(row, conflict) for conflict in conflicts)]
    errors |= {f"{row['key']} {row.get('field') or ''}".strip(): ["There is no such conflict."] for row in unknown}
    if errors:
        where, messages = next(iter(errors.items()))
        raise Invalid(f"{where}: {messages[0]}", errors=errors)
    return found


def read_choices(choices: Any) -> list[Mapping[str, Any]]:
    """The choices as they were sent, their shape checked."""
    if not isinstance(choices, list | tuple):
        raise Invalid.field("choices", "Give a list of choices.")
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


def speaks_of(row: Mapping[str, Any], conflict: Conflict) -> bool:
    same_thing = row["key"] == conflict.key and row.get("object") in (None, conflict.object)
    return same_thing and row.get("field") in (None, conflict.field)


def chosen_at(conflict: Conflict, given: Sequence[Mapping[str, Any]]) -> Choice | None:
    """What is said of this conflict; the word about a field goes before that about its whole thing."""
    rows = sorted((row for row in given if speaks_of(row, conflict)), key=lambda row: row.get("field") is None)
    return Choice(rows[0]["take"], rows[0].get("value")) if rows else None


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
