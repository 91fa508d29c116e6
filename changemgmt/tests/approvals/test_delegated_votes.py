"""Votes for somebody else: every rule holds for whoever stands in, in person, at every door; a voice counts once, and both names are kept."""

from datetime import timedelta

import pytest
from django.test import Client

from changemgmt.accounts.models import Delegation, Identity, OrgUnit
from changemgmt.approvals.models import RoundLevel, Seat, Vote
from changemgmt.approvals.queue import queue_of
from changemgmt.approvals.sitting import sitters
from changemgmt.audit.models import Event
from changemgmt.audit.queries import event_shown
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import DomainError, NotPermitted, NotPossible
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.claim import claim_seat
from changemgmt.lifecycle.delegate import begin_due_delegations, change_delegation, delegate, judge_votes, revoke_delegation
from changemgmt.lifecycle.manage_people import deactivate
from changemgmt.lifecycle.membership import leave
from changemgmt.lifecycle.rights import settle_rights
from changemgmt.lifecycle.vote import cast_vote, withdraw_vote
from changemgmt.notifications.actions import tell
from changemgmt.notifications.models import Notification
from changemgmt.tests.cast import make_person

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = [pytest.mark.django_db, pytest.mark.needs_sqlite]
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def now():
    """Some of these go through doors, which read the clock."""
    return utc_now()


@pytest.fixture
def stand_in(cast, seeded):
    """Nina, who sits nowhere herself."""
    return make_person("nina", ("requester",))


@pytest.fixture
def chain(cast, seeded):
    """A chain that asks Sam alone, then Tina."""
    return a_chain(
        a_level(a_seat("security_lead", "Security"), name="Security"), a_level(a_seat("technical_lead", "Technical"), number=2), name="Ours"
    )


def a_round(cast, now, **fields):
    return in_review(a_change(cast.rita, now, implementers=(cast.ian,), **fields), now)


def stand(giver, taker, now, **more):
    return delegate(taker.username, actor=giver, now=now, **{"ends_at": now + 7 * DAY, **more})


def by_verb(seat, user, now, api):
    try:
        cast_vote(seat.pk, actor=user, now=now, vote="approve", digest=seat.level.digest)
    except DomainError as error:
        return error.status
    return 200


def by_api(seat, user, now, api):
    return api(user).post(f"/api/v1/approvals/{seat.pk}/vote/", {"digest": seat.level.digest, "vote": "approve"}, format="json").status_code


def by_page(seat, user, now, api):
    browser = Client()
    browser.force_login(user)
    status = browser.post(f"/approvals/{seat.pk}/vote/", {"vote": "approve", "digest": seat.level.digest, "read": "on"}).status_code
    return {302: 200 if user.is_active else 403}.get(status, status)


def by_bulk(seat, user, now, api):
    body = {"votes": [{"id": seat.pk, "digest": seat.level.digest}], "vote": "approve", "comment": ""}
    answer = api(user).post("/api/v1/approvals/bulk-vote/", body, format="json")
    return {404: 403}.get(answer.status_code, answer.status_code)


DOORS = {"verb": by_verb, "api": by_api, "page": by_page, "bulk": by_bulk}
every_door = pytest.mark.parametrize("door", DOORS)


def refused(door, seat, user, now, api):
    status = DOORS[door](seat, user, now, api)
    assert status in ((401, 403, 404) if not user.is_active else (403,)), status
    assert not Vote.objects.exists()


# --- who may ---


@every_door
def test_a_stand_in_votes_and_both_names_are_kept_everywhere(cast, chain, stand_in, api, now, door):
    stand(cast.sam, stand_in, now)
    round = a_round(cast, now)
    seat = seat_of(round, "Security")
    assert DOORS[door](seat, stand_in, now, api) == 200
    vote = Vote.objects.get()
    assert (vote.by, vote.on_behalf_of, vote.person, vote.voice) == (stand_in, cast.sam, stand_in.person, cast.sam.person)
    shown = api(cast.rita).get(f"/api/v1/changes/{round.change.number}/approval/").json()["levels"][0]["votes"][0]
    assert (shown["by"], shown["on_behalf_of"]) == ("nina", "sam")
    event = event_shown(Event.objects.get(action="vote.cast").pk)
    assert (event["actor"], event["on_behalf_of"]) == ("nina", "sam")
    browser = Client()
    browser.force_login(cast.rita)
    page = browser.get(f"/changes/{round.change.number}/").content.decode()
    assert "Nina for Sam, Security" in page
    assert RoundLevel.objects.get(pk=seat.level_id).state == "approved"


