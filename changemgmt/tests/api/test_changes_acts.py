"""Acts on a change over the API: transitions, preview, executions, verification, gate."""

from datetime import timedelta

import pytest

from changemgmt.core.time import utc_now
from changemgmt.lifecycle import complete, schedule
from changemgmt.lifecycle.edit import edit_change
from changemgmt.tests import estate

pytestmark = pytest.mark.django_db
CHANGES = "/api/v1/changes/"
BY_PEOPLE = {
    *("submit", "request_info", "provide_info", "revise", "schedule", "start", "complete", "fail", "roll_back", "close", "cancel"),
    *("reopen_as_new", "emergency_go_ahead"),
}
BY_SYSTEM = {"begin_review", "auto_approve", "approve", "approve_with_conditions", "reject", "reopen_review"}


@pytest.fixture
def now():
    """These go through the door, which reads the clock."""
    return utc_now()


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def window(now):
    return {"begins": now + timedelta(minutes=5), "ends": now + timedelta(hours=3)}


def at(change, path=""):
    return f"{CHANGES}{change.number}/{path}"


def act(client, change, name, **parameters):
    return client.post(at(change, f"transitions/{name}/"), parameters, format="json")


def guards(answer):
    assert answer.status_code == 409 and answer.json()["type"] == "/problems/unmet-guard", answer.content
    return {guard["guard"]: guard for guard in answer.json()["guards"]}


# --- what may be done ---


def test_every_transition_is_listed_with_who_it_is_done_by(api, cast, shop, now):
    change = estate.draft(cast, now)
    rows = {row["name"]: row for row in api(cast.rita).get(at(change, "transitions/")).json()}
    assert rows.keys() == BY_PEOPLE | BY_SYSTEM | {"amend"}
    assert {name for name, row in rows.items() if row["by"] == "system"} == BY_SYSTEM
    assert rows["submit"] == {"name": "submit", "target": "submitted", "by": "person", "allowed": True, "reason": "", "guards": []}
    assert rows["cancel"]["allowed"] and not rows["schedule"]["allowed"] and rows["schedule"]["reason"]


def test_a_guard_that_is_not_met_is_named_with_who_can_clear_it(api, cast, shop, now):
    change = edit_change(estate.draft(cast, now).number, {"rollback_plan": ""}, actor=cast.rita, now=now, seen=None)
    (row,) = [row for row in api(cast.rita).get(at(change, "transitions/")).json() if row["name"] == "submit"]
    assert not row["allowed"] and row["guards"][0]["guard"] == "required_plans" and row["guards"][0]["who_can_clear"] == ["rita"]
    assert guards(act(api(cast.rita), change, "submit")).keys() == {"required_plans"}
    assert estate.fresh(change).state == "draft"


def test_schedule_can_be_asked_beforehand(api, cast, shop, now):
    change = estate.approved(cast, now)
    client = api(cast.max)

    def asked(start, end):
        rows = client.get(at(change, "transitions/"), {"start": start.isoformat(), "end": end.isoformat()}).json()
        return next(row for row in rows if row["name"] == "schedule")

    assert asked(now + timedelta(hours=1), now + timedelta(hours=2))["allowed"]
    past = asked(now - timedelta(hours=2), now - timedelta(hours=1))
    assert not past["allowed"] and [guard["guard"] for guard in past["guards"]] == ["not_past"]
    for query in ("?start=x&end=y", f"?start={now:%Y-%m-%dT%H:%M:%SZ}", "?start=2026-11-22T02:00:00Z&end=2026-11-22T01:00:00Z", "?begin=1"):
        assert client.get(at(change, f"transitions/{query}")).status_code == 400, query


# --- doing it ---


def test_submit_goes_as_far_as_it_can(api, cast, shop, now):
    change = estate.draft(cast, now)
    answer = act(api(cast.rita), change, "submit", comment="Please.")
    body = answer.json()
    assert answer.status_code == 200 and body["state"] == "in_review" and body["digest"] and body["risk_level"] and body["submitted_at"]
    assert answer["ETag"] == f'"{estate.fresh(change).etag}"' and body["affected_count"] >= 2
    assert estate.last_event("change.submitted")["data"]["comment"] == "Please."


def test_who_may_not_is_refused_before_anything_else(api, cast, shop, now):
    change = estate.draft(cast, now)
    for person in (cast.vera, cast.olga, cast.aud, cast.petra):
        answer = act(api(person), change, "submit", colour="red")
        assert answer.status_code == 403, person
    assert act(api(cast.rita), change, "submit", colour="red").status_code == 400
    assert act(api(cast.rita), change, "submit", comment=7).status_code == 400
    assert act(api(cast.rita), change, "schedule", start="soon").status_code == 403
    assert api(cast.rita).post(at(change, "transitions/approve/"), {}).status_code == 404
    assert api(cast.rita).get(at(change, "transitions/submit/")).status_code == 405
    assert api(cast.rita).post(at(change, "transitions/submit/"), [1], format="json").status_code == 400


