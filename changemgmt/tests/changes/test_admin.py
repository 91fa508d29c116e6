"""What an administrator sets up for changes: by forms, without JSON, and on the record."""

import pytest

from changemgmt.audit.models import Event
from changemgmt.changes.models import Category, CustomField, Template, TypePolicy

pytestmark = pytest.mark.django_db
ADMIN = "/admin/changemgmt/"


@pytest.fixture
def ada(client, cast, seeded):
    client.force_login(cast.ada)
    return client


def saved(client, path, fields):
    answer = client.post(f"{ADMIN}{path}", fields)
    assert answer.status_code == 302, answer.context and answer.context["adminform"].errors
    return Event.objects.latest("pk")


def test_a_category_is_added_and_keeps_its_slug(ada):
    assert saved(ada, "category/add/", {"name": "Mainframe", "slug": "mainframe"}).action == "category.created"
    row = Category.objects.get(slug="mainframe")
    saved(ada, f"category/{row.pk}/change/", {"name": "Host", "slug": "other"})
    assert Category.objects.values_list("name", "slug").get(pk=row.pk) == ("Host", "mainframe")


def test_what_a_type_demands_is_ticked(ada):
    policy = TypePolicy.objects.get(type="normal")
    assert b"required_plans" in ada.get(f"{ADMIN}typepolicy/{policy.pk}/change/").content
    fields = {"required_fields": ["title"], "required_plans": ["test_plan"], "review_required": "on", "approval_expires_hours": "48"}
    event = saved(ada, f"typepolicy/{policy.pk}/change/", fields)
    policy.refresh_from_db()
    assert (policy.required_fields, policy.required_plans, policy.approval_expires_hours) == (["title"], ["test_plan"], 48)
    assert event.action == "typepolicy.updated"
    assert ada.get(f"{ADMIN}typepolicy/add/").status_code == 403


def test_a_custom_field_of_a_list_needs_the_list(ada):
    fields = {"label": "Data centre", "name": "data_centre", "kind": "choice", "choices": "", "types": ["major"]}
    assert ada.post(f"{ADMIN}customfield/add/", fields).context["adminform"].errors
    saved(ada, "customfield/add/", fields | {"choices": "north\nsouth\n\nnorth"})
    assert CustomField.objects.get(name="data_centre").choices == ["north", "south"]
    assert b"north" in ada.get(f"{ADMIN}customfield/{CustomField.objects.get().pk}/change/").content


def test_a_template_is_edited_by_its_verb_and_keeps_what_the_form_does_not_show(ada):
    template = Template.objects.get(slug="standard-patch")
    before = template.fields
    page = ada.get(f"{ADMIN}template/{template.pk}/change/")
    assert b"implementation plan (defaulted)" in page.content
    scope = {"scope-join": "all", "scope-rows": "1", "scope-0-field": "risk_level", "scope-0-op": "eq", "scope-0-value": "low"}
    fields = {
        "name": "Patch",
        "description": "",
        "type": "standard",
        "active": "on",
        "max_items": "3",
        "expires_at_0": "",
        "expires_at_1": "",
        **scope,
    }
    event = saved(ada, f"template/{template.pk}/change/", fields)
    template.refresh_from_db()
    assert (template.name, template.max_items, template.fields, template.pre_approved) == ("Patch", 3, before, False)
    assert event.action == "template.updated" and event.object == "template:standard-patch"


def test_nobody_else_sees_any_of_it(client, cast, seeded):
    client.force_login(cast.max)
    assert client.get(f"{ADMIN}category/").status_code in (302, 403)
