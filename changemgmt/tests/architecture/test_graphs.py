"""The arrays of a revision: made from those of the one before, in files that processes share, and never those of another."""

import os
import subprocess
import sys
from threading import Thread

import numpy as np
import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from changemgmt.architecture import graph_files, graphs
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.graph import build
from changemgmt.architecture.graph_files import ARRAYS, folder_of, load, save, tokens
from changemgmt.architecture.graphs import graph_at, newest
from changemgmt.architecture.keys import Keys
from changemgmt.architecture.models import ComponentType, Relation, Revision
from changemgmt.architecture.revised import revised
from changemgmt.architecture.rules import CREATE, DELETE, RELATION, UPDATE, Operation

from .conftest import NOW
from .test_propagation import LAYERS, MOMENTS, RULES

TOKEN = "00000000-0000-4000-8000-00000000000{}"


def rows(graph):
    """What a graph says, without the numbers it says it with: the nodes, the relations, and the half-edges of each node."""
    kinds = [(name, way) for name in graph.relation_types for way in (">", "<")]
    layers, types = [*graph.layers, None], [*graph.types, None]
    nodes = [(key, layers[graph.layer[n]], types[graph.type[n]], int(graph.criticality[n]), int(graph.users[n])) for n, key in enumerate(graph.keys)]
    links = [
        (key, graph.relation_types[graph.relation_type[n]], graph.keys[graph.source[n]], graph.keys[graph.target[n]], bool(graph.refuted[n]))
        for n, key in enumerate(graph.relation_keys)
    ]
    edges = [
        sorted((graph.keys[graph.to[at]], *kinds[graph.kind[at]], graph.relation_keys[graph.relation[at]]) for at in range(*graph.start[n : n + 2]))
        for n in range(graph.size)
    ]
    return nodes, links, edges, graph.confirmed.tolist(), dict(graph.needs)


COMPONENTS = ["a", "b", "ba", "c", "é", "z" * 40]
RELATIONS = ["r0", "r1", "r10", "r2", "ü"]


@st.composite
def estates(draw):
    """Components by key and relations by key, some ending on others."""
    parts = {
        key: (key, draw(st.sampled_from(LAYERS)), draw(st.sampled_from(["App", "Host"])), draw(st.integers(1, 5)), draw(st.integers(0, 9)),
              draw(st.sampled_from([{}, {}, {"serving": 1}])))
        for key in draw(st.sets(st.sampled_from(COMPONENTS)))
    }  # fmt: skip
    links, ends = {}, sorted(parts)
    for key in draw(st.sets(st.sampled_from(RELATIONS))) if parts else ():
        links[key] = (key, draw(st.sampled_from(sorted(RULES))), draw(st.sampled_from(ends)), draw(st.sampled_from(ends)),
                      *MOMENTS[draw(st.sampled_from(sorted(MOMENTS)))])  # fmt: skip
        ends.append(f"relation:{key}")
    return parts, links


@settings(max_examples=400, deadline=None)
@given(one=estates(), two=estates())
def test_the_graph_made_from_the_one_before_is_the_graph_made_from_all_rows(one, two):
    before = build(1, one[0].values(), one[1].values())
    touched = {key for side in (0, 1) for key in {*one[side], *two[side]} if one[side].get(key) != two[side].get(key)}
    after = revised(before, 2, touched, *([row for key, row in two[side].items() if key in touched] for side in (0, 1)))
    whole = build(2, two[0].values(), two[1].values())
    kept = [n for n, key in enumerate(after.keys) if not key.startswith("relation:") or key in set(whole.keys)]
    nodes, links, edges, confirmed, needs = rows(after)
    assert ([nodes[n] for n in kept], links, [[edge for edge in edges[n] if edge[0] in set(whole.keys)] for n in kept], confirmed, needs) == rows(
        whole
    )
    assert after.revision == 2


def test_what_nobody_touched_is_the_same_array():
    components = [(key, "business", "App", 3, 0, {}) for key in "abc"]
    before = build(1, components, [("r", "serving", "a", "b")])
    after = revised(before, 2, {"a"}, [("a", "business", "App", 5, 0, {})], [])
    assert after.criticality.tolist() == [5, 3, 3] and before.criticality.tolist() == [3, 3, 3]
    assert [name for name in ARRAYS if getattr(after, name) is not getattr(before, name)] == ["criticality"]
    assert after.keys is before.keys and after.relation_keys is before.relation_keys


@given(st.sets(st.text(min_size=1, max_size=5)), st.sets(st.text(min_size=1, max_size=5)), st.data())
def test_keys_are_a_sorted_list_of_texts(texts, others, data):
    texts = {text for text in texts if text.isprintable()}
    others = {text for text in others if text.isprintable()} - texts
    keys, listed = Keys.of(sorted(texts)), sorted(texts)
    assert list(keys) == listed and [keys.find(text) for text in listed] == list(range(len(listed)))
    assert all(keys.find(text) is None for text in others)
    gone = sorted(data.draw(st.sets(st.integers(0, len(listed) - 1)))) if listed else []
    assert list(keys.without(np.array(gone, np.int64))) == [text for place, text in enumerate(listed) if place not in gone]
    assert list(keys.joined(sorted(others))) == sorted(texts | others)


# Files.


@pytest.fixture
def small():
    return build(7, [(key, "business", "App", 3, 4, {"serving": 1} if key == "b" else {}) for key in "abc"], [("r", "serving", "a", "b")])


