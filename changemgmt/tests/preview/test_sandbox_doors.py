"""The sandbox through API and command line: read, edited, captured."""

import json

import pytest

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Change

from .. import estate
from ..cli.calling import refused
from ..cli.conftest import run  # noqa: F401

pytestmark = pytest.mark.django_db
ODD = [
    None,
    [],
    {},
    [[]],
    7,
    "x" * 3000,
    [None],
    [{}],
    [{"key": None}],
    [{"key": "shop/db", "attributes": {"a": {"b": [1.5, None]}}}],
    {"components": [1]},
]


@pytest.fixture
def draft(seeded, cast, now):
    estate.build(now)
    return estate.draft(cast, now)


@pytest.fixture
def at(draft):
    return f"/api/v1/changes/{draft.number}/sandbox/"


def test_what_is_read_edited_and_captured_makes_it_so_and_captured_again_changes_nothing(draft, at, cast, api):
    client = api(cast.rita)
    found = client.get(f"{at}?component=shop/api")
    things = found.json()
    assert [row["key"] for row in things["components"]] == ["shop/db", "shop/api"]
    assert things["components"][0]["attributes"] == {"version": "16"} and things["removed"]["relations"] == ["shop/api>shop/checkout"]
    before = list(draft.items.order_by("pk").values())
    answer = client.post(f"{at}capture/", things, format="json", headers={"If-Match": found["ETag"]})
    assert answer.status_code == 200 and list(draft.items.order_by("pk").values()) == before
    things["components"][1]["owner"] = "max"
    things["removed"]["relations"] = []
    answer = client.post(f"{at}capture/", things, format="json", headers={"If-Match": answer["ETag"]})
    assert {row["key"] for row in answer.json()["items"]} == {"shop/db", "shop/api"}
    assert client.get(at).json()["components"][1]["owner"] == "max"


def test_outsiders_read_and_do_not_write_and_of_a_confidential_change_nothing_is_there(draft, at, cast, api):
    body = {"components": [{"key": "shop/db", "users": 3}]}
    assert api(cast.vera).get(at).status_code == 200
    assert api(cast.vera).post(f"{at}capture/", body, format="json").status_code == 403
    assert api(cast.rita, scope="read").post(f"{at}capture/", body, format="json").status_code == 403
    assert api().get(at).status_code == 401
    Change.objects.filter(pk=draft.pk).update(confidential=True)
    assert api(cast.olga).get(at).status_code == 404
    assert api(cast.olga).post(f"{at}capture/", body, format="json").status_code == 404


def test_stale_sight_is_refused(draft, at, cast, api, now):
    client = api(cast.rita)
    things = client.get(at).json()
    assert client.post(f"{at}capture/", things, format="json", headers={"If-Match": '"1.1"'}).status_code == 412
    apply_operations([Operation("update", "component", "shop/db", data={"users": 9})], actor="ada", now=now)
    answer = client.post(f"{at}capture/", things, format="json", headers={"If-Match": "*"})
    assert (answer.status_code, "shop/db" in answer.json()["detail"]) == (412, True)


def test_in_review_a_version_has_to_be_named(draft, at, cast, api, now):
    change = estate.in_review(cast, now)
    path = f"/api/v1/changes/{change.number}/sandbox/capture/"
    assert api(cast.rita).post(path, {"components": [{"key": "shop/db", "users": 3}]}, format="json").status_code == 428


@pytest.mark.parametrize("name", ["components", "relations", "removed", "revision", "else"])
def test_no_odd_body_is_a_fault(draft, at, cast, api, name):
    client = api(cast.rita)
    for value in ODD:
        answer = client.post(f"{at}capture/", {"components": [{"key": "shop/api"}]} | {name: value}, format="json", headers={"If-Match": "*"})
        assert answer.status_code in {200, 400}, (value, answer.content)
    for body in ([], 7, None, "text"):
        assert client.post(f"{at}capture/", body, format="json", headers={"If-Match": "*"}).status_code == 400
    deep = json.loads("[" * 200 + "]" * 200)
    body = {"components": [{"key": "shop/db", "attributes": {"a": deep, "b": "\ud800"}}]}
    assert client.post(f"{at}capture/", json.dumps(body), content_type="application/json", headers={"If-Match": "*"}).status_code == 400
    assert client.get(f"{at}?component=nowhere").status_code == 404
    assert client.get(f"{at}?colour=red").status_code == 400


def test_on_the_command_line(draft, cast, run, tmp_path):  # noqa: F811
    number, file = draft.number, tmp_path / "things.json"
    things = run(None, "sandbox", number, "show", "--component", "shop/api")
    things["components"][1]["users"] = 12
    file.write_text(json.dumps(things))
    done = run(cast.rita, "sandbox", number, "capture", file)
    assert {(row["operation"], row["key"]) for row in done["items"]} == {
        ("update", "shop/db"), ("update", "shop/api"), ("delete", "shop/api>shop/checkout"),
    }  # fmt: skip
    assert "update  component  shop/api" in " ".join(run(cast.rita, "sandbox", number, "capture", file, as_text=True).split(" "))
    refused(run, cast.vera, "sandbox", number, "capture", file)
    refused(run, cast.rita, "sandbox", number, "capture", file, "--if-match", "1.1")
    file.write_text("[")
    assert "can't be read" in refused(run, cast.rita, "sandbox", number, "capture", file, code=2).err
    file.write_text("[]")
    refused(run, cast.rita, "sandbox", number, "capture", file, code=2)
