"""What somebody saw last, what moved since, and saying the same again in one click."""

import re
from datetime import timedelta

import pytest

from changemgmt.approvals import looks
from changemgmt.approvals.models import ActionItem, Look, Seat, Vote
from changemgmt.approvals.queue import queue_of
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change
from changemgmt.core.errors import NotPermitted, NotPossible, OutOfDate, PreconditionMissing
from changemgmt.core.time import rfc3339
from changemgmt.lifecycle.edit import edit_change
from changemgmt.lifecycle.reconfirm import reconfirm_vote
from changemgmt.lifecycle.reopen_review import reopen_expired
from changemgmt.lifecycle.vote import withdraw_vote
from changemgmt.tests.cast import PASSWORD

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def round(cast, seeded, now):
    return in_review(a_change(cast.rita, now, owner=cast.max, description="The first way."), now)


def amend(round, cast, now, **fields):
    change = Change.objects.get(pk=round.change_id)
    edit_change(change.number, fields or {"description": "The second way."}, actor=cast.rita, now=now, seen=change.etag)
    return Change.objects.get(pk=round.change_id)


# --- looks ---


def test_a_look_of_who_is_asked_is_written_down_and_of_others_is_not(cast, round, now):
    for name in ("petra", "rita", "vera", "max"):
        assert looks.look(round.change, getattr(cast, name), now=now) is None
    assert list(Look.objects.values_list("user__username", flat=True)) == ["petra"]


def test_what_moved_since_the_last_look_is_shown_as_long_as_it_is_so(cast, round, now):
    looks.look(round.change, cast.petra, now=now)
    change = amend(round, cast, now)
    for hours in (1, 2, 3):
        found = looks.look(change, cast.petra, now=now + timedelta(hours=hours))
        assert (found.version, found.at, found.parts) == (1, now, ("texts",))
    differences = looks.differences_since(change, found)
    assert [(row["path"], row["before"], row["after"]) for row in differences] == [("texts.description", "The first way.", "The second way.")]


def test_each_sees_the_difference_since_their_own_look(cast, round, now):
    looks.look(round.change, cast.petra, now=now)
    second = amend(round, cast, now)
    looks.look(second, cast.paul, now=now)
    third = amend(round, cast, now, requested_start="2026-12-01T02:00:00Z", requested_end="2026-12-01T04:00:00Z")
    assert looks.look(third, cast.petra, now=now).parts == ("texts", "window")
    assert looks.look(third, cast.paul, now=now).parts == ("window",)


def test_somebody_who_voted_without_looking_sees_what_moved_since_the_vote(cast, seeded, now):
    a_chain(a_level(a_seat("approver", required=2)))
    round = in_review(a_change(cast.rita, now, description="The first way."), now)
    vote_of(round, "approver", cast.petra, now)
    found = looks.look(amend(round, cast, now), cast.petra, now=now)
    assert (found.version, found.voted, found.parts) == (1, True, ("texts",))


def test_pages_and_api_write_the_look_and_show_what_moved(client, api, cast, round, now):
    number, seat = round.change.number, seat_of(round, "Peer")
    client.force_login(cast.petra)
    paths = (f"/changes/{number}/", f"/approvals/{seat.pk}/vote/", f"/approvals/?selected={seat.pk}")
    for path in paths:
        assert "Changed since you" not in client.get(path).content.decode()
        assert Look.objects.count() == 1
        Look.objects.all().delete()
    assert api(cast.petra).get(f"{V1}changes/{number}/approval/").json()["changed_since_my_look"] is None
    assert Look.objects.count() == 1
    amend(round, cast, now)
    for path in paths:
        text = client.get(path).content.decode()
        assert "Changed since you looked at version 1" in text, path
        assert "the texts" in text
        assert "second" in text
    answer = api(cast.petra).get(f"{V1}changes/{number}/approval/").json()["changed_since_my_look"]
    assert (answer["version"], answer["parts"]) == (1, ["texts"])
    assert answer["differences"][0]["path"] == "texts.description"
    assert api(cast.rita).get(f"{V1}changes/{number}/approval/").json()["changed_since_my_look"] is None


