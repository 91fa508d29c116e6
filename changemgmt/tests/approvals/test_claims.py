"""Votes that several could give: claimed by one of the group, released, given to somebody else by a change manager."""

from datetime import timedelta

import pytest
from django.core.management import call_command

from changemgmt.accounts.models import Delegation, Identity
from changemgmt.approvals.models import MailLink, Seat, Vote
from changemgmt.approvals.queue import queue_of
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, ChangeRight
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible
from changemgmt.lifecycle.claim import claim_seat, reassign_seat, release_seat
from changemgmt.lifecycle.edit import edit_change
from changemgmt.lifecycle.manage_people import deactivate
from changemgmt.lifecycle.membership import leave
from changemgmt.lifecycle.vote import cast_vote, withdraw_vote
from changemgmt.notifications.actions import tell
from changemgmt.notifications.models import Notification
from changemgmt.tests.cast import make_person

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"


@pytest.fixture
def round(cast, seeded, now):
    """Asked of the group approver, which is Petra and Paul."""
    return in_review(a_change(cast.rita, now, owner=cast.max, implementers=(cast.ian,)), now)


@pytest.fixture
def seat(round):
    return seat_of(round, "Peer")


def waits_for(user, now):
    return [row.seat.pk for row in queue_of(user, now)]


def again(seat):
    return Seat.objects.get(pk=seat.pk)


# --- claiming ---


def test_a_claimed_vote_leaves_the_queues_of_the_others(cast, seat, now):
    assert waits_for(cast.petra, now) == waits_for(cast.paul, now) == [seat.pk]
    claim_seat(seat.pk, actor=cast.petra, now=now)
    assert waits_for(cast.petra, now) == [seat.pk]
    assert waits_for(cast.paul, now) == []
    assert queue_of(cast.petra, now)[0].claimed_by == cast.petra
    assert Event.objects.filter(action="seat.claimed").count() == 1


def test_a_claim_ends_by_itself_when_its_time_is_over(cast, seat, now, settings):
    settings.CLAIM_HOURS = 3
    claim_seat(seat.pk, actor=cast.petra, now=now)
    assert waits_for(cast.paul, now + timedelta(hours=3, seconds=-1)) == []
    assert waits_for(cast.paul, now + timedelta(hours=3)) == [seat.pk]
    claim_seat(seat.pk, actor=cast.paul, now=now + timedelta(hours=3))
    assert waits_for(cast.petra, now + timedelta(hours=4)) == []


def test_nobody_else_votes_at_a_claimed_seat_and_is_told_who_claimed_it(cast, seat, round, now):
    claim_seat(seat.pk, actor=cast.petra, now=now)
    with pytest.raises(NotPossible, match="Petra"):
        vote_of(round, "Peer", cast.paul, now)
    assert not Vote.objects.exists()
    vote_of(round, "Peer", cast.petra, now)
    assert Vote.objects.get().by == cast.petra


def test_a_released_vote_is_everybodys_again(cast, seat, round, now):
    claim_seat(seat.pk, actor=cast.petra, now=now)
    release_seat(seat.pk, actor=cast.petra, now=now)
    assert waits_for(cast.paul, now) == [seat.pk]
    vote_of(round, "Peer", cast.paul, now)


def test_a_change_manager_releases_a_claim_and_the_claimer_is_told(cast, seat, now):
    claim_seat(seat.pk, actor=cast.petra, now=now)
    release_seat(seat.pk, actor=cast.max, now=now)
    tell(Event.objects.get(action="seat.released").pk)
    assert set(Notification.objects.values_list("recipient__username", flat=True)) == {"petra"}


@pytest.mark.parametrize("who", ["paul", "rita", "olga", "ada", "aud"])
def test_others_do_not_release_a_claim(cast, seat, now, who):
    claim_seat(seat.pk, actor=cast.petra, now=now)
    with pytest.raises(NotPermitted):
        release_seat(seat.pk, actor=getattr(cast, who), now=now)
    assert again(seat).claimed_by == cast.petra


