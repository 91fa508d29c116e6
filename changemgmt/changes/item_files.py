"""Files that propose change items: a terraform plan, CSV, JSON. Read here into plain items; nothing is looked up or stored."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from changemgmt.architecture.importers import jsontext
from changemgmt.architecture.importers.files import decoded
from changemgmt.architecture.importers.secrets import HIDDEN
from changemgmt.architecture.importers.terraform import TYPE, masked, told, without_nulls
from changemgmt.core.diff import differences
from changemgmt.core.errors import Invalid

MOST_ROWS = 20_000
LARGEST = 64 * 1024 * 1024
ITEM_COLUMNS = ("operation", "object", "key", "source", "target", "relation_type")
TEXT_COLUMNS = ("name", "type", "layer", "owner", "org_unit", "status", "environment")
NUMBER_COLUMNS = ("criticality", "users")
UNKNOWN = "(known after apply)"
ACTIONS = {
    ("create",): ("create", False),
    ("update",): ("update", False),
    ("delete",): ("delete", False),
    ("delete", "create"): ("update", True),
    ("create", "delete"): ("update", True),
    ("create", "forget"): ("update", True),
}
QUIET = {("no-op",), ("read",), ()}


@dataclass(frozen=True)
class Proposal:
    """An item a file proposes: where it stands there, and the data that would create the thing if it is unknown."""

    where: str
    item: dict[str, Any]
    whole: dict[str, Any] = field(default_factory=dict)


@dataclass
class Proposed:
    """What was read, and what can't become an item: (where, reason)."""

    items: list[Proposal]
    skipped: list[tuple[str, str]] = field(default_factory=list)


def read(data: bytes, *, format: str, namespace: str = "") -> Proposed:
    """The items of a file. `namespace` is put before keys that have none. Raises Invalid with the place for a file that can't be read."""
    reader = READERS.get(format)
    if reader is None:
        raise Invalid.field("format", f"One of {', '.join(READERS)}.")
    if len(data) > LARGEST:
        raise Invalid.field("file", f"The file is larger than {LARGEST // 1024**2} MB; split it.")
    text = decoded(data, "The file")
    if "\x00" in text:
        raise Invalid.field("file", "The file holds a NUL character.")
    found = reader(text, lambda key: f"{namespace}/{key}" if namespace and "/" not in key else key)
    if len(found.items) > MOST_ROWS:
        raise Invalid.field("file", f"At most {MOST_ROWS:,} items in a file; this has {len(found.items):,}.")
    return found


# --- CSV ---


def read_csv(text: str, keyed: Callable[[str], str]) -> Proposed:
    """Columns of items and of components; any other column is an attribute. An empty cell says nothing."""
    rows = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if not rows.fieldnames or ("key" not in rows.fieldnames and "source" not in rows.fieldnames):
            raise Invalid.field("file", "The first line names the columns; key is needed (or source, relation_type and target).")
        if len(set(rows.fieldnames)) != len(rows.fieldnames):
            raise Invalid.field("file", "A column stands twice in the first line.")
        return csv_rows(rows, keyed)
    except csv.Error as error:
        raise Invalid.field("file", f"Line {rows.line_num}: {error}.") from None


def csv_rows(rows: csv.DictReader, keyed: Callable[[str], str]) -> Proposed:
    found = Proposed([])
    for row in rows:
        where = f"line {rows.line_num}"
        if None in row:
            found.skipped.append((where, "The line has more cells than the first line has columns."))
        else:
            found.items.append(Proposal(where, csv_item({name: value for name, value in row.items() if value}, keyed)))
    return found


def csv_item(cells: dict[str, str], keyed: Callable[[str], str]) -> dict[str, Any]:
    item: dict[str, Any] = {name: cells.pop(name) for name in ITEM_COLUMNS if name in cells}
    if cells.pop("replace", "").lower() == "true":
        item["replace"] = True
    data: dict[str, Any] = {name: cells.pop(name) for name in TEXT_COLUMNS if name in cells}
    data |= {name: number(cells.pop(name)) for name in NUMBER_COLUMNS if name in cells}
    if "tags" in cells:
        data["tags"] = [tag.strip() for tag in cells.pop("tags").replace(";", ",").split(",") if tag.strip()]
    if cells:
        data["attributes"] = cells
    return completed({**item, **({"data": data} if data else {})}, keyed)


def number(text: str) -> int | str:
    """The number a cell holds; what is none is left for the check of the item to name."""
    return int(text) if text.strip().isascii() and text.strip().isdigit() and len(text) < 12 else text


def completed(item: dict[str, Any], keyed: Callable[[str], str]) -> dict[str, Any]:
    """An item with its object said and its keys in their namespace."""
    item = {"object": "relation" if item.get("relation_type") else "component", **item}
    return item | {name: keyed(item[name]) for name in ("key", "source", "target") if isinstance(item.get(name), str)}


# --- JSON ---


