"""How hard it hits: is a component down, degraded or just touched, given how many supporters it needs. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

import numpy as np

from .graph import BACKWARD, FORWARD, Graph, Rule
from .overlay import Overlay, View

DOWN, DEGRADED = "down", "degraded"


def effects(graph: Graph, rules: Mapping[str, Rule], overlay: Overlay, needs: Mapping[str, Mapping[str, int]] | None = None) -> dict[str, str]:
    """`down` and `degraded` by key after what `overlay` removes; all others are merely touched.

    A supporter of X over a relation type is what that type conducts from to X (its source, where the type conducts nothing but X
    says it needs it). One that is down supports nobody. `needs` are those that the change itself sets, by key.
    """
    if not (overlay.removed_components or overlay.removed_relations):
        return {}
    return _Effects(graph, rules, overlay, needs or {}).settle()


class _Effects:
    def __init__(self, graph: Graph, rules: Mapping[str, Rule], overlay: Overlay, needs: Mapping[str, Mapping[str, int]]) -> None:
        self.graph, self.rules, self.own_needs = graph, rules, needs
        self.before, self.after = View(graph, rules), View(graph, rules, overlay)
        self.gone = {place for key in overlay.removed_components if (place := graph.index(key)) is not None}
        self.cut = set(graph.relation_numbers(overlay.removed_relations).tolist()) if overlay.removed_relations else set()
        self.down: set[int] = set()
        self.result: dict[str, str] = {}

    def settle(self) -> dict[str, str]:
        """Look at everything that lost something, then at what those support that went down, until nothing more does."""
        waiting = deque(sorted(self._losers()))
        while waiting:
            place = waiting.popleft()
            if place in self.down or place in self.gone or not self.graph.is_component[place]:
                continue
            verdict = self._verdict(place)
            if verdict:
                self.result[self.graph.keys[place]] = verdict
            if verdict == DOWN:
                self.down.add(place)
                waiting.extend(sorted(self._supported(place)))
        return self.result

    def _losers(self) -> set[int]:
        lost = {target for place in self.gone for target in self._supported(place)}
        for target, name, direction in self._cut_edges():
            if self._supports(name, direction):
                lost.add(target)
        return lost

    def _cut_edges(self) -> Iterator[tuple[int, str, int]]:
        for spot in np.flatnonzero(np.isin(self.graph.relation, list(self.cut))) if self.cut else ():
            kind = int(self.graph.kind[spot])
            yield int(self.graph.to[spot]), self.graph.relation_types[kind >> 1], kind & 1

    def _supports(self, name: str, direction: int) -> bool:
        """Whether a half-edge of this type, walked this way, leads from a supporter to the supported."""
        rule = self.rules.get(name, Rule())
        return rule.conducts(direction) or (rule.propagation == "none" and direction == FORWARD)

    def _supported(self, place: int) -> set[int]:
        return {target for target, name, direction, _ in self._edges(place) if self._supports(name, direction)}

    def _edges(self, place: int) -> Iterator[tuple[int, str, int, int]]:
        graph = self.graph
        for spot in range(int(graph.start[place]), int(graph.start[place + 1])):
            kind = int(graph.kind[spot])
            yield int(graph.to[spot]), graph.relation_types[kind >> 1], kind & 1, int(graph.relation[spot])

    def _verdict(self, place: int) -> str:
        needs = self.own_needs.get(self.graph.keys[place], self.graph.needs.get(place, {}))
        worst = ""
        for name in sorted({name for _, name, _, _ in self._edges(place)} | set(needs)):
            had, stay = self._supporters(place, name)
            conducts = self.rules.get(name, Rule()).propagation != "none"
            if name in needs and len(stay) < needs[name] and len(stay) < len(had):
                return DOWN
            if had - stay and (conducts or name in needs):
                worst = DEGRADED
        return worst

    def _supporters(self, place: int, name: str) -> tuple[set[str], set[str]]:
        """Keys of the supporters over this relation type before and after. Parallel relations of one supporter count once."""
        had: set[str] = set()
        stay: set[str] = set()
        for other, kind, direction, number in self._edges(place):
            if kind != name or not self._supports(name, BACKWARD if direction == FORWARD else FORWARD):
                continue
            had.add(self.graph.keys[other])
            if other not in self.gone and other not in self.down and number not in self.cut:
                stay.add(self.graph.keys[other])
        return had, stay | self._added(place, name)

    def _added(self, place: int, name: str) -> set[str]:
        view, found = self.after, set()
        for source, target, kind in zip(view.extra_source.tolist(), view.extra_to.tolist(), view.extra_kind.tolist(), strict=True):
            if target == place and view.relation_types[kind >> 1] == name and self._supports(name, kind & 1):
                found.add(view.key(source))
        return found
