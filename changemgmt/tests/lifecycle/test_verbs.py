"""What every verb of a change has in common: it works, it records, it refuses the outsider, the wrong moment and the stale version."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changemgmt.accounts.models import User
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.core.errors import NotFound, NotPermitted, NotPossible, OutOfDate, PreconditionMissing
from changemgmt.lifecycle import (
    assess,
    cancel,
    close,
    complete,
    edit,
    fail,
    go_ahead,
    reopen,
    revise,
    roll_back,
    schedule,
    start,
    submit,
    verify_results,
)
from changemgmt.tests import estate

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Verb:
    """How a verb is called, who may, from where it goes and from where it does not, and what stands on the record."""

    name: str
    begin: str
    by: str
    does: Callable[..., Any]
    action: str
    ends: str
    wrong: str
    arguments: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    outsiders: tuple[str, ...] = ("vera", "olga", "aud", "petra", "ada")


def window(now: datetime) -> dict[str, datetime]:
    return {"begins": now + timedelta(hours=1), "ends": now + timedelta(hours=3)}


def begun(name: str, cast: Any, now: datetime, **fields: Any) -> Change:
    """A change brought to where a verb begins, through the verbs."""
    early = {"draft": estate.draft, "in_review": estate.in_review, "approved": estate.approved}
    if name in early:
        return estate.fresh(early[name](cast, now, **fields))
    if name == "rejected":
        return estate.decide(estate.in_review(cast, now, **fields), now, answer="reject")
    if name == "scheduled":
        return estate.fresh(estate.scheduled(cast, now, **window(now), **fields))
    change = estate.implementing(cast, now, **window(now), **fields)
    later = now + timedelta(hours=1)
    if name != "implementing":
        estate.do_all_steps(change, cast, later)
    if name == "implemented":
        complete.complete(change.number, actor=cast.ian, now=later, seen="*")
    return estate.fresh(change)


VERBS = [
    Verb("edit_change", "draft", "rita", edit.edit_change, "change.updated", "draft", "rejected", {"fields": {"description": "More."}}),
    Verb("amend", "in_review", "rita", edit.edit_change, "change.amended", "in_review", "implementing", {"fields": {"description": "More."}}),
    Verb("edit_title", "implementing", "rita", edit.edit_change, "change.updated", "implementing", "closed", {"fields": {"title": "More."}}),
    Verb(
        "add_items",
        "draft",
        "rita",
        edit.add_items,
        "change.updated",
        "draft",
        "implementing",
        {"items": [{"operation": "update", "object": "component", "key": "shop/api", "data": {"name": "The API"}}]},
    ),
    Verb("set_plan", "scheduled", "rita", edit.set_plan, "change.amended", "in_review", "implementing", {"plan": {"steps": []}}),
    Verb("attach", "draft", "rita", edit.attach, "change.updated", "draft", "implementing", {"file": SimpleUploadedFile("a.txt", b"a")}),
    Verb("link", "draft", "rita", edit.link, "change.updated", "draft", "implementing", {"fields": {"kind": "incident", "target": "INC1"}}),
    Verb("answer", "in_review", "rita", assess.answer, "change.amended", "in_review", "implementing", {"answers": {"revenue": 1}}),
    Verb("submit", "draft", "rita", submit.submit, "change.submitted", "in_review", "in_review"),
    Verb("revise", "scheduled", "rita", revise.revise, "change.revised", "draft", "implementing"),
    Verb("cancel", "scheduled", "rita", cancel.cancel, "change.cancelled", "cancelled", "implementing", {"reason": "Not needed."}),
    Verb(
        "go_ahead",
        "in_review",
        "eva",
        go_ahead.emergency_go_ahead,
        "change.go_ahead_given",
        "scheduled",
        "approved",
        {"reason": "It burns."},
        {"type": "emergency"},
    ),
    Verb("start", "scheduled", "ian", start.start, "change.started", "implementing", "approved", outsiders=("vera", "olga", "max", "rita")),
    Verb("complete", "done", "ian", complete.complete, "change.completed", "implemented", "scheduled", outsiders=("vera", "olga", "max", "rita")),
    Verb(
        "fail", "implementing", "ian", fail.fail, "change.failed", "failed", "scheduled", {"reason": "It broke."}, outsiders=("vera", "olga", "max")
    ),
    Verb("roll_back", "implemented", "max", roll_back.roll_back, "execution.rolling_back", "implemented", "scheduled", {"reason": "Errors."}),
    Verb(
        "close",
        "implemented",
        "max",
        close.close,
        "change.closed",
        "closed",
        "implementing",
        {"result": "successful"},
        outsiders=("vera", "rita", "ian"),
    ),
    Verb("record_results", "implementing", "ian", verify_results.record_results, "change.verified", "implementing", "in_review", {"results": {}}),
    Verb("reopen_as_new", "rejected", "rita", reopen.reopen_as_new, "change.copied", "rejected", "in_review"),
]
SCHEDULE = Verb("schedule", "approved", "max", schedule.schedule, "change.scheduled", "scheduled", "in_review", outsiders=("vera", "rita", "ian"))


def called(verb: Verb, change: Change, actor: User, now: datetime, **more: Any) -> Any:
    if verb.begin in ("scheduled", "done", "implementing", "implemented"):
        now += timedelta(hours=1)
    return verb.does(change.number, actor=actor, now=now, **{"seen": change.etag, **verb.arguments, **more})


def by_name(verb: Verb) -> str:
    return verb.name


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.mark.parametrize("verb", VERBS, ids=by_name)
def test_it_works_and_records_and_refuses_the_outsider_and_the_stale_version(cast, shop, now, verb):
    change = begun(verb.begin, cast, now, **verb.fields)
    before = Event.objects.filter(action=verb.action).count()
    for name in verb.outsiders:
        with pytest.raises(NotPermitted):
            called(verb, change, getattr(cast, name), now)
    with pytest.raises(OutOfDate):
        called(verb, change, getattr(cast, verb.by), now, seen="9.9")
    if verb.begin != "draft" and verb.name != "record_results":
        with pytest.raises(PreconditionMissing):
            called(verb, change, getattr(cast, verb.by), now, seen=None)
    unchanged = estate.fresh(change)
    assert (unchanged.state, unchanged.etag, Event.objects.filter(action=verb.action).count()) == (change.state, change.etag, before)
    called(verb, change, getattr(cast, verb.by), now)
    event = estate.last_event(verb.action)
    assert estate.fresh(change).state == verb.ends and event["actor"] == verb.by and Event.objects.filter(action=verb.action).count() == before + 1


@pytest.mark.parametrize("verb", VERBS, ids=by_name)
def test_the_wrong_moment_is_refused_and_stores_nothing(cast, shop, now, verb):
    wrong = "implemented" if verb.wrong == "closed" else verb.wrong
    change = begun(wrong, cast, now, **verb.fields)
    if verb.wrong == "closed":
        change = close.close(change.number, actor=cast.max, now=now, result="successful", seen=change.etag)
    events = Event.objects.count()
    with pytest.raises(NotPossible):
        called(verb, change, getattr(cast, verb.by), now)
    assert estate.fresh(change).etag == change.etag and Event.objects.count() == events


def test_a_confidential_change_is_not_there_for_an_outsider(cast, shop, now):
    change = estate.draft(cast, now, confidential=True)
    for verb in [*VERBS, SCHEDULE]:
        extra = {"start": now, "end": now + timedelta(hours=1)} if verb is SCHEDULE else {}
        with pytest.raises(NotFound):
            called(verb, change, cast.vera, now, **extra)


def test_schedule_works_and_refuses(cast, shop, now):
    change = begun("approved", cast, now)
    times = {"start": now + timedelta(hours=1), "end": now + timedelta(hours=2)}
    for name in SCHEDULE.outsiders:
        with pytest.raises(NotPermitted):
            called(SCHEDULE, change, getattr(cast, name), now, **times)
    with pytest.raises(OutOfDate):
        called(SCHEDULE, change, cast.max, now, seen="9.9", **times)
    called(SCHEDULE, change, cast.max, now, **times)
    event = estate.last_event("change.scheduled")
    assert event["actor"] == "max" and event["data"]["start"] == "2026-11-20T10:00:00Z" and estate.fresh(change).planned_start == times["start"]
    again = estate.fresh(change)
    moved = called(SCHEDULE, again, cast.max, now, start=now + timedelta(hours=4), end=now + timedelta(hours=5))
    assert moved.state == "scheduled" and moved.planned_start == now + timedelta(hours=4)
    with pytest.raises(NotPossible):
        called(SCHEDULE, begun("in_review", cast, now), cast.max, now, **times)
