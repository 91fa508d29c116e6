"""Every transition by name: the same list and the same act for API, command line and pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.changes.fields import Mistake, text
from changemgmt.changes.models import Change, State
from changemgmt.core.errors import Invalid, NotFound
from changemgmt.core.reading import once
from changemgmt.core.time import parse_instant
from changemgmt.core.verdict import Guard, Verdict

from . import vote
from .cancel import cancel, may_cancel
from .close import close, may_close
from .complete import complete, may_complete
from .fail import fail, may_fail
from .go_ahead import emergency_go_ahead, may_go_ahead
from .move import check_seen, locked
from .reopen import may_reopen, reopen_as_new
from .review import auto_approve_guards, may_begin_review, pending, review
from .revise import may_revise, revise
from .roll_back import may_roll_back, roll_back
from .schedule import may_schedule, schedule
from .start import may_start, start
from .submit import may_submit, submit

COMPUTED = {"preview_ready", "assessment_ready"}
ASKED_AT_THE_ACT = {"reason_given", "question_given", "answer_given"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One transition for one person now. `by` is "system" where nobody performs it by hand; `known` is whether the state machine has it here."""

    name: str
    target: str
    by: str
    verdict: Verdict
    legal: bool


@dataclass(frozen=True, slots=True)
class Act:
    """How a transition is performed: its verb and the parameters it takes, each with how it is read."""

    verb: Callable[..., Change]
    parameters: dict[str, Callable[[Any, str], Any]]


def as_text(value: Any, name: str) -> str:
    if value is None:
        return ""
    try:
        return text(20_000)(value)
    except Mistake as mistake:
        raise Invalid.field(name, str(mistake)) from None


def as_time(value: Any, name: str) -> datetime | None:
    return None if value in (None, "") else value if isinstance(value, datetime) else parse_instant(value, field=name)


def as_is(value: Any, name: str) -> Any:
    return value


def begin_review(number: str, *, actor: User, now: datetime, seen: str | None = None, comment: str = "") -> Change:
    """The system begins reviews by itself; a change manager may have it tried again after a chain was mended."""
    with transaction.atomic():
        change = locked(number, actor)
        may_try_again(change, actor=actor, now=now).enforce()
        refuse_stale(change, seen)
    return review(number, now=now, actor=actor)


def may_try_again(change: Change, *, actor: User, now: datetime) -> Verdict:
    """A change manager may have a review begin whose guards are met. What is missing of the preview is computed by it."""
    if not has_role(actor, "change_manager"):
        return Verdict(refusal="Reviews begin by themselves; a change manager may have it tried again.")
    if change.state != State.SUBMITTED and not (change.state == State.IN_REVIEW and not pending(change)):
        return Verdict(impossible=f"A change that is {change.get_state_display().lower()} has no review to begin.")
    found = may_begin_review(change, now=now)
    return Verdict(guards=tuple(guard for guard in found.guards if guard.guard not in COMPUTED))


def request_info(number: str, *, actor: User, now: datetime, question: str, seen: str | None = None, comment: str = "") -> Change:
    """Ask from whichever open seat of the change is this person's."""
    with transaction.atomic():
        change = vote.request_information_for(number, actor=actor, now=now, question=question)
        refuse_stale(change, seen)
    return change


def provide_info(number: str, *, actor: User, now: datetime, answer: str, seen: str | None = None, comment: str = "") -> Change:
    with transaction.atomic():
        change = vote.provide_information(number, actor=actor, now=now, answer=answer)
        refuse_stale(change, seen)
    return change


def refuse_stale(change: Change, seen: str | None) -> None:
    """For verbs that leave the version as it is: whoever says what they saw has seen this."""
    if seen is not None:
        check_seen(change, seen)


ACTS = {
    "submit": Act(submit, {"comment": as_text}),
    "begin_review": Act(begin_review, {"comment": as_text}),
    "request_info": Act(request_info, {"question": as_text, "comment": as_text}),
    "provide_info": Act(provide_info, {"answer": as_text, "comment": as_text}),
    "revise": Act(revise, {"comment": as_text}),
    "schedule": Act(schedule, {"start": as_time, "end": as_time, "comment": as_text}),
    "start": Act(start, {"comment": as_text}),
    "complete": Act(complete, {"comment": as_text}),
    "fail": Act(fail, {"reason": as_text}),
    "roll_back": Act(roll_back, {"reason": as_text}),
    "close": Act(close, {"result": as_is, "review": as_is, "comment": as_text}),
    "cancel": Act(cancel, {"reason": as_text}),
    "reopen_as_new": Act(reopen_as_new, {}),
    "emergency_go_ahead": Act(emergency_go_ahead, {"reason": as_text}),
}
NEEDED = {
    "request_info": "question",
    "provide_info": "answer",
    "fail": "reason",
    "roll_back": "reason",
    "cancel": "reason",
    "emergency_go_ahead": "reason",
}
BY_SYSTEM = ("begin_review", "auto_approve", "approve", "approve_with_conditions", "reject", "reopen_review")