def test_the_row_that_the_queue_shows_first_is_not_looked_at_by_that(client, cast, round, now):
    client.force_login(cast.petra)
    client.get("/approvals/")
    assert not Look.objects.exists()
    looks.look(round.change, cast.petra, now=now)
    amend(round, cast, now)
    assert "Changed since you looked at version 1:" in client.get("/approvals/").content.decode()
    assert Look.objects.get().version == 1


@pytest.fixture
def voted_below(cast, seeded, now):
    """Petra voted on version 1 without ever looking, at a level that watches the window alone; the next level asks her on version 2."""
    a_chain(
        a_level(a_seat("approver", "First"), watches=["window"]),
        a_level(a_seat("approver", "Second"), number=2, name="Next"),
    )
    round = in_review(a_change(cast.rita, now, description="The first way."), now)
    vote_of(round, "First", cast.petra, now)
    amend(round, cast, now)
    return seat_of(round, "Second")


def test_the_queue_tells_who_voted_without_looking_what_moved_since(client, cast, voted_below):
    row = queue_of(cast.petra, voted_below.level.round.opened_at)[0]
    assert (row.seat, row.changed_since_my_vote, row.my_last_vote, row.voted.version) == (voted_below, False, None, 1)
    client.force_login(cast.petra)
    text = client.get("/approvals/").content.decode()
    assert 'class="chip warn"' in text and "Changed since my vote" in text
    assert "Changed since you voted on version 1:" in text
    assert not Look.objects.exists()


def test_it_stays_beside_the_row_once_it_was_seen_and_the_row_is_quiet(client, cast, voted_below):
    client.force_login(cast.petra)
    number = voted_below.level.round.change.number
    for path in (f"/changes/{number}/", "/approvals/", f"/approvals/?selected={voted_below.pk}", f"/changes/{number}/"):
        assert "Changed since you voted on version 1:" in client.get(path).content.decode(), path
    assert "Changed since my vote" not in client.get("/approvals/").content.decode()


def test_the_row_says_too_what_moved_since_a_look_and_whether_the_level_watches_it(client, cast, seeded, now):
    a_chain(a_level(a_seat("approver"), watches=["window"]))
    round = in_review(a_change(cast.rita, now, description="The first way."), now)
    looks.look(round.change, cast.petra, now=now)
    client.force_login(cast.petra)
    assert "Changed since I looked" not in client.get("/approvals/").content.decode()
    amend(round, cast, now)
    text = client.get("/approvals/").content.decode()
    assert re.search(r'class="chip info"><svg[^>]*><use[^>]*#history"/></svg>Changed since I looked', text)


def test_what_the_level_does_not_watch_is_said_to_be_so(client, cast, seeded, now):
    a_chain(a_level(a_seat("approver"), watches=["window"]))
    round = in_review(a_change(cast.rita, now, description="The first way."), now)
    client.force_login(cast.petra)
    seat = seat_of(round, "approver")
    client.get(f"/approvals/{seat.pk}/vote/")
    amend(round, cast, now)
    assert "Nothing that your level watches." in client.get(f"/approvals/{seat.pk}/vote/").content.decode()


def test_what_changed_is_text_only(client, cast, round, now):
    client.force_login(cast.petra)
    client.get(f"/changes/{round.change.number}/")
    amend(round, cast, now, description="<script>alert(1)</script> is how it is done now, in four words or more")
    assert "<script>alert(1)" not in client.get(f"/changes/{round.change.number}/").content.decode()


# --- saying the same again ---


@pytest.fixture
def expired(cast, seeded, now):
    """Petra's approval with a condition, which ran out; she is asked again and nothing moved."""
    a_chain(a_level(a_seat("approver"), expires_hours=10))
    round = in_review(a_change(cast.rita, now, implementers=(cast.ian,)), now)
    vote_of(
        round, "approver", cast.petra, now, comment="Mind the gap.", conditions=[{"text": "Show the backup", "due": "before_start", "owner": "ian"}]
    )
    later = now + timedelta(hours=11)
    reopen_expired(round.change.number, now=later)
    return seat_of(round, "approver"), later


