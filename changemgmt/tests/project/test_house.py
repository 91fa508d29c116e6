"""The rules of the house, as tests: imports, names, sizes, and what only one place may do."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

from changemgmt.tests.needs import ROOT

PACKAGE = ROOT / "changemgmt"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if not {"tests", "migrations"} & set(path.relative_to(PACKAGE).parts))
LONGEST_MODULE = 500
BANNED_NAMES = {"utils", "helpers", "services", "managers", "signals", "constants"}
WRITES = {"bulk_create", "bulk_update", "get_or_create", "update_or_create", "raw", "acreate", "asave", "adelete", "aupdate"}
QUERY_WRITES = {"create", "update", "delete"}
# Methods that happen to be called like a write: of a view itself, of a session.
NOT_ROWS = {"self.save", "request.session.save"}
# The first answer to a POST is the door's own memory, about no change.
OWN_ROWS = {"changemgmt/api/idempotency.py"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted text) of every method called in a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, ast.unparse(node.func)


def test_imports_point_down_and_rules_are_pure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from importlinter.cli import lint_imports

    monkeypatch.chdir(ROOT)
    failed = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert not failed, capsys.readouterr().out


def test_rules_read_no_clock() -> None:
    clock = re.compile(r"\b(utc_now|datetime\.now|date\.today|time\.time|timezone\.now|perf_counter)\(")
    assert [name_of(path) for path in SOURCES if path.name == "rules.py" and clock.search(path.read_text())] == []


def test_only_doors_read_the_clock() -> None:
    doors = {"web", "api", "management", "templatetags"}
    elsewhere = [
        name_of(path)
        for path in SOURCES
        if "utc_now()" in path.read_text()
        and not (doors & set(path.relative_to(PACKAGE).parts))
        and path.name not in {"tasks.py", "time.py", "admin_base.py", "forms.py", "reactions.py"}
        and not path.stem.endswith("admin")
    ]
    assert elsewhere == []


def test_only_the_machine_writes_the_state_of_a_change() -> None:
    pattern = re.compile(r"Change\.objects\b.*\.update\(.*\bstate=|\bchange\.state\s*=[^=]")
    found = [f"{name_of(path)}:{number}" for path in SOURCES for number, line in enumerate(path.read_text().splitlines(), 1) if pattern.search(line)]
    assert found == []


def test_pages_and_api_write_through_verbs_only() -> None:
    found = []
    for path in SOURCES:
        package = path.relative_to(PACKAGE).parts[0]
        if package not in {"web", "api"} or name_of(path) in OWN_ROWS:
            continue
        for line, text in calls(path):
            receiver, _, method = text.rpartition(".")
            query = ".objects" in receiver or "filter(" in receiver
            written = method in WRITES or method == "save" or (method in QUERY_WRITES and query)
            if written and text not in NOT_ROWS:
                found.append(f"{name_of(path)}:{line} {text}")
    assert found == []


def test_names_say_what_is_inside() -> None:
    assert [name_of(path) for path in SOURCES if path.stem in BANNED_NAMES or path.parent.name in BANNED_NAMES] == []


def test_no_module_is_too_long() -> None:
    assert [
        f"{name_of(path)}: {lines}" for path in SOURCES if path.name != "models.py" and (lines := len(path.read_text().splitlines())) > LONGEST_MODULE
    ] == []


def test_nothing_is_left_for_later() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert [name_of(path) for path in SOURCES if words.search(path.read_text())] == []


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_script_and_library_shipped_is_used_by_a_page() -> None:
    pages = "".join(
        path.read_text(encoding="utf-8") for path in [*(ROOT / "templates").rglob("*.html"), *PACKAGE.rglob("*.py"), *(ROOT / "config").glob("*.py")]
    )
    scripts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "static" / "js").glob("*.js")}
    shipped = [*scripts, *(path for path in (ROOT / "static" / "vendor").iterdir() if path.suffix != ".txt")]
    unused = [
        path.name for path in shipped if path.name not in pages and not any(path.name in text for other, text in scripts.items() if other != path)
    ]
    assert not unused
