"""A change travels from draft to closed on the command line, each act in a process of its own, against a database of its own."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from changemgmt.core.time import rfc3339, utc_now
from changemgmt.tests.needs import on_postgres
from changemgmt.tests.site import Site, database

# Each of the two runs of the tests walks on its own database; that of Django's tests is not touched.
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Set up by the real commands, with the demo's people; nothing is started."""
    folder = tmp_path_factory.mktemp("cli")
    keep = {
        name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "COUNTERSIGN_TOKEN"}
    }
    with database(on_postgres()) as url:
        settings = {"DATA_DIR": str(folder), "COUNTERSIGN_ENV": "embedded", **({"DATABASE_URL": url} if url else {})}
        made = Site("", keep | settings, folder)
        made.manage("setup")
        made.people = {person["username"]: person for person in json.loads(made.manage("demo", "--json").stdout)["people"]}
        yield made


@pytest.fixture
def change(site):
    """`change("rita", "show", number)` answers the JSON; with `code` the command has to end so, and the problem is answered."""

    def run(who, *words, code=0):
        token = {"COUNTERSIGN_TOKEN": site.people[who]["token"]} if who else {}
        done = site.manage("change", *map(str, words), "--json", check=False, **token)
        assert done.returncode == code, f"{who}: {words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout if code == 0 else done.stderr)

    return run


def exported(site):
    """The whole architecture without revisions and times."""

    def cleared(thing):
        return {name: value for name, value in thing.items() if name not in ("revision", "confirmed_at", "id")}

    document = json.loads(site.manage("architecture", "export", "--as", "json").stdout)
    return {
        name: {thing["key"]: cleared(thing) for thing in things}
        for name, things in document.items()
        if isinstance(things, list) and name in ("components", "relations")
    }


def written(folder, architecture):
    """A change as a file: an update of one application component, and the end of one of its relations."""
    component = next(key for key, thing in architecture["components"].items() if thing["name"] == "Policy Data Management")
    used = {end for thing in architecture["relations"].values() for end in (thing["source"], thing["target"])}
    relation = next(
        key
        for key, thing in architecture["relations"].items()
        if thing["source"] == component and thing["type"] == "realization" and f"relation:{key}" not in used
    )
    undo = {"manual": True, "compensation": {"action": "As before"}}
    content = {
        "title": "A newer driver for the policy store",
        "business_justification": "Without fixes we would fail the audit.",
        "implementation_plan": "Update, cut, look.",
        "rollback_plan": "Put everything back.",
        "testing_evidence": "The nightly tests pass.",
        "owner": "max",
        "implementers": ["ian"],
        "items": [
            {"operation": "update", "object": "component", "key": component, "data": {"attributes": {"driver": "13.0"}}},
            {"operation": "delete", "object": "relation", "key": relation},
        ],
        "plan": {"steps": [{"id": "update", "items": [1], **undo}, {"id": "cut", "items": [2], **undo}]},
    }
    file = folder / "driver.platform.md"
    file.write_text(f"---\n{json.dumps(content)}\n---\n\nThe driver in use gets no more fixes.\n")
    return file, component, relation


def freeze_of(site):
    """The days of the demo's freeze, from the refusal of a window each day of the next two weeks would get."""
    monday = utc_now().replace(hour=10, minute=0, second=0, microsecond=0)
    monday += timedelta(days=7 + -monday.weekday() % 7)
    return ["--start", rfc3339(monday), "--end", rfc3339(monday + timedelta(hours=2))]


def test_a_change_travels_from_draft_to_closed_on_the_command_line(site, change):
    before = exported(site)
    file, component, relation = written(site.data_dir, before)
    change(None, "submit", "--file", file, code=2)
    change("vera", "submit", "--file", file, code=1)
    submitted = change("rita", "submit", "--file", file)
    number = submitted["number"]
    assert submitted["state"] == "in_review" and submitted["affected_count"] > 0

    impact = change("vera", "impact", number)
    assert component in impact["direct"] and any(row["layer"] == "business" and row["path"] for row in impact["affected"])
    change("rita", "vote", number, "--vote", "approve", "--digest", "0" * 64, code=1)
    with_condition = ["--condition", "Tell the service desk;before_start;ian"]
    while seats := open_seats(change("rita", "show", number)):
        for name, digest in seats:
            change(name, "vote", number, "--vote", "approve", "--digest", digest, "--comment", "Looked at it.", *with_condition)
            with_condition = []
    assert change("max", "show", number)["state"] == "approved_with_conditions"

    problem = change("max", "schedule", number, *freeze_of(site), code=1)
    (guard,) = problem["guards"]
    assert guard["guard"] == "no_freeze" and "Quarter-end closing" in guard["message"] and guard["who_can_clear"]
    window = ["--start", rfc3339(utc_now() + timedelta(minutes=5)), "--end", rfc3339(utc_now() + timedelta(hours=4))]
    assert change("max", "schedule", number, *window)["state"] == "scheduled"

    problem = change("ian", "execute", number, code=1)
    assert [guard["guard"] for guard in problem["guards"]] == ["conditions_before_start"]
    (condition,) = change("ian", "show", number)["action_items"]
    change("ian", "evidence", number, condition["id"], "--text", "They know.")
    change("max", "accept", number, condition["id"])

    assert change("ian", "execute", number, "--executor", "ian")["state"] == "running"
    for step in ("update", "cut"):
        execution = change("ian", "step", number, step, "--done", "--note", "Done.")
    assert execution["progress"] == 1 and change("ian", "transition", number, "complete")["state"] == "implemented"
    after = exported(site)
    assert after["components"].pop(component)["attributes"]["driver"] == "13.0" and before["components"].pop(component)
    assert before["relations"].pop(relation) and after == before

    closed = change("max", "review", number, "--result", "successful", "--summary", "As planned.")
    assert closed["state"] == "closed" and datetime.fromisoformat(closed["closed_at"])
    report = json.loads(site.manage("audit", "verify", "--json").stdout)
    assert report["ok"] and report["events"] > 0
    if not on_postgres():
        tamper(site, number)
        done = site.manage("audit", "verify", "--json", check=False)
        assert done.returncode == 1 and not json.loads(done.stdout)["ok"] and number in done.stdout


def open_seats(shown):
    """(who is asked first, digest) of every voting seat that is open, each person once."""
    found = {}
    for level in shown["approval"]["levels"]:
        for seat in level["seats"]:
            if seat["state"] == "open" and seat["power"] != "advisory":
                found.setdefault(seat["people"][0], seat["digest"])
    return list(found.items())


def tamper(site, number):
    """What the owner of the file can do: take the guard away and write another history."""
    with closing(sqlite3.connect(site.data_dir / "db.sqlite3")) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'changemgmt_event'").fetchall()
        for (name,) in triggers:
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute(
            "UPDATE changemgmt_event SET text = replace(text, 'change.scheduled', 'change.cancelled') WHERE stream = ? AND action = 'change.scheduled'",
            [number],
        )
