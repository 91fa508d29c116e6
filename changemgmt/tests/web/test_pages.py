"""Every page answers, keeps the policy, stays within its queries, and shows people only what is theirs."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.changes.models import Change
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import edit, transitions

pytestmark = pytest.mark.django_db


@pytest.fixture
def change(estate, cast, now):
    made = edit.create_change(
        {"title": "Upgrade pg-core", "type": "normal", "category": "database", "business_justification": "**Support** ends.", "description": "In place.",
         "rollback_plan": "Restore.", "implementation_plan": "Node by node.", "test_plan": "Rehearse.", "communication_plan": "Tell.", "owner": "max",
         "implementers": ["ian"], "tags": ["db"], "verification_checklist": ["Replication"], "success_criteria": [{"group": "technical", "text": "No outage"}]},
        actor=cast.rita, now=now,
    )  # fmt: skip
    items = [
        {"operation": "update", "object": "component", "key": "pg-core", "data": {"attributes": {"version": "16.6"}}},
        {"operation": "delete", "object": "relation", "key": "pg-core-serving-orders-api"},
        {"operation": "create", "object": "component", "key": "cache", "data": {"name": "Cache", "type": "Node"}},
    ]
    edit.add_items(made.number, items, actor=cast.rita, now=now, seen="*")
    return Change.objects.get(pk=made.pk)


def pages_of(number, item):
    base = f"/changes/{number}/"
    return [
        "/", "/changes/", "/changes/?q=pg&state=draft&layer=technology&component=pg-core&tag=db&planned_after=2026-01-01", "/changes/?q=nothing+like+it",
        "/changes/new/", base, f"{base}?show=votes", f"{base}?show=comments", *(f"{base}edit/?part={part}" for part in ("why", "items", "plans", "when", "submit")),
        f"{base}items/add/", f"{base}items/add/?q=pg", f"{base}items/component/?key=pg-core", f"{base}items/component/new/", f"{base}items/{item}/",
        f"{base}items/component/delete/?key=orders-db", f"{base}items/relation/new/?source=pg-core&target_q=orders", f"{base}plan/", f"{base}impact/",
        f"{base}impact/?depth=1&score=0.5&layer=business&q=x", f"{base}preview/", f"{base}schedule/", f"{base}schedule/?start=2026-12-01T01:00&end=2026-12-01T02:00",
        *(f"{base}do/{name}/" for name in ("submit", "cancel", "revise", "start", "complete", "fail", "roll_back", "close", "reopen_as_new", "provide_info")),
    ]  # fmt: skip


@pytest.mark.parametrize("who", ["rita", "max", "vera", "aud"])
def test_every_page_answers_and_has_nothing_inline(change, browse, cast, clean_html, who):
    client = browse(getattr(cast, who))
    browse(cast.rita).post(f"/changes/{change.number}/preview/")
    item = change.items.get(key="pg-core").pk
    for path in pages_of(change.number, item):
        response = client.get(path)
        assert response.status_code == 200, path
        clean_html(response)
        assert "default-src 'none'" in response["Content-Security-Policy"]


def test_the_risk_of_a_draft_that_was_edited_since_says_so(change, browse, cast):
    client, old = browse(cast.rita), "edited since this was computed"
    client.post(f"/changes/{change.number}/preview/")
    assert old not in client.get(f"/changes/{change.number}/").content.decode()
    edit.edit_change(change.number, {"rollback_plan": ""}, actor=cast.rita, now=utc_now(), seen="*")
    assert old in client.get(f"/changes/{change.number}/").content.decode()


def test_a_submitted_change_shows_seats_risk_and_reach(change, browse, cast, now, clean_html):
    transitions.perform(change.number, "submit", {}, actor=cast.rita, now=now, seen="*")
    for person in (cast.rita, cast.petra, cast.max, cast.olga):
        html = clean_html(browse(person).get(f"/changes/{change.number}/")).content.decode()
        assert 'class="impact"' in html and 'class="chain"' in html and 'class="scale"' in html
    assert "/vote/?vote=approve" in browse(cast.petra).get(f"/changes/{change.number}/").content.decode()


def test_markdown_is_rendered_without_harm(change, browse, cast, now):
    edit.edit_change(
        change.number,
        {"description": "<script>x</script> **bold** [l](javascript:x) ![i](http://elsewhere/x.png)"},
        actor=cast.rita,
        now=now,
        seen="*",
    )
    html = browse(cast.rita).get(f"/changes/{change.number}/").content.decode()
    assert (
        "<strong>bold</strong>" in html
        and "<script>x" not in html
        and 'href="javascript' not in html
        and "http://elsewhere" not in html.split("<textarea")[0]
    )


def test_the_list_costs_the_same_however_long_it_is(estate, browse, cast, now):
    client = browse(cast.max)

    def queries():
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert client.get("/changes/").status_code == 200
        return len(seen)

    edit.create_change({"title": "One"}, actor=cast.rita, now=now)
    few = queries()
    for number in range(60):
        edit.create_change({"title": f"Change {number}"}, actor=cast.rita, now=now)
    assert queries() == few <= 15


def test_pages_of_the_list_lead_on_and_back(estate, browse, cast, now):
    for number in range(120):
        edit.create_change({"title": f"Change {number}"}, actor=cast.rita, now=now)
    client, path, seen = browse(cast.vera), "/changes/", []
    while path:
        page = client.get(path).context["page"]
        seen += [row.number for row in page.rows]
        path, last = (f"/changes/{page.next}" if page.next else ""), page
    assert len(seen) == len(set(seen)) == 120
    middle = client.get(f"/changes/{last.previous}").context["page"]
    assert [row.number for row in middle.rows] == seen[50:100]


def test_a_place_that_cant_be_read_is_the_first_page(estate, browse, cast):
    assert browse(cast.vera).get("/changes/?at=%00nonsense").status_code == 200


def test_the_list_comes_as_csv_without_formulas(change, browse, cast, now):
    edit.edit_change(change.number, {"title": "=cmd()"}, actor=cast.rita, now=now, seen="*")
    body = b"".join(browse(cast.vera).get("/changes/?as=csv").streaming_content).decode()
    assert body.startswith("number,title") and "'=cmd()" in body


def test_a_filter_that_cant_be_read_is_said_at_its_field(estate, browse, cast):
    response = browse(cast.vera).get("/changes/?planned_after=soon")
    assert response.status_code == 400 and "planned_after" in response.context["form"].errors


def test_strangers_are_sent_to_sign_in(change, browse):
    for path in ("/", "/changes/", f"/changes/{change.number}/", "/changes/new/"):
        response = browse().get(path)
        assert response.status_code == 302 and response["Location"].startswith("/login/?next=")


def test_a_signed_out_fragment_asks_to_sign_in(change, browse):
    response = browse().get(f"/changes/{change.number}/do/cancel/", headers={"HX-Request": "true"})
    assert response.status_code == 401 and response["HX-Retarget"] == "#dialog-slot"


def test_a_confidential_change_is_nowhere(change, browse, cast, now):
    edit.edit_change(change.number, {"confidential": True}, actor=cast.rita, now=now, seen="*")
    olga, item = browse(cast.olga), change.items.first().pk
    for path in pages_of(change.number, item):
        if change.number in path:
            assert olga.get(path).status_code == 404, path
    assert change.number not in olga.get("/changes/").content.decode()
    assert change.number in browse(cast.aud).get("/changes/").content.decode()


def test_a_refusal_is_a_page_and_is_on_the_record(change, browse, cast):
    response = browse(cast.vera).post(f"/changes/{change.number}/edit/", {"part": "why", "seen": change.etag, "title": "Mine now"})
    assert response.status_code == 403
    refused = representations(list(Event.objects.filter(action="access.denied")))
    assert [event["actor"] for event in refused] == ["vera"] and refused[0]["object"] == f"change:{change.number}"
    assert Change.objects.get(pk=change.pk).title == "Upgrade pg-core"


def test_a_guard_is_named_with_who_can_clear_it(change, browse, cast, now):
    bare = edit.create_change({"title": "Nothing in it"}, actor=cast.rita, now=now)
    response = browse(cast.rita).post(f"/changes/{bare.number}/do/submit/", {"seen": bare.etag})
    html = response.content.decode()
    assert response.status_code == 409 and "Add at least one change item" in html and "Rita" in html or "rita" in html


def test_a_stale_form_is_refused_and_what_was_typed_stays(change, browse, cast, now):
    edit.edit_change(change.number, {"tags": ["other"]}, actor=cast.rita, now=now, seen="*")
    data = {"part": "when", "seen": change.etag, "expected_downtime_minutes": "17", "on_window_end": "finish"}
    response = browse(cast.rita).post(f"/changes/{change.number}/edit/", data)
    assert response.status_code == 412 and 'value="17"' in response.content.decode()


def test_a_wrong_value_is_said_at_its_field(change, browse, cast):
    data = {
        "part": "when",
        "seen": change.etag,
        "requested_start": "2026-12-02T10:00",
        "requested_end": "2026-12-01T10:00",
        "on_window_end": "finish",
    }
    response = browse(cast.rita).post(f"/changes/{change.number}/edit/", data)
    assert response.status_code == 400 and "has to end after it starts" in response.content.decode()


def test_times_are_shown_and_read_in_the_persons_zone(change, browse, cast):
    cast.rita.time_zone = "Europe/Oslo"
    cast.rita.save()
    client = browse(cast.rita)
    data = {
        "part": "when",
        "seen": change.etag,
        "requested_start": "2026-12-01T02:00",
        "requested_end": "2026-12-01T04:00",
        "on_window_end": "finish",
    }
    assert client.post(f"/changes/{change.number}/edit/", data).status_code == 302
    stored = Change.objects.get(pk=change.pk)
    assert stored.requested_start.isoformat() == "2026-12-01T01:00:00+00:00"
    html = client.get(f"/changes/{change.number}/").content.decode()
    assert "Tue 1 Dec, 02:00" in html and 'title="2026-12-01 01:00:00 UTC"' in html


def test_an_htmx_refusal_is_a_dialog(change, browse, cast):
    response = browse(cast.vera).post(f"/changes/{change.number}/do/cancel/", {"reason": "x", "seen": change.etag}, headers={"HX-Request": "true"})
    assert response.status_code == 403 and response["HX-Retarget"] == "#dialog-slot" and "<dialog" in response.content.decode()


def test_comments_files_and_links_are_added_by_forms(change, browse, cast):
    from django.core.files.uploadedfile import SimpleUploadedFile

    client, base = browse(cast.rita), f"/changes/{change.number}/"
    assert client.post(f"{base}comments/", {"text": "**Look** at @max"}).status_code == 302
    assert client.post(f"{base}comments/", {"text": " "}).status_code == 400
    etag = Change.objects.get(pk=change.pk).etag
    assert client.post(f"{base}attachments/", {"seen": etag, "file": SimpleUploadedFile("p.html", b"<script>1</script>")}).status_code == 302
    file = change.attachments.get()
    answer = client.get(f"{base}attachments/{file.uuid}/")
    assert answer["Content-Disposition"].startswith("attachment") and answer["Content-Type"] == "application/octet-stream"
    etag = Change.objects.get(pk=change.pk).etag
    assert client.post(f"{base}links/", {"seen": etag, "kind": "problem", "target": "PRB-1180", "system": "jira", "url": ""}).status_code == 302
    html = client.get(base).content.decode()
    assert "<strong>Look</strong>" in html and "p.html" in html and "PRB-1180" in html
    assert client.post(f"{base}watch/").status_code == 302
    assert change.watchers.filter(pk=cast.rita.pk).exists()


def test_a_component_form_takes_new_gone_and_typed_attributes(change, browse, cast):
    client = browse(cast.rita)
    data = {
        "seen": change.etag, "name": "Orders DB", "type": "DataObject", "layer": "data", "criticality": "4", "users": "100", "status": "live",
        "attr-name-0": "version", "attr-gone-0": "on", "attr-name-1": "max_connections", "attr-value-1": "600", "attr-name-2": "owner_team", "attr-value-2": "dba",
    }  # fmt: skip
    assert client.post(f"/changes/{change.number}/items/component/?key=orders-db", data).status_code == 302
    assert change.items.get(key="orders-db").data == {"attributes": {"version": None, "max_connections": 600, "owner_team": "dba"}}
    nothing = data | {
        "attr-gone-0": "",
        "attr-value-0": "15.8",
        "attr-value-1": "400",
        "attr-name-2": "",
        "seen": Change.objects.get(pk=change.pk).etag,
    }
    assert (
        client.post(
            f"/changes/{change.number}/items/component/?key=orders-api",
            nothing | {"name": "Orders API", "type": "ApplicationComponent", "layer": "application"},
        ).status_code
        == 400
    )


def test_removing_a_component_takes_its_relations_along(change, browse, cast):
    client = browse(cast.rita)
    page = client.get(f"/changes/{change.number}/items/component/delete/?key=orders-db").content.decode()
    assert "2 relations go with it" in page
    assert client.post(f"/changes/{change.number}/items/component/delete/", {"seen": change.etag, "key": "orders-db"}).status_code == 302
    assert set(change.items.filter(operation="delete").values_list("object", flat=True)) == {"component", "relation"}


def test_error_pages_show_nothing_from_inside(change, browse, cast, clean_html, monkeypatch):
    response = clean_html(browse(cast.rita).get("/nothing/here/"))
    assert response.status_code == 404 and "To my work" in response.content.decode()
    client = browse(cast.rita)
    client.raise_request_exception = False
    monkeypatch.setattr("changemgmt.web.home.queue_of", lambda *args: 1 / 0)
    response = client.get("/")
    assert response.status_code == 500 and "ZeroDivision" not in response.content.decode()
    clean_html(response)
