"""A long difference: nothing is lost by expanding, folding, heading and paging; what matters stands first; narrowing only takes away."""

from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.core.comparing import Allowance
from changemgmt.preview.differing import HEADINGS, Known, Wanted, counted, expanded, folded, graph_of, headed, narrowed, page_of, things_of

values = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["", "a b", "c"]), st.lists(st.integers(0, 2), max_size=4))
fields = st.lists(
    st.fixed_dictionaries({"path": st.sampled_from(["owner", "attributes.a", "attributes.a.b", "tags"]), "before": values, "after": values}),
    max_size=4,
)
entries = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from("abcdefgh"),
            "operation": st.sampled_from(["create", "update", "delete"]),
            "name": st.sampled_from(["", "Claims", "Policy"]),
            "type": st.sampled_from(["Node", None]),
            "layer": st.sampled_from(["data", "business", None]),
            "fields": fields,
        }
    ),
    max_size=8,
    unique_by=lambda entry: entry["key"],
)
known = st.dictionaries(
    st.sampled_from("abcdefgh"), st.builds(Known, criticality=st.integers(0, 5), score=st.floats(0, 1), owner=st.sampled_from(["max", ""]))
)
relaxed = settings(max_examples=60, deadline=None)


@relaxed
@given(entries, known)
def test_what_goes_stands_first_then_what_is_critical_then_by_score(found, about):
    things = things_of({"components": found, "relations": []}, about)
    assert {thing.key for thing in things} == {entry["key"] for entry in found}
    order = [(thing.operation != "delete", thing.criticality < 4, -thing.score) for thing in things]
    assert order == sorted(order)


@relaxed
@given(entries, st.sampled_from(HEADINGS))
def test_folding_and_heading_lose_nobody_and_fold_only_what_is_updated_alike(found, by):
    things = things_of({"components": found, "relations": []})
    sections = headed(folded(things), by)
    shown = [thing for _, groups in sections for group in groups for thing in group.things]
    assert sorted(thing.key for thing in shown) == sorted(thing.key for thing in things)
    for _, groups in sections:
        for group in groups:
            assert len(group.things) == 1 or all(thing.operation == "update" for thing in group.things)
            assert all(
                [(row.path, row.before, row.after) for row in thing.rows] == [(row.path, row.before, row.after) for row in group.rows]
                for thing in group.things
            )


@relaxed
@given(entries, st.integers(1, 5))
def test_the_pages_together_are_the_whole(found, size):
    groups = folded(things_of({"components": found, "relations": []}))
    _, pages = page_of(groups, 1, size)
    told = [page_of(groups, number, size)[0] for number in range(1, pages + 1)]
    assert [row for page in told for group in page for row in group.rows] == [row for group in groups for row in group.rows]
    assert all(sum(max(1, len(group.rows)) for group in page) <= size for page in told)
    assert page_of(groups, pages + 1, size)[0] == []
    assert [group.first.key for page in told for group in page if not group.continued] == [group.first.key for group in groups]


@relaxed
@given(
    entries,
    st.sampled_from(["", "claims", "a", "node 1"]),
    st.sampled_from(["", "delete"]),
    st.sampled_from(["", "data"]),
    st.sampled_from(["", "attributes.a"]),
)
def test_narrowing_only_takes_away_and_twice_is_once(found, words, operation, layer, field):
    things = things_of({"components": found, "relations": []})
    wanted = Wanted(words, operation, layer, field)
    left = narrowed(things, wanted)
    whole = {thing.key: set(map(repr, thing.rows)) for thing in things}
    assert all(set(map(repr, thing.rows)) <= whole[thing.key] for thing in left)
    assert narrowed(left, wanted) == left
    assert narrowed(things, Wanted()) == things
    assert all(thing.operation == operation for thing in left) or not operation
    assert all(row.path.startswith("attributes.a") for thing in left for row in thing.rows) or not field


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_lists_are_told_by_element(before, after):
    rows = list(expanded("tags", "tags", before, after, Allowance()))
    assert (rows == []) == (before == after)
    assert all(row.field == "tags" and row.path.startswith("tags[") for row in rows)
    assert len([row for row in rows if row.before is not None]) - len([row for row in rows if row.after is not None]) == len(before) - len(after)


def test_elements_that_are_objects_are_told_by_what_differs_in_them():
    before, after = [{"port": 80, "hosts": ["a", "b"]}, {"port": 443}], [{"port": 81, "hosts": ["a", "c"]}, {"port": 443}, {"port": 9}]
    rows = list(expanded("attributes.on", "attributes.on", before, after, Allowance()))
    assert [(row.path, row.before, row.after) for row in rows] == [
        ("attributes.on[0].hosts[1]", "b", "c"),
        ("attributes.on[0].port", 80, 81),
        ("attributes.on[2]", None, {"port": 9}),
    ]


def test_a_field_takes_what_is_below_it_along_and_nothing_that_only_begins_alike():
    fields = [{"path": path, "before": 1, "after": 2} for path in ("attributes.a", "attributes.a.b", "attributes.ab")]
    things = things_of({"components": [{"key": "k", "operation": "update", "fields": fields}], "relations": []})
    (left,) = narrowed(things, Wanted(field="attributes.a"))
    assert [row.path for row in left.rows] == ["attributes.a", "attributes.a.b"]


def test_words_are_found_in_names_paths_and_values():
    fields = [{"path": "owner", "before": "max", "after": "Sam Vale"}, {"path": "users", "before": 1, "after": 20}]
    things = things_of({"components": [{"key": "k", "name": "Claims", "operation": "update", "fields": fields}], "relations": []})
    told = {
        words: [row.path for thing in narrowed(things, Wanted(words)) for row in thing.rows] for words in ("vale", "CLAIMS", "claims 20", "users 99")
    }
    assert told == {"vale": ["owner"], "CLAIMS": ["owner", "users"], "claims 20": ["users"], "users 99": []}


def test_relations_are_named_by_their_ends_and_as_critical_as_the_more_critical_one():
    link = {"key": "r", "operation": "delete", "type": "serving", "source": "a", "target": "b", "fields": []}
    (thing,) = things_of({"components": [], "relations": [link]}, {"a": Known("A", criticality=2, layer="data"), "b": Known("B", criticality=5)})
    assert (thing.name, thing.criticality, thing.layer) == ("A → B", 5, "data")


def test_counts_and_the_graph_name_everything():
    found = [
        {"key": key, "operation": operation, "layer": "data", "fields": [{"path": "users", "before": 1, "after": 2}]}
        for key, operation in zip("bac", ("update", "delete", "create"), strict=True)
    ]
    things = things_of({"components": found, "relations": []})
    assert counted(things) == {
        "things": 3,
        "fields": 3,
        "operation": {"delete": 1, "create": 1, "update": 1},
        "layer": {"data": 3},
        "field": [("users", 1)],
    }
    assert graph_of(things, ["x", "y"]) == {
        "components": {"added": ["c"], "removed": ["a"], "changed": ["b"], "affected": ["x", "y"]},
        "relations": {"added": [], "removed": [], "changed": []},
    }
