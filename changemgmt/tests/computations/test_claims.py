"""One process at a time: taking a computation, losing it by silence, and stopping it."""

import time
from datetime import timedelta

import pytest
from django.db import transaction

from changemgmt.computations import actions
from changemgmt.computations.actions import Cancelled, Lost, ask_to_stop, claim, note_cancelled, ring_once
from changemgmt.computations.models import Computation
from changemgmt.computations.queries import SILENCE, cancelled, is_computing, progress_of
from changemgmt.core.time import utc_now

from ..harness.races import at_once


def silent(name):
    """Nobody heard of whoever does it for longer than is allowed."""
    Computation.objects.filter(name=name).update(beat_at=utc_now() - SILENCE - timedelta(seconds=5))


@pytest.mark.django_db
def test_the_second_gets_it_when_the_first_is_done():
    first = claim("preview:1")
    assert claim("preview:1") is None and is_computing("preview:1") and claim("preview:2")
    first.end()
    assert not is_computing("preview:1") and claim("preview:1")


@pytest.mark.django_db
def test_whoever_was_silent_too_long_has_lost_it_and_stores_nothing():
    first = claim("preview:1")
    silent("preview:1")
    assert not is_computing("preview:1")
    second = claim("preview:1")
    assert second and claim("preview:1") is None
    with pytest.raises(Lost), transaction.atomic():
        first.hold()
    second.hold()
    first.end()
    assert is_computing("preview:1")


@pytest.mark.django_db
def test_progress_is_told_and_who_stops_it_too():
    assert progress_of("preview:1") is None and not ask_to_stop("preview:1", by="max")
    with pytest.raises(Cancelled) as stop, claim("preview:1") as work:
        work.at("graph", 0.25)
        assert (progress_of("preview:1").phase, progress_of("preview:1").percent) == ("graph", 25)
        assert ask_to_stop("preview:1", by="max")
        work.at("effects", 0.5)
    assert stop.value.by == "max" and progress_of("preview:1") is None
    assert Computation.objects.get(name="preview:1").outcome == "cancelled"
    with claim("preview:1") as again:
        again.at("graph", 0.25)  # what stopped the one before does not stop the next


@pytest.mark.django_db
def test_what_was_cancelled_is_known_until_it_is_begun_again():
    note_cancelled("preview:1", subject="3@7")
    assert cancelled() == {"preview:1": "3@7"}
    claim("preview:1").end()
    assert cancelled() == {}


@pytest.mark.django_db
def test_somebody_is_rung_once_but_again_when_the_worker_died():
    assert ring_once("preview:1") and not ring_once("preview:1")
    claim("preview:1")
    assert ring_once("preview:1") and not ring_once("preview:1")


@pytest.mark.django_db
def test_an_error_lets_go_of_it():
    with pytest.raises(ZeroDivisionError), claim("preview:1"):
        raise ZeroDivisionError
    assert not is_computing("preview:1") and Computation.objects.get(name="preview:1").outcome == "failed"


@pytest.mark.django_db(transaction=True)
def test_while_it_lasts_it_gives_signs_of_life_that_others_see(monkeypatch):
    monkeypatch.setattr(actions, "BEAT_SECONDS", 0.05)
    with claim("preview:1") as work:
        silent("preview:1")
        work.at("graph", 0.25)
        deadline = time.monotonic() + 10
        while not is_computing("preview:1") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert is_computing("preview:1") and progress_of("preview:1").phase == "graph"
        ask_to_stop("preview:1", by="max")
        while not work.stop_asked_by and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(Cancelled):
            work.at("effects", 0.5)
        work.end()


@pytest.mark.needs_postgres
@pytest.mark.django_db(transaction=True)
def test_of_many_who_take_it_at_once_one_gets_it():
    for number in range(20):
        got = at_once(*(lambda: claim(f"preview:{number}") for _ in range(4)))  # noqa: B023
        assert sum(work is not None for work in got) == 1, got
        silent(f"preview:{number}")
        got = at_once(*(lambda: claim(f"preview:{number}") for _ in range(4)))  # noqa: B023
        assert sum(work is not None for work in got) == 1, got


@pytest.mark.needs_postgres
@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_who_stores_the_result():
    work = claim("preview:1")
    with transaction.atomic():
        work.hold()
        assert at_once(lambda: claim("preview:1")) == [None]
