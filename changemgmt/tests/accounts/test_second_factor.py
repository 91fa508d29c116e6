"""The second factor: set up with the password, confirmed by a code, removed or reset; and how often factors may be guessed."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from changemgmt.accounts.second_factor import has_second_factor, secret_of
from changemgmt.audit.models import Event, PersonalValue
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible, Throttled
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import second_factor
from changemgmt.notifications.actions import tell
from changemgmt.notifications.models import Notification
from changemgmt.tests.cast import PASSWORD, make_person

pytestmark = pytest.mark.django_db
PLACE = "/profile/second-factor/"


def code_of(device, moment, step=0):
    """What an app with this secret shows at a moment."""
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits)
    totp.time = moment.timestamp() + 30 * step
    return f"{totp.token():06}"


def wrong_code(device, moment):
    """A code that the app shows at none of the moments that are allowed."""
    near = {code_of(device, moment, step) for step in (-2, -1, 0, 1, 2)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)


def set_up(user, now):
    """A confirmed device; the code that confirmed it is used up."""
    device = second_factor.begin(user, now=now - timedelta(hours=1), password=PASSWORD)
    return second_factor.confirm(user, now=now - timedelta(hours=1), code=code_of(device, now - timedelta(hours=1)))


def test_a_person_sets_it_up_with_the_password_and_the_first_code(cast, now):
    device = second_factor.begin(cast.sam, now=now, password=PASSWORD)
    assert not has_second_factor(cast.sam)
    with pytest.raises(Invalid):
        second_factor.confirm(cast.sam, now=now, code=wrong_code(device, now))
    second_factor.confirm(cast.sam, now=now + timedelta(seconds=30), code=code_of(device, now, 1))
    assert has_second_factor(cast.sam)
    with pytest.raises(NotPossible):
        second_factor.begin(cast.sam, now=now, password=PASSWORD)
    event = Event.objects.get(action="second_factor.added")
    assert event.stream == "auth" and secret_of(device).replace(" ", "") not in event.text and device.key not in event.text


@pytest.mark.parametrize("password", ["", None, "wrong", 12345678, PASSWORD.upper()])
def test_nothing_begins_or_ends_without_the_password(cast, now, password):
    with pytest.raises(Invalid):
        second_factor.begin(cast.sam, now=now, password=password)
    assert not TOTPDevice.objects.exists()
    device = set_up(cast.tina, now)
    with pytest.raises(Invalid):
        second_factor.remove(cast.tina, now=now, password=password, code=code_of(device, now))
    assert has_second_factor(cast.tina)


def test_it_is_removed_with_the_password_and_a_code(cast, now):
    device = set_up(cast.sam, now)
    for code in (None, "", wrong_code(device, now)):
        with pytest.raises(Invalid):
            second_factor.remove(cast.sam, now=now, password=PASSWORD, code=code)
    assert has_second_factor(cast.sam)
    second_factor.remove(cast.sam, now=now, password=PASSWORD, code=code_of(device, now))
    second_factor.remove(cast.sam, now=now, password=PASSWORD, code="")
    assert not TOTPDevice.objects.exists()
    assert Event.objects.filter(action="second_factor.removed").count() == 1


def test_an_administrator_resets_somebody_elses_and_the_person_is_told(cast, now):
    set_up(cast.sam, now)
    set_up(cast.ada, now)
    for actor in (cast.max, cast.sam, cast.aud):
        with pytest.raises(NotPermitted):
            second_factor.reset("sam", actor=actor, now=now)
    with pytest.raises(NotPossible):
        second_factor.reset("ada", actor=cast.ada, now=now)
    second_factor.reset("sam", actor=cast.ada, now=now, reason="Lost the phone")
    assert not has_second_factor(cast.sam) and has_second_factor(cast.ada)
    event = Event.objects.get(action="second_factor.reset")
    assert event.object == "user:sam" and PersonalValue.objects.get(event=event.pk, path="data.reason").value == "Lost the phone"
    tell(event.pk)
    assert {row.recipient.username for row in Notification.objects.all()} == {"sam"}
    with pytest.raises(NotPossible):
        second_factor.reset("sam", actor=cast.ada, now=now)


def test_programs_and_guests_have_none(cast, now):
    robot = make_person("robot", is_service=True)
    guest = make_person("guest-x", is_guest=True)
    for user in (robot, guest):
        with pytest.raises(NotPermitted):
            second_factor.begin(user, now=now, password=PASSWORD)


def test_a_second_begin_makes_another_secret(cast, now):
    first = second_factor.begin(cast.sam, now=now, password=PASSWORD)
    second = second_factor.begin(cast.sam, now=now, password=PASSWORD)
    assert first.key != second.key and TOTPDevice.objects.count() == 1
    with pytest.raises(Invalid):
        second_factor.confirm(cast.sam, now=now, code=code_of(first, now))


def test_after_five_wrong_ones_nobody_looks_for_ten_minutes(cast, now):
    for turn in range(5):
        with pytest.raises(Invalid):
            second_factor.begin(cast.sam, now=now + timedelta(seconds=turn), password="wrong")
    with pytest.raises(Throttled) as refused:
        second_factor.begin(cast.sam, now=now + timedelta(seconds=60), password=PASSWORD)
    assert 530 <= refused.value.retry_after <= 600
    with pytest.raises(Throttled):
        second_factor.remove(cast.sam, now=now + timedelta(seconds=90), password=PASSWORD, code="")
    assert Event.objects.filter(action="second_factor.throttled", object="user:sam").count() == 1
    second_factor.begin(cast.tina, now=now + timedelta(seconds=60), password=PASSWORD)
    second_factor.begin(cast.sam, now=now + timedelta(minutes=11), password=PASSWORD)


def test_the_secret_is_shown_until_it_is_confirmed_and_never_again(cast, client):
    client.force_login(cast.sam)
    assert "Show me the secret" in client.get(PLACE).content.decode()
    assert client.post(f"{PLACE}begin/", {"password": "wrong"}).status_code == 400
    assert client.post(f"{PLACE}begin/", {"password": PASSWORD})["Location"] == PLACE
    device = TOTPDevice.objects.get()
    answer = client.get(PLACE)
    text = answer.content.decode()
    assert secret_of(device) in text and "<svg" in text and "style=" not in text.split("<main")[1] and "data:" not in text.split("<main")[1]
    assert "no-store" in answer["Cache-Control"]
    assert client.post(f"{PLACE}confirm/", {"code": wrong_code(device, utc_now())}).status_code == 400
    assert client.post(f"{PLACE}confirm/", {"code": code_of(device, utc_now())}).status_code == 302
    for page in (PLACE, "/profile/"):
        text = client.get(page).content.decode()
        assert device.key not in text and secret_of(device) not in text
    assert not any(device.key in event.text or secret_of(device)[:9] in event.text for event in Event.objects.all())
    assert client.post(f"{PLACE}remove/", {"password": "wrong"}).status_code == 400
    assert client.post(f"{PLACE}remove/", {"password": PASSWORD}).status_code == 400
    assert client.post(f"{PLACE}remove/", {"password": PASSWORD, "code": code_of(device, utc_now(), 1)}).status_code == 302
    assert not TOTPDevice.objects.exists()


def test_too_many_wrong_passwords_answer_429_with_a_time_to_wait(cast, client):
    client.force_login(cast.sam)
    for _ in range(5):
        assert client.post(f"{PLACE}begin/", {"password": "wrong"}).status_code == 400
    answer = client.post(f"{PLACE}begin/", {"password": PASSWORD})
    assert answer.status_code == 429 and 0 < int(answer["Retry-After"]) <= 600


def test_the_api_says_whether_and_removes_and_resets(cast, api, now):
    set_up(cast.sam, now)
    answer = api(cast.sam).get("/api/v1/me/second-factor/")
    assert answer.json()["confirmed"] is True and set(answer.json()) == {"confirmed", "since", "last_used_at"}
    assert api(cast.sam).post("/api/v1/me/second-factor/remove/", {"password": "wrong"}).status_code == 400
    assert api(cast.max).post("/api/v1/users/sam/second-factor/reset/", {}).status_code == 403
    assert api(cast.ada).post("/api/v1/users/nobody/second-factor/reset/", {}).status_code == 404
    assert api(cast.ada).post("/api/v1/users/sam/second-factor/reset/", {"reason": "lost"}).json()["confirmed"] is False
    assert api(cast.ada).post("/api/v1/users/sam/second-factor/reset/", {}).status_code == 409
    device = set_up(cast.tina, now)
    assert api(cast.tina).post("/api/v1/me/second-factor/remove/", {"password": PASSWORD}).status_code == 400
    body = {"password": PASSWORD, "code": code_of(device, utc_now())}
    assert api(cast.tina).post("/api/v1/me/second-factor/remove/", body).json()["confirmed"] is False
    assert api(cast.tina).post("/api/v1/me/second-factor/", {"password": PASSWORD}).status_code == 405


def test_the_admin_resets_it_and_never_shows_the_table(cast, client, now):
    assert TOTPDevice not in admin.site._registry
    set_up(cast.sam, now)
    client.force_login(cast.ada)
    form = {"action": "reset_second_factor", "_selected_action": [cast.sam.pk, cast.ada.pk]}
    assert "Their password alone signs" in client.post("/admin/changemgmt/user/", form).content.decode()
    assert client.post("/admin/changemgmt/user/", {**form, "confirmed": "yes"}, follow=True).status_code == 200
    assert not has_second_factor(cast.sam)
