"""What the tests of the architecture share."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings

from changemgmt.architecture import seed
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.importers.files import of_path
from changemgmt.architecture.importers.records import Options
from changemgmt.architecture.imports import apply_plan, plan_import, read_records

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
DATA = Path(settings.BASE_DIR) / "data"
MODELS = sorted([*(DATA / "archimate-models").glob("*.xz"), *(DATA / "archisurance").glob("*.*")])


@pytest.fixture
def types(db):
    """The starter pack of the architecture."""
    seed.seed(now=NOW)


@pytest.fixture
def bring(types):
    """`bring(path, format)` imports a file or folder and answers the plan."""

    def imported(path, format, *, source="test", apply=True, mapping=None, **options):
        records = read_records(format, of_path(Path(path)), Options(mapping=mapping or {}))
        plan = plan_import(records, source=source, now=NOW, **options)
        if apply:
            apply_plan(plan, actor="max", now=NOW, create_types=options.get("create_types", True))
        return plan

    return imported


@pytest.fixture
def write_file(tmp_path):
    """`write_file(name, content)` makes a file and answers its path."""

    def written(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.fixture
def do(types):
    """`do(operation, …)` writes operations directly."""
    return lambda *operations, **more: apply_operations(operations, actor="max", now=NOW, **more)
