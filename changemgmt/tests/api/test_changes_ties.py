"""What hangs on a change: comments, attachments, links, watchers, versions; and the templates changes come from."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changemgmt.changes.models import Attachment, Link, Template
from changemgmt.lifecycle import edit
from changemgmt.tests import estate

pytestmark = pytest.mark.django_db
CHANGES = "/api/v1/changes/"


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def draft(cast, shop, now):
    return estate.draft(cast, now)


def at(change, path=""):
    return f"{CHANGES}{getattr(change, 'number', change)}/{path}"


def upload(client, change, name="report.html", data=b"<script>alert(1)</script>", type="text/html", **headers):
    return client.post(at(change, "attachments/"), {"file": SimpleUploadedFile(name, data, type)}, format="multipart", headers=headers)


# --- comments ---


def test_a_comment_is_kept_as_written_and_shown_as_harmless_html(api, cast, draft):
    answer = api(cast.petra).post(at(draft, "comments/"), {"text": "**Why** <img src=x onerror=alert(1)>?"})
    body = answer.json()
    assert answer.status_code == 201 and body["author"] == "petra" and "<strong>Why</strong>" in body["html"] and "<img" not in body["html"]
    assert api(cast.vera).get(at(draft, "comments/")).json()["results"] == [body]


def test_readers_don_t_comment_and_texts_have_limits(api, cast, draft):
    for person in (cast.vera, cast.aud):
        assert api(person).post(at(draft, "comments/"), {"text": ""}).status_code == 403
    for body in ({}, {"text": ""}, {"text": "  "}, {"text": 7}, {"text": "x" * 20_001}, {"text": "x", "author": "rita"}):
        assert api(cast.petra).post(at(draft, "comments/"), body).status_code == 400, body


# --- attachments ---


def test_an_attachment_is_only_ever_a_download(api, cast, draft):
    answer = upload(api(cast.rita), draft, "../../réport.html")
    body = answer.json()
    assert answer.status_code == 201 and body["name"] == "réport.html" and body["size"] == 25 and len(body["sha256"]) == 64 and answer["ETag"]
    path = body["download"]
    file = api(cast.vera).get(path)
    assert b"".join(file.streaming_content) == b"<script>alert(1)</script>" and file["Content-Type"] == "application/octet-stream"
    assert (
        file["Content-Disposition"].startswith("attachment")
        and file["X-Content-Type-Options"] == "nosniff"
        and "sandbox" in file["Content-Security-Policy"]
    )
    assert api().get(path).status_code == 401
    assert Attachment.objects.get().file.name == f"attachments/{Attachment.objects.get().uuid}"
    assert api(cast.vera).get(answer["Location"]).json() == body == api(cast.vera).get(at(draft, "attachments/")).json()["results"][0]


def test_an_attachment_of_a_hidden_change_is_not_there(api, cast, shop, now):
    secret = estate.draft(cast, now, confidential=True)
    path = upload(api(cast.rita), secret).json()["download"]
    assert api(cast.vera).get(path).status_code == 404 and api(cast.ian).get(path).status_code == 200


def test_attaching_is_an_edit(api, cast, shop, now):
    change = estate.in_review(cast, now)
    assert upload(api(cast.vera), change).status_code == 403
    client = api(cast.rita)
    assert upload(client, change).status_code == 428
    assert upload(client, change, **{"If-Match": '"1.99"'}).status_code == 412
    assert Attachment.objects.count() == 0
    answer = upload(client, change, **{"If-Match": f'"{change.etag}"'})
    assert answer.status_code == 201 and answer["ETag"] == '"2.1"' and estate.fresh(change).rounds.count() == 2
    gone = client.delete(answer["Location"], headers={"If-Match": answer["ETag"]})
    assert gone.status_code == 204 and gone["ETag"] == '"3.1"' and Attachment.objects.count() == 0


def test_an_upload_has_its_form_and_its_limit(api, cast, draft, monkeypatch):
    client = api(cast.rita)
    assert client.post(at(draft, "attachments/"), {"file": "x"}, format="json").status_code == 415
    assert client.post(at(draft, "attachments/"), {"file": "text"}, format="multipart").status_code == 400
    assert client.post(at(draft, "attachments/"), {}, format="multipart").status_code == 400
    monkeypatch.setattr("changemgmt.lifecycle.edit.ties.LARGEST", 10)
    assert upload(client, draft).status_code == 413
    assert client.post(at(draft, "attachments/"), b"x", content_type="multipart/form-data; boundary=b", CONTENT_LENGTH=str(10**9)).status_code == 413
    assert Attachment.objects.count() == 0


# --- links ---


def test_changes_are_linked_and_order_has_no_cycle(api, cast, draft, now):
    other = edit.create_change({"title": "First"}, actor=cast.rita, now=now)
    client = api(cast.rita)
    answer = client.post(at(draft, "links/"), {"kind": "depends_on", "target": other.number})
    assert answer.status_code == 201 and answer.json() == {
        "id": Link.objects.get().pk,
        "kind": "depends_on",
        "target": other.number,
        "system": None,
        "url": None,
    }
    assert client.post(at(draft, "links/"), {"kind": "depends_on", "target": other.number}).json() == answer.json()
    for source, kind, target in ((other, "depends_on", draft), (draft, "blocks", other), (draft, "depends_on", draft)):
        refused = client.post(at(source, "links/"), {"kind": kind, "target": target.number})
        assert refused.status_code == 400 and "target" in refused.json()["errors"]
    assert client.get(at(draft, "links/")).json()["results"] == [answer.json()]
    assert client.delete(answer["Location"]).status_code == 204 and client.get(answer["Location"]).status_code == 404


def test_a_link_leads_to_another_system_or_to_the_parent(api, cast, draft, now):
    parent = edit.create_change({"title": "Epic"}, actor=cast.rita, now=now)
    client = api(cast.rita)
    incident = client.post(at(draft, "links/"), {"kind": "incident", "target": "INC1", "system": "snow", "url": "https://snow.example/INC1"}).json()
    assert incident["system"] == "snow" and incident["url"] == "https://snow.example/INC1"
    answer = client.post(at(draft, "links/"), {"kind": "parent", "target": parent.number})
    assert answer.status_code == 201 and client.get(at(draft)).json()["parent"] == parent.number
    assert [row["kind"] for row in client.get(at(draft, "links/")).json()["results"]] == ["parent", "incident"]
    refused = client.post(at(parent, "links/"), {"kind": "parent", "target": draft.number})
    assert refused.status_code == 400 and "parent" in refused.json()["errors"]
    assert client.delete(at(draft, "links/0/")).status_code == 204 and client.get(at(draft)).json()["parent"] is None


def test_a_link_to_what_one_can_t_see_gives_nothing_away(api, cast, draft, now):
    secret = edit.create_change({"title": "Secret plan", "confidential": True}, actor=cast.petra, now=now)
    for kind in ("depends_on", "parent"):
        hidden, missing = (api(cast.rita).post(at(draft, "links/"), {"kind": kind, "target": target}) for target in (secret.number, "CHG-2026-99999"))
        assert hidden.status_code == missing.status_code == 400 and hidden.json() == missing.json() and "Secret" not in hidden.content.decode()
    own = edit.create_change({"title": "Mine"}, actor=cast.petra, now=now)
    api(cast.petra).post(at(own, "links/"), {"kind": "related", "target": secret.number})
    assert api(cast.vera).get(at(own, "links/")).json()["results"][0]["target"] == "a change you may not see"


NO_LINKS = [
    {},
    {"kind": "friend", "target": "x"},
    {"kind": "incident"},
    {"kind": "incident", "target": ""},
    {"kind": "incident", "target": "x", "url": "javascript:1"},
    {"kind": "incident", "target": "x", "to": 1},
]


def test_a_link_that_can_t_be_is_refused(api, cast, draft):
    for body in NO_LINKS:
        assert api(cast.rita).post(at(draft, "links/"), body).status_code == 400 and Link.objects.count() == 0


# --- watchers ---


def test_people_watch_for_themselves_and_those_who_run_it_add_others(api, cast, draft):
    path = at(draft, "watchers/")
    assert api(cast.petra).post(path, {"username": "petra"}).status_code == 201
    assert api(cast.petra).post(path, {"username": "paul"}).status_code == 403
    assert api(cast.vera).post(path, {"username": "vera"}).status_code == 403
    assert api(cast.rita).post(path, {"username": "vera"}).json() == {"username": "vera", "name": "Vera"}
    assert [row["username"] for row in api(cast.vera).get(path).json()["results"]] == ["petra", "vera"]
    assert api(cast.rita).post(path, {"username": "nobody"}).status_code == 400
    assert api(cast.petra).delete(f"{path}petra/").status_code == 204 and api(cast.petra).delete(f"{path}petra/").status_code == 404
    assert estate.fresh(draft).edits == draft.edits


# --- versions ---


def test_versions_are_kept_and_compared_field_by_field(api, cast, shop, now):
    change = estate.in_review(cast, now)
    client = api(cast.rita)
    client.patch(at(change), {"description": "More."}, headers={"If-Match": f'"{change.etag}"'})
    rows = client.get(at(change, "versions/")).json()["results"]
    assert [row["version"] for row in rows] == [1, 2] and rows[0]["digest"] == change.digest and rows[0]["parts"].keys() >= {"texts", "items", "plan"}
    assert client.get(at(change, "versions/1/")).json()["content"]["texts"]["description"] == ""
    assert client.get(at(change, "versions/diff/"), {"from": 1, "to": 2}).json() == [{"path": "texts.description", "before": "", "after": "More."}]
    assert client.get(at(change, "versions/diff/"), {"from": 2, "to": 2}).json() == []
    for query in ({"from": 1}, {"from": "x", "to": 1}, {"from": 1, "to": 2, "of": 3}):
        assert client.get(at(change, "versions/diff/"), query).status_code == 400
    assert (
        client.get(at(change, "versions/diff/"), {"from": 1, "to": 9}).status_code == 404 and client.get(at(change, "versions/9/")).status_code == 404
    )


def test_the_version_being_written_is_there_unsigned(api, cast, draft):
    body = api(cast.vera).get(at(draft, "versions/1/")).json()
    assert body["signed"] is None and body["content"]["title"] == draft.title and api(cast.vera).get(at(draft, "versions/")).json()["results"] == []


# --- templates ---

PATCH = {
    "slug": "certificate",
    "name": "Certificate",
    "type": "standard",
    "fields": {"type": {"mode": "fixed", "value": "standard"}, "rollback_plan": {"mode": "defaulted", "value": "The old one."}},
    "plan": {"steps": [{"id": "swap", "manual": True}]},
    "item_operations": ["update"],
    "max_items": 1,
    "scope": {"field": "max_criticality", "op": "lte", "value": 3},
}


def test_an_administrator_writes_the_catalogue_and_everybody_reads_it(api, cast, seeded):
    admin = api(cast.ada)
    answer = admin.post("/api/v1/templates/", PATCH)
    body = answer.json()
    assert answer.status_code == 201 and body["active"] is True and body["uses"] == 0 and estate.last_event("template.created")["actor"] == "ada"
    path = answer["Location"]
    assert api(cast.vera).get(path).json() == body
    altered = admin.patch(path, {"name": "Certificates", "active": False, "uses": 0})
    assert altered.status_code == 200 and altered.json()["name"] == "Certificates"
    assert {"path": "name", "before": "Certificate", "after": "Certificates"} in estate.last_event("template.updated")["differences"]
    slugs = [row["slug"] for row in api(cast.vera).get("/api/v1/templates/", {"type": "standard", "active": "true"}).json()["results"]]
    assert "standard-patch" in slugs and "certificate" not in slugs
    refused = api(cast.rita).post(CHANGES, {"title": "x", "template": "certificate"})
    assert refused.status_code == 400 and "template" in refused.json()["errors"]
    assert admin.delete(path).status_code == 204 and admin.get(path).status_code == 404


def test_others_don_t_write_templates_and_a_used_one_stays(api, cast, seeded):
    path = "/api/v1/templates/standard-patch/"
    for person in (cast.rita, cast.max, cast.vera, cast.aud):
        client = api(person)
        assert client.post("/api/v1/templates/", {}).status_code == client.patch(path, {}).status_code == client.delete(path).status_code == 403
    api(cast.rita).post(CHANGES, {"title": "Patch", "template": "standard-patch"})
    assert api(cast.ada).delete(path).status_code == 409 and Template.objects.filter(slug="standard-patch").exists()


NO_TEMPLATES = [
    {"slug": "a b"},
    {"slug": "standard-patch"},
    {"name": ""},
    {"type": "holiday"},
    {"fields": {"state": {"mode": "fixed", "value": "approved"}}},
    {"fields": {"priority": {"mode": "fixed", "value": "later"}}},
    {"fields": {"priority": "low"}},
    {"plan": {"steps": [{"id": "a b"}]}},
    {"scope": {"field": "password", "op": "eq", "value": "x"}},
    {"max_items": -1},
    {"item_operations": ["explode"]},
    {"expires_at": "soon"},
    {"uses": 7},
    {"colour": "red"},
]


def test_a_template_that_can_t_be_is_refused_at_its_field(api, cast, seeded):
    for body in NO_TEMPLATES:
        answer = api(cast.ada).post("/api/v1/templates/", PATCH | body)
        name = next(iter(body))
        assert answer.status_code == 400 and any(field.split(".")[0] == name for field in answer.json()["errors"]), answer.content
        assert not Template.objects.filter(slug="certificate").exists()
