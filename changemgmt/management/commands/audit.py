"""`manage.py audit`: check the record, take it out."""

import contextlib
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, transaction
from tqdm import tqdm

from changemgmt.audit.actions import Personal, record
from changemgmt.audit.context import acting
from changemgmt.audit.models import Event
from changemgmt.audit.queries import everything
from changemgmt.audit.verify import Report
from changemgmt.core.time import utc_now
from changemgmt.reporting.record import verify_record

GOOD, TAMPERED, UNDECIDED = 0, 1, 2


class Command(BaseCommand):
    help = "Checks or exports the record. `verify` ends with 0 when it is intact, 1 when it was tampered with, 2 when that can't be said."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        verify = acts.add_parser("verify", help="check every event, stream, clear value and trigger")
        verify.add_argument("--json", action="store_true", help="print the report as JSON")
        export = acts.add_parser("export", help="write every event as one line of JSON, with its canonical text and hash")
        export.add_argument("file", metavar="FILE", type=Path, help="where to; - is standard output. An existing file is not overwritten")

    def handle(self, *, act: str, **options: Any) -> None:
        with acting(channel="cli"):
            self.verify(options["json"]) if act == "verify" else self.export(options["file"])

    def verify(self, as_json: bool) -> None:
        try:
            with self.bar(" events") as bar:
                report = verify_record(now=utc_now(), progress=lambda done, total: show(bar, done, total))
        except DatabaseError as error:
            raise CommandError(f"The record can't be read, so nothing is decided: {error}", returncode=UNDECIDED) from None
        self.stdout.write(json.dumps(report.as_dict(), indent=2) if as_json else as_text(report))
        if not report.ok:
            sys.exit(TAMPERED)

    def export(self, file: Path) -> None:
        try:
            with opened(file) as out, self.bar(" events") as bar:
                with transaction.atomic():
                    record(
                        "export.made", actor="", object="audit", now=utc_now(), data={"file": file.name, "by": Personal(os.environ.get("USER", ""))}
                    )
                bar.total = Event.objects.count()
                for event in everything():
                    out.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")
                    bar.update()
        except FileExistsError:
            raise CommandError(f"{file} is there already: name another file.", returncode=UNDECIDED) from None
        except OSError as error:
            raise CommandError(f"{file} can't be written: {error.strerror}.", returncode=UNDECIDED) from None

    def bar(self, unit: str) -> tqdm:
        """A progress bar where a person looks on."""
        return tqdm(unit=unit, disable=None, file=sys.stderr)


def show(bar: Any, done: int, total: int) -> None:
    """Move the progress bar to `done` of `total`."""
    bar.total = total
    bar.update(done - bar.n)


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Any]:
    """The file to write to, made new and readable by its owner alone."""
    if str(file) == "-":
        yield sys.stdout
        return
    with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
        yield out


def as_text(report: Report) -> str:
    """The report for a reader: the verdict, then everything that was found."""
    if report.ok:
        return report.message
    lines = [
        f"The record was tampered with. {report.message}",
        *(f"  {finding.place}: {finding.kind}. {finding.message}" for finding in report.findings[1:]),
    ]
    return "\n".join(lines)