@pytest.mark.parametrize("who", ["rita", "ian", "vera", "olga", "ada", "max", "sam"])
def test_who_is_not_asked_claims_nothing(cast, seat, now, who):
    with pytest.raises(NotPermitted):
        claim_seat(seat.pk, actor=getattr(cast, who), now=now)
    assert again(seat).claimed_by is None


def test_claiming_what_somebody_claimed_or_what_is_voted_or_not_a_groups_is_not_possible(cast, seeded, seat, round, now):
    claim_seat(seat.pk, actor=cast.petra, now=now)
    with pytest.raises(NotPossible, match="Petra"):
        claim_seat(seat.pk, actor=cast.paul, now=now)
    vote_of(round, "Peer", cast.petra, now)
    with pytest.raises(NotPossible):
        claim_seat(seat.pk, actor=cast.paul, now=now)
    a_chain(a_level({"label": "Paul himself", "user": "paul"}))
    named = seat_of(in_review(a_change(cast.rita, now), now), "Paul himself")
    with pytest.raises(NotPossible, match="by name"):
        claim_seat(named.pk, actor=cast.paul, now=now)


def test_releasing_what_nobody_claimed_is_not_possible(cast, seat, now):
    with pytest.raises(NotPossible):
        release_seat(seat.pk, actor=cast.max, now=now)


def test_one_person_claims_one_vote_of_a_level(cast, seeded, now):
    a_chain(a_level(a_seat("approver", required=2)))
    round = in_review(a_change(cast.rita, now), now)
    first, second = Seat.objects.filter(level__round=round)
    claim_seat(first.pk, actor=cast.petra, now=now)
    with pytest.raises(NotPossible, match="another vote"):
        claim_seat(second.pk, actor=cast.petra, now=now)
    claim_seat(first.pk, actor=cast.petra, now=now + timedelta(hours=1))
    assert again(first).claimed_until == now + timedelta(hours=9)
    assert waits_for(cast.paul, now) == [second.pk]


def test_a_claim_of_somebody_who_left_holds_nobody_up(cast, seat, now):
    claim_seat(seat.pk, actor=cast.petra, now=now)
    cast.petra.groups.clear()
    leave("petra", now=now)
    assert again(seat).claimed_by is None
    assert waits_for(cast.paul, now) == [seat.pk]


def test_a_claim_of_a_deactivated_account_holds_nobody_up(cast, seat, round, now):
    claim_seat(seat.pk, actor=cast.petra, now=now)
    deactivate("petra", actor=cast.ada, now=now)
    assert waits_for(cast.paul, now) == [seat.pk]
    vote_of(round, "Peer", cast.paul, now)


def test_a_withdrawn_vote_does_not_keep_its_claim(cast, seat, round, now, seeded):
    a_chain(a_level(a_seat("approver", required=2)))
    round = in_review(a_change(cast.rita, now), now)
    first = Seat.objects.filter(level__round=round).first()
    claim_seat(first.pk, actor=cast.petra, now=now)
    cast_vote(first.pk, actor=cast.petra, now=now, vote="approve", digest=first.level.digest)
    withdraw_vote(first.pk, actor=cast.petra, now=now, reason="second thoughts")
    assert again(first).claimed_by is None


# --- reassigning ---


@pytest.fixture
def named(cast, seeded, now):
    """A seat that asks Paul by name, and Sam beside him."""
    a_chain(a_level({"label": "Paul", "user": "paul"}, {"label": "Sam", "user": "sam"}))
    return seat_of(in_review(a_change(cast.rita, now, implementers=(cast.ian,)), now), "Paul")


