"""The record: list, show, draft and submit, export, transitions by name."""

from __future__ import annotations

import json
import sys
from typing import Any

from changemgmt.approvals.queries import approval_of, my_open_seats
from changemgmt.approvals.queue import awaited_of
from changemgmt.changes.filters import NAMES, filtered
from changemgmt.changes.models import Change
from changemgmt.changes.queries import representation, representations, visible_to
from changemgmt.core.errors import DomainError, Invalid
from changemgmt.lifecycle import edit, submit
from changemgmt.lifecycle.transitions import perform, transitions_of
from changemgmt.preview.diff_files import markdown
from changemgmt.preview.queries import told_of

from . import files
from .call import Call

ORDERS = ("created_at", "number", "title", "planned_start", "risk_score", "updated_at")
LISTS = {"implementers", "watchers", "tags", "compliance_scope"}
DRAFTED = {"title": "title", "type": "type", "impact": "impact", "business_justification": "business_justification"}


def list_changes(call: Call) -> None:
    """The changes the reader may see, narrowed by the filters."""
    given = {name: call.options[name] for name in NAMES if call.options.get(name)}
    rows = filtered(visible_to(call.reader), given, call.reader, awaited_of(call.now)).order_by(call.order, "-pk")[: call.limit]
    found = representations(rows)
    lines = [f"{row['number']}  {row['state']:22}  {row['type']:9}  {row['risk_level'] or '-':9}  {row['title']}" for row in found]
    call.answer(found, lines or "No change matches.")


def show(call: Call) -> None:
    """One change with its approval, what waits for the reader, and what they may do next."""
    change = call.change
    seats = my_open_seats(change, call.reader, now=call.now) if call.reader.username else []
    mine = [{"id": seat.pk, "label": seat.label, "level": seat.level.number, "digest": seat.level.digest} for seat in seats]
    possible = (
        [answer.name for answer in transitions_of(change, actor=call.reader, now=call.now) if answer.verdict.allowed and answer.by == "person"]
        if call.reader.username
        else []
    )
    items = [
        {"id": item.pk, "text": item.text, "due": item.due, "owner": item.owner.username, "state": item.state}
        for item in change.action_items.select_related("owner")
    ]
    shown = representation(change) | {
        "etag": change.etag,
        "approval": approval_of(change, call.reader, now=call.now),
        "action_items": items,
        "my_seats": mine,
        "possible": possible,
    }
    call.answer(shown, in_words(shown))


def in_words(shown: dict[str, Any]) -> list[str]:
    """A change for a reader."""
    lines = [
        f"{shown['number']}  {shown['title']}",
        f"{shown['state']}, version {shown['version']} (ETag {shown['etag']}), {shown['type']}, priority {shown['priority']}",
    ]
    lines.append(f"requested by {shown['requester']}, owner {shown['owner'] or '-'}, implemented by {', '.join(shown['implementers']) or '-'}")
    lines.append(f"risk {shown['risk_level'] or 'not assessed'}, {shown['affected_count']} components affected")
    if shown["planned_start"]:
        lines.append(f"window {shown['planned_start']} to {shown['planned_end']}")
    for level in shown["approval"]["levels"]:
        waiting = [f"{seat['label']} ({', '.join(seat['people']) or 'nobody'})" for seat in level["seats"] if seat["state"] == "open"]
        lines.append(f"level {level['number']} {level['name']}: {level['state']}{'; waits for ' + ', '.join(waiting) if waiting else ''}")
    lines += [f"condition {item['id']}: {item['text']} ({item['due']}, {item['owner']}): {item['state']}" for item in shown["action_items"]]
    lines += [f"your vote: level {seat['level']}, {seat['label']}, digest {seat['digest']}" for seat in shown["my_seats"]]
    if shown["possible"]:
        lines.append(f"you may: {', '.join(shown['possible'])}")
    return lines


def draft_or_submit(call: Call) -> None:
    """Hand in the change that is named, or draft one from the options or a file and hand that in."""
    if call.number:
        fields = drafted(call)
        if fields:
            edit.edit_change(call.number, fields, seen=call.seen, **call.acting)
        change = submit.submit(call.number, seen=call.seen, comment=call.comment, **call.acting)
        told(call, change)
        return
    change = make(call)
    if not call.draft:
        try:
            change = submit.submit(change.number, seen=change.etag, comment=call.comment, **call.acting)
        except DomainError as refusal:
            refusal.detail = f"{change.number} is drafted and can't be handed in yet. {refusal.detail}"
            raise
    told(call, change)


def make(call: Call) -> Change:
    """A new draft from the options, or from a Markdown file with front matter."""
    if call.file:
        return files.read_change(call.file, drafted(call), **call.acting)
    return edit.create_change(drafted(call), **call.acting)


def drafted(call: Call) -> dict[str, Any]:
    """The fields of the record that the options give."""
    given = {name: call.options[option] for option, name in DRAFTED.items() if call.options.get(option)}
    return given | pairs(call.options.get("set") or [])


def told(call: Call, change: Change) -> None:
    """The change after an act."""
    change = Change.objects.get(pk=change.pk)
    call.answer(
        representation(change) | {"etag": change.etag},
        f"{change.number} is {change.get_state_display().lower()} (version {change.version}, ETag {change.etag}).",
    )


def transition(call: Call) -> None:
    """Any transition by its name, with its parameters."""
    parameters = pairs(call.options.get("set") or []) | ({"comment": call.comment} if call.comment else {})
    told(call, perform(call.number, call.name, parameters, seen=call.seen, **call.acting))


def pairs(given: list[str]) -> dict[str, Any]:
    """`key=value` options as fields. `a.b=c` goes into the object `a`."""
    found: dict[str, Any] = {}
    for text in given:
        path, sign, value = text.partition("=")
        if not sign or not path:
            raise Invalid.field("set", f"“{text[:60]}”: write key=value.")
        *outer, last = path.split(".")
        place = found
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = read_value(value, of=path)
    return found


def read_value(text: str, *, of: str) -> Any:
    """JSON where it is an object, list, number, true, false or null; else the text itself, or the texts between commas where a list is asked for.

    A decimal of an attribute stays text: it is a version more often than a number, and 4.10 is not 4.1.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return [part for part in map(str.strip, text.split(",")) if part] if of in LISTS else text
    return text if isinstance(value, float) and of.startswith("attributes.") else value


def export(call: Call) -> None:
    """The change as a Markdown file that `submit --file` reads, as JSON, or its difference."""
    if call.form == "json":
        content = json.dumps(files.content_of(call.change), indent=2, ensure_ascii=False) + "\n"
    elif call.form == "diff":
        content = markdown(told_of(call.change))
    else:
        content = files.written(call.change)
    if call.output:
        call.output.write_text(content, encoding="utf-8")
        return
    sys.stdout.buffer.write(content.encode())
    sys.stdout.buffer.flush()
