"""Executions: what may be done next, and the way back."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from changemgmt.execution import rules
from changemgmt.execution.rules import Task


def steps(*needs, verification=False, compensation=True):
    return [
        {
            "id": f"s{index}", "name": f"s{index}", "agent": "person", "action": "", "parameters": {}, "items": [], "irreversible": False,
            "depends_on": list(wanted), "verification": {"action": "look"} if verification else {}, "compensation": {"action": "undo"} if compensation else {},
        }
        for index, wanted in enumerate(needs)
    ]  # fmt: skip


def run(tasks, choose):
    """Do every ready task in an order chosen by `choose` until none is left; answers the order of (step, kind)."""
    done = []
    while ready := rules.ready(tasks):
        chosen = ready[choose(len(ready))]
        done.append(chosen)
        over = "compensated" if chosen[1] == "compensate" else "succeeded"
        tasks = [replace(task, state=over) if (task.step, task.kind) == chosen else task for task in tasks]
    return done, tasks


def test_a_plain_list_is_done_in_its_order():
    done, _ = run(rules.tasks_for(steps((), (), ())), lambda count: count - 1)
    assert [step for step, _ in done] == ["s0", "s1", "s2"]


def test_what_depends_on_a_step_waits_for_its_verification():
    tasks = rules.tasks_for(steps((), ("s0",), verification=True))
    assert rules.ready(tasks) == [("s0", "do")]
    done, _ = run(tasks, lambda count: 0)
    assert done == [("s0", "do"), ("s0", "verify"), ("s1", "do"), ("s1", "verify")]


@given(st.lists(st.sets(st.integers(0, 7), max_size=3), min_size=1, max_size=8), st.randoms())
def test_any_order_of_ready_steps_ends_with_all_done_and_every_need_first(needs, random):
    plan = steps(*[[f"s{need}" for need in wanted if need < index] for index, wanted in enumerate(needs)])
    done, tasks = run(rules.tasks_for(plan), lambda count: random.randrange(count))
    assert rules.finished(tasks) and rules.progress(tasks) == 1
    placed = [step for step, _ in done]
    assert all(placed.index(need) < placed.index(one["id"]) for one in plan for need in one["depends_on"])


@given(st.integers(1, 8), st.data())
def test_the_way_back_undoes_what_was_begun_in_reverse(count, data):
    plan = steps(*[() for _ in range(count)])
    tasks = rules.tasks_for(plan)
    failed = data.draw(st.integers(0, count - 1))
    tasks = [replace(task, state="succeeded" if index < failed else "failed" if index == failed else "skipped") for index, task in enumerate(tasks)]
    undo = rules.to_undo(tasks, {step["id"]: step for step in plan})
    done, _ = run([*tasks, *undo], lambda ready: 0)
    assert [step for step, kind in done if kind == "compensate"] == [f"s{index}" for index in range(failed, -1, -1)]


def test_a_step_without_compensation_needs_no_tick_on_the_way_back():
    plan = steps((), compensation=False)
    assert rules.to_undo([Task("s0", "do", 1, "succeeded")], {"s0": plan[0]}) == []


def test_what_can_not_be_undone_is_named_only_once_it_was_done():
    assert rules.irreversible_done([Task("a", "do", 1, "pending", irreversible=True)]) == []
    assert rules.irreversible_done([Task("a", "do", 1, "succeeded", irreversible=True)]) == ["a"]


def test_nothing_to_do_is_all_done():
    assert rules.finished([]) and rules.progress([]) == 1
