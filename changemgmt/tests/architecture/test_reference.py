"""The arrays against the plain walk: on thousands of random graphs, on every shipped model, and on the packages of Debian."""

import csv
import lzma
from functools import cache
from random import Random

import pytest

from changemgmt.architecture.graph import Rule, build
from changemgmt.architecture.importers.files import of_path
from changemgmt.architecture.importers.records import FoundComponent, FoundRelation, Options
from changemgmt.architecture.imports import read_records
from changemgmt.architecture.overlay import Bounds
from changemgmt.architecture.propagation import propagate
from changemgmt.architecture.rules import relation_key
from changemgmt.architecture.seed import RELATIONS

from .conftest import DATA, MODELS
from .reference import reached
from .test_propagation import LAYERS, RULES, as_plain

SEEDED = {name: Rule(propagation, weight) for name, (_, propagation, weight) in RELATIONS.items()}
EVERYTHING = Bounds(max_depth=None, min_score=0.0)


def graph_of(layers, links):
    return build(1, [(key, layer, "Thing", 3, 10, {}) for key, layer in layers.items()], [(key, kind, one, two) for key, one, kind, two in links])


def random_estate(random):
    """Up to forty components, up to three times as many relations, some parallel, some on relations, with seeds and bounds."""
    layers = {f"c{number:02}": random.choice(LAYERS) for number in range(random.randint(1, 40))}
    links, ends = [], list(layers)
    for number in range(random.randrange(3 * len(layers))):
        links.append((f"r{number:03}", random.choice(ends), random.choice(list(RULES)), random.choice(ends)))
        if random.random() < 0.15:
            ends.append(f"relation:r{number:03}")
    seeds = {key: random.choice([0.6, 0.8, 0.9, 1.0]) for key in random.sample(sorted(layers), min(len(layers), random.randint(1, 4)))}
    bounds = Bounds(
        max_depth=random.choice([None, 1, 2, 4, 6]),
        min_score=random.choice([0.0001, 0.05, 0.3]),
        layers=random.choice([None, None, frozenset(random.sample(LAYERS, 2))]),
        types=random.choice([None, None, frozenset(random.sample(sorted(RULES), 4))]),
    )
    return layers, links, seeds, bounds


@pytest.mark.parametrize("part", range(4))
def test_thousands_of_random_graphs(part):
    random = Random(part)
    somewhere = 0
    for number in range(750):
        layers, links, seeds, bounds = random_estate(random)
        found = as_plain(propagate(graph_of(layers, links), seeds, rules=RULES, bounds=bounds))
        assert found == reached(layers, links, seeds, RULES, bounds), f"graph {number} of part {part}"
        somewhere += bool(found)
    assert somewhere > 400, "most of them reach something"


@cache
def model(path):
    """Layers and links of a shipped ArchiMate model."""
    records = read_records("archi", of_path(path), Options())
    layers = {one.key: str(one.fields["type"]) for one in records if isinstance(one, FoundComponent)}
    links, ends = [], set(layers)
    waiting = [one for one in records if isinstance(one, FoundRelation)]
    while ready := [one for one in waiting if {one.source, one.target} <= ends]:
        for one in ready:
            key = one.key or relation_key(one.source, one.type, one.target)
            links.append((key, one.source, one.type, one.target))
            ends.add(f"relation:{key}")
        waiting = [one for one in waiting if one not in ready]
    return layers, links


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_every_shipped_model(path):
    layers, links = model(path)
    graph, rules = graph_of(layers, links), dict.fromkeys({link[2] for link in links}, Rule()) | SEEDED
    random = Random(1)
    for _ in range(20):
        seeds = dict.fromkeys(random.sample(sorted(layers), random.randint(1, 3)), 0.8)
        for bounds in (Bounds(), EVERYTHING):
            assert as_plain(propagate(graph, seeds, rules=rules, bounds=bounds)) == reached(layers, links, seeds, rules, bounds)


def table(name):
    with lzma.open(DATA / "dependency-graph-debian" / name, "rt") as file:
        yield from csv.DictReader(file)


def test_the_packages_of_debian():
    layers = {row["name"]: "technology" for row in table("bookworm-nodes.csv.xz")}
    rows = [(row["from"], row["type"], row["to"]) for row in table("bookworm-edges.csv.xz")]
    links = [(f"{place:06}", one, kind, two) for place, (one, kind, two) in enumerate(rows) if one in layers and two in layers]
    assert (len(layers), len(rows), len(links)) == (63_436, 414_671, 317_520)
    graph, rules = graph_of(layers, links), dict.fromkeys({link[2] for link in links}, Rule()) | SEEDED
    found = propagate(graph, {"libc6": 0.8}, rules=rules, bounds=EVERYTHING)
    assert len(found) == 48_665
    assert as_plain(found) == reached(layers, links, {"libc6": 0.8}, rules, EVERYTHING)
