"""The queue, several votes at once, saying the same again, guests and blockers on the command line."""

import io
from datetime import timedelta

import pytest

from changemgmt.approvals.models import Guest, Vote
from changemgmt.lifecycle.reopen_review import reopen_expired
from changemgmt.tests import estate
from changemgmt.tests.approvals.making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of
from changemgmt.tests.cast import PASSWORD

from .calling import refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed(cast, seeded, now):
    """Two changes that wait for signed votes of the approvers."""
    a_chain(a_level(a_seat("approver"), require_signature=True))
    return [in_review(a_change(cast.rita, now, title=f"Change {number}"), now) for number in (1, 2)]


def votes_in(queue):
    return [f"{row['id']}={row['digest']}" for row in queue]


def test_the_queue_prints_what_a_vote_on_several_takes(run, cast, signed, monkeypatch):
    queue = run(cast.petra, "queue")
    assert [row["title"] for row in queue] == ["Change 1", "Change 2"]
    text = run(cast.petra, "queue", as_text=True)
    assert all(vote in text for vote in votes_in(queue))
    assert run(cast.vera, "queue") == [] and "Nothing waits" in run(cast.vera, "queue", as_text=True)

    bulk = ("bulk-vote", *votes_in(queue), "--vote", "approve", "--comment", "Both.")
    found = refused(run, cast.petra, *bulk)
    assert found.out.count("403") == 2 and not Vote.objects.exists()
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD))
    assert run(cast.petra, *bulk, "--password-stdin") == [{"id": row["id"], "ok": True, "problem": None} for row in queue]
    assert {(vote.by, vote.comment) for vote in Vote.objects.all()} == {(cast.petra, "Both.")}


@pytest.mark.parametrize("votes", [["1"], ["=x"], ["one=x"], ["1="]])
def test_votes_on_several_are_written_as_the_queue_prints_them(run, cast, signed, votes):
    assert "ID=DIGEST" in refused(run, cast.petra, "bulk-vote", *votes, "--vote", "approve", code=2).err


def test_a_strange_vote_among_several_refuses_them_all(run, cast, signed):
    votes = votes_in(run(cast.petra, "queue"))
    refused(run, cast.petra, "bulk-vote", *votes, f"99999={'0' * 64}", "--vote", "approve")
    refused(run, cast.vera, "bulk-vote", *votes, "--vote", "approve")
    assert not Vote.objects.exists()


def test_one_of_several_that_is_out_of_date_leaves_the_others(run, cast, seeded, now):
    a_chain(a_level(a_seat("approver")))
    for number in (1, 2):
        in_review(a_change(cast.rita, now, title=f"Change {number}"), now)
    first, second = run(cast.petra, "queue")
    said = refused(run, cast.petra, "bulk-vote", f"{first['id']}={'0' * 64}", f"{second['id']}={second['digest']}", "--vote", "approve", as_text=True)
    assert f"{first['id']}  refused: " in said.out and f"{second['id']}  voted approve" in said.out
    assert Vote.objects.get().seat_id == second["id"]


def test_the_same_is_said_again_where_nothing_moved(run, cast, seeded, now):
    a_chain(a_level(a_seat("approver"), expires_hours=10))
    before = now - timedelta(hours=11)
    round = in_review(a_change(cast.rita, before), before)
    vote_of(round, "approver", cast.petra, before, comment="Mind the gap.")
    number = round.change.number
    reopen_expired(number, now=now)
    digest = run(cast.petra, "queue")[0]["digest"]
    assert "--digest" in refused(run, cast.petra, "reconfirm", number, code=2).err
    refused(run, cast.petra, "reconfirm", number, "--digest", "0" * 64)
    assert "no earlier vote" in refused(run, cast.paul, "reconfirm", number, "--digest", digest).err
    refused(run, cast.vera, "reconfirm", number, "--digest", digest)
    assert run(cast.petra, "reconfirm", number, "--digest", digest)["state"] == "approved"
    assert Vote.objects.get(superseded=False).comment == "Mind the gap."


def test_guests_are_asked_listed_and_not_asked_any_more(run, cast, seeded, now):
    a_chain(a_level(a_seat("approver", "Partner"), allow_guests=True))
    round = in_review(a_change(cast.rita, now, owner=cast.max), now)
    number, seat = round.change.number, seat_of(round, "Partner")
    anna = ("--invite", "Dr. Anna Gast", "--seat", seat.pk, "--email", "anna@partner.example", "--code-to", "anna@home.example")
    refused(run, cast.rita, "guests", number, *anna)
    refused(run, cast.max, "guests", number, "--invite", "Anna", code=2)
    made = run(cast.max, "guests", number, *anna)
    assert (made["email"], made["active"]) == ("anna@partner.example", True)
    assert [row["email"] for row in run(cast.vera, "guests", number)] == [None]
    assert "anna@partner.example, code to anna@home.example" in run(cast.max, "guests", number, as_text=True)
    assert run(cast.max, "guests", number, "--revoke", made["id"])["active"] is False
    assert "not asked any more" in run(cast.vera, "guests", number, as_text=True)
    refused(run, cast.max, "guests", number, "--revoke", 99999)
    assert Guest.objects.count() == 1


def test_what_stands_in_the_way_is_printed_with_who_can_clear_it(run, cast, shop, now):
    change = estate.in_review(cast, now)
    found = run(cast.vera, "blockers", change.number)
    assert any("petra" in row["who_can_clear"] for row in found)
    printed = run(cast.vera, "blockers", change.number, as_text=True)
    for row in found:
        lines = [f"  {line}" for line in (row["rule"], *row["facts"])]
        assert row["rule"] and "\n".join(lines) in printed
        assert row["what"] in printed and all(who in printed for who in row["who_can_clear"])
    refused(run, cast.vera, "blockers", "CHG-1999-00001")


def test_words_that_are_too_long_are_refused_here_too(run, cast, shop, now):
    change = estate.in_review(cast, now)
    digest = run(cast.petra, "show", change.number)["my_seats"][0]["digest"]
    run(cast.petra, "vote", change.number, "--vote", "approve", "--digest", digest, "--condition", "Tell the desk;before_start;ian")
    assert "20,001" in refused(run, cast.petra, "withdraw", change.number, "--reason", "x" * 20_001, code=2).err
    condition = change.action_items.get()
    run(cast.ian, "evidence", change.number, condition.pk, "--text", "They know.")
    assert "20,001" in refused(run, cast.petra, "accept", change.number, condition.pk, "--comment", "x" * 20_001, code=2).err
    assert Vote.objects.get().superseded is False and condition.evidence == []
