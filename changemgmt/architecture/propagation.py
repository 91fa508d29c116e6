"""What a change reaches: a best-product search from several seeds over the graph, as NumPy arrays. Pure.

Level by level (a level is one relation), every node keeps the best product of weights found so far. A node that improves at a
level is followed further at the next. Equal products keep the shorter path, equal lengths the path whose keys come first.

Where some relations are doubtful, a first search follows the confirmed ones only, and a second one all: what only the second
reaches is not sure, and carries the trust of the worst relation on its path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .graph import BACKWARD, FORWARD, Graph, Rule
from .overlay import DEFAULT_BOUNDS, NOTHING, Bounds, HalfEdges, Overlay, View
from .trust import CONFIRMED, WORST

DIRECTIONS = ("forward", "backward")
# Products that differ by less than this, relatively, are equal: floats multiplied in another order are not another score.
GRAIN = 1e9
CLEARLY = 1 + 2e-9


@dataclass(frozen=True, slots=True)
class EdgeSeed:
    """A relation that is itself changed: it conducts with this severity, starting at the end it conducts from."""

    source: str
    type: str
    target: str
    severity: float
    key: str | None = None
    """Its own key, where it is in the graph."""


@dataclass(frozen=True, slots=True)
class Reached:
    """One component a change reaches, and the path that explains it: its first entry has only a key."""

    key: str
    layer: str
    type: str
    criticality: int
    users: int
    distance: int
    score: float
    effect: str
    path: tuple[dict[str, Any], ...]
    trust: str = CONFIRMED


@dataclass
class Found:
    """The outcome of one search. Each improvement of a node is an entry; a node's last entry is its best.

    `sure`: only confirmed relations were followed. `complete`: none was left out for that.
    """

    view: View
    score: np.ndarray
    entry: np.ndarray
    node: np.ndarray
    parent: np.ndarray
    kind: np.ndarray
    level: np.ndarray
    relation: np.ndarray
    sure: bool
    complete: bool

    def reached(self) -> np.ndarray:
        """The nodes that were reached over at least one relation or are seeds, in number order."""
        return np.unique(self.node[1:])

    def distance(self, places: np.ndarray) -> np.ndarray:
        return self.level[self.entry[places]]

    def path(self, place: int) -> tuple[dict[str, Any], ...]:
        """The best path to a node, as the API writes it. Steps over doubtful relations say so, with the relation's key."""
        steps: list[dict[str, Any]] = []
        entry = int(self.entry[place])
        while True:
            key, kind, parent = self.view.key(int(self.node[entry])), int(self.kind[entry]), int(self.parent[entry])
            if kind < 0:
                return ({"key": key}, *reversed(steps))
            step = {"relation": self.view.relation_types[kind >> 1], "direction": DIRECTIONS[kind & 1], "key": key}
            steps.append(step if self.sure else step | self._doubt(int(self.relation[entry])))
            entry = parent

    def _doubt(self, number: int) -> dict[str, Any]:
        trust = self.view.trust(number)
        return {} if trust == CONFIRMED else {"trust": trust, "relation_key": self.view.relation_key(number)}


