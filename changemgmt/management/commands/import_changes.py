"""`manage.py import_changes`: bring in the change log of another system."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from changemgmt.audit.context import acting
from changemgmt.core.errors import DomainError
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.import_changes import Report, import_changes

SHOWN = 20


class Command(BaseCommand):
    help = "Imports the change log of another system. Again: nothing is doubled."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="CSV file (.gz and .xz are read), or a folder with changes.csv")
        parser.add_argument("--mapping", type=Path, help="YAML file: which of our fields is which column (default: the shipped one that fits)")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *, file: Path, mapping: Path | None, dry_run: bool, json: bool, **options: Any) -> None:
        try:
            with tqdm(unit=" changes", disable=None, file=self.stderr._out) as bar, acting(channel="cli"):
                report = import_changes(file, now=utc_now(), mapping=mapping, dry_run=dry_run, progress=lambda done, total: show(bar, done, total))
        except DomainError as error:
            raise CommandError(error.detail, returncode=2) from None
        self.stdout.write(as_json(report, dry_run) if json else as_text(report, dry_run))


def show(bar: Any, done: int, total: int) -> None:
    """Move the progress bar to `done` of `total`."""
    bar.total = total
    bar.update(done - bar.n)


def as_json(report: Report, dry_run: bool) -> str:
    return json.dumps({**asdict(report), "dry_run": dry_run}, indent=2)


def as_text(report: Report, dry_run: bool) -> str:
    """The report for a reader, with the first places that were left out."""
    lines = [f"{report.adds} changes {'would be' if dry_run else 'were'} imported from {report.system}, {report.unchanged} were here already."]
    if report.without_items:
        lines.append(f"{report.without_items} of them have no item, because their component is not known.")
    lines += [f"  {entry['where']}: {entry['reason']}" for entry in report.skipped[:SHOWN]]
    if len(report.skipped) > SHOWN:
        lines.append(f"  … and {len(report.skipped) - SHOWN} more (see --json)")
    return "\n".join(lines)