def test_a_change_manager_asks_somebody_else_and_rights_and_queue_follow(cast, named, now):
    reassign_seat(named.pk, actor=cast.max, now=now, to="petra", reason="Paul is on a ship.")
    seat = again(named)
    assert (seat.group, list(seat.people.all()), seat.reassigned_from) == ("", [cast.petra], "paul")
    assert waits_for(cast.paul, now) == []
    assert waits_for(cast.petra, now) == [named.pk]
    rights = ChangeRight.objects.filter(permission__codename="vote_change", content_object=named.level.round.change)
    assert set(rights.values_list("user__username", flat=True)) == {"petra", "sam"}
    with pytest.raises(NotPermitted):
        cast_vote(named.pk, actor=cast.paul, now=now, vote="approve", digest=named.level.digest)
    cast_vote(named.pk, actor=cast.petra, now=now, vote="approve", digest=named.level.digest)
    event = Event.objects.get(action="seat.reassigned")
    tell(event.pk)
    assert set(Notification.objects.values_list("recipient__username", flat=True)) == {"petra"}


def test_a_groups_vote_is_given_to_one_person_and_the_group_is_out(cast, seat, round, now):
    claim_seat(seat.pk, actor=cast.petra, now=now)
    reassign_seat(seat.pk, actor=cast.max, now=now, to="arno")
    assert again(seat).claimed_by is None
    assert again(seat).reassigned_from == "approver"
    assert waits_for(cast.petra, now) == waits_for(cast.paul, now) == []
    assert waits_for(cast.arno, now) == [seat.pk]


def test_whom_the_chain_asked_stays_on_record_over_two_reassignments(cast, named, now):
    reassign_seat(named.pk, actor=cast.max, now=now, to="petra")
    reassign_seat(named.pk, actor=cast.max, now=now, to="arno")
    assert again(named).reassigned_from == "paul"


def test_links_that_were_sent_out_for_the_seat_are_dead(cast, named, now):
    values = {"version": 1, "digest": "x", "created_at": now, "expires_at": now + timedelta(days=3)}
    link = MailLink.objects.create(token_hash="a", seat=named, user=cast.paul, action="approve", **values)
    reassign_seat(named.pk, actor=cast.max, now=now, to="petra")
    assert MailLink.objects.get(pk=link.pk).revoked_at == now


@pytest.mark.parametrize("who", ["rita", "paul", "petra", "ian", "ada", "aud", "olga"])
def test_only_a_change_manager_asks_somebody_else(cast, named, now, who):
    with pytest.raises(NotPermitted):
        reassign_seat(named.pk, actor=getattr(cast, who), now=now, to="arno")


def test_a_change_manager_with_a_part_in_the_change_does_not_choose_its_judges(cast, seeded, now):
    seat = seat_of(in_review(a_change(cast.max, now), now), "Peer")
    with pytest.raises(NotPermitted, match="requested it"):
        reassign_seat(seat.pk, actor=cast.max, now=now, to="arno")


def test_nobody_asks_themselves_nor_another_account_of_theirs_nor_whom_they_stand_in_for(cast, named, now):
    with pytest.raises(NotPermitted, match="yourself"):
        reassign_seat(named.pk, actor=cast.max, now=now, to="max")
    other = make_person("max2")
    identity = Identity.objects.create(name="Max")
    for user in (cast.max, other):
        user.identity = identity
        user.save()
    with pytest.raises(NotPermitted, match="yourself"):
        reassign_seat(named.pk, actor=cast.max, now=now, to="max2")
    period = {"starts_at": now, "ends_at": now + timedelta(days=1), "created_by": cast.arno, "created_at": now}
    Delegation.objects.create(delegator=cast.arno, delegate=cast.max, **period)
    with pytest.raises(NotPermitted, match="stand in"):
        reassign_seat(named.pk, actor=cast.max, now=now, to="arno")
    Delegation.objects.update(delegate=other)
    with pytest.raises(NotPermitted, match="stand in"):
        reassign_seat(named.pk, actor=cast.max, now=now, to="arno")


