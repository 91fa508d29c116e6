"""The way back can't be lost: whatever happens while a change is being undone, it ends undone or failed, and never silently."""

from datetime import timedelta

import pytest

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.models import Component
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.core.errors import NotPossible, UnmetGuard
from changemgmt.execution.models import Execution, Task
from changemgmt.lifecycle import close, complete, fail, roll_back, steps
from changemgmt.lifecycle.transitions import transitions_of

from .. import estate

pytestmark = pytest.mark.django_db


@pytest.fixture
def later(now):
    return now + timedelta(hours=1)


@pytest.fixture
def running(cast, seeded, now, later):
    """A change under way, begun at `later`."""

    def make(**fields):
        if not Component.objects.filter(key="shop/db").exists():
            estate.build(now)
        return estate.implementing(cast, now, begins=later, ends=now + timedelta(hours=3), **fields)

    return make


def implemented(running, cast, later, **fields):
    change = running(**fields)
    estate.do_all_steps(change, cast, later)
    return complete.complete(change.number, actor=cast.ian, now=later, seen="*")


def execution_of(change) -> Execution:
    return Execution.objects.get(change=change)


def move_the_version(now, value: str = "17") -> None:
    """Somebody else moves the very field this change wrote."""
    data = {"attributes": {"version": value}}
    apply_operations([Operation("update", "component", "shop/db", None, None, None, data)], actor="ada", now=now, reason="by hand")


def test_a_change_that_is_being_rolled_back_is_not_closed_from_under_it(running, cast, later):
    before = None
    change = implemented(running, cast, later)
    roll_back.roll_back(change.number, actor=cast.max, now=later, reason="Errors.", seen="*")
    with pytest.raises(NotPossible):
        close.close(change.number, actor=cast.max, now=later, result="successful", seen="*")
    for step in ("cut", "upgrade"):
        steps.finish_step(execution_of(change).pk, step, actor=cast.ian, now=later, kind="compensate")
    assert estate.fresh(change).state == "rolled_back" and before is None


def test_after_a_failed_way_back_it_can_be_tried_again_where_it_stopped(running, cast, later):
    change = running()
    run = execution_of(change)
    steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=later)
    steps.fail_step(run.pk, "cut", actor=cast.ian, now=later, reason="It broke.")
    steps.finish_step(run.pk, "cut", actor=cast.ian, now=later)
    steps.fail_step(run.pk, "upgrade", actor=cast.ian, now=later, reason="The snapshot is gone.")
    assert estate.fresh(change).state == "failed" and execution_of(change).state == "rollback_failed"
    assert Event.objects.filter(change=change.number, action="execution.rollback_failed").count() == 1
    roll_back.roll_back(change.number, actor=cast.max, now=later, reason="The snapshot was found.", seen="*")
    assert Task.objects.get(execution=run, step="cut", kind="compensate").state == "compensated"
    steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=later)
    assert estate.fresh(change).state == "rolled_back" and Component.objects.get(key="shop/db").attributes == {}


def test_a_failed_change_whose_way_back_had_begun_can_be_rolled_back_again(running, cast, later):
    change = running()
    run = execution_of(change)
    steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=later)
    roll_back.roll_back(change.number, actor=cast.ian, now=later, reason="Wrong version.", seen="*")
    fail.fail(change.number, actor=cast.ian, now=later, reason="Nobody can undo it today.", seen="*")
    roll_back.roll_back(change.number, actor=cast.ian, now=later, reason="Now.", seen="*")
    steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=later)
    assert estate.fresh(change).state == "rolled_back" and Component.objects.get(key="shop/db").attributes == {}


def test_a_rollback_that_fails_after_the_implementation_leaves_the_change_failed(running, cast, later):
    change = implemented(running, cast, later)
    roll_back.roll_back(change.number, actor=cast.max, now=later, reason="Errors.", seen="*")
    move_the_version(later)
    for step in ("cut", "upgrade"):
        steps.finish_step(execution_of(change).pk, step, actor=cast.ian, now=later, kind="compensate")
    failed = estate.fresh(change)
    assert failed.state == "failed" and failed.result == "failed" and execution_of(change).state == "rollback_failed"
    assert Event.objects.filter(change=change.number, action="change.failed").count() == 1


