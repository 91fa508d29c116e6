"""How far relations are relied upon, on the pages: judged where it is asked, told apart in the impact, and in its downloads."""

import csv
import html
import io

import pytest
from django.test import Client

from changemgmt.architecture.models import Relation
from changemgmt.architecture.rules import Operation
from changemgmt.preview.actions import store
from changemgmt.preview.compute import compute
from changemgmt.preview.queries import state_of
from changemgmt.web.impact_export import COLUMNS, cell

from ..preview.conftest import change_of  # noqa: F401  # a fixture
from ..web.conftest import clean_html  # noqa: F401  # a fixture
from .conftest import NOW
from .test_trust import UPDATE, a_year, doubt, shop  # noqa: F401  # two of them are fixtures

pytestmark = pytest.mark.django_db


@pytest.fixture
def browse(cast):
    def signed_in(user):
        client = Client()
        client.force_login(user)
        return client

    return signed_in


def test_the_page_of_a_component_shows_trust_and_has_the_buttons_for_owners(shop, browse, cast, clean_html):  # noqa: F811
    doubt("r1")
    text = clean_html(browse(cast.olga).get("/architecture/till/")).content.decode()
    assert "unconfirmed" in text and "/architecture.relation" not in text
    assert "more are reached over relations nobody confirmed lately" in text
    client = browse(cast.ian)
    assert clean_html(client.get("/architecture/till/")).content.decode().count('value="refute"') == 2
    back = {"next": "/architecture/till/"}
    answer = client.post("/architecture.relation", {"key": "r1", "act": "confirm", **back}, follow=True)
    assert answer.redirect_chain == [("/architecture/till/", 302)] and "Confirmed." in answer.content.decode()
    assert Relation.objects.get(key="r1").confirmed_at is not None
    answer = client.post("/architecture.relation", {"key": "r1", "act": "refute", "reason": "", **back}, follow=True)
    assert "This can't be empty." in html.unescape(answer.content.decode())
    answer = client.post("/architecture.relation", {"key": "r1", "act": "refute", "reason": "<b>Gone</b>", **back}, follow=True)
    text = answer.content.decode()
    assert "&lt;b&gt;Gone&lt;/b&gt;" in text and "<b>Gone</b>" not in text and "refuted" in text
    assert browse(cast.olga).post("/architecture.relation", {"key": "r1", "act": "confirm"}).status_code == 403
    assert client.post("/architecture.relation", {"key": "r1", "act": "confirm", "next": "https://elsewhere.test/"})["Location"] == "/architecture/"
    assert client.get("/architecture.relation").status_code == 405


@pytest.fixture
def wide(shop, do, change_of):  # noqa: F811
    """Seventy components more behind the till, strong and weak, and a change of it whose impact is stored."""
    keys = [f"far/{place:02}" for place in range(70)]
    do(
        *(Operation("create", "component", key, data={"name": f"=cmd {key}", "type": "Node"}) for key in keys),
        *(Operation("create", "relation", f"to {key}", "till", key, "serving" if place < 60 else "flow") for place, key in enumerate(keys)),
    )
    doubt("r1")
    change = change_of(UPDATE)
    store(change, compute(change, now=NOW), now=NOW)
    return change


def test_the_list_is_cut_where_noise_begins_and_the_rest_is_one_click_away(wide, browse, cast, settings, clean_html):  # noqa: F811
    client, url = browse(cast.rita), f"/changes/{wide.number}/impact/"
    settings.IMPACT_LIST_SCORE = 0.5
    context = clean_html(client.get(url)).context
    assert (context["shown"], context["found"], context["unsure_found"], context["left"]) == (50, 71, 2, 21)
    assert context["left_unsure"] == 0
    settings.IMPACT_LIST_LENGTH = 200
    context = client.get(url).context
    assert (context["shown"], context["found"]) == (61, 71), "those of 0.4 are below the mark"
    whole = client.get(f"{url}{context['whole']}").context
    assert (whole["shown"], whole["whole"], whole["next"]) == (71, None, None)
    assert [(group["name"], group["count"]) for group in whole["groups"]] == [("technology", 71)]
    scores = [row["score"] for group in whole["groups"] for row in group["rows"]]
    assert scores == sorted(scores, reverse=True)
    assert client.get(f"{url}?page=9").context["shown"] == 0
    assert client.get(f"{url}?page=x").context["page"] == 0


def test_what_is_not_sure_stands_apart_with_buttons_for_who_may(wide, browse, cast, clean_html, django_assert_max_num_queries):  # noqa: F811
    url = f"/changes/{wide.number}/impact/"
    client = browse(cast.vera)
    client.get(url)
    with django_assert_max_num_queries(19):
        answer = clean_html(client.get(url))
    assert [row["key"] for row in answer.context["unsure"]] == ["shop", "site"]
    assert [(entry["key"], entry["count"], entry["may"]) for entry in answer.context["in_doubt"]] == [("r1", 2, True)]
    assert "Not sure" in answer.content.decode() and "Till → Shop" in answer.content.decode()
    client.post("/architecture.relation", {"key": "r1", "act": "confirm", "next": url})
    assert state_of(wide) == "stale"
    assert "/architecture.relation" not in browse(cast.rita).get(url).content.decode()


def test_the_impact_is_downloaded_whole_and_no_cell_runs_as_a_formula(wide, browse, cast):
    client, url = browse(cast.rita), f"/changes/{wide.number}/impact/export/"
    answer = client.get(f"{url}?as=csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert (len(rows), tuple(rows[0]), answer["Content-Disposition"]) == (73, COLUMNS, f'attachment; filename="{wide.number}-impact.csv"')
    assert {row["name"] for row in rows if row["key"] == "far/00"} == {"'=cmd far/00"}
    assert rows[-1]["path"] == "till → serving (unconfirmed) → shop → serving → site"
    assert [cell(value) for value in ("+1", "-1", "@a", "\ta", "\ra", "a", 1)] == ["'+1", "'-1", "'@a", "'\ta", "'\ra", "a", 1]
    told = client.get(f"{url}?as=json").json()
    assert (len(told["affected"]), told["untrusted"]) == (73, 2)
    assert client.get(f"{url}?as=xml").status_code == 400


def test_nobody_downloads_the_impact_of_a_change_they_may_not_see_nor_the_numbers_of_such(wide, browse, cast, change_of):  # noqa: F811
    hidden = change_of(UPDATE, confidential=True, state="submitted")
    store(hidden, compute(hidden, now=NOW), now=NOW)
    assert browse(cast.vera).get(f"/changes/{hidden.number}/impact/export/").status_code == 404
    assert hidden.number not in browse(cast.vera).get(f"/changes/{wide.number}/impact/export/?as=json").content.decode()
