"""What an import of a controlled source shows and nobody requested: one case for each burst, opened, kept up to date, and settled."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.architecture.imports import Plan, claim_what_is_there
from changemgmt.architecture.models import ImportRun
from changemgmt.architecture.rules import Image
from changemgmt.audit.actions import record
from changemgmt.changes.models import State
from changemgmt.preview.drift_cases import UNDER_WAY, requested
from changemgmt.preview.models import DriftCase, DriftRow
from changemgmt.preview.sources import Followed, drifted, fields_of, follow, key_of

BATCH = 2000
# So many things are named in an event of a case; the case itself has all of them.
MOST_NAMED = 200
ADOPTED = (State.IMPLEMENTED, State.CLOSED)


def note_drift(plan: Plan, run: ImportRun, *, actor: User, now: datetime) -> int | None:
    """Bring the case of the source up to what the plan of its import shows; answers its id, None where there is none.

    Nothing is written to the architecture. A case is opened where something differs that no approved change is about to do.
    The caller holds the lock of the architecture, so that two imports at once open one case.
    """
    claim_what_is_there(plan)
    seen = drifted(plan.steps)
    case = active_case(run.source)
    if case is None:
        if len(requested(seen)) == len(seen):
            return None
        return opened(seen, run, actor=actor, now=now).pk
    followed = follow({key_of(row.image): row.image for row in case.rows.filter(gone_at=None)}, seen)
    write_rows(case, followed, now=now)
    case.run, case.seen_at = run, now
    if not seen:
        settle(case, actor=actor, now=now)
        return case.pk
    if over := adoption_is_over(case):
        case.state = DriftCase.State.OPEN
    case.save()
    if over or any(followed.counts.values()):
        tell("drift.updated", case, [*followed.added, *followed.moved], actor=actor, now=now, **followed.counts, rows=len(seen))
    return case.pk


def settle_drift(run: ImportRun, *, actor: User, now: datetime) -> None:
    """After an import that was written: nothing of its source differs any more."""
    case = active_case(run.source)
    if case is not None:
        case.rows.filter(gone_at=None).update(gone_at=now)
        case.run, case.seen_at = run, now
        settle(case, actor=actor, now=now)


def active_case(source: str) -> DriftCase | None:
    """The case of the source that is not settled, locked."""
    return DriftCase.objects.select_for_update().filter(source=source, state__in=DriftCase.ACTIVE).first()


def opened(seen: list[Image], run: ImportRun, *, actor: User, now: datetime) -> DriftCase:
    case = DriftCase.objects.create(source=run.source, run=run, opened_at=now, seen_at=now)
    write_rows(case, Followed(seen, [], [], []), now=now)
    tell("drift.opened", case, seen, actor=actor, now=now, rows=len(seen))
    return case


def write_rows(case: DriftCase, followed: Followed, *, now: datetime) -> None:
    """Store what was followed. A row that was gone comes back as a new one."""
    new = [
        DriftRow(
            case=case, object=one.object, key=one.key, operation=one.operation, before=one.before, after=one.after, first_seen=now, last_seen=now
        )
        for one in followed.added
    ]
    columns = ["operation", "before", "after", "first_seen", "last_seen", "gone_at"]
    unique = ["case", "object", "key"]
    DriftRow.objects.bulk_create(new, BATCH, update_conflicts=True, update_fields=columns, unique_fields=unique)
    there = {(row.object, row.key): row for row in case.rows.filter(gone_at=None)}
    still = [there[key_of(one)] for one in (*followed.moved, *followed.kept)]
    for row, image in zip(still, (*followed.moved, *followed.kept), strict=True):
        row.operation, row.before, row.after, row.last_seen = image.operation, image.before, image.after, now
    DriftRow.objects.bulk_update(still, ["operation", "before", "after", "last_seen"], BATCH)
    gone = [there[key] for key in followed.gone]
    for row in gone:
        row.gone_at = now
    DriftRow.objects.bulk_update(gone, ["gone_at"], BATCH)


def adoption_is_over(case: DriftCase) -> bool:
    """Whether the change that was to adopt it is done with or given up, and something still differs."""
    return case.state == DriftCase.State.ADOPTING and (case.change is None or case.change.state not in UNDER_WAY)


def settle(case: DriftCase, *, actor: User, now: datetime) -> None:
    """No difference is left: the case is closed, by what was decided about it."""
    case.state, case.settled_at = outcome(case), now
    case.save()
    tell("drift.settled", case, [], actor=actor, now=now, settled_as=case.state)


def outcome(case: DriftCase) -> DriftCase.State:
    if case.change is not None and case.change.state in ADOPTED and case.state != DriftCase.State.REVERTING:
        return DriftCase.State.ADOPTED
    return DriftCase.State.REVERTED if case.state == DriftCase.State.REVERTING else DriftCase.State.VANISHED


def tell(action: str, case: DriftCase, images: Iterable[Image], *, actor: User, now: datetime, **data: Any) -> None:
    """Put it on the record, with what each of the first things shows field by field."""
    shown = list(images)
    found = [
        {"path": f"{one.object}:{one.key}.{path}", "before": before, "after": after}
        for one in shown[:MOST_NAMED]
        for path, (before, after) in fields_of(one).items()
    ]
    record(action, actor=actor.username, object=f"drift:{case.pk}", now=now, differences=found, data={"source": case.source, **data})
