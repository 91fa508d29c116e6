"""Events become rows in inboxes and mails, once each, to those who may know."""

from datetime import timedelta

import pytest
from django.core import mail as outbox

from changemgmt.accounts.actions import grant
from changemgmt.approvals.chains import draft_of
from changemgmt.approvals.models import Chain, Round, RoundLevel, Seat
from changemgmt.audit.actions import Personal, record
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, Comment
from changemgmt.core.errors import NotFound
from changemgmt.lifecycle.configure_chain import activate_chain, save_chain
from changemgmt.notifications import mail
from changemgmt.notifications.actions import mark_all_read, mark_read, tell
from changemgmt.notifications.models import Notification
from changemgmt.notifications.queries import inbox, unread_count
from changemgmt.notifications.tasks import notify, send_due_mail

pytestmark = pytest.mark.django_db


@pytest.fixture
def change(cast, now):
    row = Change.objects.create(
        number="CHG-2026-00001", title="Move the <ledger>", requester=cast.rita, owner=cast.max, created_at=now, updated_at=now
    )
    row.implementers.add(cast.ian)
    row.watchers.add(cast.vera)
    return row


@pytest.fixture
def level(change, cast, now):
    """An open level that asks sam and tina."""
    round = Round.objects.create(
        change=change, number=1, version=1, chain="Normal", chain_version=1, snapshot=[], parts={}, digest="d", opened_at=now
    )
    row = RoundLevel.objects.create(round=round, position=0, number=1, name="CAB", state="open", rule_kind="all", digest="d", opened_at=now)
    for position, person in enumerate([cast.sam, cast.tina]):
        Seat.objects.create(level=row, position=position, label=person.username, power="voter", state="open").people.add(person)
    return row


def event(action, actor, change, now, **data):
    return record(action, actor=actor, object=f"change:{change.number}", change=change.number, now=now, data=data).pk


def told(channel="app"):
    return {row.recipient.username: row for row in Notification.objects.filter(channel=channel).select_related("recipient")}


def test_the_people_concerned_are_told_in_the_application_and_by_mail(change, now):
    tell(event("change.scheduled", "max", change, now, start="2026-11-22T02:00:00Z", end="2026-11-22T04:00:00Z"))
    assert told().keys() == told("mail").keys() == {"rita", "ian", "vera"}
    row = told()["rita"]
    assert row.title == "CHG-2026-00001 was scheduled: Move the <ledger>" and row.url == "/changes/CHG-2026-00001/"
    assert "From Sun 22 Nov 2026, 02:00 UTC to Sun 22 Nov 2026, 04:00 UTC." in row.text


def test_those_whose_vote_is_needed_are_told(change, level, now):
    tell(event("approval.level_opened", "", change, now, level="CAB", level_id=level.pk))
    assert told().keys() == {"sam", "tina"}
    assert told()["sam"].title.startswith("Your vote is needed on CHG-2026-00001")


def test_a_level_that_is_over_asks_nobody_any_more(change, level, now):
    Seat.objects.update(state="closed")
    tell(event("approval.level_opened", "", change, now, level="CAB", level_id=level.pk))
    assert not told()


def test_a_question_goes_to_requester_and_owner_and_its_answer_to_those_who_vote(change, level, now):
    tell(event("information.requested", "sam", change, now, question=Personal("Which tables?")))
    assert told().keys() == {"rita", "max", "vera"} and "Which tables?" in told()["rita"].text
    Notification.objects.all().delete()
    tell(event("information.provided", "rita", change, now, answer="All"))
    assert told().keys() == {"sam", "tina", "vera"}


def test_who_is_mentioned_is_told_so(change, cast, now):
    comment = Comment.objects.create(change=change, author=cast.rita, text="What does @olga say? And @nobody, @vera?", at=now)
    tell(event("comment.added", "rita", change, now, comment=comment.pk))
    assert told().keys() == {"olga", "vera", "max", "ian"}
    assert "mentioned you" in told()["olga"].title and "mentioned you" in told()["vera"].title and "commented" in told()["max"].title
    assert "What does @olga say?" in told()["olga"].text


def test_alarms_go_to_those_who_can_mend_it(change, now):
    tell(event("approval.no_approver", "", change, now, level="CAB", why="Nobody is left."))
    assert told().keys() == {"max", "ada", "otto"}


