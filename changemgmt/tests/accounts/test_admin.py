"""People in the Django admin: who gets in, and that every save is a verb or at least an event."""

import re

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from changemgmt.accounts.models import ApiToken, OrgUnit, Team, User
from changemgmt.accounts.queries import roles_of
from changemgmt.audit.models import Event

pytestmark = pytest.mark.django_db


def kinds():
    return list(Event.objects.order_by("pk").values_list("action", flat=True))


def client_of(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def ada(cast):
    return client_of(cast.ada)


def person_form(**more):
    empty = {"username": "nora", "first_name": "Nora", "last_name": "", "email": "nora@example.org", "org_unit": "", "manager": ""}
    return {**empty, **more}


def roles(*names):
    return list(Group.objects.filter(name__in=names).values_list("pk", flat=True))


class TestWhoGetsIn:
    def test_strangers_are_sent_to_sign_in(self, cast, client):
        response = client.get("/admin/", follow=True)
        assert response.redirect_chain[-1][0].startswith("/login/?next=/admin/")

    @pytest.mark.parametrize("who", ["rita", "max", "aud", "vera", "olga", "root"])
    def test_everybody_but_administrators_is_refused(self, cast, who):
        User.objects.create(username="root", is_superuser=True, is_staff=True)
        client = client_of(User.objects.get(username=who))
        for path in ("/admin/", "/admin/changemgmt/user/", "/admin/login/", "/admin/nothing/"):
            assert client.get(path).status_code == 403

    def test_administrators_see_every_page_without_inline_code(self, ada, cast):
        index = ada.get("/admin/")
        assert index.status_code == 200
        pages = ["/admin/"]
        for app in index.context["app_list"]:
            pages += [url for model in app["models"] for url in (model["admin_url"], model["add_url"]) if url]
        pages.append(f"/admin/changemgmt/user/{cast.rita.pk}/change/")
        for page in pages:
            response = ada.get(page)
            assert response.status_code == 200, page
            text = response.content.decode()
            assert " style=" not in text and "<style" not in text and "onclick=" not in text, page

    def test_a_day_and_its_time_have_their_names(self, ada):
        words = ada.get("/admin/changemgmt/template/add/").content.decode()
        for part, name in (("0", "Date"), ("1", "Time")):
            field = re.search(rf'<input[^>]*id="id_expires_at_{part}"[^>]*>', words)
            assert field and f'aria-label="{name}"' in field[0]


class TestPeople:
    def test_adding_a_person_invites_them(self, ada, cast):
        response = ada.post("/admin/changemgmt/user/add/", person_form(roles=roles("requester", "viewer")))
        assert response.status_code == 302
        nora = User.objects.get(username="nora")
        assert roles_of(nora) == {"requester", "viewer"} and not nora.has_usable_password()
        assert kinds() == ["user.invited", "role.granted", "role.granted"]

    def test_an_invitation_needs_an_address_and_a_service_account_no_power(self, ada, cast):
        assert "email" in ada.post("/admin/changemgmt/user/add/", person_form(email="")).context["adminform"].form.errors
        response = ada.post("/admin/changemgmt/user/add/", person_form(email="", is_service="on", roles=roles("approver")))
        assert "approver" in response.context["adminform"].form.errors["roles"][0]
        assert not User.objects.filter(username="nora").exists() and not kinds()
        ada.post("/admin/changemgmt/user/add/", person_form(username="pipeline", email="", is_service="on", roles=roles("requester")))
        assert User.objects.get(username="pipeline").is_service
        assert kinds() == ["user.created", "role.granted"]

    def change(self, ada, user, **more):
        return ada.post(
            f"/admin/changemgmt/user/{user.pk}/change/", person_form(first_name=user.first_name, email=user.email, is_active="on", **more)
        )

    def test_roles_change_through_their_verbs(self, ada, cast):
        assert self.change(ada, cast.rita, roles=roles("viewer"), org_unit=cast.rita.org_unit_id, manager=cast.rita.manager_id).status_code == 302
        assert roles_of(User.objects.get(username="rita")) == {"viewer"}
        assert kinds() == ["role.granted", "role.withdrawn"]
        assert User.objects.get(username="rita").username == "rita"

    def test_a_new_address_has_to_be_verified_again_and_is_on_the_record(self, ada, cast):
        cast.rita.email = "new@example.org"
        self.change(ada, cast.rita, roles=roles("requester"), org_unit=cast.rita.org_unit_id, manager=cast.rita.manager_id)
        rita = User.objects.get(username="rita")
        assert rita.email == "new@example.org" and not rita.email_verified
        assert kinds() == ["user.updated"]

    def test_deactivating_is_the_verb(self, ada, cast):
        data = person_form(
            first_name="Rita", email="rita@example.org", roles=roles("requester"), org_unit=cast.rita.org_unit_id, manager=cast.rita.manager_id
        )
        ada.post(f"/admin/changemgmt/user/{cast.rita.pk}/change/", data)
        assert not User.objects.get(username="rita").is_active and kinds() == ["user.deactivated"]

    def test_two_accounts_become_one_person(self, ada, cast):
        self.change(
            ada, cast.rita, roles=roles("requester"), org_unit=cast.rita.org_unit_id, manager=cast.rita.manager_id, same_person_as=cast.petra.pk
        )
        assert User.objects.get(username="rita").person == User.objects.get(username="petra").person
        assert kinds() == ["identity.linked"]

    def test_bulk_acts_ask_first(self, ada, cast):
        data = {"action": "deactivate", "_selected_action": [cast.rita.pk, cast.vera.pk]}
        page = ada.post("/admin/changemgmt/user/", data)
        assert page.status_code == 200 and "rita" in page.content.decode() and not kinds()
        ada.post("/admin/changemgmt/user/", {**data, "confirmed": "yes"})
        assert kinds() == ["user.deactivated", "user.deactivated"]

    def test_nobody_is_deleted_and_passwords_are_nowhere(self, ada, cast):
        assert ada.post(f"/admin/changemgmt/user/{cast.rita.pk}/delete/", {"post": "yes"}).status_code == 403
        assert cast.rita.password not in ada.get(f"/admin/changemgmt/user/{cast.rita.pk}/change/").content.decode()
        assert ada.get(f"/admin/changemgmt/user/{cast.rita.pk}/password/").status_code in {302, 404}


class TestConfiguration:
    def test_saves_and_deletions_are_on_the_record_with_their_differences(self, ada, cast):
        ada.post("/admin/changemgmt/team/add/", {"slug": "core", "name": "Core", "members": [cast.ian.pk]})
        team = Team.objects.get(slug="core")
        ada.post(f"/admin/changemgmt/team/{team.pk}/change/", {"slug": "core", "name": "Core team", "members": [cast.ian.pk, cast.omar.pk]})
        ada.post(f"/admin/changemgmt/team/{team.pk}/change/", {"slug": "core", "name": "Core team", "members": [cast.ian.pk, cast.omar.pk]})
        ada.post(f"/admin/changemgmt/team/{team.pk}/delete/", {"post": "yes"})
        assert kinds() == ["team.created", "team.updated", "team.deleted"]
        updated = Event.objects.get(action="team.updated")
        assert updated.object == "team:core" and '"path":"name"' in updated.text and '"path":"members"' in updated.text

    def test_deleting_several_is_on_the_record_too(self, ada, cast):
        teams = Team.objects.bulk_create([Team(slug="a", name="A"), Team(slug="b", name="B")])
        data = {"action": "delete_selected", "_selected_action": [team.pk for team in Team.objects.all()], "post": "yes"}
        ada.post("/admin/changemgmt/team/", data)
        assert not Team.objects.exists() and kinds() == ["team.deleted"] * len(teams)

    def test_a_unit_never_lies_below_itself(self, ada, cast):
        company, payments = OrgUnit.objects.get(slug="company"), OrgUnit.objects.get(slug="payments")
        response = ada.post(f"/admin/changemgmt/orgunit/{company.pk}/change/", {"slug": "company", "name": "Company", "parent": payments.pk})
        assert "parent" in response.context["adminform"].form.errors

    def test_seeded_roles_stay_as_they_are(self, ada, cast):
        role = Group.objects.get(name="approver")
        assert ada.post(f"/admin/auth/group/{role.pk}/delete/", {"post": "yes"}).status_code == 403
        assert ada.post(f"/admin/auth/group/{role.pk}/change/", {"name": "x"}).status_code == 403

    def test_tokens_are_revoked_and_never_written(self, ada, cast, now):
        from changemgmt.accounts.actions import make_token

        token, key = make_token(cast.rita, days=9, scope="write", name="ci", now=now)
        page = ada.get(f"/admin/changemgmt/apitoken/{token.pk}/change/").content.decode()
        assert token.key_hash not in page
        data = {"action": "revoke", "_selected_action": [token.pk]}
        ada.post("/admin/changemgmt/apitoken/", data)
        assert ApiToken.objects.get().revoked_at is None
        ada.post("/admin/changemgmt/apitoken/", {**data, "confirmed": "yes"})
        assert ApiToken.objects.get().revoked_at and kinds() == ["token.revoked"]
