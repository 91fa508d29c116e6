"""The difference as a file: what anybody named something stays text, nothing is left out, and the page needs nothing else."""

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.architecture.rules import Image
from changemgmt.preview.diff import diff_of_images
from changemgmt.preview.diff_files import extras, markdown, page, told
from changemgmt.preview.differing import Known

from ..wide import many_fields

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b\nc",
    "`k`",
    "</style><b>",
    "]]>&amp;",
    "# [x](javascript:y)",
    "\"onload='x",
    "![i](http://elsewhere/i.png)",
]
TAGS = {"html", "meta", "title", "style", "h1", "h2", "h3", "p", "section", "div", "span", "code"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "del", "ins", "ul", "li"}
hostile = st.sampled_from(HOSTILE) | st.text(max_size=12)


def image(key, **fields):
    return {"key": key, "name": key, "type": "Node", "layer": "data", "owner": "", "attributes": {}} | fields


class Seen(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.inside = set(), set(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.inside = tag

    def handle_data(self, data):
        if self.inside != "style":
            self.texts.append(data)


@settings(max_examples=60, deadline=None)
@given(key=hostile.filter(bool), before=hostile, after=hostile, path=hostile.filter(bool), title=hostile)
def test_nothing_that_somebody_wrote_becomes_markup(key, before, after, path, title):
    diff = diff_of_images(
        [Image("component", key, image(key, attributes={path: before}), image(key, name=after, owner=before, attributes={path: after}))]
    )
    seen = Seen(page(told(title, diff, affected=[key, before])))
    assert seen.tags <= TAGS
    assert seen.attributes <= {"lang", "charset", "name", "content", "class"}
    if before != after:
        text = "".join(seen.texts)
        assert after in text and key in text
    for line in markdown(told(title, diff, affected=[key, before])).splitlines():
        assert not line.startswith(("<", "!", "[")) and line.count("#") - line.count("\\#") <= 3 + sum(
            text.count("#") for text in (key, before, after, path)
        )


def test_hostile_text_in_a_table_stays_in_its_cell():
    diff = diff_of_images([Image("component", "<b>|`k`", None, image("<b>|`k`", name="<script>alert(1)</script>", owner="a|b\nc"))])
    assert "<script>" not in page(told("<i>x</i>", diff))
    assert "\n| `owner` |  | `a\\|b c` |" in markdown(told("x", diff))


def test_every_form_has_the_same_groups_in_the_same_order():
    items = many_fields(100)
    before = {item["key"]: image(item["key"], attributes={"ports": [80, 443, 8080], "runbook": "A text of some words."}, tags=[]) for item in items}
    images = [Image("component", item["key"], before[item["key"]], before[item["key"]] | item["data"]) for item in items]
    images += [Image("component", "gone", image("gone"), None), Image("component", "new", None, image("new", layer="business"))]
    known = {"fields-100/application-2": Known("First", "max", 5, 0.9, "data")}
    it = told("Title", diff_of_images(images), known, ["reached/1"])
    found = extras(it)
    order = [group["keys"][0] for group in found["groups"]]
    assert order[0] == "gone" and order[1] == "fields-100/application-2" and order[-1] == "new"
    for text, mark in ((markdown(it), "### {} component `{}`"), (page(it), "<code>{1}</code>")):
        places = [text.index(mark.format({"gone": "Removed", "new": "Added"}.get(key, "Updated"), key)) for key in order]
        assert places == sorted(places)
        assert "reached/1" in text
    assert found["graph"]["components"] == {
        "added": ["new"],
        "removed": ["gone"],
        "changed": sorted(item["key"] for item in items),
        "affected": ["reached/1"],
    }
    assert found["summary"]["operation"] == {"delete": 1, "create": 1, "update": 5}
    assert found["summary"]["fields"] == sum(len(group.rows) * len(group.things) for _, groups in it.sections for group in groups)


def test_nothing_differs_is_said():
    assert "Nothing differs." in markdown(told("x", {"components": [], "relations": []}))
    assert "Nothing differs." in page(told("x", {"components": [], "relations": []}))


def test_the_page_marks_words_and_stands_alone():
    one = image("k", attributes={"text": "call the duty DBA at night"})
    diff = diff_of_images([Image("component", "k", one, image("k", attributes={"text": "call the on-call DBA at night"}))])
    text = page(told("x", diff))
    assert "<del>duty </del>" in text and "<ins>on-call </ins>" in text and "call the " in text
    assert "src=" not in text and "href=" not in text and "<script" not in text and "url(" not in text
