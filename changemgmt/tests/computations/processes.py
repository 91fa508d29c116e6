"""Previews computed by several real processes on a database of their own: `python -m changemgmt.tests.computations.processes --database sqlite`.

Once by whoever comes first, taken over from one that is killed, stopped on demand, and the same by a real Celery worker as at once.
It prints what happened as JSON. With `--compute NUMBER` it is one of those processes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from changemgmt.tests.harness.races import NOW, ROOT, database, prepare

SILENCE = timedelta(seconds=3)
SLOW_SECONDS = 0.4
MODELS = ("k8s", "enroll-system", "cloud-native-architecture")
KEPT = ("state", "revision", "version", "items_digest", "impact", "diff", "summary", "checks", "drift", "layout", "result_digest")


def short_silence() -> None:
    """The dead are given up sooner, so that the test ends sooner."""
    from changemgmt.computations import actions, queries

    actions.SILENCE = queries.SILENCE = SILENCE


def compute_slowly(number: str) -> None:
    """Do what the task does, pausing at every phase; prints how often it computed."""
    import django

    django.setup()
    short_silence()
    from changemgmt.computations.actions import Stopped
    from changemgmt.core.time import utc_now
    from changemgmt.lifecycle import compute_aside
    from changemgmt.lifecycle.compute_preview import compute_asked

    compute, begun = compute_aside.compute, []

    def slow(change: Any, *, now: Any, progress: Any) -> Any:
        begun.append(change)

        def told(phase: str, share: float) -> None:
            progress(phase, share)
            time.sleep(SLOW_SECONDS)

        return compute(change, now=now, progress=told)

    compute_aside.compute = slow
    try:
        compute_asked(number, now=utc_now())
    except Stopped:
        begun.append("stopped")
    sys.stdout.write(json.dumps(["stopped" if one == "stopped" else "computed" for one in begun]))


def process(number: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "changemgmt.tests.computations.processes", "--compute", number]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def until(true: Callable[[], Any], seconds: float = 30.0) -> float:
    """Wait until it holds; how long that took. Raises AssertionError when it never does."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() < began + seconds, true
        time.sleep(0.05)
    return time.monotonic() - began


class Stage:
    """The shipped models as the architecture, and drafts over them."""

    def __init__(self) -> None:
        from changemgmt.architecture.importers.files import of_path
        from changemgmt.lifecycle.import_architecture import import_architecture
        from changemgmt.tests.cast import make_cast

        self.cast = make_cast()
        self.made: dict[str, str] = {}
        paths = {name: ROOT / "data" / "archimate-models" / f"{name}.archimate.xz" for name in MODELS}
        for name, path in ({"archisurance": ROOT / "data" / "archisurance" / "archisurance.archimate"} | paths).items():
            import_architecture(of_path(path), actor=self.cast.ada, now=NOW, format="archi", source=name, namespace=name)
            self.made[name] = self.draft(name)

    def draft(self, source: str) -> str:
        """A change of the three components of this source with the most relations: one updated, one replaced, one deleted with its relations."""
        from django.db.models import Count

        from changemgmt.architecture.models import Component
        from changemgmt.lifecycle import edit
        from changemgmt.tests.estate import RECORD

        busy = Component.objects.filter(key__startswith=f"{source}/").annotate(many=Count("outgoing") + Count("incoming")).order_by("-many", "key")
        keys = list(busy.values_list("key", flat=True)[:3])
        items = [
            {"operation": "update", "object": "component", "key": keys[0], "data": {"attributes": {"version": "2"}}},
            {"operation": "update", "object": "component", "key": keys[1], "data": {"criticality": 5}, "replace": True},
            {"operation": "delete", "object": "component", "key": keys[2]},
        ]
        change = edit.create_change(RECORD | {"title": f"Change {source}"}, actor=self.cast.rita, now=NOW)
        edit.add_items(change.number, items, actor=self.cast.rita, now=NOW, seen=None, cascade=True)
        return change.number

    def ask(self, number: str) -> bool:
        from changemgmt.lifecycle.compute_preview import ask_for_preview

        return ask_for_preview(number, actor=self.cast.rita, now=NOW)

    def shown(self, number: str) -> dict[str, Any]:
        from changemgmt.changes.models import Change
        from changemgmt.preview.queries import preview_of

        return preview_of(Change.objects.get(number=number))

    def times_kept(self, number: str) -> int:
        from changemgmt.audit.models import Event

        return Event.objects.filter(change=number, action="preview.computed").count()

    def stored(self, number: str) -> str:
        """The digest of all that is stored."""
        from changemgmt.changes.models import Preview, Reach
        from changemgmt.core.canonical import digest

        row = Preview.objects.filter(change__number=number).values(*KEPT).get()
        return digest([row, sorted(Reach.objects.filter(change__number=number).values_list("key", "score", "direct"))])


