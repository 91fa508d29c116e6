"""The commands, and a little architecture for changes to be about."""

import pytest

from changemgmt.core.time import utc_now
from changemgmt.tests import estate

from .calling import caller


@pytest.fixture
def now():
    """These go through a door, which reads the clock."""
    return utc_now()


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


@pytest.fixture
def run(monkeypatch, capsys):
    """`run(user, "show", number, …)`: `manage.py change`."""
    return caller("change", monkeypatch, capsys)


@pytest.fixture
def delegations(monkeypatch, capsys):
    """`delegations(user, "list", …)`: `manage.py delegations`."""
    return caller("delegations", monkeypatch, capsys)
