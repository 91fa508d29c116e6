"""The re-base through its doors: page, API and command line."""

import json
import re

import pytest
from django.test import Client

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Change
from changemgmt.lifecycle import edit
from changemgmt.preview.queries import HIDDEN

from .. import estate
from ..cli.calling import refused
from ..cli.conftest import run  # noqa: F401
from ..web.conftest import clean_html  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def moved(seeded, cast, now):
    """Rita's draft whose values were moved: the owner of the database by a confidential change, its runbook by hand."""
    estate.build(now)
    apply_operations(
        [Operation("update", "component", "shop/db", data={"attributes": {"runbook": "call the duty DBA at night"}})], actor="ada", now=now
    )
    change = edit.create_change({"title": "Hand over"}, actor=cast.rita, now=now)
    data = {"owner": "max", "users": 5, "attributes": {"runbook": "call the duty DBA by day"}}
    edit.add_items(
        change.number, [{"operation": "update", "object": "component", "key": "shop/db", "data": data}], actor=cast.rita, now=now, seen="*"
    )
    secret = edit.create_change({"title": "Quiet", "confidential": True}, actor=cast.max, now=now)
    live = {"owner": "<b>sam</b>", "users": 7, "attributes": {"runbook": "ring the duty DBA at night"}}
    apply_operations([Operation("update", "component", "shop/db", data=live)], actor="max", now=now, change=secret.number)
    return estate.fresh(change), secret.number


def browse(user):
    client = Client()
    client.force_login(user)
    return client


def form(client, path):
    """The hidden fields of the page's form."""
    html = client.get(path).content.decode()
    return {name: re.search(rf'name="{name}" value="([^"]*)"', html)[1] for name in ("seen", "digest")}


def test_the_page_shows_three_values_and_writes_what_is_chosen(moved, cast, clean_html):  # noqa: F811
    change, secret = moved
    client, path = browse(cast.rita), f"/changes/{change.number}/preview/rebase/"
    html = clean_html(client.get(path)).content.decode()
    assert "attributes.runbook" in html and "by day" in html and "&lt;b&gt;sam&lt;/b&gt;" in html and "<b>sam" not in html
    assert secret not in html and HIDDEN in html
    assert secret in browse(cast.max).get(path).content.decode()
    hidden = form(client, path)
    answer = client.post(path, hidden | {"take-0": "merged", "take-1": "live", "take-2": "value", "value-2": "9"})
    assert (answer.status_code, answer["Location"]) == (302, f"/changes/{change.number}/preview/")
    assert change.items.get().data == {"users": 9, "attributes": {"runbook": "ring the duty DBA by day"}}
    assert "Nothing moved underneath" in client.get(path).content.decode()


def test_one_button_takes_one_side_for_all(moved, cast):
    change, _ = moved
    client, path = browse(cast.rita), f"/changes/{change.number}/preview/rebase/"
    assert client.post(path, form(client, path) | {"all": "proposed"}).status_code == 302
    assert change.items.get().data["owner"] == "max"


def test_one_choice_goes_for_a_whole_component(moved, cast):
    change, _ = moved
    client, path = browse(cast.rita), f"/changes/{change.number}/preview/rebase/"
    assert client.post(path, form(client, path) | {"thing-0": "nonsense"}).status_code == 400
    assert client.post(path, form(client, path) | {"thing-0": "proposed", "take-0": "merged", "take-1": "live"}).status_code == 302
    assert change.items.get().data == {"owner": "max", "users": 5, "attributes": {"runbook": "call the duty DBA by day"}}


def test_the_page_keeps_what_was_chosen_where_something_is_wrong_and_shows_anew_what_moved_again(moved, cast, now):
    change, _ = moved
    client, path = browse(cast.rita), f"/changes/{change.number}/preview/rebase/"
    hidden = form(client, path)
    assert client.post(path, hidden).status_code == 400
    answer = client.post(path, hidden | {"take-0": "merged", "take-1": "live", "take-2": "value", "value-2": "many"})
    assert answer.status_code == 400 and 'value="many"' in answer.content.decode()
    apply_operations([Operation("update", "component", "shop/db", data={"owner": "omar"})], actor="ada", now=now)
    answer = client.post(path, hidden | {"all": "live"})
    assert answer.status_code == 412 and "omar" in answer.content.decode()
    assert change.items.get().data["owner"] == "max"


