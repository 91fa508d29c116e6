"""Through the API: odd values are refused with their place, never with a fault; and what is confidential shows nowhere."""

import itertools
from datetime import timedelta

import pytest

from changemgmt.changes.models import Change
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import cancel, edit, reopen, submit
from changemgmt.lifecycle.transitions import ACTS

from .. import estate

pytestmark = pytest.mark.django_db
PARAMETERS = sorted({name for act in ACTS.values() for name in act.parameters})
ODD = [
    None,
    [],
    {},
    [[]],
    {"a": {"b": []}},
    0,
    -1,
    1.5,
    True,
    2**62,
    "",
    " ",
    "x" * 30_000,
    "\ufeff",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
]
FEW = [None, [], {"a": [1]}, 2**62]


@pytest.fixture
def moment():
    """The API reads the clock itself: what it is asked about happens now."""
    return utc_now().replace(microsecond=0)


@pytest.fixture
def shop(seeded, moment):
    estate.build(moment)


def at(change, path: str = "") -> str:
    return f"/api/v1/changes/{change.number}/{path}"


def etag(change) -> dict[str, str]:
    return {"If-Match": f'"{estate.fresh(change).etag}"'}


@pytest.mark.parametrize("name", sorted(ACTS))
def test_no_odd_parameter_of_a_transition_is_a_fault(api, cast, shop, moment, name):
    change = estate.approved(cast, moment) if name == "schedule" else estate.in_review(cast, moment)
    clients = [api(cast.rita), api(cast.max)]
    for parameter, value, client in itertools.product(ACTS[name].parameters or ("comment",), ODD, clients):
        body = {"start": "2030-01-01T00:00:00Z", "end": "2030-01-01T01:00:00Z", parameter: value} if name == "schedule" else {parameter: value}
        answer = client.post(at(change, f"transitions/{name}/"), body, format="json")
        assert answer.status_code < 500, (parameter, value, answer.json())
    for body in ([], [1], "text", 7, None):
        assert api(cast.max).post(at(change, f"transitions/{name}/"), body, format="json").status_code in {200, 201, 400, 403, 409}


