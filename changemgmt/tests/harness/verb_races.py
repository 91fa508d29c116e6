"""Races of the other verbs, on a database of their own: `python -m changemgmt.tests.harness.verb_races --help`.

As `races`: two threads behind a barrier, real connections, every scenario N times, counts as JSON, 1 if any round went wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from itertools import count
from typing import Any

from .races import NOW, ROOT, at_once, close_pools, database, prepare

PLANS = {"business_justification": "Needed.", "implementation_plan": "Do.", "rollback_plan": "Undo.", "owner": "max", "implementers": ["ian"]}


class Arena:
    """The people, one component, a chain of two, and a day of its own for every round."""

    def __init__(self) -> None:
        from changemgmt.architecture.actions import apply_operations
        from changemgmt.architecture.rules import Operation
        from changemgmt.tests.approvals.making import a_chain, a_level, a_seat
        from changemgmt.tests.cast import make_cast

        for package in ("architecture", "scheduling"):
            import_module(f"changemgmt.{package}.seed").seed(now=NOW)
        self.cast, self.days = make_cast(), count(1)
        a_chain(a_level(a_seat("approver", required=2), rule="count", value=2), name="Two of them")
        thing = {"name": "Database", "type": "Node", "layer": "technology", "criticality": 2}
        from django.db import transaction

        with transaction.atomic():
            apply_operations([Operation("create", "component", "shop/db", None, None, None, thing)], actor="ada", now=NOW, reason="arena")

    def morning(self) -> datetime:
        return NOW + timedelta(days=next(self.days))

    def draft(self, **fields: Any) -> Any:
        """Rita's draft that writes a version nobody wrote before, in one step."""
        from changemgmt.lifecycle import edit

        change = edit.create_change({"title": "A race", **PLANS, **fields}, actor=self.cast.rita, now=NOW)
        item = {"operation": "update", "object": "component", "key": "shop/db", "data": {"attributes": {"version": change.number}}}
        change = edit.add_items(change.number, [item], actor=self.cast.rita, now=NOW, seen=None)
        step = {"id": "do", "manual": True, "items": [change.items.get().pk], "compensation": {"action": "Undo."}}
        return edit.set_plan(change.number, {"steps": [step]}, actor=self.cast.rita, now=NOW, seen=None)

    def approved(self, **fields: Any) -> Any:
        from changemgmt.lifecycle.submit import submit

        change = submit(self.draft(**fields).number, actor=self.cast.rita, now=NOW)
        for position, voter in enumerate((self.cast.petra, self.cast.paul)):
            self.vote(change, voter, position)()
        return fresh(change)

    def scheduled(self, begins: datetime) -> Any:
        from changemgmt.lifecycle.schedule import schedule

        return schedule(self.approved().number, actor=self.cast.max, now=NOW, start=begins, end=begins + timedelta(hours=2), seen="*")

    def started(self, begins: datetime) -> Any:
        from changemgmt.lifecycle.start import start

        return start(self.scheduled(begins).number, actor=self.cast.ian, now=begins, seen="*")

    def vote(self, change: Any, voter: Any, position: int) -> Callable[[], object]:
        from changemgmt.approvals.models import Seat
        from changemgmt.lifecycle.vote import cast_vote

        seat = Seat.objects.filter(level__round__change=change).order_by("-level__round__number", "position")[position]
        digest = seat.level.digest
        return lambda: cast_vote(seat.pk, actor=again(voter), now=NOW, vote="approve", digest=digest)

    def give_up(self, *changes: Any) -> None:
        """What a round leaves behind stands in nobody's way."""
        from changemgmt.lifecycle.cancel import cancel

        for change in changes:
            if fresh(change).state not in ("cancelled", "implementing", "implemented"):
                cancel(change.number, actor=self.cast.max, now=NOW, reason="The round is over.", seen="*")


def again(user: Any) -> Any:
    from changemgmt.accounts.models import User

    return User.objects.get(pk=user.pk)