def test_the_wrong_moment_is_409_and_a_stale_version_412(api, cast, shop, now):
    change = estate.in_review(cast, now)
    client = api(cast.rita)
    assert act(client, change, "submit").status_code == 409
    stale = client.post(at(change, "transitions/cancel/"), {"reason": "x"}, headers={"If-Match": '"1.99"'})
    assert stale.status_code == 412 and estate.fresh(change).state == "in_review"
    assert client.post(at(change, "transitions/cancel/"), {"reason": "x"}, headers={"If-Match": f'"{change.etag}"'}).status_code == 200


def test_an_absent_reason_is_an_unmet_guard(api, cast, shop, now):
    change = estate.in_review(cast, now)
    for body in ({}, {"reason": ""}, {"reason": "  "}):
        assert guards(act(api(cast.rita), change, "cancel", **body)).keys() == {"reason_given"}
    assert act(api(cast.rita), change, "cancel", reason="Not needed.").json()["result"] == "cancelled"


def test_information_is_requested_and_provided(api, cast, shop, now):
    change = estate.in_review(cast, now)
    assert act(api(cast.petra), change, "request_info", question="Why now?").json()["state"] == "info_requested"
    assert guards(act(api(cast.rita), change, "provide_info", answer="")).keys() == {"answer_given"}
    assert act(api(cast.rita), change, "provide_info", answer="Support ends.").json()["state"] == "in_review"


def test_revise_takes_it_back_and_reopen_copies_what_is_over(api, cast, shop, now):
    change = estate.in_review(cast, now)
    client = api(cast.rita)
    body = act(client, change, "revise").json()
    assert body["state"] == "draft" and body["version"] == 2
    act(client, change, "cancel", reason="No.")
    answer = act(client, change, "reopen_as_new")
    copy = answer.json()
    assert answer.status_code == 201 and answer["Location"] == f"{CHANGES}{copy['number']}/" and copy["copied_from"] == change.number
    assert copy["state"] == "draft" and len(client.get(f"{CHANGES}{copy['number']}/items/").json()["results"]) == 2


def test_a_window_in_a_freeze_is_refused_with_who_can_lift_it(api, cast, shop, now):
    from changemgmt.scheduling.models import Freeze

    change = estate.approved(cast, now)
    Freeze.objects.create(name="Year end", start=now, end=now + timedelta(days=1))
    begins, ends = now + timedelta(hours=1), now + timedelta(hours=2)
    refused = guards(act(api(cast.max), change, "schedule", start=begins.isoformat(), end=ends.isoformat()))
    assert refused.keys() == {"no_freeze"} and "Year end" in refused["no_freeze"]["message"]
    later = {"start": (begins + timedelta(days=2)).isoformat(), "end": (ends + timedelta(days=2)).isoformat()}
    body = act(api(cast.max), change, "schedule", **later).json()
    assert body["state"] == "scheduled" and body["planned_start"]
    missing = act(api(cast.max), change, "schedule")
    assert missing.status_code == 400 and missing.json()["errors"].keys() == {"start", "end"}


# --- what it would do ---


def test_the_preview_is_computed_when_asked_and_read_without_storing(api, cast, shop, now):
    change = estate.draft(cast, now)
    client = api(cast.rita)
    assert client.get(at(change, "preview/")).json()["state"] == "stale"
    answer = client.post(at(change, "preview/"))
    body = answer.json()
    assert answer.status_code == 200 and body["state"] == "ready" and body["summary"]["changed"] == 1 and body["summary"]["removed"] == 1
    assert (
        body.keys() >= {"state", "revision", "base_revision", "summary", "checks", "drift"}
        and estate.last_event("preview.computed")["actor"] == "rita"
    )
    assert api(cast.vera).get(at(change, "preview/")).json() == body
    assert api(cast.vera).post(at(change, "preview/")).status_code == 403 and api(cast.olga).post(at(change, "preview/")).status_code == 403
    assert client.post(at(change, "preview/"), {"force": True}).status_code == 400


def test_a_large_preview_is_computed_by_a_task(api, cast, shop, now, monkeypatch):
    from changemgmt.lifecycle import compute_preview

    change = estate.draft(cast, now)
    monkeypatch.setattr(compute_preview, "is_small", lambda change: False)
    answer = api(cast.rita).post(at(change, "preview/"))
    assert answer.status_code == 202 and answer["Location"] == at(change, "preview/") and answer.json()["state"] == "running"
    assert estate.last_event("preview.asked")["change"] == change.number
    for _ in range(2):
        compute_preview.compute_asked(change.number, now=now)
    assert api(cast.vera).get(at(change, "preview/")).json()["state"] == "ready"


