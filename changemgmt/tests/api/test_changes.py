"""`changes/`: list, filters, record; who may, what is refused, in which order."""

from datetime import timedelta

import pytest

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible_to
from changemgmt.lifecycle import cancel, discuss, edit
from changemgmt.tests import estate

pytestmark = pytest.mark.django_db
LIST = "/api/v1/changes/"


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def draft(cast, shop, now):
    return estate.draft(cast, now)


def numbers(answer):
    assert answer.status_code == 200, answer.content
    return [row["number"] for row in answer.json()["results"]]


def at(change):
    return f"{LIST}{change.number}/"


# --- the list ---


def test_a_stranger_is_told_to_sign_in(api):
    answer = api().get(LIST)
    assert answer.status_code == 401 and answer["Content-Type"] == "application/problem+json"


def test_the_list_shows_the_shape_of_the_contract(api, cast, draft):
    answer = api(cast.vera).get(LIST, {"count": "true"}).json()
    assert answer["count"] == 1 and answer["next"] is None and answer["previous"] is None
    (row,) = answer["results"]
    assert row["number"] == draft.number and row["requester"] == "rita" and row["owner"] == "max" and row["implementers"] == ["ian"]
    assert {
        "watchers",
        "digest",
        "verification_checklist",
        "risk_level",
        "planned_start",
        "cost_estimate",
        "external_references",
        "template",
        "org_unit",
    } <= row.keys()
    assert row == api(cast.vera).get(at(draft)).json()


def test_confidential_changes_are_not_in_the_list_nor_in_its_count_for_others(api, cast, shop, now):
    estate.draft(cast, now, confidential=True)
    for person, seen in ((cast.vera, 0), (cast.ada, 0), (cast.rita, 1), (cast.max, 1), (cast.ian, 1), (cast.aud, 1)):
        assert api(person).get(LIST, {"count": "true"}).json()["count"] == seen, person


def test_pages_follow_each_other_without_gap_or_repetition_while_rows_are_added(api, cast, seeded, now):
    made = [edit.create_change({"title": f"No {index}"}, actor=cast.rita, now=now + timedelta(minutes=index)).number for index in range(7)]
    client = api(cast.vera)
    first = client.get(LIST, {"page_size": 3}).json()
    edit.create_change({"title": "later"}, actor=cast.rita, now=now + timedelta(days=1))
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()
    assert [row["number"] for page in (first, second, third) for row in page["results"]] == made[::-1]
    assert third["next"] is None and numbers(client.get(third["previous"])) == [row["number"] for row in second["results"]]


@pytest.mark.parametrize("ordering", ["-created_at", "number", "-title", "risk_score", "-planned_start", "priority"])
def test_the_list_can_be_ordered(api, cast, draft, ordering):
    assert numbers(api(cast.vera).get(LIST, {"ordering": ordering})) == [draft.number]


MEANINGLESS = [
    "?nonsense=1",
    "?requester__password__startswith=p",
    "?approvals__user__email__regex=x",
    "?ordering=-requester__password",
    "?ordering=password",
    "?page_size=201",
    "?page_size=1000000",
    "?page_size=0",
    "?fields=password",
    "?fields=requester.email",
    "?include=approver.user",
    "?depth=9",
    "?state=nowhere",
    "?state__in=draft,nowhere",
    "?requester__in=a,b",
    "?planned_after=yesterday",
    "?created_before=2026-13-41",
    "?created_before=99999-01-01T00:00:00Z",
    "?cursor=abc",
    "?title=%00",
    "?q=%00",
]


def test_a_query_that_can_t_be_meant_is_refused_with_the_parameter(api, cast, draft):
    for query in MEANINGLESS:
        answer = api(cast.vera).get(LIST + query)
        assert answer.status_code == 400 and answer.json()["type"].endswith("/invalid") and answer.json()["errors"]


def test_a_list_is_trimmed_to_the_fields_asked_for(api, cast, draft):
    assert api(cast.vera).get(LIST, {"fields": "number,title"}).json()["results"] == [{"number": draft.number, "title": draft.title}]


