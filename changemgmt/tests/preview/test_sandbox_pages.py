"""Editing inside the sandbox on its pages: what is written there is what the items say."""

import re
from html.parser import HTMLParser

import pytest
from django.test import Client

from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.rules import Operation
from changemgmt.changes.models import Change
from changemgmt.lifecycle import edit

from .. import estate
from ..web.conftest import clean_html  # noqa: F401

pytestmark = pytest.mark.django_db
ATTRIBUTES = {
    "version": "15", "ports": [5432, 5433], "size": {"gb": 2, "note": None}, "count": 3, "ratio": 1e3, "on": True, "none": None, "text 3": "3",
    "runbook": "\nfirst line\r\nsecond line  ", " odd ": "x", "empty": "", "quote": '"<&',
}  # fmt: skip


class Fields(HTMLParser):
    """What a browser would send of the last form of a page, as it stands there."""

    def __init__(self):
        super().__init__()
        self.sent, self.open, self.text = {}, None, None

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "form":
            self.sent = {}
        if tag == "input" and values.get("name") and (values.get("type") not in ("checkbox", "radio", "search") or "checked" in values):
            self.sent[values["name"]] = values.get("value", "").replace("\n", "")
        if tag in ("select", "textarea"):
            self.open, self.text = values.get("name"), ""
        if tag == "option" and self.open and ("selected" in values or self.open not in self.sent):
            self.sent[self.open] = values.get("value", "")

    def handle_data(self, data):
        if self.text is not None:
            self.text += data

    def handle_endtag(self, tag):
        if tag == "textarea" and self.open:
            self.sent[self.open] = self.text.removeprefix("\n").replace("\r\n", "\n").replace("\n", "\r\n")
        if tag in ("select", "textarea"):
            self.open = self.text = None


def sent_by(response):
    parser = Fields()
    parser.feed(response.content.decode())
    return parser.sent


@pytest.fixture
def change(seeded, cast, now):
    estate.build(now)
    data = {"attributes": ATTRIBUTES, "tags": ["a,b", "c"], "needs": {"serving": 1}, "environment": "prod"}
    apply_operations([Operation("update", "component", "shop/db", data=data)], actor="ada", now=now)
    return edit.create_change({"title": "A change"}, actor=cast.rita, now=now)