def test_who_is_asked_again_for_the_same_may_reconfirm_in_one_act(cast, expired):
    seat, later = expired
    row = queue_of(cast.petra, later)[0]
    assert (row.repeatable, row.changed_since_my_vote) == (True, False)
    reconfirm_vote(seat.pk, actor=cast.petra, now=later, digest=seat.level.digest)
    vote = Vote.objects.get(superseded=False)
    assert (vote.by, vote.vote, vote.comment, vote.at) == (cast.petra, "approve", "Mind the gap.", later)
    assert [row["text"] for row in vote.conditions] == ["Show the backup"]
    assert ActionItem.objects.filter(state="open").get().owner == cast.ian
    assert Change.objects.get(pk=seat.level.round.change_id).state == "approved_with_conditions"
    assert Event.objects.filter(action="vote.cast").count() == 2


def test_reconfirming_twice_is_reconfirming_once(cast, expired):
    seat, later = expired
    for _ in range(2):
        reconfirm_vote(seat.pk, actor=cast.petra, now=later, digest=seat.level.digest)
    assert Vote.objects.filter(superseded=False).count() == 1


def test_a_vote_whose_condition_ran_out_is_not_said_again_as_it_was(cast, expired):
    seat, later = expired
    vote = Vote.objects.get(by=cast.petra)
    for hours, offered in ((1, True), (-1, False)):
        vote.conditions[0] |= {"expires_at": rfc3339(later + timedelta(hours=hours)), "on_expiry": "reject"}
        vote.save()
        assert queue_of(cast.petra, later)[0].repeatable is offered
    with pytest.raises(NotPossible, match="no earlier vote"):
        reconfirm_vote(seat.pk, actor=cast.petra, now=later, digest=seat.level.digest)


def test_a_colleague_has_nothing_to_reconfirm(cast, expired):
    seat, later = expired
    assert queue_of(cast.paul, later)[0].repeatable is False
    with pytest.raises(NotPossible, match="no earlier vote"):
        reconfirm_vote(seat.pk, actor=cast.paul, now=later, digest=seat.level.digest)


def test_a_reconfirmation_carries_the_digest_that_was_shown(cast, expired):
    seat, later = expired
    with pytest.raises(PreconditionMissing):
        reconfirm_vote(seat.pk, actor=cast.petra, now=later, digest="")
    with pytest.raises(OutOfDate):
        reconfirm_vote(seat.pk, actor=cast.petra, now=later, digest="0" * 64)
    assert not Vote.objects.filter(superseded=False).exists()


@pytest.mark.parametrize("who", ["rita", "ian", "olga", "vera", "max", "ada"])
def test_who_is_not_asked_reconfirms_nothing(cast, expired, who):
    seat, later = expired
    with pytest.raises(NotPermitted):
        reconfirm_vote(seat.pk, actor=getattr(cast, who), now=later, digest=seat.level.digest)


def test_where_what_is_watched_moved_there_is_nothing_to_reconfirm(cast, seeded, now):
    a_chain(a_level(a_seat("approver", required=2)))
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "approver", cast.petra, now)
    amend(round, cast, now)
    row = queue_of(cast.petra, now)[0]
    assert (row.repeatable, row.changed_since_my_vote) == (False, True)
    with pytest.raises(NotPossible):
        reconfirm_vote(row.seat.pk, actor=cast.petra, now=now, digest=row.level.digest)


def test_a_vote_somebody_took_back_is_not_offered_again(cast, seeded, now):
    a_chain(a_level(a_seat("approver"), number=1))
    round = in_review(a_change(cast.rita, now), now)
    seat = vote_of(round, "approver", cast.petra, now)
    withdraw_vote(seat.pk, actor=cast.petra, now=now, reason="I was wrong.")
    row = queue_of(cast.petra, now)[0]
    assert row.my_last_vote is not None
    assert row.repeatable is False