class _Search:
    """One run over a view. Entry 0 is nobody's."""

    def __init__(self, view: View, bounds: Bounds, sure: bool) -> None:
        self.view, self.bounds, self.sure, self.complete = view, bounds, sure, True
        self.score = np.zeros(view.size)
        self.entry = np.zeros(view.size, dtype=np.int64)
        self.nodes, self.parents, self.kinds, self.levels = [np.array([-1])], [np.array([0])], [np.array([-1])], [np.array([0])]
        self.relations = [np.array([-1])]
        self.entries = 1

    def note(self, nodes: np.ndarray, parents: np.ndarray, kinds: np.ndarray, level: int, relations: np.ndarray | None = None) -> np.ndarray:
        """Append entries; answers their numbers."""
        self.nodes.append(nodes)
        self.parents.append(parents)
        self.kinds.append(kinds)
        self.levels.append(np.full(len(nodes), level))
        self.relations.append(np.full(len(nodes), -1) if relations is None else relations)
        self.entries += len(nodes)
        return np.arange(self.entries - len(nodes), self.entries)

    def run(self, seeds: Mapping[int, float], edges: Sequence[tuple[int, int, int, float, int]]) -> Found:
        """`seeds`: severity by node; `edges`: (from, to, kind, severity, number) of changed relations, in the direction they conduct."""
        places = np.array(sorted(seeds), dtype=np.int64)
        self.score[places] = [seeds[place] for place in places]
        self.entry[places] = self.note(places, np.zeros(len(places), np.int64), np.full(len(places), -1), 0)
        front, rank = places, self.view.order(places)
        level, starts = 0, self._starts(edges)
        while (len(front) or starts is not None) and (self.bounds.max_depth is None or level < self.bounds.max_depth):
            level += 1
            front, rank = self.step(front, rank, level, starts)
            starts = None
        return Found(
            self.view,
            self.score,
            self.entry,
            np.concatenate(self.nodes),
            np.concatenate(self.parents),
            np.concatenate(self.kinds),
            np.concatenate(self.levels),
            np.concatenate(self.relations),
            self.sure,
            self.complete,
        )

    def _starts(self, edges: Sequence[tuple[int, int, int, float, int]]) -> tuple[np.ndarray, ...] | None:
        """Changed relations as candidates of the first level. Their origin gets an entry of its own, which reaches nothing else."""
        if self.sure:
            everything, edges = edges, [edge for edge in edges if self.view.trust(edge[4]) == CONFIRMED]
            self.complete &= len(edges) == len(everything)
        if not edges:
            return None
        origin, target, kind = (np.array([edge[column] for edge in edges], dtype=np.int64) for column in range(3))
        parents = self.note(origin, np.zeros(len(origin), np.int64), np.full(len(origin), -1), 0)
        product = np.array([edge[3] for edge in edges]) * self.view.weights[kind]
        return target, product, parents, self.view.order(origin), kind, np.array([edge[4] for edge in edges]), origin

    def step(self, front: np.ndarray, rank: np.ndarray, level: int, starts: tuple[np.ndarray, ...] | None) -> tuple[np.ndarray, np.ndarray]:
        """Follow every relation of the front once; answers the nodes that improved (sorted) and the order of their paths."""
        origin, target, kind, number = self._followed(front)
        product = self.score[front][origin] * self.view.weights[kind] if len(kind) else np.zeros(0)
        candidates: tuple[np.ndarray, ...] = (target, product, self.entry[front][origin], rank[origin], kind, number, front[origin])
        if starts is not None:
            candidates = tuple(np.concatenate(pair) for pair in zip(candidates, starts, strict=True))
        target, product, parent, order, kind, number, source = candidates
        keep = (product >= self.bounds.min_score / CLEARLY) & (product > self.score[target] * CLEARLY)
        keep &= self.view.passable(source, target, kind)
        target, product, parent, order, kind, number = (part[keep] for part in candidates[:6])
        if not len(target):
            return target, order
        best = _best(target, product, order, number)
        target, product, order = target[best], product[best], order[best]
        self.score[target] = product
        self.entry[target] = self.note(target, parent[best], kind[best], level, number[best])
        place = np.empty(len(target))
        place[np.lexsort((self.view.order(target), order))] = np.arange(len(target))
        return target, place

    def _followed(self, front: np.ndarray) -> HalfEdges:
        """The half-edges that lead on from the front; only those over confirmed relations, where the search is to be sure."""
        parts = self.view.out(front)
        doubt = self.view.doubtful(parts[3]) if self.sure else None
        if doubt is None or not doubt.any():
            return parts
        self.complete = False
        origin, target, kind, number = (part[~doubt] for part in parts)
        return origin, target, kind, number


