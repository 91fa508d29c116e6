"""The real change log on the real architecture behind it: list, filters, search and calendar work on them, at a fixed price."""

from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changemgmt.architecture.models import Component
from changemgmt.changes.models import Change, Item
from changemgmt.lifecycle.import_changes import import_changes

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
BUDGET = 15


@pytest.fixture
def federation(cast, seeded):
    """2,367 components and 1,360 changes of ten years."""
    call_command("architecture", "import", str(settings.BASE_DIR / "data" / "cmdb-osg"), "--format", "csv", "--source", "cmdb-osg", verbosity=0)
    import_changes(settings.BASE_DIR / "data" / "change-log-osg", now=NOW)


def asked(client, path):
    """The answer of a page and how many queries it took, the second time, when nothing is read for the first time in the process."""
    client.get(path)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path)
    assert answer.status_code == 200, path
    return answer, len(queries)


def test_the_imported_log_can_be_listed_filtered_searched_and_seen_in_the_calendar(cast, federation, api, client):
    assert Component.objects.count() == 2367 and Change.objects.filter(imported=True).count() == 1360
    key = Item.objects.values_list("key", flat=True).first()
    number = Change.objects.filter(items__key=key).values_list("number", flat=True).first()
    rest = api(cast.vera)
    of_component = rest.get("/api/v1/changes/", {"component": key, "page_size": 200}).json()["results"]
    assert number in {row["number"] for row in of_component} and all(row["imported"] for row in of_component)
    emergencies = rest.get("/api/v1/changes/", {"type": "emergency", "count": "true", "page_size": 1}).json()["count"]
    assert 0 < emergencies < 1360
    client.force_login(cast.vera)
    for path in (
        "/changes/", "/changes/?type=emergency", "/changes/?q=upgrade", f"/changes/?component={key}", "/changes/?state=closed&planned_after=2020-01-01",
        "/calendar/?view=list&day=2020-03-02", "/calendar/?view=month&day=2020-03-02",
    ):  # fmt: skip
        _, queries = asked(client, path)
        assert queries <= BUDGET, f"{path} took {queries} queries"
    found, _ = asked(client, f"/changes/?q={number}")
    assert number in found.content.decode()
