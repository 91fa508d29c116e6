"""The doors to policy rules: API, admin, pages and command line."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from changemgmt.architecture.models import Layer
from changemgmt.architecture.rules import Operation
from changemgmt.audit.models import Event
from changemgmt.lifecycle.configure_policy import save_rule
from changemgmt.preview.actions import store
from changemgmt.preview.compute import compute
from changemgmt.preview.models import PolicyRule
from changemgmt.preview.seed import RULES

from .conftest import NOW

pytestmark = pytest.mark.django_db
V1 = "/api/v1/policy-rules/"
ADMIN = "/admin/changemgmt/policyrule/"
OWNER = {"field": "owner", "op": "is_set", "value": True}
CRITICAL = {"all": [{"field": "criticality", "op": "gte", "value": 4}]}
BODY = {"name": "Owned", "applies_when": CRITICAL, "must": OWNER, "severity": "error", "blocks": True}


@pytest.fixture
def nodes(do):
    """Sixty nodes without an owner, critical each."""
    do(*(Operation("create", "component", f"n{place:02}", data={"type": "Node", "name": f"Node {place}", "criticality": 4}) for place in range(60)))


# --- API ---


def test_a_rule_is_made_read_changed_and_deleted(api, cast, types):
    made = api(cast.ada).post(V1, BODY, format="json")
    usual = {"about": "component", "message": "", "reached": False, "active": True}
    assert made.status_code == 201 and made.json() == {"id": made.json()["id"], **usual, **BODY}
    place = made["Location"]
    assert api(cast.vera).get(place).json() == made.json()
    assert [row["name"] for row in api(cast.vera).get(V1).json()["results"]] == ["Owned"]
    assert api(cast.vera).get(f"{V1}?active=false").json()["results"] == []
    changed = api(cast.otto).patch(place, {"id": made.json()["id"], "must": None, "message": "None of these."}, format="json")
    assert changed.status_code == 200 and changed.json()["must"] is None and changed.json()["applies_when"] == CRITICAL
    assert api(cast.ada).delete(place).status_code == 204 and api(cast.ada).get(place).status_code == 404
    assert Event.objects.filter(action__startswith="policyrule.").count() == 3


@pytest.mark.parametrize("who", ["rita", "max", "vera", "aud", "olga"])
def test_only_administrators_write(api, cast, types, who):
    place = f"{V1}{save_rule(None, BODY, actor=cast.ada, now=NOW).pk}/"
    client = api(getattr(cast, who))
    assert client.post(V1, BODY | {"name": "B"}, format="json").status_code == 403
    assert client.patch(place, {"active": False}, format="json").status_code == 403
    assert client.delete(place).status_code == 403
    assert api().get(V1).status_code == 401


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"applies_when": {"all": [{"field": "colour", "op": "eq", "value": "red"}]}}, "applies_when.all[0].field"),
        ({"must": {"field": "owner", "op": "like", "value": "x"}}, "must.op"),
        ({"applies_when": {"field": "layer", "op": "eq", "value": "cloud"}}, "applies_when.value"),
        ({"applies_when": "everything"}, "applies_when"),
        ({"applies_when": None}, "applies_when"),
        ({"must": {}}, "must"),
        ({"name": ""}, "name"),
        ({"name": "x\0y"}, "name"),
        ({"about": "changes"}, "about"),
        ({"severity": "warning"}, "blocks"),
        ({"blocks": "yes"}, "blocks"),
        ({"colour": "red"}, "colour"),
        ({"id": 7}, "id"),
        ({"about": "relation"}, "applies_when.all[0].field"),
    ],
)
def test_bad_input_is_a_400_with_its_place(api, cast, types, change, place):
    answer = api(cast.ada).post(V1, BODY | change, format="json")
    assert answer.status_code == 400 and place in answer.json()["errors"], answer.json()
    assert not PolicyRule.objects.exists()


def test_a_name_that_is_taken_is_refused(api, cast, types):
    api(cast.ada).post(V1, BODY, format="json")
    assert api(cast.ada).post(V1, BODY, format="json").json()["errors"].keys() == {"name"}


def test_what_breaks_it_now_is_paged_and_for_those_who_edit(api, cast, nodes):
    place = f"{V1}{save_rule(None, BODY | {'active': False}, actor=cast.ada, now=NOW).pk}/breaches/"
    first = api(cast.max).get(place).json()
    assert (first["count"], first["looked_at"], first["pages"], len(first["results"])) == (60, 60, 2, 50)
    assert first["results"][0] == {"key": "n00", "name": "Node 0", "message": "It has to hold that Owner is set: Owner is set (it is not set)."}
    assert [row["key"] for row in api(cast.ada).get(f"{place}?page=3&page_size=25").json()["results"]][:2] == ["n50", "n51"]
    assert api(cast.vera).get(place).status_code == 403
    for wrong in ("page=0", "page=x", "page_size=201", "page=-1", "size=5"):
        assert api(cast.ada).get(f"{place}?{wrong}").status_code == 400
    assert api(cast.ada).get(f"{V1}999999/breaches/").status_code == 404


def test_a_layer_forbids_cycles_by_the_api(api, cast, types):
    assert api(cast.vera).get("/api/v1/layers/technology/").json()["forbids_cycles"] is False
    answer = api(cast.ada).patch("/api/v1/layers/technology/", {"forbids_cycles": True}, format="json")
    assert answer.status_code == 200 and Layer.objects.get(name="technology").forbids_cycles
    assert api(cast.ada).patch("/api/v1/layers/technology/", {"forbids_cycles": "yes"}, format="json").status_code == 400


# --- preview ---


@pytest.fixture
def previewed(cast, nodes, change_of):
    save_rule(None, BODY | {"message": "Name <somebody>."}, actor=cast.ada, now=NOW)
    new = {"operation": "create", "object": "component", "key": "new", "data": {"type": "Node", "criticality": 5}}
    change = change_of(new, {"operation": "update", "object": "component", "key": "n01", "data": {"users": 3}})
    store(change, compute(change, now=NOW), now=NOW)
    return change


def test_the_api_names_the_rule_and_what_it_means(api, cast, previewed):
    rows = [row for row in api(cast.vera).get(f"/api/v1/changes/{previewed.number}/preview/").json()["checks"] if row["rule"] == "policy"]
    assert [(row["key"], row["severity"], row["blocks"], row["already"], row["policy"]["name"]) for row in rows] == [
        ("new", "error", True, False, "Owned"),
        ("n01", "warning", False, True, "Owned"),
    ]


@pytest.mark.parametrize("where", ["preview", "preview/stacked"])
def test_the_pages_name_the_rule_and_lead_administrators_to_it(client, cast, previewed, where):
    link = f'href="{ADMIN}{PolicyRule.objects.get().pk}/change/"'
    for who, linked in ((cast.vera, False), (cast.ada, True)):
        client.force_login(who)
        text = client.get(f"/changes/{previewed.number}/{where}/").content.decode()
        assert "Owned" in text and "Name &lt;somebody&gt;." in text and "keeps it from being submitted and started" in text
        assert (link in text) is linked
        assert ("so today, too" in text) is (where == "preview")


def test_the_command_line_names_the_rule(cast, previewed, monkeypatch, capsys):
    from changemgmt.tests.cli.calling import caller

    text = caller("change", monkeypatch, capsys)(cast.vera, "preview", previewed.number, as_text=True)
    assert "error: new Name <somebody>. [Owned] (blocks)" in text and "warning: n01 Name <somebody>. [Owned] (so today, too)" in text


# --- admin ---


def rows(name, *tests):
    """The form's rows of one condition."""
    filled = {f"{name}-join": "all", f"{name}-rows": str(len(tests))}
    for place, (field, op, value) in enumerate(tests):
        filled |= {f"{name}-{place}-field": field, f"{name}-{place}-op": op, f"{name}-{place}-value": value}
    return filled


