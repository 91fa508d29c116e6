"""The architecture as arrays: who touches whom, in compressed rows, one graph per revision and process."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from .models import Component, Relation, RelationType, Revision
from .queries import confirmed, images_at
from .rules import COMPONENT, RELATION, RELATION_END
from .trust import ALWAYS, seconds

# (id, key, layer, type, criticality, users, needs) and (id, key, type, source, source relation, target, target relation): ids or None.
# Where trust is known, two more: the moments at which the relation was confirmed and refuted, or None.
ComponentRow = tuple[int, str, str, str, int, int, Mapping[str, int]]
RelationRow = (
    tuple[int, str, str, int | None, int | None, int | None, int | None]
    | tuple[int, str, str, int | None, int | None, int | None, int | None, datetime | None, datetime | None]
)
FORWARD, BACKWARD = 0, 1


@dataclass(frozen=True, slots=True)
class Rule:
    """How a relation type conducts: none, forward, backward or both, how strongly, and between which layers (empty: all)."""

    propagation: str = "none"
    weight: float = 1.0
    layers: frozenset[str] = frozenset()

    def conducts(self, direction: int) -> bool:
        return self.propagation == "both" or self.propagation == ("forward", "backward")[direction]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes are components and those relations that other relations end on, in key order. Every relation is two half-edges:
    one per direction, so that the rules of the types can change without building the graph anew.

    Half-edges of node i are `start[i]:start[i+1]`; `kind` is twice the number of the relation type, plus 1 for backward.
    A refuted relation has none. `confirmed` is, by number of the relation, when that was: seconds since 1970.
    """

    revision: int
    keys: Sequence[str]
    is_component: np.ndarray
    layer: np.ndarray
    type: np.ndarray
    criticality: np.ndarray
    users: np.ndarray
    layers: tuple[str, ...]
    types: tuple[str, ...]
    relation_types: tuple[str, ...]
    start: np.ndarray
    to: np.ndarray
    kind: np.ndarray
    relation: np.ndarray
    relation_ids: np.ndarray
    confirmed: np.ndarray
    needs: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.keys)

    def index(self, key: str) -> int | None:
        """The node of this key, if there is one."""
        place = bisect_left(self.keys, key)
        return place if place < len(self.keys) and self.keys[place] == key else None

    def relation_numbers(self, ids: Iterable[int]) -> np.ndarray:
        """The numbers of relations (their place in key order) by database id."""
        return np.flatnonzero(np.isin(self.relation_ids, np.fromiter(ids, dtype=np.int64)))


def build(revision: int, components: Iterable[ComponentRow], relations: Iterable[RelationRow]) -> Graph:
    """The graph of these rows. Pure; the order of the rows does not matter."""
    parts = sorted(components, key=lambda row: row[1])
    links = sorted(relations, key=lambda row: row[1])
    ended_on = {row[4] for row in links} | {row[6] for row in links}
    ended_on.discard(None)
    nodes: list[tuple[str, Any]] = [(row[1], row) for row in parts]
    if ended_on:
        nodes = sorted(nodes + [(RELATION_END + row[1], row[0]) for row in links if row[0] in ended_on], key=lambda node: node[0])
    places = {(RELATION, node[1]) if isinstance(node[1], int) else (COMPONENT, node[1][0]): place for place, node in enumerate(nodes)}
    layers, types = _names(row[2] for row in parts), _names(row[3] for row in parts)
    kinds = _names(row[2] for row in links)
    columns = _columns(nodes, {name: place for place, name in enumerate(layers)}, {name: place for place, name in enumerate(types)})
    start, to, kind, relation = _half_edges(links, places, {name: place for place, name in enumerate(kinds)}, len(nodes))
    return Graph(
        revision,
        [key for key, _ in nodes],
        **columns,
        layers=layers,
        types=types,
        relation_types=kinds,
        start=start,
        to=to,
        kind=kind,
        relation=relation,
        relation_ids=np.fromiter((row[0] for row in links), dtype=np.int64, count=len(links)),
        confirmed=np.fromiter((confirmed_of(row) for row in links), dtype=np.int64, count=len(links)),
        needs={place: row[6] for place, (_, row) in enumerate(nodes) if not isinstance(row, int) and row[6]},
    )


