"""The record over the API and on its page: who sees what, and that nothing can be written."""

from datetime import timedelta

import pytest

from changemgmt.accounts.actions import grant
from changemgmt.audit.actions import Personal, record, record_refusal
from changemgmt.audit.context import acting
from changemgmt.audit.models import Event, PersonalValue, Verification
from changemgmt.audit.rules import hash_of
from changemgmt.changes.models import Change
from changemgmt.reporting.tasks import verify_record

pytestmark = pytest.mark.django_db
EVENTS = "/api/v1/audit/events/"
VERIFY = "/api/v1/audit/verify/"


@pytest.fixture
def log(cast, now):
    """An open and a confidential change, and events on each, on sign-in and on administration."""
    made = {"requester": cast.rita, "created_at": now, "updated_at": now}
    Change.objects.create(number="CHG-2026-00001", title="Open", **made)
    secret = Change.objects.create(number="CHG-2026-00002", title="Secret", confidential=True, **made)
    grant("view", cast.rita, secret)
    with acting(channel="web", address="10.0.0.7", request_id="r-1"):
        for turn, number in enumerate(["CHG-2026-00001", "CHG-2026-00002", "CHG-2026-00001"]):
            record(
                "change.updated", actor="rita", object=f"change:{number}", change=number, now=now + timedelta(hours=turn), data={"turn": turn},
                differences=[{"path": "title", "before": "Old", "after": f"New {turn}"}],
            )  # fmt: skip
    record("login.failed", actor="unknown", object="user:rita", stream="auth", now=now, data={"name": Personal("rita")})
    record("role.granted", actor="ada", object="user:sam", now=now, on_behalf_of="otto")
    record_refusal("vote.cast", actor="olga", object="seat:1", reason="No seat.", change="CHG-2026-00001", now=now)


def found(client, **query):
    answer = client.get(EVENTS, query)
    assert answer.status_code == 200, answer.content
    return [(row["action"], row["change"] or row["object"]) for row in answer.json()["results"]]


def test_an_event_is_shown_as_the_contract_draws_it(log, api, cast):
    row = api(cast.aud).get(EVENTS, {"change": "CHG-2026-00002"}).json()["results"][0]
    assert row.keys() >= {
        "id", "sequence", "stream", "at", "actor", "on_behalf_of", "channel", "address", "request_id", "action", "object", "change", "differences", "data", "text",
        "previous_hash", "hash",
    }  # fmt: skip
    assert (row["actor"], row["address"], row["channel"], row["request_id"]) == ("rita", "10.0.0.7", "web", "r-1")
    assert row["differences"] == [{"path": "title", "before": "Old", "after": "New 1"}] and row["data"] == {"turn": 1}
    assert row["hash"] == hash_of(row["previous_hash"], row["text"]) and row["previous_hash"] == "0" * 64
    assert row["at"] == "2026-11-20T10:00:00Z"


def test_auditors_see_all_administrators_all_but_the_confidential_and_others_what_they_may_see(log, api, cast):
    assert len(found(api(cast.aud))) == 6 and len(found(api(cast.ada))) == 5
    open_only = [("change.updated", "CHG-2026-00001")] * 2
    assert found(api(cast.vera)) == found(api(cast.max)) == open_only
    assert sorted(found(api(cast.rita))) == [*open_only, ("change.updated", "CHG-2026-00002")]
    assert found(api(cast.olga), change="CHG-2026-00002") == []
    assert found(api(cast.olga), stream="auth") == []


def test_one_event_is_there_for_those_who_may_see_it(log, api, cast):
    hidden = Event.objects.get(change="CHG-2026-00002")
    assert api(cast.aud).get(f"{EVENTS}{hidden.pk}/").json()["sequence"] == 1
    assert api(cast.rita).get(f"{EVENTS}{hidden.pk}/").status_code == 200
    assert api(cast.vera).get(f"{EVENTS}{hidden.pk}/").status_code == 404
    assert api(cast.aud).get(f"{EVENTS}999999999/").status_code == 404
    assert api().get(EVENTS).status_code == 401


