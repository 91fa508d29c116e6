"""What a change would do: its overlay on the live architecture, its reach, its difference, its checks. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changemgmt.architecture.catalogue import Catalogue
from changemgmt.architecture.effects import effects
from changemgmt.architecture.graph import Graph
from changemgmt.architecture.graphs import Live, live
from changemgmt.architecture.impact import summed, trusted
from changemgmt.architecture.overlay import Bounds, Link, Node, Overlay, View
from changemgmt.architecture.propagation import EdgeSeed, Reach, ranked, searches
from changemgmt.architecture.queries import confirmed, images
from changemgmt.architecture.rules import COMPONENT, CREATE, DELETE, RELATION, UPDATE, Image, Severity, ends, severity
from changemgmt.architecture.trust import CONFIRMED, seconds
from changemgmt.changes.models import Change
from changemgmt.core.canonical import digest

from .checks import checks_of, in_order
from .diff import diff_of_images
from .drift import Base, base_of
from .picture import picture
from .policies import active_policies, policy_findings
from .queries import further_of
from .rules import Proposal, counts, overlaid

Progress = Callable[[str, float], None]
"""Told the phase that begins, and the share of the whole that is done. It may raise, which ends the computation."""
PHASES = {"items": 0.0, "graph": 0.05, "propagation": 0.25, "effects": 0.5, "difference": 0.65, "checks": 0.75, "picture": 0.9, "storing": 0.95}


def quiet(phase: str, share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Computed:
    """Everything a preview stores, in the shapes of the API. `reach`: key, score and whether it is changed itself."""

    revision: int
    impact: dict[str, Any]
    diff: dict[str, Any]
    summary: dict[str, int]
    checks: list[dict[str, Any]]
    drift: list[dict[str, Any]]
    layout: dict[str, Any]
    result_digest: str
    reach: list[tuple[str, float, bool]]
    images: tuple[Image, ...]

    @property
    def state(self) -> str:
        return "conflict" if any(row["conflict"] for row in self.drift) else "ready"


def compute(change: Change, *, now: datetime, progress: Progress = quiet) -> Computed:
    """The preview of a change against the architecture of this moment. Its cost follows the change and its reach."""

    def begin(phase: str) -> None:
        progress(phase, PHASES[phase])

    begin("items")
    base = base_of(change)
    catalogue = Catalogue.load()
    steps = overlay_images(base, catalogue)
    begin("graph")
    ground = live()
    begin("propagation")
    bounds = ground.bounds_at(now).widened(**further_of(change))
    reached = reach_of(base.proposals, steps, catalogue, ground, bounds, before_effects=lambda: begin("effects"))
    begin("difference")
    diff = diff_of_images(steps)
    impact = impact_shape(reached, base.proposals, ground.graph.revision, change.version) | {"bounds": told(bounds)}
    sure = trusted(impact["affected"])
    begin("checks")
    always = checks_of(steps, impact["affected"], catalogue, ground.rules, ground.graph)
    checks = in_order([*always, *policy_findings(active_policies(), steps, sure)])
    begin("picture")
    summary = counts(steps) | {"affected": len(sure)} | ({"untrusted": impact["untrusted"]} if impact["untrusted"] else {})
    return Computed(
        revision=ground.graph.revision,
        impact=impact,
        diff=diff,
        summary=summary,
        checks=checks,
        drift=[row.as_dict() for row in base.drift],
        layout=picture(steps, impact["affected"]),
        result_digest=digest({"diff": diff, "affected": [_reached_as(row) for row in impact["affected"]]}),
        reach=reach_rows(base.proposals, sure, steps, catalogue, ground.weights),
        images=tuple(steps),
    )


def told(bounds: Bounds) -> dict[str, Any]:
    """How far it was followed, as the API shows it."""
    return {"max_depth": bounds.max_depth, "min_score": bounds.min_score}


def _reached_as(row: Mapping[str, Any]) -> list[Any]:
    """What of a reached component makes another result; how far the path can be relied upon does."""
    return [row["key"], row["score"], row["effect"], *([] if row["trust"] == CONFIRMED else [row["trust"]])]


def overlay_images(base: Base, catalogue: Catalogue) -> list[Image]:
    """Every item over the live thing, as it would be."""
    found = []
    for proposal in base.proposals:
        image = overlaid(proposal, base.live[proposal.object].get(proposal.key))
        if image.after is not None and image.object == COMPONENT:
            image = Image(image.object, image.key, image.before, catalogue.completed(image.after))
        found.append(image)
    return found


# The reach.


def severity_of(proposal: Proposal, catalogue: Catalogue, type_name: str | None, weights: Severity) -> float:
    """The severity of one item: an update that touches an attribute its type marks as interface weighs more."""
    known = catalogue.types.get(type_name or "")
    attributes = proposal.data.get("attributes") or {}
    interface = bool(known and set(known.interface_attributes) & set(attributes)) if isinstance(attributes, Mapping) else False
    return severity(proposal.operation, interface=interface, replace=proposal.replace, weights=weights)


def reach_of(
    proposals: Sequence[Proposal],
    steps: Sequence[Image],
    catalogue: Catalogue,
    ground: Live,
    bounds: Bounds,
    before_effects: Callable[[], None] = lambda: None,
) -> Reach:
    """Propagation over the old graph and, where the change adds or removes something, over the new one."""
    graph, rules = ground.graph, ground.rules
    seeds, edges = _seeds(proposals, steps, catalogue, ground.weights)
    overlay = overlay_of(steps, graph)
    found = searches(View(graph, rules, bounds=bounds), seeds[UPDATE] | seeds[DELETE], [*edges[UPDATE], *edges[DELETE]], bounds=bounds)
    if overlay.removed_components or overlay.removed_relations or overlay.nodes or overlay.links:
        found += searches(View(graph, rules, overlay, bounds), seeds[UPDATE] | seeds[CREATE], [*edges[UPDATE], *edges[CREATE]], bounds=bounds)
    before_effects()
    needs = {step.key: step.after["needs"] for step in steps if step.object == COMPONENT and step.after}
    return ranked(found, frozenset(key for part in seeds.values() for key in part), effects(graph, rules, overlay, needs))


def _seeds(
    proposals: Sequence[Proposal], steps: Sequence[Image], catalogue: Catalogue, weights: Severity
) -> tuple[dict[str, dict[str, float]], dict[str, list[EdgeSeed]]]:
    """Severity by component and by relation, by what is done to them."""
    seeds: dict[str, dict[str, float]] = {CREATE: {}, UPDATE: {}, DELETE: {}}
    edges: dict[str, list[EdgeSeed]] = {CREATE: [], UPDATE: [], DELETE: []}
    for proposal, step in zip(proposals, steps, strict=True):
        image = step.after or step.before
        if image is None:
            continue
        weight = severity_of(proposal, catalogue, image["type"], weights)
        if proposal.object == COMPONENT:
            seeds[step.operation][proposal.key] = weight
        elif not image.get("refuted_at"):
            edges[step.operation].append(EdgeSeed(image["source"], image["type"], image["target"], weight, step.key))
    return seeds, edges


def overlay_of(steps: Sequence[Image], graph: Graph) -> Overlay:
    """What the change adds to the graph and takes from it."""
    gone = [step for step in steps if step.after is None and step.before]
    made = [step.after for step in steps if step.before is None and step.after]
    links = [image for image in made if "source" in image]
    return Overlay(
        removed_components=frozenset(step.key for step in gone if step.object == COMPONENT),
        removed_relations=frozenset(step.key for step in gone if step.object == RELATION),
        nodes=tuple(
            Node(image["key"], image["layer"], image["type"], image["criticality"], image["users"], image["needs"])
            for image in made
            if "source" not in image
        ),
        links=tuple(_links(links, graph)),
    )


def _links(made: list[dict[str, Any]], graph: Graph) -> Iterable[Link]:
    """New relations, and those live ones that become nodes because a new relation ends on them."""
    ended_on = {key for image in made for object, key in ends(image) if object == RELATION}
    new = {image["key"] for image in made}
    for image in made:
        yield Link(image["key"], image["source"], image["type"], image["target"], node=image["key"] in ended_on)
    waiting = [key for key in sorted(ended_on - new) if graph.index(f"relation:{key}") is None]
    for key, image in images(RELATION, waiting).items():
        confirmed_at, refuted = confirmed(image["confirmed_at"]), bool(image.get("refuted_at"))
        yield Link(key, image["source"], image["type"], image["target"], only_node=True, confirmed=seconds(confirmed_at), refuted=refuted)


def impact_shape(reached: Reach, proposals: Sequence[Proposal], revision: int, version: int) -> dict[str, Any]:
    """The impact as the API shows it, without collisions, which depend on who looks."""
    direct = sorted({proposal.key for proposal in proposals if proposal.object == COMPONENT})
    return {"revision": revision, "version": version, "state": "ready", "direct": direct, **summed(reached, direct)}


def reach_rows(
    proposals: Sequence[Proposal], reached: Iterable[Any], steps: Sequence[Image], catalogue: Catalogue, weights: Severity
) -> list[tuple[str, float, bool]]:
    """What the change reaches, by component: itself, what it propagates to, and the ends of the relations it writes."""
    rows: dict[str, tuple[str, float, bool]] = {}
    for step in steps:
        image = step.after or step.before
        if step.object == RELATION and image:
            rows |= {key: (key, 0.0, False) for object, key in ends(image) if object == COMPONENT}
    rows |= {row["key"]: (row["key"], row["score"], False) for row in reached}
    for proposal, step in zip(proposals, steps, strict=True):
        if proposal.object == COMPONENT:
            weight = severity_of(proposal, catalogue, (step.after or step.before or {}).get("type"), weights)
            rows[proposal.key] = (proposal.key, weight, True)
    return list(rows.values())
