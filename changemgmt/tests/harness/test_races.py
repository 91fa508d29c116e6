"""Votes at the same instant, on a database of their own: decided once, never stuck, one event each."""

import json
import os
import subprocess
import sys

import pytest

from changemgmt.tests.harness.races import ROOT, SCENARIOS
from changemgmt.tests.needs import rounds


def race(database: str) -> dict:
    """The report of the harness in a process of its own."""
    command = [sys.executable, "-m", "changemgmt.tests.harness.races", "--database", database, "--rounds", str(rounds())]
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=7200, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def settled(report: dict) -> None:
    for name in SCENARIOS:
        assert report[name]["decided"] == rounds(), report[name]


@pytest.mark.needs_sqlite
def test_votes_at_the_same_instant_settle_once_on_sqlite():
    settled(race("sqlite"))


@pytest.mark.needs_postgres
def test_votes_at_the_same_instant_settle_once_on_postgresql():
    settled(race("postgres"))