@every_door
@pytest.mark.parametrize("part", ["requester", "implementer", "co_author", "linked", "go-ahead"])
def test_who_has_a_part_in_the_change_stands_in_for_nobody(cast, chain, stand_in, api, now, door, part):
    stand(cast.sam, stand_in, now)
    requester = stand_in if part == "requester" else cast.rita
    change = a_change(requester, now, implementers=(stand_in,) if part == "implementer" else ())
    if part == "co_author":
        change.authorships.create(version=1, user=stand_in)
    if part == "linked":
        link(cast.rita, stand_in)
    if part == "go-ahead":
        change.go_ahead_by = stand_in
    refused(door, seat_of(in_review(change, now), "Security"), stand_in, now, api)


@every_door
@pytest.mark.parametrize("part", ["requester", "implementer", "co_author", "linked"])
def test_nobody_stands_in_for_who_has_a_part_in_the_change(cast, chain, stand_in, api, now, door, part):
    a_chain(a_level(a_seat("security_lead", "Security", required=1)), name="First", order=0)
    other = make_person("sid", ("security_lead",))
    stand(cast.sam, stand_in, now)
    change = a_change(cast.sam if part == "requester" else cast.rita, now, implementers=(cast.sam,) if part == "implementer" else ())
    if part == "co_author":
        change.authorships.create(version=1, user=cast.sam)
    if part == "linked":
        link(cast.rita, cast.sam)
    seat = seat_of(in_review(change, now), "Security")
    refused(door, seat, stand_in, now, api)
    assert DOORS[door](seat, other, now, api) == 200


@every_door
def test_a_program_somebody_who_left_and_a_stranger_stand_in_for_nobody(cast, chain, stand_in, api, now, door):
    robot, gone = make_person("robot"), make_person("gone")
    rows = [stand(cast.sam, user, now) for user in (robot, gone)]
    type(robot).objects.filter(pk=robot.pk).update(is_service=True)
    type(gone).objects.filter(pk=gone.pk).update(is_active=False)
    for user in (robot, gone):
        user.refresh_from_db()
    seat = seat_of(a_round(cast, now), "Security")
    assert len(rows) == 2
    for user in (robot, gone, stand_in, cast.olga, cast.ada, cast.aud):
        refused(door, seat, user, now, api)


@every_door
def test_who_left_is_stood_in_for_by_nobody(cast, chain, stand_in, api, now, door):
    make_person("sid", ("security_lead",))
    stand(cast.sam, stand_in, now)
    seat = seat_of(a_round(cast, now), "Security")
    type(cast.sam).objects.filter(pk=cast.sam.pk).update(is_active=False)
    refused(door, seat, stand_in, now, api)


@every_door
def test_who_left_the_group_has_no_vote_to_give(cast, chain, stand_in, api, now, door):
    make_person("sid", ("security_lead",))
    stand(cast.sam, stand_in, now)
    seat = seat_of(a_round(cast, now), "Security")
    cast.sam.groups.clear()
    refused(door, seat, stand_in, now, api)


# --- when ---


@every_door
@pytest.mark.parametrize(
    ("start", "end", "votes"),
    [(-HOUR, HOUR, True), (-2 * HOUR, -SECOND, False), (timedelta(minutes=5), HOUR, False), (-2 * HOUR, timedelta(minutes=5), True)],
)
def test_only_within_its_time(cast, chain, stand_in, api, now, door, start, end, votes):
    made = now - 3 * HOUR
    delegate("nina", actor=cast.sam, now=made, starts_at=now + start, ends_at=now + end)
    seat = seat_of(a_round(cast, now), "Security")
    if votes:
        assert DOORS[door](seat, stand_in, now, api) == 200
    else:
        refused(door, seat, stand_in, now, api)


@pytest.mark.parametrize(
    ("moment", "votes"), [(-SECOND, False), (timedelta(0), True), (HOUR - timedelta(microseconds=1), True), (HOUR, False), (HOUR + SECOND, False)]
)
def test_to_the_second(cast, chain, stand_in, now, moment, votes):
    stand(cast.sam, stand_in, now, starts_at=now + DAY, ends_at=now + DAY + HOUR)
    seat = seat_of(a_round(cast, now), "Security")
    assert by_verb(seat, stand_in, now + DAY + moment, None) == (200 if votes else 403)


