"""What the tests of cases and of attacks stand on: both ways to act, a clock that stands still, and a little architecture with a chain."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import time_machine

from changemgmt.tests import estate

from .making import a_chain, a_level, a_seat
from .ways import Api, Page


@pytest.fixture(params=["API", "page"])
def way(request: pytest.FixtureRequest, api: Callable[..., Any]) -> Api | Page:
    """Both of them, one after the other."""
    return Api(api) if request.param == "API" else Page()


@pytest.fixture
def over_api(api: Callable[..., Any]) -> Api:
    return Api(api)


@pytest.fixture
def over_page() -> Page:
    return Page()


@pytest.fixture
def clock(now: datetime) -> Iterator[None]:
    """The doors read the clock; here it stands still."""
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def shop(seeded: None, now: datetime) -> None:
    """The little architecture, and a chain that asks two of the approvers, then the security lead."""
    estate.build(now)
    a_chain(a_level(a_seat("approver", "Peer", required=2), name="Peers"), a_level(a_seat("security_lead", "Security"), number=2, name="Security"))
