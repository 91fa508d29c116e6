"""The rules of drift, by properties: following, explaining and adopting what a source shows."""

from hypothesis import given
from hypothesis import strategies as st

from changemgmt.architecture.rules import COMPONENT, COMPONENT_DEFAULTS, RELATION, RELATION_DEFAULTS, Image, Operation, image_after
from changemgmt.preview.sources import adoption, drifted, explains, fields_of, follow, in_order, key_of, turned

VALUES = st.one_of(st.booleans(), st.integers(-3, 3), st.sampled_from(["", "a", "b"]), st.lists(st.integers(0, 2), max_size=2))
NAMES = st.sampled_from(["x", "y", "z"])
ATTRIBUTES = st.dictionaries(NAMES, st.one_of(VALUES, st.dictionaries(NAMES, VALUES, max_size=2)), max_size=3)


@st.composite
def components(draw, key="c"):
    fields = {
        "key": key, "name": draw(st.sampled_from(["", "One", "Two"])), "type": draw(st.sampled_from(["Node", "Device"])), "layer": "technology",
        "criticality": draw(st.integers(1, 5)), "users": draw(st.integers(0, 2)), "attributes": draw(ATTRIBUTES),
        "tags": draw(st.lists(st.sampled_from(["p", "q"]), max_size=2)), "external_references": draw(st.lists(st.just("r"), max_size=1)),
    }  # fmt: skip
    return dict(COMPONENT_DEFAULTS) | fields


SIDES = st.one_of(st.none(), components())


def image(before, after, key="c"):
    return Image(COMPONENT, key, before, after)


@st.composite
def bursts(draw):
    """Things by key, each as a source shows it and as it is live."""
    keys = draw(st.sets(st.sampled_from("abcde")))
    rows = [image(draw(SIDES), draw(SIDES), key) for key in sorted(keys)]
    return drifted([row for row in rows if row.before != row.after])


def by_key(rows):
    return {key_of(row): row for row in rows}


@given(bursts())
def test_following_the_same_again_moves_nothing(burst):
    followed = follow(by_key(burst), burst)
    assert followed.counts == {"added": 0, "moved": 0, "gone": 0} and followed.kept == burst


@given(bursts(), bursts())
def test_following_leaves_exactly_what_is_shown_now(before, now):
    followed = follow(by_key(before), now)
    assert by_key([*followed.added, *followed.moved, *followed.kept]) == by_key(now)
    assert set(followed.gone) == by_key(before).keys() - by_key(now).keys()


@given(SIDES, SIDES)
def test_adopting_a_row_makes_the_live_thing_what_the_source_shows(before, after):
    for row in drifted([image(before, after)]):
        if row.before is None and row.after is None:
            continue
        found = adoption(row, row.before)
        assert found.item is not None and not found.reason
        item = found.item
        made = image_after(Operation(item["operation"], COMPONENT, "c", data=item.get("data", {})), row.before)
        assert not fields_of(image(made, row.after))
        assert explains(image(row.before, made), row)


@given(components(), components(), components())
def test_adopting_keeps_what_others_moved_since(before, after, live):
    for row in drifted([image(before, after)]):
        item = adoption(row, live).item
        made = live if item is None else image_after(Operation("update", COMPONENT, "c", data=item["data"]), live)
        untouched = [name for name in before if before[name] == after[name] and type(before[name]) is type(after[name])]
        assert [name for name in untouched if made[name] != live[name]] == []


@given(SIDES, SIDES)
def test_what_is_adopted_needs_no_item_any_more(before, after):
    row = image(before, after)
    for shown in drifted([row]):
        assert adoption(shown, shown.after).item is None


@given(components(), components(), components())
def test_another_value_explains_nothing(before, after, written):
    row, made = image(before, after), image(before, written)
    wanted = {path: sides[1] for path, sides in fields_of(row).items()}
    got = {path: sides[1] for path, sides in fields_of(made).items()}
    assert explains(made, row) == all(path in got and type(got[path]) is type(value) and got[path] == value for path, value in wanted.items())


@given(SIDES, SIDES)
def test_turned_twice_is_as_before(before, after):
    row = image(before, after)
    assert turned(turned(row)) == row and fields_of(turned(row)) == {path: (two, one) for path, (one, two) in fields_of(row).items()}


def test_bookkeeping_is_left_as_it_is():
    before = dict(COMPONENT_DEFAULTS) | {"key": "c", "external_references": ["old"]}
    assert drifted([image(before, before | {"external_references": ["new"]})]) == []
    assert drifted([image(before, before | {"external_references": ["new"], "users": 1})]) == [image(before, before | {"users": 1})]


def test_a_relation_is_adopted_by_its_attributes_and_not_by_other_ends():
    live = dict(RELATION_DEFAULTS) | {"key": "r", "source": "a", "target": "b", "type": "serving"}
    moved = adoption(Image(RELATION, "r", live, live | {"attributes": {"x": 1}}), live)
    assert moved.item == {"object": RELATION, "key": "r", "operation": "update", "data": {"attributes": {"x": 1}}}
    assert "ends" in adoption(Image(RELATION, "r", live, live | {"target": "c"}), live).reason
    assert "not there any more" in adoption(Image(RELATION, "r", live, live | {"attributes": {"x": 1}}), None).reason
    made = adoption(Image(RELATION, "r", None, live), None).item
    assert made == {"object": RELATION, "key": "r", "operation": "create", "source": "a", "target": "b", "relation_type": "serving"}


@given(
    st.permutations(
        [("create", COMPONENT), ("create", RELATION), ("update", COMPONENT), ("update", RELATION), ("delete", RELATION), ("delete", COMPONENT)]
    )
)
def test_items_are_in_the_order_in_which_they_can_be_done(kinds):
    items = [{"operation": operation, "object": object, "key": "k"} for operation, object in kinds]
    ordered = [(item["operation"], item["object"]) for item in in_order(items)]
    assert ordered.index(("create", COMPONENT)) < ordered.index(("create", RELATION))
    assert ordered.index(("delete", RELATION)) < ordered.index(("delete", COMPONENT))
