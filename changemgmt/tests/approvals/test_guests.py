"""Guests: asked without an account, by a link and a code over a second channel; one vote, nothing else, revocable at once."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth import authenticate
from django.core import mail as outbox
from django.test import Client

from changemgmt.accounts.models import User
from changemgmt.approvals.models import Guest, MailLink, Seat, Vote
from changemgmt.approvals.queries import approval_of
from changemgmt.audit.models import Event, PersonalValue
from changemgmt.changes.models import Change, ChangeRight
from changemgmt.core.errors import DomainError, Invalid, NotPermitted, NotPossible
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import manage_people
from changemgmt.lifecycle.edit.record import edit_change
from changemgmt.lifecycle.invite_guest import expire_guest, invite_guest, revoke_guest
from changemgmt.lifecycle.review import review
from changemgmt.lifecycle.rights import settle_rights
from changemgmt.lifecycle.vote import cast_vote
from changemgmt.notifications.actions import tell
from changemgmt.notifications.mail import send_due
from changemgmt.notifications.models import Notification
from changemgmt.sla.tasks import act_on
from changemgmt.tests.cast import PASSWORD, make_person

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of
from .test_mail_links import PATH, denied

pytestmark = [pytest.mark.django_db, pytest.mark.needs_sqlite]
ANNA = {"name": "Dr. Anna Gast", "email": "anna@partner.example", "second_channel": "anna@home.example"}


@pytest.fixture
def now():
    """The page reads the clock."""
    return utc_now()


@pytest.fixture
def round(cast, seeded, now):
    a_chain(
        a_level(a_seat("approver", "Partner"), a_seat("security_lead", "Security"), allow_guests=True, require_signature=True, name="Partners"),
        a_level(a_seat("cab_member", "Board"), number=2, name="Later", allow_guests=True),
        a_level(a_seat("quality_lead", "Inside"), number=3, name="Insiders"),
    )
    return in_review(a_change(cast.rita, now, title="Move the ledger", description="By night", owner=cast.max, implementers=(cast.ian,)), now)


def ask(round, actor, now, label="Partner", **fields):
    return invite_guest(round.change.number, actor=actor, now=now, seat=seat_of(round, label).pk, **{**ANNA, **fields})


TOLD = set()


@pytest.fixture(autouse=True)
def nothing_told():
    TOLD.clear()


def mailed(now):
    """Send what the invitations and openings since the last time owe; (approve, reject) of the mail to anna."""
    outbox.outbox.clear()
    for event in Event.objects.filter(action__in=["guest.invited", "approval.level_opened"]).exclude(pk__in=TOLD).order_by("pk"):
        tell(event.pk)
        TOLD.add(event.pk)
    send_due(now=now)
    return list(dict.fromkeys(path for mail in outbox.outbox if mail.to == [ANNA["email"]] for path in PATH.findall(mail.body)))


@pytest.fixture
def guest(round, cast, now):
    return ask(round, cast.max, now)


@pytest.fixture
def approve(guest, now):
    return mailed(now)[0]


def code_sent():
    return re.search(r"\b(\d{6})\b", outbox.outbox[-1].body)[1]


def let_in(client, path):
    """Ask for the code and type it in."""
    assert client.post(path, {"step": "send"}).status_code == 200
    assert f"Your code is {code_sent()}. It counts 10 minutes, once.\n" in outbox.outbox[-1].body
    answer = client.post(path, {"step": "check", "code": code_sent()})
    assert answer.status_code == 200
    return answer.content.decode()


# --- asking ---


def test_a_guest_is_asked_by_a_mail_that_says_nothing_of_the_change(guest, now, cast):
    paths = mailed(now)
    assert len(paths) == 2
    (mail,) = [mail for mail in outbox.outbox if mail.to == [ANNA["email"]]]
    assert "Max asks you as Partner." in mail.body and "a***@home.example" in mail.body
    for text in (mail.subject, mail.body, mail.alternatives[0][0]):
        assert "Move the ledger" not in text and "anna@home" not in text
    assert f"/changes/{guest.seat.level.round.change.number}/" not in mail.body
    user = guest.user
    assert user.is_guest and user.username.startswith("guest-") and user.email == "" and not user.has_usable_password() and not user.groups.exists()
    assert guest.expires_at == now + timedelta(hours=72)
    event = Event.objects.get(action="guest.invited")
    assert "anna@" not in event.text and "Gast" not in event.text
    values = set(PersonalValue.objects.filter(event=event.pk).values_list("value", flat=True))
    assert {"a***@partner.example", "Dr. Anna Gast", "a***@home.example"} <= values and not any("anna@" in value for value in values)


def test_only_the_owner_or_a_change_manager_without_a_part_asks(round, cast, now):
    cast.ian.groups.add(*cast.max.groups.all())
    Change.objects.filter(pk=round.change_id).update(owner=cast.rita)
    for actor in (cast.rita, cast.ian, cast.petra, cast.vera, cast.ada, cast.aud, cast.olga):
        with pytest.raises(NotPermitted):
            ask(round, actor, now)
    assert not Guest.objects.exists() and not User.objects.filter(is_guest=True).exists()
    ask(round, cast.max, now)


def test_who_edited_the_version_does_not_choose_who_votes_on_it(round, cast, now):
    round.change.authorships.get_or_create(version=1, user=cast.max)
    with pytest.raises(NotPermitted):
        ask(round, cast.max, now)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""}, {"name": " "}, {"name": "x" * 151}, {"name": "Anna\r\nBcc: all@example.org"}, {"name": None}, {"name": "An\x00na"}, {"name": "An\u2028na"},
        {"email": ""}, {"email": "anna"}, {"email": "anna@partner.example\nBcc: x@y.org"}, {"email": "a@b@c.example"}, {"email": None}, {"email": ["a@b.example"]},
        {"email": "petra@example.org"}, {"email": "PETRA@Example.org"}, {"email": "petra+guest@example.org"}, {"email": "rita@example.org"},
        {"second_channel": ""}, {"second_channel": "anna@partner.example"}, {"second_channel": "Anna+2@Partner.example"}, {"second_channel": "12"},
        {"second_channel": "+43 660 1234567"}, {"second_channel": "max@example.org"}, {"second_channel": "rita+x@EXAMPLE.org"}, {"second_channel": None},
        {"second_channel": "x@y.example, z@y.example"}, {"second_channel": "call me"},
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_at_its_field(round, cast, now, fields):
    with pytest.raises(Invalid) as refused:
        ask(round, cast.max, now, **fields)
    assert set(refused.value.errors) == set(fields)
    assert not Guest.objects.exists() and not User.objects.filter(is_guest=True).exists()


@pytest.mark.parametrize("seat", [0, -1, 10**30, "1", None, True, 999_999])
def test_a_seat_that_is_none_of_the_change_is_refused(round, cast, now, seat):
    with pytest.raises(Invalid):
        invite_guest(round.change.number, actor=cast.max, now=now, seat=seat, **ANNA)


def test_only_open_or_waiting_seats_of_levels_that_allow_guests_take_one(round, cast, now):
    with pytest.raises(NotPossible):
        ask(round, cast.max, now, label="Inside")
    vote_of(round, "Security", cast.sam, now, password=PASSWORD)
    with pytest.raises(NotPossible):
        ask(round, cast.max, now, label="Security")
    ask(round, cast.max, now, label="Board")
    cancelled = in_review(a_change(cast.rita, now), now)
    Seat.objects.filter(level__round=cancelled).update(state="closed")
    with pytest.raises(NotPossible):
        invite_guest(cancelled.change.number, actor=cast.max, now=now, seat=seat_of(cancelled, "Partner").pk, **ANNA)


def test_the_same_mailbox_is_asked_once_at_a_seat_and_is_one_person_everywhere(round, cast, now):
    first = ask(round, cast.max, now)
    with pytest.raises(NotPossible):
        ask(round, cast.max, now, email="Anna+b@partner.example")
    second = ask(round, cast.max, now, label="Security")
    third = ask(round, cast.max, now, label="Board", email="ANNA@partner.example")
    assert first.user == second.user == third.user and User.objects.filter(is_guest=True).count() == 1
    again = ask(round, cast.max, now + timedelta(hours=80))
    assert again.pk != first.pk and Guest.objects.get(pk=first.pk).revoked_at is not None


def test_a_phone_number_needs_the_gateway(round, cast, now, settings, client):
    settings.GUEST_SMS_ADDRESS = "{number}@sms.example.org"
    guest = ask(round, cast.max, now, second_channel="+43 (660) 123-4567")
    assert guest.second_channel == "+436601234567"
    path = mailed(now)[0]
    assert "***67" in client.get(path).content.decode()
    client.post(path, {"step": "send"})
    assert outbox.outbox[-1].to == ["+436601234567@sms.example.org"]


# --- the link, the code, the vote ---


def test_before_the_code_the_page_says_nothing_of_the_change(approve, client, guest):
    answer = client.get(approve)
    text = answer.content.decode()
    assert answer.status_code == 200 and "Max asks you, Dr. Anna Gast, as Partner" in text
    for secret in ("Move the ledger", "By night", "anna@home", "Approve version"):
        assert secret not in text
    assert client.post(approve, {"step": "vote"}).status_code == 403
    assert client.post(approve).status_code == 403
    assert not Vote.objects.exists() and denied() == 2
    assert not MailLink.objects.exclude(code_sent_at=None).exists()


def test_the_code_shows_what_is_asked_and_the_vote_is_signed_by_both(approve, client, guest, cast, now):
    assert client.post(approve, {"step": "send"}).status_code == 200
    assert outbox.outbox[-1].to == [ANNA["second_channel"]] and "Move the ledger" not in outbox.outbox[-1].body
    code = code_sent()
    link = MailLink.objects.get(action="approve", user=guest.user)
    assert code not in link.code_hash and len(link.code_hash) == 64
    assert not any(code in event.text for event in Event.objects.all()) and not PersonalValue.objects.filter(value__contains=code).exists()
    text = client.post(approve, {"step": "check", "code": f" {code[:3]} {code[3:]} "}).content.decode()
    assert "Move the ledger" in text and "By night" in text and "Approve version 1" in text and 'name="password"' not in text
    assert 'href="/changes/' not in text
    assert client.get(approve).content.decode().count("Move the ledger") >= 1
    answer = client.post(approve, {"step": "vote", "comment": "Fine for us"})
    assert answer.status_code == 200 and "Your vote is recorded" in answer.content.decode()
    vote = Vote.objects.get()
    assert (vote.by, vote.printed_name, vote.comment) == (guest.user, "Dr. Anna Gast", "Fine for us")
    assert vote.signature["factors"] == ["link", "code"] and vote.signature["meaning"].endswith("as Partner")
    assert client.get(approve).status_code == 410
    assert {"guest.invited", "guest.code_sent", "mail_link.used", "vote.cast"} <= set(Event.objects.values_list("action", flat=True))


def test_the_code_counts_in_one_browser_for_one_link_once(approve, now, client):
    reject = MailLink.objects.get(action="reject", user__is_guest=True)
    let_in(client, approve)
    code = code_sent()
    other = Client()
    assert "Move the ledger" not in other.get(approve).content.decode()
    assert other.post(approve, {"step": "vote"}).status_code == 403
    answer = other.post(approve, {"step": "check", "code": code})
    assert answer.status_code == 403 and 'aria-invalid="true" aria-describedby="code-e" autofocus' in answer.content.decode()
    assert not reject.code_hash and not Vote.objects.exists()


def test_the_proof_lasts_an_hour(approve, now, client):
    let_in(client, approve)
    with time_machine.travel(utc_now() + timedelta(minutes=61), tick=False):
        assert "Move the ledger" not in client.get(approve).content.decode()
        assert client.post(approve, {"step": "vote"}).status_code == 403
    assert not Vote.objects.exists()


def test_the_code_lasts_ten_minutes(approve, now, client):
    client.post(approve, {"step": "send"})
    code = code_sent()
    with time_machine.travel(utc_now() + timedelta(minutes=10, seconds=1), tick=False):
        assert client.post(approve, {"step": "check", "code": code}).status_code == 403


def test_after_five_wrong_codes_the_links_are_dead(approve, now, client):
    client.post(approve, {"step": "send"})
    code = code_sent()
    wrong = [text for text in ("", "12345", "abcdef", "000000", "111111", "222222") if text != code][:5]
    statuses = [client.post(approve, {"step": "check", "code": text}).status_code for text in wrong]
    assert statuses == [403, 403, 403, 403, 410] and denied() == 5
    assert client.post(approve, {"step": "check", "code": code}).status_code == 410
    assert not MailLink.objects.filter(revoked_at=None, user__is_guest=True).exists()


def test_tries_count_over_new_codes_too(approve, now, client):
    start = utc_now()
    for turn in range(4):
        with time_machine.travel(start + timedelta(minutes=2 * turn), tick=False):
            client.post(approve, {"step": "send"})
            client.post(approve, {"step": "check", "code": "000000" if code_sent() != "000000" else "000001"})
    with time_machine.travel(start + timedelta(minutes=10), tick=False):
        assert client.post(approve, {"step": "check", "code": "nonsense"}).status_code == 410
    assert not MailLink.objects.filter(revoked_at=None, user__is_guest=True).exists()


def test_codes_go_out_once_a_minute(approve, client):
    assert client.post(approve, {"step": "send"}).status_code == 200
    answer = client.post(approve, {"step": "send"})
    assert answer.status_code == 429 and 0 < int(answer["Retry-After"]) <= 61
    with time_machine.travel(utc_now() + timedelta(seconds=62), tick=False):
        assert client.post(approve, {"step": "send"}).status_code == 200


def test_a_code_that_can_not_be_sent_says_so(approve, client, monkeypatch):
    monkeypatch.setattr("changemgmt.lifecycle.mail_links.send_mail", lambda *a, **k: (_ for _ in ()).throw(OSError("down")))
    answer = client.post(approve, {"step": "send"})
    assert answer.status_code == 409 and "could not be sent" in answer.content.decode()


def test_somebody_with_an_account_gets_no_code(cast, seeded, now, client):
    from .test_mail_links import mailed as mailed_to

    a_chain(a_level(a_seat("approver")))
    in_review(a_change(cast.rita, now), now)
    path = mailed_to(now, "petra")[0]
    assert client.post(path, {"step": "send"}).status_code == 409
    assert client.post(path, {"step": "check", "code": "123456"}).status_code == 409


def test_a_rejection_by_a_guest_needs_its_reason_and_counts(round, cast, now, client):
    ask(round, cast.max, now)
    reject = mailed(now)[1]
    assert "Reject" in let_in(client, reject)
    assert client.post(reject, {"step": "vote"}).status_code == 409
    assert client.post(reject, {"step": "vote", "comment": "Not with us"}).status_code == 200
    assert (Vote.objects.get().vote, Change.objects.get(pk=round.change_id).state) == ("reject", "rejected")


def test_a_guest_votes_by_no_other_way(guest, cast, now):
    for factors in ({}, {"password": PASSWORD}, {"password": "", "code": "123456"}):
        with pytest.raises(NotPermitted):
            cast_vote(guest.seat_id, actor=guest.user, now=now, vote="approve", digest=guest.seat.level.digest, **factors)
    assert not Vote.objects.exists()


def test_a_guest_at_two_seats_of_a_level_counts_once(round, cast, now, client):
    ask(round, cast.max, now)
    first = mailed(now)[0]
    ask(round, cast.max, now, label="Security")
    let_in(client, first)
    assert client.post(first, {"step": "vote"}).status_code == 200
    assert mailed(now) == []
    assert Vote.objects.filter(superseded=False).count() == 1 and seat_of(round, "Partner").level.state == "open"


def test_where_the_level_stops_allowing_guests_the_vote_does_not_count(approve, guest, now, client):
    let_in(client, approve)
    level = guest.seat.level
    level.settings["allow_guests"] = False
    level.save()
    assert client.post(approve, {"step": "vote"}).status_code == 410
    assert not Vote.objects.exists()


# --- taking it back, running out, another content ---


def test_taken_back_it_is_dead_at_once(approve, guest, round, cast, now, client):
    let_in(client, approve)
    for actor in (cast.rita, cast.petra, cast.ada):
        with pytest.raises(NotPermitted):
            revoke_guest(round.change.number, guest.pk, actor=actor, now=now)
    revoke_guest(round.change.number, guest.pk, actor=cast.max, now=now)
    revoke_guest(round.change.number, guest.pk, actor=cast.max, now=now)
    assert client.get(approve).status_code == 410 and client.post(approve, {"step": "vote"}).status_code == 410
    assert Event.objects.filter(action="guest.revoked").count() == 1 and not Vote.objects.exists()


def test_a_vote_of_a_guest_who_is_taken_back_falls_while_the_level_is_open(approve, guest, round, cast, now, client):
    let_in(client, approve)
    client.post(approve, {"step": "vote"})
    assert seat_of(round, "Partner").state == "voted"
    revoke_guest(round.change.number, guest.pk, actor=cast.max, now=now)
    assert not Vote.objects.filter(superseded=False).exists() and seat_of(round, "Partner").state == "open"


def test_a_guest_whose_time_is_over_is_asked_no_more(guest, round, cast, now):
    act_on(now + timedelta(hours=71))
    assert Guest.objects.get().revoked_at is None
    act_on(now + timedelta(hours=73))
    assert Guest.objects.get().revoked_at is not None and Event.objects.filter(action="guest.expired").count() == 1
    assert expire_guest(guest.pk, now=now + timedelta(hours=74)) is False


def test_a_guest_who_voted_in_time_keeps_the_vote(approve, guest, round, cast, now, client):
    let_in(client, approve)
    client.post(approve, {"step": "vote"})
    act_on(now + timedelta(hours=73))
    vote_of(round, "Security", cast.sam, now + timedelta(hours=74), password=PASSWORD)
    assert seat_of(round, "Partner").level.state == "approved"


def test_a_seat_that_waits_for_an_expired_guest_alone_says_so(cast, seeded, now):
    lonely = make_person("lonely", ("auditor",))
    a_chain(a_level({"label": "Partner", "user": "lonely"}, allow_guests=True))
    round = in_review(a_change(cast.rita, now), now)
    ask(round, cast.max, now)
    lonely.is_active = False
    lonely.save()
    expire_guest(Guest.objects.get().pk, now=now + timedelta(hours=73))
    assert Event.objects.filter(action="approval.no_approver").exists()


def test_a_guest_of_a_waiting_level_gets_the_links_when_it_opens(round, cast, now):
    ask(round, cast.max, now, label="Board")
    assert mailed(now) == []
    later = now + timedelta(days=5)
    for label, user in (("Partner", cast.petra), ("Security", cast.sam)):
        vote_of(round, label, user, later, password=PASSWORD)
    act_on(later)
    assert len(mailed(later)) == 2 and Guest.objects.get().expires_at == later + timedelta(hours=72)


def test_when_the_content_moves_the_guest_is_asked_anew(approve, guest, round, cast, now, client):
    let_in(client, approve)
    change, later = Change.objects.get(pk=round.change_id), now + timedelta(seconds=1)
    edit_change(change.number, {"description": "By day"}, actor=cast.rita, now=later, seen=change.etag)
    review(change.number, now=later)
    assert client.post(approve, {"step": "vote"}).status_code == 412
    fresh = Guest.objects.order_by("pk").last()
    assert fresh.pk != guest.pk and fresh.user == guest.user and fresh.seat.level.round.number == 2
    paths = [path for path in mailed(now) if path != approve]
    assert len(paths) == 2
    assert "By day" in let_in(client, paths[0])


# --- what a guest is not ---


def test_a_guest_can_not_sign_in_and_gets_neither_mail_nor_token_nor_role(guest, client, cast, now):
    user = guest.user
    user.set_password(PASSWORD)
    user.save()
    assert client.post("/login/", {"username": user.username, "password": PASSWORD}).status_code == 401
    assert client.get("/profile/").status_code == 302
    with pytest.raises(NotPossible):
        manage_people.create_token(user, actor=None, now=now, days=1, scope="write")
    with pytest.raises(Invalid):
        manage_people.grant_role(user.username, "approver", actor=cast.ada, now=now)
    outbox.outbox.clear()
    client.post("/password/forgotten/", {"email": ANNA["email"]})
    assert outbox.outbox == []
    assert authenticate(username=user.username, password="") is None


def test_a_guest_is_in_no_list_of_people_to_choose_from(guest, round, api, client, cast):
    name = guest.user.username
    assert name not in api(cast.max).get("/api/v1/users/", {"q": "Anna"}).content.decode()
    assert name not in api(cast.max).get("/api/v1/users/", {"page_size": 200}).content.decode()
    client.force_login(cast.rita)
    assert name not in client.get("/changes/new/").content.decode()
    draft = api(cast.rita).post("/api/v1/changes/", {"title": "x"}).json()["number"]
    for field, value in (("owner", name), ("implementers", [name]), ("watchers", [name])):
        assert api(cast.rita).patch(f"/api/v1/changes/{draft}/", {field: value}).status_code == 400
    client.force_login(cast.ada)
    assert name not in client.get("/admin/changemgmt/user/").content.decode()
    body = {
        "delegate": name,
        "starts_at": "2026-12-01T00:00:00Z",
        "ends_at": "2026-12-02T00:00:00Z",
        "scope": {"kind": "all", "value": None},
        "reason": "x",
    }
    assert api(cast.petra).post("/api/v1/delegations/", body).status_code in (400, 403)


def test_a_guest_is_told_nothing_but_what_is_asked(guest, round, cast, api, now):
    change = Change.objects.get(pk=round.change_id)
    api(cast.max).post(f"/api/v1/changes/{change.number}/comments/", {"text": f"@{guest.user.username} look"}, HTTP_IF_MATCH=f'"{change.etag}"')
    for event in Event.objects.all():
        tell(event.pk)
    rows = Notification.objects.filter(recipient=guest.user)
    assert {(row.channel, row.kind) for row in rows} <= {("mail", "guest.invited"), ("mail", "approval.level_opened")}


def test_a_guest_of_a_confidential_change_sees_it_by_the_link_and_no_longer(round, cast, now, client):
    Change.objects.filter(pk=round.change_id).update(confidential=True)
    settle_rights(Change.objects.get(pk=round.change_id), now=now)
    guest = ask(round, cast.max, now)
    assert "Move the ledger" in let_in(client, mailed(now)[0])
    revoke_guest(round.change.number, guest.pk, actor=cast.max, now=now)
    assert not ChangeRight.objects.filter(user=guest.user).exists()


def test_who_was_a_guest_and_gets_an_account_is_one_person(guest, cast, now, approve, client):
    user = manage_people.invite("anna", actor=cast.ada, now=now, email="anna@partner.example", roles=["approver"])
    assert client.get(approve).status_code == 410
    manage_people.accept_invitation(user, now=now, password="a long word or two")
    assert User.objects.get(username="anna").person == User.objects.get(pk=guest.user_id).person


# --- page, API ---


def test_over_the_api(round, cast, api):
    number, seat = round.change.number, seat_of(round, "Partner").pk
    place = f"/api/v1/changes/{number}/guests/"
    body = {"seat": seat, **ANNA}
    for user in (cast.rita, cast.petra, cast.vera):
        assert api(user).post(place, body).status_code == 403
    for wrong in ({}, body | {"more": 1}, body | {"seat": str(seat)}, body | {"email": 5}, body | {"name": None}):
        assert api(cast.max).post(place, wrong).status_code == 400
    made = api(cast.max).post(place, body)
    assert made.status_code == 201 and made["Location"] == f"{place}{made.json()['id']}/"
    assert made.json() | {"name": "Dr. Anna Gast", "level": "Partners", "label": "Partner", "active": True} == made.json()
    assert api(cast.max).post(place, body).status_code == 409
    assert api(cast.max).get(place).json()[0]["email"] == ANNA["email"]
    seen = api(cast.vera).get(place).json()[0]
    assert (seen["name"], seen["email"], seen["second_channel"]) == ("Dr. Anna Gast", None, None)
    assert not any(word in str(made.json()) for word in ("token", "link", "code", "guest-"))
    shape = api(cast.vera).get(f"/api/v1/changes/{number}/approval/").json()["levels"][0]
    assert shape["allow_guests"] is True and shape["seats"][0]["guests"] == ["Dr. Anna Gast"]
    one = f"{place}{made.json()['id']}/"
    assert api(cast.vera).delete(one).status_code == 403
    assert api(cast.max).delete(one).status_code == 204
    assert api(cast.max).get(one).json()["active"] is False
    assert api(cast.max).delete(f"{place}999/").status_code == 404
    assert api().get(place).status_code == 401


def test_on_the_page(round, cast, client, now):
    number = round.change.number
    client.force_login(cast.vera)
    assert "Only its owner or a change manager" in client.get(f"/changes/{number}/guests/").content.decode()
    assert client.post(f"/changes/{number}/guests/", {"seat": seat_of(round, "Partner").pk, **ANNA}).status_code == 403
    client.force_login(cast.max)
    text = client.get(f"/changes/{number}/guests/").content.decode()
    assert "Partner (Partners)" in text and "Board (Later)" in text and "Inside" not in text
    assert f"/changes/{number}/guests/" in client.get(f"/changes/{number}/").content.decode()
    answer = client.post(f"/changes/{number}/guests/", {"seat": seat_of(round, "Partner").pk, **ANNA, "email": "petra@example.org"})
    assert answer.status_code == 400 and "ask the account instead" in answer.content.decode() and "Dr. Anna Gast" in answer.content.decode()
    assert client.post(f"/changes/{number}/guests/", {"seat": seat_of(round, "Partner").pk, **ANNA}).status_code == 302
    text = client.get(f"/changes/{number}/").content.decode()
    assert "Dr. Anna Gast" in text and ANNA["email"] not in text
    row = Guest.objects.get()
    assert client.get(f"/changes/{number}/guests/{row.pk}/revoke/").status_code == 405
    assert client.post(f"/changes/{number}/guests/{row.pk}/revoke/").status_code == 302
    assert Guest.objects.get().revoked_at is not None


def test_the_name_of_a_guest_stands_with_the_vote(approve, guest, round, cast, client):
    let_in(client, approve)
    client.post(approve, {"step": "vote"})
    shown = approval_of(round.change, cast.vera)["levels"][0]["votes"][0]
    assert (shown["name"], shown["by"]) == ("Dr. Anna Gast", guest.user.username)
    client.force_login(cast.vera)
    text = client.get(f"/changes/{round.change.number}/").content.decode()
    assert "Dr. Anna Gast" in text and "guest-" not in text.split('id="approval"')[1].split("</section>")[0]


def test_a_hostile_name_is_text(round, cast, now, client):
    ask(round, cast.max, now, name="<script>alert(1)</script>{{ 7*7 }}")
    client.force_login(cast.max)
    for page in (f"/changes/{round.change.number}/", f"/changes/{round.change.number}/guests/"):
        text = client.get(page).content.decode()
        assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in text and "<script>alert" not in text
    mailed(now)
    assert all("<script>alert" not in mail.alternatives[0][0] for mail in outbox.outbox)


def test_every_refusal_is_one_of_the_house(round, cast, now):
    with pytest.raises(DomainError):
        revoke_guest(round.change.number, 1, actor=cast.max, now=now)
    with pytest.raises(DomainError):
        invite_guest("CHG-1999-00001", actor=cast.max, now=now, seat=1, **ANNA)
