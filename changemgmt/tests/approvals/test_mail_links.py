"""Votes by mail: a link asks before it decides, decides once, for one person on one content, and its token is nowhere else."""

import logging
import re
from datetime import timedelta

import pytest
import time_machine
from django.core import mail as outbox
from django.core.cache import cache
from django.db import connection
from django.test import Client

from changemgmt.accounts.models import Delegation
from changemgmt.approvals import links
from changemgmt.approvals.models import MailLink, Seat, Vote
from changemgmt.audit.models import Event
from changemgmt.audit.queries import event_shown
from changemgmt.changes.models import Change, ChangeRight
from changemgmt.core.masking import masked
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.cancel import cancel
from changemgmt.lifecycle.claim import reassign_seat
from changemgmt.lifecycle.edit.record import edit_change
from changemgmt.notifications.actions import tell
from changemgmt.notifications.mail import send_due
from changemgmt.notifications.models import Notification
from changemgmt.tests.accounts.test_second_factor import code_of, set_up
from changemgmt.tests.cast import PASSWORD

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db
PATH = re.compile(r"/approvals/link/[\w-]+/")


@pytest.fixture
def now():
    """The page reads the clock."""
    return utc_now()


@pytest.fixture
def round(cast, seeded, now):
    a_chain(a_level(a_seat("approver", "Peer"), rule="any"), a_level(a_seat("security_lead"), number=2, name="Next"))
    return in_review(a_change(cast.rita, now, title="Move the ledger", owner=cast.max), now)


def mailed(now, username=None):
    """Send the mails of the level that opened last; the paths (approve, reject) in the mail to `username`, or of everybody."""
    outbox.outbox.clear()
    event = Event.objects.filter(action="approval.level_opened").order_by("pk").last()
    tell(event.pk)
    send_due(now=now, event_id=event.pk)
    found = {mail.to[0].partition("@")[0]: list(dict.fromkeys(PATH.findall(mail.body))) for mail in outbox.outbox}
    return found.get(username, []) if username else found


@pytest.fixture
def approve(round, now):
    """The path by which petra approves."""
    return mailed(now, "petra")[0]


def token_in(path):
    return path.split("/")[-2]


def denied():
    return Event.objects.filter(action="access.denied").count()


# --- the mail ---


def test_the_mail_that_asks_carries_a_link_for_each_decision_and_only_hashes_are_kept(round, now):
    found = mailed(now)
    assert found.keys() == {"paul", "petra"} and all(len(paths) == 2 for paths in found.values())
    assert len({path for paths in found.values() for path in paths}) == MailLink.objects.count() == 4
    (mail,) = [mail for mail in outbox.outbox if "petra" in mail.to[0]]
    assert "To approve: http" in mail.body and mail.alternatives[0][0].count("/approvals/link/") == 2
    row = MailLink.objects.get(token_hash=links.hash_of(token_in(found["petra"][0])))
    assert (row.action, row.user.username, row.version) == ("approve", "petra", 1)
    assert row.digest == seat_of(round, "Peer").level.digest and row.expires_at == now + timedelta(hours=72)


def test_the_token_is_in_no_row_and_no_event(approve, now):
    token = token_in(approve)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            assert token not in repr(cursor.fetchall()), table


def test_other_mails_carry_none(round, now):
    event = Event.objects.filter(action="change.review_begun").order_by("pk").last()
    tell(event.pk)
    send_due(now=now, event_id=event.pk)
    assert not MailLink.objects.exists()


def test_a_mail_that_could_not_be_sent_leaves_no_link_that_works(round, now, settings, monkeypatch):
    monkeypatch.setattr("django.core.mail.EmailMessage.send", lambda self: (_ for _ in ()).throw(OSError("down")))
    mailed(now)
    assert MailLink.objects.count() == 4 and not MailLink.objects.filter(revoked_at=None).exists()
    monkeypatch.undo()
    assert send_due(now=now + timedelta(minutes=5)) == 2
    assert MailLink.objects.filter(revoked_at=None).count() == 4


def test_who_voted_before_the_mail_went_out_gets_no_link(round, cast, now):
    a_chain(a_level(a_seat("approver", "Peer", required=2)), name="Two", order=0)
    two = in_review(a_change(cast.rita, now), now)
    vote_of(two, "Peer", cast.petra, now)
    found = mailed(now)
    assert found["petra"] == [] and len(found["paul"]) == 2


