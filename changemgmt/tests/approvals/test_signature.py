"""The electronic signature: asked on every door where the level demands it, kept in the vote, and never passed by a wrong factor."""

import io
import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django_otp.plugins.otp_totp.models import TOTPDevice

from changemgmt.accounts.actions import make_token
from changemgmt.accounts.models import Delegation
from changemgmt.approvals.models import Vote
from changemgmt.approvals.queries import approval_of
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change, Template
from changemgmt.core.errors import NotPossible, OutOfDate, Throttled
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import second_factor
from changemgmt.lifecycle.signature import WrongFactor
from changemgmt.lifecycle.vote import bulk_vote
from changemgmt.tests.accounts.test_second_factor import code_of, set_up, wrong_code
from changemgmt.tests.cast import PASSWORD

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    """The doors read the clock."""
    return utc_now()


@pytest.fixture
def round(cast, seeded, now):
    a_chain(a_level(a_seat("approver", "Security Lead"), require_signature=True))
    return in_review(a_change(cast.rita, now), now)


@pytest.fixture
def device(cast, now):
    """Petra's second factor."""
    return set_up(cast.petra, now)


def denied():
    return Event.objects.filter(action="access.denied").count()


def test_the_vote_keeps_what_was_signed(round, cast, now):
    vote_of(round, "Security Lead", cast.petra, now, password=PASSWORD)
    signature = Vote.objects.get().signature
    meaning = f"I approve version 1 of {round.change.number} as Security Lead"
    assert (signature["meaning"], signature["name"], signature["factors"]) == (meaning, "Petra", ["password"]) and signature["at"]
    shown = approval_of(round.change, cast.vera, now=now)["levels"][0]["votes"][0]
    assert shown["signature"] == signature
    event = Event.objects.get(action="vote.cast")
    assert meaning in event.text and '"password"' in event.text and PASSWORD not in event.text


def test_with_a_second_factor_its_code_is_asked_too_and_counts_once(round, device, cast, now):
    for wrong in (None, "", "      ", "abcdef", wrong_code(device, now), code_of(device, now, -10), 123456):
        with pytest.raises(WrongFactor):
            vote_of(round, "Security Lead", cast.petra, now, password=PASSWORD, code=wrong)
    with pytest.raises(Throttled):
        vote_of(round, "Security Lead", cast.petra, now, password=PASSWORD, code=code_of(device, now))
    assert not Vote.objects.exists()
    later = now + timedelta(minutes=20)
    vote_of(round, "Security Lead", cast.petra, later, password=PASSWORD, code=code_of(device, later))
    assert Vote.objects.get().signature["factors"] == ["password", "totp"]
    assert TOTPDevice.objects.get(pk=device.pk).last_used_at == later


@pytest.mark.parametrize("password", [None, "", " ", "wrong", PASSWORD.upper(), PASSWORD + " ", 0, ["x"], {"$ne": ""}])
def test_no_wrong_password_signs(round, cast, now, password):
    with pytest.raises(WrongFactor):
        vote_of(round, "Security Lead", cast.petra, now, password=password)
    assert not Vote.objects.exists() and Change.objects.get(pk=round.change_id).state == "in_review"


def test_the_password_and_code_of_somebody_else_do_not_sign(round, device, cast, now):
    cast.paul.set_password("another long word")
    cast.paul.save()
    of_paul = second_factor.begin(cast.paul, now=now, password="another long word")
    second_factor.confirm(cast.paul, now=now - timedelta(minutes=5), code=code_of(of_paul, now - timedelta(minutes=5)))
    for password, code in (("another long word", code_of(device, now)), (PASSWORD, code_of(of_paul, now))):
        with pytest.raises(WrongFactor):
            vote_of(round, "Security Lead", cast.petra, now, password=password, code=code)
    later = now + timedelta(minutes=2)
    vote_of(round, "Security Lead", cast.petra, later, password=PASSWORD, code=code_of(device, later))


def test_a_code_is_used_up_by_the_vote_it_signed(round, device, cast, seeded, now):
    code = code_of(device, now)
    vote_of(round, "Security Lead", cast.petra, now, password=PASSWORD, code=code)
    other = in_review(a_change(cast.rita, now), now)
    for moment in (now, now + timedelta(seconds=20)):
        with pytest.raises(WrongFactor):
            vote_of(other, "Security Lead", cast.petra, moment, password=PASSWORD, code=code)
    later = now + timedelta(minutes=2)
    vote_of(other, "Security Lead", cast.petra, later, password=PASSWORD, code=code_of(device, later))


