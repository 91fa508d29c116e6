"""`manage.py demo`: something to look at, and people to look at it as."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from changemgmt.accounts.models import User
from changemgmt.audit.context import acting
from changemgmt.core.time import utc_now
from changemgmt.management.demo.architecture import load_architecture
from changemgmt.management.demo.calendar import add_calendar
from changemgmt.management.demo.changes import SAMPLES, make_changes
from changemgmt.management.demo.people import PEOPLE, Person, make_people, table


class Command(BaseCommand):
    help = "Adds demo people, the ArchiSurance architecture and sample changes. Again: keeps what is there and says where the people are."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print everything as JSON")

    def handle(self, *, json: bool, **options: Any) -> None:
        file = settings.DATA_DIR / "demo-people.txt"
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        new = User.objects.filter(username__in=PEOPLE).count() < len(PEOPLE)
        with acting(channel="cli"), self.bar(new) as bar:
            people = make_people(file, now=utc_now(), progress=lambda name: step(bar, name))
            if not people:
                raise CommandError(
                    f"The demo people are there, and {file} with their passwords is not. Give somebody a new one: manage.py changepassword USER"
                )
            components = load_architecture(now=utc_now(), progress=lambda what: step(bar, what))
            add_calendar(now=utc_now())
            changes = make_changes(now=utc_now(), progress=lambda title: step(bar, title))
        if json:
            self.stdout.write(as_json(people, components, changes, str(file)))
        else:
            self.report(people, components, changes, str(file), new)

    def bar(self, new: bool) -> Any:
        """A progress bar when there is much to do."""
        return tqdm(total=len(PEOPLE) + len(SAMPLES) + 1, unit="", leave=False, disable=None if new else True, file=self.stderr._out)

    def report(self, people: list[Person], components: int, changes: list[str], file: str, new: bool) -> None:
        """What a reader needs: everything the first time, the place later."""
        self.stdout.write(f"The demo has {len(people)} people, {components} components and {len(changes)} sample changes.")
        if new:
            self.stdout.write("\n".join(table(people)))
        self.stdout.write(f"The demo people with their passwords and tokens are in {file}")


def step(bar: Any, what: str) -> None:
    """Move the bar on and say what is being made."""
    bar.set_postfix_str(what[:50], refresh=False)
    bar.update()


def as_json(people: list[Person], components: int, changes: list[str], file: str) -> str:
    return json.dumps({"people": [person.as_dict() for person in people], "components": components, "changes": changes, "file": file}, indent=2)
