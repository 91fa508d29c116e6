"""Items and plan of a change."""

from __future__ import annotations

import json
from typing import Any

from changemgmt.api.items import shown as item_shown
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.import_items import import_items
from changemgmt.planning.queries import plan_of

from .call import Call
from .record import pairs, told

KEPT = ("operation", "object", "key", "source", "target", "relation_type")


def items(call: Call) -> None:
    {"list": list_items, "add": add, "remove": remove}[call.act](call)


def list_items(call: Call) -> None:
    found = [item_shown(item) for item in call.change.items.all()]
    call.answer(found, [in_words(item) for item in found] or "No items.")


def in_words(item: dict[str, Any]) -> str:
    return f"{item['id']:>6}  {item['operation']:6}  {item['object']:9}  {item['key']}  {json.dumps(item['data'], ensure_ascii=False) if item['data'] else ''}".rstrip()


def add(call: Call) -> None:
    """One item from the options, or the items of a file."""
    if call.file:
        report = import_items(
            call.number,
            call.file.read_bytes(),
            format=call.format,
            namespace=call.namespace,
            create_missing=call.create_missing,
            seen=call.seen,
            **call.acting,
        )
        shown = {
            "items": [item_shown(item) for item in report.items],
            "skipped": [{"where": where, "reason": reason} for where, reason in report.skipped],
        }
        call.answer(
            shown, [*(in_words(item) for item in shown["items"]), *(f"left out: {row['where']}: {row['reason']}" for row in shown["skipped"])]
        )
        return
    item = {name: call.options[name] for name in KEPT if call.options.get(name)}
    data = pairs(call.set or [])
    if data:
        item["data"] = data
    change = edit.add_items(call.number, [item], seen=call.seen, cascade=call.cascade, **call.acting)
    added = [item_shown(row) for row in change.added_items]
    call.answer(added, [in_words(row) for row in added])


def remove(call: Call) -> None:
    told(call, edit.remove_item(call.number, call.id, seen=call.seen, **call.acting))


def plan(call: Call) -> None:
    """Show the plan, or write it: whole from a file, its window, its people, its way back."""
    changed = None
    if call.file:
        changed = edit.set_plan(call.number, read_plan(call), seen=call.seen, **call.acting)
    fields = written_fields(call)
    if fields:
        changed = edit.edit_change(call.number, fields, seen=changed.etag if changed else call.seen, **call.acting)
    found = plan_of(changed or call.change)
    lines = [
        f"{step['id']:20}  {step['agent']:10}  {step['name']}" + (f"  (after {', '.join(step['depends_on'])})" if step["depends_on"] else "")
        for step in found["steps"]
    ]
    lines += [f"{finding['severity']}: {finding['step'] or 'plan'}: {finding['message']}" for finding in found["findings"]]
    call.answer(found, lines or "No steps.")


def read_plan(call: Call) -> Any:
    try:
        return json.loads(call.file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Invalid.field("file", f"{call.file} can't be read as JSON: {error}.") from None


def written_fields(call: Call) -> dict[str, Any]:
    """The fields of the record that the options of `plan` write."""
    fields: dict[str, Any] = {}
    if call.window:
        begins, slash, ends = call.window.partition("/")
        if not slash:
            raise Invalid.field("window", "Write START/END, both as times such as 2026-11-22T02:00:00Z.")
        fields |= {"requested_start": begins, "requested_end": ends}
    if call.resources:
        fields["implementers"] = [name.strip() for name in call.resources.split(",") if name.strip()]
    if call.create_rollback_plan:
        steps = [step for step in reversed(plan_of(call.change)["steps"]) if step["compensation"]]
        if not steps:
            raise Invalid.field("create_rollback_plan", "No step says how to undo it: a rollback plan can't be made from them.")
        fields["rollback_plan"] = "\n".join(f"{place}. {step['compensation'].get('action') or step['name']}" for place, step in enumerate(steps, 1))
    return fields