def fresh(change: Any) -> Any:
    from changemgmt.changes.models import Change

    return Change.objects.get(pk=change.pk)


def events(change: Any, action: str) -> int:
    from changemgmt.audit.models import Event

    return Event.objects.filter(change=change.number, action=action).count()


def refusals(results: list[object]) -> list[object]:
    return [result for result in results if isinstance(result, Exception)]


def expected(results: list[object]) -> bool:
    """One went through, the other was refused in words."""
    from changemgmt.core.errors import DomainError

    failed = refusals(results)
    return len(failed) == 1 and isinstance(failed[0], DomainError)


def two_starts(arena: Arena) -> str:
    """Begun twice at the same instant: one execution."""
    from changemgmt.lifecycle.start import start

    begins = arena.morning()
    change = arena.scheduled(begins)
    act = lambda: start(change.number, actor=again(arena.cast.ian), now=begins, seen="*")  # noqa: E731
    results = at_once(act, act)
    finish(arena, change, begins)
    return "decided" if expected(results) and change.executions.count() == events(change, "change.started") == 1 else f"doubled: {results}"


def finish(arena: Arena, change: Any, now: datetime) -> None:
    """Carry a started change to its end, so that the next round finds the implementer free."""
    from changemgmt.lifecycle.complete import complete
    from changemgmt.lifecycle.steps import finish_step

    execution = change.executions.last()
    if execution.tasks.filter(state="ready").exists():
        finish_step(execution.pk, "do", actor=arena.cast.ian, now=now)
    complete(change.number, actor=arena.cast.ian, now=now, seen="*")


def one_step_twice(arena: Arena) -> str:
    """The same step ticked twice at the same instant: done once, applied once."""
    from changemgmt.lifecycle.steps import finish_step

    begins = arena.morning()
    change = arena.started(begins)
    execution = change.executions.get().pk
    act = lambda: finish_step(execution, "do", actor=again(arena.cast.ian), now=begins)  # noqa: E731
    results = at_once(act, act)
    counts = [events(change, action) for action in ("task.finished", "architecture.applied")]
    finish(arena, change, begins)
    return "decided" if expected(results) and counts == [1, 1] else f"doubled: {counts} {results}"


def two_windows(arena: Arena) -> str:
    """Two changes of one component into one window at the same instant: one of them gets it."""
    from changemgmt.lifecycle.schedule import schedule

    begins = arena.morning()
    changes = [arena.approved(), arena.approved(implementers=["quinn"])]
    acts = [
        lambda change=change: schedule(change.number, actor=again(arena.cast.max), now=NOW, start=begins, end=begins + timedelta(hours=2), seen="*")
        for change in changes
    ]
    results = at_once(*acts)
    states = sorted(fresh(change).state for change in changes)
    arena.give_up(*changes)
    return "decided" if expected(results) and states == ["approved", "scheduled"] else f"doubled: {states} {results}"


def two_numbers(arena: Arena) -> str:
    """Two changes drafted at the same instant: two numbers, without a gap."""
    from changemgmt.lifecycle import edit

    act = lambda: edit.create_change({"title": "A number"}, actor=again(arena.cast.rita), now=NOW)  # noqa: E731
    results = at_once(act, act)
    if refusals(results):
        return f"failed: {results}"
    first, second = sorted(int(change.number.rpartition("-")[2]) for change in results)
    return "decided" if second == first + 1 else f"doubled: {first} {second}"


def submit_against_edit(arena: Arena) -> str:
    """Handed in while it is edited: what is signed is what is stored."""
    from changemgmt.changes.digest import digest_of, parts_of
    from changemgmt.lifecycle import edit
    from changemgmt.lifecycle.submit import submit

    change = arena.draft()
    seen = fresh(change).etag
    results = at_once(
        lambda: submit(change.number, actor=again(arena.cast.rita), now=NOW, seen=seen),
        lambda: edit.edit_change(change.number, {"description": "Something else."}, actor=again(arena.cast.rita), now=NOW, seen=seen),
    )
    stored = fresh(change)
    signed = stored.state == "draft" or digest_of(parts_of(stored)) == stored.digest
    arena.give_up(change)
    from changemgmt.core.errors import DomainError

    worded = all(isinstance(failed, DomainError) for failed in refusals(results))
    return "decided" if signed and worded else f"failed: {stored.state} {results}"