def test_a_graph_comes_back_from_its_files_and_what_stayed_is_the_same_file(small, tmp_path):
    kept = save(tmp_path, TOKEN.format(1), small)
    assert rows(kept) == rows(small) and kept.revision == 7
    later = save(tmp_path, TOKEN.format(2), revised(kept, 8, {"a"}, [("a", "data", "App", 3, 4, {})], []), (TOKEN.format(1), kept))
    assert (later.revision, later.layers[later.layer[0]]) == (8, "data")
    one, two = (folder_of(tmp_path, TOKEN.format(number)) for number in (1, 2))
    same = {name: (one / f"{name}.npy").samefile(two / f"{name}.npy") for name in ("to", "users", "layer")}
    assert same == {"to": True, "users": True, "layer": False}
    with pytest.raises(ValueError, match="read-only"):
        later.users[0] = 1


def test_only_the_newest_stay_and_who_reads_an_older_one_goes_on(small, tmp_path):
    first = save(tmp_path, TOKEN.format(1), small)
    for number in range(2, 6):
        save(tmp_path, TOKEN.format(number), small)
        os.utime(folder_of(tmp_path, TOKEN.format(number)), (number, number))
    assert len(tokens(tmp_path)) == graph_files.KEPT
    assert rows(first) == rows(small)


@pytest.mark.parametrize("hurt", ["to.npy", "keys.text.npy", "about.json"])
def test_a_broken_file_is_taken_for_none(small, tmp_path, hurt):
    save(tmp_path, TOKEN.format(1), small)
    path = folder_of(tmp_path, TOKEN.format(1)) / hurt
    path.unlink()
    path.write_bytes(b"not what it was")
    assert load(tmp_path, TOKEN.format(1)) is None


def test_where_nothing_can_be_written_the_graph_stays_in_the_process(small, tmp_path, caplog):
    (tmp_path / "graphs").write_text("a file where the folder should be")
    assert rows(save(tmp_path / "graphs", TOKEN.format(1), small)) == rows(small)
    assert "is not kept in a file" in caplog.text


# The live one.


@pytest.fixture
def live(db, tmp_path, settings, monkeypatch, seeded):
    """A small estate whose graph is kept in files of its own, as a large one is."""
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(graphs, "IN_FILES", 0)
    monkeypatch.setattr(graphs, "_kept", {})
    made = [Operation(CREATE, "component", key, data={"name": key, "type": "ApplicationComponent"}) for key in "abc"]
    return put(*made, link("r", "a", "b"))


def link(key, source, target):
    return Operation(CREATE, RELATION, key, source=source, target=target, relation_type="serving")


def put(*operations):
    with transaction.atomic():
        return apply_operations(operations, actor="ada", now=NOW, direct=True)


def whole():
    """The live graph as all rows make it."""
    return rows(graphs._from_live(newest().number))


def test_the_next_graph_is_made_of_the_last_and_of_what_was_touched(live, django_assert_num_queries, monkeypatch):
    assert rows(graph_at()) == whole()
    put(Operation(UPDATE, "component", "a", data={"criticality": 5}), Operation(DELETE, RELATION, "r"), link("s", "c", "a"))
    put(Operation(DELETE, "component", "b"), link("t", "c", "relation:s"))
    with monkeypatch.context() as watched, django_assert_num_queries(9):
        watched.setattr(graphs, "_from_live", lambda number: pytest.fail("all rows were read"))
        made = graph_at()
    assert rows(made) == whole() and made.revision == newest().number
    with django_assert_num_queries(1):
        assert graph_at() is made


def test_a_change_of_types_is_built_from_all_rows(live, cast):
    from changemgmt.architecture.actions import save_type

    graph_at()
    kind = ComponentType.objects.get(name="ApplicationComponent")
    kind.name = "Program"
    with transaction.atomic():
        save_type(kind, actor="ada", now=NOW)
    assert "Program" in graph_at().types


def test_a_revision_that_was_rolled_back_leaves_nothing_behind(live):
    before = rows(graph_at())
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        put(Operation(UPDATE, "component", "a", data={"criticality": 5}))
        assert graph_at().criticality.tolist()[0] == 5
        raise ZeroDivisionError
    assert rows(graph_at()) == before
    put(Operation(UPDATE, "component", "b", data={"criticality": 1}))
    assert rows(graph_at()) == whole()


def test_a_revision_that_lands_while_the_rows_are_read_is_not_mixed_in(live, monkeypatch):
    graph_at()
    put(Operation(UPDATE, "component", "a", data={"criticality": 5}))
    reading, landed = graphs.rows_of, []

    def slowly(keys):
        found = reading(keys)
        if not landed:
            landed.append(put(Operation(UPDATE, "component", "c", data={"criticality": 1})))
        return found

    monkeypatch.setattr(graphs, "rows_of", slowly)
    assert rows(graph_at()) == whole() and graph_at().revision == landed[0].revision


def test_another_process_maps_the_same_files(live, tmp_path):
    graph_at()
    code = "import sys; from pathlib import Path; from changemgmt.architecture.graph_files import load; g = load(Path(sys.argv[1]), sys.argv[2]); print(list(g.keys), g.revision)"  # noqa: E501
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path / "graphs"), newest().token], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == f"['a', 'b', 'c'] {live.revision}"


@pytest.mark.django_db(transaction=True)
def test_many_at_once_build_it_once(live, monkeypatch):
    built, build_it = [], graphs._from_live
    monkeypatch.setattr(graphs, "_from_live", lambda number: built.append(number) or build_it(number))
    found = []

    def ask():
        found.append(graph_at())
        connection.close()

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and len(found) == 8 and len({id(graph) for graph in found}) == 1


def test_a_confirmation_that_only_moves_the_date_is_in_the_next_graph(live):
    from uuid import uuid4

    graph_at()
    Relation.objects.update(confirmed_at=NOW)
    Revision.objects.filter(number=newest().number).update(token=uuid4())
    assert rows(graph_at()) == whole()
