"""Three-way comparison, merge and diff, as pure functions."""

from hypothesis import given
from hypothesis import strategies as st

from changemgmt.architecture.rules import Image, merge_patch
from changemgmt.preview.diff import diff_of_images, markdown, page, words
from changemgmt.preview.layout import Edge, Vertex, layout
from changemgmt.preview.rules import Proposal, drift_of, merge, overlap, same, taken_back, written_fields

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "y"]),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(st.sampled_from("abcd"), VALUE, max_size=4)


@given(base=OBJECT, other=OBJECT)
def test_what_only_one_side_moved_is_taken_from_it(base, other):
    assert same(merge(base, base, other)[0], other)
    assert same(merge(base, other, base)[0], other)
    assert merge(base, base, other)[1] == merge(base, other, base)[1] == merge(base, other, other)[1] == []


@given(base=OBJECT, live=OBJECT, proposed=OBJECT)
def test_a_merge_without_clashes_does_not_depend_on_who_is_who(base, live, proposed):
    one, two = merge(base, live, proposed), merge(base, proposed, live)
    assert bool(one[1]) == bool(two[1])
    if not one[1]:
        assert same(one[0], two[0])


@given(before=OBJECT, data=OBJECT, extra=OBJECT)
def test_taking_back_restores_what_was_there_and_keeps_what_others_did_elsewhere(before, data, extra):
    after = merge_patch(before, data)
    image, clashes = taken_back("component", "k", before, after, after)
    assert (clashes, same(image.after, before)) == ([], True)
    later = after | {"elsewhere": extra}
    image, clashes = taken_back("component", "k", before, after, later)
    assert (clashes, same(image.after, before | {"elsewhere": extra})) == ([], True)


def test_taking_back_stops_where_something_later_moved_the_same_field():
    image, clashes = taken_back("component", "k", {"a": 1}, {"a": 2}, {"a": 3})
    assert [(clash.path, clash.base, clash.live) for clash in clashes] == [("a", 2, 3)]
    assert taken_back("component", "k", None, {"a": 1}, {"a": 2})[1]
    assert taken_back("component", "k", {"a": 1}, None, {"a": 2})[1]
    assert taken_back("component", "k", None, {"a": 1}, None) == (Image("component", "k", None, None), [])


def proposal(operation="update", data=None, before=None):
    return Proposal(1, operation, "component", "k", None, None, None, data or {}, before, 1)


def image(**fields):
    plain = {"key": "k", "name": "K", "type": "Node", "layer": "technology", "owner": "", "criticality": 3, "attributes": {}, "tags": []}
    return plain | fields


def test_only_fields_the_item_speaks_about_drift():
    base = image(attributes={"a": "1", "b": "1"})
    item = proposal(data={"attributes": {"a": "2"}}, before=base)
    assert drift_of(item, base) == []
    assert drift_of(item, base | {"owner": "x", "attributes": {"a": "1", "b": "9"}}) == []
    (found,) = drift_of(item, base | {"attributes": {"a": "3", "b": "1"}})
    assert (found.field, found.base, found.live, found.proposed, found.conflict) == ("attributes.a", "1", "3", "2", True)
    (found,) = drift_of(item, base | {"attributes": {"a": "2", "b": "1"}})
    assert not found.conflict


def test_what_is_gone_or_there_already_drifts():
    assert drift_of(proposal(data={"name": "x"}, before=image()), None)[0].live is None
    assert drift_of(proposal("delete", before=image()), None) == []
    assert drift_of(proposal("delete", before=image()), image(name="other"))[0].field == "name"
    assert drift_of(proposal("create", data={"name": "K", "type": "Node"}), image(name="other"))[0].conflict


def test_written_fields_meet_by_path():
    one = written_fields("update", "component", {"attributes": {"a": 1}})
    assert one == {"attributes.a"}
    assert not overlap(one, {"attributes.b"})
    assert overlap(one, {"attributes"})
    assert overlap(one, None)


@given(value=OBJECT)
def test_the_diff_of_equal_things_is_empty(value):
    assert diff_of_images([Image("component", "k", value, dict(value))]) == {"components": [], "relations": []}


def test_markdown_and_page_show_hostile_text_as_text():
    diff = diff_of_images([Image("component", "<b>|`k`", None, image(name="<script>alert(1)</script>", owner="a|b\nc"))])
    assert "<script>" not in page("<i>x</i>", diff)
    assert "\n| `owner` |  | `a\\|b c` |" in markdown("x", diff)


def test_long_text_is_compared_word_by_word():
    assert words("call the duty DBA", "call the on-call DBA") == [("=", "call the "), ("-", "duty"), ("+", "on-call"), ("=", " DBA")]


def test_the_picture_is_the_same_every_time_and_nothing_overlaps():
    vertices = [
        Vertex(f"{layer}{place}", f"Component {place}", layer, "indirect", place / 20) for layer in ("business", "data") for place in range(15)
    ]
    edges = [Edge(f"business{place}", f"data{(place * 7) % 15}") for place in range(15)]
    one, two = layout(vertices, edges, ["business", "data"]), layout(reversed(vertices), edges, ["business", "data"])
    assert one == two
    assert (one["shown"], one["total"]) == (24, 30)
    boxes = [(node["x"], node["y"], node["x"] + node["w"], node["y"] + node["h"]) for node in one["nodes"]]
    assert all(a >= 0 and c <= one["width"] and d <= one["height"] for a, b, c, d in boxes)
    clash = [(p, q) for n, p in enumerate(boxes) for q in boxes[n + 1 :] if p[0] < q[2] and q[0] < p[2] and p[1] < q[3] and q[1] < p[3]]
    assert clash == []
