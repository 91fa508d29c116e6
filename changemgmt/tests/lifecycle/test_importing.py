"""Imports that somebody waits for or a worker does: told how far, cancelled, begun again; nothing lands by halves."""

from datetime import timedelta

import pytest
from django.conf import settings as project
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from changemgmt.architecture.exports import as_json
from changemgmt.architecture.importers.files import of_path
from changemgmt.architecture.imports import PHASES, computation_of, running
from changemgmt.architecture.models import Claim, ImportRun
from changemgmt.audit.models import Event
from changemgmt.computations import actions
from changemgmt.computations.actions import Stopped, claim
from changemgmt.computations.queries import is_computing
from changemgmt.core.errors import NotPermitted, NotPossible
from changemgmt.lifecycle import import_architecture as verbs
from changemgmt.lifecycle.import_architecture import cancel_import, finish_import, import_architecture, left_imports, queue_import

from .. import estate
from ..computations.test_claims import silent

pytestmark = pytest.mark.django_db
MODEL = project.BASE_DIR / "data" / "archisurance" / "archisurance.archimate"


@pytest.fixture(autouse=True)
def told_each_time(monkeypatch):
    monkeypatch.setattr(actions, "BEAT_SECONDS", 0.0)


def queued(cast, now):
    upload = SimpleUploadedFile(MODEL.name, MODEL.read_bytes())
    return queue_import(upload, actor=cast.ada, now=now, format="archi", source="model", mode="apply", options={"create_types": True})


def bring(cast, now, progress=verbs.quiet):
    return import_architecture(of_path(MODEL), actor=cast.ada, now=now, format="archi", source="model", progress=progress)


def everything():
    return "".join(as_json()), Claim.objects.count()


def test_it_tells_every_phase_and_never_goes_back(seeded, cast, now):
    shares = {}

    def progress(phase, done, total):
        at = running(ImportRun.objects.get())
        shares.setdefault(at.phase, []).append(at.share)

    run = bring(cast, now, progress)
    assert list(shares) == list(PHASES) and run.progress == 1.0 and running(run) is None
    told = [share for phase in shares.values() for share in phase]
    assert told == sorted(told) and told[0] < 0.3 and 0.9 < told[-1] <= 1.0


@pytest.mark.parametrize("phase", PHASES)
def test_cancelled_in_any_phase_it_leaves_nothing_and_says_who_and_when(seeded, cast, now, phase):
    before, asked = everything(), []

    def progress(name, done, total):
        if name == phase and not asked:
            asked.append(cancel_import(ImportRun.objects.get().pk, actor=cast.max, now=now))

    with pytest.raises(Stopped, match="cancelled by max"):
        bring(cast, now, progress)
    run = ImportRun.objects.get()
    assert asked == [False] and everything() == before
    assert (run.state, run.cancelled_by, run.ended_at, run.revision) == ("cancelled", "max", now, None)
    assert estate.last_event("import.cancelled")["actor"] == "max" and not is_computing(computation_of(run.pk))
    assert bring(cast, now).state == "done"


def test_a_queued_one_is_cancelled_before_a_worker_has_it(seeded, cast, now):
    run, before = queued(cast, now), everything()
    assert running(run).phase == ""
    with pytest.raises(NotPermitted):
        cancel_import(run.pk, actor=cast.rita, now=now)
    assert cancel_import(run.pk, actor=cast.max, now=now)
    finish_import(run.pk, now=now)
    run = ImportRun.objects.get()
    assert run.state == "cancelled" and not run.file and everything() == before
    with pytest.raises(NotPossible, match="cancelled already"):
        cancel_import(run.pk, actor=cast.max, now=now)


def test_a_dead_worker_is_followed_by_another_and_it_lands_once(seeded, cast, now):
    run, later = queued(cast, now), now + timedelta(minutes=1)
    claim(computation_of(run.pk))  # by a worker that is killed now
    assert finish_import(run.pk, now=now).state == "running" and list(left_imports(now=later)) == []
    silent(computation_of(run.pk))
    assert list(left_imports(now=later)) == [run.pk]
    assert finish_import(run.pk, now=now).state == "done"
    assert finish_import(run.pk, now=now).state == "done" and list(left_imports(now=later)) == []
    assert Event.objects.filter(action="import.applied").count() == 1


