"""Bring in the change log of another system: what was done before, kept as it was told, with no invented votes.

Idempotent: a change whose system and id are known already stays as it is. Everything is read and checked before the
first row is written; what can't be used is reported with its place.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from django.conf import settings
from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.architecture.models import Component
from changemgmt.audit.actions import record
from changemgmt.changes.actions import next_number, seal_version
from changemgmt.changes.change_log import Entry, LogMapping, choose, fits, read_mapping, read_rows
from changemgmt.changes.documents import write_documents
from changemgmt.changes.models import Change, Item
from changemgmt.core.errors import Invalid, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

LARGEST_BYTES = 50_000_000
BATCH = 100
NO_COMPONENT = "The component it was about is not in the architecture."


@dataclass(slots=True)
class Report:
    """What an import did, or would do: counts, and what was left out with its place and reason."""

    system: str
    adds: int = 0
    unchanged: int = 0
    without_items: int = 0
    numbers: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Known:
    """The (system, id) pairs of imported changes, read on as others add to them."""

    pairs: set[tuple[str, str]] = field(default_factory=set)
    last: int = 0

    def look(self) -> None:
        """Add what came since the last look."""
        for key, references in Change.objects.filter(imported=True, pk__gt=self.last).order_by("pk").values_list("pk", "external_references"):
            self.pairs |= {(reference.get("system", ""), reference.get("id", "")) for reference in references}
            self.last = key


def import_changes(
    path: Path, *, now: datetime, mapping: Path | None = None, dry_run: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> Report:
    """Import the change log in `path` (CSV, or a folder with `changes.csv`; `.gz` and `.xz` are read).

    Without a `mapping` file the shipped one that fits the columns is used. `progress` is told how many entries of how
    many are done. Raises Invalid for a file or mapping that can't be read, TooLarge beyond 50 MB; nothing is stored then.
    """
    header, rows = read_table(log_file(path))
    how = load_mapping(mapping) if mapping else shipped_mapping(header)
    if not fits(how, header):
        raise Invalid.field("file", f"{path.name} lacks the columns {', '.join(sorted(how.columns() - set(header)))} that the mapping reads.")
    reading = read_rows(rows, how, now=now)
    report, known = Report(system=how.system, skipped=reading.skipped), Known()
    known.look()
    keys = component_keys(reading.entries, how, report)
    fresh = [entry for entry in reading.entries if (how.system, entry.id) not in known.pairs]
    report.unchanged = len(reading.entries) - len(fresh)
    report.without_items = sum(not keys.get(entry.component) for entry in fresh)
    if dry_run:
        report.adds = len(fresh)
        return report
    for batch in batches(fresh):
        store_batch(batch, how, keys, known, report, now)
        progress(report.adds, len(fresh))
    return report


def batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    for start in range(0, len(entries), BATCH):
        yield entries[start : start + BATCH]


@transaction.atomic
def store_batch(batch: list[Entry], how: LogMapping, keys: Mapping[str, Component], known: Known, report: Report, now: datetime) -> None:
    """Store some entries with their items, versions and events in one transaction; imports take turns."""
    importer = lock_importer()
    known.look()
    fresh = [entry for entry in batch if (how.system, entry.id) not in known.pairs]
    report.unchanged += len(batch) - len(fresh)
    changes = [store(entry, how, importer, keys.get(entry.component), now) for entry in fresh]
    write_documents([change.pk for change in changes])
    report.numbers += [change.number for change in changes]
    report.adds += len(fresh)


def lock_importer() -> User:
    """The service account in whose name imported changes stand, its row locked."""
    User.objects.get_or_create(username="import", defaults={"is_service": True, "first_name": "Import", "password": "!"})
    return User.objects.select_for_update().get(username="import")


def store(entry: Entry, how: LogMapping, importer: User, component: Component | None, now: datetime) -> Change:
    """One change as it was told. Its state is set where it is made: it never went through the machine here.

    Its document is written with those of its batch: one by one they would take as long as all the rest.
    """
    change = Change(
        number=next_number(entry.fields["created_at"].year),
        imported=True,
        requester=importer,
        updated_at=now,
        external_references=[{"system": how.system, "id": entry.id, "url": None}],
        no_items_reason="" if component else NO_COMPONENT,
        **{"state": "closed", **entry.fields},
    )
    Change.objects.bulk_create([change])
    if component:
        Item.objects.create(change=change, operation="update", object="component", key=component.key, layer=component.layer.name)
    seal_version(change, by=importer.username, now=now, reason="imported")
    Change.objects.filter(pk=change.pk).update(digest=change.digest)
    record(
        "change.imported",
        actor=importer.username,
        object=f"change:{change.number}",
        change=change.number,
        now=now,
        data={"system": how.system, "id": entry.id, "digest": change.digest},
    )
    return change


def component_keys(entries: list[Entry], how: LogMapping, report: Report) -> dict[str, Component]:
    """The component each name means; names that mean none, or several, are reported once each."""
    names = {entry.component for entry in entries if entry.component}
    found: dict[str, list[Component]] = defaultdict(list)
    for component in Component.objects.select_related("layer", "type").order_by("key").iterator():
        if component.name in names:
            found[component.name].append(component)
    meant = {}
    for name in sorted(names):
        key = choose([(row.key, row.type.name) for row in found[name]], how.component_types)
        if key:
            meant[name] = next(row for row in found[name] if row.key == key)
        else:
            reason = f"{len(found[name])} components are called {name}." if found[name] else f"There is no component called {name}."
            report.skipped.append({"where": f"component {name}", "reason": f"{reason} Its changes are imported without items."})
    return meant


def log_file(path: Path) -> Path:
    """The file to read: the path itself, or `changes.csv` in a folder."""
    if path.is_dir():
        path = next((file for name in ("changes.csv", "changes.csv.xz", "changes.csv.gz") if (file := path / name).exists()), path / "changes.csv")
    if not path.is_file():
        raise Invalid.field("file", f"There is no file {path}.")
    return path


def read_table(path: Path) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """The header and the rows of a CSV file, each row with its place. Raises Invalid that names the place of a mistake."""
    lines = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = list(lines.fieldnames or ())
        rows = [(f"line {lines.line_num}", row) for row in lines]
    except csv.Error as error:
        raise Invalid.field("file", f"{path.name}, line {lines.reader.line_num}: {error}.") from None
    ragged = next((where for where, row in rows if None in row or None in row.values()), None)
    if ragged:
        raise Invalid.field("file", f"{path.name}, {ragged}: it does not have as many columns as the header.")
    return header, rows


def read_text(path: Path) -> str:
    """The whole text of a file, unpacked; at most 50 MB."""
    opener: Any = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    try:
        with opener(path, "rb") as file:
            content: bytes = file.read(LARGEST_BYTES + 1)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise Invalid.field("file", f"{path.name} can't be read: {error}.") from None
    if len(content) > LARGEST_BYTES:
        raise TooLarge(f"{path.name} is larger than {LARGEST_BYTES // 1_000_000} MB unpacked.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Invalid.field("file", f"{path.name}, line {line}: this is not UTF-8 text.") from None


def load_mapping(path: Path) -> LogMapping:
    """The mapping in a YAML file."""
    try:
        return read_mapping(yaml.safe_load(read_text(path)))
    except yaml.YAMLError as error:
        raise Invalid.field("mapping", f"{path.name} is no YAML: {' '.join(str(error).split())}") from None


def shipped_mapping(header: list[str]) -> LogMapping:
    """The shipped mapping whose columns the file has."""
    for path in sorted((settings.BASE_DIR / "data" / "mappings").glob("change-log-*.yaml")):
        mapping = load_mapping(path)
        if fits(mapping, header):
            return mapping
    raise Invalid.field("mapping", "No shipped mapping fits the columns of this file: give one with --mapping.")
