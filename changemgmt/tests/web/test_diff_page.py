"""The page of a difference: everything once, narrowed and headed as asked, within its queries, and nobody else's."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.rules import Operation

from .. import wide
from .test_impact_page import asked, bring

pytestmark = pytest.mark.django_db


@pytest.fixture
def thousand(seeded, cast, now):
    bring(wide.fields_estate(1000), now)
    return asked(cast, wide.many_fields(1000), "Renew settings")


def rows_in(html):
    return len(re.findall(r"<tr(?: class=\"drift\")?><td>", html))


def test_a_thousand_fields_stand_on_a_page_each_once_and_alike_ones_together(thousand, browse, cast, clean_html):
    client, path = browse(cast.vera), f"/changes/{thousand.number}/diff/"
    pages = [clean_html(client.get(path))]
    assert pages[0].context["sums"]["fields"] == 1050 and len(thousand.preview.diff["components"]) == 50
    while pages[-1].context["next"]:
        pages.append(clean_html(client.get(f"{path}{pages[-1].context['next']}")))
    shown = [rows_in(page.content.decode()) for page in pages]
    folded = sum(len(group.keys) - 1 for page in pages for section in page.context["sections"] for group in section["groups"])
    assert folded and sum(shown) + folded * 21 == 1050 and shown[0] <= 1000
    unified = clean_html(client.get(f"{path}?view=unified")).content.decode()
    assert rows_in(unified) == shown[0] and "difft uni" in unified


def test_counts_narrow_and_take_back_and_htmx_gets_the_part(thousand, browse, cast):
    client, path = browse(cast.vera), f"/changes/{thousand.number}/diff/"
    page = client.get(f"{path}?view=unified")
    layer = next(one for one in page.context["facets"][1] if one["label"] == "Data")
    narrowed = client.get(f"{path}{layer['href']}")
    assert narrowed.context["view"] == "unified" and [section["label"] for section in narrowed.context["sections"]] == ["Data"]
    assert next(one for one in narrowed.context["facets"][1] if one["on"])["href"] == "?view=unified"
    part = client.get(f"{path}?field=attributes.settings.pool&words=min", headers={"HX-Request": "true"}).content.decode()
    assert part.startswith('<div id="differences"') and "<html" not in part
    assert rows_in(part) and not re.search(r"<tr><td>(?!attributes\.settings\.pool\.min)", part)
    assert "Nothing matches" in client.get(f"{path}?words=nothinglikeit").content.decode()


@pytest.mark.parametrize("query", ["?page=99", "?page=x&by=y&view=z", "?page=0", "?operation=<script>&layer='&owner=%00x"])
def test_what_cant_be_read_narrows_nothing_or_finds_nothing(thousand, browse, cast, clean_html, query):
    answer = clean_html(browse(cast.vera).get(f"/changes/{thousand.number}/diff/{query}"))
    assert answer.status_code == 200 and "<script>&" not in answer.content.decode()


def test_the_page_keeps_its_queries(thousand, browse, cast, now):
    apply_operations([Operation("create", "component", "far", data={"name": "Far", "type": "Node"})], actor="ada", now=now, reason="moved")
    client = browse(cast.vera)
    with CaptureQueriesContext(connection) as seen:
        assert client.get(f"/changes/{thousand.number}/diff/?by=owner").status_code == 200
    assert len(seen) <= 15, "\n".join(query["sql"][:200] for query in seen)


def test_the_page_of_the_change_shows_its_head_and_leads_to_the_rest(thousand, browse, cast):
    for page in ("", "preview/"):
        html = browse(cast.vera).get(f"/changes/{thousand.number}/{page}").content.decode()
        assert rows_in(html) == 60 and f'href="/changes/{thousand.number}/diff/"' in html and "more values</a>" in html


def test_what_moved_live_stands_alone_and_says_so(seeded, cast, now, browse):
    parts = [wide.thing(key, key.title(), "Node", "technology", tags=["a", "b"]) for key in ("one", "two")]
    bring({"components": parts, "relations": []}, now)
    items = [{"operation": "update", "object": "component", "key": key, "data": {"tags": ["a", "c"]}} for key in ("one", "two")]
    change = asked(cast, items)
    assert "Updated alike" in browse(cast.vera).get(f"/changes/{change.number}/diff/").content.decode()
    apply_operations([Operation("update", "component", "one", data={"tags": ["z"]})], actor="ada", now=now, reason="moved")
    browse(cast.rita).post(f"/changes/{change.number}/preview/")
    for view in ("side", "unified"):
        html = browse(cast.vera).get(f"/changes/{change.number}/diff/?view={view}").content.decode()
        assert "Updated alike" not in html and "Live value moved" in html and "live now:" in html


def test_names_and_values_are_text(seeded, cast, now, browse, clean_html):
    name = "<img src=x>\"'&"
    bring({"components": [wide.thing("k/<b>", name, "Node", "technology", owner="<i>")], "relations": []}, now)
    change = asked(
        cast, [{"operation": "update", "object": "component", "key": "k/<b>", "data": {"attributes": {"<u>": "<script>x</script> a b c"}}}]
    )
    for query in ("", "?by=owner", "?view=unified", "?words=<u>"):
        html = clean_html(browse(cast.vera).get(f"/changes/{change.number}/diff/{query}")).content.decode()
        assert "<img src=x>" not in html and "<script>x" not in html and "<u>" not in html and "&lt;u&gt;" in html


def test_what_is_confidential_is_not_there_for_others(thousand, browse, cast):
    type(thousand).objects.filter(pk=thousand.pk).update(confidential=True)
    assert browse(cast.olga).get(f"/changes/{thousand.number}/diff/").status_code == 404
    assert browse(cast.rita).get(f"/changes/{thousand.number}/diff/").status_code == 200


def test_the_files_say_what_becomes_of_the_graph(seeded, cast, now, browse):
    bring(wide.estate(40), now)
    change = asked(cast, wide.reaching(40))
    client, path = browse(cast.vera), f"/api/v1/changes/{change.number}/diff/"
    graph = client.get(path).json()["graph"]
    assert graph["components"]["added"] == ["wide-40/gateway-2"] and graph["components"]["removed"] == ["wide-40/gateway"]
    assert len(graph["components"]["affected"]) == 40 and len(graph["relations"]["removed"]) == 9
    for form in ("markdown", "html"):
        text = client.get(f"{path}?as={form}").content.decode()
        assert "Components affected (40)" in text and "Relations removed (9)" in text and "wide-40/gateway-2" in text
