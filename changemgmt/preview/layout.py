"""The picture of a reach by layer: which nodes are shown, where they stand, how the edges run. Pure, and the same every time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

WIDTH, LEFT, TOP = 860, 92, 26
NODE_WIDTH, NODE_HEIGHT, GAP, ROW = 134, 44, 14, 56
BAND = 93
IN_A_ROW, MOST = 6, 12
SWEEPS = 8
STRENGTH = {"changed": 4, "added": 4, "removed": 4, "direct": 2, "indirect": 1, "context": 0}


@dataclass(frozen=True, slots=True)
class Vertex:
    """A component to draw. `state`: changed, added, removed, direct, indirect or context."""

    key: str
    name: str
    layer: str
    state: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Edge:
    """A line to draw, from what is changed upward. `state`: hit, added, removed or context."""

    source: str
    target: str
    state: str = "hit"


def layout(vertices: Iterable[Vertex], edges: Iterable[Edge], layers: Sequence[str]) -> dict[str, Any]:
    """Positions for an SVG of `width` by `height`; bands in the order of `layers`, further layers after them by name."""
    by_layer: dict[str, list[Vertex]] = defaultdict(list)
    for vertex in vertices:
        by_layer[vertex.layer].append(vertex)
    names = [name for name in layers if name in by_layer] + sorted(set(by_layer) - set(layers))
    kept = {name: _strongest(by_layer[name]) for name in names}
    there = {vertex.key for row in kept.values() for vertex in row}
    lines = list(dict.fromkeys(edge for edge in edges if edge.source in there and edge.target in there and edge.source != edge.target))
    order = _ordered(kept, lines)
    bands, nodes, height = _placed(names, order, by_layer)
    places = {node["key"]: node for node in nodes}
    drawn = [_drawn(edge, places) for edge in lines]
    total = sum(len(row) for row in by_layer.values())
    return {"width": WIDTH, "height": height, "bands": bands, "nodes": nodes, "edges": drawn, "shown": len(nodes), "total": total}


def _strongest(row: list[Vertex]) -> list[Vertex]:
    ranked = sorted(row, key=lambda vertex: (-STRENGTH.get(vertex.state, 0), -vertex.score, vertex.key))
    return sorted(ranked[:MOST], key=lambda vertex: (vertex.name.casefold(), vertex.key))


def _ordered(kept: Mapping[str, list[Vertex]], edges: Sequence[Edge]) -> dict[str, list[Vertex]]:
    """Every layer in the order that follows its neighbours: the mean place of what a node is tied to, swept down and up."""
    order = {name: list(row) for name, row in kept.items()}
    near: dict[str, set[str]] = defaultdict(set)
    for edge in edges:
        near[edge.source].add(edge.target)
        near[edge.target].add(edge.source)
    names = list(order)
    for sweep in range(SWEEPS):
        places = {vertex.key: (place + 0.5) / len(row) for row in order.values() for place, vertex in enumerate(row)}
        for name in names if sweep % 2 == 0 else reversed(names):
            row = order[name]
            means = {vertex.key: _mean([places[key] for key in near[vertex.key]], places[vertex.key]) for vertex in row}
            row.sort(key=lambda vertex: means[vertex.key])
            places |= {vertex.key: (place + 0.5) / len(row) for place, vertex in enumerate(row)}
    return order


def _mean(values: list[float], otherwise: float) -> float:
    return round(sum(values) / len(values), 6) if values else otherwise


def _placed(names: Sequence[str], order: Mapping[str, list[Vertex]], all_of: Mapping[str, list[Vertex]]) -> tuple[list[dict], list[dict], int]:
    bands, nodes, y = [], [], 0
    for name in names:
        row = order[name]
        rows = 1 if len(row) <= IN_A_ROW else 2
        height = BAND + (rows - 1) * ROW
        bands.append({"layer": name, "y": y, "height": height, "shown": len(row), "total": len(all_of[name])})
        nodes += _row(row, y + TOP, rows)
        y += height
    return bands, nodes, y


def _row(row: Sequence[Vertex], y: int, rows: int) -> list[dict[str, Any]]:
    """Equal spacing; with two rows every second node stands lower, half a slot further."""
    slots = (len(row) + rows - 1) // rows
    slot = (WIDTH - LEFT) / (slots + (0.5 if rows == 2 else 0))
    width = round(min(NODE_WIDTH, slot - GAP), 1)
    nodes = []
    for place, vertex in enumerate(row):
        lower = place % rows
        centre = LEFT + slot * (place // rows + 0.5 + 0.5 * lower)
        nodes.append(
            {
                "key": vertex.key,
                "name": vertex.name,
                "label": _label(vertex.name or vertex.key, width),
                "layer": vertex.layer,
                "state": vertex.state,
                "score": round(vertex.score, 4),
                "x": round(centre - width / 2, 1),
                "y": y + lower * ROW,
                "w": width,
                "h": NODE_HEIGHT,
                "href": f"/architecture/{quote(vertex.key, safe='/')}/",
            }
        )
    return nodes


def _label(name: str, width: float) -> str:
    most = int((width - 16) / 6.4)
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def _drawn(edge: Edge, places: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    one, two = places[edge.source], places[edge.target]
    x1, x2 = (round(node["x"] + node["w"] / 2, 1) for node in (one, two))
    if one["layer"] == two["layer"]:
        y1, y2 = one["y"] + one["h"], two["y"] + two["h"]
        bend = max(y1, y2) + 18
        curve = f"M{x1} {y1}C{x1} {bend} {x2} {bend} {x2} {y2}"
    else:
        upward = one["y"] > two["y"]
        y1, y2 = (one["y"], two["y"] + two["h"]) if upward else (one["y"] + one["h"], two["y"])
        middle = round((y1 + y2) / 2, 1)
        curve = f"M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}"
    return {"from": edge.source, "to": edge.target, "d": curve, "state": edge.state}
