"""The sandbox: things as the change would leave them, out to a file and, edited, back in as items."""

from __future__ import annotations

import json
from typing import Any

from changemgmt.api.items import shown
from changemgmt.core.errors import Invalid
from changemgmt.lifecycle import edit
from changemgmt.preview.sandbox import pulled

from .call import Call, as_json
from .items import in_words

LARGEST = 64 * 1024 * 1024


def sandbox(call: Call) -> None:
    {"show": show, "capture": capture}[call.act](call)


def show(call: Call) -> None:
    """What the change touches and what is asked for, as JSON that can be edited and captured."""
    found = pulled(call.change, {"component": call.component or [], "relation": call.relation or []})
    call.answer(found, as_json(found))


def capture(call: Call) -> None:
    """The things of a file become items."""
    sent = read_things(call)
    revision = sent.pop("revision", None) if isinstance(sent, dict) else None
    found = edit.capture(call.number, sent, seen=call.seen, revision=revision, **call.acting)
    items = [shown(item) for item in found.items]
    lines = [*map(in_words, items), *(f"needs no item any more: {key}" for key in found.dropped)]
    call.answer({"items": items, "dropped": found.dropped}, lines or "Nothing differs.")


def read_things(call: Call) -> Any:
    try:
        if call.file.stat().st_size > LARGEST:
            raise Invalid.field("file", f"The file is larger than {LARGEST // 1024**2} MB.")
        return json.loads(call.file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise Invalid.field("file", f"{call.file} can't be read as JSON: {error}.") from None
