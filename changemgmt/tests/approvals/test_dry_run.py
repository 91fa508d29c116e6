"""Dry run: which chain, which levels, who, and why, without storing anything."""

import json

import pytest
from django.core.management import CommandError, call_command

from changemgmt.accounts.models import Team
from changemgmt.approvals.models import Chain, Round
from changemgmt.lifecycle.configure_chain import save_chain

from .making import a_chain, a_change, a_level, a_seat

pytestmark = pytest.mark.django_db
PATH = "/api/v1/approval-chains/dry-run/"


def test_a_change_is_told_its_chain_its_levels_and_who_may_sit(api, cast, seeded, now):
    change = a_change(cast.rita, now, risk_level="medium", implementers=(cast.petra,))
    found = api(cast.ada).post(PATH, {"change": change.number}, format="json").json()
    assert [chain["name"] for chain in found["chains"] if chain["used"]] == ["Normal change"]
    assert found["chains"][0] == {
        "name": "Emergency change",
        "version": 1,
        "additive": False,
        "applies": False,
        "used": False,
        "why": found["chains"][0]["why"],
    }
    assert any("it is normal" in row["text"] and not row["holds"] for row in found["chains"][0]["why"])
    opens = {level["name"]: level["opens"] for level in found["levels"]}
    assert opens == {"Peer review": True, "Change Manager": False, "CAB": True}
    assert found["levels"][0]["seats"][0]["people"] == ["paul"]
    assert not found["blocked"] and not Round.objects.exists()


def test_attributes_stand_in_for_a_change(api, cast, seeded):
    found = api(cast.ada).post(PATH, {"attributes": {"type": "emergency", "tags": ["x"], "risk_score": 0.7}}, format="json").json()
    assert [chain["name"] for chain in found["chains"] if chain["used"]] == ["Emergency change"]
    assert found["levels"][0]["seats"][0]["people"]


def test_a_seat_found_by_the_change_stays_open_without_one(api, cast, seeded):
    a_chain(a_level({"label": "Manager", "dynamic": "requester_manager"}))
    found = api(cast.ada).post(PATH, {"attributes": {"type": "normal"}}, format="json").json()
    assert found["levels"][0]["seats"] == [{"label": "Manager", "power": "voter", "people": [], "why": "requester_manager: depends on the change"}]


def test_no_chain_is_said_to_block(api, cast, seeded):
    Chain.objects.update(in_force=None)
    assert api(cast.ada).post(PATH, {"attributes": {"type": "normal"}}, format="json").json() == {"blocked": True, "chains": [], "levels": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "change"),
        ({"change": "CHG-2026-00001", "attributes": {}}, "change"),
        ({"attributes": {"colour": "red"}}, "attributes.colour"),
        ({"attributes": {"type": "odd"}}, "attributes.type"),
        ({"attributes": {"tags": "x"}}, "attributes.tags"),
        ({"attributes": {"risk_score": "much"}}, "attributes.risk_score"),
        ({"attributes": []}, "attributes"),
    ],
)
def test_what_can_not_be_tried_is_refused_at_its_field(api, cast, seeded, body, field):
    answer = api(cast.ada).post(PATH, body, format="json")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]


def test_a_confidential_change_of_others_is_not_there(api, cast, seeded, now):
    change = a_change(cast.rita, now, confidential=True)
    assert api(cast.ada).post(PATH, {"change": change.number}, format="json").status_code == 404
    assert api(cast.rita).post(PATH, {"change": change.number}, format="json").status_code == 403


def test_an_administrator_tries_the_chains_out_in_the_admin(client, cast, seeded, now):
    change = a_change(cast.rita, now)
    client.force_login(cast.ada)
    assert b"dry-run/" in client.get("/admin/changemgmt/chain/").content
    page = client.get("/admin/changemgmt/chain/dry-run/", {"change": change.number}).content.decode()
    assert "Normal change v1" in page and "petra" in page and "member of approver" in page
    assert "no change with this number" in client.get("/admin/changemgmt/chain/dry-run/", {"change": "CHG-1999-00001"}).content.decode()
    client.force_login(cast.max)
    assert client.get("/admin/changemgmt/chain/dry-run/").status_code in (302, 403)


