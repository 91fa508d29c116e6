"""Real processes on a database of their own: computed once, taken over, stopped, and the same by whoever does it."""

import json
import os
import subprocess
import sys

import pytest

from changemgmt.preview.compute import PHASES

from .processes import MODELS, ROOT


def report(database: str) -> dict:
    command = [sys.executable, "-m", "changemgmt.tests.computations.processes", "--database", database]
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def holds(found: dict) -> None:
    once = found["two_at_once"]
    assert once["computed"] == ["computed"] and once["kept"] == 1 and once["page"]
    assert once["seen"][0] == "running" and once["seen"][1] in PHASES
    assert found["killed"] == found["killed"] | {"before": ["running", 0], "rung": True, "after": ["ready", 1]}
    assert found["cancelled"] == {"at_once": False, "worker": ["computed", "stopped"], "as_before": True, "state": "ready"}
    assert found["the_same"] == {name: [3, 1] for name in ("archisurance", *MODELS)}


@pytest.mark.needs_sqlite
def test_several_processes_compute_once_and_the_same_on_sqlite():
    holds(report("sqlite"))


@pytest.mark.needs_postgres
def test_several_processes_compute_once_and_the_same_on_postgresql():
    holds(report("postgres"))