def test_impact_says_what_is_reached_and_by_which_path(api, cast, shop, now):
    change = estate.in_review(cast, now)
    body = api(cast.vera).get(at(change, "impact/")).json()
    assert body["state"] == "ready" and body["version"] == 1 and "shop/db" in body["direct"] and body["by_layer"]["business"] == 1
    reached = {row["key"]: row for row in body["affected"]}
    checkout = reached["shop/checkout"]
    assert (
        checkout["layer"] == "business"
        and checkout["path"][-1]["key"] == "shop/checkout"
        and {"distance", "score", "effect", "criticality"} <= checkout.keys()
    )
    assert len(api(cast.vera).get(at(change, "impact/"), {"limit": 1}).json()["affected"]) == 1
    assert api(cast.vera).get(at(change, "impact/"), {"limit": "-1"}).status_code == 400


def test_the_difference_comes_as_json_markdown_and_html(api, cast, shop, now):
    change = estate.draft(cast, now, title="<script>alert(1)</script>")
    client = api(cast.rita)
    client.post(at(change, "preview/"))
    body = client.get(at(change, "diff/")).json()
    assert (
        body["components"][0]["fields"] == [{"path": "attributes.version", "before": None, "after": "16"}]
        and body["relations"][0]["operation"] == "delete"
    )
    markdown = client.get(at(change, "diff/"), {"as": "markdown"})
    page = client.get(at(change, "diff/"), {"as": "html"})
    assert (
        markdown["Content-Type"].startswith("text/markdown") and b"`shop/db`" in markdown.content and markdown["X-Content-Type-Options"] == "nosniff"
    )
    assert page["Content-Type"].startswith("text/html") and b"<script>" not in page.content
    assert "sandbox" in page["Content-Security-Policy"] and "unsafe" not in page["Content-Security-Policy"]
    assert client.get(at(change, "diff/"), {"as": "pdf"}).status_code == 400


# --- implementing ---


def test_the_implementer_starts_does_the_steps_and_completes(api, cast, shop, now, window):
    change = estate.scheduled(cast, now, **window)
    ian = api(cast.ian)
    assert api(cast.max).post(at(change, "executions/")).status_code == 403
    assert ian.get(at(change, "gate/")).json() == {
        "allowed": True,
        "reasons": [],
        "until": window["ends"].isoformat().replace("+00:00", "Z"),
        "change": change.number,
    }
    answer = ian.post(at(change, "executions/"))
    body = answer.json()
    assert answer.status_code == 201 and body["state"] == "running" and body["waiting_for"] == "person" and body["progress"] == 0
    assert [(task["step"], task["kind"], task["state"]) for task in body["tasks"]] == [
        ("upgrade", "do", "ready"),
        ("cut", "do", "pending"),
        ("cut", "verify", "pending"),
    ]
    path = answer["Location"]
    assert api(cast.vera).get(path).json() == body and ian.get(at(change, "executions/")).json()["results"] == [body]
    assert ian.post(at(change, "executions/")).status_code == 409
    assert ian.post(f"{path}tasks/cut/done/").status_code == 409
    assert api(cast.rita).post(f"{path}tasks/upgrade/done/").status_code == 403
    for step in ("upgrade", "cut"):
        assert ian.post(f"{path}tasks/{step}/done/", {"note": "Done."}).status_code == 200
    assert guards(act(ian, change, "complete")).keys() == {"verification_passed"}
    last = ian.post(f"{path}tasks/cut/done/").json()
    assert last["progress"] == 1 and last["tasks"][2]["by"] == "ian" and last["tasks"][0]["result"]["note"] == "Done."
    assert act(ian, change, "complete").json()["state"] == "implemented"
    assert ian.get(path).json()["state"] == "succeeded" and "shop/api>shop/checkout" not in estate.snapshot()[1]


def test_a_failed_step_goes_back_and_leaves_the_architecture_as_it_was(api, cast, shop, now, window):
    before = estate.snapshot()
    change = estate.scheduled(cast, now, **window)
    ian = api(cast.ian)
    path = ian.post(at(change, "executions/"))["Location"]
    ian.post(f"{path}tasks/upgrade/done/")
    assert estate.snapshot() != before
    assert guards(ian.post(f"{path}tasks/cut/fail/", {})).keys() == {"reason_given"}
    assert ian.post(f"{path}tasks/cut/fail/", {"reason": "It broke."}).json()["state"] == "rolling_back"
    for step in ("cut", "upgrade"):
        answer = ian.post(f"{path}tasks/{step}/done/", {"kind": "compensate"})
    assert answer.json()["state"] == "rolled_back" and ian.get(at(change)).json()["state"] == "rolled_back" and estate.snapshot() == before