@every_door
def test_a_revoked_one_ends_at_once(cast, chain, stand_in, api, now, door):
    revoke_delegation(stand(cast.sam, stand_in, now).pk, actor=cast.sam, now=now)
    refused(door, seat_of(a_round(cast, now), "Security"), stand_in, now, api)


# --- for what ---


SCOPES = {
    "all": ("all", "", True),
    "this chain": ("chain", "Ours", True),
    "another chain": ("chain", "Major change", False),
    "this type": ("type", "normal", True),
    "another type": ("type", "major", False),
    "this unit": ("org_unit", "payments", True),
    "the unit above": ("org_unit", "company", True),
    "another unit": ("org_unit", "sales", False),
    "a unit below": ("org_unit", "cards", False),
}


@every_door
@pytest.mark.parametrize("scope", SCOPES)
def test_only_within_its_scope(cast, chain, stand_in, api, now, door, scope):
    kind, value, votes = SCOPES[scope]
    OrgUnit.objects.create(slug="sales", name="Sales", parent=OrgUnit.objects.get(slug="company"))
    OrgUnit.objects.create(slug="cards", name="Cards", parent=OrgUnit.objects.get(slug="payments"))
    stand(cast.sam, stand_in, now, scope=(kind, value))
    seat = seat_of(a_round(cast, now, org_unit=OrgUnit.objects.get(slug="payments")), "Security")
    if votes:
        assert DOORS[door](seat, stand_in, now, api) == 200
    else:
        refused(door, seat, stand_in, now, api)


@every_door
def test_one_for_a_change_is_for_that_change(cast, chain, stand_in, api, now, door):
    change, other = a_change(cast.rita, now), a_change(cast.rita, now)
    stand(cast.sam, stand_in, now, scope=("change", change.number))
    refused(door, seat_of(in_review(other, now), "Security"), stand_in, now, api)
    assert DOORS[door](seat_of(in_review(change, now), "Security"), stand_in, now, api) == 200


@every_door
def test_nobody_picks_the_voter_of_one_change_once_its_vote_is_open(cast, chain, stand_in, api, now, door):
    round = in_review(a_change(cast.rita, now - HOUR), now - HOUR)
    stand(cast.sam, stand_in, now, scope=("change", round.change.number))
    refused(door, seat_of(round, "Security"), stand_in, now, api)


def test_one_for_a_change_made_before_its_level_opens_counts_there(cast, chain, stand_in, now):
    round = in_review(a_change(cast.rita, now - HOUR), now - HOUR)
    stand(cast.tina, stand_in, now - HOUR + SECOND, scope=("change", round.change.number))
    vote_of(round, "Security", cast.sam, now)
    assert vote_of(round, "Technical", stand_in, now).level.round.outcome == "approved"


@every_door
def test_a_wider_one_counts_though_the_vote_is_open_already(cast, chain, stand_in, api, now, door):
    round = in_review(a_change(cast.rita, now - HOUR), now - HOUR)
    stand(cast.sam, stand_in, now)
    assert DOORS[door](seat_of(round, "Security"), stand_in, now, api) == 200


def test_but_not_where_the_one_who_gives_it_has_voted_in_that_round(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("security_lead", "Security"), a_seat("technical_lead", "Technical")), name="Both")
    round = in_review(a_change(cast.rita, now - HOUR), now - HOUR)
    vote_of(round, "Security", cast.sam, now - HOUR)
    withdraw_vote(seat_of(round, "Security").pk, actor=cast.sam, now=now - HOUR, reason="Not mine to give")
    stand(cast.sam, stand_in, now)
    with pytest.raises(NotPermitted):
        vote_of(round, "Security", stand_in, now)


