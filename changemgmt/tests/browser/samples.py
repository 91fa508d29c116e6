"""Changes made over the API, so that a page has something to show whatever other tests did."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from .. import wide
from ..site import Site

COMPONENT = "Home & Away Policy Administration"


def call(site: Site, who: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """The body of an answer that has to be a good one."""
    status, answer, _ = site.api(who, method, path, body, **headers)
    assert status < 300, f"{method} {path} as {who}: {status} {answer}"
    return answer


def rows(site: Site, who: str, path: str) -> list[Any]:
    """The rows of a list, paged or not."""
    answer = call(site, who, "GET", path)
    return answer["results"] if isinstance(answer, dict) else answer


def act(site: Site, who: str, number: str, name: str, **parameters: Any) -> Any:
    """One transition, on what the person saw."""
    _, _, headers = site.api(who, "GET", f"changes/{number}/")
    return call(site, who, "POST", f"changes/{number}/transitions/{name}/", parameters, If_Match=headers["ETag"])


def drafted_change(site: Site, title: str) -> str:
    """Rita's draft that updates one application component in one step; answers its number."""
    fields = {
        "title": title, "type": "normal", "business_justification": "Needed.", "implementation_plan": "Install it.", "owner": "max",
        "rollback_plan": "Install the old one.", "testing_evidence": "Rehearsed.", "implementers": ["ian"],
        "verification_checklist": [{"text": "The health page is green"}], "success_criteria": [{"group": "technical", "text": "No outage"}],
    }  # fmt: skip
    number = call(site, "rita", "POST", "changes/", fields)["number"]
    key = next(row["key"] for row in rows(site, "rita", "components/?q=Policy&page_size=200") if row["name"] == COMPONENT)
    item = {"operation": "update", "object": "component", "key": key, "data": {"attributes": {"note": title}}}
    made = call(site, "rita", "POST", f"changes/{number}/items/", item, If_Match=etag(site, number))
    step = {"id": "install", "name": "Install", "manual": True, "items": [made["id"]], "compensation": {"action": "Install the old one"}}
    call(site, "rita", "PUT", f"changes/{number}/plan/", {"steps": [step]}, If_Match=etag(site, number))
    return number


def etag(site: Site, number: str) -> str:
    return site.api("rita", "GET", f"changes/{number}/")[2]["ETag"]


def moved_change(site: Site, title: str) -> str:
    """Rita's draft about a component of its own, whose values Max moved since."""
    number = call(site, "rita", "POST", "changes/", {"title": title})["number"]
    key = f"sample/{number}"
    image = {"key": key, "name": title, "type": "Node", "attributes": {"runbook": "call the duty DBA at night"}}
    call(site, "max", "POST", "components/", image)
    item = {"operation": "update", "object": "component", "key": key}
    data = {"owner": "max", "users": 5, "attributes": {"runbook": "call the duty DBA by day"}}
    call(site, "rita", "POST", f"changes/{number}/items/", item | {"data": data}, If_Match=etag(site, number))
    _, _, headers = site.api("max", "GET", f"components/{key}/")
    moved = {"owner": "omar", "users": 7, "attributes": {"runbook": "ring the duty DBA at night"}}
    call(site, "max", "PATCH", f"components/{key}/", moved, If_Match=headers.get("ETag", "*"))
    return number


def asked_change(site: Site, title: str) -> str:
    """The same, submitted: its peers are asked."""
    number = drafted_change(site, title)
    act(site, "rita", number, "submit")
    return number


def partners_change(site: Site, title: str) -> str:
    """The same, tagged for a chain of its own whose one level demands signatures and takes guests."""
    level = {
        "number": 1, "name": "Partners", "rule": {"kind": "any", "value": None}, "require_signature": True, "allow_guests": True,
        "seats": [{"label": "Partner", "group": "approver"}],
    }  # fmt: skip
    condition = {"field": "tags", "op": "contains", "value": "partners"}
    chain = call(site, "ada", "POST", "approval-chains/", {"name": title, "order": 1, "active": True, "applies_when": condition, "levels": [level]})
    call(site, "otto", "POST", f"approval-chains/{chain['id']}/activate/", {})
    number = drafted_change(site, title)
    call(site, "rita", "PATCH", f"changes/{number}/", {"tags": ["partners"]}, If_Match=etag(site, number))
    act(site, "rita", number, "submit")
    return number


