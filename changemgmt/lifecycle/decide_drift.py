"""What is done about drift: adopt what the source shows by a change, or have the source put back as the architecture says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.architecture.queries import images
from changemgmt.architecture.rules import DELETE, OBJECTS, Image
from changemgmt.architecture.validation import cascade_items
from changemgmt.audit.actions import Personal, record
from changemgmt.changes.item_files import Proposal
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotPossible, existing
from changemgmt.core.text import given_text
from changemgmt.core.time import rfc3339
from changemgmt.core.verdict import YES, Verdict
from changemgmt.preview.drift_cases import UNDER_WAY, cases, images_of, names_of_owner, owners_of, requested, rows_of
from changemgmt.preview.models import DriftCase
from changemgmt.preview.rules import counts
from changemgmt.preview.sources import adoption, in_order, key_of

from .edit import create_change
from .edit.editing import editing
from .edit.items import MOST_ITEMS, store_items
from .import_architecture import EDITORS
from .import_items import those_that_hold

LONGEST_NOTE = 2000
LEFT_OUT_SHOWN = 50
LATEST = timedelta(days=3653)
MINUTE = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True)
class Adopting:
    """The draft that adopts a case, and what of it can't be an item: (key, reason)."""

    case: DriftCase
    change: Change
    left_out: list[tuple[str, str]]


def drift_case(key: int) -> DriftCase:
    """The case of this id, or NotFound."""
    return existing(cases().filter(pk=key).first(), "There is no drift case with this id.")


def may_decide(case: DriftCase, *, actor: User) -> Verdict:
    """May this person say what is done about the case? Who may import, and who owns every component it touches."""
    if not has_role(actor, *EDITORS) and not owns_all(case, actor):
        return Verdict(refusal="Administrators, change managers, and owners of all components it touches decide about drift.")
    if not case.is_active:
        return Verdict(impossible="Nothing differs any more: this case is settled.")
    if case.change is not None and case.state == DriftCase.State.ADOPTING and case.change.state in UNDER_WAY:
        return Verdict(impossible="A change adopts it already: cancel that one first.")
    return YES


def owns_all(case: DriftCase, actor: User) -> bool:
    """A relation is theirs with the component at either end; what nobody owns, such as a new component, is not."""
    own = names_of_owner(actor)
    owners = owners_of(images_of(rows_of(case))).values()
    return bool(owners) and all(names & own for names in owners)


def may_adopt(case: DriftCase, *, actor: User) -> Verdict:
    """The same, and may they request the change that it takes?"""
    if not has_role(actor, "requester", "change_manager"):
        return Verdict(refusal="Adopting takes a change: only people with the role requester or change_manager can request one.")
    return may_decide(case, actor=actor)


def adopt_drift(key: int, *, actor: User, now: datetime) -> Adopting:
    """Make a draft whose items bring the architecture to what the source shows. What an approved change is about to do is left to that."""
    with transaction.atomic():
        case = locked(key)
        may_adopt(case, actor=actor).enforce()
        rows = images_of(rows_of(case))
        asked = requested(rows, actor)
        proposals, left_out = proposals_of([row for row in rows if key_of(row) not in asked])
        checked, wrong = those_that_hold(proposals, [])
        left_out += wrong
        if not checked:
            raise NotPossible(nothing_to_adopt(left_out))
        change = create_change(brief(case, rows, left_out), actor=actor, now=now)
        with editing(change.number, actor=actor, now=now, seen=change.etag) as edit:
            store_items(edit.change, [], checked)
        case.state, case.change = DriftCase.State.ADOPTING, edit.change
        case.assignee = case.due_at = case.overdue_at = None
        case.note = ""
        case.save()
        data = {"source": case.source, "items": len(checked), "left_out": len(left_out)}
        record("drift.adopted", actor=actor.username, object=f"drift:{case.pk}", change=change.number, now=now, data=data)
    return Adopting(case, edit.change, left_out)


def locked(key: int) -> DriftCase:
    """The case, locked until the end of the transaction."""
    existing(DriftCase.objects.select_for_update().filter(pk=key).first(), "There is no drift case with this id.")
    return drift_case(key)


