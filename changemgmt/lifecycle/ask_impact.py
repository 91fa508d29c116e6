"""Ask what a change of some components would reach: at once where few are asked about, else by a worker, with progress, and cancelled on demand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction

from changemgmt.accounts.models import User
from changemgmt.architecture.impact import checked, impact_of_question
from changemgmt.architecture.models import ImpactQuestion
from changemgmt.architecture.queries import architecture_token
from changemgmt.audit.actions import record
from changemgmt.computations.actions import Cancelled, Lost, ask_to_stop, claim, note_cancelled, ring_once
from changemgmt.computations.queries import Progress, is_computing, progress_of
from changemgmt.core.canonical import digest
from changemgmt.core.errors import NotPossible, existing

KEPT = timedelta(days=1)
FIRST_RING = timedelta(seconds=15)
State = ImpactQuestion.State


def ask_impact(question: dict[str, Any], *, actor: User, now: datetime) -> dict[str, Any] | ImpactQuestion:
    """The answer, or where more than `INLINE_ITEMS` components are asked about, the question that a worker answers. Unknown keys are Invalid.

    Who asks the same of the same architecture again gets the question that is there.
    """
    question = checked(question)
    if len(question["components"]) <= settings.INLINE_ITEMS:
        return impact_of_question(question, now=now)
    key = digest({"question": question, "architecture": architecture_token()})
    with transaction.atomic():
        ImpactQuestion.objects.filter(asked_at__lt=now - KEPT).delete()
        there = ImpactQuestion.objects.filter(key=key, by=actor.username, state__in=(State.RUNNING, State.READY)).first()
        if there:
            return there
        asked = ImpactQuestion.objects.create(key=key, question=question, by=actor.username, asked_at=now)
        data = {"components": len(question["components"]), "operation": question["operation"]}
        record("impact.asked", actor=actor.username, object=f"impact:{asked.pk}", now=now, data=data)
    return asked


def question_of(pk: int, *, actor: User) -> ImpactQuestion:
    """A question one has asked; NotFound for those of others."""
    return existing(ImpactQuestion.objects.filter(pk=pk, by=actor.username).first(), "You asked no such question, or it was longer than a day ago.")


def name_of(asked: ImpactQuestion) -> str:
    """The name under which it is computed: the same for all who ask the same."""
    return f"impact:{asked.key}"


def how_far(asked: ImpactQuestion) -> Progress | None:
    """How far it is, also before a worker has it; None when it has ended."""
    return (progress_of(name_of(asked)) or Progress()) if asked.state == State.RUNNING else None


def answer_impact(pk: int, *, now: datetime) -> None:
    """The task's part: answer a question, for everybody who asks the same. Asked again, or while somebody else does it, it changes nothing."""
    asked = ImpactQuestion.objects.filter(pk=pk, state=State.RUNNING).first()
    work = claim(name_of(asked)) if asked else None
    if asked is None or work is None:
        return
    same = ImpactQuestion.objects.filter(key=asked.key, state=State.RUNNING)
    try:
        with work:
            found = impact_of_question(asked.question, now=now, progress=work.at)
            with transaction.atomic():
                work.hold()
                same.update(state=State.READY, result=found, ended_at=now)
                work.end()
    except Lost:
        return
    except Cancelled as stop:
        _note_cancelled(asked, by=stop.by, now=now)
    except OperationalError:
        raise
    except Exception as error:
        same.update(state=State.FAILED, error=f"{type(error).__name__}: {error}"[:300], ended_at=now)
        raise


def cancel_impact(pk: int, *, actor: User, now: datetime) -> bool:
    """Cancel a question of one's own. True when that is done, False when whoever computes it stops at the next step.

    Where others ask the same, it is computed on for them.
    """
    asked = question_of(pk, actor=actor)
    if asked.state != State.RUNNING:
        raise NotPossible(f"This question is {asked.get_state_display()} already.")
    others = ImpactQuestion.objects.filter(key=asked.key, state=State.RUNNING).exclude(pk=pk).exists()
    if not others and ask_to_stop(name_of(asked), by=actor.username):
        return False
    _note_cancelled(asked, by=actor.username, now=now)
    if not others:
        note_cancelled(name_of(asked), subject="")
    return True


def _note_cancelled(asked: ImpactQuestion, *, by: str, now: datetime) -> None:
    with transaction.atomic():
        if ImpactQuestion.objects.filter(pk=asked.pk, state=State.RUNNING).update(state=State.CANCELLED, ended_at=now):
            record("impact.cancelled", actor=by, object=f"impact:{asked.pk}", now=now)


def left_questions(*, now: datetime) -> Iterator[int]:
    """Questions that nobody answers, since a message was lost or a worker died, by id."""
    for asked in ImpactQuestion.objects.filter(state=State.RUNNING, asked_at__lt=now - FIRST_RING):
        if not is_computing(name_of(asked)) and ring_once(name_of(asked)):
            yield asked.pk
