"""Results: ticks of the verification checklist and answers to the success criteria. They are not content."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.audit.actions import record
from changemgmt.changes.models import Change, State
from changemgmt.core.diff import differences
from changemgmt.core.errors import Invalid
from changemgmt.core.verdict import Verdict

from . import may
from .move import check_seen, locked

WRITABLE = (State.IMPLEMENTING, State.IMPLEMENTED, State.FAILED, State.ROLLED_BACK)


def may_record_results(change: Change, *, actor: User) -> Verdict:
    """Its implementers and its owner (the change managers where it has none), from implementing until it is closed."""
    allowed = not may.implementer(actor, change) or actor.username in may.managers(change)
    impossible = "" if change.state in WRITABLE else "Results are ticked from the implementation on, until the change is closed."
    return Verdict(refusal="" if allowed else "Only an implementer or the owner may tick results.", impossible=impossible)


def record_results(number: str, results: dict[str, Any], *, actor: User, now: datetime, seen: str | None = None) -> Change:
    """`{"checklist": [{"index", "done"}], "success_criteria": [{"index", "met", "note"}]}`."""
    with transaction.atomic():
        change = locked(number, actor)
        may_record_results(change, actor=actor).enforce()
        if seen is not None:
            check_seen(change, seen)
        before = {"checklist": change.verification_checklist, "success_criteria": change.success_criteria}
        checklist = ticked(change.verification_checklist, results.get("checklist", []), "checklist", {"done": bool})
        criteria = ticked(change.success_criteria, results.get("success_criteria", []), "success_criteria", {"met": bool, "note": str})
        change.verification_checklist, change.success_criteria = checklist, criteria
        change.updated_at = now
        change.save()
        found = differences(by_index(before), by_index({"checklist": checklist, "success_criteria": criteria}))
        record("change.verified", actor=actor.username, object=f"change:{number}", change=number, now=now, differences=found)
    return change


def by_index(lists: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    return {name: {str(index): entry for index, entry in enumerate(entries)} for name, entries in lists.items()}


def ticked(entries: list[dict[str, Any]], ticks: Any, name: str, kinds: dict[str, type]) -> list[dict[str, Any]]:
    """The entries with the ticks written into them."""
    if not isinstance(ticks, list):
        raise Invalid.field(name, "Give a list.")
    answer = [dict(entry) for entry in entries]
    for tick in ticks:
        index = tick.get("index") if isinstance(tick, dict) else None
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(answer):
            raise Invalid.field(name, f"An index from 0 to {len(answer) - 1} is needed." if answer else "There is nothing to tick.")
        for field, value in tick.items():
            if field == "index":
                continue
            if field not in kinds or not (isinstance(value, kinds[field]) or (field == "met" and value is None)) or len(str(value)) > 2000:
                raise Invalid.field(name, f"Entry {index}: {' and '.join(kinds)} can be written.")
            answer[index][field] = value
    return answer
