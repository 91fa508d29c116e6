"""My approvals and the vote form, as a browser without scripts and as htmx ask for them."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from changemgmt.approvals.models import ActionItem, InformationRequest, Look, Vote
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


@pytest.fixture
def three(cast, seeded, now):
    """Peer seats of three changes, in the order of the queue."""
    rounds = [in_review(a_change(cast.rita, now, title=f"Change {number}"), now + timedelta(seconds=number)) for number in (1, 2, 3)]
    return [seat_of(round, "Peer") for round in rounds]


def test_a_vote_that_was_begun_in_the_queue_leads_to_the_next_row_and_of_the_last_to_the_one_before(petra, three):
    first, second, third = three
    for seat, to in ((second, f"/approvals/?then={third.pk}"), (third, f"/approvals/?then={first.pk}"), (first, "/approvals/")):
        answer = petra.post(f"/approvals/{seat.pk}/vote/", form_of(seat, vote="approve", next="queue"))
        assert (answer.status_code, answer["Location"]) == (302, to)
        assert "Approved." in petra.get(to).content.decode()
    assert Vote.objects.count() == 3


def test_with_htmx_it_leads_there_too_and_so_does_a_question(petra, three):
    first, second, _ = three
    answer = petra.post(f"/approvals/{first.pk}/vote/", form_of(first, vote="info", question="Why?", next="queue"), **HTMX)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, f"/approvals/?then={second.pk}")


def test_the_row_after_a_vote_has_the_focus_and_is_not_looked_at_by_that(petra, three):
    text = petra.get(f"/approvals/?then={three[1].pk}").content.decode()
    assert text.count(" autofocus") == 1
    assert f'data-peek="/approvals/{three[1].pk}/" autofocus' in text
    assert not Look.objects.exists()
    assert " autofocus" not in petra.get("/approvals/").content.decode()
    gone = petra.get("/approvals/?then=999999").content.decode()
    assert f'data-peek="/approvals/{three[0].pk}/" autofocus' in gone


def test_what_the_queue_links_to_knows_where_it_was_begun_and_keeps_it(petra, round):
    seat = seat_of(round, "Peer")
    path = f"/approvals/{seat.pk}/vote/"
    queue = petra.get("/approvals/").content.decode()
    assert [f"{path}?vote={act}&amp;next=queue" in queue for act in ("approve", "conditions", "info", "reject")] == [True] * 4
    assert "next=queue" not in petra.get(f"/changes/{round.change.number}/").content.decode()
    kept = '<input type="hidden" name="next" value="queue">'
    for more in ({}, HTMX):
        assert kept in petra.get(f"{path}?vote=reject&next=queue", **more).content.decode()
        assert kept in petra.post(path, form_of(seat, vote="reject", next="queue"), **more).content.decode()
        assert 'name="next"' not in petra.get(f"{path}?vote=reject", **more).content.decode()
    assert f'href="/approvals/?selected={seat.pk}"' in petra.get(f"{path}?vote=reject&next=queue").content.decode()


@pytest.mark.parametrize("word", ["https://elsewhere.example/", "//elsewhere.example", "/changes/", "Queue", ""])
def test_no_other_word_leads_anywhere(petra, round, word):
    seat = seat_of(round, "Peer")
    answer = petra.post(f"/approvals/{seat.pk}/vote/?next={word}", form_of(seat, vote="approve", next=word))
    assert answer["Location"] == f"/changes/{round.change.number}/"


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