def test_a_password_that_was_changed_meanwhile_does_not_sign(round, cast, now):
    stale = type(cast.petra).objects.get(pk=cast.petra.pk)
    cast.petra.set_password("a new long password")
    cast.petra.save()
    with pytest.raises(WrongFactor):
        vote_of(round, "Security Lead", stale, now, password=PASSWORD)
    vote_of(round, "Security Lead", stale, now, password="a new long password")


def test_guessing_is_stopped_after_five_wrong_ones_whatever_rolled_back(round, cast, now):
    for turn in range(5):
        with pytest.raises(WrongFactor):
            vote_of(round, "Security Lead", cast.petra, now + timedelta(seconds=turn), password=f"guess {turn}")
    with pytest.raises(Throttled) as refused:
        vote_of(round, "Security Lead", cast.petra, now + timedelta(seconds=9), password=PASSWORD)
    assert 500 < refused.value.retry_after <= 600
    assert Event.objects.filter(action="second_factor.throttled").count() == 1 and not Vote.objects.exists()
    vote_of(round, "Security Lead", cast.paul, now + timedelta(seconds=9), password=PASSWORD)
    assert Vote.objects.get().by == cast.paul


def test_what_is_refused_for_another_reason_does_not_use_the_code_up(round, device, cast, now):
    code = code_of(device, now)
    with pytest.raises(OutOfDate):
        vote_of(round, "Security Lead", cast.petra, now, password=PASSWORD, code=code, digest="0" * 64)
    with pytest.raises(NotPossible):
        vote_of(round, "Security Lead", cast.petra, now, vote="reject", comment="", password=PASSWORD, code=code)
    vote_of(round, "Security Lead", cast.petra, now, password=PASSWORD, code=code)


def test_the_same_vote_again_asks_for_nothing_and_signs_nothing_new(round, device, cast, now):
    vote_of(round, "Security Lead", cast.petra, now, password=PASSWORD, code=code_of(device, now))
    signed = Vote.objects.get().signature
    vote_of(round, "Security Lead", cast.petra, now + timedelta(minutes=1))
    assert Vote.objects.get().signature == signed


def test_a_rejection_and_an_abstention_are_signed_with_their_own_meaning(cast, seeded, now):
    a_chain(a_level(a_seat("approver"), require_signature=True))
    for vote, words in (("reject", "I reject version 1 of"), ("abstain", "I abstain from version 1 of")):
        round = in_review(a_change(cast.rita, now), now)
        vote_of(round, "approver", cast.petra, now, vote=vote, password=PASSWORD)
        assert Vote.objects.get(level__round=round).signature["meaning"].startswith(words)


def test_a_delegate_signs_with_their_own_factors_for_the_other(round, cast, now):
    Delegation.objects.create(
        delegator=cast.petra, delegate=cast.stella, starts_at=now - timedelta(days=1), ends_at=now + timedelta(days=1), created_by=cast.petra,
        created_at=now - timedelta(days=1),
    )  # fmt: skip
    vote_of(round, "Security Lead", cast.stella, now, password=PASSWORD)
    signature = Vote.objects.get().signature
    assert signature["name"] == "Stella" and signature["meaning"].endswith("as Security Lead for Petra")


def test_levels_that_do_not_demand_it_keep_no_signature(cast, seeded, now):
    round = in_review(a_change(cast.rita, now), now)
    vote_of(round, "Peer", cast.petra, now, password="whatever", code="1")
    assert Vote.objects.get().signature is None


# --- the doors ---


def test_over_the_api(round, device, cast, api, now):
    seat = seat_of(round, "Security Lead")
    body = {"digest": seat.level.digest, "vote": "approve"}
    wrong = [{}, {"password": ""}, {"password": PASSWORD}, {"password": PASSWORD, "code": ""}, {"password": "x", "code": code_of(device, utc_now())}]
    for count, factors in enumerate(wrong, 1):
        answer = api(cast.petra).post(f"/api/v1/approvals/{seat.pk}/vote/", body | factors)
        assert answer.status_code == 403 and denied() == count and not Vote.objects.exists()
        assert PASSWORD not in answer.content.decode()
    answer = api(cast.petra).post(f"/api/v1/approvals/{seat.pk}/vote/", body | {"password": PASSWORD, "code": code_of(device, utc_now())})
    assert answer.status_code == 200 and answer.json()["votes"][0]["signature"]["factors"] == ["password", "totp"]


def test_over_the_api_too_many_wrong_ones_get_429_and_a_time_to_wait(round, cast, api):
    seat = seat_of(round, "Security Lead")
    statuses = []
    for _ in range(6):
        answer = api(cast.petra).post(f"/api/v1/approvals/{seat.pk}/vote/", {"digest": seat.level.digest, "vote": "approve", "password": "guess"})
        statuses.append(answer.status_code)
    assert statuses == [403] * 5 + [429] and int(answer["Retry-After"]) > 500


