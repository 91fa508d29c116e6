"""The inbox page."""

import pytest

from changemgmt.notifications.models import Notification
from changemgmt.notifications.queries import unread_count

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(cast, now):
    return [
        Notification.objects.create(
            event=number, recipient=cast.rita, channel="app", kind="change.closed", title=f"Told <b>{number}</b>", text="A\nB", url="/calendar/", created_at=now
        )
        for number in range(3)
    ]  # fmt: skip


def test_it_lists_what_i_was_told_and_nothing_else(rows, client, cast):
    client.force_login(cast.rita)
    text = client.get("/notifications/").content.decode()
    assert text.count("<tr data-row") == 3 and "Told &lt;b&gt;2&lt;/b&gt;" in text and "3 not read yet" in text
    client.force_login(cast.max)
    assert "Nothing yet" in client.get("/notifications/").content.decode()


def test_opening_one_marks_it_read_and_goes_there(rows, client, cast):
    client.force_login(cast.rita)
    answer = client.post(f"/notifications/{rows[0].pk}/read/")
    assert (answer.status_code, answer["Location"]) == (302, "/calendar/")
    assert client.post(f"/notifications/{rows[1].pk}/read/", {"stay": "1"})["Location"] == "/notifications/"
    assert unread_count(cast.rita) == 1
    assert client.get("/notifications/?unread=1").content.decode().count("<tr data-row") == 1


def test_all_are_marked_at_once(rows, client, cast):
    client.force_login(cast.rita)
    assert client.post("/notifications/read/", {"newest": rows[1].pk}).status_code == 302
    assert unread_count(cast.rita) == 1
    assert client.post("/notifications/read/", {"newest": "²"}).status_code == 302
    assert unread_count(cast.rita) == 0
    assert "Everything is read" in client.get("/notifications/?unread=1").content.decode()


def test_those_of_others_are_not_mine_to_read(rows, client, cast):
    client.force_login(cast.max)
    assert client.post(f"/notifications/{rows[0].pk}/read/").status_code == 404
    assert unread_count(cast.rita) == 3


def test_a_get_marks_nothing(rows, client, cast):
    client.force_login(cast.rita)
    assert client.get("/notifications/read/").status_code == 405
    assert client.get(f"/notifications/{rows[0].pk}/read/").status_code == 405
    assert unread_count(cast.rita) == 3


def test_it_takes_a_constant_number_of_queries(client, cast, now, django_assert_max_num_queries):
    made = [Notification(event=n, recipient=cast.rita, channel="app", kind="x", title="T", created_at=now) for n in range(80)]
    Notification.objects.bulk_create(made)
    client.force_login(cast.rita)
    with django_assert_max_num_queries(12):
        assert client.get("/notifications/").content.decode().count("<tr data-row") == 50