def test_the_narrowest_of_several_is_the_one_that_holds(cast, chain, now):
    people = {name: make_person(name) for name in ("wide", "unit", "kind", "chain", "exact")}
    change = a_change(cast.rita, now, org_unit=OrgUnit.objects.get(slug="payments"))
    made = [
        ("wide", "all", ""),
        ("unit", "org_unit", "company"),
        ("kind", "type", "normal"),
        ("chain", "chain", "Ours"),
        ("exact", "change", change.number),
    ]
    rows = {name: stand(cast.sam, people[name], now, scope=(kind, value)) for name, kind, value in made}
    seat = seat_of(in_review(change, now), "Security")
    for name in reversed(people):
        able = {one.user.username for one in sitters([seat], now=now)[seat.pk]}
        assert able == {"sam", name}
        revoke_delegation(rows[name].pk, actor=cast.sam, now=now)
    assert {one.user.username for one in sitters([seat], now=now)[seat.pk]} == {"sam"}


# --- steps ---


@every_door
def test_over_two_people_it_does_not_go(cast, chain, stand_in, api, now, door, settings):
    settings.DELEGATION_HOPS = 2
    middle = make_person("mia")
    stand(cast.sam, middle, now)
    stand(middle, stand_in, now)
    settings.DELEGATION_HOPS = 1
    seat = seat_of(a_round(cast, now), "Security")
    refused(door, seat, stand_in, now, api)
    assert DOORS[door](seat, middle, now, api) == 200


def test_the_setting_lets_it_go_further_and_the_vote_stays_that_of_the_first(cast, chain, stand_in, now, settings):
    settings.DELEGATION_HOPS = 2
    middle = make_person("mia")
    stand(cast.sam, middle, now)
    stand(middle, stand_in, now)
    vote_of(a_round(cast, now), "Security", stand_in, now)
    assert Vote.objects.get().on_behalf_of == cast.sam


# --- counting ---


def test_a_delegate_who_is_asked_too_counts_once(cast, seeded, now):
    a_chain(a_level(a_seat("approver", "Peer", required=2)), name="Two")
    stand(cast.petra, cast.paul, now)
    round = a_round(cast, now)
    seats = list(Seat.objects.filter(level__round=round).order_by("position"))
    for seat in (*seats, *seats):
        cast_vote(seat.pk, actor=cast.paul, now=now, vote="approve", digest=seat.level.digest, comment=f"at {seat.pk}")
    votes = Vote.objects.filter(superseded=False)
    assert [(vote.by, vote.on_behalf_of) for vote in votes] == [(cast.paul, None)]
    assert RoundLevel.objects.get(round=round).state == "open"
    vote_of(round, "Peer", cast.petra, now)
    seat = next(one for one in seats if one.pk != votes.get(by=cast.paul).seat_id)
    assert Vote.objects.filter(superseded=False).count() == 2 and seat.pk
    assert RoundLevel.objects.get(round=round).state == "approved"


def test_who_stands_in_for_two_gives_one_vote(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("approver", "Peer", required=2)), name="Two")
    stand(cast.petra, stand_in, now)
    stand(cast.paul, stand_in, now)
    round = a_round(cast, now)
    for seat in Seat.objects.filter(level__round=round):
        cast_vote(seat.pk, actor=stand_in, now=now, vote="approve", digest=seat.level.digest, comment=str(seat.pk))
    assert Vote.objects.filter(superseded=False).count() == 1 and RoundLevel.objects.get(round=round).state == "open"


def test_two_stand_ins_of_one_person_give_one_vote(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("approver", "Peer", required=2)), name="Two")
    other = make_person("nora")
    stand(cast.petra, stand_in, now, scope=("type", "normal"))
    stand(cast.petra, other, now)
    round = a_round(cast, now)
    seats = list(Seat.objects.filter(level__round=round))
    cast_vote(seats[0].pk, actor=stand_in, now=now, vote="approve", digest=seats[0].level.digest)
    with pytest.raises(DomainError) as refusal:
        cast_vote(seats[1].pk, actor=other, now=now, vote="approve", digest=seats[1].level.digest)
    assert refusal.value.status in (403, 409)
    assert Vote.objects.filter(superseded=False).count() == 1


def test_in_person_overrules_the_stand_in_until_the_level_is_decided_and_not_the_other_way_round(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("security_lead", "Security"), a_seat("technical_lead", "Technical")), name="Both")
    stand(cast.sam, stand_in, now)
    round = a_round(cast, now)
    vote_of(round, "Security", stand_in, now)
    vote_of(round, "Security", cast.sam, now, vote="abstain")
    counting = Vote.objects.get(superseded=False)
    assert (counting.by, counting.on_behalf_of, counting.vote) == (cast.sam, None, "abstain")
    assert Event.objects.filter(action="vote.superseded").count() == 1
    with pytest.raises(NotPossible):
        vote_of(round, "Security", stand_in, now)
    vote_of(round, "Technical", cast.tina, now)
    assert RoundLevel.objects.get(round=round).state == "approved"
    with pytest.raises(NotPossible):
        vote_of(round, "Security", cast.sam, now, vote="reject")


