"""Import items: bring a file's items into a change, and say of each that can't be one why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.architecture.queries import exists
from changemgmt.architecture.validation import CheckedItem, check_items
from changemgmt.changes.item_files import READERS, Proposal, read
from changemgmt.changes.models import Change, Item
from changemgmt.core.errors import Invalid

from .edit.editing import editing
from .edit.items import store_items

FORMATS = tuple(READERS)
MOST_ROUNDS = 20


@dataclass(frozen=True)
class Report:
    """The change after it, the items that were added, and what was not: (where, reason)."""

    change: Change
    items: list[Item]
    skipped: list[tuple[str, str]]


def import_items(
    number: str, data: bytes, *, format: str, actor: User, now: datetime, seen: str | None, namespace: str = "", create_missing: bool = False
) -> Report:
    """Add the items of a file in one edit. Updates and deletions of what is not there are skipped; with `create_missing` the updates create it."""
    if len(namespace) > 200 or not namespace.isprintable():
        raise Invalid.field("namespace", "At most 200 printable characters.")
    proposed = read(data, format=format, namespace=namespace.rstrip("/"))
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        there = list(edit.change.items.all())
        fitting, skipped = fit(proposed.items, create_missing=create_missing)
        checked, wrong = those_that_hold(fitting, there)
        rows = store_items(edit.change, there, checked)
    return Report(edit.change, rows, [*proposed.skipped, *skipped, *wrong])


def fit(proposals: list[Proposal], *, create_missing: bool) -> tuple[list[Proposal], list[tuple[str, str]]]:
    """Each proposal as what can be done with the thing it is about, which is there or not."""
    live = {kind: exists(kind, keys_of(proposals, kind)) for kind in ("component", "relation")}
    fitting: list[Proposal] = []
    skipped: list[tuple[str, str]] = []
    for proposal in proposals:
        item, kind = proposal.item, str(proposal.item.get("object"))
        key, operation = item.get("key"), item.get("operation")
        known = isinstance(key, str) and key in live.get(kind, set())
        if operation is None:
            item = {"operation": "update" if known else "create", **item}
        if operation == "create" and known:
            skipped.append((proposal.where, f"There is a {kind} {key!r} already."))
        elif operation in ("update", "delete") and isinstance(key, str) and not known:
            if create_missing and operation == "update":
                fitting.append(Proposal(proposal.where, as_create(item, proposal.whole)))
            else:
                skipped.append((proposal.where, f"There is no {kind} {key!r} to {operation}."))
        else:
            fitting.append(Proposal(proposal.where, item))
    return fitting, skipped


def keys_of(proposals: list[Proposal], kind: str) -> set[str]:
    return {key for proposal in proposals if proposal.item.get("object") == kind and isinstance(key := proposal.item.get("key"), str)}


def as_create(item: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in item.items() if name != "replace"}
    return kept | {"operation": "create", "data": whole or item.get("data") or {}}


def those_that_hold(proposals: list[Proposal], there: list[Item]) -> tuple[list[CheckedItem], list[tuple[str, str]]]:
    """The checked items, once those with mistakes are left out, and those that only held with them, until the rest holds."""
    left = list(proposals)
    skipped: list[tuple[str, str]] = []
    for _ in range(MOST_ROUNDS):
        checked = check_items([proposal.item for proposal in left], others=there)
        wrong = {index: errors for index, errors in checked.errors.items() if index is not None}
        if not wrong:
            return checked.enforce(), skipped
        skipped += [
            (left[index].where, " ".join(message for messages in errors.values() for message in messages)) for index, errors in sorted(wrong.items())
        ]
        left = [proposal for index, proposal in enumerate(left) if index not in wrong]
    raise Invalid.field("file", "Too many of the items hang on others that can't be: mend those first.")