def test_who_owns_a_condition_is_told(change, now):
    conditions = [{"text": "Brief the desk", "due": "before_start", "evidence": "statement", "owner": "ian"}]
    tell(event("vote.cast", "sam", change, now, vote="approve", level="CAB", conditions=conditions))
    assert told().keys() == {"rita", "max", "ian"} and told("mail").keys() == {"ian"}
    assert "Brief the desk" in told()["ian"].text


def test_a_voter_hears_that_their_vote_counts_no_more(change, now):
    tell(event("vote.superseded", "sam", change, now, why="The plan changed."))
    assert told().keys() == {"sam"} and "The plan changed." in told()["sam"].text


def test_nobody_hears_of_a_change_they_may_not_see(change, cast, now):
    Change.objects.update(confidential=True)
    grant("view", cast.rita, change)
    comment = Comment.objects.create(change=change, author=cast.max, text="@olga @vera", at=now)
    tell(event("comment.added", "max", change, now, comment=comment.pk))
    assert told().keys() == {"rita"}


def test_deactivated_people_and_service_accounts_are_not_told(change, cast, now):
    cast.vera.is_active = False
    cast.vera.save()
    cast.ian.is_service = True
    cast.ian.save()
    tell(event("change.closed", "max", change, now, result="successful"))
    assert told().keys() == {"rita"}


def test_told_twice_is_told_once(change, now):
    key = event("change.approved", "", change, now)
    for _ in range(3):
        notify(event_id=key)
    assert Notification.objects.count() == 8 and len(outbox.outbox) == 4


@pytest.fixture
def edit(cast, seeded, now):
    """Edits the normal chain as somebody and hands the event on, as the relay would."""

    def edited(actor, **data):
        chain = save_chain(Chain.objects.get(name="Normal change").pk, data, actor=actor, now=now, partial=True)
        notify(event_id=Event.objects.filter(action="chain.edited").latest("pk").pk)
        return chain

    return edited


def test_the_other_administrators_hear_once_that_a_draft_waits(edit, cast, now):
    chain = edit(cast.ada, order=41)
    assert told().keys() == {"otto"} and not told("mail") and not outbox.outbox
    assert told()["otto"].title == "The approval chain Normal change waits to be put into force"
    assert told()["otto"].url == f"/admin/changemgmt/chain/{chain.pk}/change/"
    edit(cast.ada, order=42)
    mark_all_read(cast.otto, now=now)
    edit(cast.ada, order=43)
    assert Notification.objects.count() == 1, "one draft, however often it is saved"
    activate_chain(chain.pk, actor=cast.otto, now=now)
    edit(cast.otto, order=44)
    assert {row.recipient.username for row in Notification.objects.all()} == {"otto", "ada"}, "the next draft waits for the other one"


def test_nobody_hears_of_a_draft_that_can_not_be_put_into_force_or_is_taken_back(edit, cast):
    levels = draft_of(Chain.objects.get(name="Normal change"))["levels"]
    edit(
        cast.ada,
        levels=[
            levels[0] | {"applies_when": {"any": [{"field": "risk_score", "op": op, "value": 5} for op in ("lt", "gte")]}, "on_timeout": "approve"},
            *levels[1:],
        ],
    )
    assert not told(), "the prover finds an error"
    edit(cast.ada, levels=levels)
    assert not told(), "nothing differs from what is in force"
    edit(cast.ada, order=45)
    assert told().keys() == {"otto"}


def test_who_wrote_at_a_draft_is_not_asked_to_put_it_into_force(edit, cast):
    edit(cast.ada, order=41)
    Notification.objects.all().delete()
    edit(cast.otto, order=42)
    assert not told()


def test_an_event_without_a_telling_tells_nobody(change, now):
    assert tell(event("change.updated", "rita", change, now)) == 0
    assert tell(10**9) == 0


def test_a_record_that_was_tampered_with_alarms_auditors_and_administrators(cast, now):
    data = {"ok": False, "first_bad": "CHG-2026-00001#3", "kind": "modified"}
    tell(record("verification.finished", actor="", object="verification:1", now=now, data=data).pk)
    assert told().keys() == {"aud", "ada", "otto"} and "CHG-2026-00001#3" in told()["aud"].title
    Notification.objects.all().delete()
    tell(record("verification.finished", actor="", object="verification:2", now=now, data={**data, "ok": True}).pk)
    assert not told()


