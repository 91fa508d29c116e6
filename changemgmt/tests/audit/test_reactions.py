"""Every kind of event has its line in the table of reactions."""

import ast
import re
from pathlib import Path

import pytest
from django.contrib import admin

import changemgmt
from changemgmt.notifications.rules import TELLINGS
from changemgmt.notifications.tasks import notify
from changemgmt.reactions import REACTIONS

ROOT = Path(changemgmt.__file__).parent
RECORDERS = {"record", "told", "move", "supersede"}
KIND = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
NO_EVENT = re.compile(r"changemgmt\..*|risk\.level|.*\.(csv|archimate|json|xml|yaml|txt|jsonl)")


def modules():
    """Every module of the product that records something."""
    for path in sorted(ROOT.rglob("*.py")):
        if "tests" in path.parts or "migrations" in path.parts or path.parent.name in {"web", "api"}:
            continue
        tree = ast.parse(path.read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("audit.actions")]
        if any(alias.name == "record" for node in imports for alias in node.names) or path.name == "move.py" or path == ROOT / "audit" / "actions.py":
            yield path, tree


def constants():
    """Each text in those modules that looks like a kind of event."""
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and KIND.fullmatch(node.value) and not NO_EVENT.fullmatch(node.value):
                yield path.relative_to(ROOT), node.value


def patterns():
    """Each kind that is put together where it is recorded, as an expression that fits it."""
    for path, tree in modules():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.JoinedStr)]
        for node in calls:
            if getattr(node.func, "id", getattr(node.func, "attr", "")) in RECORDERS:
                parts = node.args[0].values
                yield path.relative_to(ROOT), "".join(re.escape(part.value) if isinstance(part, ast.Constant) else "[a-z_]+" for part in parts)


def test_every_kind_that_is_recorded_has_its_line():
    found = set(constants())
    assert len(found) > 50
    assert {entry for entry in found if entry[1] not in REACTIONS} == set()


def test_every_kind_that_is_put_together_fits_a_line():
    assert [entry for entry in patterns() if not any(re.fullmatch(entry[1], kind) for kind in REACTIONS)] == []


def test_every_model_that_admin_writes_has_its_lines():
    written = [site_admin for site_admin in admin.site._registry.values() if hasattr(site_admin, "tell")]
    kinds = {f"{site_admin.model._meta.model_name}.{what}" for site_admin in written for what in ("created", "updated", "deleted")}
    assert kinds - REACTIONS.keys() == set()


def test_who_is_told_and_what_notifies_agree():
    assert {kind for kind, tasks in REACTIONS.items() if notify in tasks} == TELLINGS.keys()


@pytest.mark.parametrize("kind", sorted(REACTIONS))
def test_every_reaction_is_a_task_that_can_be_started(kind):
    assert all(callable(task.delay) for task in REACTIONS[kind])