def perform(number: str, name: str, parameters: dict[str, Any], *, actor: User, now: datetime, seen: str | None = None) -> Change:
    """Do a transition by name. Unknown parameters are Invalid; a text that a guard asks for may be empty, the guard then refuses."""
    act = ACTS.get(name)
    if act is None:
        raise NotFound(f"There is no transition “{name[:60]}” that a person performs.")
    known = act.parameters | {"comment": as_text}
    unknown = parameters.keys() - known.keys()
    if unknown:
        raise Invalid("Some parameters are not known.", errors={str(field)[:60]: [f"“{name}” takes {', '.join(known)}."] for field in unknown})
    values = {
        field: read(parameters.get(field), field)
        for field, read in known.items()
        if field in act.parameters and (field in parameters or read is not as_is)
    }
    return act.verb(number, actor=actor, now=now, seen=seen, **values)


def transitions_of(change: Change, *, actor: User, now: datetime, start: datetime | None = None, end: datetime | None = None) -> list[Answer]:
    """Every transition, whether this person may do it now, and what stands in the way. `start` and `end` ask `schedule` beforehand.

    A text that only the act itself can bring (a reason, a question) does not make a transition refused here.
    """
    field = Change._meta.get_field("state")
    targets: dict[str, str] = {}
    for transition in field.get_all_transitions(Change):
        targets.setdefault(transition.name, str(getattr(transition.target, "value", transition.target)))
    targets["amend"], targets["reopen_as_new"] = State.IN_REVIEW, State.DRAFT
    here = {transition.name for transition in change.get_available_state_transitions()}
    answers = []
    for name, target in targets.items():
        verdict = verdict_of(change, name, actor=actor, now=now, start=start, end=end, here=here)
        left = tuple(guard for guard in verdict.guards if guard.guard not in ASKED_AT_THE_ACT)
        shown = Verdict(refusal=verdict.refusal, impossible=verdict.impossible, guards=left)
        by = "system" if name in BY_SYSTEM else "edit" if name == "amend" else "person"
        answers.append(Answer(name, target, by, shown, name in here or (name == "reopen_as_new" and not verdict.impossible)))
    return answers


def refusal_of(change: Change, name: str, *, actor: User, now: datetime) -> Verdict:
    """Only whether this person may ever do this transition of this change; nothing about the moment."""
    here = {transition.name for transition in Change._meta.get_field("state").get_all_transitions(Change)}
    return Verdict(refusal=verdict_of(change, name, actor=actor, now=now, start=None, end=None, here=here).refusal)


def verdict_of(change: Change, name: str, *, actor: User, now: datetime, start: datetime | None, end: datetime | None, here: set[str]) -> Verdict:
    """The verdict on one transition for one person."""
    asked: dict[str, Callable[[], Verdict]] = {
        "submit": lambda: may_submit(change, actor=actor),
        "revise": lambda: may_revise(change, actor=actor),
        "cancel": lambda: may_cancel(change, actor=actor),
        "schedule": lambda: may_schedule(change, actor=actor, now=now, start=start, end=end),
        "start": lambda: may_start(change, actor=actor, now=now),
        "complete": lambda: may_complete(change, actor=actor, now=now),
        "fail": lambda: may_fail(change, actor=actor),
        "roll_back": lambda: may_roll_back(change, actor=actor),
        "close": lambda: may_close(change, actor=actor),
        "emergency_go_ahead": lambda: may_go_ahead(change, actor=actor, now=now),
        "reopen_as_new": lambda: may_reopen(change, actor=actor),
        "request_info": lambda: vote.may_request_information(change, actor=actor, now=now),
        "provide_info": lambda: vote.may_provide_information(change, actor=actor),
        "amend": lambda: may_amend(change, actor=actor),
        "begin_review": lambda: may_try_again(change, actor=actor, now=now),
        "auto_approve": lambda: Verdict(guards=tuple(auto_approve_guards(change, now=now))),
    }
    if name not in here and name != "reopen_as_new":
        return Verdict(impossible=f"A change that is {change.get_state_display().lower()} can't do this.")
    if name in asked:
        return asked[name]()
    if pending(change):
        return Verdict(guards=(Guard("chain_decided", "Its approval chain has not decided.", waiting_people(change)),))
    return Verdict(impossible="It follows from the votes.")


@once
def waiting_people(change: Change) -> tuple[str, ...]:
    seats = change.rounds.filter(outcome="pending", levels__seats__state="open").values_list("levels__seats__people__username", flat=True)
    return tuple(sorted({name for name in seats if name}))


def may_amend(change: Change, *, actor: User) -> Verdict:
    from .edit.editing import may_edit

    return may_edit(change, actor=actor)
