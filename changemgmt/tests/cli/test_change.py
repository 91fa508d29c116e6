"""`manage.py change …` act by act: it does the same as page and API, proves who acts, and ends with the right code."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from changemgmt.audit.models import Event
from changemgmt.audit.queries import representations
from changemgmt.changes.models import Change, Item
from changemgmt.core.time import rfc3339
from changemgmt.lifecycle.compute_preview import compute_asked
from changemgmt.management.change import asking
from changemgmt.tests import estate
from changemgmt.tests.cast import PASSWORD

from .calling import refused

pytestmark = pytest.mark.django_db


# --- who acts ---


def test_nothing_is_done_for_somebody_who_does_not_prove_who_they_are(run, cast, shop, now, monkeypatch):
    change = estate.draft(cast, now)
    assert "COUNTERSIGN_TOKEN" in refused(run, None, "submit", change.number, code=2).err
    monkeypatch.setenv("COUNTERSIGN_TOKEN", "cs_forged")
    with pytest.raises(SystemExit) as ended:
        call_command("change", "submit", change.number)
    assert ended.value.code == 1
    assert "only read" in refused(run, cast.rita, "submit", change.number, scope="read").err
    assert estate.fresh(change).state == "draft"


def test_a_password_proves_it_too(run, cast, shop, now, monkeypatch):
    change = estate.draft(cast, now)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "wrong")
    refused(run, None, "submit", change.number, "--as", "rita")
    refused(run, None, "submit", change.number, "--as", "nobody")
    assert Event.objects.filter(action="login.failed").count() == 2
    monkeypatch.setattr("getpass.getpass", lambda prompt: PASSWORD)
    assert run(None, "submit", change.number, "--as", "rita")["state"] == "in_review"
    assert Event.objects.filter(action="login.succeeded").exists()


def test_readers_without_a_name_see_what_is_not_confidential(run, cast, shop, now):
    open_one, secret = estate.draft(cast, now), estate.draft(cast, now, confidential=True)
    assert [row["number"] for row in run(None, "list")] == [open_one.number]
    refused(run, None, "show", secret.number)
    refused(run, cast.vera, "show", secret.number)
    assert run(cast.ian, "show", secret.number)["number"] == secret.number


# --- the record ---


def test_the_list_is_filtered_like_everywhere(run, cast, shop, now):
    change = estate.draft(cast, now, tags=["db"])
    for arguments in (["--state", "draft"], ["--tag", "db"], ["--component", "shop/db"], ["--requester", "rita"], ["--q", "upgrade"]):
        assert [row["number"] for row in run(cast.vera, "list", *arguments)] == [change.number], arguments
    assert run(cast.vera, "list", "--state", "closed") == []
    assert change.number in run(cast.vera, "list", as_text=True)
    refused(run, cast.vera, "list", "--created-after", "yesterday", code=2)


def test_show_prints_what_a_vote_needs(run, cast, shop, now):
    change = estate.in_review(cast, now)
    shown = run(cast.petra, "show", change.number)
    (seat,) = shown["my_seats"]
    assert shown["etag"] == change.etag and shown["approval"]["outcome"] == "pending" and len(seat["digest"]) == 64
    assert seat["digest"] in run(cast.petra, "show", change.number, as_text=True)
    assert run(cast.vera, "show", change.number)["my_seats"] == []
    assert "cancel" in run(cast.rita, "show", change.number)["possible"]


def test_submit_drafts_and_hands_in_or_says_what_is_missing(run, cast, shop):
    problem = json.loads(refused(run, cast.rita, "submit", "--title", "New", "--type", "normal", "--impact", "low").err)
    assert {guard["guard"] for guard in problem["guards"]} == {"required_fields", "required_plans", "items_or_reason"}
    draft = Change.objects.get()
    assert draft.number in problem["detail"] and draft.state == "draft"
    more = [f"--set={name}=Said." for name in ("implementation_plan", "rollback_plan", "no_items_reason")]
    shown = run(cast.rita, "submit", draft.number, "--business-justification", "Because.", *more)
    assert shown["state"] in ("in_review", "submitted") and shown["no_items_reason"] == "Said."
    listed = run(cast.rita, "submit", "--title", "Lists", "--set", "implementers=ian, max", "--set", 'tags=["a,b"]', "--set", "tags=c", "--draft")
    assert (listed["implementers"], listed["tags"]) == (["ian", "max"], ["c"])
    refused(run, cast.vera, "submit", "--title", "New")
    refused(run, cast.rita, "submit", "--title", "New", "--set", "state=approved", code=2)


def test_a_change_is_exported_and_read_again_without_loss(run, cast, shop, now, tmp_path):
    change = estate.draft(
        cast, now, description="Why\n---\nand **how**", tags=["a", "ü"], requested_start="2027-01-01T10:00:00Z", requested_end="2027-01-01T12:00:00Z"
    )
    file, again = tmp_path / "change.platform.md", tmp_path / "again.platform.md"
    run(cast.vera, "export", change.number, "--output", file, as_text=True)
    copy = run(cast.rita, "submit", "--file", file, "--draft")
    run(cast.vera, "export", copy["number"], "--output", again, as_text=True)
    assert again.read_text().replace(copy["number"], change.number) == file.read_text() and "ü" in file.read_text()
    assert copy["requested_start"] == "2027-01-01T10:00:00Z" and copy["description"] == "Why\n---\nand **how**"
    assert "shop/db" in run(cast.vera, "export", change.number, "--format", "json", as_text=True)


NO_FILES = [
    "",
    "no front matter",
    "---\ntitle: [\n---\n",
    "---\n- a\n---\n",
    "---\na: &x 1\ntitle: *x\n---\n",
    "---\ntitle: x\nstate: approved\n---\n",
    "---\ntitle: x\nitems: 7\n---\n",
    "---\ntitle: x\nplan: {steps: 7}\n---\n",
]


def test_a_file_that_is_no_change_is_refused_and_nothing_is_stored(run, cast, seeded, tmp_path):
    for text in NO_FILES:
        file = tmp_path / "x.md"
        file.write_text(text)
        refused(run, cast.rita, "submit", "--file", file, "--draft", code=2)
        refused(run, cast.rita, "submit", "--file", tmp_path / "none.md", code=2)
        assert Change.objects.count() == 0


# --- content ---


def test_items_are_listed_added_and_removed(run, cast, shop, now, tmp_path):
    number = run(cast.rita, "submit", "--title", "Blank", "--draft")["number"]
    (item,) = run(
        cast.rita, "items", number, "add", "--operation", "update", "--key", "shop/db", "--set", "attributes.version=16", "--set", "criticality=5",
        "--set", "attributes.driver=4.10",
    )  # fmt: skip
    assert item["data"] == {"attributes": {"version": 16, "driver": "4.10"}, "criticality": 5}
    added = run(cast.rita, "items", number, "add", "--operation", "delete", "--key", "shop/api", "--cascade")
    assert [row["object"] for row in added] == ["component", "relation", "relation"]
    file = tmp_path / "items.csv"
    file.write_text("operation,key,name,type\ncreate,cache,Cache,Node\nupdate,none,None,\n")
    report = run(cast.rita, "items", number, "add", "--file", file, "--format", "csv")
    assert [row["key"] for row in report["items"]] == ["cache"] and report["skipped"][0]["where"] == "line 3"
    run(cast.rita, "items", number, "remove", item["id"])
    assert "shop/db" not in {row["key"] for row in run(None, "items", number, "list")} and Item.objects.count() == 4
    refused(run, cast.rita, "items", number, "add", "--operation", "update", "--key", "nowhere", "--set", "name=x", code=2)
    refused(run, cast.vera, "items", number, "remove", added[0]["id"])


def test_the_plan_is_shown_and_written(run, cast, shop, now, tmp_path):
    change = estate.draft(cast, now)
    assert [step["id"] for step in run(None, "plan", change.number)["steps"]] == ["upgrade", "cut"]
    run(cast.rita, "plan", change.number, "--create-rollback-plan", "--resources", "ian", "--window", "2027-01-01T10:00:00Z/2027-01-01T12:00:00Z")
    change = estate.fresh(change)
    assert change.rollback_plan == "1. Connect\n2. Restore" and change.requested_end
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"steps": [{"id": "only", "manual": True}]}))
    assert [step["id"] for step in run(cast.rita, "plan", change.number, "--file", file)["steps"]] == ["only"]
    refused(run, cast.rita, "plan", change.number, "--create-rollback-plan", code=2)
    refused(run, cast.rita, "plan", change.number, "--window", "tomorrow", code=2)
    refused(run, cast.vera, "plan", change.number, "--file", file)


# --- what is computed ---


def test_risk_preview_impact_windows_and_gate(run, cast, shop, now):
    change = estate.draft(cast, now)
    assert run(cast.rita, "assess", change.number, "--business-impact", "revenue=0.5", "reputation=0.25")["level"]
    assert estate.fresh(change).revenue_at_stake == 0.5
    refused(run, cast.rita, "assess", change.number, "--business-impact", "level=low", code=2)
    assert "rollback" in run(None, "assess", change.number, "--all-factors", as_text=True)
    assert run(cast.rita, "preview", change.number, "--compute")["state"] == "ready"
    refused(run, cast.vera, "preview", change.number, "--compute")
    assert "shop/checkout" in {row["key"] for row in run(None, "impact", change.number)["affected"]}
    assert "→ serving → shop/api" in run(None, "impact", change.number, as_text=True)
    assert len(run(None, "windows", change.number, "--limit", "3")) == 3
    end = refused(run, None, "gate", change.number)
    assert json.loads(end.out)["allowed"] is False


# --- deciding ---


def test_a_large_preview_is_waited_for_and_cancelled(run, cast, shop, now, settings, monkeypatch, capsys):
    settings.INLINE_ITEMS = 0
    change = estate.draft(cast, now)
    assert run(cast.rita, "preview", change.number, "--compute")["state"] == "running"
    refused(run, cast.vera, "preview", change.number, "--cancel")
    assert run(cast.rita, "preview", change.number, "--cancel")["state"] == "stale"
    slept, monotonic = [], asking.time.monotonic

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            compute_asked(change.number, now=now)

    monkeypatch.setattr(asking.time, "monotonic", lambda: monotonic() + 2 * len(slept))
    monkeypatch.setattr(asking.time, "sleep", sleep)
    capsys.readouterr()
    assert run(cast.rita, "preview", change.number, "--compute", "--wait")["state"] == "ready" and len(slept) == 2


def test_how_far_it_is_goes_to_standard_error_once_it_takes_longer(monkeypatch, capsys):
    told = asking.Told()
    told("graph", 0.05)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(told, "began", told.began - 2)
    for _ in range(2):
        told("checks", 0.75)
    assert capsys.readouterr().err == " 75%  checks\n"


def test_the_preview_on_top_of_what_is_approved(run, cast, shop, now):
    other, mine = estate.approved(cast, now), estate.draft(cast, now)
    run(cast.rita, "preview", mine.number, "--compute")
    found = run(cast.vera, "preview", mine.number, "--stacked")
    assert [row["number"] for row in found["below"]] == [other.number] and found["state"] == "ready"
    assert other.number in run(cast.vera, "preview", mine.number, "--stacked", as_text=True)


def test_votes_carry_the_digest_that_was_shown(run, cast, shop, now):
    change = estate.in_review(cast, now)
    digest = run(cast.petra, "show", change.number)["my_seats"][0]["digest"]
    assert "digest" in refused(run, cast.petra, "vote", change.number, "--vote", "approve", code=2).err
    refused(run, cast.petra, "vote", change.number, "--vote", "approve", "--digest", "0" * 64)
    for person in (cast.rita, cast.ian, cast.vera, cast.olga):
        refused(run, person, "vote", change.number, "--vote", "approve", "--digest", digest)
    refused(run, cast.petra, "cab-review", change.number, "--decision", "approve", "--digest", digest)
    level = run(
        cast.petra,
        "vote",
        change.number,
        "--vote",
        "approve",
        "--digest",
        digest,
        "--condition",
        "Tell the desk;before_start;ian",
        "--comment",
        "Fine.",
    )
    assert level["state"] == "approved_with_conditions" and level["votes"][0]["conditions"][0]["owner"] == "ian"
    assert estate.last_event("vote.cast")["channel"] == "cli"
    refused(run, cast.petra, "vote", change.number, "--vote", "approve", "--digest", digest, "--condition", "x;someday", code=2)
    digest = run(cast.max, "show", change.number)["my_seats"][0]["digest"]
    run(
        cast.max,
        "cab-review" if estate.fresh(change).risk_level != "low" else "vote",
        change.number,
        *vote_option(change),
        "approve",
        "--digest",
        digest,
    )
    condition = change.action_items.get()
    assert run(cast.ian, "evidence", change.number, condition.pk, "--text", "They know.")["state"] == "evidence_given"
    refused(run, cast.ian, "accept", change.number, condition.pk)
    assert run(cast.petra, "accept", change.number, condition.pk)["state"] == "done"


def vote_option(change):
    return ["--decision"] if estate.fresh(change).risk_level != "low" else ["--vote"]


def test_on_a_terminal_the_brief_is_shown_and_asked(run, cast, shop, now, monkeypatch):
    change = estate.in_review(cast, now)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert "Nothing was voted" in refused(run, cast.petra, "vote", change.number, "--vote", "approve", as_text=True).err
    monkeypatch.setattr("builtins.input", lambda question: "y")
    out = run(cast.petra, "vote", change.number, "--vote", "approve", as_text=True)
    assert "Support ends." in out and "attributes.version" in out and "Restore the snapshot." in out and "The level is approved" in out


# --- doing ---


def test_a_change_is_scheduled_executed_reviewed_and_closed(run, cast, shop, now):
    change = estate.approved(cast, now, success_criteria=[{"group": "technical", "text": "No outage"}], verification_checklist=[{"text": "Backup"}])
    window = ["--start", rfc3339(now + timedelta(minutes=5)), "--end", rfc3339(now + timedelta(hours=2))]
    refused(run, cast.rita, "schedule", change.number, *window)
    problem = json.loads(
        refused(
            run, cast.max, "schedule", change.number, "--start", rfc3339(now - timedelta(hours=2)), "--end", rfc3339(now - timedelta(hours=1))
        ).err
    )
    assert problem["guards"][0]["guard"] == "not_past"
    text = refused(
        run,
        cast.max,
        "schedule",
        change.number,
        "--start",
        rfc3339(now - timedelta(hours=2)),
        "--end",
        rfc3339(now - timedelta(hours=1)),
        as_text=True,
    ).err
    assert "not_past:" in text
    assert run(cast.max, "schedule", change.number, *window)["state"] == "scheduled"
    assert run(None, "gate", change.number)["allowed"] is True
    refused(run, cast.ian, "execute", change.number, "--executor", "max")
    assert run(cast.ian, "execute", change.number, "--executor", "ian")["state"] == "running"
    refused(run, cast.rita, "step", change.number, "upgrade", "--done")
    refused(run, cast.ian, "step", change.number, "upgrade", "--fail")
    run(cast.ian, "step", change.number, "upgrade", "--done", "--note", "Done.")
    for _ in range(2):
        done = run(cast.ian, "step", change.number, "cut", "--done")
    assert done["progress"] == 1
    run(cast.ian, "review", change.number, "--verify-success-criteria", "0=yes", "--verify-checklist", "0=yes")
    refused(run, cast.ian, "review", change.number, "--verify-success-criteria", "0=perhaps", code=2)
    assert run(cast.ian, "transition", change.number, "complete")["state"] == "implemented"
    assert "No outage" in run(cast.max, "review", change.number, as_text=True)
    closed = run(cast.max, "review", change.number, "--result", "successful", "--summary", "As planned.", "--lessons", "None.")
    assert closed["state"] == "closed" and closed["review"] == {"summary": "As planned.", "lessons": "None."}
    refused(run, cast.ian, "step", change.number, "upgrade", "--done")


def test_progress_is_followed_until_the_end(run, cast, shop, now, monkeypatch):
    change = estate.scheduled(cast, now, begins=now + timedelta(minutes=5), ends=now + timedelta(hours=2))
    monkeypatch.setattr("time.sleep", lambda seconds: estate.do_all_steps(change, cast, now) or finish(change, cast, now))
    out = run(cast.ian, "execute", change.number, "--monitor-progress", as_text=True)
    assert "upgrade (do): ready" in out and "cut (verify): succeeded" in out and "is succeeded" in out


def finish(change, cast, now):
    from changemgmt.lifecycle.complete import complete

    complete(change.number, actor=cast.ian, now=now, seen="*")


def test_transitions_take_their_parameters(run, cast, shop, now):
    change = estate.in_review(cast, now)
    assert "reason_given" in refused(run, cast.rita, "transition", change.number, "cancel").err
    refused(run, cast.rita, "transition", change.number, "cancel", "--set", "reason=x", "--if-match", "9.9")
    refused(run, cast.rita, "transition", change.number, "cancel", "--set", "colour=red", code=2)
    refused(run, cast.rita, "transition", change.number, "cancel", "--set", "reason", code=2)
    refused(run, cast.rita, "transition", change.number, "explode")
    assert run(cast.rita, "transition", change.number, "cancel", "--set", "reason=Not needed.", "--if-match", change.etag)["state"] == "cancelled"


def test_a_refusal_is_on_the_record(run, cast, shop, now):
    change = estate.in_review(cast, now)
    refused(run, cast.vera, "transition", change.number, "cancel", "--set", "reason=x")
    (event,) = representations([Event.objects.filter(action="access.denied").latest("pk")])
    assert (
        event["actor"] == "vera"
        and event["channel"] == "cli"
        and event["change"] == change.number
        and event["data"]["attempted"] == "change transition"
    )


WRONG = [
    ["list", "--state", "nowhere"],
    ["vote", "CHG-1", "--vote", "perhaps"],
    ["explode"],
    ["step", "CHG-1", "x", "--done", "--fail"],
    ["evidence", "CHG-1", "7"],
]


def test_wrong_usage_is_said_by_the_parser(db):
    for arguments in WRONG:
        with pytest.raises(CommandError):
            call_command("change", *arguments)
