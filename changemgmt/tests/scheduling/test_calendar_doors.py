"""Freezes and windows through their verbs, the API and the pages; the calendar and its feed."""

from datetime import timedelta

import icalendar
import pytest

from changemgmt.accounts.actions import grant
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible
from changemgmt.core.time import rfc3339, utc_now
from changemgmt.lifecycle import change_calendar
from changemgmt.scheduling.models import BusinessCalendar, Freeze, MaintenanceWindow
from changemgmt.scheduling.queries import calendar_entries, freeze_guard
from changemgmt.scheduling.seed import seed

from .surroundings import HOUR, change_of, component, scheduled

pytestmark = pytest.mark.django_db


@pytest.fixture
def fields(now):
    return {"name": "Year end", "start": now, "end": now + 10 * HOUR, "reason": "Books"}


@pytest.fixture
def freeze(cast, fields, now):
    return change_calendar.create_freeze(fields, actor=cast.max, now=now)


def actions():
    return list(Event.objects.order_by("pk").values_list("action", flat=True))


def frozen(cast, now, at):
    return freeze_guard(Change.objects.first() or change_of(cast.rita, now, "orders"), at, now=now) is not None


def test_a_freeze_holds_at_once_and_is_on_the_record(cast, freeze, now):
    assert frozen(cast, now, now) and actions()[-1] == "freeze.created"


def test_outsiders_write_no_calendar(cast, fields, now, freeze):
    for person in (cast.rita, cast.vera, cast.ian, cast.olga, cast.aud):
        with pytest.raises(NotPermitted):
            change_calendar.create_freeze(fields, actor=person, now=now)
        with pytest.raises(NotPermitted):
            change_calendar.remove_freeze(freeze.pk, actor=person, now=now)
        with pytest.raises(NotPermitted):
            change_calendar.confirm_freeze(freeze.pk, actor=person, now=now)


def test_shortening_waits_for_another_person(cast, freeze, now):
    row, holds = change_calendar.edit_freeze(freeze.pk, {"end": now + HOUR}, actor=cast.max, now=now)
    assert not holds and row.pending_by == cast.max and frozen(cast, now, now + 5 * HOUR)
    with pytest.raises(NotPermitted):
        change_calendar.confirm_freeze(freeze.pk, actor=cast.max, now=now)
    change_calendar.confirm_freeze(freeze.pk, actor=cast.ada, now=now)
    assert not frozen(cast, now, now + 5 * HOUR) and frozen(cast, now, now)
    assert actions()[-2:] == ["freeze.loosening_asked", "freeze.updated"]
    with pytest.raises(NotPossible):
        change_calendar.confirm_freeze(freeze.pk, actor=cast.otto, now=now)


@pytest.mark.parametrize(
    "loosening",
    [
        {"allowed_types": ["emergency"]},
        {"scope": {"field": "type", "op": "eq", "value": "major"}},
        {"recurrence": "FREQ=DAILY", "start": None},
    ],
)
def test_whatever_could_let_something_pass_waits(cast, freeze, now, loosening):
    if "start" in loosening:
        loosening = {**loosening, "start": now - HOUR}
    assert change_calendar.edit_freeze(freeze.pk, loosening, actor=cast.max, now=now)[1] is False


def test_what_only_tightens_holds_at_once(cast, freeze, now):
    for tightening in ({"end": now + 20 * HOUR}, {"start": now - HOUR}, {"name": "Longer"}, {"recurrence": "FREQ=DAILY;COUNT=3"}):
        assert change_calendar.edit_freeze(freeze.pk, tightening, actor=cast.max, now=now)[1] is True
    assert frozen(cast, now, now + 19 * HOUR)


