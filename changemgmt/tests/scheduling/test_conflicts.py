"""Conflicts of a window, and the guards made of them."""

from datetime import UTC, datetime, timedelta

import pytest

from changemgmt.accounts.actions import grant
from changemgmt.changes.models import Link, Reach, State
from changemgmt.scheduling.models import Blackout, Freeze, MaintenanceWindow
from changemgmt.scheduling.queries import conflicts_of, explain_slot, freeze_guard, window_guards

from .surroundings import HOUR, change_of, component, scheduled

pytestmark = pytest.mark.django_db


@pytest.fixture
def slot(now):
    start = now + timedelta(days=1)
    return start, start + 2 * HOUR


@pytest.fixture
def mine(cast, now):
    return change_of(cast.rita, now, "orders", owner=cast.max, implementers=[cast.ian])


def kinds(change, slot, now, **more):
    return [(one.kind, one.severity) for one in conflicts_of(change, *slot, now=now, **more)]


def names(guards):
    return [guard.guard for guard in guards]


def test_a_free_window_meets_nothing(mine, slot, now):
    assert conflicts_of(mine, *slot, now=now) == []
    assert window_guards(mine, *slot, now=now) == []


def test_a_freeze_forbids_and_says_why_who_and_until_when(mine, cast, slot, now):
    end = slot[1] + 5 * HOUR
    Freeze.objects.create(name="Year end", start=slot[0] - HOUR, end=end, reason="Books are closed.", scope={})
    (guard,) = window_guards(mine, *slot, now=now)
    assert guard.guard == "no_freeze" and "Year end" in guard.message and "Books are closed." in guard.message
    assert guard.who_can_clear == ("max",) and guard.clears_at == end


def test_a_freeze_lets_the_allowed_types_pass(mine, slot, now):
    Freeze.objects.create(name="Year end", start=slot[0], end=slot[1], allowed_types=["normal"])
    assert kinds(mine, slot, now) == []


def test_a_freeze_forbids_only_what_its_scope_covers(mine, slot, now):
    Freeze.objects.create(name="Others", start=slot[0], end=slot[1], scope={"field": "components", "op": "eq", "value": "billing"})
    assert kinds(mine, slot, now) == []
    Freeze.objects.create(name="Ours", start=slot[0], end=slot[1], scope={"field": "components", "op": "eq", "value": "orders"})
    assert kinds(mine, slot, now) == [("freeze", "hard")]


def test_a_window_may_begin_the_moment_a_freeze_ends(mine, slot, now):
    Freeze.objects.create(name="Before", start=slot[0] - HOUR, end=slot[0])
    Freeze.objects.create(name="After", start=slot[1], end=slot[1] + HOUR)
    assert kinds(mine, slot, now) == []


def test_a_removed_freeze_is_over(mine, slot, now):
    Freeze.objects.create(name="Gone", start=slot[0], end=slot[1], removed_at=now)
    assert kinds(mine, slot, now) == []


def test_a_freeze_comes_again_on_the_clocks_of_its_zone(mine, now):
    # Every night 22 to 23 in Oslo: 20 UTC in summer, 21 UTC in winter.
    begin = datetime(2026, 6, 1, 20, tzinfo=UTC)
    Freeze.objects.create(name="Backup", start=begin, end=begin + HOUR, recurrence="FREQ=DAILY", timezone="Europe/Oslo")
    winter = datetime(2026, 12, 1, 20, tzinfo=UTC)
    assert freeze_guard(mine, winter, now=now) is None
    assert freeze_guard(mine, winter + HOUR, now=now).clears_at == winter + 2 * HOUR


def test_the_same_component_in_another_scheduled_change_is_hard(mine, cast, slot, now):
    other = scheduled(cast.petra, now, slot[0] + HOUR, slot[1] + HOUR, "orders")
    (one,) = conflicts_of(mine, *slot, now=now)
    assert (one.kind, one.severity, one.with_, one.start) == ("component", "hard", other.number, slot[0] + HOUR)
    assert names(window_guards(mine, *slot, now=now)) == ["no_hard_conflict"]


def test_windows_that_only_touch_do_not_conflict(mine, cast, slot, now):
    scheduled(cast.petra, now, slot[1], slot[1] + HOUR, "orders")
    assert kinds(mine, slot, now) == []


