"""The graph as a change would leave it: the base arrays, and a few nodes and half-edges more or less. Pure, and nothing is copied."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .graph import BACKWARD, FORWARD, Graph, Rule
from .trust import ALWAYS, CONFIRMED, trust_at


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the search ends. None means no bound; `layers` are those of components to enter, `types` the relation types to follow.

    Relations confirmed before `confirmed_since` (seconds since 1970) are doubtful; with None all count as confirmed.
    """

    max_depth: int | None = 6
    min_score: float = 0.05
    layers: frozenset[str] | None = None
    types: frozenset[str] | None = None
    confirmed_since: int | None = None

    def widened(self, max_depth: int | None = None, min_score: float | None = None) -> Bounds:
        """The same, or further: never less far than these."""
        depth = None if self.max_depth is None else max(self.max_depth, max_depth or 0)
        return replace(self, max_depth=depth, min_score=min(self.min_score, self.min_score if min_score is None else min_score))


@dataclass(frozen=True, slots=True)
class Link:
    """A relation that is not in the graph. Ends are node keys. `node`: others end on it, so it is a node itself.

    `only_node`: the relation is in the graph already, just not as a node; then `confirmed` (seconds since 1970) and `refuted` say how
    far it can be relied upon.
    """

    key: str
    source: str
    type: str
    target: str
    node: bool = False
    only_node: bool = False
    confirmed: int = ALWAYS
    refuted: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A component that is not in the graph."""

    key: str
    layer: str
    type: str
    criticality: int = 3
    users: int = 0
    needs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overlay:
    """How the graph differs once the change is done. Nothing is copied: the search looks at both."""

    removed_components: frozenset[str] = frozenset()
    removed_relations: frozenset[str] = frozenset()
    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()


# Place of the origin in what was asked for, target, kind, number of the relation.
HalfEdges = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
NOTHING = Overlay()
DEFAULT_BOUNDS = Bounds()


class View:
    """The graph with an overlay: the base arrays, and a few nodes and half-edges more, numbered after those of the graph."""

    def __init__(self, graph: Graph, rules: Mapping[str, Rule], overlay: Overlay = NOTHING, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self.graph, self.overlay = graph, overlay
        extra = [(node.key, node) for node in overlay.nodes] + [
            (f"relation:{link.key}", None) for link in overlay.links if link.node or link.only_node
        ]
        self.extra = dict(extra)
        self.places = {key: graph.size + place for place, key in enumerate(self.extra)}
        self.extra_keys = tuple(self.extra)
        self.size = graph.size + len(self.places)
        self.relation_types = [*graph.relation_types, *sorted({link.type for link in overlay.links} - set(graph.relation_types))]
        self.kinds = {name: place for place, name in enumerate(self.relation_types)}
        self.weights = np.array([_weight(rules, bounds, name, direction) for name in self.relation_types for direction in (FORWARD, BACKWARD)])
        self.layers = [*graph.layers, *sorted({node.layer for node in overlay.nodes} - set(graph.layers))]
        self.allowed = self._allowed(rules)
        self.entered = None if bounds.layers is None else np.array([name in bounds.layers for name in self.layers] + [True])
        self.removed = graph.relation_numbers(overlay.removed_relations) if overlay.removed_relations else None
        self.extra_source, self.extra_to, self.extra_kind, self.extra_link = self._half_edges()
        self.since = bounds.confirmed_since
        self.link_confirmed = np.array([link.confirmed for link in overlay.links], dtype=np.int64)

    def confirmed(self, number: np.ndarray) -> np.ndarray:
        """When these relations were confirmed: those of the graph, and after them those of the overlay."""
        further = number - len(self.graph.relation_keys)
        if not len(self.link_confirmed):
            return self.graph.confirmed[number]
        base = self.graph.confirmed[np.minimum(number, len(self.graph.relation_keys) - 1)] if len(self.graph.relation_keys) else number
        return np.where(further < 0, base, self.link_confirmed[np.maximum(further, 0)])

    def doubtful(self, number: np.ndarray) -> np.ndarray:
        """Which of these relations are stale or unconfirmed."""
        return np.zeros(len(number), bool) if self.since is None else self.confirmed(number) < self.since

    def trust(self, number: int) -> str:
        """The trust of a relation by its number; what the change itself makes is confirmed by it."""
        if self.since is None or number < 0:
            return CONFIRMED
        return trust_at(int(self.confirmed(np.array([number]))[0]), self.since)

    def relation_key(self, number: int) -> str:
        """The key of a relation by its number."""
        further = number - len(self.graph.relation_keys)
        return self.graph.relation_keys[number] if further < 0 else self.overlay.links[further].key

    def _allowed(self, rules: Mapping[str, Rule]) -> np.ndarray | None:
        """Per relation type, which layers it conducts between; the last column is for nodes without a layer."""
        limits = [rules.get(name, Rule()).layers for name in self.relation_types]
        if not any(limits):
            return None
        return np.array([[not limit or name in limit for name in self.layers] + [True] for limit in limits])

    def _half_edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        edges = []
        for number, link in enumerate(self.overlay.links):
            if link.refuted:
                continue
            one, two, own = self.place(link.source), self.place(link.target), self.places.get(f"relation:{link.key}")
            pairs = [] if link.only_node else [(one, two)]
            pairs += [(one, own), (own, two)] if own is not None else []
            for first, second in pairs:
                if first is not None and second is not None:
                    kind = 2 * self.kinds[link.type]
                    edges += [(first, second, kind + FORWARD, number), (second, first, kind + BACKWARD, number)]
        table = np.array(sorted(edges), dtype=np.int64).reshape(-1, 4)
        return table[:, 0], table[:, 1], table[:, 2], table[:, 3]

    def place(self, key: str) -> int | None:
        """The node of this key."""
        found = self.graph.index(key)
        return self.places.get(key) if found is None else found

    def key(self, place: int) -> str:
        return self.graph.keys[place] if place < self.graph.size else self.extra_keys[place - self.graph.size]

    def layer_of(self, places: np.ndarray) -> np.ndarray:
        """Numbers of the layers, -1 for relations."""
        found = self.graph.layer[np.minimum(places, self.graph.size - 1)] if self.graph.size else np.full(len(places), -1)
        for spot in np.flatnonzero(places >= self.graph.size):
            node = self.extra[self.extra_keys[places[spot] - self.graph.size]]
            found[spot] = self.layers.index(node.layer) if node else -1
        return found

    def weight_of(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Criticality and users."""
        base = places[places < self.graph.size]
        criticality, users = np.zeros(len(places), np.int64), np.zeros(len(places), np.int64)
        criticality[: len(base)], users[: len(base)] = self.graph.criticality[base], self.graph.users[base]
        for spot in range(len(base), len(places)):
            node = self.extra[self.key(int(places[spot]))]
            criticality[spot], users[spot] = (node.criticality, node.users) if node else (0, 0)
        return criticality, users

    def order(self, places: np.ndarray) -> np.ndarray:
        """Numbers that sort nodes as their keys do."""
        if not self.places:
            return places
        ranks = self._extra_ranks()
        return np.where(places < self.graph.size, places, ranks[np.maximum(places - self.graph.size, 0)])

    def _extra_ranks(self) -> np.ndarray:
        spots = [(bisect_left(self.graph.keys, key), key) for key in self.extra_keys]
        step = 1 / (len(spots) + 1)
        inner = {pair: place for place, pair in enumerate(sorted(spots))}
        return np.array([spot - 1 + (inner[spot, key] + 1) * step for spot, key in spots])

    def out(self, places: np.ndarray) -> HalfEdges:
        """All half-edges that conduct from these (sorted) nodes: place in `places`, target, kind, number of the relation."""
        base = places[: np.searchsorted(places, self.graph.size)]
        first, last = self.graph.start[base], self.graph.start[base + 1]
        counts = last - first
        origin = np.repeat(np.arange(len(base)), counts)
        edges = np.arange(len(origin)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
        kind = self.graph.kind[edges]
        keep = self.weights[kind] > 0 if len(self.weights) else np.zeros(len(kind), bool)
        if self.removed is not None:
            keep &= ~np.isin(self.graph.relation[edges], self.removed)
        origin, edges = origin[keep], edges[keep]
        parts = origin, self.graph.to[edges].astype(np.int64), self.graph.kind[edges], self.graph.relation[edges]
        return self._with_extra(places, parts) if len(self.extra_source) and len(places) else parts

    def _with_extra(self, places: np.ndarray, parts: HalfEdges) -> HalfEdges:
        spot = np.minimum(np.searchsorted(places, self.extra_source), len(places) - 1)
        keep = (places[spot] == self.extra_source) & (self.weights[self.extra_kind] > 0)
        number = self.extra_link + len(self.graph.relation_keys)
        extra = spot[keep], self.extra_to[keep], self.extra_kind[keep], number[keep]
        one, two, three, four = (np.concatenate(pair) for pair in zip(parts, extra, strict=True))
        return one, two, three, four

    def passable(self, source: np.ndarray, target: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """Which half-edges the layers let through."""
        keep = np.ones(len(target), bool)
        if self.entered is not None:
            keep &= self.entered[self.layer_of(target)]
        if self.allowed is not None:
            keep &= self.allowed[kind >> 1, self.layer_of(source)] & self.allowed[kind >> 1, self.layer_of(target)]
        return keep


def _weight(rules: Mapping[str, Rule], bounds: Bounds, name: str, direction: int) -> float:
    rule = rules.get(name, Rule())
    followed = bounds.types is None or name in bounds.types
    return rule.weight if followed and rule.conducts(direction) else 0.0