def read_json(text: str, keyed: Callable[[str], str]) -> Proposed:
    """A list of items as the API takes them, or an object with `items`."""
    document = jsontext.value(text, "The file")
    rows = document.get("items") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise Invalid.field("file", "Give a list of items, or an object with items.")
    found = Proposed([])
    for index, row in enumerate(rows):
        if isinstance(row, dict):
            found.items.append(Proposal(f"items.{index}", completed(row, keyed)))
        else:
            found.skipped.append((f"items.{index}", "An item is an object."))
    return found


# --- terraform ---


def read_terraform(text: str, keyed: Callable[[str], str]) -> Proposed:
    """The output of `terraform show -json` of a plan. Replacing a resource is one update, marked as such; so is moving it, with its new name."""
    document = jsontext.value(text, "The file")
    rows = document.get("resource_changes") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise Invalid.field("file", "This is no terraform plan: it has no resource_changes (use terraform show -json).")
    if document.get("errored") is True:
        raise Invalid.field("file", "The plan ended in an error, so it does not say everything: mend that, and plan again.")
    found = Proposed([], drifts(document.get("resource_drift")))
    for index, row in enumerate(rows):
        change = change_of(row)
        if change is None:
            found.skipped.append((f"resource_changes.{index}", "It has no address or no actions."))
            continue
        actions = tuple(map(str, change["actions"]))
        operation, replace = ACTIONS.get(actions, ("update", False))
        if row.get("deposed"):
            found.skipped.append((row["address"], "It is what an earlier replacement left behind, no resource of its own."))
        elif row.get("mode", "managed") == "managed" and (actions in ACTIONS or (actions in QUIET and moved_from(row))):
            found.items.append(resource(row, change, operation, replace, keyed))
        elif actions not in QUIET:
            found.skipped.append((row["address"], f"“{', '.join(actions)[:100]}” is nothing a change does to the architecture."))
    return found


def change_of(row: Any) -> dict[str, Any] | None:
    """The change a row speaks of; None where it lacks what a row has."""
    change = row.get("change") if isinstance(row, dict) else None
    if not isinstance(change, dict) or not isinstance(row.get("address"), str) or not isinstance(change.get("actions"), list):
        return None
    return change


def moved_from(row: dict[str, Any]) -> str:
    """The address the resource had before, where it has another now."""
    before = row.get("previous_address")
    return before if isinstance(before, str) and before != row["address"] else ""


def drifts(rows: Any) -> list[tuple[str, str]]:
    """What was changed behind terraform's back, by names: it happened already, so no change can be asked for it."""
    found = []
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        change = change_of(row)
        if change is None or tuple(map(str, change["actions"])) in QUIET:
            continue
        before, after = object_of(change.get("before")), object_of(change.get("after"))
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        what = f"changed outside terraform: {', '.join(names)[:200]}" if after else "deleted outside terraform"
        found.append((f"resource_drift.{index}, {row['address']}", f"It was {what}. That is drift, which a plan reports and does not do."))
    return found


def object_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def resource(row: dict[str, Any], change: dict[str, Any], operation: str, replace: bool, keyed: Callable[[str], str]) -> Proposal:
    """One resource of a plan as an item on a component of type `resource`. One that moves is still known by its former address."""
    before = object_of(masked(object_of(change.get("before")), change.get("before_sensitive")))
    after = object_of(with_unknown(object_of(masked(object_of(change.get("after")), change.get("after_sensitive"))), change.get("after_unknown")))
    whole = {"name": row["address"][:500], "type": TYPE, "attributes": told(row) | without_nulls(after)}
    former = moved_from(row)
    item: dict[str, Any] = {"operation": operation, "object": "component", "key": keyed(former or row["address"])}
    if operation == "create":
        item["data"] = whole
    elif operation == "update":
        attributes = patch(before, after) or hidden_differences(change, after)
        item["data"] = ({"name": whole["name"]} if former else {}) | ({"attributes": attributes} if attributes or not former else {})
    if replace:
        item["replace"] = True
    return Proposal(row["address"], item, whole)


def hidden_differences(change: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The names whose values differ only in what is hidden: where nothing else does, the item says at least that."""
    old, new = object_of(change.get("before")), object_of(change.get("after"))
    return {name: HIDDEN for name in sorted(after) if after[name] == HIDDEN and old.get(name) != new.get(name)}


def with_unknown(value: Any, unknown: Any) -> Any:
    """`value` with what is only known after the plan was applied said so."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and (value is None or isinstance(value, dict)):
        known = value or {}
        found = {name: inner for name, mark in unknown.items() if mark and (inner := with_unknown(known.get(name), mark)) is not None}
        return known | found or value
    if isinstance(unknown, list) and isinstance(value, list):
        marks = [*unknown, *[None] * (len(value) - len(unknown))]
        return [with_unknown(entry, mark) for entry, mark in zip(value, marks, strict=False)]
    return value


def patch(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that leads from one object to the other."""
    found: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        old = before.get(name)
        if not differences(old, value):
            continue
        found[name] = patch(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return dict(sorted(found.items()))


READERS: dict[str, Callable[[str, Callable[[str], str]], Proposed]] = {"terraform_plan": read_terraform, "csv": read_csv, "json": read_json}