def test_on_the_page_the_form_says_what_is_signed_and_comes_back_after_a_wrong_password(round, device, cast, client):
    client.force_login(cast.petra)
    seat = seat_of(round, "Security Lead")
    text = client.get(f"/approvals/{seat.pk}/vote/?vote=approve").content.decode()
    assert f"I approve version 1 of {round.change.number} as Security Lead." in text and "<b>Petra</b>" in text
    assert 'name="password"' in text and 'name="code"' in text
    assert "I reject version 1" in client.get(f"/approvals/{seat.pk}/vote/?vote=reject").content.decode()
    form = {"vote": "approve", "digest": seat.level.digest, "read": "on", "comment": "looked at it", "password": "wrong", "code": "000000"}
    answer = client.post(f"/approvals/{seat.pk}/vote/", form)
    assert answer.status_code == 403 and "looked at it" in answer.content.decode() and 'name="password"' in answer.content.decode()
    assert denied() == 1 and not Vote.objects.exists()
    answer = client.post(f"/approvals/{seat.pk}/vote/", form | {"password": PASSWORD, "code": code_of(device, utc_now())})
    assert answer.status_code == 302 and Vote.objects.get().signature["factors"] == ["password", "totp"]
    text = client.get(round.change.get_absolute_url()).content.decode()
    assert "Signed:" in text and "(password, totp)" in text


def field_of(text, name):
    """The tag of the field, with the message that its aria-describedby names."""
    tag = re.search(rf'<input[^>]* name="{name}"[^>]*>', text)[0]
    message = re.search(r'aria-describedby="([^" ]+-e)', tag)
    return tag, re.search(rf'id="{message[1]}">.*?</svg>([^<]*)<', text)[1] if message else ""


def is_wrong(tag):
    return 'aria-invalid="true"' in tag


