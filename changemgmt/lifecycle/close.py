"""Close: reviewed, and nothing owed any more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import people_with_role
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Power, Round, Seat, Vote
from changemgmt.approvals.sitting import eligible
from changemgmt.changes.fields import Mistake, text
from changemgmt.changes.models import APPROVED, OPEN, Change, Result, State, Template, Type, TypePolicy
from changemgmt.core.errors import Invalid
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.execution.queries import open_execution

from . import may
from .guards import conditions, name, people_of
from .move import check_seen, legal, locked, move

RESULTS = {
    State.IMPLEMENTED: (Result.SUCCESSFUL, Result.ISSUES, Result.FAILED),
    State.ROLLED_BACK: (Result.ROLLED_BACK,),
    State.FAILED: (Result.FAILED,),
}
REVIEW = ("summary", "lessons", "issues", "criteria")


def may_close(change: Change, *, actor: User, review: dict[str, Any] | None = None, viewer: User | None = None) -> Verdict:
    """Review where the type demands it, by somebody who may write it; action items done, children closed, a retrospective approval decided.

    Changes that the `viewer` (the actor, unless somebody else reads the answer) may not see are not named.
    """
    refusal = may.owner_or_manager(actor, change)
    if refusal or not legal(change, "close"):
        return Verdict(refusal=refusal, impossible=f"A change that is {change.get_state_display().lower()} can't be closed.")
    if open_execution(change):
        return Verdict(impossible="It is being rolled back: wait until that has ended.")
    found = review_given(change, actor, review)
    found += conditions(change, ["before_schedule", "before_start", "during", "before_close"], "conditions_before_close")
    children = change.children.filter(state__in=[*OPEN, State.ROLLED_BACK])
    reader = viewer or actor
    found += [Guard("children_closed", f"Its part {name(child, reader)} is not closed.", people_of(child, reader)) for child in children]
    return Verdict(guards=(*found, *retrospective_decided(change)))


def review_given(change: Change, actor: User, review: dict[str, Any] | None) -> list[Guard]:
    """At least a summary where the type demands one. What was an emergency is reviewed by somebody who neither asked for it nor gave its go-ahead."""
    part = own_part(change).get(actor.person)
    if part:
        message = f"An emergency is reviewed by somebody else: you (or another account of yours) {part}."
        return [Guard("review_given", message, reviewers(change))]
    policy = TypePolicy.objects.filter(type=change.type).first()
    given = (review or change.review or {}).get("summary", "")
    if ((policy and policy.review_required) or change.retrospective) and not str(given).strip():
        return [Guard("review_given", "This change needs a post-implementation review: at least its summary.", reviewers(change))]
    return []


def own_part(change: Change) -> dict[str, str]:
    """Who may not review an emergency, and why: one human being does not ask for it, let it run and judge it."""
    if change.type != Type.EMERGENCY and not change.retrospective:
        return {}
    gave = {change.go_ahead_by.person: "gave its go-ahead"} if change.go_ahead_by else {}
    return {change.requester.person: "requested it", **gave}


def reviewers(change: Change) -> tuple[str, ...]:
    """Who may review and close it: its owner and the change managers, less those who may not judge it."""
    people = {person.pk: person for person in [*([change.owner] if change.owner else []), *people_with_role("change_manager")]}
    barred = own_part(change)
    return tuple(person.username for person in people.values() if person.person not in barred)


def retrospective_decided(change: Change) -> list[Guard]:
    """What ran on a go-ahead was approved afterwards; or rejected, and then rolled back or followed up by another change."""
    last = change.rounds.last()
    if not change.retrospective or (last is not None and last.outcome in APPROVED):
        return []
    if last is None or last.outcome != Round.Outcome.REJECTED:
        return [Guard("retrospective_decided", "It ran on a go-ahead; its approval is not decided yet.", deciders(last) or may.managers(change))]
    if change.state == State.ROLLED_BACK or followed_up(change):
        return []
    message = "Its approval was rejected afterwards: roll it back, or draft a normal change that follows it up and link that to this one."
    return [Guard("retrospective_decided", message, (*may.managers(change), change.requester.username))]


def deciders(round: Round | None) -> tuple[str, ...]:
    """The people whose vote at an open seat of the round is missing."""
    if round is None:
        return ()
    seats = list(Seat.objects.filter(level__round=round, state=Seat.State.OPEN).exclude(power=Power.ADVISORY).select_related("level__round__change"))
    voted = set(Vote.objects.filter(level__round=round, superseded=False).values_list("level", "person"))
    able = eligible(seats, involved_persons(round.change)) if seats else {}
    return tuple(sorted({user.username for seat in seats for user in able[seat.pk] if (seat.level_id, user.person) not in voted}))


def followed_up(change: Change) -> bool:
    """Whether another change that is no emergency and is not given up is linked to this one, copied from it or part of it."""
    tied = Q(links__other=change) | Q(linked_from__change=change) | Q(copied_from=change) | Q(parent=change)
    others = Change.objects.filter(tied, created_at__gte=change.created_at).exclude(pk=change.pk)
    return others.exclude(state=State.CANCELLED).exclude(type=Type.EMERGENCY).exists()


def clean_review(review: Any) -> dict[str, Any]:
    """The post-implementation review: texts, and the answers to the criteria as given."""
    if not isinstance(review, dict) or review.keys() - set(REVIEW):
        raise Invalid.field("review", f"An object with {', '.join(REVIEW)}.")
    try:
        return {
            name: value if name == "criteria" and isinstance(value, list) and len(value) <= 100 else text(20_000)(value)
            for name, value in review.items()
        }
    except Mistake as mistake:
        raise Invalid.field("review", str(mistake)) from None


def fitting_result(change: Change, result: str | None) -> Result:
    """The result it ends with: said by who closes it, but where its state leaves one only. Invalid at `result` else."""
    if result is not None and result not in Result.values:
        raise Invalid.field("result", f"One of {', '.join(Result.values)}.")
    fitting = RESULTS.get(State(change.state), ())
    if result is None and len(fitting) > 1:
        raise Invalid.field("result", f"Say how it ended: {' or '.join(fitting)}.")
    if fitting and result is not None and result not in fitting:
        raise Invalid.field("result", f"A change that is {change.get_state_display().lower()} ends as {' or '.join(fitting)}.")
    return Result(result) if result else next(iter(fitting), Result.SUCCESSFUL)


def close(
    number: str,
    *,
    actor: User,
    now: datetime,
    result: str | None = None,
    review: dict[str, Any] | None = None,
    comment: str = "",
    seen: str | None = None,
) -> Change:
    """End the record with its result and its review."""
    with transaction.atomic():
        change = locked(number, actor)
        Verdict(refusal=may.owner_or_manager(actor, change)).enforce()
        review = clean_review(review) if review else {}
        result = fitting_result(change, result)
        may_close(change, actor=actor, review=review).enforce()
        check_seen(change, seen)
        change.result, change.review, change.closed_at = result, review or change.review, now
        move(change, "close", actor=actor, now=now, comment=comment, data={"result": result, "review": change.review})
        if change.template_id:
            good = 1 if result in {Result.SUCCESSFUL, Result.ISSUES} else 0
            Template.objects.filter(slug=change.template_id).update(uses=F("uses") + 1, finished=F("finished") + 1, successes=F("successes") + good)
    return change
