"""A change travels from draft to closed over the REST API, on ArchiSurance; and the ways on which it does not."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changemgmt.audit.verify import verify
from changemgmt.core.time import rfc3339, utc_now

pytestmark = pytest.mark.django_db
MODEL = Path(__file__).parents[3] / "data" / "archisurance" / "archisurance.archimate"
BASE = "/api/v1/"


class Person:
    """Somebody with a token and a memory of the ETags they were shown."""

    def __init__(self, client):
        self.client, self.seen = client, {}

    def ask(self, method, path, body=None, *, expect=200, form=False, etag=None):
        headers = {"If-Match": etag or self.seen.get(path.split("/")[1], "")} if method != "get" and path.startswith("changes/CHG") else {}
        answer = getattr(self.client, method)(BASE + path, body, format="multipart" if form else None if method == "get" else "json", headers=headers)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.content.decode()[:2000]}"
        if "ETag" in answer and path.startswith("changes/CHG"):
            self.seen[path.split("/")[1]] = answer["ETag"]
        return answer.json() if answer.content and "json" in answer["Content-Type"] else answer

    def get(self, path, **query):
        return self.ask("get", path, query)

    def post(self, path, body=None, **options):
        return self.ask("post", path, body or {}, **options)

    def act(self, change, name, expect=200, **parameters):
        self.get(f"changes/{change}/")
        return self.post(f"changes/{change}/transitions/{name}/", parameters, expect=expect)


@pytest.fixture
def people(seeded, cast, api):
    """Everybody of the cast, by name, over the API."""
    return {person.username: Person(api(person)) for person in cast.everybody()}


@pytest.fixture
def architecture(people):
    """ArchiSurance, brought in over the API."""
    file = SimpleUploadedFile(MODEL.name, MODEL.read_bytes())
    answer = people["ada"].post("architecture/imports/", {"file": file, "format": "archi", "mode": "apply", "source": "archisurance"}, form=True)
    assert answer["state"] == "done" and answer["components"]["adds"] == 120
    return answer


def exported(person):
    """The whole architecture without revisions and times."""

    def cleared(thing):
        return {name: value for name, value in thing.items() if name not in ("revision", "confirmed_at", "id")}

    document = json.loads(person.client.get(f"{BASE}architecture/export/?as=json").content)
    return {name: [cleared(thing) for thing in things] for name, things in document.items() if isinstance(things, list)}


def things(person):
    """An application component, and a relation that begins at it and leads to another thing."""
    component = next(row for row in person.get("components/", q="Policy Data Management")["results"] if row["type"] == "ApplicationComponent")
    relations = person.get("relations/", page_size=200)
    rows = relations["results"]
    while relations["next"]:
        relations = person.client.get(relations["next"]).json()
        rows += relations["results"]
    used = {end for row in rows for end in (row["source"], row["target"]) if end.startswith("relation:")}
    relation = next(
        row for row in rows if row["source"] == component["key"] and row["type"] == "realization" and f"relation:{row['key']}" not in used
    )
    return component, relation


def drafted(people):
    """Rita's draft: an update of one application component and the deletion of a relation, each applied by a step of its own."""
    rita = people["rita"]
    component, relation = things(rita)
    record = {
        "title": "A newer driver for the policy store",
        "description": "The driver in use gets **no** more fixes.",
        "business_justification": "Without fixes we would fail the audit.",
        "implementation_plan": "Update, cut, look.",
        "rollback_plan": "Put everything back.",
        "testing_evidence": "The nightly tests pass.",
        "owner": "max",
        "implementers": ["ian"],
        "verification_checklist": [{"text": "The health page is green"}],
        "success_criteria": [{"group": "technical", "text": "No service outage"}, {"group": "business", "text": "Goals met"}],
    }
    number = rita.post("changes/", record, expect=201)["number"]
    update = {"operation": "update", "object": "component", "key": component["key"], "data": {"attributes": {"driver": "12.2"}, "criticality": 4}}
    first = rita.post(f"changes/{number}/items/", update, expect=201)
    second = rita.post(f"changes/{number}/items/", {"operation": "delete", "object": "relation", "key": relation["key"]}, expect=201)
    undo = {"compensation": {"action": "As before"}}
    steps = [{"id": "update", "items": [first["id"]], "manual": True, **undo}, {"id": "cut", "items": [second["id"]], "manual": True, **undo}]
    plan = rita.ask("put", f"changes/{number}/plan/", {"steps": steps, "on_failure": "roll_back"})
    assert not [finding for finding in plan["findings"] if finding["severity"] == "error"]
    return number, component, relation


def asked(people, number):
    """(person, seat) of every voting seat that is open now and not voted, one per person."""
    approval = people["rita"].get(f"changes/{number}/approval/")
    return [
        (seat["people"][0], seat)
        for level in approval["levels"]
        for seat in level["seats"]
        if seat["state"] == "open" and seat["power"] != "advisory"
    ]


