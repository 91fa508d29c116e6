"""The window optimizer on stored changes."""

import time
from datetime import timedelta

import pytest

from changemgmt.changes.models import Change, Item, State
from changemgmt.core.errors import Invalid
from changemgmt.scheduling.models import BusinessCalendar, Freeze, MaintenanceWindow
from changemgmt.scheduling.queries import window_guards, windows_for

from .surroundings import HOUR, change_of, scheduled

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine(cast, now):
    return change_of(cast.rita, now, "orders", implementers=[cast.ian])


def test_five_windows_come_best_first_and_none_overlaps(mine, now):
    found = windows_for(mine, now=now)
    proposals = [window.proposal for window in found]
    assert len(proposals) == 5 and proposals == sorted(proposals, key=lambda one: (-one.score, one.start))
    for one in proposals:
        assert one.end - one.start == timedelta(hours=2) and one.start >= now
        assert not [other for other in proposals if other is not one and one.start < other.end and other.start < one.end]
        assert one.factors.business_impact == 10  # the night of a weekend


def test_every_proposal_can_be_scheduled(mine, cast, now):
    scheduled(cast.petra, now, now + 10 * HOUR, now + 40 * HOUR, "orders")
    Freeze.objects.create(name="F", start=now + 50 * HOUR, end=now + 80 * HOUR, recurrence="FREQ=WEEKLY", timezone="Europe/Oslo")
    for window in windows_for(mine, now=now, limit=20):
        assert window_guards(mine, window.proposal.start, window.proposal.end, now=now) == []


def test_only_maintenance_windows_are_proposed_where_one_is_demanded(mine, now):
    start = now + timedelta(days=2)
    scope = {"field": "components", "op": "eq", "value": "orders"}
    MaintenanceWindow.objects.create(name="Weekly", start=start, end=start + 3 * HOUR, recurrence="FREQ=WEEKLY", scope=scope)
    found = [window.proposal for window in windows_for(mine, now=now)]
    assert len(found) == 4
    assert all((one.start - start) % timedelta(days=7) <= HOUR for one in found)


def test_the_requested_window_limits_the_search(mine, now):
    mine.requested_start, mine.requested_end = now + 5 * HOUR, now + 8 * HOUR
    assert [window.proposal.start for window in windows_for(mine, now=now)] == [now + 5 * HOUR]


def test_days_that_are_not_operational_are_skipped(mine, now):
    BusinessCalendar.objects.create(name="Weekdays", is_default=True, operational_days=[0, 1, 2, 3, 4])
    assert all(window.proposal.start.weekday() < 5 for window in windows_for(mine, now=now, limit=20))


def test_similar_changes_results_speak_for_their_part_of_the_week(mine, cast, now):
    night = now.replace(hour=2) - timedelta(days=30)
    weekend = night - timedelta(days=(night.weekday() - 5) % 7)
    for result in ("successful", "failed", "failed", "failed"):
        change_of(cast.petra, now, "orders", state=State.CLOSED, result=result, planned_start=weekend, planned_end=weekend + HOUR)
    best = windows_for(mine, now=now)[0].proposal
    assert (best.factors.historical_success, best.factors.business_impact) == (50, 20)  # Saturday evening before any weekend night
    nights = [one.proposal.factors for one in windows_for(mine, now=now, limit=300) if one.proposal.factors.business_impact == 10]
    assert nights and {factors.historical_success for factors in nights} == {25}


def test_implementers_near_another_window_of_theirs_count_half(mine, cast, now):
    scheduled(cast.petra, now, now + 24 * HOUR, now + 26 * HOUR, "billing", implementers=[cast.ian])
    found = windows_for(mine, earliest=now + 26 * HOUR, latest=now + 28 * HOUR, now=now)
    assert [window.proposal.factors.resource_availability for window in found] == [50]
    found = windows_for(mine, earliest=now + 31 * HOUR, latest=now + 33 * HOUR, now=now)
    assert [window.proposal.factors.resource_availability for window in found] == [100]


def test_a_search_that_makes_no_sense_says_what_would(mine, now):
    for wrong in ({"duration": timedelta(0)}, {"latest": now - HOUR}, {"latest": now + timedelta(days=400)}):
        with pytest.raises(Invalid):
            windows_for(mine, now=now, **wrong)


def test_thirty_days_with_ten_thousand_entries_take_less_than_200_ms(mine, cast, now):
    fill(cast, now)
    best = min(timed(mine, now) for _ in range(4))
    assert best < 0.2, f"{best * 1000:.0f} ms"


def timed(change, now):
    change = Change.objects.get(pk=change.pk)
    begin = time.process_time()  # of our own, whoever else is at work on the machine
    assert len(windows_for(change, now=now)) == 5
    return time.process_time() - begin


def fill(cast, now):
    rows = [
        Change(
            number=f"CHG-2026-1{index:05d}", title="x", requester=cast.petra, created_at=now, updated_at=now, state=State.SCHEDULED,
            planned_start=now + timedelta(minutes=8 * index), planned_end=now + timedelta(minutes=8 * index + 4),
        )
        for index in range(5_000)
    ]  # fmt: skip
    rows = Change.objects.bulk_create(rows)
    Item.objects.bulk_create(
        Item(change=row, operation="update", object="component", key="orders" if index % 25 == 0 else f"other-{index}", layer="application")
        for index, row in enumerate(rows)
    )
    elsewhere = {"field": "components", "op": "eq", "value": "billing"}
    Freeze.objects.bulk_create(
        Freeze(
            name=f"F{index}",
            start=now + timedelta(minutes=index * 17),
            end=now + timedelta(minutes=index * 17 + 9),
            scope={} if index % 50 == 0 else elsewhere,
        )
        for index in range(2_500)
    )
    MaintenanceWindow.objects.bulk_create(
        MaintenanceWindow(
            name=f"W{index}",
            start=now - timedelta(days=index % 300),
            end=now - timedelta(days=index % 300) + HOUR,
            recurrence="FREQ=WEEKLY",
            scope=elsewhere,
        )
        for index in range(2_500)
    )