@pytest.mark.parametrize("htmx", [{}, {"HTTP_HX_REQUEST": "true"}])
@pytest.mark.parametrize(
    ("given", "password_says", "code_says"),
    [
        ({"password": "", "code": ""}, "asks for your password and the code", "asks for your password and the code"),
        ({"password": PASSWORD, "code": ""}, "", "asks for your password and the code"),
        ({"password": "", "code": "123456"}, "asks for your password and the code", ""),
        ({"password": "guess-1", "code": "123456"}, "password or the code is wrong", "password or the code is wrong"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_the_rest_is_kept(round, device, cast, client, htmx, given, password_says, code_says):
    client.force_login(cast.petra)
    seat = seat_of(round, "Security Lead")
    form = {"vote": "reject", "digest": seat.level.digest, "read": "on", "comment": "looked at it", **given}
    text = client.post(f"/approvals/{seat.pk}/vote/", form, **htmx).content.decode()
    for name, says in (("password", password_says), ("code", code_says)):
        tag, message = field_of(text, name)
        assert (is_wrong(tag), bool(message)) == (bool(says), bool(says)) and says in message, name
        assert "value=" not in tag
    assert text.count(" autofocus") == 1 and " autofocus" in field_of(text, "password" if password_says else "code")[0]
    assert "looked at it" in text and " checked" in field_of(text, "read")[0]
    assert PASSWORD not in text and "guess-1" not in text


def test_with_the_password_alone_its_field_says_that_it_is_wrong(round, cast, client):
    client.force_login(cast.petra)
    seat = seat_of(round, "Security Lead")
    assert not is_wrong(field_of(client.get(f"/approvals/{seat.pk}/vote/").content.decode(), "password")[0])
    form = {"vote": "approve", "digest": seat.level.digest, "read": "on", "password": "guess"}
    tag, message = field_of(client.post(f"/approvals/{seat.pk}/vote/", form).content.decode(), "password")
    assert is_wrong(tag) and message == "The password is wrong."


def test_what_was_read_is_to_be_read_again_where_the_content_is_another(round, cast, client):
    client.force_login(cast.petra)
    seat = seat_of(round, "Security Lead")
    answer = client.post(f"/approvals/{seat.pk}/vote/", {"vote": "approve", "digest": "0" * 64, "read": "on", "password": PASSWORD})
    assert answer.status_code == 412 and " checked" not in field_of(answer.content.decode(), "read")[0]


def test_without_a_second_factor_the_form_asks_for_no_code(round, cast, client):
    client.force_login(cast.petra)
    assert 'name="code"' not in client.get(f"/approvals/{seat_of(round, 'Security Lead').pk}/vote/").content.decode()


@pytest.fixture
def several(cast, seeded, now):
    """Three changes of one template that each demand a signature."""
    a_chain(a_level(a_seat("approver"), require_signature=True))
    template = Template.objects.exclude(type="standard").first()
    seats = [seat_of(in_review(a_change(cast.rita, now, template=template), now), "approver") for _ in range(3)]
    return [{"id": seat.pk, "digest": seat.level.digest} for seat in seats]


def test_together_one_password_and_one_code_sign_each_vote(several, device, cast, now):
    code = code_of(device, now)
    answers = bulk_vote(several, actor=cast.petra, now=now, vote="approve", password=PASSWORD, code=code)
    assert [answer["ok"] for answer in answers] == [True] * 3
    assert [vote.signature["factors"] for vote in Vote.objects.all()] == [["password", "totp"]] * 3
    with pytest.raises(WrongFactor):
        vote_of(in_review(a_change(cast.rita, now), now), "approver", cast.petra, now, password=PASSWORD, code=code)


def test_together_a_wrong_factor_signs_none_and_counts_once(several, device, cast, now):
    for _ in range(4):
        answers = bulk_vote(several, actor=cast.petra, now=now, vote="approve", password="wrong", code=code_of(device, now))
        assert [(answer["ok"], answer["problem"].status) for answer in answers] == [(False, 403)] * 3
    assert not Vote.objects.exists() and denied() == 12
    bulk_vote(several, actor=cast.petra, now=now, vote="approve", password=PASSWORD, code=code_of(device, now))
    assert Vote.objects.count() == 3


def test_together_over_the_api_and_without_factors(several, cast, api):
    call = {"votes": several, "vote": "approve"}
    answers = api(cast.petra).post("/api/v1/approvals/bulk-vote/", call).json()
    assert [answer["problem"]["status"] for answer in answers] == [403] * 3
    answers = api(cast.petra).post("/api/v1/approvals/bulk-vote/", call | {"password": PASSWORD}).json()
    assert isinstance(answers, list), answers
    assert all(answer["ok"] for answer in answers)


def test_together_on_the_page(several, cast, client):
    client.force_login(cast.petra)
    form = {"id": [row["id"] for row in several], **{f"digest-{row['id']}": row["digest"] for row in several}}
    client.post("/approvals/bulk/", form | {"password": "wrong"})
    assert not Vote.objects.exists()
    client.post("/approvals/bulk/", form | {"password": PASSWORD})
    assert Vote.objects.count() == 3


@pytest.fixture
def command(monkeypatch):
    """`command(user, …)` runs `manage.py change vote` with standard input; answers the code it ends with."""

    def run(user, number, *arguments, given=""):
        _, key = make_token(user, days=1, scope="write", name="cli", now=utc_now() - timedelta(minutes=1))
        monkeypatch.setenv("COUNTERSIGN_TOKEN", key)
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        try:
            call_command("change", "vote", number, "--vote", "approve", *arguments, "--json")
        except SystemExit as end:
            return end.code
        return 0

    return run


def test_on_the_command_line_the_password_comes_on_standard_input(round, device, cast, command):
    number, digest = round.change.number, seat_of(round, "Security Lead").level.digest
    assert command(cast.petra, number, "--digest", digest) == 1
    assert command(cast.petra, number, "--digest", digest, "--password-stdin", given=f"{PASSWORD}\n") == 1
    assert command(cast.petra, number, "--digest", digest, "--password-stdin", "--code", "", given="\n") == 1
    assert not Vote.objects.exists() and denied() == 3
    assert command(cast.petra, number, "--digest", digest, "--password-stdin", "--code", code_of(device, utc_now()), given=f"{PASSWORD}\n") == 0
    assert Vote.objects.get().signature["factors"] == ["password", "totp"]


def test_no_option_takes_a_password():
    for words in (["--password", "x"], ["--password=x"], ["--password-stdin=x"]):
        with pytest.raises(CommandError):
            call_command("change", "vote", "CHG-2026-00001", "--vote", "approve", *words)


@pytest.mark.parametrize("text", ["approve", "/approve", "Vote: approve", "@max I approve this", "LGTM +1", "X-Approve: yes"])
def test_a_comment_that_says_approve_votes_for_nobody(cast, seeded, api, now, text):
    round = in_review(a_change(cast.rita, now), now)
    change = Change.objects.get(pk=round.change_id)
    answer = api(cast.petra).post(
        f"/api/v1/changes/{change.number}/comments/", {"text": text}, HTTP_X_APPROVE="petra", HTTP_X_VOTE="approve", HTTP_IF_MATCH=f'"{change.etag}"'
    )
    assert answer.status_code == 201
    assert not Vote.objects.exists() and Change.objects.get(pk=change.pk).state == "in_review"
