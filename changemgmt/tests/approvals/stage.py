"""The stage of the matrix: one change, everybody by their relation to it, and every state it can be in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.contrib.auth.models import Group

from changemgmt.accounts.models import Delegation, Identity, User
from changemgmt.approvals.models import Chain, Guest, RoundLevel, Seat
from changemgmt.changes.models import Assessment, Change, Template
from changemgmt.lifecycle import cancel, close, complete, edit, fail, revise, roll_back, schedule, start, submit, vote
from changemgmt.tests import estate
from changemgmt.tests.cast import make_person

from .making import a_chain, a_level, a_seat

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@dataclass
class Stage:
    """A change in one state, the seat that is knocked at, and the people by their relation to the change. Everybody is tried at one seat."""

    cast: Any
    now: datetime
    change: Change
    people: dict[str, User | None] = field(default_factory=dict)
    others: dict[str, User] = field(default_factory=dict)
    """Approvers without any other part, who are needed and do not come to the doors."""

    @cached_property
    def seat(self) -> Seat:
        """The first seat of the first level; the change has one round in this version."""
        return self.at("Peer")

    def at(self, label: str) -> Seat:
        seats = Seat.objects.filter(level__round__change=self.change, label=label).select_related("level__round__change")
        return seats.order_by("-level__round__number", "position")[0]

    @property
    def digest(self) -> str:
        return self.seat.level.digest

    @property
    def guest(self) -> User:
        return self.others["guest"]

    def person(self, who: str) -> User:
        return self.people.get(who) or self.others.get(who) or getattr(self.cast, who)

    def vote(self, who: str, label: str = "Peer", answer: str = "approve", **more: Any) -> None:
        seat = self.at(label)
        vote.cast_vote(seat.pk, actor=self.person(who), now=self.now, vote=answer, digest=seat.level.digest, comment="Said.", **more)

    def fresh(self) -> Change:
        return Change.objects.get(pk=self.change.pk)


def set_up(cast: Any, now: datetime) -> Stage:
    """A change of version 2 in review, one vote of three given at its first level, and everybody there is."""
    estate.build(now)
    a_chain(
        a_level(a_seat("approver", "Peer", required=4), a_seat("stakeholder", "Second"), rule="count", value=3, name="First", allow_guests=True),
        a_level(a_seat("security_lead", "Next"), number=2, name="Next", allow_guests=True),
        applies_when={"field": "type", "op": "eq", "value": "normal"},
    )
    Template.objects.create(slug="plain", name="Plain", type="normal")
    join(cast.rita, "approver"), join(cast.ian, "approver")
    draft = estate.draft(cast, now - DAY, template="plain")
    submit.submit(draft.number, actor=cast.rita, now=now - DAY)
    revise.revise(draft.number, actor=cast.rita, now=now - DAY, seen="*")
    edit.edit_change(draft.number, {"description": "Said better."}, actor=cast.rita, now=now - DAY, seen=None)
    submit.submit(draft.number, actor=cast.rita, now=now - DAY)
    others = {name: make_person(name.replace(" ", "."), ("approver",)) for name in NEEDED}
    stage = Stage(cast, now, estate.fresh(draft), able_people(cast), others)
    take_part(stage)
    stand_in(stage)
    strangers(stage)
    invite(stage)
    stage.vote("approver who voted")
    return stage


def join(user: User, *groups: str) -> User:
    user.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in groups))
    return user


ABLE = (
    "co-author", "author of an old version", "other account of the requester", "who set the risk", "former approver", "inactive approver",
    "service account", "approver", "approver who voted", "manager of the implementer who is asked", "token to read",
)  # fmt: skip
"""Everybody here is a member of the group that is asked: nothing but their relation to the change keeps them out."""
NEEDED = ("first to decide", "second to decide", "who asks", "away now", "away before", "away later", "away no more", "away elsewhere")


def able_people(cast: Any) -> dict[str, User | None]:
    people: dict[str, User | None] = {name: make_person(name.replace(" ", "."), ("approver",)) for name in ABLE}
    people["approver in two seats"] = make_person("two.seats", ("approver", "stakeholder"))
    return people | {"requester": cast.rita, "implementer": cast.ian}


def take_part(stage: Stage) -> None:
    """What people did to the change, and what became of them since they were asked."""
    people, change = stage.people, stage.change
    one = Identity.objects.create(name="one human being")
    User.objects.filter(pk__in=[people["requester"].pk, people["other account of the requester"].pk]).update(identity=one)
    change.authorships.create(version=change.version - 1, user=people["author of an old version"])
    change.authorships.create(version=change.version, user=people["co-author"])
    Assessment.objects.filter(change=change, version=change.version).update(override_by=people["who set the risk"])
    people["former approver"].groups.clear()
    User.objects.filter(pk=people["inactive approver"].pk).update(is_active=False)
    User.objects.filter(pk=people["service account"].pk).update(is_service=True)
    User.objects.filter(pk=people["implementer"].pk).update(manager=people["manager of the implementer who is asked"])
    for name in ("other account of the requester", "inactive approver", "service account", "requester", "implementer"):
        people[name].refresh_from_db()


def stand_in(stage: Stage) -> None:
    """A delegate for each who is away: by a delegation that holds, and by all those that don't."""
    now = stage.now
    span = {"starts_at": now - DAY, "ends_at": now + DAY}
    for name, giver, given in (
        ("delegate of the requester", "requester", span),
        ("delegate of the implementer", "implementer", span),
        ("delegate of an approver", "away now", span),
        ("delegate, expired by one second", "away before", {"starts_at": now - DAY, "ends_at": now - SECOND}),
        ("delegate, ending this second", "away before", {"starts_at": now - DAY, "ends_at": now}),
        ("delegate, beginning in one second", "away later", {"starts_at": now + SECOND, "ends_at": now + DAY}),
        ("delegate, revoked", "away no more", {**span, "revoked_at": now - SECOND}),
        ("delegate, out of scope", "away elsewhere", {**span, "scope_kind": "type", "scope_value": "major"}),
    ):
        delegator = stage.person(giver)
        delegate = stage.people[name] = make_person(name.replace(" ", ".").replace(",", ""))
        Delegation.objects.create(delegator=delegator, delegate=delegate, created_by=delegator, created_at=now - DAY, **given)
    further = stage.people["delegate of the delegate"] = make_person("delegate.of.delegate")
    delegate = stage.people["delegate of an approver"]
    Delegation.objects.create(delegator=delegate, delegate=further, created_by=delegate, created_at=now - DAY, **span)


