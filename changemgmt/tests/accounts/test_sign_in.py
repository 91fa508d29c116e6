"""Signing in and out on the pages, and what strangers can learn or break there."""

import pytest
from django.core import mail
from django.test import Client

from changemgmt.accounts.models import ApiToken, SignInAttempt, User
from changemgmt.accounts.tasks import mail_reset_link
from changemgmt.audit.models import Event, PersonalValue
from changemgmt.tests.cast import PASSWORD

pytestmark = pytest.mark.django_db
NEW = "green hills and rain"
EVIL = [
    "//evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https://evil.example/",
    "/\\evil.example",
    "javascript:alert(1)",
    " //evil.example",
    "http:///evil.example",
    "///evil.example",
]


def kinds():
    return list(Event.objects.order_by("pk").values_list("action", flat=True))


def sign_in(client, name="rita", password=PASSWORD, **more):
    return client.post("/login/", {"username": name, "password": password, **more})


class TestSigningIn:
    def test_a_person_signs_in_and_out_on_the_record(self, cast, client):
        before = client.get("/login/") and client.session.session_key
        response = sign_in(client)
        assert response.status_code == 302 and response["Location"] == "/"
        assert client.session.session_key != before
        assert client.get("/profile/").status_code == 200
        assert client.get("/logout/").status_code == 405
        assert client.post("/logout/")["Location"] == "/login/"
        assert client.get("/profile/").status_code == 302
        assert kinds() == ["login.succeeded", "logout"]
        assert set(Event.objects.values_list("stream", flat=True)) == {"auth"}

    def test_wrong_pairs_get_one_answer_whoever_it_is(self, cast, client):
        User.objects.filter(username="sam").update(is_active=False)
        User.objects.create(username="invited", email="i@example.org").set_unusable_password()
        answers = set()
        for name, password in [("rita", "wrong"), ("nobody", "wrong"), ("sam", PASSWORD), ("invited", ""), ("invited", "x")]:
            response = sign_in(client, name, password)
            text = response.content.decode().split("<form")[1].split("</form")[0]
            if password:
                answers.add((response.status_code, text.replace(name, "NAME").split("csrfmiddlewaretoken")[0], "don&#x27;t match" in text))
        assert len(answers) == 1 and next(iter(answers))[2]
        assert "login.succeeded" not in kinds()

    def test_what_strangers_type_as_a_name_is_kept_out_of_the_text(self, cast, client):
        sign_in(client, "my secret password", "x")
        assert "my secret password" not in Event.objects.get(action="login.failed").text

    @pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\ud800".encode("utf-8", "replace").decode(), "' OR 1=1 --", ""])
    def test_hostile_names_are_refused(self, cast, client, name):
        assert sign_in(client, name).status_code in {400, 401}

    @pytest.mark.parametrize("evil", EVIL)
    def test_next_leads_to_local_pages_only(self, cast, client, evil):
        assert sign_in(client, next=evil)["Location"] == "/"
        client.post("/logout/", {"next": evil})
        assert client.post(f"/login/?next={evil}", {"username": "rita", "password": PASSWORD})["Location"] == "/"

    def test_next_leads_back(self, cast, client):
        assert client.get("/profile/")["Location"] == "/login/?next=/profile/"
        assert sign_in(client, next="/profile/")["Location"] == "/profile/"

    def test_a_post_without_csrf_token_is_403(self, cast):
        assert sign_in(Client(enforce_csrf_checks=True)).status_code == 403


class TestThrottle:
    @pytest.fixture(autouse=True)
    def on(self, settings):
        settings.LOGIN_THROTTLE = "20/min"

    @pytest.mark.parametrize("name", ["rita", "nobody"])
    def test_after_ten_wrong_ones_the_name_has_to_wait_whether_it_exists_or_not(self, cast, client, name):
        assert [sign_in(client, name, "wrong").status_code for _ in range(10)] == [401] * 10
        response = sign_in(client, name.upper() if name == "nobody" else name)
        assert response.status_code == 429 and 0 < int(response["Retry-After"]) <= 600
        assert kinds()[-1] == "login.throttled"
        assert sign_in(client, "vera").status_code == 302

    def test_right_ones_do_not_count_against_the_name(self, cast, client, settings):
        settings.LOGIN_THROTTLE = "1000/min"
        for _ in range(12):
            assert sign_in(client).status_code == 302
            client.post("/logout/")

    def test_an_address_has_20_a_minute(self, cast, client):
        assert {sign_in(client, f"name{n}", "wrong").status_code for n in range(20)} == {401}
        assert sign_in(client, "rita").status_code == 429
        assert client.post("/login/", {"username": "rita", "password": PASSWORD}, REMOTE_ADDR="10.0.0.9").status_code == 302

    def test_a_forwarded_address_of_a_stranger_is_ignored(self, cast, client):
        for n in range(20):
            client.post("/login/", {"username": f"name{n}", "password": "wrong"}, HTTP_X_FORWARDED_FOR=f"10.0.0.{n}")
        assert sign_in(client).status_code == 429

    def test_off_lifts_the_limit_per_name_too(self, cast, client, settings):
        settings.LOGIN_THROTTLE = "off"
        assert {sign_in(client, "rita", "wrong").status_code for _ in range(12)} == {401}
        assert not SignInAttempt.objects.exists()

    def test_reset_mails_are_limited_the_same_for_everybody(self, cast, client):
        for address in ("rita@example.org", "nobody@example.org"):
            codes = [client.post("/password/forgotten/", {"email": address}, REMOTE_ADDR=f"10.0.0.{n}").status_code for n in range(11)]
            assert codes == [302] * 10 + [429]


