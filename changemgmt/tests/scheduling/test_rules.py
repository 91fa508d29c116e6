"""Recurrence, scoring and choosing: pure rules and their properties."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.scheduling.optimizer import public_holidays
from changemgmt.scheduling.recurrence import Pattern, Span, covered, merged, mistake_in, occurrences
from changemgmt.scheduling.rules import (
    Factors,
    Hours,
    Search,
    Track,
    best,
    business_impact,
    calendar_mistakes,
    local_slots,
    loosens,
    score,
    scored,
    slot_of,
)

HOUR = timedelta(hours=1)
BASE = datetime(2026, 11, 16, tzinfo=UTC)  # a Monday
moments = st.integers(0, 60 * 24 * 40).map(lambda minutes: BASE + timedelta(minutes=minutes))
spans = st.tuples(moments, st.integers(1, 5_000)).map(lambda pair: Span(pair[0], pair[0] + timedelta(minutes=pair[1])))
MODEST = settings(max_examples=60, deadline=None)


def weekly(zone, start, hours=3, rule="FREQ=WEEKLY"):
    return Pattern(start, start + hours * HOUR, rule, zone)


# Recurrence


def test_a_weekly_window_keeps_its_clock_time_when_the_clocks_go_back():
    pattern = weekly("Europe/Oslo", datetime(2026, 10, 17, 23, tzinfo=UTC))  # Sunday 01:00 to 04:00, summer time
    found = occurrences(pattern, datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    assert [span.start for span in found] == [datetime(2026, 10, 24, 23, tzinfo=UTC), datetime(2026, 11, 1, 0, tzinfo=UTC)]
    assert [span.end - span.start for span in found] == [4 * HOUR, 3 * HOUR]  # the night with an hour twice is longer


def test_and_when_the_clocks_go_forward_to_a_time_that_is_skipped():
    pattern = weekly("Europe/Oslo", datetime(2026, 3, 22, 1, 30, tzinfo=UTC), hours=1)  # Sunday 02:30 to 03:30
    skipped = occurrences(pattern, datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC))
    assert skipped == [Span(datetime(2026, 3, 29, 1, 30, tzinfo=UTC), datetime(2026, 3, 29, 2, 30, tzinfo=UTC))]
    assert skipped[0].start.astimezone(ZoneInfo("Europe/Oslo")).hour == 3


def test_other_hemispheres_and_half_hours_are_right_too():
    pattern = weekly("Australia/Lord_Howe", datetime(2026, 9, 25, 13, 30, tzinfo=UTC), rule="FREQ=DAILY")  # midnight, clocks go by half an hour
    found = occurrences(pattern, datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 8, tzinfo=UTC))
    assert {span.start.astimezone(ZoneInfo("Australia/Lord_Howe")).strftime("%H:%M") for span in found} == {"00:00"}


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("FREQ=DAILY;COUNT=3", [16, 17, 18]),
        ("FREQ=DAILY;UNTIL=20261118", [16, 17, 18]),
        ("FREQ=DAILY;UNTIL=20261118T000000Z", [16, 17, 18]),
        ("FREQ=DAILY;UNTIL=20261117T235959", [16, 17]),
        ("RRULE:FREQ=WEEKLY;BYDAY=MO,WE", [16, 18, 23, 25]),
        ("FREQ=MONTHLY;BYDAY=-1SU", [16, 29]),  # its first time is always one
        ("freq=daily;interval=5", [16, 21, 26]),
        ("", [16]),
    ],
)
def test_rules_expand_to_these_days(rule, days):
    found = occurrences(Pattern(BASE, BASE + HOUR, rule, "UTC"), BASE, BASE + timedelta(days=14))
    assert [span.start.day for span in found] == days


@pytest.mark.parametrize(
    "rule",
    [
        "every sunday", "FREQ=HOURLY", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;COUNT=-1", "FREQ=DAILY;COUNT=1;COUNT=2", "FREQ=DAILY;X=1", "FREQ=DAILY;BYDAY=XX",
        "FREQ=DAILY\nFREQ=WEEKLY", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;UNTIL=soon", "DTSTART:20200101", "FREQ=WEEKLY;BYDAY=" + "MO," * 300,
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_used_says_so(rule):
    assert mistake_in(rule, BASE, BASE + HOUR, "UTC")


def test_a_rule_that_went_bad_in_the_database_happens_once():
    assert occurrences(Pattern(BASE, BASE + HOUR, "FREQ=NEVER", "UTC"), BASE, BASE + 9 * HOUR) == [Span(BASE, BASE + HOUR)]


@MODEST
@given(
    start=moments, hours=st.integers(1, 100), zone=st.sampled_from(["UTC", "Europe/Oslo", "America/New_York", "Asia/Kolkata"]),
    rule=st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY", "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY;BYDAY=MO,TH;INTERVAL=2", "FREQ=MONTHLY;BYMONTHDAY=13"]),
    offset=st.integers(0, 400),
)  # fmt: skip
def test_the_same_occurrences_come_out_of_any_stretch_one_looks_at(start, hours, zone, rule, offset):
    pattern = Pattern(start, start + hours * HOUR, rule, zone)
    middle = start + timedelta(days=offset)
    whole = occurrences(pattern, start - timedelta(days=1), middle + timedelta(days=30))
    part = occurrences(pattern, middle, middle + timedelta(days=20))
    assert part == [span for span in whole if span.overlaps(middle, middle + timedelta(days=20))]
    local = {span.start.astimezone(ZoneInfo(zone)).strftime("%H:%M") for span in part}
    assert len(local) <= 1 or zone in ("Europe/Oslo", "America/New_York")


@MODEST
@given(st.lists(spans, max_size=12), spans)
def test_merging_keeps_what_is_covered_and_what_is_touched(found, asked):
    union, track = merged(found), Track.of(found)
    assert all(first.end < second.start for first, second in zip(union, union[1:], strict=False))
    assert track.touches(*asked) == any(span.overlaps(*asked) for span in found)
    assert track.holds(*asked) == covered(*asked, found)
    if any(span.start <= asked.start and asked.end <= span.end for span in found):
        assert track.holds(*asked)
    after = track.clear_after(*asked)
    assert (after is None) == (not track.touches(*asked)) and (after is None or after > asked.start)


# Scoring


def impact(start, hours, calendar=Hours()):  # noqa: B008 — frozen
    return business_impact([slot_of(local, calendar) for local in local_slots(start, start + hours * HOUR, calendar.zone())])


@pytest.mark.parametrize(
    ("hour", "length", "wanted"),
    [(2, 2, 25), (9, 2, 50), (16, 2, 50), (17, 2, 35), (19, 1, 35), (20, 1, 25), (8, 1, 25), (8, 1.25, 50), (18, 3, 35), (0, 24, 50)],
)
def test_the_worst_hour_of_a_weekday_counts(hour, length, wanted):
    assert impact(BASE + hour * HOUR, length) == wanted


def test_weekends_seasons_and_peaks_count_as_published():
    saturday = BASE + timedelta(days=5)
    assert impact(saturday + 2 * HOUR, 2) == 10 and impact(saturday + 10 * HOUR, 2) == 35
    busy = Hours(peak_seasons=(((11, 20), (1, 6)),), peak_start=2, peak_end=4)
    assert impact(saturday + 5 * HOUR, 1, busy) == 5 + 5 + 25
    assert impact(saturday + 3 * HOUR, 1, busy) == 5 + 5 + 25 + 35
    assert impact(BASE + 5 * HOUR, 1, busy) == 25  # before the season
    assert impact(datetime(2027, 1, 6, 5, tzinfo=UTC), 1, busy) == 50 and impact(datetime(2027, 1, 7, 5, tzinfo=UTC), 1, busy) == 25


def test_a_public_holiday_weighs_like_a_weekend_at_night():
    christmas = Hours(holidays=public_holidays("AT"))
    assert impact(datetime(2026, 12, 25, 10, tzinfo=UTC), 2, christmas) == 10
    assert impact(datetime(2026, 12, 23, 10, tzinfo=UTC), 2, christmas) == 50


def test_hours_are_those_of_the_calendars_zone():
    assert impact(BASE + 8 * HOUR, 1, Hours("Europe/Oslo")) == 50  # 9 o'clock there
    assert impact(BASE + 9 * HOUR, 1, Hours("America/New_York")) == 25  # 4 o'clock there


def test_the_published_formula():
    assert score(Factors(10)) == 100 - 4 + 15 + 10 + 5
    assert score(Factors(110, 0, 0, 0)) == 56
    assert score(Factors(110, 0, 0, 0, 75)) == 0
    assert score(Factors(50, 80, 60, 40, 25)) == pytest.approx(100 - 20 + 24 + 12 + 4 - 25)


factor = st.floats(0, 100)


@MODEST
@given(factor, factor, factor, factor, st.floats(0, 100), st.floats(0.5, 20))
def test_more_impact_or_penalty_never_helps_and_better_terms_never_hurt(bad, history, people, order, penalty, more):
    here = score(Factors(bad, history, people, order, penalty))
    assert here >= 0
    assert score(Factors(bad + more, history, people, order, penalty)) <= here
    assert score(Factors(bad, history, people, order, penalty + more)) <= here
    assert score(Factors(bad, history + more, people, order, penalty)) >= here
    assert score(Factors(bad, history, people + more, order, penalty)) >= here
    assert score(Factors(bad, history, people, order + more, penalty)) >= here


@settings(max_examples=25, deadline=None)
@given(st.lists(spans, max_size=8), st.lists(spans, min_size=1, max_size=4), st.integers(15, 600), st.integers(0, 59))
def test_every_proposal_is_on_the_grid_inside_what_is_required_and_clear_of_what_is_forbidden(forbidden, required, minutes, second):
    earliest = BASE + timedelta(minutes=7, seconds=second)
    latest = earliest + timedelta(days=6)
    search = Search(earliest, latest, timedelta(minutes=minutes), Hours("Europe/Oslo"), Track.of(forbidden), (Track.of(required),))
    found = scored(search)
    for one in found:
        assert earliest <= one.start and one.end <= latest and one.start.minute % 15 == 0 and one.start.second == 0
        assert not any(span.overlaps(one.start, one.end) for span in forbidden)
        assert covered(one.start, one.end, required)
    chosen = best(found)
    assert len(chosen) == min(5, len(chosen)) and (chosen or not found)
    assert all(a.end <= b.start or b.end <= a.start for a in chosen for b in chosen if a is not b)
    if chosen:
        top = max(one.score for one in found)
        assert chosen[0] == min((one for one in found if one.score == top), key=lambda one: one.start)


def test_ties_go_to_the_earlier_window():
    found = best(scored(Search(BASE, BASE + timedelta(days=1), HOUR)), 3)
    assert [one.start.hour for one in found] == [0, 1, 2]


def test_a_day_that_is_not_operational_is_left_out_also_when_only_touched():
    hours = Hours(operational_days=frozenset({5}))
    found = scored(Search(BASE, BASE + timedelta(days=7), 2 * HOUR, hours))
    assert found[0].start == BASE + timedelta(days=5) and found[-1].end == BASE + timedelta(days=6)


# Freezes and calendars


def freeze(**more):
    return {"start": BASE, "end": BASE + HOUR, "recurrence": "", "timezone": "UTC", "scope": {}, "allowed_types": [], **more}


def test_what_loosens_a_freeze_and_what_does_not():
    scope = {"field": "type", "op": "eq", "value": "major"}
    for after in (
        {"start": BASE + HOUR / 2}, {"end": BASE + HOUR / 2}, {"allowed_types": ["normal"]}, {"scope": scope}, {"start": BASE - HOUR, "recurrence": "FREQ=DAILY"},
    ):  # fmt: skip
        assert loosens(freeze(), freeze(**after)), after
    for after in ({}, {"start": BASE - HOUR}, {"end": BASE + 2 * HOUR}, {"recurrence": "FREQ=DAILY"}):
        assert not loosens(freeze(), freeze(**after)), after
    assert not loosens(freeze(scope=scope, allowed_types=["normal"]), freeze())
    assert loosens(freeze(recurrence="FREQ=DAILY"), freeze()) and loosens(
        freeze(recurrence="FREQ=DAILY"), freeze(recurrence="FREQ=DAILY", timezone="Europe/Oslo")
    )


@MODEST
@given(spans, spans)
def test_an_edit_that_does_not_loosen_leaves_no_moment_open_that_was_closed(before, after):
    if not loosens(freeze(start=before.start, end=before.end), freeze(start=after.start, end=after.end)):
        assert after.start <= before.start and before.end <= after.end


def test_a_calendar_that_makes_no_sense_is_refused_field_by_field():
    good = {"timezone": "UTC", "hours": (9, 17), "peak": (None, None), "days": [0], "seasons": [["11-20", "12-31"]], "country": "NO"}
    assert calendar_mistakes(**good) == {}
    for name, value, field in (
        ("timezone", "Nowhere", "timezone"), ("hours", (17, 9), "business_end"), ("peak", (3, None), "peak_end"), ("peak", (5, 4), "peak_end"),
        ("days", [], "operational_days"), ("days", [7], "operational_days"), ("seasons", [["13-40", "1"]], "peak_seasons"), ("country", "NOR", "country"),
    ):  # fmt: skip
        assert field in calendar_mistakes(**{**good, name: value}), name
