"""Plans: what is well formed, what is refused and where, what is only said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changemgmt.planning.rules import PlanError, clean, findings, order


def step(step_id, **values):
    return {"id": step_id, "name": step_id, "manual": True, "compensation": {"action": "undo"}, **values}


def refused(plan, items=()):
    with pytest.raises(PlanError) as error:
        clean(plan, item_ids=items)
    return error.value.errors


def test_missing_values_get_their_defaults():
    cleaned = clean({"steps": [{"id": "backup", "manual": True}]}, item_ids=[])
    assert cleaned["strategy"] == "all_at_once" and cleaned["on_failure"] == "roll_back"
    assert cleaned["steps"][0] | {"name": "backup", "agent": "person", "timeout_seconds": 3600, "retries": 3} == cleaned["steps"][0]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"id": "with space"}, "steps.0.id"),
        ({"id": 5}, "steps.0.id"),
        ({"timeout_seconds": 0}, "steps.0.timeout_seconds"),
        ({"timeout_seconds": True}, "steps.0.timeout_seconds"),
        ({"retries": -1}, "steps.0.retries"),
        ({"items": [99]}, "steps.0.items"),
        ({"items": ["7"]}, "steps.0.items"),
        ({"depends_on": "backup"}, "steps.0.depends_on"),
        ({"parameters": []}, "steps.0.parameters"),
        ({"verification": {"do": "x"}}, "steps.0.verification"),
        ({"surprise": 1}, "steps.0.surprise"),
        ({"name": "\x00"}, "steps.0.name"),
    ],
)
def test_a_mistake_is_named_at_its_place(values, place):
    assert place in refused({"steps": [step("a") | values]}, items=[7])


@pytest.mark.parametrize("plan", [[], "plan", None, {"steps": {}}, {"steps": ["x"]}, {"gates": [1]}, {"strategy": "at_night"}, {"on_failure": []}])
def test_any_json_is_refused_with_a_place_or_taken(plan):
    assert refused(plan)


def test_steps_that_wait_for_each_other_are_refused():
    assert "wait for each other" in refused({"steps": [step("a", depends_on=["b"]), step("b", depends_on=["a"])]})["steps"][0]


def test_an_item_is_applied_by_one_step_only():
    assert "more than one step" in refused({"steps": [step("a", items=[7]), step("b", items=[7])]}, items=[7])["steps"][0]


def test_a_gate_stands_before_a_step_of_the_plan():
    assert "gates.0.before" in refused({"steps": [step("a")], "gates": [{"name": "g", "kind": "exit", "before": "z"}]})


def test_a_step_that_nobody_can_do_is_an_error():
    plan = clean({"steps": [step("a", manual=False, agent="infrastructure")]}, item_ids=[])
    assert [finding.severity for finding in findings(plan, rollback_plan="", capabilities=(), item_ids=()) if "No agent" in finding.message] == [
        "error"
    ]


def test_a_step_without_a_way_back_is_an_error_unless_it_is_said_to_have_none():
    bare = clean({"steps": [step("a", compensation={})]}, item_ids=[])
    sworn = clean({"steps": [step("a", compensation={}, irreversible=True)]}, item_ids=[])

    def severities(plan, rollback_plan=""):
        return [
            finding.severity for finding in findings(plan, rollback_plan=rollback_plan, capabilities=(), item_ids=()) if "undo" in finding.message
        ]

    assert severities(bare) == ["error"]
    assert severities(bare, "Restore the backup.") == ["warning"]
    assert severities(sworn) == []


@given(st.lists(st.integers(0, 8), min_size=1, max_size=9))
def test_the_order_puts_every_step_after_what_it_depends_on(needs):
    steps = [step(f"s{index}", depends_on=[f"s{need}"] if need < index else []) for index, need in enumerate(needs)]
    placed = order(steps)
    assert all(placed.index(need) < placed.index(one["id"]) for one in steps for need in one["depends_on"])