@pytest.mark.parametrize("to", ["", "   ", "nobody-there", "a\x00b", "x" * 200, None, 5, ["petra"]])
def test_a_person_who_is_none_is_refused_at_the_field(cast, named, now, to):
    with pytest.raises(Invalid) as refused:
        reassign_seat(named.pk, actor=cast.max, now=now, to=to)
    assert "to" in refused.value.errors


def test_inactive_people_service_accounts_and_guests_are_never_asked(cast, named, now):
    for name, fields in {"gone": {"is_active": False}, "robot": {"is_service": True}, "visitor": {"is_guest": True}}.items():
        make_person(name, **fields)
        with pytest.raises(Invalid):
            reassign_seat(named.pk, actor=cast.max, now=now, to=name)


@pytest.mark.parametrize("to", ["rita", "ian", "paul"])
def test_people_with_a_part_in_the_change_and_who_is_asked_already_are_not_possible(cast, named, now, to):
    with pytest.raises(NotPossible):
        reassign_seat(named.pk, actor=cast.max, now=now, to=to)


def test_the_only_person_of_another_seat_is_not_put_on_two(cast, named, now):
    with pytest.raises(NotPossible, match="another vote"):
        reassign_seat(named.pk, actor=cast.max, now=now, to="sam")


def test_a_voted_seat_stays_who_voted(cast, named, now):
    cast_vote(named.pk, actor=cast.paul, now=now, vote="approve", digest=named.level.digest)
    with pytest.raises(NotPossible, match="voted"):
        reassign_seat(named.pk, actor=cast.max, now=now, to="petra")
    assert Vote.objects.get().superseded is False


def test_who_voted_at_the_level_is_not_asked_at_another_seat_of_it(cast, named, now):
    sams = named.level.seats.get(label="Sam")
    cast_vote(sams.pk, actor=cast.sam, now=now, vote="approve", digest=named.level.digest)
    with pytest.raises(NotPossible, match="has voted"):
        reassign_seat(named.pk, actor=cast.max, now=now, to="sam")


def test_a_seat_that_has_nobody_is_filled_by_asking_somebody(cast, named, now):
    deactivate("paul", actor=cast.ada, now=now)
    reassign_seat(named.pk, actor=cast.max, now=now, to="petra")
    for label, user in (("Paul", cast.petra), ("Sam", cast.sam)):
        seat = named.level.seats.get(label=label)
        cast_vote(seat.pk, actor=user, now=now, vote="approve", digest=named.level.digest)
    assert Change.objects.get(pk=named.level.round.change_id).state == "approved"


def test_a_later_round_asks_whom_the_manager_asked(cast, named, now):
    reassign_seat(named.pk, actor=cast.max, now=now, to="petra")
    change = named.level.round.change
    edit_change(change.number, {"description": "Another way."}, actor=cast.rita, now=now, seen=Change.objects.get(pk=change.pk).etag)
    fresh = seat_of(change.rounds.last(), "Paul")
    assert fresh.pk != named.pk
    assert (fresh.reassigned_from, [user.username for user in fresh.people.all()]) == ("paul", ["petra"])
    assert waits_for(cast.petra, now) == [fresh.pk]
    assert waits_for(cast.paul, now) == []


def test_a_confidential_change_is_not_there_for_who_may_not_see_it(cast, seeded, now):
    seat = seat_of(in_review(a_change(cast.rita, now, confidential=True), now), "Peer")
    for act in (claim_seat, release_seat):
        with pytest.raises(NotFound):
            act(seat.pk, actor=cast.olga, now=now)
    with pytest.raises(NotFound):
        reassign_seat(seat.pk, actor=cast.olga, now=now, to="petra")


# --- the doors ---