def test_a_delegate_gets_links_of_their_own_and_the_vote_is_for_the_other(round, cast, now, client):
    since = now - timedelta(days=2)
    Delegation.objects.create(
        delegator=cast.petra, delegate=cast.stella, starts_at=since, ends_at=now + timedelta(days=2), created_by=cast.petra, created_at=since
    )
    found = mailed(now)
    assert len(found["stella"]) == 2
    (mail,) = [mail for mail in outbox.outbox if "stella" in mail.to[0]]
    assert "You vote for Petra." in mail.body
    text = client.get(found["stella"][0]).content.decode()
    assert "You, Stella, vote for Petra as Peer" in text
    assert client.post(found["stella"][0]).status_code == 200
    vote = Vote.objects.get()
    assert (vote.by, vote.on_behalf_of) == (cast.stella, cast.petra)
    assert event_shown(Event.objects.get(action="mail_link.used").pk)["on_behalf_of"] == "petra"


# --- looking changes nothing ---


def test_looking_decides_nothing_however_often_and_by_whatever_method(approve, client):
    for _ in range(3):
        assert client.get(approve).status_code == 200
        assert client.head(approve).status_code == 200
        assert client.get(approve, HTTP_SEC_PURPOSE="prefetch;prerender", HTTP_PURPOSE="prefetch").status_code == 200
        assert client.get(approve + "?vote=approve&step=vote&comment=x").status_code == 200
    for method in ("put", "patch", "delete", "options", "trace"):
        assert getattr(client, method)(approve).status_code == 405
    assert not Vote.objects.exists() and MailLink.objects.filter(used_at=None, revoked_at=None).count() == 4


def test_the_page_asks_without_a_sign_in_and_tells_nobody_its_address(approve, round, client):
    answer = client.get(approve)
    text = answer.content.decode()
    assert (
        f"Approve {round.change.number}?" in text and "Move the ledger" in text and "Approve version 1" in text and "You, Petra, vote as Peer" in text
    )
    assert answer["Referrer-Policy"].startswith("no-referrer") and "no-store" in answer["Cache-Control"] and "noindex" in answer["X-Robots-Tag"]
    assert token_in(approve) not in text
    assert "src=http" not in text.replace('"', "") and "//" not in re.sub(
        r"https?://www.w3.org|<!doctype", "", text.split("<main")[1].split("</main")[0]
    )


def test_the_page_keeps_its_manners_when_it_refuses(approve, client):
    for path in (approve[:-5] + "AAAA/", "/approvals/link/x/"):
        answer = client.get(path)
        assert answer.status_code == 404 and answer["Referrer-Policy"].startswith("no-referrer") and "no-store" in answer["Cache-Control"]


# --- using it ---


def test_the_form_casts_the_vote_the_link_is_for_through_the_one_function(approve, round, cast, client, now):
    answer = client.post(approve, {"step": "vote", "comment": "Read it on the train"})
    assert answer.status_code == 200 and "Your vote is recorded" in answer.content.decode()
    vote = Vote.objects.get()
    assert (vote.by, vote.vote, vote.comment, vote.version) == (cast.petra, "approve", "Read it on the train", 1)
    event = Event.objects.get(action="vote.cast")
    assert event.channel == "mail"
    used = Event.objects.get(action="mail_link.used")
    assert used.change == round.change.number and token_in(approve) not in used.text
    assert seat_of(round, "security_lead").level.state == "open"


@pytest.mark.parametrize("field", ["vote", "action", "user", "digest", "on_behalf_of", "by"])
def test_the_form_can_not_be_turned_into_another_vote(approve, cast, client, field):
    client.post(approve, {"step": "vote", field: {"vote": "reject", "action": "reject", "digest": "0" * 64}.get(field, "paul")})
    vote = Vote.objects.get()
    assert (vote.by, vote.vote) == (cast.petra, "approve")


def test_a_rejection_needs_its_reason_and_the_link_stays_good_until_it_is_there(round, cast, now, client):
    reject = mailed(now, "petra")[1]
    answer = client.post(reject, {"comment": "  "})
    assert answer.status_code == 409 and "Say why you reject it" in answer.content.decode()
    assert not Vote.objects.exists() and denied() == 1
    assert client.post(reject, {"comment": "No way back"}).status_code == 200
    assert (Vote.objects.get().vote, Vote.objects.get().comment) == ("reject", "No way back")