def browse(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def rita(cast):
    return browse(cast.rita)


@pytest.fixture
def at(change):
    return f"/changes/{change.number}/sandbox/"


def row_of(sent, name):
    """The number of the row of an attribute."""
    return next(field.removeprefix("attr-name-") for field, value in sent.items() if field.startswith("attr-name-") and value == name)


def items(change):
    return {(item.operation, item.key): item.data for item in change.items.all()}


def test_a_form_that_is_sent_as_it_was_shown_says_nothing(change, at, rita, clean_html):  # noqa: F811
    page = clean_html(rita.get(f"{at}component/edit/?key=shop/db"))
    answer = rita.post(f"{at}component/edit/?key=shop/db", sent_by(page))
    assert (answer.status_code, items(change)) == (302, {})


def test_what_is_written_there_is_what_the_item_says_and_put_back_there_is_none(change, at, rita):
    path = f"{at}component/edit/?key=shop/db"
    sent = sent_by(rita.get(path))
    altered = sent | {"owner": "max", f"attr-value-{row_of(sent, 'version')}": "16", f"attr-value-{row_of(sent, 'count')}": "4"}
    altered |= {f"attr-gone-{row_of(sent, 'on')}": "on", f"attr-name-{row_of(sent, '')}": "new", f"attr-value-{row_of(sent, '')}": "7"}
    assert rita.post(path, altered).status_code == 302
    assert items(change) == {("update", "shop/db"): {"owner": "max", "attributes": {"version": "16", "count": 4, "on": None, "new": "7"}}}
    again = sent_by(rita.get(path))
    assert (again["owner"], again[f"attr-value-{row_of(again, 'version')}"]) == ("max", "16")
    assert "Changed" in rita.get(f"{at}component/?key=shop/db").content.decode()
    back = again | {"owner": "", f"attr-value-{row_of(again, 'version')}": "15", f"attr-value-{row_of(again, 'count')}": "3"}
    back |= {f"attr-gone-{row_of(again, 'new')}": "on", f"attr-name-{row_of(again, '')}": "on", f"attr-value-{row_of(again, '')}": "true"}
    assert rita.post(path, back).status_code == 302
    assert items(change) == {("update", "shop/db"): {"attributes": {"on": "true"}}}
    hidden = {"object": "component", "key": "shop/db", "seen": estate.fresh(change).etag}
    assert rita.post(f"{at}back/", hidden).status_code == 302
    assert items(change) == {}


def test_mistakes_come_back_at_their_fields_with_what_was_typed(change, at, rita):
    path = f"{at}component/edit/?key=shop/db"
    sent = sent_by(rita.get(path)) | {"owner": "x" * 201, "name": "Typed"}
    answer = rita.post(path, sent)
    assert answer.status_code == 400 and "Typed" in answer.content.decode()
    sent = sent_by(rita.get(path)) | {"type": "Nothing"}
    assert rita.post(path, sent).status_code == 400
    assert items(change) == {}


def test_what_moved_since_the_form_was_drawn_is_refused(change, at, rita, cast, now):
    path = f"{at}component/edit/?key=shop/db"
    sent = sent_by(rita.get(path)) | {"owner": "max"}
    apply_operations([Operation("update", "component", "shop/db", data={"users": 9})], actor="ada", now=now)
    assert rita.post(path, sent).status_code == 412
    sent = sent_by(rita.get(path)) | {"owner": "max"}
    edit.edit_change(change.number, {"title": "Another"}, actor=cast.rita, now=now, seen="*")
    assert rita.post(path, sent).status_code == 412
    assert items(change) == {}


def test_a_component_made_in_the_sandbox_is_edited_there_and_removed_again(change, at, rita, clean_html):  # noqa: F811
    new = f"/changes/{change.number}/items/component/new/?sandbox=1"
    sent = sent_by(rita.get(new)) | {"new_key": "shop/cache", "name": "Cache", "type": "Node"}
    assert rita.post(new, sent)["Location"] == f"{at}component/?key=shop%2Fcache"
    tie = f"/changes/{change.number}/items/relation/new/?sandbox=1"
    sent = {"seen": estate.fresh(change).etag, "source": "shop/cache", "target": "shop/api", "relation_type": "serving"}
    assert "?sandbox=1" in rita.get(f"{tie}&source=shop/cache").content.decode()
    assert rita.post(tie, sent)["Location"] == f"{at}component/?key=shop%2Fcache"
    path = f"{at}component/edit/?key=shop/cache"
    assert rita.post(path, sent_by(rita.get(path)) | {"users": "5"}).status_code == 302
    relation = f"{at}relation/?key=shop/cache|serving|shop/api"
    sent = sent_by(clean_html(rita.get(relation)))
    assert rita.post(relation, sent | {"attr-name-0": "since", "attr-value-0": "2026"}).status_code == 302
    assert items(change)["create", "shop/cache"] == {"name": "Cache", "type": "Node", "layer": "technology", "users": 5}
    assert items(change)["create", "shop/cache|serving|shop/api"] == {"attributes": {"since": "2026"}}
    page = clean_html(rita.get(f"{at}remove/?object=component&key=shop/cache"))
    assert "<b>serving</b>: Cache → API" in page.content.decode()
    assert rita.post(f"{at}remove/?object=component&key=shop/cache", sent_by(page)).status_code == 302
    assert items(change) == {}


def test_a_component_is_removed_with_its_relations_and_put_back(change, at, rita):
    page = rita.get(f"{at}remove/?object=component&key=shop/api")
    assert "<b>serving</b>: Database → API" in page.content.decode()
    rita.post(f"{at}remove/?object=component&key=shop/api", sent_by(page))
    assert set(items(change)) == {("delete", "shop/api"), ("delete", "shop/db>shop/api"), ("delete", "shop/api>shop/checkout")}
    assert rita.get(f"{at}component/edit/?key=shop/api").status_code == 409
    assert "It would be gone" in rita.get(f"{at}relation/?key=shop/db>shop/api").content.decode()
    for object, key in (("component", "shop/api"), ("relation", "shop/db>shop/api")):
        rita.post(f"{at}back/", {"object": object, "key": key, "seen": estate.fresh(change).etag})
    assert set(items(change)) == {("delete", "shop/api>shop/checkout")}


def test_others_look_and_do_not_write(change, at, cast):
    vera = browse(cast.vera)
    paths = ("component/edit/?key=shop/db", "relation/?key=shop/db>shop/api", "remove/?object=component&key=shop/db")
    for path in paths:
        page = vera.get(f"{at}{path}")
        assert page.status_code == 200 and "Save in the sandbox" not in page.content.decode()
        assert vera.post(f"{at}{path}", sent_by(page) | {"owner": "vera"}).status_code == 403
    assert vera.post(f"{at}back/", {"object": "component", "key": "shop/db", "seen": "*"}).status_code == 403
    assert items(change) == {}
    Change.objects.filter(pk=change.pk).update(confidential=True)
    for path in (*paths, "back/"):
        assert browse(cast.olga).post(f"{at}{path}", {"object": "component", "key": "shop/db"}).status_code == 404
        assert Client().post(f"{at}{path}").status_code == 302


@pytest.mark.parametrize("path", ["component/edit/?key=no", "relation/?key=no", "remove/?object=component&key=no", "remove/?object=no", "component/"])
def test_what_is_not_there_is_not_found(at, rita, path):
    assert rita.get(f"{at}{path}").status_code == 404
    assert rita.get(f"{at}{path}%00").status_code == 404
    for form in ("", "delete/"):
        assert rita.get(f"{at.removesuffix('sandbox/')}items/component/{form}?key=no%00").status_code == 404


def test_odd_fields_are_no_fault(change, at, rita):
    path = f"{at}component/edit/?key=shop/db"
    sent = sent_by(rita.get(path))
    for odd in ({"revision": "x"}, {"revision": "9" * 30}, {"users": "-1"}, {"attr-name-x": "y"}, {"attr-name-0": "n" * 500}, {"criticality": "7"}):
        assert rita.post(path, sent | odd).status_code < 500
    assert re.search(r'name="revision" value="\d+"', rita.get(path).content.decode())


def test_the_forms_ask_little(at, rita, django_assert_max_num_queries):
    rita.get("/changes/")
    for path in ("component/edit/?key=shop/db", "relation/?key=shop/db>shop/api", "remove/?object=component&key=shop/db"):
        with django_assert_max_num_queries(15):
            rita.get(f"{at}{path}")
