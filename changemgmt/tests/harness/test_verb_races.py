"""Verbs at the same instant, on a database of their own: one goes through, the other is refused in words."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from changemgmt.tests.harness.races import ROOT
from changemgmt.tests.harness.verb_races import SCENARIOS
from changemgmt.tests.needs import rounds

TIMES = max(3, rounds() // 5)


def race(database: str) -> dict[str, Any]:
    """The report of the harness in a process of its own."""
    command = [sys.executable, "-m", "changemgmt.tests.harness.verb_races", "--database", database, "--rounds", str(TIMES)]
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def settled(report: dict[str, Any]) -> None:
    for name in SCENARIOS:
        assert report[name]["decided"] == TIMES, (name, report[name])


@pytest.mark.needs_sqlite
def test_verbs_at_the_same_instant_settle_once_on_sqlite():
    settled(race("sqlite"))


@pytest.mark.needs_postgres
def test_verbs_at_the_same_instant_settle_once_on_postgresql():
    settled(race("postgres"))
