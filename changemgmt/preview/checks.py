"""What would be wrong with the architecture once a change is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from changemgmt.architecture.catalogue import Catalogue
from changemgmt.architecture.fields import schema_errors
from changemgmt.architecture.graph import Graph, Rule
from changemgmt.architecture.queries import exists, portions, relation_image, relations_at
from changemgmt.architecture.rules import COMPONENT, OBJECTS, RELATION, Image, ends

from .reliance import cycles

Check = dict[str, Any]


def check(rule: str, severity: str, key: str, message: str) -> Check:
    return {"rule": rule, "severity": severity, "key": key, "message": message}


def checks_of(
    steps: Sequence[Image], affected: Sequence[Mapping[str, Any]], catalogue: Catalogue, rules: Mapping[str, Rule], graph: Graph
) -> list[Check]:
    """Findings of what is always checked, errors first. The cost follows the change: only what it touches is looked at."""
    around = _Around(steps)
    found = [*around.dangling(), *schema_violations(steps, catalogue), *around.orphaned(), *around.single_points(rules)]
    found += [check("needs_unmet", "error", row["key"], "Fewer supporters than it needs would stay.") for row in affected if row["effect"] == "down"]
    if layers := catalogue.without_cycles:
        found += [check(*row) for row in cycles(steps, graph, rules, layers)]
    return in_order(found)


def in_order(found: Sequence[Check]) -> list[Check]:
    """Errors first, then by rule and key."""
    return sorted(found, key=lambda one: (one["severity"] != "error", one["rule"], one["key"], one["message"]))


def schema_violations(steps: Sequence[Image], catalogue: Catalogue) -> list[Check]:
    """Attributes that break the schema of their type."""
    return [
        check("schema_violation", "error", step.key, f"{path.removeprefix('data.')}: {message}")
        for step in steps
        if step.object == COMPONENT and step.after
        for path, messages in schema_errors(step.after, catalogue).items()
        for message in messages
    ]


class _Around:
    """The relations around what a change touches, before and after it."""

    def __init__(self, steps: Sequence[Image]) -> None:
        self.steps = steps
        self.gone = {(step.object, step.key) for step in steps if step.after is None and step.before}
        self.made = {(step.object, step.key) for step in steps if step.before is None and step.after}
        self.written = {step.key: step for step in steps if step.object == RELATION}
        touched = {
            key for step in self.written.values() for image in (step.before, step.after) if image for kind, key in ends(image) if kind == COMPONENT
        }
        self.components = sorted(
            touched | {key for kind, key in self.gone if kind == COMPONENT} | {key for kind, key in self.made if kind == COMPONENT}
        )
        self.before = self._live()
        self.after = self._overlaid()

    def _live(self) -> dict[str, dict[str, Any]]:
        rows = (row for portion in portions(self.components) for row in relations_at(portion))
        near = {row.key: relation_image(row) for row in rows}
        relation_keys = sorted(key for kind, key in self.gone if kind == RELATION)
        for portion in portions(relation_keys):
            near |= {row.key: relation_image(row) for row in relations_at(portion, object=RELATION)}
        return near

    def _overlaid(self) -> dict[str, dict[str, Any]]:
        kept = {key: image for key, image in self.before.items() if (RELATION, key) not in self.gone}
        return kept | {key: step.after for key, step in self.written.items() if step.after}

    def dangling(self) -> list[Check]:
        """Relations whose end would not be there."""
        wanted = {end for key, image in self.after.items() if key in self.written for end in ends(image)} - self.made
        there = {(object, key) for object in OBJECTS for key in exists(object, [key for kind, key in wanted if kind == object])}
        lost = (wanted - there) | self.gone
        return [
            check("dangling_relation", "error", key, f"Its end {end[1]!r} would not be there.")
            for key, image in sorted(self.after.items())
            for end in ends(image)
            if end in lost
        ]

    def orphaned(self) -> list[Check]:
        """Components the change leaves without any relation."""
        tied = {key for image in self.after.values() for kind, key in ends(image) if kind == COMPONENT}
        had = {key for image in self.before.values() for kind, key in ends(image) if kind == COMPONENT}
        new = {key for kind, key in self.made if kind == COMPONENT}
        alone = [key for key in self.components if key not in tied and (key in had or key in new) and (COMPONENT, key) not in self.gone]
        return [check("orphaned_component", "warning", key, "It would have no relation to anything.") for key in alone]

    def single_points(self, rules: Mapping[str, Rule]) -> list[Check]:
        """Components that had several supporters of a kind and would rest on one."""
        before, after = _supporters(self.before, rules), _supporters(self.after, rules)
        found = []
        for (key, name), had in sorted(before.items()):
            left = after.get((key, name), set())
            if len(had) > 1 and len(left) == 1 and (COMPONENT, key) not in self.gone:
                found.append(check("single_point_of_failure", "warning", key, f"For {name} it would rest on {next(iter(left))!r} alone."))
        return found


def _supporters(relations: Mapping[str, Mapping[str, Any]], rules: Mapping[str, Rule]) -> dict[tuple[str, str], set[str]]:
    """By component and relation type: who supports it, following the direction the type conducts."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for image in relations.values():
        rule = rules.get(image["type"], Rule())
        if rule.conducts(0):
            found[image["target"], image["type"]].add(image["source"])
        if rule.conducts(1):
            found[image["source"], image["type"]].add(image["target"])
    return found