def test_a_vote_already_decided_in_person_takes_nothing_from_who_gives_it(cast, chain, stand_in, now):
    """A requester can't get rid of an approver by standing in for them, nor by letting them stand in: the approver's own vote stays."""
    stand(cast.sam, cast.rita, now)
    stand(cast.rita, cast.sam, now + 8 * DAY, ends_at=now + 9 * DAY)
    stand(cast.ian, cast.tina, now)
    round = a_round(cast, now)
    vote_of(round, "Security", cast.sam, now)
    vote_of(round, "Technical", cast.tina, now)
    assert [(vote.by.username, vote.on_behalf_of) for vote in Vote.objects.order_by("pk")] == [("sam", None), ("tina", None)]


def test_revoking_takes_back_what_has_decided_nothing_yet_and_leaves_the_rest(cast, seeded, stand_in, now):
    a_chain(
        a_level(a_seat("security_lead", "Security"), name="First"), a_level(a_seat("security_lead", "Again"), a_seat("technical_lead", "Technical"), number=2),
        name="Twice",
    )  # fmt: skip
    row = stand(cast.sam, stand_in, now)
    round = a_round(cast, now)
    vote_of(round, "Security", stand_in, now)
    vote_of(round, "Again", stand_in, now)
    revoke_delegation(row.pk, actor=cast.sam, now=now + HOUR)
    assert list(Vote.objects.order_by("pk").values_list("superseded", flat=True)) == [False, True]
    assert seat_of(round, "Again").state == "open" and seat_of(round, "Security").state == "voted"
    assert Event.objects.filter(action="vote.superseded").count() == 1
    judge_votes(row, now=now + HOUR)
    assert Event.objects.filter(action="vote.superseded").count() == 1, "asked again it changes nothing"
    vote_of(round, "Again", cast.sam, now + HOUR)


def test_what_was_voted_in_time_stays_when_the_time_is_over(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("security_lead", "Security"), a_seat("technical_lead", "Technical")), name="Both")
    stand(cast.sam, stand_in, now, ends_at=now + HOUR)
    round = a_round(cast, now)
    vote_of(round, "Security", stand_in, now)
    vote_of(round, "Technical", cast.tina, now + DAY)
    assert RoundLevel.objects.get(round=round).state == "approved"


def test_a_stand_in_who_comes_to_have_a_part_loses_the_vote(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("security_lead", "Security"), a_seat("technical_lead", "Technical")), name="Both")
    stand(cast.sam, stand_in, now)
    round = a_round(cast, now)
    vote_of(round, "Security", stand_in, now)
    round.change.authorships.create(version=round.version, user=stand_in)
    vote_of(round, "Technical", cast.tina, now)
    assert Vote.objects.get(by=stand_in).superseded and RoundLevel.objects.get(round=round).state == "open"


def test_the_vote_of_a_stand_in_who_leaves_falls_while_it_has_decided_nothing(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("security_lead", "Security"), a_seat("technical_lead", "Technical")), name="Both")
    stand(cast.sam, stand_in, now)
    round = a_round(cast, now)
    vote_of(round, "Security", stand_in, now)
    deactivate("nina", actor=cast.ada, now=now)
    leave("nina", now=now)
    assert Vote.objects.get().superseded and seat_of(round, "Security").state == "open"
    assert vote_of(round, "Security", cast.sam, now).state == "voted"


def test_a_vote_caught_by_the_revocation_is_refused(cast, chain, stand_in, now, monkeypatch):
    """Between the look at who may sit and the vote, the delegation is revoked."""
    row = stand(cast.sam, stand_in, now)
    seat = seat_of(a_round(cast, now), "Security")
    found = sitters([seat], now=now)
    Delegation.objects.filter(pk=row.pk).update(revoked_at=now)
    monkeypatch.setattr("changemgmt.approvals.sitting.stand_ins", lambda seats, own, *, now: {one.pk: found[seat.pk][1:] for one in seats})
    with pytest.raises(NotPermitted, match="revoked just now"):
        cast_vote(seat.pk, actor=stand_in, now=now, vote="approve", digest=seat.level.digest)


