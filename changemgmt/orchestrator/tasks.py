"""What the running side does by itself. Every task can come twice, late or not at all: the database says what is owed."""

from __future__ import annotations

from contextlib import suppress

from celery import shared_task

from changemgmt.accounts.models import Delegation
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.computations.actions import Stopped
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.ask_impact import answer_impact, left_questions
from changemgmt.lifecycle.compute_preview import compute_asked, left_previews
from changemgmt.lifecycle.delegate import judge_votes
from changemgmt.lifecycle.import_architecture import finish_import, left_imports
from changemgmt.lifecycle.membership import join, leave
from changemgmt.lifecycle.reopen_review import rebase, to_rebase
from changemgmt.lifecycle.review import review


@shared_task
def carry_on(*, event_id: int) -> None:
    """After a submission or an amendment: compute what is missing and begin the review. Changes nothing where that is done."""
    number = Event.objects.values_list("change", flat=True).get(pk=event_id)
    review(number, now=utc_now())


@shared_task
def rebase_open_changes(*, event_id: int = 0) -> None:
    """After the architecture moved: ring for every open change whose preview fell stale by it, a message each."""
    for number in to_rebase():
        rebase_change.delay(number=number)


@shared_task
def rebase_change(*, number: str) -> None:
    """Compute one open change anew, where the architecture moved under it. Changes nothing where that is done, or somebody does it."""
    with suppress(Stopped):
        rebase(number, now=utc_now())


@shared_task
def resume_computations() -> None:
    """What was asked for and nobody computes, since a message was lost or a worker died. Rung once a minute for each."""
    for number in left_previews(now=utc_now()):
        compute_preview.delay(number=number)
    for question in left_questions(now=utc_now()):
        answer_question.delay(question=question)
    for run in left_imports(now=utc_now()):
        carry_import_on.delay(run=run)


@shared_task
def compute_preview(*, number: str) -> None:
    """Compute what is owed of one change. Changes nothing where that is done, or somebody does it."""
    with suppress(Stopped):
        compute_asked(number, now=utc_now())


@shared_task
def sweep() -> None:
    """What a lost message left undone; what is due by the clock is done by `sla`."""
    now = utc_now()
    rebase_open_changes()
    unasked = Change.objects.filter(state="in_review").exclude(rounds__outcome="pending")
    for number in (Change.objects.filter(state="submitted") | unasked).filter(imported=False).values_list("number", flat=True):
        review(number, now=now, patience=0)


@shared_task
def judge_membership(*, event_id: int) -> None:
    """After somebody was deactivated or lost a role."""
    username = Event.objects.values_list("object", flat=True).get(pk=event_id).removeprefix("user:")
    leave(username, now=utc_now())


@shared_task
def ask_newcomer(*, event_id: int) -> None:
    """After somebody was given a role, or came back."""
    join(Event.objects.values_list("object", flat=True).get(pk=event_id).removeprefix("user:"), now=utc_now())


@shared_task
def judge_stand_in(*, event_id: int) -> None:
    """After a delegation was revoked: what its verb did not come to any more."""
    key = Event.objects.values_list("object", flat=True).get(pk=event_id).removeprefix("delegation:")
    judge_votes(Delegation.objects.get(pk=key), now=utc_now())


@shared_task
def compute_asked_preview(*, event_id: int) -> None:
    """After somebody asked for the preview of a change too large to wait for, or answered the question that held it up."""
    action, number = Event.objects.values_list("action", "change").get(pk=event_id)
    if action == "preview.asked":
        compute_preview(number=number)
    else:
        rebase_change(number=number)


@shared_task
def answer_asked_impact(*, event_id: int) -> None:
    """After somebody asked what many components would reach."""
    answer_question(question=int(Event.objects.values_list("object", flat=True).get(pk=event_id).removeprefix("impact:")))


@shared_task
def answer_question(*, question: int) -> None:
    """Answer it. Changes nothing where that is done, or somebody does it."""
    answer_impact(question, now=utc_now())


@shared_task
def finish_queued_import(*, event_id: int) -> None:
    """After a large file was handed in for import."""
    carry_import_on(run=int(Event.objects.values_list("object", flat=True).get(pk=event_id).removeprefix("import:")))


@shared_task
def carry_import_on(*, run: int) -> None:
    """Do a queued import. Changes nothing where that is done, or somebody does it."""
    finish_import(run, now=utc_now())