def test_a_mail_carries_text_html_link_and_the_hash(change, now, settings):
    settings.BASE_URL = "https://changes.example.org"
    row = record("change.rejected", actor="", object="change:x", change=change.number, now=now)
    notify(event_id=row.pk)
    letter = next(letter for letter in outbox.outbox if letter.to == ["rita@example.org"])
    html = letter.alternatives[0][0]
    assert letter.subject == "CHG-2026-00001 was rejected: Move the <ledger>"
    for body in (letter.body, html):
        assert "https://changes.example.org/changes/CHG-2026-00001/" in body and row.hash in body
    assert "Move the <ledger>" in letter.body and "Move the &lt;ledger&gt;" in html and "<ledger>" not in html


def test_a_title_with_a_line_break_forges_no_header(change, cast, now):
    Change.objects.update(title="Quiet\r\nBcc: olga@example.org")
    notify(event_id=event("change.closed", "max", change, now, result="successful"))
    assert len(outbox.outbox) == 3
    assert all(letter.subject == "CHG-2026-00001 was closed: Quiet Bcc: olga@example.org" and not letter.bcc for letter in outbox.outbox)


class Broken:
    """A mail server that refuses."""

    def __init__(self, *_, **__):
        pass

    def send_messages(self, messages):
        raise ConnectionRefusedError("no mail server")


def test_a_mail_server_that_is_down_only_delays(change, now, monkeypatch):
    key = event("change.approved", "", change, now)
    tell(key)
    monkeypatch.setattr(mail, "get_connection", Broken)
    assert mail.send_due(now=now) == 0
    row = told("mail")["rita"]
    assert (row.attempts, row.sent_at, row.last_error) == (1, None, "ConnectionRefusedError: no mail server")
    monkeypatch.undo()
    assert mail.send_due(now=now + timedelta(seconds=29)) == 0
    assert mail.send_due(now=now + timedelta(seconds=30)) == 4
    assert mail.send_due(now=now + timedelta(days=1)) == 0
    assert told("mail")["rita"].sent_at == now + timedelta(seconds=30) and len(outbox.outbox) == 4


def test_a_mail_is_given_up_after_twelve_attempts(change, now, monkeypatch):
    tell(event("change.approved", "", change, now))
    monkeypatch.setattr(mail, "get_connection", Broken)
    for day in range(20):
        mail.send_due(now=now + timedelta(days=day))
    assert {row.attempts for row in told("mail").values()} == {mail.MOST_ATTEMPTS}


def test_a_mail_under_way_is_not_taken_by_another(change, now):
    tell(event("change.approved", "", change, now))
    taken = mail.claim(now=now, event_id=None, limit=10)
    assert len(taken) == 4 and mail.claim(now=now, event_id=None, limit=10) == []
    assert len(mail.claim(now=now + mail.LEASE, event_id=None, limit=10)) == 4


def test_a_mail_is_not_sent_once_it_is_not_theirs_to_see(change, now):
    tell(event("change.approved", "", change, now))
    Change.objects.update(confidential=True)
    assert mail.send_due(now=now) == 0 and not outbox.outbox
    assert {row.last_error for row in told("mail").values()} == {mail.NOT_THEIRS}


def test_the_sweep_sends_what_is_owed(change, now):
    tell(event("change.approved", "", change, now))
    send_due_mail()
    assert len(outbox.outbox) == 4


def test_telling_many_takes_few_writes(change, cast, now, django_assert_max_num_queries):
    change.watchers.set(cast.everybody())
    key = event("change.closed", "max", change, now, result="successful")
    with django_assert_max_num_queries(15 + 2 * len(cast.everybody())):
        tell(key)


def test_the_inbox_counts_what_is_unread_and_forgets_nothing(change, cast, now):
    for action in ("change.approved", "change.closed"):
        tell(event(action, "", change, now, result="successful"))
    assert unread_count(cast.rita) == 2
    mark_read(cast.rita, inbox(cast.rita).first().pk, now=now)
    assert unread_count(cast.rita) == 1
    with pytest.raises(NotFound):
        mark_read(cast.olga, inbox(cast.rita).first().pk, now=now)
    assert mark_all_read(cast.rita, now=now) == 1 and unread_count(cast.rita) == 0 and inbox(cast.rita).count() == 2


def test_the_inbox_shows_nothing_of_a_change_that_became_confidential(change, cast, now):
    tell(event("change.approved", "", change, now))
    Change.objects.update(confidential=True)
    assert unread_count(cast.vera) == 0 and not inbox(cast.vera).exists()