def test_a_change_that_is_not_scheduled_any_more_is_no_conflict(mine, cast, slot, now):
    change_of(cast.petra, now, "orders", state=State.APPROVED, planned_start=slot[0], planned_end=slot[1])
    assert kinds(mine, slot, now) == []


def test_a_change_that_runs_late_still_stands_in_the_way(mine, cast, now):
    change_of(cast.petra, now, "orders", state=State.IMPLEMENTING, planned_start=now - 3 * HOUR, planned_end=now - HOUR)
    assert kinds(mine, (now, now + HOUR), now) == [("component", "hard")]


def test_overlapping_reach_is_soft_and_blocks_nothing(mine, cast, slot, now):
    other = scheduled(cast.petra, now, *slot, "billing")
    for change in (mine, other):
        Reach.objects.create(change=change, key="shop", score=0.5)
    assert kinds(mine, slot, now) == [("reach", "soft")]
    assert window_guards(mine, *slot, now=now) == []


def test_the_same_implementer_is_hard_also_through_a_linked_account(mine, cast, slot, now):
    from changemgmt.accounts.models import Identity

    twin = cast.paul
    cast.ian.identity = twin.identity = Identity.objects.create(name="Ian")
    cast.ian.save()
    twin.save()
    scheduled(cast.petra, now, *slot, "billing", implementers=[twin])
    assert kinds(mine, slot, now) == [("person", "hard")]


def test_what_it_depends_on_has_to_end_before(mine, cast, slot, now):
    other = scheduled(cast.petra, now, slot[0] - HOUR, slot[0] + HOUR, "billing")
    Link.objects.create(change=mine, kind="depends_on", other=other)
    assert kinds(mine, slot, now) == [("dependency", "hard")]
    assert kinds(mine, (slot[0] + HOUR, slot[1] + HOUR), now) == []


def test_what_blocks_it_has_to_end_before_and_what_waits_starts_after(mine, cast, slot, now):
    before = scheduled(cast.petra, now, slot[0] + 5 * HOUR, slot[0] + 6 * HOUR, "billing")
    Link.objects.create(change=before, kind="blocks", other=mine)
    assert kinds(mine, slot, now) == [("dependency", "hard")]
    waiting = scheduled(cast.petra, now, slot[0] + 20 * HOUR, slot[0] + 21 * HOUR, "shop")
    Link.objects.create(change=waiting, kind="depends_on", other=mine)
    assert kinds(mine, (slot[0] + 7 * HOUR, slot[0] + 8 * HOUR), now) == []
    assert kinds(mine, (slot[0] + 19 * HOUR, slot[0] + 22 * HOUR), now) == [("dependency", "hard")]


def test_a_dependency_without_a_window_only_warns_and_one_that_is_done_does_not(mine, cast, slot, now):
    other = change_of(cast.petra, now, "billing")
    Link.objects.create(change=mine, kind="depends_on", other=other)
    assert kinds(mine, slot, now) == [("dependency", "soft")]
    Link.objects.all().delete()
    done = change_of(cast.petra, now, "billing", state=State.CLOSED)
    Link.objects.create(change=mine, kind="depends_on", other=done)
    assert kinds(mine, slot, now) == []


def test_a_component_some_window_covers_may_only_be_changed_inside_one(mine, slot, now):
    scope = {"field": "components", "op": "eq", "value": "orders"}
    MaintenanceWindow.objects.create(name="Sunday", start=slot[0] - HOUR, end=slot[1], scope=scope)
    assert kinds(mine, slot, now) == []
    late = (slot[0] + HOUR, slot[1] + HOUR)
    (guard,) = window_guards(mine, *late, now=now)
    assert guard.guard == "maintenance_window" and "orders" in guard.message and "Sunday" in guard.message
    assert window_guards(mine, slot[0] - HOUR, slot[1], now=now) == []


