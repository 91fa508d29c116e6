"""Inline, by the task, or anew on request: over random architectures and changes, the same is stored. Real processes: `tests/computations`."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.models import Component, Relation
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.changes.models import Preview, Reach
from changemgmt.core.canonical import digest
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.compute_preview import ask_for_preview
from changemgmt.orchestrator import tasks

from ..computations.processes import KEPT

pytestmark = pytest.mark.django_db
TYPES = ("Node", "ApplicationComponent", "BusinessProcess")
KINDS = ("serving", "composition", "access", "flow", "association")


def stored(change):
    row = Preview.objects.filter(change=change).values(*KEPT).get()
    return digest([row, sorted(Reach.objects.filter(change=change).values_list("key", "score", "direct"))])


graphs = st.lists(st.tuples(st.integers(0, 7), st.sampled_from(KINDS), st.integers(0, 7)).filter(lambda link: link[0] != link[2]), max_size=14)
acts = st.lists(st.tuples(st.integers(0, 7), st.sampled_from(("update", "delete"))), min_size=1, max_size=3, unique_by=lambda act: act[0])


def item(turn, place, operation):
    data = {"data": {"attributes": {"turn": str(turn)}}} if operation == "update" else {}
    return {"operation": operation, "object": "component", "key": f"g{turn}/{place}", **data}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=graphs, chosen=acts)
def test_inline_by_the_task_and_again_the_same_is_stored(seeded, cast, now, settings, links, chosen):
    turn = Component.objects.count() + Relation.objects.count()
    parts = [
        Operation("create", "component", f"g{turn}/{place}", None, None, None, {"name": f"Part {place}", "type": TYPES[place % 3], "users": place})
        for place in range(8)
    ]
    ties = [
        Operation("create", "relation", f"g{turn}/r{place}", f"g{turn}/{source}", f"g{turn}/{target}", kind, {})
        for place, (source, kind, target) in enumerate(links)
    ]
    apply_operations([*parts, *ties], actor="ada", now=now, reason="drawn")
    change = edit.create_change({"title": "Drawn"}, actor=cast.rita, now=now)
    edit.add_items(change.number, [item(turn, place, what) for place, what in chosen], actor=cast.rita, now=now, seen=None, cascade=True)
    settings.INLINE_ITEMS = 200
    assert ask_for_preview(change.number, actor=cast.rita, now=now)
    inline = stored(change)
    settings.INLINE_ITEMS = 0
    assert not ask_for_preview(change.number, actor=cast.rita, now=now)
    tasks.compute_asked_preview(event_id=Event.objects.filter(action="preview.asked").latest("pk").pk)
    assert stored(change) == inline
