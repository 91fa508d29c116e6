"""A small architecture, and a change on it ready to be handed in: what tests of verbs, doors and commands begin with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.approvals.models import Seat
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.models import Component, Relation
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.changes.models import Change
from changemgmt.lifecycle import edit, schedule, start, steps, submit, vote

THINGS = (
    ("shop/db", "Database", "Node", "technology"),
    ("shop/api", "API", "ApplicationComponent", "application"),
    ("shop/checkout", "Checkout", "BusinessProcess", "business"),
)
SERVES = (("shop/db", "shop/api"), ("shop/api", "shop/checkout"))
UPGRADE = {"operation": "update", "object": "component", "key": "shop/db", "data": {"attributes": {"version": "16"}}}
CUT = {"operation": "delete", "object": "relation", "key": "shop/api>shop/checkout"}
RECORD = {
    "title": "Upgrade the database",
    "business_justification": "Support ends.",
    "implementation_plan": "Upgrade in place.",
    "rollback_plan": "Restore the snapshot.",
    "testing_evidence": "Rehearsed.",
    "owner": "max",
    "implementers": ["ian"],
}


def build(now: datetime) -> None:
    """Three components over three layers: the database serves the API, the API serves the checkout."""
    made = [
        Operation("create", "component", key, None, None, None, {"name": name, "type": type, "layer": layer, "criticality": 4})
        for key, name, type, layer in THINGS
    ]
    tied = [Operation("create", "relation", f"{source}>{target}", source, target, "serving", {}) for source, target in SERVES]
    apply_operations([*made, *tied], actor="ada", now=now, reason="estate")


def draft(cast: Any, now: datetime, **fields: Any) -> Change:
    """Rita's draft: a new version of the database and the end of one relation, done in two steps by Ian."""
    change = edit.create_change(RECORD | fields, actor=cast.rita, now=now)
    change = edit.add_items(change.number, [UPGRADE, CUT], actor=cast.rita, now=now, seen=None)
    first, second = change.items.all()
    plan = {
        "steps": [
            {"id": "upgrade", "name": "Upgrade", "manual": True, "items": [first.pk], "compensation": {"action": "Restore"}},
            {
                "id": "cut",
                "name": "Cut",
                "manual": True,
                "items": [second.pk],
                "verification": {"action": "Look"},
                "compensation": {"action": "Connect"},
            },
        ]
    }
    return edit.set_plan(change.number, plan, actor=cast.rita, now=now, seen=None)


def decide(change: Change, now: datetime, *, answer: str = "approve") -> Change:
    """Everybody who is asked gives this answer, level after level, until nobody is asked any more."""
    while seat := Seat.objects.filter(level__round__change=change, state="open").exclude(power="advisory").order_by("pk").first():
        actor = seat.people.exclude(votes__level=seat.level).order_by("pk").first()
        vote.cast_vote(seat.pk, actor=User.objects.get(pk=actor.pk), now=now, vote=answer, digest=seat.level.digest, comment="Said.")
    return fresh(change)


def in_review(cast: Any, now: datetime, **fields: Any) -> Change:
    return submit.submit(draft(cast, now, **fields).number, actor=cast.rita, now=now)


def approved(cast: Any, now: datetime, **fields: Any) -> Change:
    return decide(in_review(cast, now, **fields), now)


def scheduled(cast: Any, now: datetime, *, begins: datetime, ends: datetime, **fields: Any) -> Change:
    change = approved(cast, now, **fields)
    return schedule.schedule(change.number, actor=cast.max, now=now, start=begins, end=ends, seen=change.etag)


def implementing(cast: Any, now: datetime, *, begins: datetime, ends: datetime, **fields: Any) -> Change:
    change = scheduled(cast, now, begins=begins, ends=ends, **fields)
    return start.start(change.number, actor=cast.ian, now=begins, seen=change.etag)


def do_all_steps(change: Change, cast: Any, now: datetime) -> None:
    execution = change.executions.get()
    for step in ("upgrade", "cut", "cut"):
        steps.finish_step(execution.pk, step, actor=cast.ian, now=now)


def fresh(change: Change) -> Change:
    return Change.objects.get(pk=change.pk)


def snapshot() -> tuple[dict[str, Any], dict[str, Any]]:
    """The architecture without revisions and times."""
    components = {row["key"]: {name: value for name, value in row.items() if name not in ("id", "revision")} for row in Component.objects.values()}
    relations = {row["key"]: {name: value for name, value in row.items() if name not in ("id", "revision")} for row in Relation.objects.values()}
    return components, relations


def last_event(action: str) -> dict[str, Any]:
    """The last event of this action as the record shows it."""
    return representations([Event.objects.filter(action=action).latest("pk")])[0]
