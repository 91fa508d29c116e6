"""The whole life of a change by forms alone, without any script."""

import re

import pytest

from changemgmt.architecture.models import Component, Relation
from changemgmt.changes.models import Change

pytestmark = pytest.mark.django_db


def seen(change):
    change = Change.objects.get(pk=change.pk)
    return change.etag


def post(client, path, expected=302, **data):
    response = client.post(path, data)
    assert response.status_code == expected, text_of(response)
    return response


def text_of(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))[:3000]


@pytest.fixture
def drafted(estate, browse, cast):
    rita = browse(cast.rita)
    post(
        rita,
        "/changes/new/",
        title="Upgrade PostgreSQL on pg-core",
        type="normal",
        priority="medium",
        business_justification="Support ends.",
        description="In place.",
        category="database",
    )
    change = Change.objects.get()
    page = f"/changes/{change.number}/"
    form = {
        "part": "why", "whole": "1", "seen": seen(change), "title": change.title, "description": "In place.", "business_justification": "Support ends.", "type": "normal",
        "priority": "medium", "category": "database", "owner": "max", "implementers": ["ian"], "urgency": "normal", "impact": "medium",
        "revenue_at_stake": "0.25", "reputation_at_stake": "0.0", "tags": "database, upgrade",
    }  # fmt: skip
    post(rita, f"{page}edit/", **form)
    data = {"seen": seen(change), "name": "pg-core", "type": "Node", "layer": "technology", "criticality": "4", "users": "100", "status": "live"}
    attributes = {"attr-name-0": "version", "attr-value-0": "16.6", "attr-name-1": "max_connections", "attr-value-1": "400"}
    post(rita, f"{page}items/component/?key=pg-core", **data, **attributes)
    post(rita, f"{page}items/relation/delete/", seen=seen(change), key="pg-core-serving-orders-api")
    plans = {
        "part": "plans",
        "seen": seen(change),
        "implementation_plan": "Node by node.",
        "rollback_plan": "Restore the snapshot, 25 min.",
        "test_plan": "Rehearsed.",
        "communication_plan": "Tell billing.",
    }
    post(rita, f"{page}edit/", **plans, verification_checklist="Replication runs\nBackups are there", criteria_technical="No outage")
    item = change.items.get(object="component").pk
    steps = {
        "step-name-0": "Snapshot",
        "step-minutes-0": "10",
        "step-compensation-0": "Delete it",
        "step-name-1": "Upgrade",
        "step-minutes-1": "30",
        "step-items-1": [item],
        "step-compensation-1": "Restore",
        "step-verification-1": "select version()",
    }
    post(rita, f"{page}plan/", seen=seen(change), on_failure="roll_back", strategy="all_at_once", **steps)
    return change


def vote_all(browse, cast, change):
    """Every open seat votes approve until the change leaves its review."""
    for _round in range(8):
        change = Change.objects.get(pk=change.pk)
        if change.state != "in_review":
            return change
        for person in cast.everybody():
            from changemgmt.approvals.queries import my_open_seats
            from changemgmt.core.time import utc_now

            for seat in my_open_seats(change, person, now=utc_now())[:1]:
                client = browse(person)
                path = f"/approvals/{seat.pk}/vote/"
                form = client.get(path).content.decode()
                digest = re.search(r'name="digest" value="([0-9a-f]{64})"', form).group(1)
                response = client.post(path, {"vote": "approve", "digest": digest, "comment": "", "read": "on"})
                assert response.status_code in (302, 303), text_of(response)
                break
    return Change.objects.get(pk=change.pk)


def test_an_update_keeps_only_what_differs(drafted):
    item = drafted.items.get(object="component")
    assert item.operation == "update"
    assert item.data == {"attributes": {"version": "16.6"}}


def test_a_change_goes_its_whole_way_by_forms(drafted, browse, cast):
    rita, manager, ian = browse(cast.rita), browse(cast.max), browse(cast.ian)
    page = f"/changes/{drafted.number}/"
    post(rita, f"{page}preview/")
    assert "through others" in rita.get(page).content.decode() or "reached directly" in rita.get(page).content.decode()
    post(rita, f"{page}do/submit/", seen=seen(drafted))
    change = Change.objects.get(pk=drafted.pk)
    assert change.state == "in_review"
    change = vote_all(browse, cast, change)
    assert change.state == "approved", text_of(rita.get(page))
    windows = manager.get(f"{page}schedule/").content.decode()
    slot = re.search(r'name="slot" value="([^"]+)"', windows).group(1)
    post(manager, f"{page}schedule/", seen=seen(change), slot=slot)
    change = Change.objects.get(pk=drafted.pk)
    assert change.state == "scheduled"
    from datetime import timedelta

    from changemgmt.changes.models import Change as Row
    from changemgmt.core.time import utc_now

    now = utc_now()
    Row.objects.filter(pk=change.pk).update(planned_start=now - timedelta(minutes=5), planned_end=now + timedelta(hours=3))
    response = post(ian, f"{page}do/start/", seen=seen(change))
    assert response["Location"].startswith("/executions/")
    run = response["Location"]
    html = ian.get(run).content.decode()
    assert "Snapshot" in html
    post(ian, f"{run}steps/snapshot/done/", kind="do", note="done")
    post(ian, f"{run}steps/upgrade/done/", kind="do")
    assert Component.objects.get(key="pg-core").attributes["version"] == "16.6"
    post(ian, f"{run}steps/upgrade/done/", kind="verify")
    ticks = {"check-there-0": "1", "check-0": "on", "check-there-1": "1", "check-1": "on", "met-there-0": "1", "met-0": "yes"}
    post(ian, f"{page}results/", **ticks)
    post(ian, f"{page}do/complete/", seen=seen(change))
    assert not Relation.objects.filter(key="pg-core-serving-orders-api").exists()
    post(manager, f"{page}do/close/", seen=seen(change), result="successful", summary="Went well.")
    assert Change.objects.get(pk=drafted.pk).state == "closed"


def test_a_failed_step_leads_back(drafted, browse, cast):
    rita, manager, ian = browse(cast.rita), browse(cast.max), browse(cast.ian)
    page = f"/changes/{drafted.number}/"
    post(rita, f"{page}do/submit/", seen=seen(drafted))
    change = vote_all(browse, cast, drafted)
    slot = re.search(r'name="slot" value="([^"]+)"', manager.get(f"{page}schedule/").content.decode()).group(1)
    post(manager, f"{page}schedule/", seen=seen(change), slot=slot)
    from datetime import timedelta

    from changemgmt.core.time import utc_now

    now = utc_now()
    Change.objects.filter(pk=change.pk).update(planned_start=now - timedelta(minutes=5), planned_end=now + timedelta(hours=3))
    run = post(ian, f"{page}do/start/", seen=seen(change))["Location"]
    post(ian, f"{run}steps/snapshot/done/", kind="do")
    post(ian, f"{run}steps/upgrade/done/", kind="do")
    assert post(ian, f"{run}steps/upgrade/failed/", 409, kind="verify", reason="").status_code == 409
    post(ian, f"{run}steps/upgrade/failed/", kind="verify", reason="wrong version")
    post(ian, f"{run}steps/upgrade/done/", kind="compensate")
    post(ian, f"{run}steps/snapshot/done/", kind="compensate")
    assert Change.objects.get(pk=drafted.pk).state == "rolled_back"
    assert Component.objects.get(key="pg-core").attributes["version"] == "15.8"
