"""When something is due."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from changemgmt.deadlines.rules import Calendar, Span, due, due_in_days, elapsed, reminders, resumed, share_used

HOUR = timedelta(hours=1)
FRIDAY = datetime(2026, 11, 20, 9, tzinfo=UTC)
OFFICE = Calendar()
MODEST = settings(max_examples=80, deadline=None)
starts = st.integers(0, 60 * 24 * 60).map(lambda minutes: datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=minutes))
hours = st.integers(1, 200)
calendars = st.sampled_from(
    [None, OFFICE, Calendar("Europe/Oslo", 8, 16), Calendar("America/New_York", 0, 24, frozenset(range(7))), Calendar(days=frozenset({2}))]
)
pauses = st.lists(st.tuples(starts, st.integers(1, 3000)).map(lambda pair: Span(pair[0], pair[0] + timedelta(minutes=pair[1]))), max_size=4)


def test_calendar_hours_run_through_the_night():
    assert due(FRIDAY, 48) == FRIDAY + 48 * HOUR


def test_business_hours_stop_in_the_evening_and_over_the_weekend():
    assert due(FRIDAY, 8, calendar=OFFICE) == FRIDAY + 8 * HOUR
    assert due(FRIDAY, 9, calendar=OFFICE) == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert due(datetime(2026, 11, 21, 12, tzinfo=UTC), 1, calendar=OFFICE) == datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_holidays_do_not_count():
    assert due(FRIDAY, 9, calendar=Calendar(holidays=frozenset({date(2026, 11, 23)}))) == datetime(2026, 11, 24, 10, tzinfo=UTC)


def test_business_hours_are_those_of_the_zone_on_both_sides_of_a_change_of_clocks():
    oslo = Calendar("Europe/Oslo")
    assert due(datetime(2026, 10, 23, 6, tzinfo=UTC), 1, calendar=oslo) == datetime(2026, 10, 23, 8, tzinfo=UTC)
    assert due(datetime(2026, 10, 26, 6, tzinfo=UTC), 1, calendar=oslo) == datetime(2026, 10, 26, 9, tzinfo=UTC)
    always = Calendar("Europe/Oslo", 0, 24, frozenset(range(7)))
    assert due(datetime(2026, 10, 24, 22, tzinfo=UTC), 25, calendar=always) == datetime(2026, 10, 25, 23, tzinfo=UTC)


def test_five_business_days_end_with_the_fifth():
    assert due_in_days(FRIDAY, 5, calendar=OFFICE) == datetime(2026, 11, 27, 17, tzinfo=UTC)


def test_a_pause_moves_the_deadline_by_what_it_took():
    pause = Span(FRIDAY + HOUR, FRIDAY + 3 * HOUR)
    assert due(FRIDAY, 4, pauses=[pause]) == FRIDAY + 6 * HOUR
    assert resumed(FRIDAY + 4 * HOUR, *pause) == FRIDAY + 6 * HOUR
    assert resumed(FRIDAY, *pause) == FRIDAY  # it was over before the pause
    overnight = Span(FRIDAY + 7 * HOUR, FRIDAY + 72 * HOUR)
    assert due(FRIDAY, 8, calendar=OFFICE, pauses=[overnight]) == resumed(FRIDAY + 8 * HOUR, *overnight, calendar=OFFICE)


def test_reminders_come_at_their_percentages():
    assert reminders(FRIDAY, 48, [90, 50, 75, 50]) == [(50, FRIDAY + 24 * HOUR), (75, FRIDAY + 36 * HOUR), (90, FRIDAY + 43.2 * HOUR)]


def test_a_calendar_that_never_opens_is_refused():
    for wrong in ({"opens": 17, "closes": 9}, {"closes": 25}, {"days": frozenset()}):
        with pytest.raises(ValueError, match=r"[Bb]usiness"):
            Calendar(**wrong)
    with pytest.raises(ValueError, match="further off"):
        due(FRIDAY, 24 * 365 * 30)


@MODEST
@given(starts, hours, calendars, pauses)
def test_at_the_deadline_exactly_the_time_given_has_passed(start, given_hours, calendar, found):
    end = due(start, given_hours, calendar=calendar, pauses=found)
    assert elapsed(start, end, calendar=calendar, pauses=found) == given_hours * HOUR
    assert share_used(start, end, given_hours, calendar=calendar, pauses=found) == pytest.approx(1)
    assert end >= start + given_hours * HOUR


@MODEST
@given(starts, hours, hours, calendars)
def test_more_time_is_never_due_earlier_and_time_adds_up(start, first, second, calendar):
    middle = due(start, first, calendar=calendar)
    assert due(start, first + second, calendar=calendar) == due(middle, second, calendar=calendar)
    assert due(start, first + second, calendar=calendar) > middle


@MODEST
@given(starts, hours, calendars, starts, st.integers(1, 3000))
def test_pausing_and_going_on_is_the_same_as_leaving_the_pause_out(start, given_hours, calendar, begin, minutes):
    pause = Span(begin, begin + timedelta(minutes=minutes))
    end = due(start, given_hours, calendar=calendar)
    assume(start <= pause.start < end)
    assert resumed(end, *pause, calendar=calendar) == due(start, given_hours, calendar=calendar, pauses=[pause])
