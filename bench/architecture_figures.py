"""What is measured of the architecture, step by step; `bench.architecture_steps` runs each in a process of its own.

Figures are seconds or milliseconds as the table of `bench.architecture` says, and megabytes of resident memory.
"""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from django.db import transaction

from bench import estate
from changemgmt.accounts.models import OrgUnit, User
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.graphs import current_rules, graph_at
from changemgmt.architecture.importers.files import of_path
from changemgmt.architecture.models import Component
from changemgmt.architecture.overlay import Bounds
from changemgmt.architecture.propagation import propagate
from changemgmt.architecture.rules import CREATE, UPDATE, Operation
from changemgmt.architecture.validation import check_items
from changemgmt.changes.models import Change, Item
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.import_architecture import import_architecture
from changemgmt.preview.actions import apply_items, revert_items
from changemgmt.preview.compute import compute

TURNS = 7
UNBOUNDED = Bounds(max_depth=None, min_score=0.0)


def seconds(act: Callable[[], Any]) -> float:
    """How long it takes, once."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def warm(act: Callable[[], Any], turns: int = TURNS) -> float:
    """Milliseconds: the median of several turns after one that does not count."""
    act()
    return 1000 * median(seconds(act) for _ in range(turns))


def memory() -> float:
    """MB of this process at its most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def fill(size: int) -> dict[str, float]:
    return {"fill": seconds(lambda: estate.fill(size))}


def first(size: int) -> dict[str, float]:
    return {"first": seconds(graph_at), "first_memory": memory()}


def shared(size: int) -> dict[str, float]:
    """A process that finds the files."""
    idle = memory()
    load = 1000 * seconds(graph_at)
    seed = {estate.key_of(size // 2): 0.8}
    return {"idle": idle, "load": load} | propagation(seed) | {"used": memory()}


def propagation(seeds: dict[str, float]) -> dict[str, float]:
    rules = current_rules()
    graph = graph_at()
    return {
        "reach": len(propagate(graph, seeds, rules=rules, bounds=UNBOUNDED)),
        "propagate": warm(lambda: propagate(graph, seeds, rules=rules, bounds=UNBOUNDED)),
        "spelled": warm(lambda: list(propagate(graph, seeds, rules=rules, bounds=UNBOUNDED)), 3),
    }


def change_of(*operations: dict[str, Any]) -> Change:
    """A draft with these items, checked as the verb checks them."""
    unit, _ = OrgUnit.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    person, _ = User.objects.get_or_create(username="bench", defaults={"password": "!", "org_unit": unit})
    number = f"CHG-2026-{Change.objects.count() + 1:05}"
    change = Change.objects.create(number=number, title="Bench", requester=person, created_at=utc_now(), updated_at=utc_now())
    Item.objects.bulk_create(
        Item(
            change=change, position=place, operation=item.operation, object=item.object, key=item.key, data=item.data, before=item.before,
            base_revision=item.base_revision, source=item.source or "", target=item.target or "", relation_type=item.relation_type or "",
            layer=item.layer or "",
        )
        for place, item in enumerate(check_items(list(operations)).enforce())
    )  # fmt: skip
    return change


def updates(size: int, count: int) -> list[dict[str, Any]]:
    """Updates of so many components of one system."""
    first = size // 2 - size // 2 % estate.SYSTEM
    return [
        {"operation": "update", "object": "component", "key": estate.key_of(first + place), "data": {"attributes": {"version": "2"}}}
        for place in range(count)
    ]


def preview(size: int) -> dict[str, float]:
    """A change of 100 items: most are updates, some make and some take away."""
    items = updates(size, 90)
    items += [
        {"operation": "create", "object": "component", "key": f"new/{n}", "data": {"name": f"New {n}", "type": "ApplicationComponent"}}
        for n in range(5)
    ]
    items += [
        {"operation": "create", "object": "relation", "key": f"new/r{n}", "source": f"new/{n}", "target": items[n]["key"], "relation_type": "serving"}
        for n in range(5)
    ]
    change = change_of(*items)
    return {"preview": warm(lambda: compute(change, now=utc_now()))}


def direct(*operations: Operation) -> None:
    with transaction.atomic():
        apply_operations(operations, actor="bench", now=utc_now(), direct=True)


def write(size: int) -> dict[str, float]:
    """What follows a revision, and how long a large change takes to apply and to take back."""
    graph_at()
    key = estate.key_of(size // 3)
    direct(Operation(UPDATE, "component", key, data={"criticality": 5}))
    figures = {"revised": 1000 * seconds(graph_at)}
    made = [Operation(CREATE, "component", f"more/{n}", data={"name": "More", "type": "ApplicationComponent"}) for n in range(20)]
    made += [Operation(CREATE, "relation", f"more/r{n}", source=f"more/{n}", target=key, relation_type="serving") for n in range(20)]
    direct(*made)
    figures["rebuilt"] = 1000 * seconds(graph_at)
    change = change_of(*updates(size, min(1000, size)))
    items = list(change.items.all())

    def apply() -> None:
        with transaction.atomic():
            apply_items(change, items, actor="bench", now=utc_now())

    def revert() -> None:
        with transaction.atomic():
            revert_items(change, actor="bench", now=utc_now())

    return figures | {"apply": seconds(apply), "revert": seconds(revert)}


def bring(folder: str) -> dict[str, float]:
    """The Debian graph, as `architecture import` reads it."""
    actor = User.objects.filter(groups__name="administrator").first() or administrator()
    run: list[Any] = []
    took = seconds(lambda: run.append(import_architecture(of_path(Path(folder)), actor=actor, now=utc_now(), format="csv", source="debian-bookworm")))
    done = run[0]
    written = sum(row[name] for row in (done.components, done.relations) for name in ("adds", "updates", "removes"))
    return {
        "import": took, "memory": memory(), "written": written, "components": sum(done.components.values()),
        "relations": sum(done.relations.values()), "skipped": done.skipped_total,
    }  # fmt: skip


def administrator() -> User:
    from django.contrib.auth.models import Group

    person = User.objects.create(username="ada", password="!")
    person.groups.add(Group.objects.get(name="administrator"))
    return person


def libc6(size: int) -> dict[str, float]:
    seeds = {"libc6": 0.8}
    figures = propagation(seeds)
    rules = current_rules()
    leaf = Component.objects.order_by("key").last().key
    direct(Operation(CREATE, "component", "zz-new", data={"name": "New", "type": "package"}),
           Operation(CREATE, "relation", "zz-new|depends", source="zz-new", target=leaf, relation_type="depends"))  # fmt: skip
    figures["revised"] = 1000 * seconds(lambda: propagate(graph_at(), seeds, rules=rules, bounds=UNBOUNDED))
    return figures | {"used": memory()}


STEPS: dict[str, Callable[..., dict[str, float]]] = {
    "fill": fill, "first": first, "shared": shared, "preview": preview, "write": write, "import": bring, "libc6": libc6,
}  # fmt: skip