def proposals_of(rows: list[Image]) -> tuple[list[Proposal], list[tuple[str, str]]]:
    """The items that adopt these rows on the architecture as it is now, in the order in which they can be done, and what has none."""
    live = {object: images(object, [row.key for row in rows if row.object == object]) for object in OBJECTS}
    found = [(row.key, adoption(row, live[row.object].get(row.key))) for row in rows]
    items = in_order([one.item for _, one in found if one.item is not None])
    there = {(item["object"], item["key"]) for item in items}
    gone = [(item["object"], item["key"]) for item in items if item["operation"] == DELETE]
    items += [item for item in cascade_items(gone) if (item["object"], item["key"]) not in there]
    if len(items) > MOST_ITEMS:
        raise NotPossible(f"A change has at most {MOST_ITEMS:,} items, and adopting this takes {len(items):,}.")
    return [Proposal(item["key"], item) for item in in_order(items)], [(key, one.reason) for key, one in found if one.reason]


def nothing_to_adopt(left_out: list[tuple[str, str]]) -> str:
    if not left_out:
        return "Nothing is left to adopt: the architecture, or an approved change, already is what the source shows. Its next import says so."
    key, reason = left_out[0]
    return f"None of it can be adopted by a change. {key}: {reason}"


def brief(case: DriftCase, rows: list[Image], left_out: list[tuple[str, str]]) -> dict[str, Any]:
    """The fields of the draft."""
    found = counts(rows)
    told = ", ".join(f"{count:,} {what}" for what, count in found.items() if count)
    lines = [
        f"The source {case.source} shows what nobody requested: {told} ([drift case {case.pk}](/drift/{case.pk}/)).",
        f"First seen {case.opened_at:{MINUTE}}, last seen {case.seen_at:{MINUTE}}.",
        "The items make the architecture what the source shows.",
    ]
    if left_out:
        more = f"- and {len(left_out) - LEFT_OUT_SHOWN:,} more" if len(left_out) > LEFT_OUT_SHOWN else ""
        lines += ["Left out:", "\n".join([*(f"- {key}: {reason}" for key, reason in left_out[:LEFT_OUT_SHOWN]), *([more] if more else [])])]
    return {
        "title": f"Adopt what {case.source} shows: {told}",
        "description": "\n\n".join(lines),
        "business_justification": "The architecture is to say what is really there.",
        "implementation_plan": "Nothing is done at the source, which is so already: completing the change writes the items.",
        "rollback_plan": "Put the source back, and revert the items.",
    }


def revert_drift(key: int, *, actor: User, now: datetime, assignee: str, due: datetime | None, note: str = "") -> DriftCase:
    """Have somebody put the source back as the architecture says, by a time. The next import that shows no difference settles it."""
    with transaction.atomic():
        case = locked(key)
        may_decide(case, actor=actor).enforce()
        case.assignee, case.due_at = reverter(assignee), deadline(due, now)
        case.note = given_text(note, "note", LONGEST_NOTE)
        case.state, case.overdue_at = DriftCase.State.REVERTING, None
        case.save()
        data = {"source": case.source, "assignee": Personal(case.assignee.username), "due_at": rfc3339(case.due_at), "note": Personal(case.note)}
        record("drift.reverted", actor=actor.username, object=f"drift:{case.pk}", now=now, data=data)
    return case


def remind_of_revert(key: int, *, now: datetime) -> None:
    """Put it on the record, once for each deadline, that a source is not put back in time: the assignee and the change managers are told."""
    with transaction.atomic():
        case = locked(key)
        if case.state != DriftCase.State.REVERTING or case.overdue_at is not None or case.due_at is None or case.due_at > now:
            return
        case.overdue_at = now
        case.save()
        record("drift.overdue", actor="", object=f"drift:{case.pk}", now=now, data={"source": case.source, "due_at": rfc3339(case.due_at)})


def reverter(username: Any) -> User:
    """Who puts it back: an active person, or Invalid."""
    people = User.objects.filter(is_active=True, is_service=False, is_guest=False)
    found = people.filter(username=given_text(username, "assignee", 150)).first()
    if found is None:
        raise Invalid.field("assignee", "Name an active person by their username.")
    return found


def deadline(due: datetime | None, now: datetime) -> datetime:
    if due is None or not now < due <= now + LATEST:
        raise Invalid.field("due", "Give a time to come, within ten years, by which the source is to be put back.")
    return due