def test_nobody_says_that_an_implemented_change_failed(running, cast, later):
    change = implemented(running, cast, later)
    with pytest.raises(NotPossible):
        fail.fail(change.number, actor=cast.ian, now=later, reason="Hm.", seen="*")
    (answer,) = [one for one in transitions_of(estate.fresh(change), actor=cast.ian, now=later) if one.name == "fail"]
    assert not answer.verdict.allowed


def test_a_step_can_be_reported_as_failed_after_a_window_that_does_not_go_on(running, cast, later):
    change = running(on_window_end="roll_back")
    run = execution_of(change)
    steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=later)
    late = later + timedelta(hours=5)
    with pytest.raises(UnmetGuard):
        steps.finish_step(run.pk, "cut", actor=cast.ian, now=late)
    steps.fail_step(run.pk, "cut", actor=cast.ian, now=late, reason="The time is over.")
    assert execution_of(change).state == "rolling_back"


def test_two_steps_can_be_undone_only_in_reverse_order(running, cast, later):
    change = running()
    run = execution_of(change)
    steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=later)
    steps.fail_step(run.pk, "cut", actor=cast.ian, now=later, reason="It broke.")
    with pytest.raises(NotPossible):
        steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=later, kind="compensate")


def test_what_stands_in_the_way_of_a_step_does_not_name_a_confidential_change(cast, seeded, now, later):
    estate.build(now)
    change = estate.scheduled(cast, now, begins=later, ends=now + timedelta(hours=3))
    hidden = Change.objects.create(number="CHG-2026-77777", title="Quiet", requester=cast.petra, confidential=True, created_at=now, updated_at=now)
    from changemgmt.lifecycle import start

    start.start(change.number, actor=cast.ian, now=later, seen="*")
    data = {"attributes": {"version": "17"}}
    apply_operations([Operation("update", "component", "shop/db", None, None, None, data)], actor="petra", now=later, change=hidden.number)
    with pytest.raises(NotPossible) as refused:
        steps.finish_step(execution_of(change).pk, "upgrade", actor=cast.ian, now=later)
    told = f"{refused.value.detail} {refused.value.errors}"
    assert "shop/db" in told and hidden.number not in told


def test_the_reason_of_a_failed_rollback_does_not_name_a_confidential_change(running, cast, now, later):
    change = implemented(running, cast, later)
    hidden = Change.objects.create(number="CHG-2026-77777", title="Quiet", requester=cast.petra, confidential=True, created_at=now, updated_at=now)
    roll_back.roll_back(change.number, actor=cast.max, now=later, reason="Errors.", seen="*")
    data = {"attributes": {"version": "17"}}
    apply_operations([Operation("update", "component", "shop/db", None, None, None, data)], actor="petra", now=later, change=hidden.number)
    for step in ("cut", "upgrade"):
        steps.finish_step(execution_of(change).pk, step, actor=cast.ian, now=later, kind="compensate")
    assert hidden.number not in execution_of(change).reason
    assert not Event.objects.filter(change=change.number, text__contains=hidden.number).exists()


def test_a_gate_before_a_step_and_an_exit_gate_bite(cast, seeded, now, later):
    estate.build(now)
    from changemgmt.lifecycle import edit, schedule, start, submit
    from changemgmt.planning.queries import plan_of

    change = estate.draft(cast, now)
    plan = plan_of(change)
    low_only = {"field": "cost_estimate", "op": "gt", "value": 1}
    plan["gates"] = [
        {"name": "Paid", "kind": "validation", "before": "cut", "criteria": low_only},
        {"name": "Settled", "kind": "exit", "before": None, "criteria": low_only},
    ]
    edit.set_plan(change.number, plan, actor=cast.rita, now=now, seen=None)
    submit.submit(change.number, actor=cast.rita, now=now)
    estate.decide(change, now)
    schedule.schedule(change.number, actor=cast.max, now=now, start=later, end=now + timedelta(hours=3), seen="*")
    run = start.start(change.number, actor=cast.ian, now=later, seen="*").executions.get()
    steps.finish_step(run.pk, "upgrade", actor=cast.ian, now=later)
    with pytest.raises(UnmetGuard) as refused:
        steps.finish_step(run.pk, "cut", actor=cast.ian, now=later)
    assert "Paid" in refused.value.detail
    (answer,) = [one for one in transitions_of(estate.fresh(change), actor=cast.ian, now=later) if one.name == "complete"]
    assert any("Settled" in guard.message for guard in answer.verdict.guards)