def test_a_rule_is_written_in_rows_with_attributes_by_name(client, cast, types):
    client.force_login(cast.ada)
    page = client.get(f"{ADMIN}add/").content.decode()
    assert '<option value="source.layer">' in page and "No row means: such a thing may not be at all." in page
    data = {"name": "Backups", "active": "on", "about": "component", "severity": "warning", "message": ""}
    data |= rows("applies_when", ("type", "in", "database, datastore")) | rows("must", ("attributes.backup.every", "lte", "24"))
    assert client.post(f"{ADMIN}add/", data).status_code == 302
    row = PolicyRule.objects.get()
    assert row.applies_when == {"all": [{"field": "type", "op": "in", "value": ["database", "datastore"]}]}
    assert row.must["all"][0]["field"] == "attributes.backup.every"
    assert Event.objects.filter(action="policyrule.created").count() == 1
    page = client.get(f"{ADMIN}{row.pk}/change/").content.decode()
    assert 'value="attributes.backup.every"' in page and f"{ADMIN}{row.pk}/now/" in page and 'value="source.layer"' not in page
    assert client.post(f"{ADMIN}{row.pk}/change/", data | rows("must")).status_code == 302
    assert PolicyRule.objects.get().must is None and Event.objects.filter(action="policyrule.updated").count() == 1
    assert client.get(f"{ADMIN}{row.pk}/history/").status_code == 200
    assert "Type is one of database, datastore → may not be at all" in client.get(ADMIN).content.decode()
    assert client.post(f"{ADMIN}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert Event.objects.filter(action="policyrule.deleted").count() == 1 and not PolicyRule.objects.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rows("must", ("source.owner", "is_set", "")), "Unknown field"),
        (rows("must", ("criticality", "gte", "many")), "Give a number"),
        (rows("must") | rows("applies_when"), "This would forbid everything"),
        ({"blocks": "on"}, "Only an error blocks"),
        ({"about": "relation"}, "Unknown field"),
        ({"about": "nothing"}, "Select a valid choice"),
    ],
)
def test_a_mistake_is_shown_and_nothing_is_kept(client, cast, types, change, words):
    client.force_login(cast.ada)
    data = {"name": "A", "active": "on", "about": "component", "severity": "warning"}
    data |= rows("applies_when", ("criticality", "gte", "4")) | rows("must", ("owner", "is_set", "yes"))
    answer = client.post(f"{ADMIN}add/", data | change)
    assert answer.status_code == 200 and words in answer.content.decode() and not PolicyRule.objects.exists()


