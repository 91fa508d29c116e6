"""The whole picture of a reach: nothing overlaps, everything stands under its heading, and who stays keeps their place among the others."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.preview.board import CELL, COLUMNS, GROUPINGS, MOST, PITCH, WIDTH, Line, Part, board, regrouped, route, strongest

LAYERS = ["business", "application", "data", "technology"]
STATES = ("added", "removed", "changed", "direct", "indirect", "unsure", "context")
parts_of = st.builds(
    Part,
    key=st.text("abc/", min_size=1, max_size=4),
    name=st.text("aB ", max_size=3),
    layer=st.sampled_from([*LAYERS, "strategy"]),
    type=st.sampled_from(["Node", "Service", ""]),
    owner=st.sampled_from(["max", "platform", ""]),
    state=st.sampled_from(STATES),
    effect=st.sampled_from(["", "touched", "degraded", "down"]),
    score=st.floats(0, 1),
    distance=st.integers(0, 6),
)
many_parts = st.lists(parts_of, min_size=1, max_size=90, unique_by=lambda part: part.key)
relaxed = settings(max_examples=60, deadline=None)


def boxes(found):
    return [(node["x"], node["y"], node["x"] + CELL, node["y"] + node["h"]) for node in found["nodes"]]


@relaxed
@given(parts=many_parts, by=st.sampled_from(GROUPINGS))
def test_nothing_overlaps_and_everything_stands_in_its_band(parts, by):
    found = board(parts, [], LAYERS, by=by)
    bands = {band["layer"]: band for band in found["bands"]}
    for node, (left, top, right, bottom) in zip(found["nodes"], boxes(found), strict=True):
        band = bands[node["layer"]]
        assert left >= 0 and right <= WIDTH and band["y"] <= top and bottom <= band["y"] + band["height"] <= found["height"]
    ordered = sorted(boxes(found))
    assert not [one for one, two in zip(ordered, ordered[1:], strict=False) if one[0] == two[0] and two[1] < one[3]]
    assert len({(head["x"], head["y"]) for head in found["heads"]}) == len(found["heads"])


@relaxed
@given(parts=many_parts, more=many_parts, by=st.sampled_from(GROUPINGS))
def test_who_stays_keeps_their_place_among_the_others_when_the_change_gains_something(parts, more, by):
    there = {part.key for part in parts}
    grown = board([*parts, *(part for part in more if part.key not in there)], [], LAYERS, by=by)
    before = [node["key"] for node in board(parts, [], LAYERS, by=by)["nodes"]]
    assert [node["key"] for node in grown["nodes"] if node["key"] in there] == before


@relaxed
@given(parts=many_parts, data=st.data())
def test_how_a_component_is_reached_moves_nobody_past_anybody(parts, data):
    other = [Part(part.key, part.name, part.layer, part.type, part.owner, data.draw(st.sampled_from(STATES))) for part in parts]
    assert [node["key"] for node in board(other, [], LAYERS)["nodes"]] == [node["key"] for node in board(parts, [], LAYERS)["nodes"]]


@relaxed
@given(parts=many_parts, data=st.data())
def test_it_is_the_same_in_whatever_order_it_is_told_and_reads_down_the_columns(parts, data):
    found = board(data.draw(st.permutations(parts)), [], LAYERS)
    assert found == board(parts, [], LAYERS)
    band = {name: place for place, name in enumerate(row["layer"] for row in found["bands"])}
    assert [node["key"] for node in found["nodes"]] == [
        node["key"] for node in sorted(found["nodes"], key=lambda node: (band[node["layer"]], node["x"], node["y"]))
    ]


@relaxed
@given(parts=many_parts)
def test_regrouping_a_stored_board_is_drawing_it_under_the_other_headings(parts):
    lines = [Line(one.key, two.key) for one, two in zip(parts, parts[1:], strict=False)]
    rounded = [Part(**{name: getattr(part, name) for name in Part.__slots__} | {"score": round(part.score, 4)}) for part in parts]
    found = board(rounded, lines, LAYERS)
    assert regrouped(found, "owner") == board(rounded, lines, LAYERS, by="owner")
    assert regrouped(regrouped(found, "owner"), "type") == found


@relaxed
@given(parts=many_parts, most=st.integers(1, 20))
def test_of_too_many_the_strongest_are_shown_and_the_bands_say_of_how_many(parts, most):
    found = board(parts, [], LAYERS, most=most)
    shown = {node["key"] for node in found["nodes"]}
    assert len(shown) == min(most, len(parts)) == found["shown"] and found["total"] == len(parts)
    changed = [part for part in parts if part.state in ("added", "removed", "changed")]
    assert len(shown & {part.key for part in changed}) >= min(most, len(changed)) - sum(part.state == "context" for part in parts)
    assert sum(band["shown"] for band in found["bands"]) == len(shown)


def test_a_chain_of_reach_is_cut_at_its_far_end():
    chain = [Part("k0", "", "data", state="changed", score=1.0)]
    chain += [Part(f"k{n}", "", "data", state="direct" if n == 1 else "indirect", score=0.9**n, distance=n) for n in range(1, 9)]
    assert {part.key for part in strongest(reversed(chain), 5)} == {f"k{n}" for n in range(5)}


@relaxed
@given(parts=many_parts, data=st.data())
def test_lines_start_and_end_at_their_components_and_keep_to_the_gutters(parts, data):
    keys = st.sampled_from([part.key for part in parts])
    lines = [Line(data.draw(keys), data.draw(keys), data.draw(st.sampled_from(["hit", "doubt", "added", "removed"]))) for _ in range(8)]
    found = board(parts, lines, LAYERS)
    assert len({(one, two) for one, two, _state in found["edges"]}) == len(found["edges"])
    for one, two, state in found["edges"]:
        start, end = found["nodes"][one], found["nodes"][two]
        numbers = [int(text) for text in re.findall(r"-?\d+", route(start, end, found["bands"], state))]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        assert points[0] == (start["x"], start["y"] + start["h"] // 2) and points[-1] == (end["x"], end["y"] + end["h"] // 2)
        for (x, y), (further, on) in zip(points, points[1:], strict=False):
            upright = x == further and y != on
            assert not upright or (x - 80) % PITCH >= CELL, "a line runs down through the components"


def test_a_changed_relation_stands_in_place_of_the_path_over_it():
    two = [Part("a", "A", "data", state="context"), Part("b", "B", "data", state="direct")]
    assert board(two, [Line("a", "b"), Line("a", "b", "removed"), Line("a", "b")], LAYERS)["edges"] == [[0, 1, "removed"]]
    assert board(two, [Line("a", "a"), Line("a", "gone")], LAYERS)["edges"] == []


def test_three_hundred_fit_the_width_and_five_hundred_are_most():
    crowd = [Part(f"k{n}", f"Component {n}", LAYERS[n % 4], f"Type {n % 5}", state="indirect", score=0.5, distance=2) for n in range(700)]
    found = board(crowd, [], LAYERS)
    assert (found["shown"], found["total"], found["width"]) == (MOST, 700, WIDTH) and COLUMNS * PITCH < WIDTH
    assert board(crowd[:300], [], LAYERS)["height"] < 1500