def test_others_see_the_conflicts_and_can_not_decide_them(moved, cast):
    change, _ = moved
    path = f"/changes/{change.number}/preview/rebase/"
    html = browse(cast.vera).get(path).content.decode()
    assert "attributes.runbook" in html and "Re-base as chosen" not in html
    assert browse(cast.vera).post(path, {"all": "live", "seen": change.etag}).status_code == 403
    Change.objects.filter(pk=change.pk).update(confidential=True)
    assert browse(cast.olga).get(path).status_code == 404
    assert Client().get(path).status_code == 302


def test_the_page_asks_little(moved, cast, django_assert_max_num_queries):
    change, _ = moved
    client = browse(cast.rita)
    client.get("/changes/")
    with django_assert_max_num_queries(15):
        client.get(f"/changes/{change.number}/preview/rebase/")


def test_over_the_api(moved, cast, api):
    change, secret = moved
    path = f"/api/v1/changes/{change.number}/preview/rebase/"
    client = api(cast.rita)
    found = client.get(path).json()
    rows = {row["field"]: row for row in found["conflicts"]}
    assert (rows["users"]["base"], rows["users"]["live"], rows["users"]["proposed"], rows["users"]["moved_by"]) == (0, 7, 5, HIDDEN)
    assert rows["attributes.runbook"]["merged"] == "ring the duty DBA by day"
    assert {row["moved_by"] for row in api(cast.max).get(path).json()["conflicts"]} == {secret}
    body = {"digest": found["digest"], "all": "live", "choices": [{"key": "shop/db", "field": "users", "take": "proposed"}]}
    assert api(cast.vera).post(path, body, format="json").status_code == 403
    assert api().post(path, body, format="json").status_code == 401
    assert client.post(path, body | {"digest": "0" * 64}, format="json", headers={"If-Match": f'"{change.etag}"'}).status_code == 412
    answer = client.post(path, body, format="json", headers={"If-Match": f'"{change.etag}"'})
    assert (answer.status_code, answer.json()["state"], answer.json()["drift"]) == (200, "ready", [])
    assert change.items.get().data == {"users": 5}
    assert client.post(path, body, format="json", headers={"If-Match": f'"{change.etag}"'}).status_code == 412


@pytest.mark.parametrize("name", ["digest", "all", "choices", "else"])
@pytest.mark.parametrize(
    "value", [None, [], {}, [[]], 7, "x" * 30_000, [{"key": []}], [{"key": "shop/db", "take": []}], [{"key": "k", "take": "value"}]]
)
def test_no_odd_body_is_a_fault(moved, cast, api, name, value):
    change, _ = moved
    client, path = api(cast.rita), f"/api/v1/changes/{change.number}/preview/rebase/"
    shown = client.get(path).json()["digest"]
    answer = client.post(path, {"digest": shown, "all": "live"} | {name: value}, format="json", headers={"If-Match": "*"})
    assert answer.status_code in {200, 400, 412}, answer.content
    for value in ("nul\x00", "\ud800", {"a": {"b": None}}, 1e308, 2**70):
        body = {"digest": shown, "all": "live", "choices": [{"key": "shop/db", "field": "attributes.runbook", "take": "value", "value": value}]}
        text = json.dumps(body)
        assert client.post(path, text, content_type="application/json", headers={"If-Match": "*"}).status_code in {200, 400, 412}


def test_on_the_command_line(moved, cast, run):  # noqa: F811
    change, secret = moved
    found = run(cast.rita, "rebase", change.number)
    assert {row["field"] for row in found["conflicts"]} == {"owner", "users", "attributes.runbook"}
    words = run(cast.rita, "rebase", change.number, as_text=True)
    assert "users: was 0, is 7 now (moved by a change you may not see), would become 5" in words and secret not in words
    assert "digest" in refused(run, cast.rita, "rebase", change.number, "--all", "live", code=2).err
    refused(run, cast.vera, "rebase", change.number, "--all", "live", "--digest", found["digest"])
    done = run(
        cast.rita, "rebase", change.number, "--digest", found["digest"], "--all", "live", "--set", "shop/db", "users", "9",
        "--take", "shop/db", "attributes.runbook", "merged",
    )  # fmt: skip
    assert done["state"] == "ready"
    assert change.items.get().data == {"users": 9, "attributes": {"runbook": "ring the duty DBA by day"}}