def confirmed_of(row: Sequence[Any]) -> int:
    """When the relation of a row was confirmed; ALWAYS where the row does not know."""
    return seconds(row[7]) if len(row) == 9 else ALWAYS


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _columns(nodes: list[tuple[str, Any]], layers: dict[str, int], types: dict[str, int]) -> dict[str, np.ndarray]:
    """What is known of each node; a relation has no layer (-1), type or users."""
    rows = [None if isinstance(row, int) else row for _, row in nodes]

    def column(value: Any, other: int, dtype: Any) -> np.ndarray:
        return np.fromiter((value(row) if row else other for row in rows), dtype=dtype, count=len(rows))

    return {
        "is_component": column(lambda row: True, False, np.bool_),
        "layer": column(lambda row: layers[row[2]], -1, np.int16),
        "type": column(lambda row: types[row[3]], -1, np.int16),
        "criticality": column(lambda row: row[4], 0, np.int8),
        "users": column(lambda row: row[5], 0, np.int64),
    }


def _half_edges(
    links: list[RelationRow], places: dict[tuple[str, int], int], kinds: dict[str, int], size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of half-edges. A relation others end on is passed through: its ends lead to it, and it leads to its ends."""
    sources: list[int] = []
    targets: list[int] = []
    kind: list[int] = []
    number: list[int] = []
    for place, (pk, _, name, source, source_relation, target, target_relation, *trust) in enumerate(links):
        if trust and trust[1] is not None:
            continue
        one = places[COMPONENT, source] if source is not None else places[RELATION, source_relation or 0]
        two = places[COMPONENT, target] if target is not None else places[RELATION, target_relation or 0]
        own = places.get((RELATION, pk))
        for first, second in [(one, two)] if own is None else [(one, two), (one, own), (own, two)]:
            sources += (first, second)
            targets += (second, first)
            kind += (2 * kinds[name] + FORWARD, 2 * kinds[name] + BACKWARD)
            number += (place, place)
    origin = np.array(sources, dtype=np.int64)
    order = np.argsort(origin, kind="stable")
    start = np.zeros(size + 1, dtype=np.int64)
    np.cumsum(np.bincount(origin, minlength=size), out=start[1:])
    return start, np.array(targets, np.int32)[order], np.array(kind, np.int16)[order], np.array(number, np.int32)[order]


# The graph of the live architecture, kept per process: a revision never changes, so neither does its graph.

_kept: dict[str, Graph] = {}
_building = threading.Lock()


def graph_at(revision: int | None = None) -> Graph:
    """The graph of a revision (None: the live one). The live one is kept until the next revision."""
    live, token = Revision.objects.order_by("-number").values_list("number", "token").first() or (0, "")
    if revision is not None and revision != live:
        return _from_history(revision)
    with _building:
        if str(token) not in _kept or not token:
            graph = _from_live(live)
            _kept.clear()
            _kept[str(token)] = graph
        return _kept[str(token)]


def _from_live(revision: int) -> Graph:
    components = Component.objects.order_by().values_list("pk", "key", "layer__name", "type__name", "criticality", "users", "needs")
    ends = ("source", "source_relation", "target", "target_relation")
    relations = Relation.objects.order_by().values_list("pk", "key", "type__name", *ends, "confirmed_at", "refuted_at")
    return build(revision, components.iterator(5000), relations.iterator(5000))


def _from_history(revision: int) -> Graph:
    """The same from the images of back then; ids are made up, since what was deleted has none any more."""
    parts, links = images_at(COMPONENT, revision), images_at(RELATION, revision)
    ids = {(COMPONENT, key): place for place, key in enumerate(parts)} | {(RELATION, key): place for place, key in enumerate(links)}

    def end(text: str) -> tuple[int | None, int | None]:
        if text.startswith(RELATION_END):
            return None, ids[RELATION, text.removeprefix(RELATION_END)]
        return ids[COMPONENT, text], None

    return build(
        revision,
        [(ids[COMPONENT, key], key, row["layer"], row["type"], row["criticality"], row["users"], row["needs"]) for key, row in parts.items()],
        [
            (ids[RELATION, key], key, row["type"], *end(row["source"]), *end(row["target"]), confirmed(row["confirmed_at"]), row.get("refuted_at"))
            for key, row in links.items()
        ],
    )


def current_rules() -> dict[str, Rule]:
    """How each relation type conducts now, by name."""
    types = RelationType.objects.prefetch_related("layers")
    return {row.name: Rule(row.propagation, row.weight, frozenset(layer.name for layer in row.layers.all())) for row in types}