def test_filters_narrow_the_list(api, cast, shop, now):
    first = estate.draft(cast, now, tags=["db", "größe"], priority="high", org_unit="payments", category="database")
    other = edit.create_change({"title": "Nothing", "no_items_reason": "x", "type": "emergency"}, actor=cast.petra, now=now + timedelta(days=3))
    client = api(cast.vera)
    expected = {
        "state=draft": {first.number, other.number},
        "state__in=draft,closed": {first.number, other.number},
        "state=closed&state=draft": {first.number, other.number},
        "state=closed": set(),
        "type=emergency": {other.number},
        "type__in=emergency,major": {other.number},
        "priority=high": {first.number},
        "requester=petra": {other.number},
        "requester=petra&requester=rita": {first.number, other.number},
        "owner=max": {first.number},
        "implementer=ian": {first.number},
        "component=shop/db": {first.number},
        "component=shop/checkout": {first.number},
        "component=shop/nowhere": set(),
        "layer=technology": {first.number},
        "layer=business": set(),
        "org_unit=payments": {first.number},
        "tag=db": {first.number},
        "tag=d": set(),
        "tag=größe": {first.number},
        "template=standard-patch": set(),
        "risk_level=low": set(),
        "created_after=2026-11-21": {other.number},
        "created_before=2026-11-21T00:00:00Z": {first.number},
        "planned_after=2026-11-21": set(),
        "q=database upgrade": {first.number},
        f"q={other.number}": {other.number},
        "q=no such thing": set(),
        "q=": {first.number, other.number},
        "awaiting=me": set(),
    }
    assert {query: set(numbers(client.get(f"{LIST}?{query}"))) for query in expected} == expected


def test_awaiting_finds_the_changes_on_which_a_person_may_vote_now(api, cast, shop, now):
    change = estate.in_review(cast, now)
    assert numbers(api(cast.vera).get(LIST, {"awaiting": "petra"})) == [change.number]
    assert numbers(api(cast.petra).get(LIST, {"awaiting": "me"})) == [change.number]
    for name in ("rita", "ian", "max", "olga", "nobody"):
        assert numbers(api(cast.vera).get(LIST, {"awaiting": name})) == []
    estate.decide(change, now)
    assert numbers(api(cast.petra).get(LIST, {"awaiting": "me"})) == []


def test_queries_do_not_grow_with_the_rows(api, cast, seeded, now, django_assert_max_num_queries):
    client = api(cast.vera)
    for index in range(30):
        edit.create_change({"title": f"No {index}", "implementers": ["ian"], "watchers": ["vera", "petra"]}, actor=cast.rita, now=now)
    with django_assert_max_num_queries(6):
        assert len(numbers(client.get(LIST))) == 30


# --- drafting ---


def test_a_requester_drafts_a_change(api, cast, seeded):
    answer = api(cast.rita).post(
        LIST, {"title": "New", "type": "normal", "cost_estimate": "1200.00", "implementers": ["ian"], "org_unit": "payments"}
    )
    assert answer.status_code == 201 and answer["ETag"] == '"1.1"'
    body = answer.json()
    assert answer["Location"] == f"{LIST}{body['number']}/" and body["number"].startswith("CHG-")
    assert body["state"] == "draft" and body["requester"] == "rita" and body["version"] == 1 and body["cost_estimate"] == "1200.00"
    event = estate.last_event("change.created")
    assert event["actor"] == "rita" and event["channel"] == "api" and event["change"] == body["number"]


NO_CHANGES = [
    {"state": "approved"},
    {"number": "CHG-1"},
    {"version": 2},
    {"digest": "x"},
    {"risk_level": "low"},
    {"decided_at": "2026-11-20T00:00:00Z"},
    {"planned_start": "2026-11-20T00:00:00Z"},
    {"affected_count": 3},
    {"result": "successful"},
    {"unheard_of": 1},
    {"title": ""},
    {"title": 7},
    {"title": "x" * 301},
    {"type": "holiday"},
    {"category": "nowhere"},
    {"org_unit": "nowhere"},
    {"owner": "nobody"},
    {"implementers": ["nobody"]},
    {"implementers": "ian"},
    {"cost_estimate": "1e400"},
    {"cost_estimate": "-1"},
    {"requested_start": "2026-11-20T00:00:00Z"},
    {"requested_start": "2026-11-20T00:00:00Z", "requested_end": "2026-11-19T00:00:00Z"},
    {"requested_start": "0000-01-01"},
    {"expected_downtime_minutes": -1},
    {"verification_checklist": [{"text": "x", "done": True}]},
    {"success_criteria": [{"group": "nice", "text": "x"}]},
    {"tags": [1]},
    {"custom_fields": {"unknown": 1}},
    {"external_references": [{"system": "s", "id": "1", "url": "javascript:alert(1)"}]},
    {"compliance_scope": ["moon"]},
    {"template": "nowhere"},
]


