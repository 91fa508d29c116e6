"""`manage.py setup` and `manage.py demo`: what a newcomer finds, and that a second time changes nothing."""

import json
import stat
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import people_with_role
from changemgmt.approvals.models import Chain, Slot
from changemgmt.architecture.models import Component, Relation
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change

pytestmark = pytest.mark.django_db


@pytest.fixture
def data(settings, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_starter_pack_is_loaded_once(data: Path) -> None:
    run("setup", "--no-migrate")
    before = (Chain.objects.count(), Event.objects.count())
    assert before[0] >= 4
    run("setup", "--no-migrate")
    assert (Chain.objects.count(), Event.objects.count()) == before


@pytest.fixture
def demo(data: Path) -> dict:
    run("setup", "--no-migrate")
    return json.loads(run("demo", "--json"))


def test_the_demo_has_people_for_every_seat_an_architecture_and_changes_in_several_states(demo: dict, data: Path, client) -> None:
    assert (Component.objects.count(), Relation.objects.count()) == (120, 176)
    assert demo["components"] == 120
    for slot in Slot.objects.filter(level__chain__active=True, group__isnull=False):
        assert people_with_role(slot.group.name).count() >= slot.required, slot.label
    roles = {role for person in demo["people"] for role in person["roles"]}
    assert {"requester", "approver", "cab_member", "change_manager", "implementer", "auditor", "viewer", "administrator"} <= roles
    states = dict(Change.objects.values_list("number", "state"))
    assert set(demo["changes"]) == set(states)
    assert {"draft", "in_review", "scheduled", "closed", "cancelled"} <= set(states.values())
    file = data / "demo-people.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(person["password"] in file.read_text() and person["token"] in file.read_text() for person in demo["people"])
    rita = next(person for person in demo["people"] if person["username"] == "rita")
    assert client.login(username="rita", password=rita["password"])
    headers = {"authorization": f"Token {rita['token']}"}
    assert client.get("/api/v1/me/", headers=headers).json()["username"] == "rita"


def test_a_second_demo_keeps_everything_and_knows_the_passwords(demo: dict) -> None:
    before = (User.objects.count(), Component.objects.count(), Change.objects.count(), Event.objects.count())
    assert json.loads(run("demo", "--json")) == demo
    assert (User.objects.count(), Component.objects.count(), Change.objects.count(), Event.objects.count()) == before
    assert demo["people"][0]["password"] not in run("demo")


def test_a_lost_file_is_said(demo: dict, data: Path) -> None:
    (data / "demo-people.txt").unlink()
    with pytest.raises(CommandError, match="changepassword"):
        run("demo")
