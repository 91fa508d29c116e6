"""The freezes of a real release train: code freeze until the release, and the exceptions that were asked for."""

import csv
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from changemgmt.lifecycle import change_calendar
from changemgmt.scheduling.models import Freeze
from changemgmt.scheduling.queries import calendar_entries, freeze_guard

from .surroundings import HOUR, change_of

pytestmark = pytest.mark.django_db
FOLDER = settings.BASE_DIR / "data" / "freeze-calendar-k8s"


def moment(row):
    return datetime.fromisoformat(f"{row['date_utc']}T{row['time_utc'] or '00:00'}:00").replace(tzinfo=UTC)


@pytest.fixture
def train(cast, now):
    """Every release's code freeze, as it was; fixes of emergencies may pass."""
    with open(FOLDER / "release_calendar.csv", newline="") as file:
        dates = {(row["release"], row["milestone"]): moment(row) for row in csv.DictReader(file)}
    releases = sorted({release for release, _ in dates})
    for release in releases:
        span = {"start": dates[release, "code_freeze"], "end": dates[release, "released"]}
        fields = {"name": f"Code freeze {release}", "allowed_types": ["emergency"], "reason": f"Until {release} is released.", **span}
        change_calendar.create_freeze(fields, actor=cast.max, now=now)
    return {release: (dates[release, "code_freeze"], dates[release, "released"]) for release in releases}


def test_each_freeze_holds_from_its_hour_until_the_release_and_not_outside(train, cast, now):
    change = change_of(cast.rita, now, "kubelet")
    assert len(train) == 5
    for release, (start, end) in train.items():
        guard = freeze_guard(change, start, now=now)
        assert f"Code freeze {release}" in guard.message and guard.clears_at == end and guard.who_can_clear == ("max",)
        assert freeze_guard(change, end - HOUR, now=now) and not freeze_guard(change, end, now=now)
        assert not freeze_guard(change, start - timedelta(seconds=1), now=now)


def test_an_emergency_passes_every_freeze(train, cast, now):
    change = change_of(cast.rita, now, "kubelet", type="emergency")
    assert not any(freeze_guard(change, start, now=now) for start, _ in train.values())


def test_requests_for_exceptions_asked_outside_the_freezes_meet_none(train, cast, now):
    change = change_of(cast.rita, now, "kubelet")
    with open(FOLDER / "freeze_exceptions.csv", newline="") as file:
        asked = [row["date_requested"] for row in csv.DictReader(file) if row["date_requested"]]
    days = [datetime(*map(int, text.split("-")), tzinfo=UTC) for text in asked]
    assert len(days) > 50
    for day in days:
        inside = any(start <= day < end for start, end in train.values())
        assert (freeze_guard(change, day, now=now) is not None) is inside


def test_the_calendar_shows_each_on_its_days(train, cast):
    for release, (start, end) in train.items():
        assert [entry.title for entry in calendar_entries(cast.vera, start, end)] == [f"Code freeze {release}"]
    assert Freeze.objects.count() == 5