def test_one_that_died_with_who_waited_for_it_has_failed(seeded, cast, now):
    run = verbs.begin(actor=cast.ada, now=now, format="archi", source="model", mode="apply", options={}, file_name="x")
    claim(computation_of(run.pk))
    silent(computation_of(run.pk))
    assert list(left_imports(now=now + timedelta(minutes=1))) == []
    run.refresh_from_db()
    assert run.state == "failed" and "ended before" in run.error


def test_an_error_of_the_reader_is_on_record_and_lets_go(seeded, cast, now, monkeypatch):
    monkeypatch.setattr(verbs, "plan_import", lambda *some, **more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bring(cast, now)
    run = ImportRun.objects.get()
    assert run.state == "failed" and "ZeroDivisionError" in run.error and not is_computing(computation_of(run.pk))


def test_over_the_api_it_shows_how_far_it_is_and_is_cancelled(seeded, cast, api, now):
    run = queued(cast, now)
    where = f"/api/v1/architecture/imports/{run.pk}/"
    with claim(computation_of(run.pk)) as work:
        work.at("writing", 0.75)
        shown = api(cast.max).get(where).json()
        assert (shown["state"], shown["phase"], shown["progress"]) == ("running", "writing", 0.75)
        assert api(cast.rita).post(f"{where}cancel/").status_code == 403 and api(cast.max).post(f"{where}cancel/", {"now": True}).status_code == 400
        assert api(cast.max).post(f"{where}cancel/").status_code == 202
        work.end()
    answer = api(cast.max).post(f"{where}cancel/")
    assert answer.status_code == 200 and (answer.json()["state"], answer.json()["cancelled_by"]) == ("cancelled", "max")
    assert api(cast.max).post("/api/v1/architecture/imports/999999/cancel/").status_code == 404


def test_the_page_shows_a_bar_and_a_button_until_it_is_over(seeded, cast, client, now):
    run = queued(cast, now)
    client.force_login(cast.max)
    page = client.get(f"/imports/{run.pk}/").content.decode()
    assert "It waits for a worker" in page and f'action="/imports/{run.pk}/cancel/"' in page
    assert "<progress" in client.get(f"/imports/{run.pk}/state/").content.decode()
    assert client.post(f"/imports/{run.pk}/cancel/").status_code == 302
    assert client.get(f"/imports/{run.pk}/state/")["HX-Refresh"] == "true"
    assert "max cancelled it" in client.get(f"/imports/{run.pk}/").content.decode()


def test_on_the_command_line_it_is_cancelled_too(seeded, cast, now, capsys):
    run = queued(cast, now)
    call_command("architecture", "cancel", str(run.pk), "--user", "max")
    run.refresh_from_db()
    assert "Cancelled." in capsys.readouterr().out and (run.state, run.cancelled_by) == ("cancelled", "max")
    with pytest.raises(CommandError, match="cancelled already"):
        call_command("architecture", "cancel", str(run.pk))


def test_one_that_was_cancelled_before_it_was_claimed_stays_cancelled(seeded, cast, now, monkeypatch):
    """The worker has read it as running; then it is cancelled; then the worker claims it."""
    run = queued(cast, now)
    before, claim_it = everything(), verbs.claim

    def late(name):
        monkeypatch.setattr(verbs, "claim", claim_it)
        assert cancel_import(run.pk, actor=cast.ada, now=now)
        return claim_it(name)

    monkeypatch.setattr(verbs, "claim", late)
    finish_import(run.pk, now=now)
    run.refresh_from_db()
    assert (run.state, run.cancelled_by, everything()) == ("cancelled", "ada", before)


def test_a_large_preview_is_kept_and_applied_by_a_worker(seeded, cast, now, monkeypatch):
    monkeypatch.setattr(verbs, "INLINE_BYTES", 0)
    upload = SimpleUploadedFile(MODEL.name, MODEL.read_bytes())
    seen = queue_import(upload, actor=cast.ada, now=now, format="archi", source="model", mode="preview", options={"create_types": True})
    assert finish_import(seen.pk, now=now).state == "done"
    run = verbs.apply_preview(seen.pk, actor=cast.ada, now=now)
    assert (run.state, run.file_name) == ("running", MODEL.name)
    assert finish_import(run.pk, now=now).state == "done" and Claim.objects.exists()
    with pytest.raises(NotPossible, match="not kept any more"):
        verbs.apply_preview(seen.pk, actor=cast.ada, now=now)
