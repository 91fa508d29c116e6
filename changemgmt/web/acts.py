"""Transitions by form: what is asked, what will happen, and the act itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.queries import has_role
from changemgmt.approvals.queries import my_open_seats
from changemgmt.changes.models import Change, Result
from changemgmt.changes.queries import visible
from changemgmt.core.errors import NotFound
from changemgmt.lifecycle import transitions
from changemgmt.lifecycle.close import RESULTS
from changemgmt.lifecycle.edit.editing import may_edit
from changemgmt.lifecycle.may import is_manager
from changemgmt.lifecycle.verify_results import may_record_results

from .base import PageRequest, attempt, done, page, refused_status, said, seen_of

if TYPE_CHECKING:
    from datetime import datetime

    from changemgmt.accounts.models import User


COMMENT, DONE = gettext_lazy("Comment"), gettext_lazy("Done.")


@dataclass(frozen=True)
class Asked:
    """One transition as a form: its title, its button, what follows, and which text it takes (needed or not)."""

    title: Any
    button: Any
    follows: Any
    text: str = "comment"
    label: Any = COMMENT
    needed: bool = False
    danger: bool = False
    said: Any = DONE


ASKED = {
    "submit": Asked(
        gettext_lazy("Submit this change"),
        gettext_lazy("Submit"),
        gettext_lazy("Preview and risk are computed, then the people on its chain are asked."),
        said=gettext_lazy("Submitted."),
    ),
    "begin_review": Asked(
        gettext_lazy("Begin the review again"),
        gettext_lazy("Try again"),
        gettext_lazy("The chain that applies now is asked."),
        said=gettext_lazy("The review was tried again."),
    ),
    "request_info": Asked(
        gettext_lazy("Request information"),
        gettext_lazy("Ask"),
        gettext_lazy("The clocks stop until it is answered."),
        "question",
        gettext_lazy("Your question"),
        True,
        said=gettext_lazy("Asked. The clocks stand still."),
    ),
    "provide_info": Asked(
        gettext_lazy("Answer the question"),
        gettext_lazy("Answer"),
        gettext_lazy("The clocks go on and the approvers are told."),
        "answer",
        gettext_lazy("Your answer"),
        True,
        said=gettext_lazy("Answered. The clocks go on."),
    ),
    "revise": Asked(
        gettext_lazy("Take this change back to draft"),
        gettext_lazy("Take it back"),
        gettext_lazy("Open approvals are withdrawn; votes already given stay on record and count no more. A set window is released."),
        danger=True,
        said=gettext_lazy("It is a draft again."),
    ),
    "start": Asked(
        gettext_lazy("Start the implementation"),
        gettext_lazy("Start"),
        gettext_lazy("The steps of the plan are yours to do; the content can't be edited any more."),
        said=gettext_lazy("Started."),
    ),
    "complete": Asked(
        gettext_lazy("Complete this change"),
        gettext_lazy("Complete"),
        gettext_lazy("Items that belong to no step are applied to the architecture now."),
        said=gettext_lazy("Completed. The architecture is as the preview showed it."),
    ),
    "fail": Asked(
        gettext_lazy("Say that this change failed"),
        gettext_lazy("It failed"),
        gettext_lazy("The work stops. What was applied stays until it is rolled back."),
        "reason",
        gettext_lazy("What went wrong"),
        True,
        True,
        gettext_lazy("Noted as failed."),
    ),
    "roll_back": Asked(
        gettext_lazy("Roll this change back"),
        gettext_lazy("Roll back"),
        gettext_lazy("Steps that were done are undone in reverse order; then everything that was applied is taken out of the architecture."),
        "reason",
        gettext_lazy("Why it is rolled back"),
        True,
        True,
        gettext_lazy("The way back has begun."),
    ),
    "cancel": Asked(
        gettext_lazy("Cancel this change"),
        gettext_lazy("Cancel the change"),
        gettext_lazy("It ends here and can't be taken up again; it can be copied into a new draft. Open approvals are withdrawn."),
        "reason",
        gettext_lazy("Why it is cancelled"),
        True,
        True,
        gettext_lazy("Cancelled."),
    ),
    "close": Asked(
        gettext_lazy("Review and close"),
        gettext_lazy("Close the change"),
        gettext_lazy("The record ends with its result and its review."),
        said=gettext_lazy("Closed."),
    ),
    "reopen_as_new": Asked(
        gettext_lazy("Copy into a new draft"),
        gettext_lazy("Copy it"),
        gettext_lazy("A new draft with the same content, linked to this one."),
        said=gettext_lazy("A new draft was made."),
    ),
    "emergency_go_ahead": Asked(
        gettext_lazy("Give the emergency go-ahead"),
        gettext_lazy("Give the go-ahead"),
        gettext_lazy("It may start now. Its approval is decided afterwards, and it can't be closed before."),
        "reason",
        gettext_lazy("Why it can't wait"),
        True,
        True,
        gettext_lazy("The go-ahead is given."),
    ),
}
SHOWN = (
    "submit",
    "provide_info",
    "request_info",
    "schedule",
    "start",
    "complete",
    "fail",
    "roll_back",
    "close",
    "emergency_go_ahead",
    "revise",
    "cancel",
    "reopen_as_new",
)
WRITERS = ("requester", "approver", "cab_member", "change_manager", "implementer")
REVIEW = {
    "summary": gettext_lazy("What happened, in short"),
    "lessons": gettext_lazy("What to do differently"),
    "issues": gettext_lazy("What went wrong"),
}


@page("GET", "HEAD", "POST")
def act(request: PageRequest, number: str, name: str) -> HttpResponse:
    """The form of a transition; a POST performs it and goes back to the change."""
    change = visible(request.user, number)
    asked = ASKED.get(name)
    if asked is None:
        raise NotFound(_("There is no such act."))
    refusal = None
    if request.method == "POST":
        parameters = parameters_of(request, name, asked)
        moved, refusal = attempt(
            request, lambda: transitions.perform(number, name, parameters, actor=request.user, now=request.now, seen=seen_of(request))
        )
        if moved:
            return done(request, str(asked.said), landing(moved, name))
    context = form_context(request, change, name, asked) | {"problem": refusal}
    template = "changes/_act_dialog.html" if request.htmx and request.method == "GET" else "changes/act.html"
    return render(request, template, context, status=refused_status(request, refusal))


def landing(change: Change, name: str) -> str:
    """Where one goes after an act."""
    if name == "start":
        execution = change.executions.last()
        return f"/executions/{execution.pk}/" if execution else change.get_absolute_url()
    return f"/changes/{change.number}/edit/" if name in ("revise", "reopen_as_new") else change.get_absolute_url()


def parameters_of(request: PageRequest, name: str, asked: Asked) -> dict[str, Any]:
    """The parameters as the verb takes them."""
    if name == "reopen_as_new":
        return {}
    if name == "close":
        review = {field: value for field, value in said(request, *REVIEW).items() if value}
        return {"result": request.POST.get("result") or None, "review": review or None} | said(request, "comment")
    return said(request, asked.text)


def form_context(request: PageRequest, change: Change, name: str, asked: Asked) -> dict[str, Any]:
    """What the form shows: whether it may be done now, and what was typed."""
    answer = next((one for one in transitions.transitions_of(change, actor=request.user, now=request.now) if one.name == name), None)
    return {
        "change": change,
        "name": name,
        "asked": asked,
        "answer": answer,
        "typed": request.POST.get(asked.text, ""),
        "results": [(value, Result(value).label) for value in RESULTS.get(change.state, ())] if name == "close" else [],
        "review": [(field, label, request.POST.get(field, change.review.get(field, ""))) for field, label in REVIEW.items()]
        if name == "close"
        else [],
        "question": open_question(change) if name == "provide_info" else None,
        "chosen_result": request.POST.get("result", ""),
        "undo_plan": name in ("roll_back", "fail"),
    }


def open_question(change: Change) -> Any:
    """The question that waits for its answer."""
    last = change.rounds.last()
    return last.information_requests.filter(answered_at__isnull=True).select_related("asked_by").last() if last else None


def offered(change: Change, viewer: User, *, now: datetime) -> dict[str, Any]:
    """What this person may do: their votes, the transitions, editing, results; and what stands in the way of the rest."""
    answers = {answer.name: answer for answer in transitions.transitions_of(change, actor=viewer, now=now) if answer.name in SHOWN and answer.legal}
    ordered = [answers[name] for name in SHOWN if name in answers]
    mine = [answer for answer in ordered if not answer.verdict.refusal]
    return {
        "seats": my_open_seats(change, viewer, now=now),
        "acts": [answer for answer in mine if answer.verdict.allowed and answer.name != "request_info"],
        "blocked": [answer for answer in mine if answer.verdict.guards],
        "others": [answer for answer in ordered if answer.verdict.refusal],
        "may_edit": may_edit(change, actor=viewer).allowed,
        "may_tick": may_record_results(change, actor=viewer).allowed,
        "may_comment": has_role(viewer, *WRITERS) or not has_role(viewer, "viewer", "auditor"),
        "watching": change.is_watched if hasattr(change, "is_watched") else change.watchers.filter(pk=viewer.pk).exists(),
        "is_manager": is_manager(viewer, change),
    }
