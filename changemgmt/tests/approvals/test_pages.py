"""My approvals and the vote form, as a browser without scripts and as htmx ask for them."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from changemgmt.approvals.models import ActionItem, InformationRequest, Vote
from changemgmt.changes.models import Change, Template

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def round(cast, seeded, now):
    return in_review(a_change(cast.rita, now, title="Move the <ledger>", owner=cast.max, implementers=(cast.ian,)), now)


@pytest.fixture
def petra(client, cast):
    client.force_login(cast.petra)
    return client


def form_of(seat, **more):
    return {"digest": seat.level.digest, "read": "on", "comment": "", **more}


def test_the_queue_shows_what_waits_with_its_brief_and_the_four_acts(petra, round):
    seat = seat_of(round, "Peer")
    text = petra.get("/approvals/").content.decode()
    assert "1 change waits for your vote" in text
    assert "Move the &lt;ledger&gt;" in text
    for act in ("approve", "conditions", "info", "reject"):
        assert f"/approvals/{seat.pk}/vote/?vote={act}" in text


def test_an_empty_queue_says_what_will_appear_there(client, cast, seeded):
    client.force_login(cast.vera)
    assert "Nothing waits for your vote" in client.get("/approvals/").content.decode()


def test_the_queue_needs_a_sign_in(client, db):
    assert client.get("/approvals/").status_code == 302


def test_the_queue_asks_the_database_the_same_however_long_it_is(petra, cast, seeded, now):
    counts = []
    for _ in range(2):
        for _ in range(3):
            in_review(a_change(cast.rita, now), now)
        with CaptureQueriesContext(connection) as asked:
            petra.get("/approvals/")
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 15


def test_a_get_never_votes_and_shows_the_digest_it_was_drawn_from(petra, round):
    seat = seat_of(round, "Peer")
    for act in ("approve", "reject", "abstain", "conditions", "info", "nonsense"):
        answer = petra.get(f"/approvals/{seat.pk}/vote/?vote={act}")
        assert answer.status_code == 200
        assert seat.level.digest in answer.content.decode()
    assert not Vote.objects.exists()


def test_the_form_says_beforehand_what_the_vote_will_do(petra, round):
    text = petra.get(f"/approvals/{seat_of(round, 'Peer').pk}/vote/?vote=approve").content.decode()
    assert "passes with your vote" in text
    assert "Change Manager" in text


def test_approving_with_the_form_records_the_vote(petra, round):
    seat = seat_of(round, "Peer")
    answer = petra.post(f"/approvals/{seat.pk}/vote/", form_of(seat, vote="approve", comment="fine"))
    assert (answer.status_code, answer["Location"]) == (302, f"/changes/{round.change.number}/")
    assert Vote.objects.get().comment == "fine"


def test_a_dialog_comes_back_with_what_is_wrong_and_keeps_what_was_typed(petra, round):
    path = f"/approvals/{seat_of(round, 'Peer').pk}/vote/?vote=reject"
    seat = seat_of(round, "Peer")
    assert "<dialog" in petra.get(path, **HTMX).content.decode()
    unread = petra.post(path, {"digest": seat.level.digest, "vote": "reject", "comment": "too early"}, **HTMX)
    assert unread.status_code == 422
    assert "too early" in unread.content.decode()
    empty = petra.post(path, form_of(seat, vote="reject"), **HTMX)
    assert empty.status_code == 409
    stale = petra.post(path, form_of(seat, vote="reject", comment="x", digest="0" * 64), **HTMX)
    assert stale.status_code == 412
    done = petra.post(path, form_of(seat, vote="reject", comment="too early"), **HTMX)
    assert (done.status_code, done["HX-Redirect"]) == (204, f"/changes/{round.change.number}/")
    assert Change.objects.get(pk=round.change_id).state == "rejected"


def test_conditions_written_in_rows_become_action_items(petra, round):
    seat = seat_of(round, "Peer")
    rows = {"text-0": "Show the backup", "owner-0": "ian", "due-0": "before_schedule", "evidence-0": "file", "text-1": "", "owner-1": "rita"}
    answer = petra.post(f"/approvals/{seat.pk}/vote/?vote=conditions", form_of(seat, vote="conditions", **rows))
    assert answer.status_code == 302
    item = ActionItem.objects.get()
    assert (item.text, item.owner.username, item.due, item.evidence_kind) == ("Show the backup", "ian", "before_schedule", "file")
    assert petra.post(f"/approvals/{seat.pk}/vote/?vote=conditions", form_of(seat, vote="conditions")).status_code == 400


def test_a_question_is_asked_with_the_form(petra, round):
    seat = seat_of(round, "Peer")
    assert petra.post(f"/approvals/{seat.pk}/vote/?vote=info", {"vote": "info", "question": ""}).status_code == 409
    assert petra.post(f"/approvals/{seat.pk}/vote/?vote=info", {"vote": "info", "question": "Why on Friday?"}).status_code == 302
    assert InformationRequest.objects.get().question == "Why on Friday?"


@pytest.mark.parametrize("who", ["rita", "ian", "vera", "olga", "ada", "aud"])
def test_who_is_not_asked_gets_403_from_the_form_and_its_post(client, cast, round, who):
    client.force_login(getattr(cast, who))
    seat = seat_of(round, "Peer")
    assert client.get(f"/approvals/{seat.pk}/vote/").status_code == 403
    assert client.post(f"/approvals/{seat.pk}/vote/", form_of(seat, vote="approve")).status_code == 403
    assert not Vote.objects.exists()


def test_a_vote_without_a_csrf_token_is_refused(cast, round):
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.petra)
    seat = seat_of(round, "Peer")
    assert client.post(f"/approvals/{seat.pk}/vote/", form_of(seat, vote="approve")).status_code == 403
    assert not Vote.objects.exists()


def test_a_password_is_asked_where_the_level_demands_it(petra, cast, seeded, now):
    a_chain(a_level(a_seat("approver"), require_signature=True))
    seat = seat_of(in_review(a_change(cast.rita, now), now), "approver")
    assert 'name="password"' in petra.get(f"/approvals/{seat.pk}/vote/").content.decode()
    assert petra.post(f"/approvals/{seat.pk}/vote/", form_of(seat, vote="approve", password="guess")).status_code == 403


def test_changes_of_one_template_are_approved_together_and_others_are_not(petra, cast, seeded, now):
    template = Template.objects.exclude(type="standard").first()
    rounds = [in_review(a_change(cast.rita, now, template=template), now) for _ in range(2)]
    seats = [seat_of(round, "Peer") for round in rounds]
    data = {"id": [seat.pk for seat in seats], **{f"digest-{seat.pk}": seat.level.digest for seat in seats}, "comment": "all fine"}
    assert petra.post("/approvals/bulk/", data).status_code == 302
    assert Vote.objects.filter(comment="all fine").count() == 2
    mixed = [seat_of(in_review(a_change(cast.rita, now, template=one), now), "Peer") for one in (template, None)]
    data = {"id": [seat.pk for seat in mixed], **{f"digest-{seat.pk}": seat.level.digest for seat in mixed}}
    assert petra.post("/approvals/bulk/", data).status_code == 400


def test_the_brief_of_a_row_comes_as_a_fragment(petra, round, client, cast):
    seat = seat_of(round, "Peer")
    assert "brief mini" in petra.get(f"/approvals/{seat.pk}/", **HTMX).content.decode()
    assert petra.get(f"/approvals/{seat.pk}/").status_code == 302
    client.force_login(cast.olga)
    assert client.get(f"/approvals/{seat.pk}/", **HTMX).status_code == 404