def test_removal_holds_once_another_confirms_and_linked_accounts_are_one_person(cast, freeze, now):
    from changemgmt.accounts.models import Identity

    cast.max.identity = cast.ada.identity = Identity.objects.create(name="Max")
    cast.max.save()
    cast.ada.save()
    change_calendar.remove_freeze(freeze.pk, actor=cast.max, now=now)
    with pytest.raises(NotPermitted):
        change_calendar.confirm_freeze(freeze.pk, actor=cast.ada, now=now)
    assert frozen(cast, now, now)
    change_calendar.confirm_freeze(freeze.pk, actor=cast.otto, now=now)
    assert not frozen(cast, now, now) and Freeze.objects.filter(pk=freeze.pk, removed_at__isnull=False).exists()
    with pytest.raises(NotFound):
        change_calendar.edit_freeze(freeze.pk, {"name": "x"}, actor=cast.max, now=now)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"end": None}, "end"),
        ({"start": "tomorrow"}, "start"),
        ({"start": "2026-11-22T02:00:00"}, "start"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"recurrence": "FREQ=SECONDLY"}, "recurrence"),
        ({"recurrence": "every day"}, "recurrence"),
        ({"recurrence": 7}, "recurrence"),
        ({"scope": {"field": "moon", "op": "eq", "value": 1}}, "scope"),
        ({"scope": []}, "scope"),
        ({"allowed_types": ["big"]}, "allowed_types"),
        ({"allowed_types": "normal"}, "allowed_types"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_mistake_is_named_at_its_field_and_nothing_is_kept(cast, fields, now, wrong, field):
    with pytest.raises(Invalid) as refused:
        change_calendar.create_freeze(fields | wrong, actor=cast.max, now=now)
    assert field in refused.value.errors and not Freeze.objects.exists()


def test_a_window_that_ends_before_it_starts_is_refused(cast, fields, now):
    with pytest.raises(Invalid) as refused:
        change_calendar.create_freeze(fields | {"end": now - HOUR}, actor=cast.max, now=now)
    assert refused.value.errors == {"end": ["It has to end after it starts."]}


def test_maintenance_windows_are_written_altered_and_taken_out_at_once(cast, now):
    row = change_calendar.create_window({"name": "Sunday", "start": now, "end": now + HOUR}, actor=cast.ada, now=now)
    change_calendar.edit_window(row.pk, {"name": "Saturday"}, actor=cast.max, now=now)
    change_calendar.remove_window(row.pk, actor=cast.max, now=now)
    row.refresh_from_db()
    assert row.name == "Saturday" and row.removed_at == now and row.history.count() == 3
    assert actions()[-3:] == [f"maintenance_window.{what}" for what in ("created", "updated", "removed")]


# The API


def body(now, **more):
    return {"name": "Year end", "start": rfc3339(now), "end": rfc3339(now + 10 * HOUR), **more}


def test_the_api_creates_lists_and_reads_a_freeze(cast, api, now):
    made = api(cast.max).post("/api/v1/freezes/", body(now, recurrence=None, scope={}, allowed_types=["emergency"]), format="json")
    assert made.status_code == 201, made.content
    data = made.json()
    assert {"id", "name", "start", "end", "recurrence", "timezone", "scope", "allowed_types"} <= data.keys()
    assert data["recurrence"] is None and data["allowed_types"] == ["emergency"] and data["timezone"] == "UTC"
    listed = api(cast.vera).get("/api/v1/freezes/").json()
    assert [one["id"] for one in listed["results"]] == [data["id"]]
    assert api(cast.vera).get(f"/api/v1/freezes/{data['id']}/").json() == data


def test_confirming_is_only_ever_a_post(cast, api, freeze):
    assert api(cast.max).get(f"/api/v1/freezes/{freeze.pk}/confirm/").status_code == 405


def test_the_api_answers_202_to_what_loosens_and_wants_another_to_confirm(cast, api, now, freeze):
    where = f"/api/v1/freezes/{freeze.pk}/"
    assert api(cast.max).patch(where, {"end": rfc3339(now + HOUR)}, format="json").status_code == 202
    assert api(cast.max).patch(where, {"end": rfc3339(now + 30 * HOUR)}, format="json").status_code == 200
    asked = api(cast.max).delete(where)
    assert asked.status_code == 202 and asked.json()["pending"] == {"remove": True} and asked.json()["pending_by"] == "max"
    assert api(cast.max).post(f"{where}confirm/").status_code == 403
    assert api(cast.rita).post(f"{where}confirm/").status_code == 403
    assert api(cast.ada).post(f"{where}confirm/").status_code == 200
    assert api(cast.max).get(where).status_code == 404


def test_the_api_refuses_outsiders_and_nonsense(cast, api, now):
    client = api(cast.max)
    assert api().get("/api/v1/freezes/").status_code == 401
    assert api(cast.rita).post("/api/v1/freezes/", body(now), format="json").status_code == 403
    assert api(cast.rita).post("/api/v1/maintenance-windows/", body(now), format="json").status_code == 403
    for wrong in (
        {},
        [],
        {"name": 1},
        body(now, scope=3),
        body(now, recurrence="X"),
        body(now, id=9),
        body(now, unknown=1),
        body(now, timezone="x/y"),
    ):
        answer = client.post("/api/v1/freezes/", wrong, format="json")
        assert answer.status_code == 400 and answer.json()["errors"], wrong
    assert client.get("/api/v1/freezes/999999/").status_code == 404


def test_the_api_writes_maintenance_windows(cast, api, now):
    client = api(cast.ada)
    made = client.post("/api/v1/maintenance-windows/", body(now, recurrence="FREQ=WEEKLY", timezone="Europe/Oslo"), format="json")
    assert made.status_code == 201 and made.json()["allowed_types"] == []
    where = f"/api/v1/maintenance-windows/{made.json()['id']}/"
    assert client.patch(where, {**made.json(), "name": "New"}, format="json").json()["name"] == "New"
    assert client.delete(where).status_code == 204 and client.get(where).status_code == 404
    assert MaintenanceWindow.objects.count() == 1


def test_windows_and_conflicts_of_a_change_are_bare_arrays(cast, api):
    now = utc_now()
    mine = change_of(cast.rita, now, "orders", implementers=[cast.ian])
    other = scheduled(cast.petra, now, now + 24 * HOUR, now + 26 * HOUR, "orders")
    windows = api(cast.rita).get(f"/api/v1/changes/{mine.number}/windows/?duration=60&limit=3").json()
    assert len(windows) == 3 and windows[0].keys() == {"start", "end", "score", "factors", "soft_conflicts"}
    assert windows[0]["factors"].keys() == {
        "business_impact", "historical_success", "resource_availability", "dependency_coordination", "compliance_penalty",
    }  # fmt: skip
    query = {"start": rfc3339(now + 25 * HOUR), "end": rfc3339(now + 27 * HOUR)}
    (conflict,) = api(cast.rita).get(f"/api/v1/changes/{mine.number}/conflicts/", query).json()
    assert conflict["kind"] == "component" and conflict["severity"] == "hard" and conflict["with"] == other.number
    for wrong in ("duration=0", "duration=x", "limit=-1", "earliest=soon", "latest=2020-01-01T00:00:00Z", "what=1"):
        assert api(cast.rita).get(f"/api/v1/changes/{mine.number}/windows/?{wrong}").status_code == 400, wrong
    assert api(cast.rita).get(f"/api/v1/changes/{mine.number}/conflicts/").status_code == 400


def test_windows_of_a_confidential_change_are_404_to_outsiders(cast, api, now):
    secret = change_of(cast.rita, now, "orders", confidential=True)
    for tail in ("windows/", "conflicts/", "assessment/"):
        assert api(cast.vera).get(f"/api/v1/changes/{secret.number}/{tail}").status_code == 404


def test_the_calendar_shows_what_one_may_see_and_marks_conflicts(cast, now):
    first = scheduled(cast.rita, now, now + HOUR, now + 3 * HOUR, "orders")
    second = scheduled(cast.petra, now, now + 2 * HOUR, now + 4 * HOUR, "orders")
    secret = scheduled(cast.petra, now, now + 10 * HOUR, now + 11 * HOUR, "billing", confidential=True)
    grant("view", cast.petra, secret)
    change_of(cast.rita, now, "orders")  # without a window
    Freeze.objects.create(name="F", start=now + 30 * HOUR, end=now + 31 * HOUR)
    entries = calendar_entries(cast.vera, now, now + 100 * HOUR)
    assert [(entry.kind, entry.number, entry.conflict) for entry in entries[:2]] == [("change", first.number, True), ("change", second.number, True)]
    assert secret.number not in {entry.number for entry in entries} and entries[2].kind == "freeze"
    assert secret.number in {entry.number for entry in calendar_entries(cast.petra, now, now + 100 * HOUR)}
    assert entries[0].services == ("orders",)


def test_a_hidden_change_in_a_collision_is_only_a_time(cast, now):
    from changemgmt.scheduling.entries import clashes_of

    scheduled(cast.rita, now, now + HOUR, now + 3 * HOUR, "orders")
    secret = scheduled(cast.petra, now, now + 2 * HOUR, now + 4 * HOUR, "orders", confidential=True)
    (clash,) = clashes_of(cast.vera, now, now + 10 * HOUR)
    assert secret.number not in clash.numbers and clash.about == "" and clash.start == now + 2 * HOUR
    scheduled(cast.petra, now, now + 2 * HOUR, now + 4 * HOUR, "other", confidential=True)
    Freeze.objects.create(name="F", start=now, end=now + 9 * HOUR)
    assert all(one.kind != "freeze" or secret.number not in one.numbers for one in clashes_of(cast.vera, now, now + 10 * HOUR))


def test_the_calendar_api_and_the_feed_agree_and_are_valid(cast, api):
    now = utc_now().replace(microsecond=0)
    component("shop", name="Web shop")
    change = scheduled(cast.rita, now, now + HOUR, now + 3 * HOUR, "shop", title="Ümlaut, \\ and; more " * 8)
    MaintenanceWindow.objects.create(name="Nightly", start=now - 50 * HOUR, end=now - 49 * HOUR, recurrence="FREQ=DAILY")
    listed = api(cast.vera).get("/api/v1/calendar/").json()
    assert {"kind", "number", "title", "start", "end", "type", "state", "services", "conflict"} == listed["results"][0].keys()
    answer = api(cast.vera).get("/api/v1/calendar.ics")
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/calendar")
    assert all(len(line) <= 75 for line in answer.content.split(b"\r\n"))
    calendar = icalendar.Calendar.from_ical(answer.content)
    events = {str(event["uid"]): event for event in calendar.walk("VEVENT")}
    event = next(event for uid, event in events.items() if uid.startswith(change.number))
    assert event.decoded("dtstart") == change.planned_start and str(event["summary"]) == f"{change.number} {change.title}"
    assert len(events) > 150 and len(events) == len(calendar.walk("VEVENT"))


def test_the_feed_takes_only_a_reading_token_from_its_address(cast, api):
    from changemgmt.accounts.actions import make_token, revoke_token

    now = utc_now()
    keys = {scope: make_token(cast.vera, days=5, scope=scope, name="cal", now=now) for scope in ("read", "write")}
    client = api()
    assert client.get("/api/v1/calendar.ics").status_code == 401
    assert client.get(f"/api/v1/calendar.ics?token={keys['write'][1]}").status_code == 401
    assert client.get(f"/api/v1/calendar.ics?token={keys['read'][1]}").status_code == 200
    assert client.get(f"/api/v1/calendar/?token={keys['read'][1]}").status_code == 401
    revoke_token(keys["read"][0], now=now)
    assert client.get(f"/api/v1/calendar.ics?token={keys['read'][1]}").status_code == 401


def test_the_calendar_list_keeps_its_query_budget(cast, now, django_assert_max_num_queries):
    for index in range(40):
        scheduled(cast.rita, now, now + index * HOUR, now + (index + 2) * HOUR, f"c{index % 5}", implementers=[cast.ian])
        Freeze.objects.create(name=f"F{index}", start=now, end=now + HOUR, recurrence="FREQ=DAILY")
    with django_assert_max_num_queries(15):
        assert len(calendar_entries(cast.vera, now, now + timedelta(days=20))) > 800


# The pages


@pytest.mark.parametrize("view", ["lanes", "month", "list"])
@pytest.mark.parametrize("day", ["", "2026-10-26", "nonsense", "2026-02-29"])
def test_every_view_of_the_calendar_draws(cast, client, view, day):
    now = utc_now()
    change = scheduled(cast.rita, now, now + HOUR, now + 26 * HOUR, "orders", type="emergency")
    scheduled(cast.petra, now, now + HOUR, now + 2 * HOUR, "orders")
    Freeze.objects.create(name="Frozen <b>", start=now, end=now + HOUR, recurrence="FREQ=DAILY", timezone="Europe/Oslo")
    MaintenanceWindow.objects.create(name="Night", start=now, end=now + HOUR, scope={"field": "components", "op": "eq", "value": "orders"})
    client.force_login(cast.max)
    page = client.get("/calendar/", {"view": view, "day": day})
    assert page.status_code == 200 and b"Frozen <b>" not in page.content and b" style=" not in page.content
    if not day or day == "nonsense":
        assert change.number.encode() in page.content and b"Same component twice" in page.content
    fragment = client.get("/calendar/", {"view": view}, headers={"HX-Request": "true"})
    assert b"<html" not in fragment.content and b"cal-h" in fragment.content


def test_an_empty_calendar_says_what_will_be_there(cast, client):
    client.force_login(cast.vera)
    assert b"Nothing in these days" in client.get("/calendar/").content
    assert client.get("/calendar/?view=list").status_code == 200


def test_a_day_of_changed_clocks_is_drawn_in_the_viewers_zone(cast, client, now):
    cast.vera.time_zone = "Europe/Oslo"
    cast.vera.save()
    start = now.replace(year=2026, month=10, day=25, hour=0)
    scheduled(cast.rita, now, start, start + 2 * HOUR, "orders")
    client.force_login(cast.vera)
    page = client.get("/calendar/?view=list&day=2026-10-25").content.decode()
    assert "02:00 to 03:00" in page  # 00 UTC is 02 in summer time, 02 UTC is 03 in winter time


def form(now, **more):
    return {
        "name": "Peak", "start": "2026-11-27T08:00", "end": "2026-11-30T20:00", "timezone": "Europe/Oslo", "repeats": "", "rule": "", "reason": "Sales",
        "scope-join": "all", "scope-rows": "2", "scope-0-field": "layers", "scope-0-op": "in", "scope-0-value": "business, application", **more,
    }  # fmt: skip


def test_a_change_manager_freezes_shortens_and_another_confirms_on_the_pages(cast, client, now):
    client.force_login(cast.max)
    assert client.get("/calendar/freezes/new/").status_code == 200
    assert client.post("/calendar/freezes/new/", form(now)).status_code == 302
    freeze = Freeze.objects.get()
    assert rfc3339(freeze.start) == "2026-11-27T07:00:00Z"
    assert freeze.scope == {"all": [{"field": "layers", "op": "in", "value": ["business", "application"]}]}
    assert client.get(f"/calendar/freezes/{freeze.pk}/").status_code == 200
    client.post(f"/calendar/freezes/{freeze.pk}/", form(now, end="2026-11-28T20:00"))
    freeze.refresh_from_db()
    assert freeze.pending is not None and rfc3339(freeze.end) == "2026-11-30T19:00:00Z"
    assert client.post(f"/calendar/freezes/{freeze.pk}/confirm/").status_code == 403
    client.force_login(cast.otto)
    assert b"Confirm for Peak" in client.get("/calendar/").content
    client.post(f"/calendar/freezes/{freeze.pk}/confirm/")
    freeze.refresh_from_db()
    assert freeze.pending is None and rfc3339(freeze.end) == "2026-11-28T19:00:00Z"


def test_a_mistake_in_the_form_stands_at_its_field(cast, client, now):
    client.force_login(cast.max)
    page = client.post("/calendar/freezes/new/", form(now, repeats="own", rule="FREQ=HOURLY"))
    assert page.status_code == 400 and b"FREQ is DAILY" in page.content
    page = client.post("/calendar/freezes/new/", form(now, **{"scope-1-field": "users", "scope-1-op": "gt", "scope-1-value": "many"}))
    assert page.status_code == 400 and b"Row 2: Give a number." in page.content and not Freeze.objects.exists()


def test_others_see_the_lists_and_no_forms(cast, client, now, freeze):
    client.force_login(cast.vera)
    page = client.get("/calendar/freezes/")
    assert b"Year end" in page.content and b"Ask to end it" not in page.content
    assert client.get("/calendar/freezes/new/").status_code == 403
    assert client.post(f"/calendar/freezes/{freeze.pk}/remove/").status_code == 403
    assert client.get("/calendar/windows/").status_code == 200


def test_seeding_twice_gives_one_calendar_and_no_freeze(db, now):
    seed(now=now)
    BusinessCalendar.objects.update(business_start=7)
    seed(now=now)
    assert BusinessCalendar.objects.get().business_start == 7 and not Freeze.objects.exists()