def test_each_component_demands_its_own_window(cast, slot, now):
    both = change_of(cast.rita, now, "orders", "billing")
    for key, start in (("orders", slot[0]), ("billing", slot[0] + HOUR)):
        scope = {"field": "components", "op": "eq", "value": key}
        MaintenanceWindow.objects.create(name=key, start=start, end=start + 3 * HOUR, scope=scope)
    assert kinds(both, (slot[0], slot[0] + HOUR), now) == [("outside_maintenance", "hard")]
    assert kinds(both, (slot[0] + HOUR, slot[0] + 2 * HOUR), now) == []


def test_a_window_for_everything_is_open_to_all_and_demands_nothing(mine, slot, now):
    MaintenanceWindow.objects.create(name="Any", start=slot[0] + 90 * HOUR, end=slot[0] + 91 * HOUR, scope={})
    assert kinds(mine, slot, now) == []


def test_a_component_outside_every_scope_demands_no_window(mine, slot, now):
    MaintenanceWindow.objects.create(name="Data", start=slot[0], end=slot[1], scope={"field": "layers", "op": "eq", "value": "data"})
    assert kinds(mine, (slot[1], slot[1] + HOUR), now) == []


def test_the_requested_window_binds(mine, slot, now):
    mine.requested_start, mine.requested_end = slot
    guards = window_guards(mine, slot[0], slot[1] + HOUR, now=now)
    assert names(guards) == ["requested_window"] and guards[0].who_can_clear == ("rita", "max")
    assert window_guards(mine, *slot, now=now) == []


def test_a_window_in_the_past_or_upside_down_is_refused(mine, slot, now):
    assert names(window_guards(mine, now - HOUR, now + HOUR, now=now)) == ["not_past"]
    assert names(window_guards(mine, slot[1], slot[0], now=now)) == ["requested_window"]
    assert names(window_guards(mine, None, None, now=now)) == ["requested_window"]


def test_blackouts_warn_owners_implementers_and_compliance(mine, cast, slot, now):
    component("orders")
    Blackout.objects.create(name="Ian away", start=slot[0], end=slot[1], owner="ian")
    Blackout.objects.create(name="Other away", start=slot[0], end=slot[1], owner="nobody")
    Blackout.objects.create(name="Audit", start=slot[0], end=slot[1], compliance_scope="sox")
    assert kinds(mine, slot, now) == [("resource", "soft")]
    mine.compliance_scope = ["sox"]
    assert kinds(mine, slot, now) == [("resource", "soft")] * 2
    assert window_guards(mine, *slot, now=now) == []


def test_a_confidential_change_is_only_a_time_and_a_hardness_to_outsiders(mine, cast, slot, now):
    other = scheduled(cast.petra, now, *slot, "orders", confidential=True, implementers=[cast.ian])
    grant("view", cast.petra, other)
    for viewer in (cast.rita, None):
        (one,) = conflicts_of(mine, *slot, now=now, viewer=viewer)
        assert (one.with_, one.severity, one.start) == ("a change you may not see", "hard", slot[0])
        assert other.number not in one.message and "orders" not in one.message and "ian" not in one.message
    assert {one.with_ for one in conflicts_of(mine, *slot, now=now, viewer=cast.petra)} == {other.number}
    assert other.number not in window_guards(mine, *slot, now=now)[0].message


def test_the_number_of_queries_does_not_grow_with_the_calendar(mine, cast, slot, now, django_assert_max_num_queries):
    for index in range(30):
        other = scheduled(cast.petra, now, slot[0], slot[1], "orders", implementers=[cast.ian], confidential=index % 2 == 0)
        Link.objects.create(change=mine, kind="depends_on", other=other)
        Freeze.objects.create(name=f"F{index}", start=slot[0], end=slot[1])
    with django_assert_max_num_queries(25):
        assert len(conflicts_of(mine, *slot, now=now, viewer=cast.rita)) > 60


def test_why_not_this_slot_names_every_reason_and_the_score(mine, slot, now):
    Freeze.objects.create(name="Year end", start=slot[0], end=slot[1])
    answer = explain_slot(mine, *slot, now=now)
    assert answer["possible"] is False and answer["guards"][0].guard == "no_freeze"
    assert answer["factors"]["business_impact"] == 35 and answer["score"] == 100 - 14 + 15 + 20 + 5
    assert explain_slot(mine, slot[1], slot[1] + HOUR, now=now)["possible"] is True
