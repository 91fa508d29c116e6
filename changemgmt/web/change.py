"""The page of one change: everything about it, and what this person may do with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef
from django.http import HttpResponse
from django.shortcuts import render

from changemgmt.accounts.models import Delegation
from changemgmt.accounts.queries import has_role, same_person
from changemgmt.approvals import looks
from changemgmt.approvals.blocking import conditions_of
from changemgmt.approvals.conditions import unmet
from changemgmt.approvals.models import ActionItem, InformationRequest, Override, Round, Seat
from changemgmt.approvals.queries import approval_of, involved_persons
from changemgmt.approvals.queue import Waiting, queue_of
from changemgmt.approvals.shapes import questions_of, round_of
from changemgmt.approvals.sitting import my_open_seats
from changemgmt.approvals.standing import delegators_of, in_force
from changemgmt.architecture.models import Revision
from changemgmt.assessment.queries import assessment_of, settings_now
from changemgmt.changes.models import APPROVED, Attachment, Change, ChangeRight, Item, Link, Scale, State
from changemgmt.changes.queries import has_right, visible_to
from changemgmt.core.errors import existing
from changemgmt.core.reading import keep, reading
from changemgmt.execution.queries import shape as execution_shape
from changemgmt.lifecycle import obligations
from changemgmt.lifecycle.blockers import all_blockers
from changemgmt.lifecycle.compute_preview import may_cancel
from changemgmt.lifecycle.may import implementer_keys
from changemgmt.lifecycle.review import pending
from changemgmt.lifecycle.transitions import waiting_people
from changemgmt.planning.queries import plan_of
from changemgmt.preview.queries import diff_of, moved_within, preview_of, stored

from .activity import activity_of
from .acts import offered
from .base import PageRequest, learn_names, names_known, names_of, page
from .brief import brief_of
from .computing import computing
from .diff import SHORT_ROWS, groups_of
from .execution import tasks_shown
from .impact import impact_context, keys_shown
from .items import component_names, described
from .looks import since_context
from .overrides import panel_of
from .stepper import steps_of

if TYPE_CHECKING:
    from datetime import datetime

    from changemgmt.accounts.models import User

TAKES_BACK = (State.IN_REVIEW, *APPROVED, State.SCHEDULED)
"""The states in which a vote may still be taken back: until the work starts."""
NO_CHANGE = "There is no change with this number that you may see."


@page()
def change(request: PageRequest, number: str) -> HttpResponse:
    """The change, whole."""
    with reading():
        row = to_read(request.user, number, now=request.now)
        request.queue = queue_of(request.user, request.now)
        learn(row, request.user, request.queue, now=request.now)
        seen = looks.look(row, request.user, now=request.now, asked=was_asked(row, request.user, request.queue))
        context = page_context(row, request.user, now=request.now, show=request.GET.get("show", ""), queue=request.queue)
        return render(request, "changes/change.html", context | since_context(row, seen))


TIES = {
    "has_links": Link.objects.filter(change=OuterRef("pk")),
    "is_linked": Link.objects.filter(other=OuterRef("pk")),
    "has_attachments": Attachment.objects.filter(change=OuterRef("pk")),
    "has_children": Change.objects.filter(parent=OuterRef("pk")),
    "has_conditions": ActionItem.objects.filter(change=OuterRef("pk")),
    "has_questions": InformationRequest.objects.filter(round__change=OuterRef("pk")),
    "has_overrides": Override.objects.filter(change=OuterRef("pk")),
    "has_moved": Revision.objects.filter(number__gt=OuterRef("preview__revision")),
}
"""What may hang on a change: whether anything does is told with the change, and only what is there is read."""


def to_read(user: User, number: str, *, now: datetime) -> Any:
    """The change as the page needs it, with what TIES tells; NotFound where the user may not see it."""
    mine = {
        "is_watched": Change.watchers.through.objects.filter(change=OuterRef("pk"), user=user),
        "may_be_edited": ChangeRight.objects.filter(user=user, content_object=OuterRef("pk"), permission__codename="edit_change"),
        "stands_in": Delegation.objects.filter(in_force(now), delegate=user),
    }
    flags = {name: Exists(rows) for name, rows in {**TIES, **mine}.items()}
    rows = visible_to(user).select_related("requester", "owner", "org_unit", "preview", "plan").annotate(**flags)
    found: Any = existing(rows.prefetch_related("items", "implementers", "plan__steps").filter(number=number).first(), NO_CHANGE)
    if not found.stands_in:
        keep(delegators_of, set(), user, now)
    return found


def was_asked(change: Change, viewer: User, queue: Sequence[Waiting]) -> bool:
    """Whether a vote is asked of this person, or was given by them, in the round there is."""
    round = round_of(change)
    votes = [vote for level in round.levels.all() for vote in level.votes.all()] if round else []
    return any(row.change.pk == change.pk for row in queue) or any(vote.by_id == viewer.pk for vote in votes)


def learn(change: Any, viewer: User, queue: Sequence[Waiting], *, now: datetime) -> None:
    """Tell the reads of this page what came with the change and the queue."""
    preview = getattr(change, "preview", None)
    keep(stored, preview, change)
    keep(has_right, change.may_be_edited, viewer, "edit", change)
    impact = preview.impact if preview else {}
    component_names({key for item in change.items.all() for key in (item.key, item.source, item.target) if key} | keys_shown(impact))
    if preview is not None and not change.has_moved:
        keep(moved_within, False, change, preview.revision)
    keep(my_open_seats, [row.seat for row in queue if row.change.pk == change.pk], change, viewer, now=now)
    keep(implementer_keys, frozenset(user.pk for user in change.implementers.all()), change)
    if not change.has_conditions:
        keep(conditions_of, [], change)
    round = round_of(change)
    if round is None:
        return
    if not change.has_questions:
        keep(questions_of, [], round)
    keep(pending, round if round.outcome == Round.Outcome.PENDING else None, change)
    seats = [seat for level in round.levels.all() for seat in level.seats.all()]
    asked = {user.username for seat in seats if seat.state == Seat.State.OPEN for user in seat.people.all()} if pending(change) else set()
    keep(waiting_people, tuple(sorted(asked)), change)
    votes = [vote for level in round.levels.all() for vote in level.votes.all()]
    people = [user for seat in seats for user in seat.people.all()] + [vote.by for vote in votes]
    learn_names([*people, viewer, change.requester, *([change.owner] if change.owner else []), *change.implementers.all()], names_known())


def page_context(change: Change, viewer: User, *, now: datetime, show: str = "", queue: Sequence[Waiting] = ()) -> dict[str, Any]:
    """All that the page shows."""
    approval = approval_of(change, viewer, now=now)
    preview = preview_of(change)
    diff = diff_of(change)
    steps, side = steps_of(change, approval)
    blockers = all_blockers(change, actor=viewer, now=now)
    execution = change.executions.last() if change.actual_start else None
    items = described(change)
    groups, rows_left = groups_of(diff, preview.get("drift") or [], names_in(diff, items), SHORT_ROWS)
    return {
        "change": change,
        "approval": approval,
        "blockers": blockers,
        "brief": brief_of(change, viewer, now=now, approval=approval),
        "steps": steps,
        "side": side,
        "preview": preview,
        **(computing(change.number, preview, may_cancel(change, actor=viewer)) if preview["state"] == "running" else {}),
        "groups": groups,
        "rows_left": rows_left,
        "items": items,
        "assessment": assessed(change),
        "plan": plan_of(change),
        "execution": execution and execution_shape(execution),
        "tasks": tasks_shown(execution, change, viewer, now=now) if execution else [],
        "activity": activity_of(change, show),
        "show": show,
        "asked_of_me": next((row for row in queue if row.change.pk == change.pk), None),
        "takes_back": TAKES_BACK,
        "may_reassign": change.state == State.IN_REVIEW and is_judge_of_judges(change, viewer),
        "people": names_of(everyone(change, approval) | {name for row in blockers for name in row["who_can_clear"]}),
        **impact_context(change, viewer),
        **offered(change, viewer, now=now),
        **ties_context(change, viewer),
        **panel_of(change, viewer),
    }


def is_judge_of_judges(change: Change, viewer: User) -> bool:
    """Whether this person may ask somebody else at a seat of the change."""
    return has_role(viewer, "change_manager") and viewer.person not in involved_persons(change)


def names_in(diff: dict[str, Any], items: list[Any]) -> dict[str, str]:
    """Names of the components a diff speaks of, live or to be created."""
    names = component_names({entry["key"] for entry in diff.get("components", [])})
    return {
        item.row.key: item.name for item in items if item.row.object == Item.Object.RELATION or item.row.operation == Item.Operation.CREATE
    } | names


def everyone(change: Change, approval: dict[str, Any]) -> set[str]:
    """The usernames that the page shows."""
    seats = {name for level in approval["levels"] for seat in level["seats"] for name in (*seat["people"], seat["claimed_by"])}
    votes = {name for level in approval["levels"] for vote in level["votes"] for name in (vote["by"], vote["on_behalf_of"])}
    asked = {row[name] for row in approval["information"] for name in ("asked_by", "answered_by")}
    blockers = {name for row in approval["blockers"] for name in row["who_can_clear"]}
    return {name for name in seats | votes | asked | blockers if name}


def assessed(change: Change) -> dict[str, Any] | None:
    """The assessment with the weights it was made with, or nothing while there is none."""
    row = assessment_of(change)
    if row["overall"] is None:
        return None
    parts = [{"name": name.replace("_", " ").capitalize(), **factor} for name, factor in row["factors"].items()]
    for part in parts:
        part["share"] = part.get("score", 0) * part.get("weight", 0)
    risks = [
        risk | {"category": risk["category"].replace("_", " ").capitalize(), "likelihood": words(risk["likelihood"]), "impact": words(risk["impact"])}
        for risk in row["risks"]
    ]
    outdated = change.state == State.DRAFT and row["at"] < change.updated_at
    return row | {"outdated": outdated, "risks": risks, "settings": settings_now(), "parts": sorted(parts, key=lambda part: -part["share"])}


def words(scale: str) -> str:
    """A step of the scale in words."""
    return str(Scale(scale).label).lower() if scale in Scale.values else scale


def ties_context(change: Any, viewer: User) -> dict[str, Any]:
    """What hangs on the change: conditions, links, attachments, parts, people. Changes this person may not see are left out."""
    seen = visible_to(viewer)
    links = list(change.links.select_related("other")) if change.has_links else []
    others = {link.other_id for link in links if link.other_id}
    known = set(seen.filter(pk__in=others).values_list("pk", flat=True)) if others else set()
    hidden = {link.pk for link in links if link.other_id and link.other_id not in known}
    conditions = conditions_of(change)
    shown = [condition(item, change, viewer) for item in conditions]
    return {
        "conditions": shown,
        "duties": [item for item in shown if item["duty"]],
        "conditions_met": sum(item.state in (ActionItem.State.DONE, ActionItem.State.WAIVED) for item in conditions),
        "links": [link for link in links if link.pk not in hidden],
        "linked_from": list(change.linked_from.select_related("change").filter(change__in=seen)) if change.is_linked else [],
        "hidden_links": len(hidden),
        "attachments": list(change.attachments.select_related("by")) if change.has_attachments else [],
        "children": list(seen.filter(parent=change)) if change.has_children else [],
        "parent": seen.filter(pk=change.parent_id).first() if change.parent_id else None,
        "source": seen.filter(pk=change.copied_from_id).first() if change.copied_from_id else None,
        "implementers": list(change.implementers.all()),
        "is_over": change.state in (State.CLOSED, State.CANCELLED),
    }


BEFORE_START = (ActionItem.Due.BEFORE_SCHEDULE, ActionItem.Due.BEFORE_START)
HOLDS_UP = {
    State.APPROVED: BEFORE_START[:1],
    State.APPROVED_WITH_CONDITIONS: BEFORE_START[:1],
    State.SCHEDULED: BEFORE_START,
    State.IMPLEMENTING: (*BEFORE_START, ActionItem.Due.DURING),
    **dict.fromkeys((State.IMPLEMENTED, State.FAILED, State.ROLLED_BACK), tuple(ActionItem.Due)),
}
"""By state of the change: the due points whose unmet conditions the guards of the next transition name."""


def duty_of(item: ActionItem, viewer: User, *, may_accept: bool) -> str:
    """What this person has to do about a condition that holds up the next transition: "give" evidence, "accept" it, or nothing."""
    if not unmet(item) or item.due not in HOLDS_UP.get(State(item.change.state), ()):
        return ""
    if item.evidence:
        return "accept" if may_accept else ""
    return "give" if same_person(item.owner, viewer) else ""


def condition(item: ActionItem, change: Change, viewer: User) -> dict[str, Any]:
    """A condition with what this person may do about it."""
    item.change = change
    lapsed = item.state == ActionItem.State.EXPIRED and item.vote is not None and item.vote.superseded
    met = item.state in (ActionItem.State.DONE, ActionItem.State.WAIVED)
    over = met or lapsed
    may_accept = not over and obligations.may_accept(item, actor=viewer).allowed
    return {
        "row": item,
        "over": over,
        "met": met,
        "may_give": not over and obligations.may_give_evidence(item, actor=viewer).allowed,
        "may_accept": may_accept,
        "duty": duty_of(item, viewer, may_accept=may_accept),
        "may_waive": not over and not obligations.may_waive(item, actor=viewer, reason="x").reason,
    }