def test_what_can_t_be_a_change_is_refused_at_its_field(api, cast, seeded):
    for body in NO_CHANGES:
        answer = api(cast.rita).post(LIST, {"title": "New", **body})
        assert answer.status_code == 400, (body, answer.content)
        assert set(answer.json()["errors"]) & {*body, "requested_end"}
        assert Change.objects.count() == 0


def test_a_body_that_is_no_object_is_refused(api, cast, seeded):
    for body in ([], "text", 3, None):
        assert api(cast.rita).post(LIST, body, format="json").status_code == 400


def test_who_may_not_request_is_refused_before_the_body_is_looked_at(api, cast, seeded):
    for person in (cast.vera, cast.olga, cast.aud, cast.ada, cast.ian):
        answer = api(person).post(LIST, {"state": "approved"})
        assert answer.status_code == 403, person
    assert Change.objects.count() == 0


def test_a_change_manager_may_draft_for_somebody_else(api, cast, seeded):
    assert api(cast.max).post(LIST, {"title": "New", "requester": "rita"}).json()["requester"] == "rita"
    assert api(cast.rita).post(LIST, {"title": "New", "requester": "petra"}).status_code == 403


def test_the_same_key_drafts_once(api, cast, seeded):
    client = api(cast.rita)
    first, again = (client.post(LIST, {"title": "Once"}, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    other = client.post(LIST, {"title": "Other"}, headers={"Idempotency-Key": "k1"})
    assert first.json() == again.json() and other.status_code == 422 and Change.objects.count() == 1


def test_a_template_fixes_and_proposes(api, cast, seeded):
    client = api(cast.rita)
    body = client.post(LIST, {"title": "Patch", "template": "standard-patch"}).json()
    assert body["type"] == "standard" and body["template"] == "standard-patch" and body["rollback_plan"]
    refused = client.post(LIST, {"title": "Patch", "template": "standard-patch", "type": "normal"})
    assert refused.status_code == 400 and "type" in refused.json()["errors"]


# --- the record ---


def test_a_change_that_is_not_yours_to_see_looks_like_one_that_is_not_there(api, cast, shop, now):
    secret = estate.draft(cast, now, confidential=True)
    client = api(cast.vera)
    for path in (
        "",
        "items/",
        "plan/",
        "impact/",
        "preview/",
        "diff/",
        "comments/",
        "attachments/",
        "links/",
        "watchers/",
        "versions/",
        "gate/",
        "transitions/",
    ):
        hidden, missing = client.get(f"{at(secret)}{path}"), client.get(f"{LIST}CHG-2026-99999/{path}")
        assert hidden.status_code == missing.status_code == 404 and hidden.json() == missing.json(), path
    assert client.patch(at(secret), {"title": "x"}).status_code == 404
    assert client.post(f"{at(secret)}transitions/submit/", {}).status_code == 404


def test_the_record_answers_with_its_etag(api, cast, draft):
    answer = api(cast.vera).get(at(draft))
    assert answer["ETag"] == f'"{draft.etag}"' and answer.json()["title"] == draft.title


def test_a_draft_is_edited_with_or_without_saying_what_one_saw(api, cast, draft):
    client = api(cast.rita)
    first = client.patch(at(draft), {"title": "Better"})
    assert first.status_code == 200 and first.json()["title"] == "Better" and first["ETag"] == f'"1.{draft.edits + 1}"'
    assert client.patch(at(draft), {"title": "Best"}, headers={"If-Match": f'"{draft.etag}"'}).status_code == 412
    assert client.patch(at(draft), {"title": "Best"}, headers={"If-Match": first["ETag"]}).status_code == 200
    assert {"path": "title", "before": "Better", "after": "Best"} in estate.last_event("change.updated")["differences"]


def test_beyond_draft_an_edit_says_which_version_was_seen(api, cast, shop, now):
    change = estate.in_review(cast, now)
    client = api(cast.rita)
    assert client.patch(at(change), {"description": "More."}).status_code == 428
    assert client.patch(at(change), {"description": "More."}, headers={"If-Match": '"1.99"'}).status_code == 412
    assert estate.fresh(change).version == 1
    done = client.patch(at(change), {"description": "More."}, headers={"If-Match": f'"{change.etag}"'})
    assert done.status_code == 200 and done.json()["version"] == 2 and done["ETag"] == '"2.1"'


def test_what_is_malformed_is_said_before_the_missing_version(api, cast, shop, now):
    change = estate.in_review(cast, now)
    assert api(cast.rita).patch(at(change), {"priority": "later"}).status_code == 400
    assert api(cast.vera).patch(at(change), {"priority": "later"}).status_code == 403


OF_THE_SYSTEM = ["state", "decided_at", "version", "number", "digest", "risk_level", "risk_score", "created_at", "affected_count", "edits"]


def test_a_field_of_the_system_is_refused_with_another_value_and_may_be_repeated(api, cast, draft):
    for field in OF_THE_SYSTEM:
        client = api(cast.rita)
        current = client.get(at(draft)).json()
        refused = client.patch(at(draft), {field: "other"})
        assert refused.status_code == 400 and field in refused.json()["errors"]
        assert client.patch(at(draft), {field: current[field], "title": "Better"}).status_code == 200


def test_the_whole_record_can_be_sent_back_with_one_field_altered(api, cast, draft):
    client = api(cast.rita)
    current = client.get(at(draft)).json()
    answer = client.patch(at(draft), current | {"title": "Better"})
    assert answer.status_code == 200 and answer.json() | {"edits": 0, "updated_at": 0} == current | {"title": "Better", "edits": 0, "updated_at": 0}


def test_who_has_no_part_in_it_does_not_edit_it(api, cast, draft):
    for person in (cast.vera, cast.olga, cast.aud, cast.petra, cast.ian, cast.ada):
        assert api(person).patch(at(draft), {"title": "Mine"}).status_code == 403, person
    assert api(cast.max).patch(at(draft), {"title": "Managed"}).status_code == 200


def test_what_is_over_is_not_edited(api, cast, draft, now):
    cancel.cancel(draft.number, actor=cast.rita, now=now, reason="No.")
    answer = api(cast.rita).patch(at(draft), {"description": "x"}, headers={"If-Match": f'"{draft.etag}"'})
    assert answer.status_code == 409 and answer.json()["type"] == "/problems/not-possible"


@pytest.mark.parametrize(
    ("method", "path"), [("put", ""), ("delete", ""), ("patch", "transitions/"), ("delete", "comments/"), ("put", "items/"), ("delete", "versions/")]
)
def test_other_methods_are_not_there(api, cast, draft, method, path):
    answer = getattr(api(cast.rita), method)(f"{at(draft)}{path}", {})
    assert answer.status_code == 405 and "Allow" in answer


def test_a_read_token_writes_nothing(api, cast, draft):
    assert api(cast.rita, scope="read").patch(at(draft), {"title": "x"}).status_code == 403


def test_confidential_changes_stay_hidden_from_who_stops_watching(api, cast, shop, now):
    secret = estate.draft(cast, now, confidential=True, watchers=["vera"])
    client = api(cast.vera)
    assert client.get(at(secret)).status_code == 200
    discuss.unwatch(secret.number, "vera", actor=User.objects.get(username="rita"), now=now)
    assert client.get(at(secret)).status_code == 404


@pytest.mark.parametrize("name", ["vera", "rita", "aud"])
def test_the_plain_list_is_the_list_with_its_defaults_spelled_out(api, cast, seeded, now, name):
    for number in range(55):
        fields = {"title": f"Change {number}", "confidential": number % 9 == 0, "watchers": ["paul"]}
        edit.create_change(fields, actor=cast.rita if number % 2 else cast.petra, now=now + timedelta(seconds=number))
    client = api(getattr(cast, name))
    plain, spelled = client.get("/api/v1/changes/").json(), client.get("/api/v1/changes/", {"ordering": "-created_at"}).json()
    assert plain["results"] == spelled["results"] and len(plain["results"]) <= 50
    rest = client.get(plain["next"]).json()["results"] if plain["next"] else []
    seen = [row["number"] for row in plain["results"] + rest]
    assert len(seen) == len(set(seen)) == visible_to(getattr(cast, name)).count()
    one = client.get(f"/api/v1/changes/{seen[0]}/")
    assert one.json() == plain["results"][0] and one["ETag"] == f'"{one.json()["version"]}.{one.json()["edits"]}"'
