"""Taking one's own vote back, as a page, as a dialog and on the command line."""

import pytest
from django.core.management import call_command

from changemgmt.approvals.models import Seat, Vote
from changemgmt.changes.models import Change
from changemgmt.tests.cast import PASSWORD

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def voted(cast, seeded, now):
    """A level of two that Petra has approved at."""
    a_chain(a_level(a_seat("approver", required=2, label="Peer")))
    round = in_review(a_change(cast.rita, now, implementers=(cast.ian,)), now)
    vote_of(round, "Peer", cast.petra, now)
    return round


def test_who_voted_takes_it_back_on_the_page_with_a_reason(client, cast, voted):
    seat = seat_of(voted, "Peer")
    client.force_login(cast.petra)
    page = client.get(f"/changes/{voted.change.number}/").content.decode()
    assert f"/approvals/{seat.pk}/withdraw/" in page and "Change my vote" in page
    assert client.get(f"/approvals/{seat.pk}/withdraw/").status_code == 200
    assert client.post(f"/approvals/{seat.pk}/withdraw/", {"reason": " "}).status_code == 409
    assert Vote.objects.get().superseded is False
    assert client.post(f"/approvals/{seat.pk}/withdraw/", {"reason": "I misread it."}).status_code == 302
    assert Vote.objects.get().superseded_why == "Withdrawn: I misread it."
    assert Seat.objects.get(pk=seat.pk).state == Seat.State.OPEN


@pytest.mark.parametrize("who", ["paul", "rita", "ada", "vera"])
def test_nobody_else_takes_it_back(client, cast, voted, who):
    seat = seat_of(voted, "Peer")
    client.force_login(getattr(cast, who))
    assert "Withdraw my vote" not in client.get(f"/changes/{voted.change.number}/").content.decode()
    for answer in (client.get(f"/approvals/{seat.pk}/withdraw/"), client.post(f"/approvals/{seat.pk}/withdraw/", {"reason": "no"})):
        assert answer.status_code == 403
    assert Vote.objects.get().superseded is False


def test_a_vote_of_a_decided_level_opens_the_review_again(client, cast, voted, now):
    vote_of(voted, "Peer", cast.paul, now)
    assert Change.objects.get().state == "approved"
    client.force_login(cast.petra)
    assert client.post(f"/approvals/{seat_of(voted, 'Peer').pk}/withdraw/", {"reason": "New facts."}).status_code == 302
    assert Change.objects.get().state == "in_review"
    assert list(Vote.objects.filter(superseded=False, level__round__number=2).values_list("by__username", flat=True)) == ["paul"]


def test_the_command_takes_the_newest_vote_back(cast, voted, capsys, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda prompt: PASSWORD)
    number = voted.change.number
    call_command("change", "withdraw", number, "--as", "petra", "--reason", "Not yet.")
    assert "withdrawn" in capsys.readouterr().out
    assert Vote.objects.get().superseded
    with pytest.raises(SystemExit):
        call_command("change", "withdraw", number, "--as", "petra", "--reason", "Again.")


def test_a_vote_of_a_decided_level_is_taken_back_while_a_later_level_decides(api, cast, seeded, now):
    a_chain(a_level(a_seat("approver", "Peer"), name="First"), a_level(a_seat("security_lead", "Security"), number=2, name="Second"))
    round = in_review(a_change(cast.rita, now, implementers=(cast.ian,)), now)
    vote_of(round, "Peer", cast.petra, now)
    first = seat_of(round, "Peer")
    assert first.level.state == "approved"
    answer = api(cast.petra).post(f"/api/v1/approvals/{first.pk}/withdraw/", {"reason": "New facts."}, format="json")
    assert answer.status_code == 200 and answer.json()["state"] == "open"
    assert Change.objects.get().state == "in_review" and not Vote.objects.filter(superseded=False).exists()
    assert (seat_of(round, "Peer").level.round.number, seat_of(round, "Security").level.state) == (2, "waiting")
    vote_of(round, "Peer", cast.paul, now)
    vote_of(round, "Security", cast.sam, now)
    assert Change.objects.get().state == "approved"
