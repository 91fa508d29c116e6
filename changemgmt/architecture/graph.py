"""The architecture as arrays: who touches whom, in compressed rows. Pure; `graphs` keeps one per revision."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from .keys import Draft, Keys
from .rules import RELATION_END
from .trust import ALWAYS, seconds

# (key, layer, type, criticality, users, needs) and (key, type, source, target): an end is a component's key, or `relation:` and the key
# of a relation. Where trust is known, two more: the moments at which the relation was confirmed and refuted, or None.
ComponentRow = tuple[str, str, str, int, int, Mapping[str, int]]
RelationRow = tuple[str, str, str, str] | tuple[str, str, str, str, datetime | None, datetime | None]
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
    """Nodes are components and those relations that other relations end on, in key order; relations are numbered in key order, too.

    Of a node: its layer and type (numbers into `layers` and `types`, -1 for a relation), criticality and users. Of a relation: its
    type, the nodes it ends on, when it was `confirmed` (seconds since 1970) and whether an owner refuted it.

    Every relation is two half-edges, one per direction, so that the rules of the types can change without building the graph anew.
    Those of node i are `start[i]:start[i+1]`; `kind` is twice the number of the relation type, plus 1 for backward. A refuted
    relation has none.
    """

    revision: int
    keys: Keys
    layer: np.ndarray
    type: np.ndarray
    criticality: np.ndarray
    users: np.ndarray
    relation_keys: Keys
    relation_type: np.ndarray
    source: np.ndarray
    target: np.ndarray
    confirmed: np.ndarray
    refuted: np.ndarray
    start: np.ndarray
    to: np.ndarray
    kind: np.ndarray
    relation: np.ndarray
    layers: tuple[str, ...]
    types: tuple[str, ...]
    relation_types: tuple[str, ...]
    needs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.keys)

    def index(self, key: str) -> int | None:
        """The node of this key, if there is one."""
        return self.keys.find(key)

    def relation_numbers(self, keys: Iterable[str]) -> np.ndarray:
        """The numbers of the relations of these keys, in order; those that are not there are left out."""
        found = [number for key in keys if (number := self.relation_keys.find(key)) is not None]
        return np.array(sorted(found), dtype=np.int64)


@dataclass
class Numbered:
    """Names in the order in which they came, by number."""

    names: dict[str, int] = field(default_factory=dict)

    def __call__(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))


def build(revision: int, components: Iterable[ComponentRow], relations: Iterable[RelationRow]) -> Graph:
    """The graph of these rows, in whatever order they come."""
    return assembled(revision, sorted(components, key=lambda row: row[0]), sorted(relations, key=lambda row: row[0]))


def assembled(revision: int, components: Iterable[ComponentRow], relations: Iterable[RelationRow]) -> Graph:
    """The graph of rows that come in key order: each is looked at once, and none is kept."""
    nodes, layers, types = Numbered(), Numbered(), Numbered()
    layer, type_, criticality, users = array("h"), array("h"), array("b"), array("q")
    needs: dict[str, Mapping[str, int]] = {}
    for key, layer_name, type_name, critical, serves, needed in components:
        nodes(key)
        layer.append(layers(layer_name))
        type_.append(types(type_name))
        criticality.append(critical)
        users.append(serves)
        if needed:
            needs[key] = needed
    links, keys, relation_types, confirmed = _read_relations(relations, nodes)
    ended_on = len(nodes.names) - len(layer)
    place = in_order(list(nodes.names), len(layer))
    order = np.argsort(place) if ended_on else None

    def of_nodes(column: array[int], other: int) -> np.ndarray:
        """A column of the components, with `other` for the relations among the nodes."""
        found = np.array(column)
        return found if order is None else np.concatenate((found, np.full(ended_on, other, found.dtype)))[order]

    links = replace(links, source=place[links.source], target=place[links.target])
    node_keys, relation_keys = Keys.of(nodes.names if order is None else sorted(nodes.names)), keys.done()
    return Graph(
        revision,
        node_keys,
        of_nodes(layer, -1),
        of_nodes(type_, -1),
        of_nodes(criticality, 0),
        of_nodes(users, 0),
        relation_keys,
        links.type,
        links.source,
        links.target,
        confirmed,
        links.refuted,
        *half_edges(links, nodes_of_relations(node_keys, of_nodes(layer, -1), relation_keys), len(node_keys)),
        tuple(layers.names),
        tuple(types.names),
        tuple(relation_types.names),
        needs,
    )


def _read_relations(rows: Iterable[RelationRow], nodes: Numbered) -> tuple[Links, Draft, Numbered, np.ndarray]:
    """The columns of the relations, with ends numbered as `nodes` numbers them: relations that are ended on come after the components."""
    keys, types = Draft(), Numbered()
    type_, source, target, confirmed, refuted = array("h"), array("i"), array("i"), array("q"), array("b")
    for key, type_name, one, two, *trust in rows:
        keys.add(key)
        type_.append(types(type_name))
        source.append(_end(nodes, one))
        target.append(_end(nodes, two))
        confirmed.append(seconds(trust[0]) if trust else ALWAYS)
        refuted.append(bool(trust and trust[1]))
    return Links(np.array(type_), np.array(source), np.array(target), np.array(refuted).astype(bool)), keys, types, np.array(confirmed)


def _end(nodes: Numbered, end: str) -> int:
    """The number of an end; a relation gets one when another ends on it."""
    return nodes(end) if end.startswith(RELATION_END) else nodes.names[end]


def in_order(names: Sequence[str], sorted_until: int) -> np.ndarray:
    """Where each name goes in key order; the first so many are in order already."""
    place = np.empty(len(names), np.int32)
    place[np.arange(len(names)) if sorted_until == len(names) else sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return place


def nodes_of_relations(keys: Keys, layer: np.ndarray, relation_keys: Keys) -> np.ndarray:
    """The relations that are nodes: pairs of the number and the node."""
    found = [(relation_keys.find(keys[node].removeprefix(RELATION_END)), node) for node in np.flatnonzero(layer < 0).tolist()]
    return np.array([pair for pair in found if pair[0] is not None], dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class Links:
    """The relations by number: type, nodes they end on, and whether they are refuted."""

    type: np.ndarray
    source: np.ndarray
    target: np.ndarray
    refuted: np.ndarray


def half_edges(links: Links, own: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows of half-edges: start, to, kind, relation. A relation that others end on is passed through: its ends lead to it (`own`), and
    it leads to its ends."""
    live = np.flatnonzero(~links.refuted)
    through, node = (own[~links.refuted[own[:, 0]]]).T
    first = np.concatenate((links.source[live], links.source[through], node)).astype(np.int32)
    second = np.concatenate((links.target[live], node, links.target[through])).astype(np.int32)
    number = np.concatenate((live, through, through)).astype(np.int32)
    origin = np.concatenate((first, second))
    order = np.argsort(origin, kind="stable")
    start = np.zeros(size + 1, dtype=np.int64)
    np.cumsum(np.bincount(origin, minlength=size), out=start[1:])
    to = np.concatenate((second, first))[order]
    kind = (2 * links.type[number]).astype(np.int16)
    return start, to, np.concatenate((kind + FORWARD, kind + BACKWARD)).astype(np.int16)[order], np.concatenate((number, number))[order]