def strangers(stage: Stage) -> None:
    """Those whom nobody asks at this seat, whatever else they are."""
    cast, people = stage.cast, stage.people
    other = estate.in_review(cast, stage.now, type="emergency", implementers=["otto"])
    assert other.rounds.last().levels.filter(seats__people=cast.eva).exists()
    people["manager of the implementer"] = make_person("boss")
    User.objects.filter(pk=people["manager of the implementer who is asked"].pk).update(manager=people["manager of the implementer"])
    people |= {
        "approver of another level": cast.sam,
        "approver of another change": cast.eva,
        "change manager, its owner": cast.max,
        "administrator": cast.ada,
        "superuser": make_person("root", is_superuser=True, is_staff=True),
        "auditor": cast.aud,
        "viewer": cast.vera,
        "outsider": cast.olga,
        "anonymous": None,
    }


def invite(stage: Stage) -> None:
    """A guest at this level and one at the next, of whom only the second comes to the doors: a guest never signs in."""
    stage.others["guest"] = asked_as_guest(stage, "guest", stage.seat)
    stage.people["guest of another level"] = asked_as_guest(stage, "other.guest", stage.at("Next"))


def asked_as_guest(stage: Stage, name: str, seat: Seat) -> User:
    user = User(username=name, is_guest=True, first_name="Gus")
    user.set_unusable_password()
    user.save()
    Guest.objects.create(
        seat=seat, user=user, name="Gus", email=f"{name}@example.net", second_channel=f"{name}@example.com", invited_by=stage.cast.max,
        invited_at=stage.now, expires_at=stage.now + DAY,
    )  # fmt: skip
    return user


# --- the states ---


def decided(stage: Stage, **last: Any) -> None:
    for name in ("first to decide", "second to decide"):
        stage.vote(name)
    stage.vote("sam", "Next", **last)


def in_state(name: str) -> Callable[[Stage], None]:
    return STATES[name]


def drafted(stage: Stage) -> None:
    revise.revise(stage.change.number, actor=stage.cast.rita, now=stage.now, seen="*")


def submitted(stage: Stage) -> None:
    """Handed in again, while no chain applies: its review can't begin."""
    drafted(stage)
    Chain.objects.update(in_force=None)
    submit.submit(stage.change.number, actor=stage.cast.rita, now=stage.now)


def asked(stage: Stage) -> None:
    vote.request_information(stage.seat.pk, actor=stage.person("who asks"), now=stage.now, question="Why?")


def with_conditions(stage: Stage) -> None:
    decided(stage, conditions=[{"text": "Tell the desk", "due": "before_close", "evidence": "statement", "owner": "ian"}])


def rejected(stage: Stage) -> None:
    decided(stage, answer="reject")


def scheduled(stage: Stage) -> None:
    decided(stage)
    schedule.schedule(
        stage.change.number, actor=stage.cast.max, now=stage.now, start=stage.now, end=stage.now + timedelta(hours=2), seen=stage.fresh().etag
    )


def implementing(stage: Stage) -> None:
    scheduled(stage)
    start.start(stage.change.number, actor=stage.cast.ian, now=stage.now, seen="*")


def implemented(stage: Stage) -> None:
    implementing(stage)
    estate.do_all_steps(stage.change, stage.cast, stage.now)
    complete.complete(stage.change.number, actor=stage.cast.ian, now=stage.now, seen="*")


def failed(stage: Stage) -> None:
    implementing(stage)
    fail.fail(stage.change.number, actor=stage.cast.ian, now=stage.now, reason="It broke.", seen="*")


def rolled_back(stage: Stage) -> None:
    implementing(stage)
    roll_back.roll_back(stage.change.number, actor=stage.cast.ian, now=stage.now, reason="It broke.", seen="*")


def closed(stage: Stage) -> None:
    implemented(stage)
    close.close(stage.change.number, actor=stage.cast.max, now=stage.now, result="successful", review={"summary": "Went well."}, seen="*")


def cancelled(stage: Stage) -> None:
    cancel.cancel(stage.change.number, actor=stage.cast.rita, now=stage.now, reason="Not needed.", seen="*")


def expired(stage: Stage) -> None:
    """Approved, and the approval ended this second."""
    decided(stage)
    Change.objects.filter(pk=stage.change.pk).update(approval_expires_at=stage.now)
    RoundLevel.objects.filter(round__change=stage.change).update(expires_at=stage.now)


STATES: dict[str, Callable[[Stage], None]] = {
    "draft": drafted,
    "submitted": submitted,
    "in_review": lambda stage: None,
    "info_requested": asked,
    "approved": decided,
    "approved_with_conditions": with_conditions,
    "rejected": rejected,
    "scheduled": scheduled,
    "implementing": implementing,
    "implemented": implemented,
    "failed": failed,
    "rolled_back": rolled_back,
    "closed": closed,
    "cancelled": cancelled,
    "approved, expired": expired,
}
