"""A change as a Markdown file with YAML front matter: written, and read into a new draft."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.changes import fields
from changemgmt.changes.models import Change
from changemgmt.changes.queries import representation
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.edit.items import written as written_item
from changemgmt.planning.queries import plan_of
from changemgmt.planning.rules import STEP_DEFAULTS

LARGEST = 2 * 1024 * 1024
FENCE = "---\n"
NOT_IN_FILES = {"requester", "description", "confidential", "parent"}
EMPTY: tuple[Any, ...] = (None, "", [], {}, False, 0)


def content_of(change: Change) -> dict[str, Any]:
    """Record, items and plan as plain data; steps name items by their place in the list, from 1."""
    record = representation(change)
    kept = {name: plain(name, record[name]) for name in fields.FIELDS if name not in NOT_IN_FILES and record.get(name) not in EMPTY}
    items = list(change.items.all())
    places = {item.pk: place for place, item in enumerate(items, 1)}
    plan = plan_of(change)
    steps = [step_of(step) | ({"items": [places[pk] for pk in step["items"]]} if step["items"] else {}) for step in plan["steps"]]
    content = {"number": change.number, **kept, "items": [written_item(item) for item in items]}
    if steps or plan["gates"]:
        content["plan"] = {"strategy": plan["strategy"], "on_failure": plan["on_failure"], "steps": steps, "gates": plan["gates"]}
    return content | {"description": change.description}


def step_of(step: dict[str, Any]) -> dict[str, Any]:
    """A step without what is as it is by default."""
    return {"id": step["id"], **{name: step[name] for name, usual in STEP_DEFAULTS.items() if name != "items" and step[name] != usual}}


def plain(name: str, value: Any) -> Any:
    """Lists of results as lists of texts: results are no content."""
    if name == "verification_checklist":
        return [entry["text"] for entry in value]
    if name == "success_criteria":
        return [{"group": entry["group"], "text": entry["text"]} for entry in value]
    return value


def written(change: Change) -> str:
    """The file: front matter, then the description."""
    content = content_of(change)
    description = content.pop("description")
    return f"{FENCE}{yaml.dump(content, Dumper=PlainDumper, sort_keys=False, allow_unicode=True, width=120)}{FENCE}\n{description}\n"


def read_change(path: Path, more: dict[str, Any], *, actor: User, now: datetime) -> Change:
    """A new draft from a file; `more` are fields that go before those of the file. All of it, or nothing."""
    content = parsed(path)
    content.pop("number", None)
    items, plan = content.pop("items", None) or [], content.pop("plan", None)
    with transaction.atomic():
        change = edit.create_change({**content, **more}, actor=actor, now=now)
        if items:
            change = edit.add_items(change.number, items, actor=actor, now=now, seen=None)
        if plan:
            change = edit.set_plan(change.number, placed(plan, list(change.items.values_list("pk", flat=True))), actor=actor, now=now, seen=None)
    return change


def placed(plan: Any, keys: list[int]) -> Any:
    """The plan with places of items turned into their ids; what is no place is left for the check to name."""
    if not isinstance(plan, dict) or not isinstance(plan.get("steps"), list):
        return plan
    steps = [
        step | {"items": [id_of(place, keys) for place in step["items"]]} if isinstance(step, dict) and isinstance(step.get("items"), list) else step
        for step in plan["steps"]
    ]
    return plan | {"steps": steps}


def id_of(place: Any, keys: list[int]) -> Any:
    return keys[place - 1] if isinstance(place, int) and 1 <= place <= len(keys) else 0


def parsed(path: Path) -> dict[str, Any]:
    """Front matter and description of a file, or Invalid with the place."""
    try:
        if path.stat().st_size > LARGEST:
            raise Invalid.field("file", "The file is larger than 2 MB.")
        text = path.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid.field("file", f"{path} can't be read: {error}.") from None
    head, fence, body = text.removeprefix(FENCE).partition(f"\n{FENCE}") if text.startswith(FENCE) else ("", "", "")
    if not fence:
        raise Invalid.field("file", "The file begins with front matter: YAML between two lines of ---.")
    try:
        content = yaml.load(head, Loader=TextLoader)  # noqa: S506 a safe loader that leaves times as text
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid.field("file", f"The front matter is not YAML: {str(error)[:300]}") from None
    if not isinstance(content, dict):
        raise Invalid.field("file", "The front matter is an object of fields.")
    return {**content, "description": body.strip("\n")}


class PlainDumper(yaml.SafeDumper):
    """YAML without aliases: what stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class TextLoader(yaml.SafeLoader):
    """YAML without times and without aliases: a time stays the text it is, and nothing can be blown up by repetition."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
