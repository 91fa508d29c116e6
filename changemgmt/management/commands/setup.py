"""`manage.py setup`: the database as this version needs it, and the starter pack."""

import os
import subprocess
import sys
from argparse import ArgumentParser
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from changemgmt.audit import triggers
from changemgmt.core.time import utc_now

SEEDED = ("accounts", "architecture", "preview", "changes", "scheduling", "approvals")


class Command(BaseCommand):
    help = "Migrates the database and loads the starter pack: roles, layers, relation types, chains, calendars. Again: changes nothing."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-migrate", action="store_true", help="only load the starter pack")

    def handle(self, *, no_migrate: bool, **options: Any) -> None:
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        if not no_migrate:
            self.migrate()
        now = utc_now()
        with transaction.atomic():
            for name in SEEDED:
                import_module(f"changemgmt.{name}.seed").seed(now=now)
        self.stdout.write("The starter pack is loaded.")

    def migrate(self) -> None:
        """Bring the tables up to date, as the owner of the database where one is named."""
        owner = os.environ.get("MIGRATION_DATABASE_URL")
        if owner:
            self.migrate_as(owner)
        elif pending():
            call_command("migrate", interactive=False, verbosity=1, stdout=self.stdout._out)
        else:
            self.stdout.write("The database is up to date.")
            triggers.install(connection)

    def migrate_as(self, owner: str) -> None:
        """Migrate in a process of its own that connects as the owner; this one keeps its lesser rights."""
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "migrate", "--no-input"]
        done = subprocess.run(command, env={**os.environ, "DATABASE_URL": owner}, check=False)
        if done.returncode:
            raise CommandError("The migration failed; nothing else was done.")


def pending() -> bool:
    """Whether there are migrations this database has not seen."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