def test_what_breaks_it_now_is_a_page_of_the_admin(client, cast, nodes):
    row = save_rule(None, BODY | {"active": False}, actor=cast.ada, now=NOW)
    client.force_login(cast.ada)
    text = client.get(f"{ADMIN}{row.pk}/now/").content.decode()
    assert "60 of 60 components break it." in text and "Page 1 of 2" in text and '<a href="/architecture/n00/">n00</a>' in text and "n55" not in text
    assert "n55" in client.get(f"{ADMIN}{row.pk}/now/?page=2").content.decode()
    assert client.get(f"{ADMIN}{row.pk}/now/?page=x").status_code == 200 and client.get(f"{ADMIN}999/now/").status_code == 404
    client.force_login(cast.max)
    assert client.get(f"{ADMIN}{row.pk}/now/").status_code in (302, 403)


# --- command line ---


def told(*arguments):
    out = StringIO()
    call_command("architecture", "rules", *arguments, stdout=out)
    return out.getvalue()


def test_rules_are_listed_and_checked(cast, nodes):
    row = save_rule(None, BODY, actor=cast.ada, now=NOW)
    assert "on   blocks   Owned: components, Criticality is at least 4 → must be: Owner is set" in told("list")
    assert json.loads(told("list", "--json"))[0] == {"id": row.pk, "about": "component", "message": "", "reached": False, "active": True, **BODY}
    for name in ("Owned", str(row.pk)):
        with pytest.raises(CommandError, match="broken by 60 of 60") as broken:
            told("check", name)
        assert broken.value.returncode == 1
    with pytest.raises(CommandError, match="There is no policy rule") as unknown:
        told("check", "None")
    assert unknown.value.returncode == 2
    save_rule(row.pk, {"applies_when": {"all": [{"field": "criticality", "op": "gte", "value": 5}]}}, actor=cast.ada, now=NOW)
    assert told("check", "Owned").endswith("0 of 60; page 1 of 1.\n") and json.loads(told("check", "Owned", "--json"))["count"] == 0


# --- starter pack ---


def test_the_starter_pack_is_switched_off_and_every_rule_of_it_can_be_switched_on(cast, seeded):
    assert set(PolicyRule.objects.filter(active=False).values_list("name", flat=True)) == RULES.keys()
    for row in PolicyRule.objects.all():
        assert save_rule(row.pk, {"active": True}, actor=cast.ada, now=NOW).active