def test_reconfirming_is_one_button_in_the_row_the_brief_and_the_form(client, cast, expired, monkeypatch):
    seat, later = expired
    monkeypatch.setattr("changemgmt.web.base.utc_now", lambda: later)
    client.force_login(cast.petra)
    text = client.get("/approvals/").content.decode()
    assert text.count(f'formaction="/approvals/{seat.pk}/reconfirm/?next=queue"') == 2
    assert f'value="{seat.level.digest}"' in text
    form = client.get(f"/approvals/{seat.pk}/vote/?again=1").content.decode()
    assert "Mind the gap." in form
    assert "Show the backup" in form
    assert f'action="/approvals/{seat.pk}/reconfirm/"' in form
    assert client.get(f"/approvals/{seat.pk}/reconfirm/").status_code == 405
    assert client.post(f"/approvals/{seat.pk}/reconfirm/").status_code == 428
    answer = client.post(f"/approvals/{seat.pk}/reconfirm/", {"digest": seat.level.digest})
    assert (answer.status_code, answer["Location"]) == (302, f"/changes/{seat.level.round.change.number}/")
    assert Vote.objects.filter(superseded=False).count() == 1


def test_reconfirming_in_the_queue_leads_back_to_it(client, cast, expired, monkeypatch):
    seat, later = expired
    monkeypatch.setattr("changemgmt.web.base.utc_now", lambda: later)
    client.force_login(cast.petra)
    answer = client.post(f"/approvals/{seat.pk}/reconfirm/?next=queue", {"digest": seat.level.digest})
    assert (answer.status_code, answer["Location"]) == (302, "/approvals/")


def test_over_the_api_it_is_a_post_of_the_digest(api, cast, expired, monkeypatch):
    seat, later = expired
    monkeypatch.setattr("changemgmt.api.base.utc_now", lambda: later)
    client = api(cast.petra)
    assert client.get(f"{V1}approvals/").json()["results"][0]["can_reconfirm"] is True
    path = f"{V1}approvals/{seat.pk}/reconfirm/"
    assert client.post(path, {}).status_code == 428
    assert client.post(path, {"digest": "0" * 64}).status_code == 412
    assert client.post(path, {"digest": seat.level.digest, "vote": "reject"}).status_code == 400
    assert api(cast.paul).post(path, {"digest": seat.level.digest}).status_code == 409
    assert api(cast.olga).post(path, {"digest": seat.level.digest}).status_code == 403
    assert client.post(path, {"digest": seat.level.digest}).json()["state"] == "approved_with_conditions"


def test_where_a_signature_is_needed_the_form_asks_for_it(client, api, cast, seeded, now, monkeypatch):
    a_chain(a_level(a_seat("approver"), expires_hours=10, require_signature=True))
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "approver", cast.petra, now, password=PASSWORD)
    later = now + timedelta(hours=11)
    reopen_expired(round.change.number, now=later)
    for module in ("web", "api"):
        monkeypatch.setattr(f"changemgmt.{module}.base.utc_now", lambda: later)
    seat = seat_of(round, "approver")
    client.force_login(cast.petra)
    assert f'formaction="/approvals/{seat.pk}/reconfirm/' not in client.get("/approvals/").content.decode()
    answer = client.post(f"/approvals/{seat.pk}/reconfirm/", {"digest": seat.level.digest})
    assert answer["Location"] == f"/approvals/{seat.pk}/vote/?again=1"
    answer = client.post(f"/approvals/{seat.pk}/reconfirm/?next=queue", {"digest": seat.level.digest})
    assert answer["Location"] == f"/approvals/{seat.pk}/vote/?again=1&next=queue"
    assert 'name="password"' in client.get(answer["Location"]).content.decode()
    path = f"{V1}approvals/{seat.pk}/reconfirm/"
    assert api(cast.petra).post(path, {"digest": seat.level.digest}).status_code == 403
    assert not Vote.objects.filter(superseded=False).exists()
    assert api(cast.petra).post(path, {"digest": seat.level.digest, "password": PASSWORD}).status_code == 200
    assert Seat.objects.get(pk=seat.pk).state == "voted"