def decide(people, number, *, conditions_by="", vote="approve"):
    """Everybody who is asked votes from their own queue, until nobody is asked any more."""
    while seats := asked(people, number):
        name, seat = seats[0]
        queue = people[name].get("approvals/")["results"]
        mine = next(row for row in queue if row["change"] == number)
        assert mine["digest"] == seat["digest"]
        body = {"digest": mine["digest"], "vote": vote, "comment": "Looked at it."}
        if name == conditions_by:
            body["conditions"] = [{"text": "Tell the service desk", "due": "before_start", "evidence": "statement", "owner": "ian"}]
        people[name].post(f"approvals/{mine['id']}/vote/", body)
    return people["rita"].get(f"changes/{number}/")


def schedule_now(people, number):
    """A window that opens in five minutes: the implementer may begin already."""
    now = utc_now()
    return people["max"].act(number, "schedule", start=rfc3339(now + timedelta(minutes=5)), end=rfc3339(now + timedelta(hours=3)))


def test_a_change_travels_from_draft_to_closed(people, architecture):
    rita, max, ian, vera = (people[name] for name in ("rita", "max", "ian", "vera"))
    before = exported(vera)
    number, component, relation = drafted(people)

    preview = rita.post(f"changes/{number}/preview/")
    assert preview["state"] == "ready" and preview["summary"]["changed"] == 1 and preview["summary"]["removed"] == 1
    impact = vera.get(f"changes/{number}/impact/")
    business = next(row for row in impact["affected"] if row["layer"] == "business")
    assert component["key"] in impact["direct"] and impact["by_layer"]["business"] and business["path"][-1]["key"] == business["key"]
    difference = vera.get(f"changes/{number}/diff/", **{"as": "json"})
    (entry,) = difference["components"]
    assert {"path": "attributes.driver", "before": None, "after": "12.2"} in entry["fields"]

    assert rita.act(number, "submit")["state"] == "in_review"
    assert max.get(f"changes/{number}/assessment/")["level"] in ("low", "medium", "high", "very_high")
    vera.post(f"approvals/{asked(people, number)[0][1]['id']}/vote/", {"digest": "x", "vote": "approve"}, expect=403)
    change = decide(people, number, conditions_by="sam" if "sam" in everybody_asked(people, number) else "max")
    assert change["state"] == "approved_with_conditions" and change["decided_at"]

    freeze = max.post(
        "freezes/",
        {
            "name": "Year end",
            "start": rfc3339(utc_now() + timedelta(days=1)),
            "end": rfc3339(utc_now() + timedelta(days=3)),
            "reason": "Closing of the books",
        },
        expect=201,
    )
    tomorrow = {"start": rfc3339(utc_now() + timedelta(days=2)), "end": rfc3339(utc_now() + timedelta(days=2, hours=2))}
    beforehand = next(row for row in max.get(f"changes/{number}/transitions/", **tomorrow) if row["name"] == "schedule")
    refused = max.act(number, "schedule", expect=409, **tomorrow)
    assert refused["type"].endswith("/unmet-guard") and [guard["guard"] for guard in refused["guards"]] == ["no_freeze"]
    assert beforehand["guards"] == refused["guards"] and "Year end" in refused["detail"] and refused["guards"][0]["who_can_clear"]
    windows = max.get(f"changes/{number}/windows/", limit=5)
    assert len(windows) == 5 and all(window["factors"] for window in windows) and not any(overlaps(window, freeze) for window in windows)
    assert schedule_now(people, number)["state"] == "scheduled"

    refused = ian.act(number, "start", expect=409)
    assert [guard["guard"] for guard in refused["guards"]] == ["conditions_before_start"] and not vera.get(f"changes/{number}/gate/")["allowed"]
    (condition,) = ian.get(f"changes/{number}/action-items/")["results"]
    given = ian.post(f"changes/{number}/action-items/{condition['id']}/evidence/", {"kind": "statement", "text": "They know."})
    assert given["state"] == "evidence_given"
    people[condition["set_by"]].post(f"changes/{number}/action-items/{condition['id']}/accept/", {"comment": "Good."})

    assert vera.get(f"changes/{number}/gate/")["allowed"]
    ian.get(f"changes/{number}/")
    execution = ian.post(f"changes/{number}/executions/", expect=201)
    for step in ("update", "cut"):
        execution = ian.post(f"executions/{execution['id']}/tasks/{step}/done/", {"note": "Done."})
    assert execution["progress"] == 1
    refused = ian.act(number, "complete", expect=409)
    assert {guard["guard"] for guard in refused["guards"]} == {"verification_passed", "technical_criteria"}
    ian.get(f"changes/{number}/")
    ian.post(f"changes/{number}/verification/", {"checklist": [{"index": 0, "done": True}], "success_criteria": [{"index": 0, "met": True}]})
    assert ian.act(number, "complete")["state"] == "implemented"

    after = exported(vera)
    changed = next(row for row in after["components"] if row["key"] == component["key"])
    assert changed["attributes"]["driver"] == "12.2" and changed["criticality"] == 4
    assert {row["key"] for row in before["relations"]} - {row["key"] for row in after["relations"]} == {relation["key"]}
    assert [row for row in after["components"] if row["key"] != component["key"]] == [
        row for row in before["components"] if row["key"] != component["key"]
    ]

    closed = max.act(number, "close", result="successful", review={"summary": "As planned.", "lessons": "None."})
    assert closed["state"] == "closed" and closed["result"] == "successful"
    events = people["aud"].get("audit/events/", change=number, page_size=200)["results"]
    actions = [event["action"] for event in sorted(events, key=lambda event: event["sequence"]) if event["stream"] == number]
    spine = ["change.created", "change.submitted", "change.review_begun", "change.approved_with_conditions", "change.scheduled", "change.started"]
    assert [action for action in actions if action in [*spine, "change.completed", "change.closed"]] == [*spine, "change.completed", "change.closed"]
    assert {event["channel"] for event in events} == {"api"}
    assert verified(people)