class TestForgottenPassword:
    def ask(self, client, address):
        response = client.post("/password/forgotten/", {"email": address}, HTTP_HOST="127.0.0.1")
        mail_reset_link(event_id=Event.objects.filter(action="password.reset_requested").latest("pk").pk)
        return response

    def link(self):
        return next(line for line in mail.outbox[-1].body.splitlines() if "/password/" in line).split("8000")[1]

    def choose(self, client, path, password=NEW):
        page = client.get(path, follow=True)
        return client.post(page.redirect_chain[-1][0], {"new_password1": password, "new_password2": password}) if page.redirect_chain else page

    def test_the_answer_and_the_work_are_the_same_for_unknown_addresses(self, cast, client):
        known, unknown = self.ask(client, "rita@example.org"), self.ask(client, "nobody@example.org")
        assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
        assert len(mail.outbox) == 1

    def test_a_link_sets_a_password_once_and_ends_other_sessions(self, cast, client):
        other = Client()
        other.force_login(cast.rita, backend="django.contrib.auth.backends.ModelBackend")
        self.ask(client, "rita@example.org")
        assert self.choose(client, self.link()).status_code == 302
        assert other.get("/profile/").status_code == 302
        assert sign_in(client, password=NEW).status_code == 302
        assert Client().get(self.link()).status_code == 400

    @pytest.mark.parametrize("weak", ["short", "123456789012345", "passwordpassword1"[:8], "rita@example.org"])
    def test_weak_passwords_are_refused(self, cast, client, weak):
        self.ask(client, "rita@example.org")
        assert self.choose(client, self.link(), weak).status_code == 400

    def test_the_link_stands_on_our_address_whatever_host_was_asked(self, cast, client, settings):
        settings.ALLOWED_HOSTS = ["*"]
        settings.BASE_URL = "https://changes.example.org"
        client.post("/password/forgotten/", {"email": "rita@example.org"}, HTTP_HOST="evil.example")
        mail_reset_link(event_id=Event.objects.get(action="password.reset_requested").pk)
        assert "https://changes.example.org/password/" in mail.outbox[0].body and "evil" not in mail.outbox[0].body

    def test_an_unknown_host_is_400(self, cast, client):
        assert client.get("/login/", HTTP_HOST="evil.example").status_code == 400

    def test_header_injection_is_refused(self, cast, client):
        assert client.post("/password/forgotten/", {"email": "rita@example.org\r\nBcc: x@evil.example"}).status_code == 400
        assert not Event.objects.exists()

    def test_the_address_is_kept_as_a_personal_value(self, cast, client):
        self.ask(client, "rita@example.org")
        event = Event.objects.get(action="password.reset_requested")
        assert "rita@" not in event.text and PersonalValue.objects.filter(event=event.pk, value="rita@example.org").exists()


class TestProfile:
    @pytest.fixture
    def rita(self, cast):
        client = Client()
        client.force_login(cast.rita, backend="django.contrib.auth.backends.ModelBackend")
        return client

    def test_settings_are_saved_and_recorded(self, rita, cast):
        assert rita.post("/profile/", {"time_zone": "Europe/Vienna", "theme": "dark"}).status_code == 302
        saved = User.objects.get(username="rita")
        assert (saved.time_zone, saved.theme, saved.shortcuts) == ("Europe/Vienna", "dark", False)
        assert kinds() == ["user.updated"]
        assert rita.post("/profile/", {"time_zone": "Mars/Olympus", "theme": "dark"}).status_code == 400

    def test_a_token_is_shown_once_and_can_be_revoked(self, rita, cast):
        page = rita.post("/profile/tokens/", {"name": "pipeline", "days": 30, "scope": "write"})
        key = page.context["key"]
        assert key in page.content.decode() and key not in rita.get("/profile/").content.decode()
        token = ApiToken.objects.get()
        assert rita.post(f"/profile/tokens/{token.pk}/revoke/").status_code == 302
        token.refresh_from_db()
        assert token.revoked_at and kinds() == ["token.created", "token.revoked"]

    def test_another_persons_token_is_not_there(self, rita, cast, now):
        from changemgmt.accounts.actions import make_token

        token, _ = make_token(cast.vera, days=1, scope="read", name="", now=now)
        assert rita.post(f"/profile/tokens/{token.pk}/revoke/").status_code == 404

    def test_a_new_password_needs_the_old_one_and_ends_other_sessions(self, rita, cast):
        other = Client()
        other.force_login(cast.rita, backend="django.contrib.auth.backends.ModelBackend")
        wrong = rita.post("/profile/password/", {"old_password": "wrong", "new_password1": NEW, "new_password2": NEW})
        assert wrong.status_code == 400
        assert rita.post("/profile/password/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}).status_code == 302
        assert rita.get("/profile/").status_code == 200
        assert other.get("/profile/").status_code == 302
        assert kinds() == ["password.changed"]

    def test_the_pages_carry_the_headers(self, rita, client):
        for page in (client.get("/login/"), client.get("/password/forgotten/"), rita.get("/profile/")):
            assert "unsafe-inline" not in page["Content-Security-Policy"] and "frame-ancestors 'none'" in page["Content-Security-Policy"]
            assert page["X-Content-Type-Options"] == "nosniff" and page["Referrer-Policy"] == "same-origin"
