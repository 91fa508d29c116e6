"""Standing in, as pages without scripts: give, see, change and end it, say that one is back, and look ahead."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from changemgmt.accounts.models import Delegation
from changemgmt.audit.models import Event
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.delegate import delegate
from changemgmt.tests.approvals.making import a_chain, a_change, a_level, a_seat
from changemgmt.tests.cast import make_person

pytestmark = pytest.mark.django_db
HERE = "/profile/delegations/"
AHEAD = "/approvals/coverage/"
DAY = timedelta(days=1)


def local(moment):
    return moment.strftime("%Y-%m-%dT%H:%M")


def form(**more):
    return {"delegate": "paul", "starts_at": "", "ends_at": local(utc_now() + 7 * DAY), "scope": "all:", "number": "", "reason": "", **more}


def given(cast, *, to="paul", by=None, **more):
    return delegate(to, actor=by or cast.petra, now=utc_now(), **{"ends_at": utc_now() + 7 * DAY, **more})


@pytest.fixture
def petra(browse, cast, seeded):
    return browse(cast.petra)


def test_the_form_lets_somebody_vote_for_me(petra, cast, clean_html):
    page = clean_html(petra.get(HERE)).content.decode()
    assert page.count("<h1") == 1 and "Who votes for me" in page and "Paul" in page
    answer = petra.post(HERE, form(reason="Holiday", out_of_office="on"), follow=True)
    made = Delegation.objects.get()
    assert (made.delegator, made.delegate, made.scope_kind, made.out_of_office, made.reason) == (cast.petra, cast.paul, "all", True, "Holiday")
    text = clean_html(answer).content.decode()
    assert "Paul votes for you from now on" in text and "You are out of office." in text and "I am back" in text and "Holiday" in text


@pytest.mark.parametrize(
    ("scope", "number", "stored"),
    [
        ("type:major", "", ("type", "major")),
        ("chain:Normal change", "", ("chain", "Normal change")),
        ("org_unit:payments", "", ("org_unit", "payments")),
        ("all:", "", ("all", "")),
        ("", "", ("all", "")),
    ],
)
def test_every_scope_can_be_chosen(petra, scope, number, stored):
    assert petra.post(HERE, form(scope=scope, number=number)).status_code == 302
    row = Delegation.objects.get()
    assert (row.scope_kind, row.scope_value) == stored


def test_one_change_is_named_by_its_number(petra, cast):
    change = a_change(cast.rita, utc_now(), implementers=(cast.ian,))
    for scope in ("change:", "all:"):
        assert petra.post(HERE, form(scope=scope, number=f" {change.number} ")).status_code == 302
    assert set(Delegation.objects.values_list("scope_kind", "scope_value")) == {("change", change.number)}
    refused = petra.post(HERE, form(scope="change:", number=change.number, delegate="ian"))
    assert refused.status_code == 400 and "is to implement it" in refused.content.decode()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"delegate": ""}, "Choose somebody."),
        ({"delegate": "petra"}, "stand in for themselves"),
        ({"delegate": "nobody"}, "Select a valid choice"),
        ({"ends_at": ""}, "Give a time."),
        ({"ends_at": "tomorrow"}, "Enter a valid date/time."),
        ({"ends_at": "2001-01-01T10:00"}, "It has to end after it begins."),
        ({"starts_at": "2001-01-01T10:00"}, "It can&#x27;t begin in the past."),
        ({"ends_at": local(utc_now() + 400 * DAY)}, "At most 366 days"),
        ({"scope": "type:tiny"}, "Select a valid choice"),
        ({"scope": "change:"}, "There is no change with this number"),
        ({"scope": "change:", "number": "CHG-2026-99999"}, "There is no change with this number"),
        ({"number": "<script>"}, "There is no change with this number"),
        ({"reason": "x" * 301}, "300"),
        ({"out_of_office": "on", "scope": "type:major"}, "Somebody who is away gives all votes"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(petra, clean_html, more, said):
    answer = petra.post(HERE, form(reason="Holiday") | more)
    text = clean_html(answer).content.decode()
    assert answer.status_code == 400 and said in text and "Nothing was changed." in text
    assert "reason" in more or 'value="Holiday"' in text
    assert not Delegation.objects.exists() and '<script>"' not in text


def test_a_circle_is_explained_on_the_form(petra, cast, browse):
    given(cast)
    text = browse(cast.paul).post(HERE, form(delegate="petra")).content.decode()
    assert "would come back to Paul" in text


def test_who_only_reads_sees_no_form_and_is_refused(browse, cast, seeded):
    for who in (cast.vera, cast.aud):
        client = browse(who)
        assert "Let somebody vote for me" not in client.get(HERE).content.decode()
        assert client.post(HERE, form()).status_code == 403
    assert Event.objects.filter(action="access.denied").count() == 2 and not Delegation.objects.exists()


def test_an_administrator_gives_for_others_and_nobody_else_can(browse, cast, seeded):
    assert "Whose votes" in browse(cast.ada).get(HERE).content.decode()
    assert browse(cast.ada).post(HERE, form(delegator="petra")).status_code == 302
    assert (Delegation.objects.get().delegator, Delegation.objects.get().created_by) == (cast.petra, cast.ada)
    assert browse(cast.ada).post(HERE, form(delegator="petra", delegate="ada")).status_code == 403
    assert browse(cast.max).post(HERE, form(delegator="petra", delegate="olga")).status_code == 403
    text = browse(cast.ada).get(HERE).content.decode()
    assert "Everybody else’s" in text and "Paul for Petra" in text and "made by Ada" in text
    assert "Everybody else’s" not in browse(cast.max).get(HERE).content.decode()


def test_mine_is_changed_and_keeps_an_end_that_was_not_touched(petra, cast, clean_html):
    row = given(cast, ends_at=utc_now() + 3 * DAY + timedelta(seconds=17))
    at = f"{HERE}{row.pk}/"
    assert "Paul votes for Petra" in clean_html(petra.get(at)).content.decode()
    assert petra.post(at, {"ends_at": local(row.ends_at), "reason": "New"}).status_code == 302
    kept = Delegation.objects.get()
    assert (kept.ends_at, kept.reason) == (row.ends_at, "New")
    assert petra.post(at, {"ends_at": local(utc_now() + 9 * DAY), "reason": "New"}).status_code == 302
    assert Delegation.objects.get().ends_at > row.ends_at
    for wrong in ("", "x", "2001-01-01T00:00"):
        assert petra.post(at, {"ends_at": wrong, "reason": ""}).status_code == 400


def test_strangers_don_t_know_of_it_and_who_holds_it_declines_only(browse, cast, seeded):
    row = given(cast)
    at = f"{HERE}{row.pk}/"
    stranger, holder = browse(cast.max), browse(cast.paul)
    assert stranger.get(at).status_code == stranger.post(f"{at}revoke/").status_code == stranger.get(f"{HERE}99999/").status_code == 404
    assert stranger.get(f"{HERE}{2**70}/").status_code == 404
    text = holder.get(HERE).content.decode()
    assert "Decline" in text and "Petra" in text and f'href="{at}"' not in text
    assert holder.get(at).status_code == holder.post(at, {"ends_at": local(utc_now() + 99 * DAY)}).status_code == 403
    assert holder.get(f"{at}revoke/").status_code == 405
    assert holder.post(f"{at}revoke/").status_code == 302
    assert Delegation.objects.get().revoked_by == cast.paul
    assert "Past" in holder.get(HERE).content.decode()


def test_i_am_back_ends_it_by_post_only_and_the_note_stands_where_i_work(petra, cast):
    given(cast, out_of_office=True)
    for page in ("/", "/approvals/", "/profile/", HERE):
        assert "You are out of office." in petra.get(page).content.decode(), page
    assert petra.get(f"{HERE}back/").status_code == 405
    assert petra.post(f"{HERE}back/", follow=True).status_code == 200
    assert Delegation.objects.get().revoked_at is not None
    assert "You are out of office." not in petra.get("/approvals/").content.decode()


def test_nobody_else_sees_my_note(browse, cast, seeded):
    given(cast, out_of_office=True)
    assert "You are out of office." not in browse(cast.paul).get("/approvals/").content.decode()
    assert "You also vote for Petra" in browse(cast.paul).get("/approvals/").content.decode()


def test_signed_out_people_sign_in_first(browse, db):
    for path in (HERE, f"{HERE}1/", AHEAD):
        assert browse().get(path).status_code == 302
    assert browse().post(f"{HERE}back/").status_code == 302


def test_the_page_asks_the_database_the_same_however_much_stands_there(browse, cast, seeded):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    for turn in range(2):
        for number in range(4):
            helper = make_person(f"helper{turn}{number}")
            given(cast, to=helper.username, scope=("type", "normal"))
            given(cast, by=helper, to="ada", scope=("type", "major"))
        with CaptureQueriesContext(connection) as asked:
            browse(cast.ada).get(HERE)
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 36, counts


def test_in_the_admin_they_can_be_looked_at_and_nothing_else(browse, cast, seeded):
    row, admin = given(cast), "/admin/changemgmt/delegation/"
    client = browse(cast.ada)
    assert "paul" in client.get(admin).content.decode() and client.get(f"{admin}{row.pk}/change/").status_code == 200
    for path in (f"{admin}add/", f"{admin}{row.pk}/delete/", f"{admin}{row.pk}/change/"):
        assert client.post(path, {"delegate": cast.ada.pk}).status_code == 403
    assert browse(cast.max).get(admin).status_code in (302, 403, 404)


def test_looking_ahead_shows_seats_and_days(browse, cast, seeded, clean_html):
    client = browse(cast.max)
    assert "Every seat has somebody" in clean_html(client.get(AHEAD)).content.decode()
    Group.objects.create(name="nobody_here")
    a_chain(a_level(a_seat("nobody_here", "Night watch"), name="Watch"), name="Bare")
    text = clean_html(client.get(AHEAD, {"days": "90"})).content.decode()
    assert "Night watch" in text and "Bare, Watch" in text
    assert text.count("<caption") == 3 and text.count('<td class="gap') == 90


@pytest.mark.parametrize("days", ["0", "91", "x", "-1", "1e1", "", "٣"])
def test_looking_ahead_goes_from_one_day_to_ninety(browse, cast, seeded, days):
    assert browse(cast.max).get(AHEAD, {"days": days}).status_code == 400


def test_looking_ahead_is_for_those_who_run_it(browse, cast, seeded):
    for who in (cast.rita, cast.petra, cast.vera, cast.olga):
        assert browse(who).get(AHEAD).status_code == 403
    for who in (cast.max, cast.ada, cast.aud):
        assert browse(who).get(AHEAD).status_code == 200
        assert AHEAD in browse(who).get(HERE).content.decode()