def item_against_vote(arena: Arena) -> str:
    """The last vote against a new item: never approved with an item nobody saw."""
    from changemgmt.core.errors import OutOfDate
    from changemgmt.lifecycle import edit
    from changemgmt.lifecycle.submit import submit

    change = submit(arena.draft().number, actor=arena.cast.rita, now=NOW)
    arena.vote(change, arena.cast.petra, 0)()
    seen = fresh(change).etag
    item = {
        "operation": "create",
        "object": "component",
        "key": f"new/{change.number}",
        "data": {"name": "New", "type": "Node", "layer": "technology"},
    }
    results = at_once(
        arena.vote(change, arena.cast.paul, 1),
        lambda: edit.add_items(change.number, [item], actor=again(arena.cast.rita), now=NOW, seen=seen),
    )
    stored = fresh(change)
    unseen = stored.items.count() == 2 and stored.state != "in_review"
    arena.give_up(change)
    strange = [failed for failed in refusals(results) if not isinstance(failed, OutOfDate)]
    return "approved unseen" if unseen else f"failed: {strange}" if strange else "decided"


def two_orders(arena: Arena) -> str:
    """Each made to wait for the other at the same instant: the circle is not closed."""
    from changemgmt.changes.models import Link
    from changemgmt.lifecycle import edit

    one, two = (edit.create_change({"title": name}, actor=arena.cast.rita, now=NOW) for name in ("One", "Two"))

    def tie(first: Any, then: Any) -> Callable[[], object]:
        return lambda: edit.link(first.number, {"kind": "depends_on", "target": then.number}, actor=again(arena.cast.rita), now=NOW, seen=None)

    results = at_once(tie(one, two), tie(two, one))
    links = Link.objects.filter(change__in=[one.pk, two.pk]).count()
    return "decided" if expected(results) and links == 1 else f"doubled: {links} {results}"


def start_against_cancel(arena: Arena) -> str:
    """Begun while it is given up: one of the two, whole."""
    from changemgmt.lifecycle.cancel import cancel
    from changemgmt.lifecycle.start import start

    begins = arena.morning()
    change = arena.scheduled(begins)
    results = at_once(
        lambda: start(change.number, actor=again(arena.cast.ian), now=begins, seen="*"),
        lambda: cancel(change.number, actor=again(arena.cast.rita), now=begins, reason="No.", seen="*"),
    )
    state, runs = fresh(change).state, change.executions.count()
    if state == "implementing":
        finish(arena, change, begins)
    return "decided" if expected(results) and (state, runs) in {("implementing", 1), ("cancelled", 0)} else f"failed: {state} {runs} {results}"


def one_link_twice(arena: Arena) -> str:
    """A link of a mail pressed twice, and its sibling, at the same instant: one vote."""
    from changemgmt.approvals.links import make_offer
    from changemgmt.approvals.models import Seat, Vote
    from changemgmt.core.errors import Gone
    from changemgmt.lifecycle.mail_links import use_link
    from changemgmt.lifecycle.submit import submit

    change = submit(arena.draft().number, actor=arena.cast.rita, now=NOW)
    seat = Seat.objects.filter(level__round__change=change, state="open").select_related("level__round__change").first()
    offer = make_offer(seat, arena.cast.petra, now=NOW, expires_at=NOW + timedelta(hours=72))
    paths = [offer.approve, offer.approve, offer.reject]
    results = at_once(*[lambda path=path: use_link(path.split("/")[-2], viewer=None, now=NOW, comment="By mail") for path in paths])
    votes = Vote.objects.filter(level__round__change=change).count()
    arena.give_up(change)
    gone = [failed for failed in refusals(results) if isinstance(failed, Gone)]
    return "decided" if (votes, len(gone), events(change, "mail_link.used")) == (1, 2, 1) else f"doubled: {votes} {results}"


