"""What the pictures of a preview show: the short one of the change's page, and the whole board of the explorer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from changemgmt.architecture.impact import trusted
from changemgmt.architecture.models import Component, Layer
from changemgmt.architecture.queries import portions
from changemgmt.architecture.rules import COMPONENT, CREATE, DELETE, RELATION, UPDATE, Image, end_of, ends
from changemgmt.architecture.trust import CONFIRMED

from .board import MOST, Line, Part, board, strongest
from .layout import Edge, Vertex, layout

STATES = {CREATE: "added", UPDATE: "changed", DELETE: "removed"}
SHORT = 12  # of each layer, in the short picture


@dataclass(frozen=True, slots=True)
class Known:
    """What is read of a component to draw it."""

    name: str
    layer: str
    type: str
    owner: str


def picture(steps: Sequence[Image], affected: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The short picture, and under `board` the whole one with what is not sure as well."""
    layers = list(Layer.objects.order_by("order", "name").values_list("name", flat=True))
    tied = [(step, step.after or step.before or {}) for step in steps if step.object == RELATION and (step.after or step.before)]
    return short(steps, tied, trusted(affected), layers) | {"board": whole(steps, tied, affected, layers)}


def whole(
    steps: Sequence[Image], tied: Sequence[tuple[Image, Mapping[str, Any]]], affected: Sequence[dict[str, Any]], layers: list[str]
) -> dict[str, Any]:
    """Everything that is changed or reached, the ends of changed relations, and the explaining paths; the strongest where it is too much."""
    states = _states(steps)
    rows = {row["key"]: row for row in affected}
    wanted = {*states, *rows, *_ends_of(tied)}
    chosen = {part.key for part in strongest(_part(key, None, states.get(key), rows.get(key)) for key in wanted)}
    known = _known(chosen, steps)
    parts = [_part(key, known[key], states.get(key), rows.get(key)) for key in sorted(chosen) if key in known]
    lines = [line for row in affected if row["key"] in chosen for line in _path_lines(row["path"])]
    lines += [Line(end_of(image["source"])[1], end_of(image["target"])[1], STATES[step.operation]) for step, image in tied]
    found = board(parts, lines, layers, most=MOST)
    left = Counter(rows[key]["layer"] for key in wanted - chosen if key in rows)
    bands = [band | {"total": band["total"] + left[band["layer"]]} for band in found["bands"]]
    return found | {"bands": bands, "total": len(wanted)}


def short(
    steps: Sequence[Image], tied: Sequence[tuple[Image, Mapping[str, Any]]], affected: Sequence[dict[str, Any]], layers: list[str]
) -> dict[str, Any]:
    """The strongest of each layer, what is changed, and the ends of changed relations."""
    states = _states(steps)
    rows = {row["key"]: row for row in affected}
    shown = _strongest_by_layer(affected)
    wanted = {*states, *(row["key"] for row in shown), *_ends_of(tied)}
    known = _known(wanted, steps)
    vertices = [_vertex(key, known[key], states.get(key), rows.get(key)) for key in sorted(wanted) if key in known]
    extra = [Vertex(row["key"], row["key"], row["layer"], "indirect", -1.0) for row in affected if row["key"] not in wanted]
    edges = [Edge(line.source, line.target) for row in shown for line in _path_lines(row["path"])]
    for step, image in tied:
        state = {CREATE: "added", UPDATE: "hit", DELETE: "removed"}[step.operation]
        edges.append(Edge(end_of(image["source"])[1], end_of(image["target"])[1], state))
    return layout([*vertices, *extra], edges, layers)


def _states(steps: Sequence[Image]) -> dict[str, str]:
    return {step.key: STATES[step.operation] for step in steps if step.object == COMPONENT}


def _ends_of(tied: Sequence[tuple[Image, Mapping[str, Any]]]) -> set[str]:
    return {key for _, image in tied for object, key in ends(dict(image)) if object == COMPONENT}


def _strongest_by_layer(affected: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    seen: dict[str, int] = {}
    chosen = []
    for row in affected:
        seen[row["layer"]] = seen.get(row["layer"], 0) + 1
        if seen[row["layer"]] <= SHORT:
            chosen.append(row)
    return chosen


def _known(keys: set[str], steps: Sequence[Image]) -> dict[str, Known]:
    """What is drawn of live components and of those the change makes or alters."""
    found = {
        key: Known(name, layer, type, owner)
        for portion in portions(sorted(keys))
        for key, name, layer, type, owner in Component.objects.filter(key__in=portion).values_list(
            "key", "name", "layer__name", "type__name", "owner"
        )
    }
    made = [step.after for step in steps if step.object == COMPONENT and step.after and step.key in keys]
    return found | {image["key"]: Known(image["name"], image["layer"], image["type"], image["owner"]) for image in made}


def _part(key: str, known: Known | None, state: str | None, row: Mapping[str, Any] | None) -> Part:
    """A component of the board. One that is changed and reached as well stands as changed, with what becomes of it."""
    name, layer, type, owner = (known.name or key, known.layer, known.type, known.owner) if known else ("", "", "", "")
    if row is None:
        return Part(key, name, layer, type, owner, state or "context", "", 1.0 if state else 0.0)
    reached = "unsure" if row["trust"] != CONFIRMED else "direct" if row["distance"] == 1 else "indirect"
    effect = "touched" if state == "removed" else row["effect"]
    return Part(key, name, layer, type, owner, state or reached, effect, row["score"], row["distance"])


def _vertex(key: str, known: Known, state: str | None, row: Mapping[str, Any] | None) -> Vertex:
    if state:
        return Vertex(key, known.name, known.layer, state, 1.0)
    if row is None:
        return Vertex(key, known.name, known.layer, "context", 0.0)
    return Vertex(key, known.name, known.layer, "direct" if row["distance"] == 1 else "indirect", row["score"])


def _path_lines(path: Sequence[Mapping[str, Any]]) -> Iterable[Line]:
    """The steps of an explaining path between components; relations on the way are passed through."""
    stops: list[tuple[str, bool]] = []
    doubt = False
    for step in path:
        doubt = doubt or bool(step.get("trust"))
        if not step["key"].startswith("relation:"):
            stops.append((step["key"], doubt))
            doubt = False
    return [Line(one, two, "doubt" if doubted else "hit") for (one, _), (two, doubted) in pairwise(stops)]
