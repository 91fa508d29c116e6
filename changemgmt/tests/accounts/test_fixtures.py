"""The fixtures every test stands on."""

import pytest

from changemgmt.accounts.queries import roles_of
from changemgmt.architecture.models import Component
from changemgmt.tests.cast import ROLES

pytestmark = pytest.mark.django_db


def test_the_cast_plays_its_roles(cast):
    assert {person.username: roles_of(person) for person in cast.everybody()} == {name: frozenset(roles) for name, roles in ROLES.items()}


def test_archisurance_is_there(archisurance):
    assert archisurance.state == "done" and Component.objects.count() == 120