def test_attributes_are_typed_into_fields_in_the_admin(client, cast, seeded):
    client.force_login(cast.ada)
    asked = {"with-type": "normal", "with-tags": "pci, eu", "with-users": "1200", "with-risk_level": "low"}
    page = client.get("/admin/changemgmt/chain/dry-run/", asked).content.decode()
    assert "depends on the change" not in page and "Change Manager" in page and "petra" in page
    wrong = client.get("/admin/changemgmt/chain/dry-run/", {"with-users": "many"})
    assert "Give a number." in str(wrong.context["form"].errors["with-users"])
    both = client.get("/admin/changemgmt/chain/dry-run/", {"change": "CHG-2026-00001", "with-users": "3"})
    assert "Give either" in str(both.context["form"].errors["change"])


def test_a_chain_is_tried_as_it_is_saved_before_it_is_in_force(client, api, cast, seeded, now, capsys):
    chain = save_chain(
        None,
        {"name": "Tagged", "order": 1, "applies_when": {"field": "tags", "op": "eq", "value": "pci"}, "levels": [a_level(a_seat("ecab"))]},
        actor=cast.ada,
        now=now,
    )
    attributes = {"type": "normal", "tags": ["pci"]}

    def used(**more):
        found = api(cast.ada).post(PATH, {"attributes": attributes, **more}, format="json").json()
        return [one["name"] for one in found["chains"] if one["used"]]

    assert used() == ["Normal change"] and used(draft=chain.pk) == ["Tagged"]
    assert api(cast.ada).post(PATH, {"attributes": attributes, "draft": 99_999}, format="json").status_code == 404
    client.force_login(cast.ada)
    assert f"dry-run/?draft={chain.pk}" in client.get(f"/admin/changemgmt/chain/{chain.pk}/change/").content.decode()
    page = client.get("/admin/changemgmt/chain/dry-run/", {"draft": chain.pk, "with-tags": "pci"}).content.decode()
    assert "Tagged v1" in page and "is tried as it is saved" in page
    call_command("chains", "dry-run", "--draft", "Tagged", "--set", 'tags=["pci"]')
    assert "Tagged v1: used" in capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("chains", "dry-run", "--draft", "Nothing", "--set", "type=normal")


def test_on_call_asks_the_lead_of_the_team_or_else_its_members(api, cast, seeded, now):
    team = Team.objects.create(slug="night", name="Night", lead=cast.omar)
    team.members.add(cast.vera)
    a_chain(a_level({"label": "On call", "dynamic": "on_call:night"}))
    change = a_change(cast.rita, now)

    def asked():
        return api(cast.ada).post(PATH, {"change": change.number}, format="json").json()["levels"][0]["seats"][0]

    assert (asked()["people"], asked()["why"]) == (["omar"], "lead of team night, asked for on call")
    cast.omar.is_active = False
    cast.omar.save()
    assert asked()["people"] == ["vera"] and "no lead" in asked()["why"]


def test_the_command_says_the_same(cast, seeded, now, capsys):
    change = a_change(cast.rita, now)
    call_command("chains", "dry-run", change.number)
    assert "Normal change v1: used" in capsys.readouterr().out
    call_command("chains", "dry-run", "--set", "type=major", "--set", 'tags=["a"]', "--json")
    assert [chain["name"] for chain in json.loads(capsys.readouterr().out)["chains"] if chain["used"]] == ["Major change"]
    for wrong in ([], ["CHG-1999-00001"], ["--set", "nonsense"], ["--set", "type=odd"]):
        with pytest.raises(CommandError):
            call_command("chains", "dry-run", *wrong)