def test_over_the_api_a_vote_is_claimed_released_and_given_to_another(api, cast, round, seat):
    path = f"{V1}approvals/{seat.pk}/"
    assert api(cast.olga).post(f"{path}claim/").status_code == 403
    level = api(cast.petra).post(f"{path}claim/").json()
    assert level["seats"][0]["claimed_by"] == "petra"
    assert api(cast.paul).post(f"{path}claim/").status_code == 409
    refused = api(cast.paul).post(f"{path}vote/", {"vote": "approve", "digest": seat.level.digest})
    assert refused.status_code == 409
    assert "Petra" in refused.json()["detail"]
    assert api(cast.paul).post(f"{path}release/").status_code == 403
    assert api(cast.petra).post(f"{path}release/").json()["seats"][0]["claimed_by"] is None
    assert api(cast.petra).post(f"{path}release/").status_code == 403
    assert api(cast.max).post(f"{path}release/").status_code == 409
    assert api(cast.petra).post(f"{path}reassign/", {"to": "arno"}).status_code == 403
    assert api(cast.max).post(f"{path}reassign/", {}).status_code == 400
    assert api(cast.max).post(f"{path}reassign/", {"to": "arno", "seat": 3}).status_code == 400
    assert api(cast.max).post(f"{path}reassign/", {"to": "rita"}).status_code == 409
    assert api(cast.max).post(f"{path}reassign/", {"to": "max"}).status_code == 403
    answer = api(cast.max).post(f"{path}reassign/", {"to": "arno", "reason": "He knows it."}).json()
    assert (answer["seats"][0]["people"], answer["seats"][0]["reassigned_from"]) == (["arno"], "approver")
    for act in ("claim", "release", "reassign"):
        assert api(cast.max).get(f"{path}{act}/").status_code == 405
        assert api(cast.max).post(f"{V1}approvals/999999/{act}/", {"to": "arno"}).status_code == 404
    assert Event.objects.filter(action="access.denied").count() >= 4


def test_on_the_pages_a_vote_is_claimed_released_and_given_to_another(client, cast, round, seat):
    client.force_login(cast.petra)
    assert f"/approvals/{seat.pk}/claim/" in client.get("/approvals/").content.decode()
    assert client.post(f"/approvals/{seat.pk}/claim/")["Location"].startswith("/approvals/")
    text = client.get("/approvals/").content.decode()
    assert f"/approvals/{seat.pk}/release/" in text
    client.force_login(cast.paul)
    assert "Nothing waits for your vote" in client.get("/approvals/").content.decode()
    assert client.post(f"/approvals/{seat.pk}/claim/").status_code == 409
    assert client.get(f"/approvals/{seat.pk}/claim/").status_code == 405
    client.force_login(cast.max)
    assert f"/approvals/{seat.pk}/release/" in client.get(f"/changes/{round.change.number}/").content.decode()
    assert client.post(f"/approvals/{seat.pk}/release/").status_code == 302
    form = client.get(f"/approvals/{seat.pk}/reassign/")
    assert form.status_code == 200
    assert client.post(f"/approvals/{seat.pk}/reassign/", {"to": "rita"}).status_code == 409
    assert client.post(f"/approvals/{seat.pk}/reassign/", {"to": "nobody-there"}).status_code == 400
    assert client.post(f"/approvals/{seat.pk}/reassign/", {"to": "arno", "reason": "He knows it."}).status_code == 302
    assert list(again(seat).people.all()) == [cast.arno]
    client.force_login(cast.petra)
    assert client.get(f"/approvals/{seat.pk}/reassign/").status_code == 403


def test_on_the_command_line_too(cast, round, seat, monkeypatch, capsys):
    monkeypatch.setattr("getpass.getpass", lambda prompt: "a walk through the hills")
    number = round.change.number
    call_command("change", "claim", number, "--as", "petra")
    assert again(seat).claimed_by == cast.petra
    call_command("change", "release", number, "--as", "petra")
    assert again(seat).claimed_by is None
    call_command("change", "reassign", number, "--as", "max", "--seat", str(seat.pk), "--to", "arno", "--reason", "He knows it.")
    assert list(again(seat).people.all()) == [cast.arno]
    with pytest.raises(SystemExit):
        call_command("change", "reassign", number, "--as", "petra", "--seat", str(seat.pk), "--to", "paul")
