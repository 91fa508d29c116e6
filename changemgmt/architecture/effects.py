"""How hard it hits: is a component down, degraded or just touched, given how many supporters it needs. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

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
        self.after = View(graph, rules, overlay)
        # Whether a half-edge of this kind leads from a supporter to the supported.
        self.supports = [self._leads(name, direction) for name in self.after.relation_types for direction in (FORWARD, BACKWARD)]
        self.gone = {place for key in overlay.removed_components if (place := graph.index(key)) is not None}
        self.cut = set(graph.relation_numbers(overlay.removed_relations).tolist())
        self.added = self._added()
        self.down: set[int] = set()
        self.result: dict[str, str] = {}

    def _leads(self, name: str, direction: int) -> bool:
        rule = self.rules.get(name, Rule())
        return rule.conducts(direction) or (rule.propagation == "none" and direction == FORWARD)

    def _added(self) -> dict[int, list[tuple[int, str]]]:
        """By component, the supporters that the change gives it, with the relation type."""
        found: dict[int, list[tuple[int, str]]] = {}
        view = self.after
        for source, target, kind in zip(view.extra_source.tolist(), view.extra_to.tolist(), view.extra_kind.tolist(), strict=True):
            if self.supports[kind]:
                found.setdefault(target, []).append((source, self.after.relation_types[kind >> 1]))
        return found

    def settle(self) -> dict[str, str]:
        """Look at everything that lost something, then at what those support that went down, until nothing more does."""
        waiting = deque(sorted(self._losers()))
        while waiting:
            place = waiting.popleft()
            if place in self.down or place in self.gone or self.graph.layer[place] < 0:
                continue
            verdict = self._verdict(place)
            if verdict:
                self.result[self.graph.keys[place]] = verdict
            if verdict == DOWN:
                self.down.add(place)
                waiting.extend(sorted(self._supported(place)))
        return self.result

    def _losers(self) -> set[int]:
        graph = self.graph
        lost = {target for place in self.gone for target in self._supported(place)}
        for number in self.cut:
            kind = 2 * int(graph.relation_type[number])
            if not graph.refuted[number]:
                lost |= {int(graph.target[number])} if self.supports[kind + FORWARD] else set()
                lost |= {int(graph.source[number])} if self.supports[kind + BACKWARD] else set()
        return lost

    def _edges(self, place: int) -> Iterator[tuple[int, int, int]]:
        """The half-edges of a node: where to, kind, number of the relation."""
        row = slice(int(self.graph.start[place]), int(self.graph.start[place + 1]))
        return zip(self.graph.to[row].tolist(), self.graph.kind[row].tolist(), self.graph.relation[row].tolist(), strict=True)

    def _supported(self, place: int) -> set[int]:
        return {target for target, kind, _ in self._edges(place) if self.supports[kind]}

    def _verdict(self, place: int) -> str:
        key = self.graph.keys[place]
        needs = self.own_needs.get(key, self.graph.needs.get(key, {}))
        had, stay = self._supporters(place)
        worst = ""
        for name in sorted({*had, *needs}):
            before, after = had.get(name, set()), stay.get(name, set())
            if name in needs and len(after) < needs[name] and len(after) < len(before):
                return DOWN
            if before - after and (name in needs or self.rules.get(name, Rule()).propagation != "none"):
                worst = DEGRADED
        return worst

    def _supporters(self, place: int) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
        """The supporters by relation type, before and after. Parallel relations of one supporter count once."""
        had: dict[str, set[int]] = {}
        stay: dict[str, set[int]] = {}
        for other, kind, number in self._edges(place):
            if self.supports[kind ^ 1]:
                name = self.graph.relation_types[kind >> 1]
                had.setdefault(name, set()).add(other)
                if other not in self.gone and other not in self.down and number not in self.cut:
                    stay.setdefault(name, set()).add(other)
        for other, name in self.added.get(place, ()):
            stay.setdefault(name, set()).add(other)
        return had, stay
