"""Previews computed aside: asked for, told how far, cancelled, joined, taken over; nothing is stored that nobody computed from."""

from datetime import timedelta

import pytest

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, Preview
from changemgmt.computations.actions import claim
from changemgmt.computations.models import Computation
from changemgmt.computations.queries import SILENCE
from changemgmt.core.errors import NotPermitted, NotPossible
from changemgmt.lifecycle import compute_aside as aside
from changemgmt.lifecycle.compute_preview import ask_for_preview, cancel_preview, compute_asked, left_previews, may_cancel
from changemgmt.lifecycle.reopen_review import rebase, to_rebase
from changemgmt.lifecycle.review import review
from changemgmt.lifecycle.submit import submit
from changemgmt.orchestrator import tasks
from changemgmt.preview.compute import PHASES
from changemgmt.preview.queries import computation_of, preview_of, state_of

from .. import estate
from ..computations.test_claims import silent

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def large(settings):
    """Every change is too large to wait for."""
    settings.INLINE_ITEMS = 0


@pytest.fixture
def during(monkeypatch):
    """`during(phase, act)`: in the next computation, `act` happens as this phase begins. Answers the phases that were begun."""
    compute, begun = aside.compute, []

    def arrange(phase, act):
        def with_act(change, *, now, progress=lambda phase, share: None):
            def told(name, share):
                begun.append(name)
                if name == phase and begun.count(name) == 1:
                    act()
                progress(name, share)

            return compute(change, now=now, progress=told)

        monkeypatch.setattr(aside, "compute", with_act)
        return begun

    return arrange


def touch(key, now, **data):
    apply_operations([Operation("update", "component", key, None, None, None, data or {"tags": ["seen"]})], actor="ada", now=now, reason="touched")


def kept(change):
    """All that is stored of the preview, without the moments."""
    return Preview.objects.filter(change=change).values("state", "revision", "version", "items_digest", "result_digest", "impact", "diff").first()


def events(change, action):
    return Event.objects.filter(change=change.number, action=action).count()


def test_a_large_one_waits_for_a_worker_and_can_be_cancelled_before(cast, shop, now, large):
    change = estate.draft(cast, now)
    assert not ask_for_preview(change.number, actor=cast.rita, now=now)
    found = preview_of(change)
    assert (found["state"], found["phase"], found["progress"]) == ("running", "", 0.0)
    assert cancel_preview(change.number, actor=cast.rita, now=now)
    assert not Preview.objects.filter(change=change).exists() and events(change, "preview.cancelled") == 1
    compute_asked(change.number, now=now)  # the message comes all the same
    assert state_of(change) == "stale" and events(change, "preview.computed") == 0


def test_cancelling_leaves_what_was_stored_before(cast, shop, now, settings, during):
    change = estate.draft(cast, now)
    ask_for_preview(change.number, actor=cast.rita, now=now)
    before = kept(change)
    settings.INLINE_ITEMS = 0
    ask_for_preview(change.number, actor=cast.rita, now=now)
    begun = during("propagation", lambda: cancel_preview(change.number, actor=cast.max, now=now))
    tasks.compute_preview(number=change.number)
    assert kept(change) == before and state_of(change) == "ready"
    assert begun == ["items", "graph", "propagation"] and events(change, "preview.computed") == 1
    assert estate.last_event("preview.cancelled")["actor"] == "max"


def test_who_waits_for_it_is_told_that_it_was_cancelled(cast, shop, now, during):
    change = estate.draft(cast, now)
    during("checks", lambda: cancel_preview(change.number, actor=cast.max, now=now))
    with pytest.raises(NotPossible, match="cancelled by max"):
        ask_for_preview(change.number, actor=cast.rita, now=now)
    assert preview_of(change)["state"] == "stale"


def test_who_may_cancel_is_who_may_compute_and_only_what_runs(cast, shop, now, large):
    change = estate.draft(cast, now)
    with pytest.raises(NotPossible, match="Nothing is computed"):
        cancel_preview(change.number, actor=cast.rita, now=now)
    ask_for_preview(change.number, actor=cast.rita, now=now)
    with pytest.raises(NotPermitted):
        cancel_preview(change.number, actor=cast.vera, now=now)
    submit(change.number, actor=cast.rita, now=now, seen="*")
    assert "Its review begins" in may_cancel(Change.objects.get(pk=change.pk), actor=cast.rita).reason
    review(change.number, now=now)
    assert Change.objects.get(pk=change.pk).state == "in_review" and state_of(change) == "ready"


def test_it_says_how_far_it_is_phase_by_phase(cast, shop, now, during):
    change = estate.draft(cast, now)
    seen = []
    begun = during("effects", lambda: seen.append(preview_of(change)))
    ask_for_preview(change.number, actor=cast.rita, now=now)
    assert [*begun, "storing"] == list(PHASES) and list(PHASES.values()) == sorted(PHASES.values())
    assert (seen[0]["state"], seen[0]["phase"], seen[0]["progress"]) == ("running", "propagation", PHASES["propagation"])


