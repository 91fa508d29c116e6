"""The calendar in the Django admin goes through its verbs."""

import pytest

from changemgmt.audit.models import Event
from changemgmt.scheduling.models import Blackout, BusinessCalendar, Freeze, MaintenanceWindow

pytestmark = pytest.mark.django_db
WHEN = {
    "start_0": "2026-11-27",
    "start_1": "08:00",
    "end_0": "2026-11-30",
    "end_1": "20:00",
    "recurrence": "",
    "timezone": "UTC",
    "scope-join": "all",
    "scope-rows": "0",
}


def actions():
    return list(Event.objects.order_by("pk").values_list("action", flat=True))


def test_an_administrator_freezes_shortens_and_another_confirms(cast, client):
    client.force_login(cast.ada)
    assert client.post("/admin/changemgmt/freeze/add/", {**WHEN, "name": "Peak", "reason": "Sales"}).status_code == 302
    freeze = Freeze.objects.get()
    where = f"/admin/changemgmt/freeze/{freeze.pk}/change/"
    assert client.get(where).status_code == 200
    client.post(where, {**WHEN, "name": "Peak", "end_0": "2026-11-28"})
    freeze.refresh_from_db()
    assert freeze.end.day == 30 and freeze.pending is not None
    act = {"action": "confirm", "_selected_action": str(freeze.pk)}
    assert client.post("/admin/changemgmt/freeze/", act).status_code == 200
    client.post("/admin/changemgmt/freeze/", {**act, "confirmed": "yes"})
    freeze.refresh_from_db()
    assert freeze.end.day == 30
    client.force_login(cast.otto)
    client.post("/admin/changemgmt/freeze/", {**act, "confirmed": "yes"})
    freeze.refresh_from_db()
    assert freeze.end.day == 28 and freeze.pending is None
    assert actions() == ["freeze.created", "freeze.loosening_asked", "freeze.updated"]


def test_a_mistake_stands_at_its_field(cast, client):
    client.force_login(cast.ada)
    page = client.post("/admin/changemgmt/freeze/add/", {**WHEN, "name": "Peak", "recurrence": "FREQ=HOURLY", "timezone": "Mars"})
    assert page.status_code == 200 and {"timezone"} <= set(page.context["errors"].__dict__ and page.context["adminform"].form.errors)
    page = client.post("/admin/changemgmt/freeze/add/", {**WHEN, "name": "Peak", "recurrence": "FREQ=HOURLY"})
    assert "recurrence" in page.context["adminform"].form.errors and not Freeze.objects.exists()


def test_maintenance_windows_and_blackouts_are_written(cast, client):
    client.force_login(cast.ada)
    assert client.post("/admin/changemgmt/maintenancewindow/add/", {**WHEN, "name": "Sunday", "recurrence": "FREQ=WEEKLY"}).status_code == 302
    assert client.post("/admin/changemgmt/blackout/add/", {**WHEN, "name": "Audit", "compliance_scope": "sox"}).status_code == 302
    window = MaintenanceWindow.objects.get()
    client.post("/admin/changemgmt/maintenancewindow/", {"action": "take_out", "_selected_action": str(window.pk), "confirmed": "yes"})
    assert MaintenanceWindow.objects.get().removed_at and Blackout.objects.get().compliance_scope == "sox"
    assert actions() == ["maintenance_window.created", "blackout.created", "maintenance_window.removed"]


def test_a_calendar_is_written_without_json(cast, client):
    client.force_login(cast.ada)
    data = {
        "name": "Shops",
        "timezone": "Europe/Oslo",
        "business_start": 8,
        "business_end": 20,
        "operational_days": ["0", "6"],
        "peak_seasons": "11-20 to 12-31\n06-01 to 06-07",
    }
    assert client.post("/admin/changemgmt/businesscalendar/add/", data).status_code == 302
    row = BusinessCalendar.objects.get()
    assert row.operational_days == [0, 6] and row.peak_seasons == [["11-20", "12-31"], ["06-01", "06-07"]]
    assert b"11-20 to 12-31" in client.get(f"/admin/changemgmt/businesscalendar/{row.pk}/change/").content
    page = client.post("/admin/changemgmt/businesscalendar/add/", {**data, "name": "B", "peak_seasons": "summer", "timezone": "X"})
    assert {"peak_seasons"} <= set(page.context["adminform"].form.errors)
