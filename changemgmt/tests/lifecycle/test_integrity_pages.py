"""The pages refuse what no database stores, in words."""

import pytest

from changemgmt.lifecycle import start

from .. import estate

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(seeded, now):
    estate.build(now)


def test_what_cannot_be_stored_is_refused_in_words(client, cast, shop, now):
    change = estate.scheduled(cast, now, begins=now, ends=now.replace(hour=12))
    run = start.start(change.number, actor=cast.ian, now=now, seen="*").executions.get().pk
    client.force_login(cast.ian)
    for path, fields in (
        (f"/executions/{run}/steps/upgrade/done/", {"note": "a\0b"}),
        (f"/executions/{run}/steps/upgrade/done/", {"kind": "a\0b"}),
        (f"/changes/{change.number}/results/", {"check-there-²": "on"}),
        (f"/changes/{change.number}/results/", {"check-there-" + "9" * 5000: "on"}),
        (f"/changes/{change.number}/comments/", {"text": "a\0b"}),
        (f"/changes/{change.number}/links/", {"kind": "incident", "target": "\0"}),
    ):
        assert client.post(path, fields).status_code in {302, 400, 403, 404}, path
    for path in ("/changes/?q=%00", "/changes/CHG%00/", "/audit/?change=%00", "/architecture/?q=%00", f"/executions/{run}/steps/%00/done/"):
        assert client.get(path).status_code in {200, 400, 404, 405}, path
    assert estate.fresh(change).executions.get().tasks.filter(state="succeeded").count() == 0
