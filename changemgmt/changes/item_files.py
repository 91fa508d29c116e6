"""Files that propose change items: a terraform plan, CSV, JSON. Read here into plain items; nothing is looked up or stored."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from changemgmt.core.errors import Invalid

MOST_ROWS = 20_000
ITEM_COLUMNS = ("operation", "object", "key", "source", "target", "relation_type")
TEXT_COLUMNS = ("name", "type", "layer", "owner", "org_unit", "status", "environment")
NUMBER_COLUMNS = ("criticality", "users")
SENSITIVE, UNKNOWN = "(sensitive)", "(known after apply)"
ACTIONS = {
    ("create",): ("create", False),
    ("update",): ("update", False),
    ("delete",): ("delete", False),
    ("delete", "create"): ("update", True),
    ("create", "delete"): ("update", True),
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
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid.field("file", f"The file is not UTF-8 (byte {error.start}).") from None
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


def parsed(text: str) -> Any:
    """The JSON value, or Invalid with line and column."""
    try:
        value = json.loads(text, parse_constant=refuse_constant)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as error:
        raise Invalid.field("file", f"The file is not JSON: line {error.lineno}, column {error.colno}.") from None
    except UnicodeEncodeError:
        raise Invalid.field("file", "A text of the file holds half a surrogate pair, which can't be stored.") from None
    except (RecursionError, ValueError):
        raise Invalid.field("file", "The file is nested too deeply, or holds a number that is too large.") from None


def refuse_constant(name: str) -> None:
    raise Invalid.field("file", f"{name} is not a number.")


def read_json(text: str, keyed: Callable[[str], str]) -> Proposed:
    """A list of items as the API takes them, or an object with `items`."""
    document = parsed(text)
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
    """The output of `terraform show -json` of a plan. Replacing a resource is one update, marked as such."""
    document = parsed(text)
    rows = document.get("resource_changes") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise Invalid.field("file", "This is no terraform plan: it has no resource_changes (use terraform show -json).")
    found = Proposed([])
    for index, row in enumerate(rows):
        change = row.get("change") if isinstance(row, dict) else None
        if not isinstance(change, dict) or not isinstance(row.get("address"), str) or not isinstance(change.get("actions"), list):
            found.skipped.append((f"resource_changes.{index}", "It has no address or no actions."))
            continue
        actions = tuple(map(str, change["actions"]))
        if actions in ACTIONS and row.get("mode", "managed") == "managed":
            found.items.append(resource(row, change, *ACTIONS[actions], keyed))
        elif actions not in QUIET:
            found.skipped.append((row["address"], f"“{', '.join(actions)[:100]}” is nothing a change does to the architecture."))
    return found


def resource(row: dict[str, Any], change: dict[str, Any], operation: str, replace: bool, keyed: Callable[[str], str]) -> Proposal:
    """One resource of a plan as an item on a component of type `resource`."""
    before = masked(change.get("before") or {}, change.get("before_sensitive"))
    after = with_unknown(masked(change.get("after") or {}, change.get("after_sensitive")), change.get("after_unknown"))
    told = {"terraform_type": str(row.get("type", "")), "provider": str(row.get("provider_name", ""))}
    whole = {"name": row["address"][:500], "type": "resource", "attributes": {**told, **without_nulls(after)}}
    item: dict[str, Any] = {"operation": operation, "object": "component", "key": keyed(row["address"])}
    if operation == "create":
        item["data"] = whole
    elif operation == "update":
        item["data"] = {"attributes": patch(before, after)}
    if replace:
        item["replace"] = True
    return Proposal(row["address"], item, whole)


def masked(value: Any, sensitive: Any) -> Any:
    """`value` with everything that is marked as sensitive hidden."""
    if sensitive is True:
        return SENSITIVE
    if isinstance(value, dict) and isinstance(sensitive, dict):
        return {name: masked(entry, sensitive.get(name)) for name, entry in value.items()}
    if isinstance(value, list) and isinstance(sensitive, list):
        marks = [*sensitive, *[None] * (len(value) - len(sensitive))]
        return [masked(entry, mark) for entry, mark in zip(value, marks, strict=False)]
    return value


def with_unknown(value: Any, unknown: Any) -> Any:
    """`value` with what is only known after the plan was applied said so."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and isinstance(value, dict):
        return value | {name: with_unknown(value.get(name), mark) for name, mark in unknown.items() if mark}
    return value


def patch(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that leads from one object to the other."""
    found: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for name, value in after.items():
        old = before.get(name)
        if value == old:
            continue
        found[name] = patch(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return dict(sorted(found.items()))


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(entry) for name, entry in value.items() if entry is not None}
    return value


READERS: dict[str, Callable[[str, Callable[[str], str]], Proposed]] = {"terraform_plan": read_terraform, "csv": read_csv, "json": read_json}
