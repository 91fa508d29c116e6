"""My approvals: what waits, in which order, narrowed how, and the filters somebody keeps."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from changemgmt.accounts import seed as accounts_seed
from changemgmt.accounts.models import Delegation, SavedFilter
from changemgmt.approvals import filters
from changemgmt.approvals.models import RoundLevel, Seat, Vote
from changemgmt.approvals.queue import queue_of
from changemgmt.audit.models import Event
from changemgmt.changes.models import Template
from changemgmt.core.errors import Invalid
from changemgmt.core.time import utc_now
from changemgmt.lifecycle.claim import claim_seat
from changemgmt.tests.cast import PASSWORD
from changemgmt.web.roles import ROLES

from .making import a_chain, a_change, a_level, a_seat, in_review, seat_of, vote_of

pytestmark = pytest.mark.django_db
V1 = "/api/v1/"


def stand_in(delegator, delegate, now, **more):
    period = {"starts_at": now - timedelta(days=2), "ends_at": now + timedelta(days=2), "created_at": now - timedelta(days=2)}
    return Delegation.objects.create(delegator=delegator, delegate=delegate, created_by=delegator, **period, **more)


@pytest.fixture
def many(cast, seeded, now):
    """Four votes that wait for Petra: of a group, by name, for Sam, and an emergency of a group that is late."""
    a_chain(
        a_level(a_seat("security_lead", "Security Lead")),
        name="Security",
        order=1,
        applies_when={"field": "tags", "op": "contains", "value": "security"},
    )
    a_chain(
        a_level({"label": "Petra", "user": "petra"}, name="Named"),
        name="Named",
        order=2,
        applies_when={"field": "tags", "op": "contains", "value": "named"},
    )
    stand_in(cast.sam, cast.petra, now)
    rounds = {
        "group": in_review(a_change(cast.rita, now, title="Of the group", risk_level="low"), now),
        "named": in_review(a_change(cast.rita, now, title="By name", tags=["named"], risk_level="high", priority="high"), now),
        "sams": in_review(a_change(cast.rita, now, title="For Sam", tags=["security"]), now),
        "late": in_review(a_change(cast.rita, now, title="Late one", risk_level="medium"), now),
    }
    RoundLevel.objects.filter(round=rounds["late"], state="open").update(due_at=now - timedelta(hours=1))
    return rounds


def titles(rows):
    return [row.change.title for row in rows]


def narrowed(user, now, **wanted):
    return set(titles(filters.narrow(queue_of(user, now), {name: [value] for name, value in wanted.items()}, now=now)))


def test_the_queue_holds_what_is_asked_by_name_of_a_group_and_of_whom_somebody_stands_in_for(cast, many, now):
    rows = queue_of(cast.petra, now)
    assert set(titles(rows)) == {"Of the group", "By name", "For Sam", "Late one"}
    assert {row.change.title: row.on_behalf_of for row in rows}["For Sam"] == cast.sam
    assert titles(rows)[0] == "Late one"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"for": "me"}, {"By name"}),
        ({"for": "delegated"}, {"For Sam"}),
        ({"for": "group"}, {"Of the group", "Late one"}),
        ({"due": "late"}, {"Late one"}),
        ({"risk_level": "high"}, {"By name"}),
        ({"priority": "high", "for": "group"}, set()),
        ({"type": "normal", "chain": "Security"}, {"For Sam"}),
        ({"level": "Named"}, {"By name"}),
        ({"q": "LATE one"}, {"Late one"}),
        ({"claimed": "me"}, {"Of the group"}),
        ({"claimed": "nobody", "for": "group"}, {"Late one"}),
    ],
)
def test_each_filter_narrows_by_what_it_says(cast, many, now, wanted, found):
    claim_seat(seat_of(many["group"], "Peer").pk, actor=cast.petra, now=now)
    assert narrowed(cast.petra, now, **wanted) == found


@pytest.mark.parametrize(
    "wanted", [{"colour": ["red"]}, {"type": ["huge"]}, {"due": ["tomorrow"]}, {"for": ["you"]}, {"q": ["x" * 201]}, {"level": ["a\x00"]}]
)
def test_a_filter_or_value_that_is_none_is_named(wanted):
    with pytest.raises(Invalid) as refused:
        filters.read(wanted)
    assert list(refused.value.errors) == list(wanted)


def test_the_api_gives_the_same_order_narrows_and_refuses(api, cast, many, now):
    client = api(cast.petra)
    everything = client.get(f"{V1}approvals/?count=true").json()
    assert everything["count"] == 4
    assert [row["id"] for row in everything["results"]] == [row.seat.pk for row in queue_of(cast.petra, utc_now())]
    assert [row["title"] for row in client.get(f"{V1}approvals/?for=delegated").json()["results"]] == ["For Sam"]
    assert client.get(f"{V1}approvals/?for=delegated").json()["results"][0]["on_behalf_of"] == "sam"
    assert len(client.get(f"{V1}approvals/?for=group&for=me").json()["results"]) == 3
    for query in ("type=huge", "for=you", "colour=red", "due=x", "page_size=0"):
        assert client.get(f"{V1}approvals/?{query}").status_code == 400


def test_the_page_narrows_and_leaves_out_what_is_no_filter_with_a_note(client, cast, many):
    client.force_login(cast.petra)
    text = client.get("/approvals/").content.decode()
    assert "4 changes wait for your vote" in text
    assert "You also vote for Sam" in text
    text = client.get("/approvals/?for=delegated&type=huge").content.decode()
    assert "For Sam" in text
    assert "By name" not in text
    assert "Left out, since it is no filter" in text
    assert "4 changes wait for your vote" in text
    assert "matches these filters" in client.get("/approvals/?q=nothing-like-it").content.decode()


def test_the_group_that_is_asked_is_named_in_words(client, cast, seeded, now):
    assert set(ROLES) == {*accounts_seed.ROLES, *accounts_seed.BOARDS}
    Group.objects.create(name="Team of the ledger").user_set.add(cast.tina)
    a_chain(
        a_level(a_seat("technical_lead", "Lead"), name="First"), name="First", order=1, applies_when={"field": "tags", "op": "contains", "value": "a"}
    )
    a_chain(a_level(a_seat("Team of the ledger", "Team"), name="Second"), name="Second", order=2)
    lead = seat_of(in_review(a_change(cast.rita, now, tags=["a"]), now), "Lead")
    in_review(a_change(cast.rita, now), now)
    client.force_login(cast.tina)
    text = client.get("/approvals/").content.decode()
    assert "</svg>Technical lead</span>" in text and "</svg>Team of the ledger</span>" in text and "technical_lead" not in text
    assert "nobody else of Technical lead votes" in client.post(f"/approvals/{lead.pk}/claim/", follow=True).content.decode()


def test_a_long_queue_is_paged_and_the_selected_row_is_on_its_page(client, cast, seeded, now):
    for number in range(60):
        in_review(a_change(cast.rita, now, title=f"Change {number}"), now + timedelta(seconds=number))
    client.force_login(cast.petra)
    rows = queue_of(cast.petra, now)
    first, second = client.get("/approvals/").content.decode(), client.get("/approvals/?at=50").content.decode()
    assert (first.count("data-row"), second.count("data-row")) == (50, 10)
    assert "60 changes wait for your vote" in second
    assert client.get(f"/approvals/?selected={rows[55].seat.pk}").content.decode().count("data-row") == 10
    assert client.get("/approvals/?at=999999").content.decode().count("data-row") == 10
    assert client.get("/approvals/?at=-1").status_code == 200


@pytest.mark.parametrize("who", ["petra", "paul", "sam", "max", "rita", "vera", "ian", "aud"])
def test_the_number_in_the_side_bar_is_the_length_of_the_queue(client, api, cast, many, now, who):
    user = getattr(cast, who)
    in_review(a_change(cast.rita, now, confidential=True), now)
    vote_of(many["group"], "Peer", cast.paul, now)
    now = utc_now()
    waiting = queue_of(user, now)
    client.force_login(user)
    answer = client.get("/calendar/")
    counts = answer.context["counts"]
    assert counts["approvals"] == len(waiting)
    assert counts["due"] == sum(row.is_due(now) for row in waiting)
    assert api(user).get(f"{V1}me/").json()["counts"]["approvals"] == len(waiting)


def test_what_is_not_needed_any_more_leaves_at_once(cast, many, now):
    assert "Of the group" in titles(queue_of(cast.paul, now))
    vote_of(many["group"], "Peer", cast.petra, now)
    assert "Of the group" not in titles(queue_of(cast.paul, now))


# --- voting together ---


@pytest.fixture
def alike(cast, seeded, now):
    template = Template.objects.exclude(type="standard").first()
    return [seat_of(in_review(a_change(cast.rita, now, template=template), now), "Peer") for _ in range(3)]


def bulk(client, seats, **more):
    return client.post(
        f"{V1}approvals/bulk-vote/", {"votes": [{"id": seat.pk, "digest": seat.level.digest} for seat in seats], "vote": "approve", **more}
    )


def test_votes_on_changes_of_one_template_are_given_together_each_with_its_own_event(api, cast, alike):
    assert [one["ok"] for one in bulk(api(cast.petra), alike, comment="fine").json()] == [True, True, True]
    assert Vote.objects.filter(by=cast.petra, comment="fine").count() == 3
    assert Event.objects.filter(action="vote.cast").count() == 3


def test_changes_of_several_templates_are_not_voted_on_together(api, cast, alike, now):
    lone = [seat_of(in_review(a_change(cast.rita, now), now), "Peer") for _ in range(2)]
    answer = bulk(api(cast.petra), [alike[0], lone[0]])
    assert answer.status_code == 400 and "votes" in answer.json()["errors"]
    assert not Vote.objects.exists()
    assert [one["ok"] for one in bulk(api(cast.petra), lone).json()] == [True, True]


def test_a_strange_id_refuses_them_all_before_anything_else(api, cast, alike, now):
    votes = [{"id": alike[0].pk, "digest": alike[0].level.digest}, {"id": 999_999, "digest": "x"}]
    assert api(cast.petra).post(f"{V1}approvals/bulk-vote/", {"votes": votes, "vote": "approve"}).status_code == 404
    hidden = seat_of(in_review(a_change(cast.rita, now, confidential=True), now), "Change Manager")
    assert bulk(api(cast.petra), [*alike, hidden]).status_code == 404
    assert not Vote.objects.exists()


def test_together_signed_votes_need_the_password_at_either_door(api, client, cast, seeded, now):
    a_chain(a_level(a_seat("approver"), require_signature=True))
    template = Template.objects.exclude(type="standard").first()
    seats = [seat_of(in_review(a_change(cast.rita, now, template=template), now), "approver") for _ in range(4)]
    for given in ({}, {"password": "guess"}):
        assert [one["problem"]["status"] for one in bulk(api(cast.petra), seats[:2], **given).json()] == [403, 403]
    client.force_login(cast.petra)
    assert 'id="bd-p"' in client.get("/approvals/").content.decode()
    data = {"id": [seat.pk for seat in seats[2:]], **{f"digest-{seat.pk}": seat.level.digest for seat in seats}}
    client.post("/approvals/bulk/", data)
    client.post("/approvals/bulk/", data | {"password": "guess"})
    assert not Vote.objects.exists()
    assert all(one["ok"] for one in bulk(api(cast.petra), seats[:2], password=PASSWORD).json())
    client.post("/approvals/bulk/", data | {"password": PASSWORD})
    assert Vote.objects.exclude(signature=None).count() == 4


def test_two_hundred_are_the_most_at_once(api, cast, alike):
    answer = api(cast.petra).post(f"{V1}approvals/bulk-vote/", {"votes": [{"id": 1, "digest": "x"}] * 201, "vote": "approve"})
    assert answer.status_code == 400


# --- saved filters ---


def test_a_filter_is_kept_read_altered_and_removed(api, cast):
    client = api(cast.petra)
    made = client.post(f"{V1}saved-filters/", {"name": "Late ones", "query": "?due=late&for=group"})
    assert made.status_code == 201, made.json()
    body = made.json()
    assert (body["name"], body["page"], body["query"]) == ("Late ones", "approvals", "due=late&for=group")
    path = f"{V1}saved-filters/{body['id']}/"
    assert client.get(path).json() == body
    assert client.patch(path, {"query": "due=8h"}).json()["query"] == "due=8h"
    assert client.patch(path, {"page": "changes"}).status_code == 400
    assert [row["id"] for row in client.get(f"{V1}saved-filters/?page=approvals").json()["results"]] == [body["id"]]
    assert client.get(f"{V1}saved-filters/?page=changes").json()["results"] == []
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_somebody_elses_filter_is_not_there(api, client, cast, now):
    row = SavedFilter.objects.create(user=cast.petra, name="Mine", query="due=late", created_at=now)
    path = f"{V1}saved-filters/{row.pk}/"
    for method in ("get", "delete"):
        assert getattr(api(cast.paul), method)(path).status_code == 404
    assert api(cast.paul).patch(path, {"name": "Yours"}).status_code == 404
    assert api(cast.paul).get(f"{V1}saved-filters/").json()["results"] == []
    client.force_login(cast.paul)
    assert client.post(f"/filters/{row.pk}/remove/").status_code == 404
    assert "Mine" not in client.get("/approvals/").content.decode()
    assert SavedFilter.objects.get() == row


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x", "page": "home"}, "page"),
        ({"name": "x", "query": "colour=red"}, "query"),
        ({"name": "x", "query": "type=huge"}, "query"),
        ({"name": "x", "query": "just words"}, "query"),
        ({"name": "x", "query": "q=" + "x" * 1000}, "query"),
        ({"name": "x", "page": "changes", "query": "state=lost"}, "query"),
        ({"name": "x", "page": "changes", "query": "requester__password=p"}, "query"),
        ({"name": "x", "user": "paul"}, "user"),
    ],
)
def test_a_filter_that_can_not_be_is_refused_at_its_field(api, cast, body, field):
    answer = api(cast.petra).post(f"{V1}saved-filters/", body)
    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert not SavedFilter.objects.exists()


def test_a_name_is_kept_once_for_each_list_and_fifty_are_the_most(api, cast, now):
    client = api(cast.petra)
    assert client.post(f"{V1}saved-filters/", {"name": "One"}).status_code == 201
    assert client.post(f"{V1}saved-filters/", {"name": "One"}).status_code == 400
    assert client.post(f"{V1}saved-filters/", {"name": "One", "page": "changes", "query": "state=draft"}).status_code == 201
    SavedFilter.objects.bulk_create(SavedFilter(user=cast.petra, name=f"n{n}", created_at=now) for n in range(48))
    assert client.post(f"{V1}saved-filters/", {"name": "One more"}).status_code == 400


@pytest.mark.parametrize(("page", "path", "query"), [("approvals", "/approvals/", "due=late"), ("changes", "/changes/", "state=in_review")])
def test_on_the_pages_a_filter_is_kept_used_and_forgotten(client, cast, many, page, path, query):
    client.force_login(cast.petra)
    assert 'name="query"' in client.get(f"{path}?{query}").content.decode()
    answer = client.post("/filters/", {"name": "My view", "page": page, "query": query})
    assert (answer.status_code, answer["Location"]) == (302, f"{path}?{query}")
    text = client.get(path).content.decode()
    assert "My view" in text
    assert f'href="{path}?{query}"' in text
    key = SavedFilter.objects.get().pk
    assert client.post(f"/filters/{key}/remove/").status_code == 302
    client.get(path)
    assert "My view" not in client.get(path).content.decode()
    assert client.post("/filters/", {"name": "", "page": page, "query": query}).status_code == 400
    assert client.get("/filters/").status_code == 405


def test_a_filter_shows_only_what_its_reader_may_see(client, cast, seeded, now):
    in_review(a_change(cast.rita, now, title="Secret", confidential=True), now)
    client.force_login(cast.olga)
    client.post("/filters/", {"name": "All", "page": "changes", "query": "state=in_review"})
    assert "Secret" not in client.get("/changes/?state=in_review").content.decode()


def test_a_seat_of_a_closed_level_is_in_no_queue(cast, many, now):
    Seat.objects.filter(level__round=many["named"]).update(state="closed")
    assert "By name" not in titles(queue_of(cast.petra, now))