def test_a_link_counts_once_and_ends_its_siblings(round, cast, now, client):
    approve, reject = mailed(now, "petra")
    assert client.post(approve).status_code == 200
    for path in (approve, reject):
        assert client.get(path).status_code == 410
        assert client.post(path, {"comment": "again"}).status_code == 410
    assert Vote.objects.count() == 1 and denied() == 2
    assert MailLink.objects.filter(user=cast.paul, revoked_at=None).count() == 2


def test_a_token_nobody_was_sent_is_not_there(round, client):
    for token in ("x", "A" * 43, "../../admin", "é" * 43, "A" * 5000):
        assert client.get(f"/approvals/link/{token}/").status_code == 404
        assert client.post(f"/approvals/link/{token}/").status_code == 404
    assert not Vote.objects.exists()


def test_after_72_hours_it_is_dead(approve, now, client):
    with time_machine.travel(now + timedelta(hours=71, minutes=59), tick=False):
        assert client.get(approve).status_code == 200
    for hours in (72, 73, 24 * 30):
        with time_machine.travel(now + timedelta(hours=hours), tick=False):
            assert client.get(approve).status_code == 410
            assert client.post(approve).status_code == 410
    assert not Vote.objects.exists()


def test_in_the_session_of_somebody_else_it_is_dead(approve, cast, client):
    for user in (cast.paul, cast.ada, cast.rita):
        client.force_login(user)
        for answer in (client.get(approve), client.post(approve)):
            assert answer.status_code == 410 and "Move the ledger" not in answer.content.decode()
    assert not Vote.objects.exists() and denied() == 3
    client.force_login(cast.petra)
    assert client.post(approve).status_code == 200


def test_after_the_vote_was_given_to_somebody_else_it_is_dead(approve, round, cast, client, now):
    reassign_seat(seat_of(round, "Peer").pk, actor=cast.max, now=now, to="arno")
    assert client.get(approve).status_code == 410 and client.post(approve).status_code == 410
    assert not Vote.objects.exists()


def deactivated(round, cast, now):
    cast.petra.is_active = False
    cast.petra.save()


def out_of_the_group(round, cast, now):
    cast.petra.groups.clear()


def on_the_team(round, cast, now):
    round.change.implementers.add(cast.petra)


def decided(round, cast, now):
    vote_of(round, "Peer", cast.paul, now)


def voted(round, cast, now):
    vote_of(round, "Peer", cast.petra, now, vote="abstain")


def cancelled(round, cast, now):
    cancel(round.change.number, actor=cast.rita, now=now, reason="no", seen=Change.objects.get(pk=round.change_id).etag)


def closed(round, cast, now):
    Seat.objects.filter(level__round=round).update(state="closed")


def taken_back(round, cast, now):
    MailLink.objects.update(revoked_at=now)


def service(round, cast, now):
    cast.petra.is_service = True
    cast.petra.save()


def no_more_seen(round, cast, now):
    cast.petra.groups.clear()
    Change.objects.filter(pk=round.change_id).update(confidential=True)
    ChangeRight.objects.filter(user=cast.petra).delete()


@pytest.mark.parametrize(
    "happens",
    [deactivated, out_of_the_group, on_the_team, decided, voted, cancelled, closed, taken_back, service, no_more_seen],
    ids=lambda f: f.__name__,
)
def test_it_dies_when_the_vote_is_not_asked_any_more(approve, round, cast, now, client, happens):
    happens(round, cast, now)
    votes, refused = Vote.objects.count(), denied()
    assert client.get(approve).status_code == 410
    assert client.post(approve).status_code == 410
    assert Vote.objects.count() == votes and denied() == refused + 1


def test_when_the_content_moved_it_decides_nothing_and_says_so(approve, round, cast, client, now):
    change = Change.objects.get(pk=round.change_id)
    edit_change(change.number, {"description": "Something else"}, actor=cast.rita, now=now, seen=change.etag)
    for answer in (client.get(approve), client.post(approve)):
        assert answer.status_code == 412 and "edited after this mail" in answer.content.decode()
    assert not Vote.objects.exists()


def test_while_information_is_requested_it_waits(approve, round, cast, client, now):
    from changemgmt.lifecycle.vote import request_information

    request_information(seat_of(round, "Peer").pk, actor=cast.paul, now=now, question="Why?")
    assert client.post(approve).status_code in (409, 410)
    assert not Vote.objects.exists()