def decided_change(site: Site, title: str) -> str:
    """The same, approved by everybody who was asked, with one condition of Sam's."""
    number = asked_change(site, title)
    while waiting := seats_of(site, number):
        person, seat = waiting[0]
        row = next(row for row in rows(site, person, "approvals/") if row["change"] == number)
        conditions = [{"text": "Tell the service desk", "due": "before_start", "evidence": "statement", "owner": "ian"}] if person == "sam" else []
        call(site, person, "POST", f"approvals/{row['id']}/vote/", {"vote": "approve", "digest": row["digest"], "conditions": conditions})
    return number


def seats_of(site: Site, number: str) -> list[tuple[str, dict[str, Any]]]:
    """Who is asked now, each with the seat; advisers are not waited for."""
    approval = call(site, "rita", "GET", f"changes/{number}/approval/")
    return [
        (seat["people"][0], seat)
        for level in approval["levels"]
        for seat in level["seats"]
        if seat["state"] == "open" and seat["power"] != "advisory"
    ]


def started_change(site: Site, title: str) -> tuple[str, int]:
    """The same, begun by Ian in a window that opens now; answers its number and that of its execution."""
    number = decided_change(site, title)
    now = datetime.now(UTC)
    window = {"start": (now + timedelta(minutes=5)).isoformat(), "end": (now + timedelta(hours=3)).isoformat()}
    act(site, "max", number, "schedule", **window)
    for item in rows(site, "ian", f"changes/{number}/action-items/"):
        call(site, "ian", "POST", f"changes/{number}/action-items/{item['id']}/evidence/", {"kind": "statement", "text": "They know."})
        call(site, "sam", "POST", f"changes/{number}/action-items/{item['id']}/accept/", {})
    act(site, "ian", number, "start")
    return number, rows(site, "ian", f"changes/{number}/executions/")[0]["id"]


def finished(site: Site, number: str, execution: int) -> None:
    """The step done and the change completed: its window is free again."""
    call(site, "ian", "POST", f"executions/{execution}/tasks/install/done/", {})
    results = {"checklist": [{"index": 0, "done": True}], "success_criteria": [{"index": 0, "met": True}]}
    call(site, "ian", "POST", f"changes/{number}/verification/", results, If_Match="*")
    act(site, "ian", number, "complete")


def wide_change(site: Site, reach: int) -> str:
    """Rita's draft that reaches so many components of an estate of its own, with its preview; answers its number."""
    return previewed(site, f"Move a data centre of {reach}", wide.estate(reach), wide.reaching(reach))


def fields_change(site: Site, fields: int) -> str:
    """Rita's draft that differs in so many fields, with its preview; answers its number."""
    return previewed(site, f"Renew {fields} settings", wide.fields_estate(fields), wide.many_fields(fields))


def previewed(site: Site, title: str, document: Any, items: list[dict[str, Any]]) -> str:
    """A draft of these items over what the document brings into the architecture."""
    file = site.data_dir / f"{uuid.uuid4().hex}.json"
    file.write_text(json.dumps(document))
    site.manage("architecture", "import", str(file), "--format", "json", "--source", file.stem)
    number = call(site, "rita", "POST", "changes/", {"title": title, "type": "normal"})["number"]
    call(site, "rita", "POST", f"changes/{number}/items/", items, If_Match=etag(site, number))
    call(site, "rita", "POST", f"changes/{number}/preview/")
    for _ in range(300):
        if call(site, "rita", "GET", f"changes/{number}/preview/")["state"] == "ready":
            return number
        time.sleep(0.1)  # a large one is computed by the worker
    raise AssertionError(f"the preview of {number} was not computed within half a minute")
