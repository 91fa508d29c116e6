"""Migrations go back as well as forward, with data, on both databases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from changemgmt.tests.needs import ROOT
from changemgmt.tests.site import database

LAST = (ROOT / "changemgmt" / "migrations" / "max_migration.txt").read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("postgres", [False, pytest.param(True, marks=pytest.mark.needs_postgres)])
def test_the_last_migration_goes_back_and_forward_with_data(tmp_path: Path, postgres: bool) -> None:
    before = sorted(path.stem for path in (ROOT / "changemgmt" / "migrations").glob("0*.py"))[-2]
    with database(postgres) as url:
        keep = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        settings = keep | {"DATA_DIR": str(tmp_path), "COUNTERSIGN_ENV": "embedded"} | ({"DATABASE_URL": url} if url else {})

        def manage(*words: str) -> str:
            answer = subprocess.run([sys.executable, "manage.py", *words], cwd=ROOT, env=settings, capture_output=True, text=True, timeout=300)
            assert answer.returncode == 0, f"{' '.join(words)}:\n{answer.stdout}\n{answer.stderr}"
            return answer.stdout

        manage("setup")
        manage("demo")
        manage("migrate", "changemgmt", before, "-v", "0")
        assert f"[ ] {LAST}" in manage("showmigrations", "changemgmt")
        manage("migrate", "-v", "0")
        assert "intact" in manage("audit", "verify")
        assert "CHG-" in manage("change", "list")