def two_at_once(stage: Stage) -> dict[str, Any]:
    """Two workers and somebody at a page ask for the same: one computes, all have the result."""
    number = stage.made["archisurance"]
    stage.ask(number)
    workers = [process(number) for _ in range(2)]
    until(lambda: stage.shown(number).get("phase"))
    seen = stage.shown(number)
    with_worker = asked_small(stage, number)
    computed = [one for worker in workers for one in json.loads(worker.communicate(timeout=60)[0])]
    return {"computed": computed, "seen": [seen["state"], seen["phase"]], "page": with_worker, "kept": stage.times_kept(number)}


def asked_small(stage: Stage, number: str) -> bool:
    """Ask as for a small change, which is answered at once or joins whoever computes it."""
    from django.test import override_settings

    with override_settings(INLINE_ITEMS=200):
        return stage.ask(number)


def killed(stage: Stage) -> dict[str, Any]:
    """A worker is killed in the middle: shown as running until another is rung, which begins again."""
    from changemgmt.core.time import utc_now
    from changemgmt.lifecycle.compute_preview import compute_asked, left_previews

    number = stage.made["k8s"]
    stage.ask(number)
    first = process(number)
    until(lambda: stage.shown(number).get("phase"))
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=10)
    compute_asked(number, now=NOW)  # a second worker does nothing: the first may live
    state, kept = stage.shown(number)["state"], stage.times_kept(number)
    rung: list[str] = []
    waited = until(lambda: rung.extend(left_previews(now=utc_now())) or rung)
    compute_asked(number, now=NOW)
    return {
        "before": [state, kept],
        "rung": rung == [number],
        "waited": round(waited, 1),
        "after": [stage.shown(number)["state"], stage.times_kept(number)],
    }


def cancelled(stage: Stage) -> dict[str, Any]:
    """What a worker computes is cancelled from elsewhere: it stops, and what was there before counts again."""
    from changemgmt.core.time import utc_now
    from changemgmt.lifecycle.compute_preview import cancel_preview

    number = stage.made["enroll-system"]
    asked_small(stage, number)
    before = stage.stored(number)
    stage.ask(number)
    worker = process(number)
    until(lambda: stage.shown(number).get("phase"))
    at_once = cancel_preview(number, actor=stage.cast.max, now=utc_now())
    said = json.loads(worker.communicate(timeout=60)[0])
    return {"at_once": at_once, "worker": said, "as_before": stage.stored(number) == before, "state": stage.shown(number)["state"]}


def the_same(stage: Stage) -> dict[str, Any]:
    """Every shipped model: at once, by the task here, and by a real worker that drains the outbox, the same is stored."""
    from celery import current_app

    from changemgmt.audit.relay import DRAIN
    from changemgmt.lifecycle.compute_preview import compute_asked

    found: dict[str, list[str]] = {}
    for name, number in stage.made.items():
        asked_small(stage, number)
        found[name] = [stage.stored(number)]
        stage.ask(number)
        compute_asked(number, now=NOW)
        found[name].append(stage.stored(number))
        stage.ask(number)
    worker = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore:You're running the worker",
            "-m",
            "celery",
            "-q",
            "-A",
            "config",
            "worker",
            "-P",
            "solo",
            "--loglevel",
            "ERROR",
        ],
        cwd=ROOT,
        stdout=sys.stderr,  # the report stands alone
    )
    try:
        current_app.send_task(DRAIN)
        for name, number in stage.made.items():
            until(lambda: stage.shown(number)["state"] == "ready", 60)  # noqa: B023
            found[name].append(stage.stored(number))
    finally:
        worker.terminate()
        worker.wait(timeout=30)
    return {name: [len(digests), len(set(digests))] for name, digests in found.items()}


SCENARIOS = {"two_at_once": two_at_once, "killed": killed, "cancelled": cancelled, "the_same": the_same}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--compute", metavar="NUMBER")
    options = parser.parse_args()
    if options.compute:
        compute_slowly(options.compute)
        return 0
    with database(options.database):
        os.environ["INLINE_ITEMS"] = "0"
        prepare()
        short_silence()
        from changemgmt.architecture.seed import seed
        from config.celery import app

        app.set_default()
        seed(now=NOW)
        stage = Stage()
        report = {name: scenario(stage) for name, scenario in SCENARIOS.items()}
    sys.stdout.write(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