def test_the_same_vote_again_is_the_same_vote(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("security_lead", "Security"), a_seat("technical_lead", "Technical")), name="Both")
    stand(cast.sam, stand_in, now)
    round = a_round(cast, now)
    for _ in range(3):
        vote_of(round, "Security", stand_in, now)
    assert Vote.objects.count() == Event.objects.filter(action="vote.cast").count() == 1


def test_only_who_gave_it_takes_a_stand_in_s_vote_back(cast, seeded, stand_in, now):
    a_chain(a_level(a_seat("security_lead", "Security"), a_seat("technical_lead", "Technical")), name="Both")
    stand(cast.sam, stand_in, now)
    round = a_round(cast, now)
    seat = vote_of(round, "Security", stand_in, now)
    withdraw_vote(seat.pk, actor=stand_in, now=now, reason="On second thought")
    assert not Vote.objects.filter(superseded=False).exists() and seat_of(round, "Security").state == "open"


# --- the queue, and what one sees ---


def test_the_queue_names_for_whom_and_is_empty_once_it_is_over(cast, chain, stand_in, api, now):
    row = stand(cast.sam, stand_in, now)
    round = a_round(cast, now)
    shown = api(stand_in).get("/api/v1/approvals/").json()["results"]
    assert [(one["change"], one["on_behalf_of"]) for one in shown] == [(round.change.number, "sam")]
    assert queue_of(cast.sam, now)[0].on_behalf_of is None
    assert api(stand_in).get("/api/v1/me/").json()["counts"]["approvals"] == 1
    revoke_delegation(row.pk, actor=cast.sam, now=now)
    assert queue_of(stand_in, now) == [] and queue_of(stand_in, now + 8 * DAY) == []


def test_the_queue_of_who_has_a_part_shows_nothing_of_it(cast, chain, now):
    stand(cast.sam, cast.rita, now)
    stand(cast.tina, cast.ian, now)
    a_round(cast, now)
    assert queue_of(cast.rita, now) == queue_of(cast.ian, now) == []


