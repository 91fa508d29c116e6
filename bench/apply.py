"""How long 1,000 items take to be applied and reverted: `python -m bench.apply [--items N]`.

It works on a database of its own (SQLite in a temporary folder, or `DATABASE_URL` where nothing is to be kept: everything is rolled back),
and prints seconds for the preview, applying and reverting, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory(prefix="countersign-apply-") as folder:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        os.environ.update(DATA_DIR=folder, COUNTERSIGN_ENV="embedded")
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        print(json.dumps(measured(items)))


def measured(count: int) -> dict[str, Any]:
    """Seconds of each part: a third of the items update, a third make components, a third relations between them."""
    from django.db import transaction

    from changemgmt.architecture import seed
    from changemgmt.architecture.actions import apply_operations
    from changemgmt.architecture.rules import Operation

    with transaction.atomic():
        seed.seed(now=NOW)
        third = count // 3
        there = [Operation("create", "component", f"c{place}", data={"type": "Node"}) for place in range(third)]
        apply_operations(there, actor="max", now=NOW)
        figures = timed_change(wanted(third, count))
        transaction.set_rollback(True)
    return {"items": count} | figures


def wanted(third: int, count: int) -> list[dict[str, Any]]:
    """The items of the change."""
    items = [
        {"operation": "update", "object": "component", "key": f"c{place}", "data": {"owner": "ops", "attributes": {"v": place}}}
        for place in range(third)
    ]
    items += [{"operation": "create", "object": "component", "key": f"n{place}", "data": {"type": "Node"}} for place in range(third)]
    rest = count - len(items)
    return items + [
        {
            "operation": "create",
            "object": "relation",
            "key": f"r{place}",
            "source": f"n{place % third}",
            "target": f"c{place % third}",
            "relation_type": "serving",
        }
        for place in range(rest)
    ]


def timed_change(items: list[dict[str, Any]]) -> dict[str, float]:
    """Store a change of these items; then preview, apply and revert it."""
    from changemgmt.accounts.models import User
    from changemgmt.architecture.validation import check_items
    from changemgmt.changes.models import Change, Item
    from changemgmt.preview.actions import apply_items, revert_items
    from changemgmt.preview.compute import compute

    requester = User.objects.create(username="rita")
    change = Change.objects.create(number="CHG-2026-00001", title="Many", requester=requester, created_at=NOW, updated_at=NOW)
    checked = check_items(items).enforce()
    names = ("operation", "object", "key", "data", "before", "base_revision", "replace")
    ends = ("source", "target", "relation_type", "layer")
    Item.objects.bulk_create(
        Item(
            change=change,
            position=place,
            **{name: getattr(item, name) for name in names},
            **{name: getattr(item, name) or "" for name in ends},
        )
        for place, item in enumerate(checked)
    )
    acts: dict[str, Callable[[], object]] = {
        "preview": lambda: compute(change, now=NOW),
        "apply": lambda: apply_items(change, change.items.all(), actor="ian", now=NOW),
        "revert": lambda: revert_items(change, actor="ian", now=NOW),
    }
    return {name: timed(act) for name, act in acts.items()}


def timed(act: Callable[[], object]) -> float:
    """Seconds one act takes."""
    began = time.perf_counter()
    act()
    return round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    main()
