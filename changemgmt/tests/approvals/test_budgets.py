"""How often the database is asked: the same with a few and with a thousand open votes, and never more than the budget."""

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changemgmt.accounts.models import Delegation, User
from changemgmt.approvals.models import Round, RoundLevel, Seat
from changemgmt.approvals.queue import queue_of
from changemgmt.architecture.models import Component
from changemgmt.changes.models import Change, Item
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.blockers import all_blockers
from changemgmt.lifecycle.vote import cast_vote
from changemgmt.planning.models import Plan, Step
from changemgmt.preview.actions import store
from changemgmt.preview.compute import compute

from .making import a_chain, a_change, a_level, a_seat, in_review

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"
LIST, PAGE = 15, 25
SEATS, PEOPLE = 1_000, 200


def crowd(group):
    """Two hundred people of one group."""
    users = User.objects.bulk_create(User(username=f"person{number}", email=f"p{number}@example.org") for number in range(PEOPLE))
    User.groups.through.objects.bulk_create(User.groups.through(user=user, group=group) for user in users)
    return users


def copies(round, count):
    """So many changes in review like the one of this round, each with one open seat."""
    change, level = round.change, round.levels.get()
    changes = Change.objects.bulk_create(
        Change(number=f"CHG-2026-{70_000 + n}", title=f"Copy {n}", requester=change.requester, state="in_review", created_at=change.created_at,
               updated_at=change.updated_at, risk_level="low", no_items_reason="paper only")
        for n in range(count)
    )  # fmt: skip
    rounds = Round.objects.bulk_create(
        Round(change=one, number=1, version=1, chain=round.chain, chain_version=1, snapshot=round.snapshot, parts=round.parts, digest=round.digest,
              opened_at=round.opened_at)
        for one in changes
    )  # fmt: skip
    same = {"position": 0, "number": 1, "name": level.name, "state": "open", "rule_kind": "all", "settings": level.settings, "digest": level.digest}
    levels = RoundLevel.objects.bulk_create(RoundLevel(round=one, opened_at=level.opened_at, due_at=level.due_at, **same) for one in rounds)
    Seat.objects.bulk_create(Seat(level=one, position=0, label="approver", power="voter", group="approver", state="open") for one in levels)


@pytest.fixture
def house(cast, seeded, now):
    a_chain(a_level(a_seat("approver")))
    crowd(Group.objects.get(name="approver"))
    return in_review(a_change(cast.rita, now, title="The first"), now)


def asked_in(act):
    with CaptureQueriesContext(connection) as found:
        act()
    return len(found)


def page(client, path):
    def act():
        assert client.get(path).status_code == 200

    act()  # the second time: what is made once, a last look, is there
    return asked_in(act)


def test_the_queue_page_asks_the_same_with_one_and_with_a_thousand_open_votes(client, cast, house):
    client.force_login(cast.petra)
    few = page(client, "/approvals/")
    copies(house, SEATS - 1)
    assert len(queue_of(cast.petra, utc_now())) == SEATS
    assert page(client, "/approvals/") == few <= LIST
    assert page(client, "/approvals/?for=group&due=later&at=950") <= LIST


def test_the_api_queue_and_the_side_bar_too(client, api, cast, house):
    caller = api(cast.petra)
    client.force_login(cast.petra)
    few, bar = page(caller, f"{V1}approvals/"), page(client, "/notifications/")
    copies(house, SEATS - 1)
    assert page(caller, f"{V1}approvals/") == few <= LIST
    assert page(client, "/notifications/") == bar <= LIST
    assert client.get("/notifications/").context["counts"]["approvals"] == SEATS


def test_the_blockers_of_a_change_too(api, cast, house):
    copies(house, SEATS - 1)
    caller = api(cast.petra)
    assert page(caller, f"{V1}changes/{house.change.number}/blockers/") <= LIST
    change = Change.objects.get(pk=house.change_id)
    assert asked_in(lambda: all_blockers(change, actor=cast.petra, now=utc_now())) <= LIST


@pytest.fixture
def six(cast, archisurance, now):
    """A change with items, a plan and a reach, on a chain of six levels of which one is decided."""
    a_chain(*[a_level(a_seat("approver"), a_seat("security_lead"), number=n, name=f"Level {n}", rule="any") for n in range(1, 7)])
    change = a_change(cast.rita, now, owner=cast.max, implementers=(cast.ian,), title="Six levels")
    for position, component in enumerate(Component.objects.filter(type__name="ApplicationComponent")[:3]):
        Item.objects.create(change=change, position=position, operation="update", object="component", key=component.key, data={"attributes": {"version": "2"}},
                            before={"attributes": {}}, base_revision=1, layer=component.layer_id or "")  # fmt: skip
    plan = Plan.objects.create(change=change)
    for position in range(3):
        Step.objects.create(plan=plan, position=position, step_id=f"s{position}", name=f"Step {position}", manual=True)
    change = Change.objects.get(pk=change.pk)
    store(change, compute(change, now=now), now=now)
    round = in_review(change, now)
    first = Seat.objects.get(level__round=round, level__number=1, label="approver")
    cast_vote(first.pk, actor=cast.paul, now=now, vote="approve", digest=first.level.digest)
    return round


@pytest.mark.parametrize("who", ["petra", "sam", "rita", "max", "vera", "ian"])
def test_the_page_of_a_change_with_six_levels_keeps_to_its_budget(client, cast, six, who):
    assert six.levels.count() == 6
    client.force_login(getattr(cast, who))
    assert page(client, f"/changes/{six.change.number}/") <= PAGE


def test_who_stands_in_for_others_has_a_budget_too(client, cast, house, now):
    period = {"starts_at": now - timedelta(days=9), "ends_at": now + timedelta(days=9), "created_at": now - timedelta(days=9)}
    for delegator in (cast.paul, User.objects.get(username="person7")):
        Delegation.objects.create(delegator=delegator, delegate=cast.sam, created_by=delegator, **period)
    client.force_login(cast.sam)
    few = page(client, "/approvals/")
    copies(house, SEATS - 1)
    started = time.monotonic()
    assert len(queue_of(cast.sam, utc_now())) == SEATS
    assert time.monotonic() - started < 5
    assert page(client, "/approvals/") == few <= LIST + 5
