"""Coverage: on which coming days a seat of a chain has nobody, judged by what people said beforehand."""

from datetime import date, timedelta

import pytest
from django.contrib.auth.models import Group

from changemgmt.accounts.models import Identity, Team
from changemgmt.approvals.coverage import covered, gaps
from changemgmt.approvals.models import Chain
from changemgmt.lifecycle.delegate import delegate, revoke_delegation
from changemgmt.tests.cast import make_person

from .making import a_chain, a_level, a_seat

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
HERE = "/api/v1/approvals/coverage/"


@pytest.fixture
def alone(cast, now):
    """One chain that asks the only security lead."""
    a_chain(a_level(a_seat("security_lead", "Security Lead"), name="Security"), name="Alone")
    return cast


def away(user, to, now, *, first=1, last=2, **more):
    """Out of office from midnight to midnight, UTC, `first` and `last` counted from today."""
    midnight = now.replace(hour=0)
    return delegate(
        to.username, actor=user, now=now, starts_at=midnight + first * DAY, ends_at=midnight + (last + 1) * DAY, **{"out_of_office": True, **more}
    )


def a_bare_chain(**more):
    """One that asks a group without members."""
    Group.objects.get_or_create(name="nobody_here")
    return a_chain(a_level(a_seat("nobody_here", "Empty")), name="Bare", **more)


def days_without(now, days=30, **where):
    found = [gap for gap in gaps(now=now, days=days) if all(getattr(gap, name) == value for name, value in where.items())]
    return [(gap.date - now.date()).days for gap in found]


def test_nobody_away_leaves_no_gap(cast, seeded, now):
    assert gaps(now=now, days=90) == []


def test_who_is_away_with_a_stand_in_who_is_there_leaves_no_gap(alone, now):
    away(alone.sam, alone.tina, now)
    assert gaps(now=now) == []


def test_the_stand_in_left_and_the_gap_is_named(alone, now):
    away(alone.sam, alone.tina, now, first=2, last=4)
    alone.tina.is_active = False
    alone.tina.save()
    assert days_without(now) == [2, 3, 4]
    gap = gaps(now=now)[0]
    assert gap.shape() == {"date": date(2026, 11, 22), "chain": "Alone", "level": "Security", "seat": "Security Lead", "power": "voter"}


def test_a_stand_in_who_is_away_too_stands_in_for_nobody_unless_two_steps_are_allowed(alone, now, settings):
    settings.DELEGATION_HOPS = 2
    away(alone.sam, alone.tina, now)
    away(alone.tina, alone.omar, now)
    assert days_without(now) == []
    settings.DELEGATION_HOPS = 1
    assert days_without(now) == [1, 2]


def test_a_revoked_one_is_nobody_s_absence(alone, now):
    row = away(alone.sam, alone.tina, now)
    alone.tina.is_active = False
    alone.tina.save()
    revoke_delegation(row.pk, actor=alone.sam, now=now)
    assert gaps(now=now) == []


def test_half_a_day_is_no_absence_and_two_halves_are(alone, now):
    midnight = now.replace(hour=0) + 3 * DAY
    make = {"actor": alone.sam, "now": now}
    delegate("tina", starts_at=midnight, ends_at=midnight + timedelta(hours=12), **make)
    alone.tina.is_active = False
    alone.tina.save()
    assert days_without(now) == []
    delegate("omar", starts_at=midnight + timedelta(hours=12), ends_at=midnight + timedelta(hours=17), **make)
    assert days_without(now) == [3], "nobody of the two is there the whole day"


def test_working_hours_are_those_of_the_person_s_own_clocks(alone, now):
    """20 to 8 UTC is a working day in Auckland and a night in Oslo."""
    alone.tina.is_active = False
    start = now.replace(hour=19) + 2 * DAY
    delegate("tina", actor=alone.sam, now=now, starts_at=start, ends_at=start + timedelta(hours=11))
    alone.tina.save()
    assert days_without(now) == []
    alone.sam.time_zone = "Pacific/Auckland"
    alone.sam.save()
    assert days_without(now) == [3]
    alone.sam.time_zone = "Nowhere/Land"
    alone.sam.save()
    assert days_without(now) == []


def test_of_today_the_rest_counts(alone, now):
    alone.tina.is_active = False
    noon = now.replace(hour=12)
    delegate("tina", actor=alone.sam, now=noon, ends_at=noon + timedelta(hours=5))
    alone.tina.save()
    assert days_without(noon) == [0]
    assert days_without(noon - timedelta(hours=1)) == []
    assert days_without(now.replace(hour=16)) == [0] and days_without(now.replace(hour=22)) == []


