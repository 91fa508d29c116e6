"""My work: what each person finds there to do next."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changemgmt.tests import estate
from changemgmt.tests.cast import make_person

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


def to_schedule(client):
    return [change.title for change in client.get("/").context["to_schedule"]]


def test_an_approved_change_without_an_owner_is_every_change_managers_to_schedule(shop, browse, cast, now):
    mona = make_person("mona", ("change_manager",))
    estate.approved(cast, now, title="Nobody's", owner=None)
    estate.approved(cast, now, title="Of Max", owner="max")
    assert to_schedule(browse(mona)) == ["Nobody's"]
    assert to_schedule(browse(cast.max)) == ["Of Max", "Nobody's"]
    for person in (cast.rita, cast.petra, cast.vera, cast.ada):
        assert to_schedule(browse(person)) == []


def test_a_change_that_a_manager_may_not_see_is_not_among_those_to_schedule(shop, browse, cast, now):
    for title, confidential in (("Secret", True), ("Open", False)):
        estate.approved(cast, now, title=title, owner=None, confidential=confidential)
    assert to_schedule(browse(make_person("mona", ("change_manager",)))) == ["Open"]


def test_my_work_asks_the_database_the_same_however_much_there_is_to_schedule(shop, browse, cast, now):
    client, counts = browse(cast.max), []
    for _ in range(2):
        estate.approved(cast, now, owner=None)
        estate.approved(cast, now, owner=None)
        with CaptureQueriesContext(connection) as asked:
            client.get("/")
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 25
