"""What many components would reach: computed once however many ask, at once or by a worker with the same answer, cancelled on demand."""

from datetime import timedelta

import pytest

from changemgmt.architecture import impact as computing
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.models import ImpactQuestion
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.computations import kept as keeping
from changemgmt.computations.actions import claim
from changemgmt.computations.kept import kept
from changemgmt.core.errors import NotFound, NotPossible
from changemgmt.lifecycle.ask_impact import answer_impact, ask_impact, cancel_impact, left_questions, name_of, question_of
from changemgmt.orchestrator import tasks

from .. import estate
from ..computations.test_claims import silent

pytestmark = pytest.mark.django_db
IMPACT = "/api/v1/architecture/impact/"
BODY = {"components": ["shop/db", "shop/api"], "operation": "delete"}


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def large(settings):
    settings.INLINE_ITEMS = 1


@pytest.fixture
def computed(monkeypatch):
    """The propagations that were made."""
    made, propagate = [], computing.propagate
    monkeypatch.setattr(computing, "propagate", lambda *some, **more: made.append(some) or propagate(*some, **more))
    return made


def touch(now):
    note = {"tags": [f"seen-{ImpactQuestion.objects.count()}"]}
    apply_operations([Operation("update", "component", "shop/db", None, None, None, note)], actor="ada", now=now, reason="touched")


def test_asked_again_it_is_not_computed_again_until_the_architecture_or_the_question_is_another(cast, shop, now, computed):
    first = ask_impact(BODY, actor=cast.rita, now=now)
    again = ask_impact({**BODY, "components": ["shop/api", "shop/db", "shop/db"]}, actor=cast.vera, now=now)
    assert again == first and len(computed) == 1
    assert ask_impact({**BODY, "operation": "update"}, actor=cast.rita, now=now) != first and len(computed) == 2
    touch(now)
    assert ask_impact(BODY, actor=cast.rita, now=now)["revision"] == first["revision"] + 1 and len(computed) == 3


def test_by_a_worker_the_answer_is_that_given_at_once(cast, api, shop, now, settings):
    at_once = api(cast.vera).post(IMPACT, BODY)
    assert at_once.status_code == 200 and at_once.json()["state"] == "ready"
    settings.INLINE_ITEMS = 1
    client = api(cast.vera)
    asked = client.post(IMPACT, BODY)
    where = asked["Location"]
    assert asked.status_code == 202 and asked.json() == {**asked.json(), "state": "running", "progress": 0.0, "phase": ""}
    assert client.get(where).json()["state"] == "running"
    tasks.answer_asked_impact(event_id=Event.objects.get(action="impact.asked").pk)
    assert client.get(where).json() == at_once.json()
    assert client.get(f"{where}?limit=0").json() == {**at_once.json(), "affected": []}
    assert api(cast.max).get(where).status_code == 404 and client.get(f"{where}?limit=x").status_code == 400


def test_who_asks_the_same_gets_the_question_that_is_there_and_all_who_ask_get_the_answer(cast, shop, now, large, computed):
    mine, others = ask_impact(BODY, actor=cast.rita, now=now), ask_impact(BODY, actor=cast.vera, now=now)
    assert ask_impact(BODY, actor=cast.rita, now=now).pk == mine.pk != others.pk
    answer_impact(mine.pk, now=now)
    answer_impact(others.pk, now=now)
    assert question_of(others.pk, actor=cast.vera).result == question_of(mine.pk, actor=cast.rita).result and len(computed) == 1
    assert ask_impact(BODY, actor=cast.rita, now=now).pk == mine.pk
    with pytest.raises(NotFound):
        question_of(mine.pk, actor=cast.vera)


def test_it_is_cancelled_before_a_worker_has_it_and_while_it_is_computed(cast, api, shop, now, large, monkeypatch):
    first = ask_impact(BODY, actor=cast.rita, now=now)
    assert api(cast.vera).post(f"{IMPACT}{first.pk}/cancel/").status_code == 404
    answer = api(cast.rita).post(f"{IMPACT}{first.pk}/cancel/")
    assert answer.status_code == 200 and answer.json()["state"] == "cancelled"
    answer_impact(first.pk, now=now)
    assert question_of(first.pk, actor=cast.rita).result is None
    with pytest.raises(NotPossible, match="cancelled already"):
        cancel_impact(first.pk, actor=cast.rita, now=now)
    second = ask_impact(BODY, actor=cast.rita, now=now)
    live, asked = computing.live, []
    monkeypatch.setattr(computing, "live", lambda: asked.append(cancel_impact(second.pk, actor=cast.rita, now=now)) or live())
    answer_impact(second.pk, now=now)
    assert asked == [False] and question_of(second.pk, actor=cast.rita).state == "cancelled"
    assert Event.objects.filter(action="impact.cancelled").count() == 2


def test_what_one_cancels_is_computed_on_for_the_others(cast, shop, now, large):
    mine, others = ask_impact(BODY, actor=cast.rita, now=now), ask_impact(BODY, actor=cast.vera, now=now)
    with claim(name_of(mine)) as work:
        assert cancel_impact(mine.pk, actor=cast.rita, now=now)
        work.at("propagation", 0.3)
        work.end()
    answer_impact(others.pk, now=now)
    assert question_of(others.pk, actor=cast.vera).state == "ready" and question_of(mine.pk, actor=cast.rita).state == "cancelled"


def test_a_dead_worker_is_followed_by_another(cast, shop, now, large):
    asked, later = ask_impact(BODY, actor=cast.rita, now=now), now + timedelta(minutes=1)
    claim(name_of(asked))
    answer_impact(asked.pk, now=now)
    assert question_of(asked.pk, actor=cast.rita).state == "running" and list(left_questions(now=later)) == []
    silent(name_of(asked))
    assert list(left_questions(now=later)) == [asked.pk]
    answer_impact(asked.pk, now=now)
    assert question_of(asked.pk, actor=cast.rita).state == "ready" and list(left_questions(now=later)) == []


def test_an_error_is_told_and_a_question_goes_after_a_day(cast, shop, now, large, monkeypatch):
    asked = ask_impact(BODY, actor=cast.rita, now=now)
    monkeypatch.setattr(computing, "propagate", lambda *some, **more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        answer_impact(asked.pk, now=now)
    assert "ZeroDivisionError" in question_of(asked.pk, actor=cast.rita).error
    ask_impact(BODY, actor=cast.vera, now=now + timedelta(days=2))
    assert not ImpactQuestion.objects.filter(pk=asked.pk).exists()


def test_what_is_too_large_to_keep_is_answered_all_the_same(monkeypatch):
    monkeypatch.setattr(keeping, "MOST_BYTES", 10)
    made = []
    assert [kept("test", {"a": 1}, lambda: made.append(1) or {"rows": list(range(100))}) for _ in range(2)] == [{"rows": list(range(100))}] * 2
    assert len(made) == 2
