"""The graph of a later revision, from that of an earlier one and the rows that were touched since. Pure.

What nobody touched is neither read nor built again: an array that stays as it is is the very same object, so that `graphs` can keep
its file, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .graph import ComponentRow, Graph, Links, Numbered, RelationRow, half_edges, nodes_of_relations
from .keys import Keys
from .rules import RELATION_END
from .trust import ALWAYS, seconds


@dataclass(frozen=True)
class Splice:
    """How a table in key order changes: places that go, keys that come, and where the others are afterwards (-1: gone)."""

    drop: np.ndarray
    spots: np.ndarray
    moved: np.ndarray | None
    keys: Keys

    @classmethod
    def of(cls, keys: Keys, gone: Iterable[str], new: Iterable[str]) -> Splice:
        drop = np.array(sorted(place for key in gone if (place := keys.find(key)) is not None), dtype=np.int64)
        added = sorted(key for key in new if keys.find(key) is None)
        kept = keys.without(drop)
        spots = kept.spots(added)
        if not len(drop) and not added:
            return cls(drop, spots, None, keys)
        stay = np.delete(np.arange(len(keys)), drop)
        moved = np.full(len(keys), -1, np.int32)
        moved[stay] = np.arange(len(stay)) + np.searchsorted(spots, np.arange(len(stay)), side="right")
        return cls(drop, spots, moved, kept.joined(added))

    def column(self, old: np.ndarray, values: Mapping[int, Any]) -> np.ndarray:
        """A column of the table afterwards; `values` by place afterwards: of all that came, and of those that are written anew."""
        if self.moved is not None:
            old = np.insert(np.delete(old, self.drop), self.spots, 0)
        places = [place for place, value in values.items() if self.moved is not None or old[place] != value]
        if places:
            old = old if self.moved is not None else old.copy()
            old[places] = [values[place] for place in places]
        return old

    def carried(self, places: np.ndarray) -> np.ndarray:
        """A column of another table that holds places of this one, with these as they are afterwards."""
        return places if self.moved is None or not len(places) else self.moved[places]


def revised(graph: Graph, revision: int, touched: Iterable[str], components: Iterable[ComponentRow], relations: Iterable[RelationRow]) -> Graph:
    """The graph after `touched` (keys of components and relations) were written: `components` and `relations` are those of them that are
    there now."""
    wanted = set(touched)
    parts, links = {row[0]: row for row in components}, {row[0]: row for row in relations}
    ended_on = {end for row in links.values() for end in row[2:4] if end.startswith(RELATION_END)}
    lost = {f"{RELATION_END}{key}" for key in wanted - set(links)}
    nodes = Splice.of(graph.keys, (wanted - set(parts)) | lost, [*parts, *ended_on])
    numbers = Splice.of(graph.relation_keys, wanted - set(links), links)
    found = _with_components(replace(graph, revision=revision, keys=nodes.keys), nodes, parts, ended_on)
    found = replace(found, needs=_needs(graph.needs, wanted, parts))
    return _with_relations(found, graph, nodes, numbers, list(links.values()))


def _needs(old: Mapping[str, Mapping[str, int]], wanted: set[str], parts: Mapping[str, ComponentRow]) -> Mapping[str, Mapping[str, int]]:
    said = {key: row[5] for key, row in parts.items() if row[5]}
    return {key: needed for key, needed in old.items() if key not in wanted} | said if said or not wanted.isdisjoint(old) else old


def _numbered(names: Sequence[str], new: Iterable[str]) -> Numbered:
    """The names there are by number, and the new ones after them."""
    found = Numbered({name: number for number, name in enumerate(names)})
    for name in sorted(new):
        found(name)
    return found


def _with_components(graph: Graph, nodes: Splice, parts: Mapping[str, ComponentRow], ended_on: Iterable[str]) -> Graph:
    layers, types = _numbered(graph.layers, (row[1] for row in parts.values())), _numbered(graph.types, (row[2] for row in parts.values()))
    rows = [(nodes.keys.spot(key), layers(row[1]), types(row[2]), row[3], row[4]) for key, row in parts.items()]
    rows += [(nodes.keys.spot(end), -1, -1, 0, 0) for end in ended_on]
    return replace(
        graph,
        layer=nodes.column(graph.layer, {row[0]: row[1] for row in rows}),
        type=nodes.column(graph.type, {row[0]: row[2] for row in rows}),
        criticality=nodes.column(graph.criticality, {row[0]: row[3] for row in rows}),
        users=nodes.column(graph.users, {row[0]: row[4] for row in rows}),
        layers=tuple(layers.names),
        types=tuple(types.names),
    )


def _with_relations(found: Graph, old: Graph, nodes: Splice, numbers: Splice, rows: Sequence[RelationRow]) -> Graph:
    """`found` with the relations, and with its half-edges where they are others."""
    types = _numbered(found.relation_types, (row[1] for row in rows))
    spots = [numbers.keys.spot(row[0]) for row in rows]

    def column(array: np.ndarray, values: Iterable[Any]) -> np.ndarray:
        return numbers.column(array, dict(zip(spots, values, strict=True)))

    links = Links(
        column(old.relation_type, (types(row[1]) for row in rows)),
        column(nodes.carried(old.source), (nodes.keys.spot(row[2]) for row in rows)),
        column(nodes.carried(old.target), (nodes.keys.spot(row[3]) for row in rows)),
        column(old.refuted, (bool(len(row) > 4 and row[5]) for row in rows)),
    )
    found = replace(
        found,
        relation_keys=numbers.keys,
        relation_type=links.type,
        source=links.source,
        target=links.target,
        refuted=links.refuted,
        confirmed=column(old.confirmed, (seconds(row[4]) if len(row) > 4 else ALWAYS for row in rows)),
        relation_types=tuple(types.names),
    )
    same = nodes.moved is None and links.type is old.relation_type and links.source is old.source
    if same and links.target is old.target and links.refuted is old.refuted:
        return found
    own = nodes_of_relations(found.keys, found.layer, found.relation_keys)
    start, to, kind, relation = half_edges(links, own, found.size)
    return replace(found, start=start, to=to, kind=kind, relation=relation)