def test_without_a_csrf_token_it_decides_nothing(approve, cast, caplog):
    with caplog.at_level(logging.DEBUG):
        browser = Client(enforce_csrf_checks=True)
        assert browser.post(approve, {"step": "vote"}).status_code == 403
        browser.force_login(cast.petra)
        assert browser.post(approve, {"step": "vote"}, HTTP_ORIGIN="https://evil.example").status_code == 403
    assert not Vote.objects.exists()
    assert not any(token_in(approve) in event.text for event in Event.objects.all())
    assert all(token_in(approve) not in masked(record.getMessage()) for record in caplog.records)


def test_a_level_that_demands_it_is_signed_on_the_page_of_the_link(cast, seeded, now, client):
    a_chain(a_level(a_seat("approver"), require_signature=True))
    in_review(a_change(cast.rita, now), now)
    device = set_up(cast.petra, now)
    approve = mailed(now, "petra")[0]
    text = client.get(approve).content.decode()
    assert 'name="password"' in text and 'name="code"' in text and "I approve version 1 of" in text
    for factors in ({}, {"password": ""}, {"password": PASSWORD}, {"password": "wrong", "code": "123456"}):
        answer = client.post(approve, factors)
        assert answer.status_code == 403 and 'name="password"' in answer.content.decode()
        assert 'aria-invalid="true" aria-describedby="dd-code-e' in answer.content.decode()
    assert not Vote.objects.exists() and denied() == 4
    assert client.post(approve, {"password": PASSWORD, "code": code_of(device, utc_now())}).status_code == 200
    assert Vote.objects.get().signature["factors"] == ["password", "totp"]


def test_who_guesses_has_to_wait_and_who_was_sent_a_link_has_not(approve, client, settings):
    settings.LOGIN_THROTTLE = "3/min"
    cache.clear()
    guesses = [client.get(f"/approvals/link/{'A' * 43}/", REMOTE_ADDR="10.9.9.9") for _ in range(5)]
    assert [answer.status_code for answer in guesses] == [404, 404, 404, 429, 429]
    assert int(guesses[-1]["Retry-After"]) > 0 and guesses[-1]["Referrer-Policy"].startswith("no-referrer")
    assert client.post(f"/approvals/link/{'B' * 43}/", REMOTE_ADDR="10.9.9.9").status_code == 429
    assert client.get(approve, REMOTE_ADDR="10.9.9.9").status_code == 200
    cache.clear()


def test_the_token_is_in_no_line_of_a_log(approve, caplog):
    from config.lines import Line

    line = Line("%(message)s")
    for text in (f"Forbidden (CSRF): {approve}", f"Internal Server Error: {approve}", f'"POST {approve}?x=1 HTTP/1.1" 200'):
        written = line.format(logging.makeLogRecord({"msg": text, "args": ()}))
        assert token_in(approve) not in written and "/approvals/link/*" in written
    assert masked("/password/MQ/abc-def/ and /invitation/MQ/xyz/ and /approvals/31/") == "/password/MQ/*/ and /invitation/MQ/*/ and /approvals/31/"


def test_a_forged_host_changes_no_address_in_a_mail_and_is_answered_by_nobody(approve, round, now, settings, client):
    assert client.get(approve, HTTP_HOST="evil.example").status_code == 400
    assert client.post(approve, HTTP_HOST="evil.example").status_code == 400
    assert not Vote.objects.exists()
    settings.BASE_URL = "https://countersign.example.org"
    Notification.objects.all().delete()
    mailed(now)
    assert all("https://countersign.example.org/approvals/link/" in mail.body and "evil" not in mail.body for mail in outbox.outbox)


def test_a_reminder_carries_links_too(round, cast, now):
    from changemgmt.audit.actions import record

    level = seat_of(round, "Peer").level
    event = record("approval.reminded", actor="", object=f"change:{round.change.number}", change=round.change.number, now=now,
                   data={"level": level.name, "level_id": level.pk, "asked": ["petra"], "percent": 75, "due_at": level.due_at.isoformat()})  # fmt: skip
    outbox.outbox.clear()
    tell(event.pk)
    send_due(now=now, event_id=event.pk)
    assert len(PATH.findall(outbox.outbox[0].body)) == 2 and Notification.objects.get(channel="mail", recipient=cast.petra).sent_at == now