def test_a_stand_in_for_one_chain_covers_that_chain_only(alone, now):
    a_chain(a_level(a_seat("security_lead", "Security Lead"), name="Security"), name="Other", order=2)
    away(alone.sam, alone.tina, now, first=1, last=1)
    delegate("omar", actor=alone.sam, now=now, starts_at=now, ends_at=now + 9 * DAY, scope=("chain", "Alone"))
    alone.tina.is_active = False
    alone.tina.save()
    assert days_without(now, chain="Alone") == [] and days_without(now, chain="Other") == [1]


def test_a_slot_that_needs_two_needs_two_people(cast, now):
    a_chain(a_level(a_seat("approver", "Peer", required=2)), name="Two")
    assert gaps(now=now) == []
    away(cast.petra, cast.paul, now, first=5, last=5)
    assert days_without(now) == [5], "one person gives one vote, whoever they stand in for"
    link = Identity.objects.create(name="one human being")
    for user in (cast.petra, cast.paul):
        user.identity = link
        user.save()
    assert len(days_without(now, days=3)) == 3


def test_an_empty_group_or_a_person_who_left_is_a_gap_every_day(cast, now):
    make_person("zoe")
    a_bare_chain()
    a_chain(a_level({"label": "Named", "user": "zoe"}), name="Named", order=2)
    type(cast.sam).objects.filter(username="zoe").update(is_active=False)
    assert days_without(now, days=3, seat="Empty") == days_without(now, days=3, seat="Named") == [0, 1, 2]


def test_seats_that_depend_on_the_change_are_left_out(cast, now):
    a_chain(a_level({"label": "Manager", "dynamic": "requester_manager"}, {"label": "Owner", "dynamic": "component_owners:4"}), name="Dynamic")
    assert gaps(now=now) == []


def test_who_is_on_call_for_a_team_is_known_without_a_change(cast, now):
    team = Team.objects.create(slug="night", name="Night", lead=cast.omar)
    team.members.add(cast.omar, cast.tina)
    a_chain(a_level({"label": "On call", "dynamic": "on_call:night"}), name="Night")
    away(cast.omar, cast.olga, now, first=1, last=1)
    assert gaps(now=now) == []
    type(cast.olga).objects.filter(pk=cast.olga.pk).update(is_active=False)
    assert days_without(now) == [1]


def test_only_what_is_in_force_on_the_day_counts(cast, now):
    chain = a_bare_chain(valid_to="2026-11-23T00:00:00Z")
    assert days_without(now, days=10) == [0, 1, 2]
    Chain.objects.filter(pk=chain.pk).update(in_force={**Chain.objects.get(pk=chain.pk).in_force, "active": False})
    assert gaps(now=now) == []


def test_it_asks_the_database_the_same_however_many_people_are_away(cast, seeded, now, django_assert_max_num_queries):
    for number in range(15):
        person, other = make_person(f"lead{number}", ("security_lead",)), make_person(f"other{number}")
        away(person, other, now, first=number, last=number + 3) if number else None
    with django_assert_max_num_queries(6):
        assert gaps(now=now, days=90) == []


def test_a_span_is_covered_by_what_touches(now):
    class Row:
        def __init__(self, start, end):
            self.starts_at, self.ends_at = now + start * DAY, now + end * DAY

    assert covered([Row(0, 2), Row(2, 4)], now, now + 4 * DAY) and covered([Row(-1, 9)], now, now + 4 * DAY)
    assert (
        not covered([Row(0, 2), Row(3, 4)], now, now + 4 * DAY) and not covered([], now, now + DAY) and not covered([Row(1, 4)], now, now + 2 * DAY)
    )


@pytest.mark.parametrize("who", ["max", "ada", "aud"])
def test_change_managers_administrators_and_auditors_ask_over_the_api(api, cast, seeded, who):
    a_bare_chain()
    rows = api(getattr(cast, who)).get(HERE, {"days": 2}).json()
    assert [(row["chain"], row["level"], row["seat"]) for row in rows] == [("Bare", "Level", "Empty")] * 2
    assert len(api(getattr(cast, who)).get(HERE).json()) == 30


@pytest.mark.parametrize("who", ["rita", "petra", "sam", "vera", "olga", "ian"])
def test_nobody_else_does(api, cast, seeded, who):
    assert api(getattr(cast, who)).get(HERE).status_code == 403


@pytest.mark.parametrize("days", ["0", "91", "-1", "1.5", "many", "", "1e3", "99999999999999999999", "３"])
def test_from_one_day_to_ninety(api, cast, seeded, days):
    assert api(cast.max).get(HERE, {"days": days}).status_code == 400


def test_nothing_else_is_asked_or_written_there(api, cast, seeded):
    assert api(cast.max).get(HERE, {"chain": "x"}).status_code == 400
    assert api(cast.max).post(HERE, {}).status_code == 405 and api().get(HERE).status_code == 401
    assert len(api(cast.max).get(HERE, {"days": "90"}).json()) == len(api(cast.max).get(HERE, {"days": "1"}).json()) == 0