@pytest.mark.parametrize(
    "query,count",
    [
        ({"actor": "rita"}, 3),
        ({"actor": "otto"}, 1),
        ({"actor": ["olga", "ada"]}, 2),
        ({"action": "change.updated"}, 3),
        ({"action": ["login.failed", "access.denied"]}, 2),
        ({"object": "user:sam"}, 1),
        ({"stream": "auth"}, 2),
        ({"stream": "CHG-2026-00001"}, 2),
        ({"change": "CHG-2026-00001"}, 3),
        ({"channel": "web"}, 3),
        ({"after": "2026-11-20T10:00:00Z"}, 2),
        ({"before": "2026-11-20T09:59:59Z"}, 4),
        ({"q": "new 2"}, 1),
        ({"q": "10.0.0.7"}, 3),
        ({"q": "no seat"}, 1),
        ({"q": 'quoted "text"'}, 0),
        ({"actor": "rita", "change": "CHG-2026-00001", "after": "2026-11-20T10:00:00Z"}, 1),
        ({"change": ""}, 6),
    ],
)
def test_filters_narrow_the_list(log, api, cast, query, count):
    assert len(found(api(cast.aud), **query)) == count


@pytest.mark.parametrize("query", [{"after": "yesterday"}, {"before": "2026-11-20"}, {"nonsense": "1"}, {"ordering": "at"}, {"q": "a\x00b"}])
def test_a_bad_query_is_refused_with_the_field(log, api, cast, query):
    answer = api(cast.aud).get(EVENTS, query)
    assert answer.status_code == 400 and next(iter(query)) in answer.json()["errors"]


def test_pages_meet_every_event_once(log, api, cast):
    client, url, seen = api(cast.aud), f"{EVENTS}?page_size=2", []
    while url:
        body = client.get(url).json()
        seen += [row["id"] for row in body["results"]]
        url = body["next"]
    assert len(seen) == 6 and seen == sorted(seen, reverse=True)


def test_the_list_takes_a_constant_number_of_queries(log, api, cast, now, django_assert_max_num_queries):
    client = api(cast.vera)
    for turn in range(60):
        record("comment.added", actor=f"person{turn}", object=f"comment:{turn}", change="CHG-2026-00001", now=now)
    with django_assert_max_num_queries(8):
        assert len(client.get(EVENTS).json()["results"]) == 50


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_can_be_written(log, api, cast, method):
    key = Event.objects.first().pk
    for url in (EVENTS, f"{EVENTS}{key}/"):
        assert getattr(api(cast.ada), method)(url, {}, format="json").status_code == 405
    assert Event.objects.filter(pk=key).exists()


def test_an_erased_person_is_shown_as_nobody(log, api, cast):
    PersonalValue.objects.filter(value="rita").delete()
    rows = api(cast.aud).get(EVENTS, {"action": "change.updated"}).json()["results"]
    assert {row["actor"] for row in rows} == {None}


def test_an_auditor_has_the_record_checked(log, api, cast):
    client = api(cast.aud)
    assert client.get(VERIFY).status_code == 404
    answer = client.post(VERIFY)
    assert answer.status_code == 202 and answer.json()["state"] == "running" and answer.json()["ok"] is None
    assert client.post(VERIFY).json()["id"] == answer.json()["id"]
    verify_record(event_id=Event.objects.get(action="verification.started").pk)
    done = client.get(VERIFY).json()
    assert (done["id"], done["state"], done["ok"], done["first_bad"], done["kind"]) == (answer.json()["id"], "done", True, None, None)
    assert done["events"] >= 7
    verify_record(event_id=Event.objects.get(action="verification.started").pk)
    assert Event.objects.filter(action="verification.finished").count() == 1


def test_others_do_not(log, api, cast):
    for person in (cast.max, cast.ada, cast.rita, cast.vera):
        assert api(person).post(VERIFY).status_code == 403
    assert api(cast.ada).get(VERIFY).status_code == 404
    assert api(cast.max).get(VERIFY).status_code == 403
    assert not Verification.objects.exists()


