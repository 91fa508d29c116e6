"""The plugin that says what a test needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from changemgmt.tests.needs import ROOT

SAMPLE = """
import pytest

@pytest.mark.needs_redis
def test_needing():
    pass

def test_plain():
    pass
"""


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on the sample in a process of its own, where no Redis can answer."""
    (folder / "test_sample.py").write_text(SAMPLE)
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "DATABASE_URL", "PYTEST_XDIST_WORKER"}}
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pytest.ini"), "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-rs", str(folder)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=kept | {"TEST_REDIS_URL": "redis://127.0.0.1:1/0", "DATA_DIR": str(folder)} | environment,
        capture_output=True,
        text=True,
    )


def test_what_does_not_answer_is_skipped_with_its_reason(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no Redis answers at redis://127.0.0.1:1/0" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_in_continuous_integration_a_skip_is_a_failure(tmp_path: Path) -> None:
    done = run(tmp_path, CI="true")
    assert done.returncode == 1
    assert "nothing may be skipped" in done.stdout
    assert "1 passed, 1 error" in done.stdout


@pytest.mark.needs_sqlite
def test_a_test_for_sqlite_runs_on_sqlite() -> None:
    from django.db import connection

    assert connection.vendor == "sqlite"


@pytest.mark.needs_postgres
@pytest.mark.django_db
def test_a_test_for_postgres_runs_on_postgres() -> None:
    from django.db import connection

    assert connection.vendor == "postgresql"