def test_what_moved_within_its_reach_meanwhile_is_computed_again_before_anything_is_stored(cast, shop, now, during):
    change = estate.draft(cast, now)
    begun = during("difference", lambda: touch("shop/checkout", now, criticality=5))
    ask_for_preview(change.number, actor=cast.rita, now=now)
    assert begun.count("items") == 2 and events(change, "preview.computed") == 1 and state_of(change) == "ready"
    assert {row["key"]: row["criticality"] for row in kept(change)["impact"]["affected"]}["shop/checkout"] == 5


def test_what_moved_elsewhere_does_not_matter(cast, shop, now, during):
    change = estate.draft(cast, now)
    far = Operation("create", "component", "far/away", None, None, None, {"name": "Far", "type": "Node"})
    begun = during("difference", lambda: apply_operations([far], actor="ada", now=now, reason="far"))
    ask_for_preview(change.number, actor=cast.rita, now=now)
    assert begun.count("items") == 1 and state_of(change) == "ready"


def test_an_edit_meanwhile_is_not_lost(cast, shop, now, during):
    change = estate.draft(cast, now)
    begun = during("checks", lambda: change.items.filter(object="relation").delete())
    ask_for_preview(change.number, actor=cast.rita, now=now)
    assert begun.count("items") == 2 and state_of(change) == "ready" and kept(change)["diff"]["relations"] == []


def test_where_it_never_stands_still_it_is_computed_under_the_lock(cast, shop, now, monkeypatch):
    change, compute, turns = estate.draft(cast, now), aside.compute, []

    def restless(change, **how):
        computed = compute(change, **how)
        turns.append(how)
        if len(turns) <= aside.TRIES:
            touch("shop/checkout", now, tags=[f"turn-{len(turns)}"])
        return computed

    monkeypatch.setattr(aside, "compute", restless)
    ask_for_preview(change.number, actor=cast.rita, now=now)
    assert len(turns) == aside.TRIES + 1 and state_of(change) == "ready"


