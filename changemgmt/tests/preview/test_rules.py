"""Three-way comparison, merge and diff, as pure functions."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from changemgmt.architecture.rules import COMPONENT_DEFAULTS, Image, Operation, image_after, merge_patch
from changemgmt.preview.capture import item_for, patch_between
from changemgmt.preview.diff import diff_of_images
from changemgmt.preview.layout import Edge, Vertex, layout
from changemgmt.preview.rebasing import Choice, conflicts_of, rebased, without_strays
from changemgmt.preview.rules import Proposal, drift_of, merge, overlap, same, taken_back, written_fields
from changemgmt.preview.words import merged_words

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


PIECES = st.lists(st.sampled_from(["one", "two", "three", "four", "five"]), max_size=6).map(" ".join)


@given(base=PIECES, other=PIECES)
def test_words_that_only_one_side_moved_are_taken_from_it(base, other):
    assert merged_words(base, base, other) == merged_words(base, other, base) == other
    assert merged_words(base, other, other) in (other, None)


@given(base=PIECES, live=PIECES, proposed=PIECES)
def test_words_merge_alike_from_either_side(base, live, proposed):
    assert merged_words(base, live, proposed) == merged_words(base, proposed, live)


def test_words_of_both_sides_come_together_where_they_do_not_touch():
    assert merged_words("call the duty DBA at night", "ring the duty DBA at night", "call the duty DBA by day") == "ring the duty DBA by day"
    assert merged_words("call the DBA", "ring the DBA", "page the DBA") is None


@given(base=OBJECT, desired=OBJECT)
def test_what_is_captured_makes_the_desired_of_the_base(base, desired):
    patch = patch_between(base, desired)
    assert same(merge_patch(base, patch), wanted := as_stored(base, desired))
    assert patch_between(base, base) == {} == patch_between(wanted, wanted)
    assert patch_between(base, merge_patch(base, patch)) == patch


def as_stored(base, desired):
    """The desired object as it can be stored: a null that is not there already is no value."""
    if not isinstance(desired, dict):
        return desired
    known = base if isinstance(base, dict) else {}
    kept = {name: value for name, value in desired.items() if value is not None or name in known and known[name] is None}
    return {name: value if name in known and same(known[name], value) else as_stored(known.get(name), value) for name, value in kept.items()}


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["", "x"]),
        "owner": st.sampled_from(["", "max"]),
        "org_unit": st.sampled_from([None, "it"]),
        "criticality": st.integers(1, 5),
        "tags": st.lists(st.sampled_from("ab"), max_size=2),
        "attributes": st.dictionaries(st.sampled_from("ab"), st.integers(0, 2) | st.dictionaries(st.sampled_from("xy"), st.booleans())),
        "needs": st.dictionaries(st.just("serving"), st.integers(0, 2)),
    },
)


@given(first=FIELDS, second=FIELDS)
def test_an_item_captured_from_a_component_makes_it(first, second):
    whole = {**COMPONENT_DEFAULTS, "key": "k", "type": "Node", "layer": "technology"}
    base, desired = whole | first, whole | second
    made = Operation("create", "component", "k", data=item_for("component", "k", None, desired)["data"])
    assert same(image_after(made, None), desired)
    update = item_for("component", "k", base, desired)
    assert (update is None) == same(base, desired)
    if update:
        assert same(image_after(Operation("update", "component", "k", data=update["data"]), base), desired)
    assert item_for("component", "k", base, second) is None or second


@given(base=OBJECT, data=OBJECT, live=OBJECT, takes=st.lists(st.sampled_from(["live", "proposed", "value"]), min_size=9, max_size=9))
def test_a_rebased_item_says_what_was_chosen_and_nothing_moved_under_it(base, data, live, takes):
    item = proposal(data={"attributes": data}, before=image(attributes=base))
    now = image(attributes=live)
    rows = [(item, row) for row in drift_of(item, now)]
    chosen = [(conflict, Choice(take, "chosen")) for conflict, take in zip(conflicts_of(rows, {"component": {"k": now}}), takes, strict=False)]
    result = rebased(item, now, chosen).item
    after = image_after(Operation("update", "component", "k", data=result["data"]), now) if result else now
    for conflict, choice in chosen:
        wanted = {"live": conflict.live, "proposed": conflict.proposed, "value": "chosen"}[choice.take]
        assert same(at_path(after, conflict.field), wanted)
    if result:
        again = replace(item, data=result["data"], before=now)
        assert drift_of(again, now) == []


def at_path(value, path):
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def test_a_chain_of_relations_on_relations_goes_with_its_first():
    def tie(number, end):
        return {"operation": "create", "object": "relation", "key": f"r{number}", "source": "a", "target": end}

    chain = [tie(number, f"relation:r{number - 1}" if number else "b") for number in range(5000)]
    assert without_strays(reversed(chain), {"r0"}) == {f"r{number}" for number in range(1, 5000)}
    assert without_strays([tie(1, ["no text"])], {"r0"}) == set()