def one_code_twice(arena: Arena) -> str:
    """One code of a second factor for two signatures at the same instant: it counts for one of them."""
    from django.db import transaction

    from changemgmt.accounts.second_factor import make_device, remove_devices
    from changemgmt.approvals.models import Seat
    from changemgmt.lifecycle.signature import WrongFactor, check_signature, signing
    from changemgmt.lifecycle.submit import submit
    from changemgmt.tests.accounts.test_second_factor import code_of
    from changemgmt.tests.cast import PASSWORD

    moment = arena.morning()
    remove_devices(arena.cast.petra)
    device = make_device(arena.cast.petra)
    type(device).objects.update(confirmed=True)
    change = submit(arena.draft().number, actor=arena.cast.rita, now=NOW)
    seat = Seat.objects.filter(level__round__change=change).select_related("level__round__change").first()
    seat.level.settings["require_signature"] = True

    def sign() -> object:
        with signing(arena.cast.petra, now=moment), transaction.atomic():
            return check_signature(seat, again(arena.cast.petra), password=PASSWORD, code=code_of(device, moment), now=moment)

    results = at_once(sign, sign)
    arena.give_up(change)
    return "decided" if len([failed for failed in refusals(results) if isinstance(failed, WrongFactor)]) == 1 else f"doubled: {results}"


def start_against_withdrawal(arena: Arena) -> str:
    """Begun while an approver takes their vote back: never under way without that vote, and never neither of the two."""
    from changemgmt.approvals.models import Vote
    from changemgmt.lifecycle.start import start
    from changemgmt.lifecycle.vote import withdraw_vote

    begins = arena.morning()
    change = arena.scheduled(begins)
    vote = Vote.objects.get(level__round__change=change, by=arena.cast.petra)
    results = at_once(
        lambda: start(change.number, actor=again(arena.cast.ian), now=begins, seen="*"),
        lambda: withdraw_vote(vote.seat_id, actor=again(arena.cast.petra), now=begins, reason="I read it again."),
    )
    state, runs, counts = fresh(change).state, change.executions.count(), not Vote.objects.get(pk=vote.pk).superseded
    finish(arena, change, begins) if state == "implementing" else arena.give_up(change)
    settled = (state, runs, counts) in {("implementing", 1, True), ("in_review", 0, False)}
    return "decided" if expected(results) and settled else f"failed: {state} {runs} {counts} {results}"


def two_delegations(arena: Arena) -> str:
    """Two people give each other their votes at the same instant: one of the two does."""
    from changemgmt.accounts.models import Delegation
    from changemgmt.lifecycle.delegate import delegate, revoke_delegation

    pair = (arena.cast.petra, arena.cast.paul)
    results = at_once(
        *[
            lambda giver=giver, taker=taker: delegate(taker.username, actor=again(giver), now=NOW, ends_at=NOW + timedelta(days=1))
            for giver, taker in (pair, pair[::-1])
        ]
    )
    rows = list(Delegation.objects.filter(revoked_at=None))
    for row in rows:
        revoke_delegation(row.pk, actor=row.delegator, now=NOW)
    return "decided" if expected(results) and len(rows) == 1 else f"doubled: {len(rows)} {results}"


