"""The architecture as it was: any revision or day of it, and what moved between two."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.exports import EXPORTS, LIVE
from changemgmt.architecture.past import images_between, revision_of, source_at
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid

pytestmark = pytest.mark.django_db
FIRST = datetime(2026, 11, 18, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def component(key, operation="create", **data):
    return Operation(operation, "component", key, data={"name": key, "type": "Node", **data} if operation == "create" else data)


@pytest.fixture
def days(types):
    """Three revisions, one a day; answers each export of each of them, taken when it was."""
    steps = [
        [component("a"), component("b"), Operation("create", "relation", "a>b", "a", "b", "serving")],
        [component("a", "update", owner="team-a", attributes={"version": "2"}), component("c")],
        [Operation("delete", "relation", "a>b"), Operation("delete", "component", "b")],
    ]
    taken = {}
    for place, step in enumerate(steps):
        apply_operations(step, actor="max", now=FIRST + place * DAY, change="CHG-2026-00001" if place == 1 else "", reason="said")
        taken[place + 1] = {name: form.write(LIVE) for name, form in EXPORTS.items()}
    return taken


def test_every_export_of_a_revision_is_what_it_was_then(days):
    for revision, exports in days.items():
        for name, form in EXPORTS.items():
            assert form.write(source_at(revision)) == exports[name], (revision, name)
    assert json.loads(EXPORTS["json"].write(source_at(0))) == {"components": [], "relations": []}


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("0", 0), ("2", 2), ("2026-11-17", 0), ("2026-11-18", 1), ("2026-11-19", 2), ("2026-11-20", 3), ("2030-01-01", 3), ("9999-12-31", 3),
        ("2026-11-18T11:59:59Z", 0), ("2026-11-18T12:00:00Z", 1), ("2026-11-19T13:00:00+02:00", 1),
    ],
)  # fmt: skip
def test_a_revision_is_named_by_its_number_a_day_or_a_moment(days, text, revision):
    assert revision_of(text, "from") == revision


@pytest.mark.parametrize("text", ["4", "-1", "x", "2026-13-01", "٣", "1e3", "9" * 40, "2026-11-18T12:00:00", " "])
def test_what_names_none_is_refused_at_its_field(days, text):
    with pytest.raises(Invalid) as refused:
        revision_of(text, "from")
    assert "from" in refused.value.errors


def test_what_moved_is_found_both_ways(days):
    forward, back = images_between(1, 3), images_between(3, 1)
    assert [(image.object, image.key, image.operation) for image in forward] == [
        ("component", "a", "update"), ("component", "b", "delete"), ("component", "c", "create"), ("relation", "a>b", "delete"),
    ]  # fmt: skip
    assert [(image.key, image.before, image.after) for image in back] == [(image.key, image.after, image.before) for image in forward]
    assert images_between(2, 2) == [] and len(images_between(0, 1)) == 3


def test_only_what_the_revisions_touched_is_read(days, django_assert_max_num_queries):
    apply_operations([component(f"n{number}") for number in range(300)], actor="max", now=FIRST + 3 * DAY, reason="many")
    with django_assert_max_num_queries(12):
        assert len(images_between(1, 2)) == 2


def test_api_page_and_command_show_the_same(days, cast, api, client):
    answer = api(cast.vera).get("/api/v1/architecture/diff/", {"from": "1", "to": "2026-11-19"}).json()
    (changed,) = (row for row in answer["components"] if row["operation"] == "update")
    assert {field["path"] for field in changed["fields"]} == {"owner", "attributes.version"}
    assert "team-a" in api(cast.vera).get("/api/v1/architecture/diff/", {"from": "1", "as": "markdown"}).content.decode()
    assert api(cast.vera).get("/api/v1/architecture/diff/").status_code == 400
    assert api(cast.vera).get("/api/v1/architecture/export/", {"at": "1"}).content == days[1]["json"]
    assert api(cast.vera).get("/api/v1/architecture/export/", {"at": "77"}).status_code == 400
    client.force_login(cast.vera)
    page = client.get("/architecture.history", {"from": "1", "to": "2"}).content.decode()
    assert "team-a" in page and "Revision 1 to 2" in page
    assert client.get("/architecture.export", {"at": "2026-11-18"}).content == days[1]["json"]
    assert client.get("/architecture.history", {"from": "soon"}).status_code == 400
    out = StringIO()
    call_command("architecture", "diff", "1", "2", "--json", stdout=out)
    assert json.loads(out.getvalue())["components"] == answer["components"]
    with pytest.raises(CommandError, match="at revision 3"):
        call_command("architecture", "diff", "9")


def test_a_change_that_one_may_not_see_is_not_named_on_the_page(days, cast, client, now):
    Change.objects.create(number="CHG-2026-00001", title="x", requester=cast.rita, created_at=now, updated_at=now, confidential=True)
    for person, named in ((cast.vera, False), (cast.aud, True)):
        client.force_login(person)
        shown = client.get("/architecture.history", {"from": "1", "to": "2"}).content.decode()
        assert ("CHG-2026-00001" in shown) is named, person
