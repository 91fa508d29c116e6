"""Managing people: invitations, roles, identities, deactivation, tokens."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from changemgmt.accounts.actions import grant, make_token, token_of, withdraw
from changemgmt.accounts.models import ApiToken, Identity, OrgUnit, User
from changemgmt.accounts.queries import has_role, manager_of, people_with_role, persons, roles_of, same_person, unit_chain, usernames_with_role
from changemgmt.accounts.tasks import mail_invitation
from changemgmt.audit.models import Event
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible
from changemgmt.lifecycle import manage_people
from changemgmt.tests.cast import make_person

pytestmark = pytest.mark.django_db


def kinds():
    return list(Event.objects.order_by("pk").values_list("action", flat=True))


class TestWhoIsWho:
    def test_roles_are_groups_and_superusers_get_none(self, cast):
        assert roles_of(cast.max) == {"change_manager", "cab_member"}
        root = User.objects.create(username="root", is_superuser=True)
        assert roles_of(root) == frozenset() and not has_role(root, "change_manager")

    def test_a_deactivated_person_has_no_roles(self, cast):
        cast.max.is_active = False
        assert roles_of(cast.max) == frozenset()

    def test_roles_are_asked_once(self, cast, django_assert_num_queries):
        max = User.objects.get(username="max")
        with django_assert_num_queries(1):
            assert has_role(max, "change_manager") and not has_role(max, "auditor", "viewer")

    def test_people_with_a_role_are_active_human_beings(self, cast):
        make_person("robot", ("ecab",), is_service=True)
        make_person("gone", ("ecab",), is_active=False)
        assert usernames_with_role("ecab") == ("emil", "eva") == tuple(user.username for user in people_with_role("ecab"))

    def test_managers_are_found_up_the_line_past_deactivated_ones_and_circles_end(self, cast):
        top, boss = make_person("top"), make_person("boss")
        boss.manager = top
        boss.save()
        cast.rita.manager = boss
        assert (manager_of(cast.rita), manager_of(cast.rita, 2), manager_of(cast.rita, 3)) == (boss, top, None)
        boss.is_active = False
        assert manager_of(cast.rita) == top
        top.manager, boss.manager = cast.rita, top
        assert manager_of(cast.rita, 9) is None

    def test_a_unit_and_what_is_above_it(self, cast):
        assert [unit.slug for unit in unit_chain(OrgUnit.objects.get(slug="payments"))] == ["payments", "company"]
        assert unit_chain(None) == []

    def test_rights_on_a_change_come_and_go(self, cast, now):
        from changemgmt.changes.models import Change

        change = Change.objects.create(number="CHG-2026-00001", title="x", requester=cast.rita, created_at=now, updated_at=now)
        grant("edit", cast.rita, change)
        grant("edit", cast.rita, change)
        assert User.objects.get(username="rita").has_perm("changemgmt.edit_change", change)
        withdraw("edit", cast.rita, change)
        withdraw("edit", cast.rita, change)
        assert not User.objects.get(username="rita").has_perm("changemgmt.edit_change", change)
        with pytest.raises(ValueError):
            grant("everything", cast.rita, change)

    def test_the_first_administrator_comes_from_createsuperuser(self, cast):
        root = User.objects.create_superuser("root", "root@example.org", "a walk through the hills")
        assert has_role(root, "administrator")


class TestInviting:
    def test_an_invited_person_gets_a_link_and_joins_once(self, cast, now, client, settings):
        settings.BASE_URL = "https://changes.example.org"
        manage_people.invite("nora", actor=cast.ada, now=now, email="nora@example.org", first_name="Nora", roles=["requester"])
        mail_invitation(event_id=Event.objects.get(action="user.invited").pk)
        (letter,) = mail.outbox
        assert letter.to == ["nora@example.org"]
        link = next(line for line in letter.body.splitlines() if line.startswith("https://changes.example.org/invitation/"))
        path = link.removeprefix("https://changes.example.org")

        page = client.get(path, follow=True)
        form_url = page.redirect_chain[-1][0]
        assert path not in form_url
        assert client.post(form_url, {"new_password1": "short", "new_password2": "short"}).status_code == 400
        done = client.post(form_url, {"new_password1": "green hills and rain", "new_password2": "green hills and rain"})
        assert done.status_code == 302
        nora = User.objects.get(username="nora")
        assert nora.email_verified and nora.check_password("green hills and rain") and roles_of(nora) == {"requester"}
        assert kinds() == ["user.invited", "role.granted", "user.joined"]
        assert client.get(path).status_code == 400

    def test_an_invitation_dies_with_another_address(self, cast, now, client):
        nora = manage_people.invite("nora", actor=cast.ada, now=now, email="nora@example.org")
        mail_invitation(event_id=Event.objects.get(action="user.invited").pk)
        path = next(line for line in mail.outbox[0].body.splitlines() if "/invitation/" in line).split("8000")[1]
        User.objects.filter(pk=nora.pk).update(email="other@example.org")
        assert client.get(path).status_code == 400

    def test_nobody_else_invites(self, cast, now):
        for somebody in (cast.max, cast.rita, cast.aud, User.objects.create(username="root", is_superuser=True)):
            with pytest.raises(NotPermitted):
                manage_people.invite("nora", actor=somebody, now=now, email="nora@example.org")
        assert not User.objects.filter(username="nora").exists() and not kinds()

    def test_a_name_that_is_taken_in_any_spelling_is_refused(self, cast, now):
        with pytest.raises(Invalid):
            manage_people.invite("Rita", actor=cast.ada, now=now, email="x@example.org")

    def test_who_joined_is_not_invited_again(self, cast, now):
        with pytest.raises(NotPossible):
            manage_people.invite_again("rita", actor=cast.ada, now=now)


class TestRoles:
    def test_granting_and_withdrawing_is_on_the_record_once_and_opens_the_admin(self, cast, now):
        for _ in range(2):
            manage_people.grant_role("olga", "administrator", actor=cast.ada, now=now)
        assert User.objects.get(username="olga").is_staff
        for _ in range(2):
            manage_people.withdraw_role("olga", "administrator", actor=cast.ada, now=now)
        assert not User.objects.get(username="olga").is_staff
        assert kinds() == ["role.granted", "role.withdrawn"]

    def test_the_last_administrator_stays(self, cast, now):
        manage_people.withdraw_role("otto", "administrator", actor=cast.ada, now=now)
        with pytest.raises(NotPossible):
            manage_people.withdraw_role("ada", "administrator", actor=cast.ada, now=now)

    @pytest.mark.parametrize(
        "role", ["approver", "cab_member", "change_manager", "security_lead", "ecab", "senior_management", "administrator", "implementer"]
    )
    def test_a_service_account_never_gets_a_role_that_decides(self, cast, now, role):
        manage_people.add_service("pipeline", actor=cast.ada, now=now)
        with pytest.raises(Invalid):
            manage_people.grant_role("pipeline", role, actor=cast.ada, now=now)
        manage_people.grant_role("pipeline", "requester", actor=cast.ada, now=now)

    def test_unknown_people_and_roles(self, cast, now):
        with pytest.raises(NotFound):
            manage_people.grant_role("nobody", "viewer", actor=cast.ada, now=now)
        with pytest.raises(Invalid):
            manage_people.grant_role("vera", "emperor", actor=cast.ada, now=now)


class TestIdentities:
    def test_linked_accounts_are_one_person(self, cast, now):
        manage_people.link_identities(["rita", "petra"], actor=cast.ada, now=now)
        manage_people.link_identities(["petra", "paul"], actor=cast.ada, now=now)
        rita, petra, paul, sam = (
            User.objects.filter(username__in=["rita", "petra", "paul", "sam"]).order_by("pk").in_bulk(field_name="username").values()
        )
        people = {user.username: user for user in (rita, petra, paul, sam)}
        assert same_person(people["rita"], people["paul"]) and not same_person(people["rita"], people["sam"])
        assert len(persons(people.values())) == 2
        assert Identity.objects.count() == 1

    def test_two_identities_become_one_when_joined(self, cast, now):
        manage_people.link_identities(["rita", "petra"], actor=cast.ada, now=now)
        manage_people.link_identities(["paul", "sam"], actor=cast.ada, now=now)
        manage_people.link_identities(["rita", "sam"], actor=cast.ada, now=now)
        assert len(persons(User.objects.filter(username__in=["rita", "petra", "paul", "sam"]))) == 1

    def test_the_same_verified_address_links_by_itself(self, cast, now):
        User.objects.filter(username="petra").update(email="rita@EXAMPLE.org", email_verified=False)
        manage_people.change_password(cast.petra, now=now, password="green hills and rain")
        assert not User.objects.get(username="petra").identity
        manage_people.change_password(cast.petra, now=now, password="green hills and rain", by_mail=True)
        assert same_person(*User.objects.filter(username__in=["rita", "petra"]))
        assert "identity.linked" in kinds()

    def test_taking_an_account_out(self, cast, now):
        manage_people.link_identities(["rita", "petra"], actor=cast.ada, now=now)
        manage_people.unlink_identity("petra", actor=cast.ada, now=now)
        assert not same_person(*User.objects.filter(username__in=["rita", "petra"]))

    def test_nobody_parts_their_own_accounts(self, cast, now):
        other = make_person("otto2", ("administrator",))
        manage_people.link_identities(["ada", "rita"], actor=other, now=now)
        ada = User.objects.get(username="ada")
        for name in ("ada", "rita"):
            with pytest.raises(NotPermitted, match="another administrator"):
                manage_people.unlink_identity(name, actor=ada, now=now)
        manage_people.unlink_identity("rita", actor=other, now=now)
        assert not same_person(*User.objects.filter(username__in=["ada", "rita"]))


class TestDeactivating:
    def test_sessions_and_tokens_end_at_once(self, cast, now, client):
        client.force_login(cast.rita, backend="django.contrib.auth.backends.ModelBackend")
        _, key = make_token(cast.rita, days=1, scope="write", name="", now=now)
        assert client.get("/profile/").status_code == 200
        manage_people.deactivate("rita", actor=cast.ada, now=now, reason="left")
        assert client.get("/profile/").status_code == 302
        assert token_of(key, now=now) is None
        manage_people.reactivate("rita", actor=cast.ada, now=now)
        assert token_of(key, now=now) is None
        assert kinds() == ["user.deactivated", "user.reactivated"]

    def test_nobody_deactivates_themselves(self, cast, now):
        with pytest.raises(NotPossible):
            manage_people.deactivate("ada", actor=cast.ada, now=now)


class TestTokens:
    def test_the_command_prints_a_key_that_works(self, cast, api):
        out = StringIO()
        call_command("token", "rita", "--days", "2", "--scope", "read", "--json", stdout=out)
        answer = json.loads(out.getvalue())
        assert answer["scope"] == "read" and answer["user"] == "rita"
        client = api()
        client.credentials(HTTP_AUTHORIZATION=f"Token {answer['token']}")
        assert client.get("/api/v1/me/").json()["username"] == "rita"
        event = Event.objects.get(action="token.created")
        assert answer["token"] not in event.text and event.channel == "cli"

    @pytest.mark.parametrize("arguments", [("nobody",), ("rita", "--days", "0"), ("rita", "--days", "100000")])
    def test_the_command_refuses_with_code_1(self, cast, arguments):
        with pytest.raises(CommandError) as refusal:
            call_command("token", *arguments)
        assert refusal.value.returncode == 1 and not ApiToken.objects.exists()

    def test_only_the_hash_is_kept(self, cast, now):
        token, key = make_token(cast.rita, days=1, scope="write", name="ci", now=now)
        assert key not in str(ApiToken.objects.values().get())
        assert token_of(key, now=now + timedelta(hours=23)) == token
        assert token_of(key, now=now + timedelta(days=1)) is None

    @pytest.mark.parametrize("name", ["max", "olga"])
    def test_the_token_brings_the_person_and_their_roles_in_one_query(self, cast, now, name, django_assert_num_queries):
        _, key = make_token(User.objects.get(username=name), days=1, scope="write", name="ci", now=now)
        token_of(key, now=now)
        with django_assert_num_queries(1):
            token = token_of(key, now=now)
            roles = roles_of(token.user)
        user = User.objects.get(username=name)
        assert roles == roles_of(user) and token.user == user
        for field in User._meta.concrete_fields:
            assert getattr(token.user, field.attname) == getattr(user, field.attname), field
        for field in ApiToken._meta.concrete_fields:
            assert getattr(token, field.attname) == getattr(ApiToken.objects.get(), field.attname), field

    def test_nobody_makes_tokens_for_others_or_sees_theirs(self, cast, now, api):
        with pytest.raises(NotPermitted):
            manage_people.create_token(cast.rita, actor=cast.ada, now=now, days=1, scope="write")
        token, _ = make_token(cast.rita, days=1, scope="write", name="", now=now)
        assert api(cast.vera).delete(f"/api/v1/me/tokens/{token.pk}/").status_code == 404
        with pytest.raises(NotFound):
            manage_people.revoke_token(token.pk, actor=cast.vera, now=now)
        mine = api(cast.rita)
        assert mine.delete(f"/api/v1/me/tokens/{token.pk}/").status_code == 204
        assert kinds()[-1] == "token.revoked"


class TestApi:
    def test_me_says_who_i_am_and_what_waits(self, cast, api):
        answer = api(cast.max).get("/api/v1/me/").json()
        assert answer["username"] == "max" and answer["roles"] == ["cab_member", "change_manager"]
        assert answer["counts"] == {"approvals": 0, "info_requested": 0, "tasks": 0, "notifications": 0}

    def test_people_units_and_teams_are_lists_with_a_query_budget(self, cast, api, django_assert_max_num_queries):
        client = api(cast.vera)
        client.get("/api/v1/me/")
        for path in ("users/?role=cab_member", "users/?q=ri", "org-units/", "teams/"):
            with django_assert_max_num_queries(5):
                answer = client.get(f"/api/v1/{path}")
            assert answer.status_code == 200
        assert [row["username"] for row in client.get("/api/v1/users/?q=rit").json()["results"]] == ["rita"]
        assert "password" not in client.get("/api/v1/users/").content.decode()