@pytest.mark.parametrize(
    "span",
    [
        ("0001-01-01T00:00:00Z", "0001-01-01T02:00:00Z"),
        ("9999-12-31T20:00:00Z", "9999-12-31T23:59:59Z"),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_no_window_at_the_ends_of_the_calendar_is_a_fault(api, cast, shop, moment, span):
    change = estate.approved(cast, moment)
    start, end = span
    client = api(cast.max)
    assert client.get(at(change, f"transitions/?start={start}&end={end}")).status_code in {200, 400}
    assert client.get(at(change, f"conflicts/?start={start}&end={end}")).status_code in {200, 400}
    assert client.get(at(change, f"windows/?earliest={start}&latest={end}")).status_code in {200, 400}
    assert client.post(at(change, "transitions/schedule/"), {"start": start, "end": end}, format="json").status_code in {200, 400, 409}
    wished = api(cast.rita).patch(at(change), {"requested_start": start, "requested_end": end}, format="json", headers=etag(change))
    assert wished.status_code in {200, 400}
    for path in ("", "transitions/", "windows/", "approval/", "blockers/", "gate/", "preview/", "impact/"):
        assert client.get(at(change, path)).status_code == 200, path


def test_no_odd_field_of_the_record_is_a_fault(api, cast, shop, moment):
    from changemgmt.changes.fields import FIELDS

    change = estate.draft(cast, moment)
    client = api(cast.rita)
    for name, value in itertools.product(FIELDS, [*FEW, "0001-01-01T00:00:00Z"]):
        answer = client.patch(at(change), {name: value}, format="json", headers=etag(change))
        assert answer.status_code < 500, (name, value)
    assert client.post("/api/v1/changes/", {name: [] for name in FIELDS}, format="json").status_code == 400
    assert client.get(at(change)).status_code == 200 and client.get("/api/v1/changes/?page_size=200").status_code == 200


def test_no_odd_plan_is_a_fault(api, cast, shop, moment):
    change = estate.draft(cast, moment)
    client = api(cast.rita)
    step = {"id": "one", "manual": True}
    fields = (
        "id",
        "name",
        "agent",
        "action",
        "parameters",
        "depends_on",
        "timeout_seconds",
        "retries",
        "manual",
        "irreversible",
        "items",
        "verification",
        "compensation",
    )
    plans = [{name: value} for name in ("steps", "gates", "strategy", "on_failure") for value in FEW]
    plans += [{"steps": [step | {name: value}]} for name in fields for value in FEW]
    plans += [
        {"steps": [step], "gates": [{"name": "g", "kind": "entry", "before": None, "criteria": {}} | {name: value}]}
        for name in ("name", "kind", "before", "criteria")
        for value in FEW
    ]
    plans += [
        {"steps": [step | {side: {name: value}}]}
        for side in ("verification", "compensation")
        for name in ("action", "parameters", "agent")
        for value in FEW
    ]
    for plan in plans:
        answer = client.put(at(change, "plan/"), plan, format="json", headers=etag(change))
        assert answer.status_code in {200, 400}, plan
        if answer.status_code == 200:
            assert all(
                isinstance(side.get("agent", ""), str) for one in answer.json()["steps"] for side in (one["verification"], one["compensation"])
            ), plan


def test_no_odd_item_link_comment_or_tick_is_a_fault(api, cast, shop, moment):
    change = estate.draft(cast, moment)
    client = api(cast.rita)
    item = {"operation": "update", "object": "component", "key": "shop/api", "data": {"name": "n"}}
    tried = [("items/", item | {name: value}) for name in (*item, "source", "target", "relation_type", "replace") for value in FEW]
    tried += [
        ("items/", item | {"data": {name: value}})
        for name in ("name", "type", "layer", "owner", "org_unit", "criticality", "users", "status", "environment", "attributes", "tags", "needs")
        for value in FEW
    ]
    tried += [("links/", {"kind": "incident", "target": "I-1"} | {name: value}) for name in ("kind", "target", "system", "url") for value in FEW]
    tried += [("comments/", {"text": value}) for value in FEW] + [("watchers/", {"username": value}) for value in FEW]
    tried += [("items/", value) for value in FEW]
    for path, body in tried:
        answer = client.post(at(change, path), body, format="json", headers=etag(change))
        assert answer.status_code < 500, (path, body)
        if answer.status_code == 201 and path == "items/":
            for pk in [one["id"] for one in (answer.json() if isinstance(body, list) else [answer.json()])]:
                client.delete(at(change, f"items/{pk}/"), headers=etag(change))


def test_no_odd_tick_step_or_vote_is_a_fault(api, cast, shop, moment):
    change = estate.implementing(cast, moment, begins=moment, ends=moment + timedelta(hours=3))
    run = change.executions.get().pk
    client = api(cast.ian)
    for value in ODD:
        for body in (
            {"checklist": value},
            {"success_criteria": value},
            {"checklist": [value]},
            {"checklist": [{"index": value, "done": value}]},
            value,
        ):
            assert client.post(at(change, "verification/"), body, format="json").status_code < 500, body
        for act, name in (("done", "kind"), ("fail", "reason"), ("fail", "kind"), ("retry", "note")):
            if isinstance(value, str) and name == "reason" and value.strip():
                continue
            assert client.post(f"/api/v1/executions/{run}/tasks/cut/{act}/", {name: value}, format="json").status_code in {400, 409}, (
                act,
                name,
                value,
            )


# What is confidential


@pytest.fixture
def hidden(cast, shop, moment):
    """A confidential change of Rita's, in review, on the database; Vera, Olga and Ada have no part in it."""
    return estate.in_review(cast, moment, confidential=True, title="Zebrafish")


def test_a_copy_made_public_does_not_name_the_confidential_change_it_comes_from(api, cast, hidden, moment):
    cancel.cancel(hidden.number, actor=cast.rita, now=moment, reason="No.", seen="*")
    copy = reopen.reopen_as_new(hidden.number, actor=cast.rita, now=moment, seen="*")
    edit.edit_change(copy.number, {"confidential": False, "title": "Plain"}, actor=cast.rita, now=moment, seen=None)
    for path in ("", "links/", "preview/", "impact/", "transitions/", "approval/"):
        assert hidden.number not in api(cast.vera).get(at(copy, path)).content.decode(), path
    assert hidden.number not in api(cast.vera).get("/api/v1/changes/").content.decode()


def test_a_parent_made_confidential_is_not_named_by_its_parts(api, cast, shop, moment):
    parent = edit.create_change({"title": "Whole"}, actor=cast.rita, now=moment)
    part = edit.create_change({"title": "Part", "parent": parent.number}, actor=cast.petra, now=moment)
    edit.edit_change(parent.number, {"confidential": True}, actor=cast.rita, now=moment, seen=None)
    answer = api(cast.vera).get(at(part))
    assert answer.status_code == 200 and parent.number not in answer.content.decode()
    assert parent.number not in api(cast.vera).get("/api/v1/changes/").content.decode()


@pytest.mark.parametrize("who", ["vera", "olga", "ada", "petra"])
def test_a_confidential_change_shows_nowhere(api, cast, hidden, moment, who):
    from changemgmt.approvals.models import Seat

    person = getattr(cast, who)
    other = edit.create_change({"title": "Another", "implementers": ["ian"]}, actor=cast.petra, now=moment)
    edit.add_items(
        other.number,
        [{"operation": "update", "object": "component", "key": "shop/db", "data": {"attributes": {"version": "17"}}}],
        actor=cast.petra,
        now=moment,
        seen=None,
    )
    submit_fields = {"business_justification": "b", "implementation_plan": "i", "rollback_plan": "r"}
    edit.edit_change(other.number, submit_fields, actor=cast.petra, now=moment, seen=None)
    submit.submit(other.number, actor=cast.petra, now=moment)
    if who == "petra":
        assert Seat.objects.filter(level__round__change=hidden, people=cast.petra).exists()
        return
    client = api(person)
    for path in (
        *(
            "changes/?count=true",
            "changes/?q=Zebrafish&count=true",
            "changes/?component=shop/db",
            "changes/?requester=rita",
            "changes/?state=in_review",
            "changes/?awaiting=petra",
        ),
        *(
            "approvals/",
            "audit/events/?page_size=200",
            f"audit/events/?change={hidden.number}",
            "audit/events/?q=Zebrafish",
            "architecture/revisions/",
            "me/",
        ),
        *(f"changes/{other.number}/{tail}" for tail in ("", "impact/", "preview/", "transitions/", "blockers/", "approval/", "links/")),
        f"changes/{other.number}/conflicts/?start=2030-01-01T00:00:00Z&end=2030-01-01T01:00:00Z",
        f"changes/{other.number}/windows/",
        "calendar/?start=2026-01-01T00:00:00Z&end=2026-12-31T00:00:00Z",
    ):
        text = client.get(f"/api/v1/{path}").content.decode()
        assert hidden.number not in text.replace(f"change={hidden.number}", "") and "Zebrafish" not in text, path
    nowhere = client.get("/api/v1/changes/CHG-1999-00001/").json()
    for tail in (
        "",
        "items/",
        "plan/",
        "transitions/",
        "approval/",
        "comments/",
        "attachments/",
        "links/",
        "watchers/",
        "versions/",
        "executions/",
        "impact/",
        "preview/",
        "diff/",
        "gate/",
        "blockers/",
        "action-items/",
        "assessment/",
    ):
        answer = client.get(at(hidden, tail))
        assert answer.status_code == 404 and answer.json() | {"detail": ""} == nowhere | {"detail": ""}, tail
        for method in ("post", "patch", "put", "delete"):
            assert getattr(client, method)(at(hidden, tail), {}, format="json").status_code == 404, (method, tail)
    seat = Seat.objects.filter(level__round__change=hidden).first()
    assert client.post(f"/api/v1/approvals/{seat.pk}/vote/", {"vote": "approve", "digest": "x"}, format="json").status_code == 404
    assert client.post(at(other, "links/"), {"kind": "related", "target": hidden.number}, format="json").status_code in {400, 403}


def test_a_link_to_a_confidential_change_is_not_on_the_record_of_a_public_one(api, cast, hidden, moment):
    open_one = edit.create_change({"title": "Open"}, actor=cast.rita, now=moment)
    client = api(cast.rita)
    answer = client.post(at(open_one, "links/"), {"kind": "related", "target": hidden.number}, format="json", headers=etag(open_one))
    for path in (at(open_one, "links/"), "/api/v1/audit/events/?page_size=200", at(open_one, "versions/1/")):
        assert hidden.number not in api(cast.vera).get(path).content.decode(), (answer.status_code, path)


def test_the_bell_counts_what_may_be_seen(api, cast, hidden):
    from changemgmt.notifications.models import Notification

    Notification.objects.create(
        event=1, recipient=cast.vera, channel="app", change=hidden.number, kind="comment.added", title="x", created_at=hidden.created_at
    )
    assert api(cast.vera).get("/api/v1/me/").json()["counts"]["notifications"] == 0


def test_the_part_that_keeps_a_parent_open_is_not_betrayed(api, cast, shop, moment):
    change = estate.implementing(cast, moment, begins=moment, ends=moment + timedelta(hours=3))
    estate.do_all_steps(change, cast, moment)
    from changemgmt.lifecycle import complete

    complete.complete(change.number, actor=cast.ian, now=moment, seen="*")
    Change.objects.create(
        number="CHG-2026-77777",
        title="Quiet",
        requester=cast.petra,
        owner=cast.paul,
        confidential=True,
        parent=change,
        created_at=moment,
        updated_at=moment,
    )
    answer = api(cast.max).post(at(change, "transitions/close/"), {"result": "successful"}, format="json")
    assert answer.status_code == 409 and [guard["guard"] for guard in answer.json()["guards"]] == ["children_closed"]
    assert "CHG-2026-77777" not in answer.content.decode() and "paul" not in answer.content.decode()


def test_the_order_of_refusals(api, cast, shop, moment):
    change = estate.in_review(cast, moment)
    path = at(change, "transitions/cancel/")
    assert api().post(path, {"reason": 1}, format="json").status_code == 401
    assert api(cast.rita).post("/api/v1/changes/CHG-1999-00001/transitions/cancel/", {"reason": 1}, format="json").status_code == 404
    assert api(cast.rita).put(path, {"reason": 1}, format="json").status_code == 405
    assert api(cast.vera).post(path, b"x" * 3_000_000, content_type="text/plain").status_code == 413
    assert api(cast.vera).post(path, b"x", content_type="text/plain").status_code == 415
    assert api(cast.vera).post(path, {"reason": 1}, format="json").status_code == 403
    assert api(cast.rita).post(path, {"reason": 1}, format="json").status_code == 400
    assert api(cast.rita).post(path, {"reason": ""}, format="json", headers={"If-Match": '"9.9"'}).status_code == 409
    assert api(cast.rita).post(path, {"reason": "So."}, format="json", headers={"If-Match": '"9.9"'}).status_code == 412
    done = at(change, "transitions/close/")
    assert api(cast.max).post(done, {"result": "glorious"}, format="json").status_code == 400
    assert api(cast.rita).patch(at(change), {"description": 1}, format="json").status_code == 400
    assert api(cast.rita).patch(at(change), {"description": "More."}, format="json").status_code == 428
