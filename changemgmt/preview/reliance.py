"""Who relies on whom within a layer, before and after a change, and the circles the change would close there. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from changemgmt.architecture.graph import Graph, Rule
from changemgmt.architecture.rules import COMPONENT, RELATION, Image, ends

from .cycles import MOST_VISITS, GaveUp, Tie, closed_cycles

SHOWN = 12
Row = tuple[str, str, str, str]
"""Rule, severity, key and message of a finding."""


def cycles(steps: Sequence[Image], graph: Graph, rules: Mapping[str, Rule], layers: Collection[str]) -> list[Row]:
    """The circles the change would close in layers that forbid them.

    What counts are relations between two components of the layer, in the direction in which their type conducts changes: who is reached
    relies on where the change comes from. Types that conduct both ways or not at all, refuted relations, and those that end on relations
    say nothing here.
    """
    return [row for layer in sorted(layers) for row in _cycles_in(layer, steps, graph, rules)]


def _cycles_in(layer: str, steps: Sequence[Image], graph: Graph, rules: Mapping[str, Rule]) -> Iterable[Row]:
    before, after = Reliance(layer, graph, rules), Reliance(layer, graph, rules, steps)
    suspects = after.suspects()
    there = {one: set(before.leads_to(one)) for one, _ in suspects}
    new = [(one, two) for one, two in suspects if two not in there[one]]
    try:
        for cycle in closed_cycles(new, after.leads_to):
            yield "cycle", "error", cycle[0], f"It closes a circle in the layer {layer}, which forbids them: {in_words(cycle)}."
    except GaveUp:
        yield "cycle", "warning", new[0][0], f"The search for circles in the layer {layer} ended after {MOST_VISITS} steps: there may be one."


def in_words(cycle: Sequence[str]) -> str:
    """The way round, back to where it began."""
    left = len(cycle) - SHOWN
    return " → ".join([*cycle[:SHOWN], *([f"… {left} more"] if left > 0 else []), cycle[0]])


class Reliance:
    """The components of one layer and what conducts between them: the graph, with what the steps add and take away."""

    def __init__(self, layer: str, graph: Graph, rules: Mapping[str, Rule], steps: Sequence[Image] = ()) -> None:
        self.layer, self.graph = layer, graph
        self.rules = {name: rule for name, rule in rules.items() if not rule.layers or layer in rule.layers}
        self.removed = set(graph.relation_numbers(step.key for step in steps if step.object == RELATION and step.before).tolist())
        self.layers = {step.key: step.after["layer"] if step.after else "" for step in steps if step.object == COMPONENT}
        self.added: dict[str, set[str]] = {}
        self._kept: dict[str, list[str]] = {}
        for step in steps:
            if step.object == RELATION and step.after and not step.after.get("refuted_at"):
                for one, two in self._ties_of(step.after):
                    self.added.setdefault(one, set()).add(two)

    def leads_to(self, key: str) -> list[str]:
        """The components of the layer that rely on this one, in key order; none for one outside of it."""
        if key not in self._kept:
            place = self.graph.index(key)
            live = self._neighbours(place) if place is not None else ()
            self._kept[key] = sorted({*filter(self.inside, self.added.get(key, ())), *live}) if self.inside(key) else []
        return self._kept[key]

    def suspects(self) -> list[Tie]:
        """The ties that may be new: of written relations, and at components that came into the layer."""
        moved = [key for key, layer in self.layers.items() if layer == self.layer]
        found = {(one, two) for one in self.added for two in self.added[one] if self.inside(one) and self.inside(two)}
        return sorted(found | {(key, other) for key in moved for other in self.leads_to(key)})

    def inside(self, key: str) -> bool:
        if key in self.layers:
            return self.layers[key] == self.layer
        place = self.graph.index(key)
        return place is not None and self.graph.layer[place] >= 0 and self.graph.layers[self.graph.layer[place]] == self.layer

    def _neighbours(self, place: int) -> Iterable[str]:
        for spot in range(self.graph.start[place], self.graph.start[place + 1]):
            name, direction = self.graph.relation_types[self.graph.kind[spot] >> 1], int(self.graph.kind[spot]) & 1
            if self._one_way(name, direction) and int(self.graph.relation[spot]) not in self.removed:
                other = self.graph.keys[self.graph.to[spot]]
                if self.inside(other):
                    yield other

    def _ties_of(self, image: Mapping[str, str]) -> list[Tie]:
        (one, source), (two, target) = ends(image)
        if one != COMPONENT or two != COMPONENT:
            return []
        return [tie for direction, tie in enumerate([(source, target), (target, source)]) if self._one_way(image["type"], direction)]

    def _one_way(self, name: str, direction: int) -> bool:
        rule = self.rules.get(name, Rule())
        return rule.conducts(direction) and not rule.conducts(1 - direction)