def vote_against_revocation(arena: Arena) -> str:
    """A stand-in votes while the delegation is revoked: no vote by a revoked delegation counts while its level is open."""
    from changemgmt.accounts.models import Delegation
    from changemgmt.approvals.models import Vote
    from changemgmt.core.errors import DomainError
    from changemgmt.lifecycle.delegate import delegate, revoke_delegation
    from changemgmt.lifecycle.submit import submit

    change = submit(arena.draft().number, actor=arena.cast.rita, now=NOW)
    row = delegate("quinn", actor=arena.cast.petra, now=NOW, ends_at=NOW + timedelta(days=1))
    results = at_once(arena.vote(change, arena.cast.quinn, 0), lambda: revoke_delegation(row.pk, actor=again(arena.cast.petra), now=NOW))
    stale = Vote.objects.filter(delegation=row, superseded=False).exists()
    revoked = Delegation.objects.get(pk=row.pk).revoked_at is not None
    arena.give_up(change)
    strange = [failed for failed in refusals(results) if not isinstance(failed, DomainError)]
    return "decided" if revoked and not stale and not strange else f"stale: {stale} {results}"


def shown(arena: Arena, source: str, version: str) -> Callable[[], Any]:
    """An import by which the source shows its one thing in this version."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    from changemgmt.architecture.importers.files import of_upload
    from changemgmt.lifecycle.import_architecture import import_architecture

    table = f"key,type,version\n{source},Node,{version}\n".encode()

    def imported() -> Any:
        files = of_upload(SimpleUploadedFile("nodes.csv", table))
        return import_architecture(files, actor=again(arena.cast.max), now=NOW, format="csv", source=source)

    return imported


def drifting(arena: Arena) -> str:
    """The name of a controlled source that had its first import."""
    from changemgmt.architecture.models import Source

    source = f"race/{next(arena.days)}"
    shown(arena, source, "1")()
    Source.objects.filter(name=source).update(controlled=True)
    return source


def two_imports_of_drift(arena: Arena) -> str:
    """Two imports of a controlled source at the same instant: both are done, one case is opened, once."""
    from changemgmt.audit.models import Event
    from changemgmt.preview.models import DriftCase, DriftRow

    source = drifting(arena)
    results = at_once(shown(arena, source, "2"), shown(arena, source, "2"))
    found = list(DriftCase.objects.filter(source=source))
    told = Event.objects.filter(action="drift.opened", object=f"drift:{found[0].pk}").count() if found else 0
    settled = len(found) == told == DriftRow.objects.filter(case__in=found).count() == 1 and not refusals(results)
    return "decided" if settled else f"doubled: {len(found)} {told} {results}"


def two_adoptions(arena: Arena) -> str:
    """A case adopted twice at the same instant: one draft is made."""
    from changemgmt.changes.models import Change
    from changemgmt.lifecycle.decide_drift import adopt_drift

    run = shown(arena, drifting(arena), "2")()
    drafts = Change.objects.filter(title__startswith=f"Adopt what {run.source} shows")
    act = lambda: adopt_drift(run.drift_case, actor=again(arena.cast.max), now=NOW)  # noqa: E731
    results = at_once(act, act)
    return "decided" if expected(results) and drafts.count() == 1 else f"doubled: {drafts.count()} {results}"


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        two_starts,
        one_step_twice,
        two_windows,
        two_numbers,
        submit_against_edit,
        item_against_vote,
        two_orders,
        start_against_cancel,
        start_against_withdrawal,
        one_link_twice,
        one_code_twice,
        two_delegations,
        vote_against_revocation,
        two_imports_of_drift,
        two_adoptions,
    )
}


def run(kind: str, rounds: int, scenarios: list[str]) -> dict[str, Any]:
    """Every scenario `rounds` times; how often it came out right, and what else came out."""
    report: dict[str, Any] = {"database": kind, "rounds": rounds}
    with database(kind):
        prepare()
        arena = Arena()
        for name in scenarios:
            outcomes = Counter(SCENARIOS[name](arena) for _ in range(rounds))
            report[name] = {"decided": outcomes.pop("decided", 0), "other": outcomes}
        close_pools()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="all unless given")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    report = run(asked.database, asked.rounds, asked.scenario or list(SCENARIOS))
    print(json.dumps(report, indent=2))
    return 0 if all(entry["decided"] == asked.rounds for entry in report.values() if isinstance(entry, dict)) else 1


if __name__ == "__main__":
    sys.exit(main())