def test_what_fails_says_why_and_keeps_what_was_there(cast, shop, now, large, monkeypatch):
    change = estate.draft(cast, now)
    ask_for_preview(change.number, actor=cast.rita, now=now)
    monkeypatch.setattr(aside, "compute", lambda change, **how: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compute_asked(change.number, now=now)
    found = preview_of(change)
    assert found["state"] == "stale" and "ZeroDivisionError" in found["error"] and list(left_previews(now=now)) == []
    monkeypatch.undo()


def test_a_dead_worker_is_followed_by_another_and_shown_as_running_until_then(cast, shop, now, large):
    change = estate.draft(cast, now)
    ask_for_preview(change.number, actor=cast.rita, now=now)
    claim(computation_of(change.number))  # by a worker that is killed now
    later = now + timedelta(minutes=1)
    assert list(left_previews(now=later)) == []  # it may live
    compute_asked(change.number, now=now)
    assert preview_of(change)["state"] == "running"
    silent(computation_of(change.number))
    assert preview_of(change)["state"] == "running" and list(left_previews(now=later)) == [change.number]
    tasks.compute_preview(number=change.number)
    assert preview_of(change)["state"] == "ready" and list(left_previews(now=later)) == []


def test_who_comes_second_waits_for_the_first_and_computes_nothing(cast, shop, now, monkeypatch):
    change = estate.draft(cast, now)
    work = claim(computation_of(change.number))
    done = []

    def other_finishes(seconds):
        done.append(seconds)
        Preview.objects.all().delete()
        work.end()
        monkeypatch.setattr(aside.time, "sleep", lambda seconds: None)
        ask_for_preview(change.number, actor=cast.rita, now=now)

    monkeypatch.setattr(aside.time, "sleep", other_finishes)
    assert ask_for_preview(change.number, actor=cast.max, now=now)
    assert done and events(change, "preview.computed") == 1


def test_after_the_architecture_moved_only_what_it_reaches_is_rung_for_and_computed_once(cast, shop, now):
    near, far = estate.approved(cast, now), estate.in_review(cast, now)
    far.items.all().delete()
    far.reach.all().delete()
    before = kept(near)
    assert list(to_rebase()) == []
    touch("shop/checkout", now, criticality=5)
    assert list(to_rebase()) == [near.number]
    for _ in range(2):
        rebase(near.number, now=now)
    assert kept(near)["revision"] > before["revision"] and list(to_rebase()) == []
    assert Computation.objects.get(name=computation_of(near.number)).outcome == "done"


def test_finding_what_fell_stale_takes_a_constant_number_of_queries(cast, shop, now, django_assert_max_num_queries):
    for _ in range(3):
        estate.in_review(cast, now)
    touch("shop/checkout", now)
    with django_assert_max_num_queries(9):
        assert len(list(to_rebase())) == 3


def test_what_was_cancelled_is_not_begun_again_until_something_moves(cast, shop, now, during):
    change = estate.approved(cast, now)
    touch("shop/checkout", now)
    begun = during("effects", lambda: cancel_preview(change.number, actor=cast.max, now=now))
    tasks.rebase_change(number=change.number)
    assert state_of(change) == "stale" and list(to_rebase()) == []
    tasks.rebase_change(number=change.number)
    assert begun.count("items") == 1
    touch("shop/checkout", now, tags=["again"])
    assert list(to_rebase()) == [change.number]
    rebase(change.number, now=now)
    assert state_of(change) == "ready"


def test_a_submitted_change_is_left_to_the_task_while_somebody_computes_it(cast, shop, now):
    change = estate.draft(cast, now)
    work = claim(computation_of(change.number))
    submit(change.number, actor=cast.rita, now=now, seen="*")
    assert Change.objects.get(pk=change.pk).state == "submitted"
    tasks.sweep()  # waits for nobody
    assert Change.objects.get(pk=change.pk).state == "submitted"
    work.end()
    review(change.number, now=now)
    assert Change.objects.get(pk=change.pk).state == "in_review"


def test_over_the_api_it_shows_how_far_it_is_and_is_cancelled(cast, api, shop, now, large):
    change = estate.draft(cast, now)
    where = f"/api/v1/changes/{change.number}/preview/"
    assert api(cast.rita).post(f"{where}cancel/").status_code == 409
    asked = api(cast.rita).post(where)
    assert asked.status_code == 202 and (asked.json()["progress"], asked.json()["phase"]) == (0.0, "")
    with claim(computation_of(change.number)) as work:
        work.at("checks", 0.75)
        shown = api(cast.vera).get(where).json()
        assert (shown["state"], shown["phase"], shown["progress"]) == ("running", "checks", 0.75)
        assert api(cast.vera).post(f"{where}cancel/").status_code == 403 and api(cast.rita).post(f"{where}cancel/", {"a": 1}).status_code == 400
        assert api(cast.rita).post(f"{where}cancel/").status_code == 202 and api(cast.rita).get(where).json()["state"] == "running"
        work.end()
    answer = api(cast.rita).post(f"{where}cancel/")
    assert answer.status_code == 200 and answer.json()["state"] == "stale"


def test_the_pages_show_a_bar_in_words_and_a_button(cast, client, shop, now, large):
    change = estate.draft(cast, now)
    page = f"/changes/{change.number}/"
    client.force_login(cast.rita)
    client.post(f"{page}preview/")
    for where in (page, f"{page}preview/"):
        text = client.get(where).content.decode()
        assert "It waits for a worker" in text and "<progress" in text and f'action="{page}preview/cancel/"' in text, where
    with claim(computation_of(change.number)) as work:
        work.at("effects", 0.5)
        text = client.get(f"{page}preview/state/").content.decode()
        assert "down or degraded" in text and 'value="50"' in text
        client.force_login(cast.vera)
        assert "preview/cancel/" not in client.get(f"{page}preview/").content.decode()
        work.end()
    client.force_login(cast.rita)
    assert client.post(f"{page}preview/cancel/").status_code == 302
    assert client.get(f"{page}preview/state/")["HX-Refresh"] == "true"
    assert "cancelled computing the preview" in client.get(page).content.decode()


def test_the_page_says_why_it_could_not_be_computed(cast, client, shop, now):
    change = estate.draft(cast, now)
    ask_for_preview(change.number, actor=cast.rita, now=now)
    Preview.objects.update(state="failed", error="ValueError: no such thing")
    client.force_login(cast.rita)
    assert "ValueError: no such thing" in client.get(f"/changes/{change.number}/preview/").content.decode()


def rung(monkeypatch, task):
    """What is handed to the broker for this task, in order."""
    messages = []
    monkeypatch.setattr(task, "delay", lambda **arguments: messages.append(arguments))
    return messages


def test_every_change_that_fell_stale_gets_a_message_of_its_own_and_a_lost_one_is_rung_again(cast, shop, now, monkeypatch):
    messages = rung(monkeypatch, tasks.rebase_change)
    open_ones = sorted(estate.approved(cast, now).number for _ in range(3))
    tasks.rebase_open_changes(event_id=0)
    assert messages == []
    touch("shop/checkout", now)
    tasks.rebase_open_changes(event_id=0)
    assert sorted(message["number"] for message in messages) == open_ones
    for message in messages[:2]:
        tasks.rebase_change(**message)  # the third message is lost
    lost = messages.pop()
    messages.clear()
    tasks.sweep()
    assert messages == [lost]
    tasks.rebase_change(**lost)
    messages.clear()
    tasks.sweep()
    assert messages == []


def test_what_is_owed_and_done_by_nobody_is_rung_for_every_ten_seconds_but_once(cast, shop, now, large, monkeypatch):
    from config.celery import app

    schedule = app.conf.beat_schedule["what a dead worker left undone"]
    assert schedule["task"] == tasks.resume_computations.name and schedule["schedule"] + SILENCE.total_seconds() <= 45
    messages = rung(monkeypatch, tasks.compute_preview)
    change = estate.draft(cast, now)
    ask_for_preview(change.number, actor=cast.rita, now=now)  # long ago by the clock of the tasks
    Preview.objects.update(started_at=now - timedelta(days=365))
    for _ in range(2):
        tasks.resume_computations()
    assert messages == [{"number": change.number}]
    tasks.compute_preview(**messages[0])
    assert state_of(change) == "ready"