def _best(target: np.ndarray, product: np.ndarray, order: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Per target the candidate of the greatest product, then of the first path, then of the first relation."""
    grains = np.rint(np.log(product) * -GRAIN).astype(np.int64)
    sort = np.lexsort((number, order, grains, target))
    ordered = target[sort]
    first = np.ones(len(sort), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return sort[first]


def search(view: View, seeds: Mapping[str, float], edges: Sequence[EdgeSeed] = (), *, bounds: Bounds, sure: bool = True) -> Found:
    """Everything reached in one view over confirmed relations, or over all. Seeds that are not there are left out."""
    places = {place: severity for key, severity in seeds.items() if (place := view.place(key)) is not None}
    return _Search(view, bounds, sure).run(places, list(_directed(view, edges)))


def searches(view: View, seeds: Mapping[str, float], edges: Sequence[EdgeSeed] = (), *, bounds: Bounds) -> list[Found]:
    """What is reached over confirmed relations, and what is reached over all of them; one search where it met no others."""
    found = search(view, seeds, edges, bounds=bounds)
    return [found] if found.complete else [found, search(view, seeds, edges, bounds=bounds, sure=False)]


def _directed(view: View, edges: Sequence[EdgeSeed]) -> Iterator[tuple[int, int, int, float, int]]:
    """Each changed relation, once per direction it conducts in."""
    for edge in edges:
        one, two, kind = view.place(edge.source), view.place(edge.target), view.kinds.get(edge.type)
        if one is None or two is None or kind is None:
            continue
        known = view.graph.relation_keys.find(edge.key) if edge.key is not None else None
        number = -1 if known is None else known
        for direction, first, second in ((FORWARD, one, two), (BACKWARD, two, one)):
            if view.weights[2 * kind + direction] > 0:
                yield first, second, 2 * kind + direction, edge.severity, number


class Reach(Sequence[Reached]):
    """What is reached, strongest first, without the seeds; after what is sure, what is not. Entries are made when they are looked at."""

    def __init__(self, found: Sequence[Found], places: np.ndarray, which: np.ndarray, effects: Mapping[str, str]) -> None:
        self._found, self._places, self._which, self._effects = found, places, which, effects

    @property
    def sure(self) -> int:
        """How many are reached over confirmed relations: the first so many of the list."""
        return int(np.isin(self._which, [number for number, part in enumerate(self._found) if part.sure]).sum())

    def by_layer(self) -> dict[str, int]:
        """How many are reached over confirmed relations in each layer."""
        if not self._found:
            return {}
        view = self._found[-1].view
        numbers, counts = np.unique(view.layer_of(self._places[: self.sure]), return_counts=True)
        return {view.layers[number]: int(count) for number, count in zip(numbers, counts, strict=True)}

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        found, place = self._found[int(self._which[at])], int(self._places[at])
        view = found.view
        node, base = None, view.graph
        if place >= base.size:
            node = view.extra[view.key(place)]
        key, path = view.key(place), found.path(place)
        return Reached(
            key=key,
            layer=node.layer if node else base.layers[base.layer[place]],
            type=node.type if node else base.types[base.type[place]],
            criticality=node.criticality if node else int(base.criticality[place]),
            users=node.users if node else int(base.users[place]),
            distance=int(found.level[found.entry[place]]),
            score=round(float(found.score[place]), 9),
            effect=self._effects.get(key, "touched"),
            path=path,
            trust=max((step.get("trust", CONFIRMED) for step in path), key=WORST.__getitem__),
        )


def propagate(
    graph: Graph,
    seeds: Mapping[str, float],
    *,
    rules: Mapping[str, Rule],
    bounds: Bounds = DEFAULT_BOUNDS,
    edges: Sequence[EdgeSeed] = (),
    removed: frozenset[str] = frozenset(),
) -> Reach:
    """What is reached from `seeds` (severity by key) in the graph as it is; `removed` are the seeds that are deleted."""
    from .effects import effects

    view = View(graph, rules, NOTHING, bounds)
    after = Overlay(removed_components=removed)
    return ranked(searches(view, seeds, edges, bounds=bounds), frozenset(seeds), effects(graph, rules, after))


def ranked(found: Sequence[Found], seeds: frozenset[str], effects: Mapping[str, str]) -> Reach:
    """The results of the searches (old graph, new graph, each sure and not) as one list: per component the better path, strongest first.

    A path over confirmed relations is better than any other.
    """
    if not found:
        return Reach([], np.zeros(0, np.int64), np.zeros(0, np.int64), effects)
    found = sorted(found, key=lambda part: not part.sure)
    places, which = _better(found)
    view, base = found[-1].view, found[-1].view.graph
    own = {place for key in seeds if (place := view.place(key)) is not None}
    keep = np.array([_is_component(view, place) for place in places.tolist()], bool) if view.places else base.layer[places] >= 0
    keep &= ~np.isin(places, np.fromiter(own, dtype=np.int64))
    places, which = places[keep], which[keep]
    score = np.empty(len(places))
    for number, part in enumerate(found):
        mine = which == number
        score[mine] = part.score[places[mine]]
    criticality, users = view.weight_of(places)
    unsure = np.array([not part.sure for part in found])[which]
    order = np.lexsort((view.order(places), -users, -criticality, np.rint(-np.log(score) * GRAIN), unsure))
    return Reach(found, places[order], which[order], effects)


def _is_component(view: View, place: int) -> bool:
    return bool(view.graph.layer[place] >= 0) if place < view.graph.size else view.extra[view.key(place)] is not None


def _better(found: Sequence[Found]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes with an arriving path, and which of the searches found the better one: a sure one, then greater score, then shorter, then the first."""
    lists = [part.reached() for part in found]
    lists = [part[found[number].entry[part] > 0] for number, part in enumerate(lists)]
    places = np.unique(np.concatenate(lists))
    which = np.zeros(len(places), np.int64)
    best = np.full(len(places), np.inf)
    length = np.full(len(places), np.iinfo(np.int64).max)
    settled = np.zeros(len(places), bool)
    for number, part in enumerate(found):
        if not part.sure and found[number - 1].sure:
            settled = np.isfinite(best)
        there = places < part.view.size
        there[there] = part.entry[places[there]] > 0
        grains, levels = np.full(len(places), np.inf), np.full(len(places), np.iinfo(np.int64).max)
        grains[there] = np.rint(-np.log(part.score[places[there]]) * GRAIN)
        levels[there] = part.distance(places[there])
        better = ((grains < best) | ((grains == best) & (levels < length))) & ~settled
        which[better], best[better], length[better] = number, grains[better], levels[better]
    return places, which
