"""Checking the whole record: every hash, every link, every column, every clear value, every head, and the triggers.

It reads in batches in the order of the streams, so memory stays flat and writers are never held up; what is appended
meanwhile is checked under the lock of its stream.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from . import triggers
from .models import Stream
from .rules import FIRST_HASH
from .walk import Finding, Row, Walk

BATCH = 2000
MOST_FINDINGS = 100
Progress = Callable[[int, int], None]
AFTER = "WHERE (stream, sequence, id) > (%s, %s, %s) ORDER BY stream, sequence, id LIMIT %s"
REST = "WHERE stream = %s AND sequence > %s ORDER BY sequence, id"
# The time as the text has it, written by the database: parsing it here would take as long as all the rest.
AT = {
    "sqlite": "replace(at, ' ', 'T') || CASE length(at) WHEN 19 THEN '.000000Z' ELSE 'Z' END",
    "postgresql": """to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found. `first_bad` and `kind` are of the first finding; `findings` holds up to 100."""

    ok: bool
    events: int
    streams: int
    first_bad: str | None
    kind: str | None
    message: str
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        found = [{"kind": finding.kind, "place": finding.place, "message": finding.message} for finding in self.findings]
        return {
            "ok": self.ok, "events": self.events, "streams": self.streams, "first_bad": self.first_bad, "kind": self.kind,
            "message": self.message, "findings": found,
        }  # fmt: skip


class Run:
    """One run: the streams as they were when it began, and what was found so far."""

    def __init__(self, progress: Progress | None) -> None:
        self.heads = {name: (length, head) for name, length, head in Stream.objects.values_list("name", "length", "head")}
        self.total = sum(length for length, _ in self.heads.values())
        self.progress = progress
        self.events = 0
        self.met: set[str] = set()
        self.findings: list[Finding] = []

    def run(self) -> None:
        """Walk along every stream there is."""
        walk = None
        for rows in batches():
            clears = clear_values([row.id for row in rows])
            for row in rows:
                if walk is None or row.stream != walk.name:
                    self.finish(walk)
                    walk = Walk(row.stream, *self.heads.get(row.stream, (0, FIRST_HASH)))
                    self.met.add(row.stream)
                self.note(walk.step(row, clears.get(row.id, {})))
            self.events += len(rows)
            if self.progress:
                self.progress(self.events, max(self.events, self.total))
        self.finish(walk)
        self.note(
            Finding("stream_gone", name, None, "All events of this stream are gone.") for name in self.heads.keys() - self.met if self.heads[name][0]
        )

    def note(self, findings: Iterable[Finding]) -> None:
        self.findings += findings

    def finish(self, walk: Walk | None) -> None:
        """The stream has no more events in what was read."""
        if walk is not None and not walk.good:
            self.note(self.settle(walk))

    def settle(self, walk: Walk) -> Iterator[Finding]:
        """The end is not the one noted at the beginning: look again with the stream locked, for it may have grown meanwhile."""
        with transaction.atomic():
            stream = Stream.objects.select_for_update().filter(name=walk.name).first()
            if stream is None:
                yield Finding("stream_gone", walk.name, None, "The head of this stream is gone.")
                return
            was_anew = walk.matched is False
            walk.expect(stream.length, stream.head)
            rest = fetch(REST, walk.name, walk.sequence)
            clears = clear_values([row.id for row in rest])
            for row in rest:
                yield from walk.step(row, clears.get(row.id, {}))
            self.events += len(rest)
            yield from walk.end(was_anew)


def verify(*, now: datetime, progress: Progress | None = None, expected: Iterable[str] = ()) -> Report:
    """Check the whole record as it is at `now`.

    `progress(done, total)` is called after each batch. `expected` names streams that must be there, such as the number of
    every change: without it a stream of which every trace was removed can't be missed.
    """
    # Read first: what is made from here on has its stream when the heads are read, or is not asked for.
    wanted = set(expected)
    run = Run(progress)
    run.run()
    run.note(Finding("stream_gone", name, None, "This stream has to be there and is not.") for name in sorted(wanted - run.met - run.heads.keys()))
    if not run.findings:
        run.note(orphans())
    run.note(
        Finding("triggers", problem.partition(" ")[0], None, f"The record is not guarded: {problem}.") for problem in triggers.problems(connection)
    )
    return reported(run)


def reported(run: Run) -> Report:
    """The report of a run. What is gone from one place because it was moved to another is told once, as moved."""
    moved = {finding.belongs for finding in run.findings if finding.belongs}
    found = [finding for finding in run.findings if (finding.stream, finding.sequence) not in moved or finding.kind not in {"deleted", "cut_tail"}]
    streams = len(run.heads.keys() | run.met)
    if not found:
        return Report(True, run.events, streams, None, None, f"The record is intact: {run.events} events in {streams} streams, all hashes match.")
    first = found[0]
    return Report(False, run.events, streams, first.place, first.kind, f"{first.place}: {first.kind}. {first.message}", tuple(found[:MOST_FINDINGS]))


def batches() -> Iterator[list[Row]]:
    """All events in the order of stream and sequence."""
    place: tuple[str, int, int] = ("", -1, -1)
    while rows := fetch(AFTER, *place, BATCH):
        yield rows
        place = (rows[-1].stream, rows[-1].sequence, rows[-1].id)


def fetch(where: str, *values: Any) -> list[Row]:
    """Rows of events. Plain SQL, since a million rows pass here."""
    columns = ", ".join(AT[connection.vendor] if name == "at" else name for name in Row._fields)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {triggers.TABLE} {where}", values)
        return [Row._make(row) for row in cursor.fetchall()]


def clear_values(events: list[int]) -> dict[int, dict[str, tuple[str, str]]]:
    """event → path → (salt, value) of the events with these ids."""
    found: dict[int, dict[str, tuple[str, str]]] = defaultdict(dict)
    if not events:
        return found
    marks = ",".join(["%s"] * len(events))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT event, path, salt, value FROM changemgmt_personalvalue WHERE event IN ({marks})", events)
        for event, path, salt, value in cursor.fetchall():
            found[event][path] = (salt, value)
    return found


def orphans() -> Iterator[Finding]:
    """Clear values whose event is gone: events were removed and these forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event FROM changemgmt_personalvalue v WHERE NOT EXISTS "
            f"(SELECT 1 FROM {triggers.TABLE} e WHERE e.id = v.event) ORDER BY event LIMIT 1"
        )
        row = cursor.fetchone()
    if row:
        yield Finding("deleted", f"event {row[0]}", None, "Its clear values are there and the event is not.")