def everybody_asked(people, number):
    return {name for level in people["rita"].get(f"changes/{number}/approval/")["levels"] for seat in level["seats"] for name in seat["people"]}


def overlaps(window, freeze):
    begins, ends, first, last = (datetime.fromisoformat(text) for text in (window["start"], window["end"], freeze["start"], freeze["end"]))
    return begins < last and first < ends


def verified(people):
    """The record holds: every chain of events is whole."""
    people["aud"].post("audit/verify/", expect=202)
    report = verify(now=utc_now())
    return report.ok and report.events > 0


def test_a_step_that_fails_after_an_applying_one_leaves_the_exported_architecture_identical(people, architecture):
    ian, vera = people["ian"], people["vera"]
    before = exported(vera)
    number, *_ = drafted(people)
    people["rita"].act(number, "submit")
    decide(people, number)
    schedule_now(people, number)
    ian.act(number, "start")
    (execution,) = ian.get(f"changes/{number}/executions/")["results"]
    ian.post(f"executions/{execution['id']}/tasks/update/done/")
    assert exported(vera) != before
    execution = ian.post(f"executions/{execution['id']}/tasks/cut/fail/", {"reason": "The driver does not load."})
    assert execution["state"] == "rolling_back"
    for step in ("cut", "update"):
        execution = ian.post(f"executions/{execution['id']}/tasks/{step}/done/", {"note": "Put back."})
    assert execution["state"] == "rolled_back" and vera.get(f"changes/{number}/")["state"] == "rolled_back"
    assert exported(vera) == before
    closed = people["max"].act(number, "close", review={"summary": "The driver needs a newer system."})
    assert closed["result"] == "rolled_back" and verified(people)


def test_a_rejected_change_is_taken_back_altered_and_decided_anew(people, architecture):
    rita = people["rita"]
    number, *_ = drafted(people)
    rita.act(number, "submit")
    assert decide(people, number, vote="reject")["state"] == "rejected"
    people["max"].act(number, "schedule", expect=409, start=rfc3339(utc_now() + timedelta(hours=1)), end=rfc3339(utc_now() + timedelta(hours=2)))
    people["ian"].act(number, "start", expect=409)
    rita.get(f"changes/{number}/")
    rita.ask("patch", f"changes/{number}/", {"description": "Better."}, expect=409)
    taken = rita.act(number, "revise")
    assert taken["state"] == "draft" and taken["version"] == 2
    rita.ask("patch", f"changes/{number}/", {"description": "Better."})
    assert rita.act(number, "submit")["state"] == "in_review"
    assert decide(people, number)["state"] == "approved"
    approval = rita.get(f"changes/{number}/approval/")
    assert approval["round"] == 2 and approval["outcome"] == "approved"


def test_a_vote_on_another_content_than_was_seen_is_refused(people, architecture):
    rita = people["rita"]
    number, *_ = drafted(people)
    rita.act(number, "submit")
    name, seat = asked(people, number)[0]
    rita.get(f"changes/{number}/")
    rita.ask("patch", f"changes/{number}/", {"rollback_plan": "Another way back."})
    answer = people[name].post(f"approvals/{seat['id']}/vote/", {"digest": seat["digest"], "vote": "approve"}, expect=412)
    assert answer["type"].endswith("/stale")
    assert people[name].get(f"changes/{number}/")["state"] == "in_review"