def test_a_change_without_a_stream_is_found(log, cast, now, api):
    Change.objects.create(number="CHG-2026-00003", title="Came in by itself", requester=cast.rita, created_at=now, updated_at=now)
    client = api(cast.aud)
    client.post(VERIFY)
    verify_record(event_id=Event.objects.get(action="verification.started").pk)
    done = client.get(VERIFY).json()
    assert (done["ok"], done["kind"], done["first_bad"]) == (False, "stream_gone", "CHG-2026-00003")


# The page


def page(client, cast, name, query=""):
    client.force_login(getattr(cast, name))
    return client.get(f"/audit/{query}")


def test_the_page_shows_events_and_whether_the_record_is_intact(log, client, cast):
    text = page(client, cast, "aud").content.decode()
    assert text.count("<tr id=") == 6 and "Not checked yet" in text and "Verify now" in text
    assert 'class="chainbadge mb-4"' in text and "chainbadge ok" not in text
    text = page(client, cast, "ada").content.decode()
    assert "Not checked yet" in text and "Verify now" not in text
    text = page(client, cast, "vera").content.decode()
    assert text.count("<tr id=") == 2 and "Not checked yet" not in text and "CHG-2026-00002" not in text


def test_an_open_event_shows_its_place_in_the_chain(log, client, cast):
    event = Event.objects.get(stream="CHG-2026-00001", sequence=2)
    text = page(client, cast, "aud", f"?open={event.pk}").content.decode()
    for shown in (event.hash, event.previous_hash, "10.0.0.7", "New 2", "r-1", "&quot;schema&quot;:1"):
        assert shown in text


@pytest.mark.parametrize(
    "query,count",
    [
        ("?actor=rita", 3),
        ("?action=login.failed", 1),
        ("?channel=web", 3),
        ("?channel=web&channel=system", 6),
        ("?since=2026-11-20", 6),
        ("?until=2026-11-19", 0),
        ("?q=No+seat", 1),
    ],
)
def test_the_filters_of_the_page_narrow_it(log, client, cast, query, count):
    assert page(client, cast, "aud", query).content.decode().count("<tr id=") == count


def test_a_filter_that_cannot_be_read_is_told(log, client, cast):
    answer = page(client, cast, "aud", "?since=soon")
    assert answer.status_code == 400 and 'class="err"' in answer.content.decode()


def test_what_people_wrote_is_only_text(log, client, cast, now):
    record(
        "change.updated", actor="<b>x", object="change:<script>alert(1)</script>", change="CHG-2026-00001", now=now, data={"<i>": "<script>alert(2)</script>"}
    )  # fmt: skip
    text = page(client, cast, "aud", f"?open={Event.objects.latest('pk').pk}").content.decode()
    assert "<script>alert" not in text and "<b>x" not in text and "<i>" not in text


def test_the_page_takes_a_constant_number_of_queries(log, client, cast, now, django_assert_max_num_queries):
    client.force_login(cast.vera)
    for turn in range(60):
        record("comment.added", actor=f"person{turn}", object=f"comment:{turn}", change="CHG-2026-00001", now=now)
    with django_assert_max_num_queries(15):
        assert client.get("/audit/").content.decode().count("<tr id=") == 50


def test_the_button_has_it_checked_and_the_badge_tells(log, client, cast):
    client.force_login(cast.aud)
    assert client.post("/audit/verify/").status_code == 302
    checking = client.get("/audit/").content.decode()
    assert "Checking the record" in checking and "chainbadge ok" not in checking
    verify_record(event_id=Event.objects.get(action="verification.started").pk)
    assert "Record intact" in client.get("/audit/").content.decode()
    badge = client.get("/audit/verify/", headers={"HX-Request": "true"}).content.decode()
    assert "Record intact" in badge and "<html" not in badge
    assert 'class="chainbadge ok ' in badge and "#audit" in badge
    Verification.objects.update(ok=False, first_bad="CHG-2026-00001#2", kind="modified", message="CHG-2026-00001#2: modified.")
    assert "Record broken at CHG-2026-00001#2: modified" in client.get("/audit/").content.decode()


def test_only_an_auditor_presses_it(log, client, cast):
    client.force_login(cast.max)
    assert client.post("/audit/verify/").status_code == 403
    assert not Verification.objects.exists()


def test_it_is_for_people_who_are_signed_in(client, db):
    assert client.get("/audit/").status_code == 302
