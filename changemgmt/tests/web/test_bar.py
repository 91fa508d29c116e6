"""The bar at the end of a change: what this person may do next about it."""

from datetime import timedelta

import pytest

from changemgmt.approvals.models import ActionItem, Seat
from changemgmt.lifecycle import obligations, schedule, vote
from changemgmt.tests import estate
from changemgmt.tests.approvals.making import a_chain, a_level, a_seat

pytestmark = pytest.mark.django_db
TEXT = "Rehearse the rollback on a copy that is as large as the one in production, and time it"


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def demanded(shop, cast, now):
    """`demanded(due)` is a condition of Petra's, which Ian owns, on a change she approved."""

    def make(due):
        a_chain(a_level(a_seat("approver")))
        change = estate.in_review(cast, now)
        seat = Seat.objects.get(level__round__change=change)
        condition = {"text": TEXT, "due": due, "owner": "ian", "evidence": "statement"}
        vote.cast_vote(seat.pk, actor=cast.petra, now=now, vote="approve", digest=seat.level.digest, conditions=[condition])
        return ActionItem.objects.get()

    return make


def bar(client, item):
    """The text of the bar for this person."""
    return client.get(f"/changes/{item.change.number}/").content.decode().partition('<div class="decide')[2].partition("</main>")[0]


def scheduled(item, cast, now):
    change = estate.fresh(item.change)
    begins = now + timedelta(days=1)
    schedule.schedule(change.number, actor=cast.max, now=now, start=begins, end=begins + timedelta(hours=2), seen=change.etag)


def test_who_owns_a_condition_that_holds_the_start_up_is_led_to_its_form(demanded, browse, cast, now):
    item = demanded("before_start")
    scheduled(item, cast, now)
    text = bar(browse(cast.ian), item)
    assert "A condition waits for you." in text and "Nothing you can do right now." not in text
    assert f'href="#ev-{item.pk}">Give the evidence for “{TEXT[:59]}…”</a>' in text
    page = browse(cast.ian).get(f"/changes/{item.change.number}/").content.decode()
    assert f'id="ev-{item.pk}"' in page and '<details class="disc act" open>' in page
    for other in (cast.petra, cast.max, cast.rita, cast.vera):
        assert "the evidence for" not in bar(browse(other), item)


def test_who_owns_one_that_holds_the_schedule_up_is_led_there_though_others_schedule(demanded, browse, cast):
    item = demanded("before_schedule")
    text = bar(browse(cast.ian), item)
    assert f'href="#ev-{item.pk}"' in text and "Others go on with this change." not in text


def test_once_it_is_given_who_set_it_or_may_accept_it_is_led_to_accept_it(demanded, browse, cast, now):
    item = demanded("before_schedule")
    obligations.give_evidence(item.pk, {"kind": "statement", "text": "Done."}, actor=cast.ian, now=now)
    for person in (cast.petra, cast.max):
        text = bar(browse(person), item)
        assert f'href="#ac-{item.pk}">Accept the evidence for “Rehearse' in text
        assert f'id="ac-{item.pk}"' in browse(person).get(f"/changes/{item.change.number}/").content.decode()
    assert "the evidence for" not in bar(browse(cast.ian), item)
    obligations.accept(item.pk, actor=cast.petra, now=now)
    assert "the evidence for" not in bar(browse(cast.petra), item)


def test_a_condition_that_is_due_later_is_no_act_of_the_bar(demanded, browse, cast):
    assert "the evidence for" not in bar(browse(cast.ian), demanded("before_close"))