def test_the_queue_asks_the_database_the_same_for_however_many_one_stands_in(cast, seeded, stand_in, now, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    a_chain(a_level(a_seat("approver", "Peer")), name="One")
    counts = []
    for turn in range(2):
        for number in range(4):
            helper = make_person(f"peer{turn}{number}", ("approver",))
            stand(helper, stand_in, now)
            a_round(cast, now)
        with CaptureQueriesContext(connection) as asked:
            assert len(queue_of(type(stand_in).objects.get(pk=stand_in.pk), now)) == 4 * (turn + 1)
        counts.append(len(asked))
    assert counts[0] == counts[1], counts


def sees(user, change):
    return visible_to(type(user).objects.get(pk=user.pk)).filter(pk=change.pk).exists()


@pytest.fixture
def secret(cast, chain, now):
    """A confidential change whose first level asks Sam."""
    round = a_round(cast, now, confidential=True)
    settle_rights(round.change, now=now)
    return round


def test_a_confidential_change_is_seen_by_who_stands_in_while_the_vote_is_open(cast, secret, stand_in, api, now):
    assert not sees(stand_in, secret.change)
    stand(cast.sam, stand_in, now)
    assert sees(stand_in, secret.change)
    assert api(stand_in).get(f"/api/v1/changes/{secret.change.number}/").status_code == 200
    assert not sees(make_person("nora"), secret.change)


def test_and_not_before_nor_after_it_lasts(cast, secret, stand_in, now):
    stand(cast.sam, stand_in, now, starts_at=now + DAY, ends_at=now + 2 * DAY)
    assert not sees(stand_in, secret.change)
    begin_due_delegations(now=now + DAY)
    assert sees(stand_in, secret.change)
    begin_due_delegations(now=now + 2 * DAY)
    assert not sees(stand_in, secret.change)


def test_nor_once_it_is_revoked_or_ended(cast, secret, stand_in, now):
    row = stand(cast.sam, stand_in, now)
    revoke_delegation(row.pk, actor=stand_in, now=now)
    assert not sees(stand_in, secret.change)
    row = stand(cast.sam, stand_in, now)
    change_delegation(row.pk, actor=cast.sam, now=now + HOUR, ends_at=now + HOUR)
    assert not sees(stand_in, secret.change)


def test_nor_once_the_level_is_decided_by_somebody_else(cast, secret, stand_in, now):
    stand(cast.sam, stand_in, now)
    vote_of(secret, "Security", cast.sam, now)
    assert not sees(stand_in, secret.change)


def test_who_voted_for_somebody_still_sees_what_they_decided(cast, secret, stand_in, now):
    stand(cast.sam, stand_in, now)
    vote_of(secret, "Security", stand_in, now)
    assert sees(stand_in, secret.change)


def test_a_stand_in_for_something_else_sees_nothing(cast, secret, stand_in, now):
    stand(cast.sam, stand_in, now, scope=("type", "major"))
    stand(cast.tina, stand_in, now)
    assert not sees(stand_in, secret.change)


def test_a_change_that_opens_later_is_seen_too(cast, chain, stand_in, now):
    stand(cast.sam, stand_in, now)
    change = a_change(cast.rita, now, confidential=True)
    in_review(change, now)
    settle_rights(Change.objects.get(pk=change.pk), now=now)
    assert sees(stand_in, change)


def test_who_stands_in_is_told_that_a_vote_is_needed(cast, chain, stand_in, now):
    stand(cast.sam, stand_in, now)
    a_round(cast, now)
    tell(Event.objects.get(action="approval.level_opened").pk)
    assert set(Notification.objects.filter(channel="app").values_list("recipient__username", flat=True)) == {"sam", "nina"}


def test_the_record_of_a_vote_names_its_delegation(cast, chain, stand_in, now):
    row = stand(cast.sam, stand_in, now)
    vote_of(a_round(cast, now), "Security", stand_in, now)
    assert Vote.objects.get().delegation == row == Delegation.objects.get()


def link(*users):
    identity = Identity.objects.create(name="one human being")
    for user in users:
        type(user).objects.filter(pk=user.pk).update(identity=identity)
        user.refresh_from_db()


@pytest.mark.parametrize("how", ["revoked", "over"])
def test_the_claim_of_a_delegate_ends_with_the_delegation(cast, seeded, stand_in, now, how):
    a_chain(a_level(a_seat("approver", "Peer")))
    round = a_round(cast, now)
    row = stand(cast.paul, stand_in, now, ends_at=now + HOUR)
    claim_seat(seat_of(round, "Peer").pk, actor=stand_in, now=now)
    with pytest.raises(NotPossible):
        vote_of(round, "Peer", cast.petra, now)
    if how == "revoked":
        revoke_delegation(row.pk, actor=cast.paul, now=now)
    else:
        now += HOUR
        begin_due_delegations(now=now)
    vote_of(round, "Peer", cast.petra, now)
    assert Change.objects.get(pk=round.change_id).state == "approved"


# --- who arranged it ---


@every_door
def test_nobody_with_a_part_in_a_change_chooses_who_judges_it_for_another(door, cast, chain, stand_in, api, now):
    own = in_review(a_change(cast.ada, now, implementers=(cast.ian,)), now)
    stand(cast.ada, stand_in, now, delegator="sam")
    with pytest.raises(NotPermitted, match="who chose you"):
        vote_of(own, "Security", stand_in, now)
    assert DOORS[door](seat_of(own, "Security"), stand_in, now, api) == 403
    assert not Vote.objects.exists() and queue_of(stand_in, now) == []
    other = a_round(cast, now)
    assert DOORS[door](seat_of(other, "Security"), stand_in, now, api) == 200
    assert Vote.objects.get().on_behalf_of == cast.sam


def test_a_vote_falls_when_who_arranged_it_gets_a_part_in_the_change(cast, chain, stand_in, now):
    a_chain(a_level(a_seat("security_lead", "Security"), a_seat("technical_lead", "Technical")), name="Both", order=0)
    round = a_round(cast, now)
    stand(cast.ada, stand_in, now, delegator="sam")
    vote_of(round, "Security", stand_in, now)
    Change.objects.filter(pk=round.change_id).update(go_ahead_by=cast.ada)
    vote_of(round, "Technical", cast.tina, now)
    assert list(Vote.objects.filter(superseded=False).values_list("by__username", flat=True)) == ["tina"]
    assert Change.objects.get(pk=round.change_id).state == "in_review"