def test_a_step_on_hold_can_be_tried_again(api, cast, shop, now, window):
    change = estate.draft(cast, now)
    api(cast.rita).put(at(change, "plan/"), {"steps": [{"id": "only", "manual": True, "compensation": {"action": "Undo"}}], "on_failure": "hold"})
    act(api(cast.rita), change, "submit")
    current = estate.decide(change, now)
    schedule.schedule(change.number, actor=cast.max, now=now, start=window["begins"], end=window["ends"], seen=current.etag)
    ian = api(cast.ian)
    path = ian.post(at(change, "executions/"))["Location"]
    assert ian.post(f"{path}tasks/only/retry/").status_code == 409
    assert ian.post(f"{path}tasks/only/fail/", {"reason": "Power cut."}).json()["state"] == "waiting"
    again = ian.post(f"{path}tasks/only/retry/", {"note": "Power is back."}).json()
    assert again["state"] == "running" and again["tasks"][0]["state"] == "ready"


def test_an_execution_is_hidden_with_its_change_and_names_are_checked(api, cast, shop, now, window):
    change = estate.implementing(cast, now, **window, confidential=True)
    path = f"/api/v1/executions/{change.executions.get().pk}/"
    assert api(cast.vera).get(path).status_code == 404 and api(cast.ian).get(path).status_code == 200
    assert api(cast.vera).post(f"{path}tasks/upgrade/done/").status_code == 404
    ian = api(cast.ian)
    assert ian.post(f"{path}tasks/nothing/done/").status_code == 404 and ian.post(f"{path}tasks/upgrade/explode/").status_code == 404
    assert ian.post(f"{path}tasks/upgrade/done/", {"kind": "compensate"}).status_code == 400
    assert ian.post(f"{path}tasks/upgrade/done/", {"colour": "red"}).status_code == 400
    assert ian.get(f"/api/v1/executions/{2**70}/").status_code == 404


def test_results_are_ticked_by_the_implementer_and_the_owner(api, cast, shop, now, window):
    lists = {"verification_checklist": [{"text": "Backup is there"}], "success_criteria": [{"group": "technical", "text": "No outage"}]}
    change = estate.implementing(cast, now, **window, **lists)
    ian, path = api(cast.ian), at(change, "verification/")
    assert api(cast.rita).post(path, {}).status_code == 403
    for body in (
        {"checklist": [{"index": 1, "done": True}]},
        {"checklist": [{"index": 0, "done": "yes"}]},
        {"checklist": 7},
        {"colour": 1},
        {"success_criteria": [{"index": True}]},
    ):
        assert ian.post(path, body).status_code == 400, body
    body = ian.post(path, {"checklist": [{"index": 0, "done": True}], "success_criteria": [{"index": 0, "met": True, "note": "Quiet."}]}).json()
    assert body["verification_checklist"] == [{"text": "Backup is there", "done": True}] and body["success_criteria"][0]["met"] is True
    assert body["digest"] == change.digest and estate.last_event("change.verified")["actor"] == "ian"


def test_results_before_the_implementation_are_refused(api, cast, shop, now):
    change = estate.in_review(cast, now, verification_checklist=[{"text": "Backup is there"}])
    assert api(cast.ian).post(at(change, "verification/"), {"checklist": [{"index": 0, "done": True}]}).status_code == 409


def test_closing_needs_a_fitting_result(api, cast, shop, now, window):
    change = estate.implementing(cast, now, **window)
    estate.do_all_steps(change, cast, window["begins"])
    complete.complete(change.number, actor=cast.ian, now=window["begins"], seen="*")
    manager = api(cast.max)
    assert act(manager, change, "close", result="cancelled").status_code == 400
    assert act(manager, change, "close", review="good").status_code == 400
    body = act(manager, change, "close", result="successful_with_issues", review={"summary": "Fine.", "lessons": "None."}).json()
    assert body["state"] == "closed" and body["result"] == "successful_with_issues" and body["review"]["summary"] == "Fine." and body["closed_at"]


def test_the_gate_says_why_not(api, cast, shop, now, window):
    draft = estate.draft(cast, now)
    assert api(cast.vera).get(at(draft, "gate/")).json()["allowed"] is False
    later = estate.scheduled(cast, now, begins=now + timedelta(days=2), ends=now + timedelta(days=3))
    body = api(cast.vera).get(at(later, "gate/")).json()
    assert not body["allowed"] and "window opens" in body["reasons"][0] and body["until"]
