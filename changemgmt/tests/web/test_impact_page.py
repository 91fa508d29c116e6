"""The layer picture of a large reach on its page: exact, within its queries, the same as a table, and safe with whatever things are called."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.models import Relation
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Change, Preview
from changemgmt.core.time import utc_now
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.compute_preview import ask_for_preview

from .. import wide

pytestmark = pytest.mark.django_db


def bring(document, now):
    """What `tests.wide` describes, as the live architecture."""
    made = [Operation("create", "component", row.pop("key"), data=row) for row in map(dict, document["components"])]
    made += [Operation("create", "relation", row["key"], row["source"], row["target"], row["type"]) for row in document["relations"]]
    apply_operations(made, actor="ada", now=now, reason="wide")


def asked(cast, items, title="Wide"):
    change = edit.create_change({"title": title, "type": "normal"}, actor=cast.rita, now=utc_now())
    edit.add_items(change.number, items, actor=cast.rita, now=utc_now(), seen="*")
    assert ask_for_preview(change.number, actor=cast.rita, now=utc_now())
    return Change.objects.get(pk=change.pk)


@pytest.mark.parametrize("reach", [300, 500])
def test_a_wide_change_is_drawn_whole_and_small_in_the_database(seeded, cast, now, browse, clean_html, reach):
    bring(wide.estate(reach), now)
    change = asked(cast, wide.reaching(reach))
    kept = Preview.objects.get(change=change)
    assert len(kept.impact["affected"]) == reach == kept.summary["affected"]
    found = kept.layout["board"]
    assert found["shown"] == min(500, reach + 3) and found["total"] == reach + 3
    assert {node["state"] for node in found["nodes"]} == {"added", "removed", "changed", "direct", "indirect"}
    assert {node["effect"] for node in found["nodes"]} >= {"down", "degraded", "touched"}
    assert {state for _, _, state in found["edges"]} == {"hit", "added", "removed"}
    assert len(json.dumps(kept.layout)) < 300 * 1024
    html = clean_html(browse(cast.vera).get(f"/changes/{change.number}/impact/")).content.decode()
    assert html.count('<a class="b ') == found["shown"] and html.count('<path class="e ') == len(found["edges"]) + html.count('lit" d="M0 7H28"')


def test_the_page_keeps_its_queries_however_far_the_change_reaches(seeded, cast, now, browse):
    counts = []
    for reach in (40, 300):
        bring(wide.estate(reach), now)
        for _other in range(3):
            asked(cast, wide.reaching(reach)[:1])
        change, client = asked(cast, wide.reaching(reach)), browse(cast.vera)
        apply_operations([Operation("update", "component", f"wide-{reach}/bystander", data={"users": reach})], actor="ada", now=now, reason="moved")
        for query in ("", "?as=table&by=owner"):
            with CaptureQueriesContext(connection) as seen:
                assert client.get(f"/changes/{change.number}/impact/{query}").status_code == 200
            counts.append(len(seen))
    assert max(counts) <= 15, counts


def test_the_table_says_what_the_picture_shows(seeded, cast, now, browse, clean_html):
    bring(wide.estate(40), now)
    change, client = asked(cast, wide.reaching(40)), browse(cast.vera)
    picture = client.get(f"/changes/{change.number}/impact/").content.decode()
    table = clean_html(client.get(f"/changes/{change.number}/impact/?as=table")).content.decode()
    assert "?as=table#picture" in picture and 'class="board"' not in table
    keys = set(re.findall(r'<a class="b [^"]*" href="(/architecture/[^"]+/)"', picture))
    rows = re.search(r'<table class="tbl cards boardt">.*?</table>', table, re.DOTALL).group()
    assert keys == set(re.findall(r'href="(/architecture/[^"]+/)"', rows)) and len(keys) == 43
    assert "Removed" in rows and "Reached directly" in rows and "degraded" in rows and "Legacy gateway" in rows


def test_other_headings_and_bounds_are_kept_together(seeded, cast, now, browse):
    bring(wide.estate(40), now)
    change, client = asked(cast, wide.reaching(40)), browse(cast.vera)
    html = client.get(f"/changes/{change.number}/impact/?by=owner&layer=technology").content.decode()
    assert "No owner" in html and "platform" in html and '<input type="hidden" name="by" value="owner">' in html
    assert "?by=owner&amp;layer=technology&amp;as=table" in html
    faint = re.findall(r'<a class="b \w+ off" href="/architecture/([^"]+)/"', html)
    assert faint and not [key for key in faint if "technology" in key]


def test_what_is_not_sure_stands_in_the_picture_and_says_so(seeded, cast, now, browse):
    bring(wide.estate(20), now)
    Relation.objects.filter(source__key="wide-20/root").update(confirmed_at=None)
    apply_operations([Operation("update", "component", "wide-20/bystander", data={"users": 1})], actor="ada", now=now, reason="moved")
    change = asked(cast, wide.reaching(20)[:1])
    found = Preview.objects.get(change=change).layout["board"]
    assert {node["state"] for node in found["nodes"]} == {"changed", "unsure"} and {state for _, _, state in found["edges"]} >= {"doubt"}
    assert "not sure, " in browse(cast.vera).get(f"/changes/{change.number}/impact/").content.decode()


def test_names_are_text_whatever_they_hold(seeded, cast, now, browse, clean_html):
    name, key = "<script>alert('x')</script>\"&", "evil/<b>&\"'"
    parts = [wide.thing(key, name, "Node", "technology", owner='"><x>'), wide.thing("b", "", "Node", "technology")]
    bring({"components": parts, "relations": [wide.relation(key, "serving", "b")]}, now)
    change = asked(cast, [{"operation": "update", "object": "component", "key": key, "data": {"users": 9}}])
    for query in ("", "?by=owner", "?as=table", "?by=<x>&as=<y>"):
        html = clean_html(browse(cast.vera).get(f"/changes/{change.number}/impact/{query}")).content.decode()
        assert "<script>alert" not in html and "<b>&" not in html and '"><x>' not in html and "<y>" not in html
