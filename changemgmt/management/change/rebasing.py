"""The re-base: what moved under a change, and what is chosen at each conflict."""

from __future__ import annotations

from typing import Any

from changemgmt.lifecycle import edit
from changemgmt.preview.queries import preview_of, rebase_of
from changemgmt.preview.rebasing import VALUE
from changemgmt.preview.rules import shown

from .call import Call
from .record import read_value


def rebase(call: Call) -> None:
    """Show what has to be chosen; with a choice, or where nothing has to be, do it."""
    found = rebase_of(call.change, call.reader)
    if found["conflicts"] and not (call.everything or call.take or call.set):
        call.answer(found, [*(line for row in found["conflicts"] for line in in_words(row)), f"digest {found['digest']}"])
        return
    change = edit.rebase_items(call.number, seen=call.seen, choices=choices_of(call), everything=call.everything, digest=call.digest, **call.acting)
    done = preview_of(change, call.reader)
    call.answer(done, f"{change.number} stands on revision {done['base_revision']} now; its preview is {done['state']} (ETag {change.etag}).")


def choices_of(call: Call) -> list[dict[str, Any]]:
    """The choices that the options give."""
    taken = [{"key": key, "take": what} | ({} if field == "-" else {"field": field}) for key, field, what in call.take]
    return [*taken, *({"key": key, "field": field, "take": VALUE, "value": read_value(text, of=field)} for key, field, text in call.set)]


def in_words(row: dict[str, Any]) -> list[str]:
    """A conflict and what can be chosen."""
    by = f" (moved by {row['moved_by']})" if row["moved_by"] else ""
    values = f"was {shown(row['base'])}, is {shown(row['live'])} now{by}, would become {shown(row['proposed'])}"
    merged = [f"  merged: {row['merged']}"] if row["merged"] is not None else []
    return [f"{row['key']} {row['field']}: {values}", *merged, f"  take {', '.join(row['takes'])}"]
