"""The whole picture of a reach: up to five hundred components in columns, layer by layer, under headings of their type. Pure.

Where a component stands follows only from what it is (layer, heading, name, key) and from who else is shown, never from how
it was reached: a change that gains an item moves nobody past anybody. Unit of all lengths: one unit of the drawing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 500
COLUMNS, LEFT, PITCH, GUTTER = 7, 80, 154, 15
WIDTH = LEFT + COLUMNS * PITCH + 4
CELL = PITCH - GUTTER
LOW, TALL, GAP, HEAD = 22, 36, 4, 20
CHANNEL, FOOT = 14, 10
LEAST = HEAD + 4 * (LOW + GAP)
BEND = 5
# How far beside the others the lines of changed relations run.
BESIDE = {"added": -3, "removed": 3}
GROUPINGS = ("type", "owner")
RANKS = {"removed": 0, "added": 0, "changed": 0, "context": 0, "direct": 1, "indirect": 2, "unsure": 3}


@dataclass(frozen=True, slots=True)
class Part:
    """A component of the picture. `state`: added, removed, changed, direct, indirect, unsure or context; `effect`: down, degraded or touched."""

    key: str
    name: str
    layer: str
    type: str = ""
    owner: str = ""
    state: str = "context"
    effect: str = ""
    score: float = 0.0
    distance: int = 0

    @property
    def marked(self) -> bool:
        """Whether it stands out, with its words under its name."""
        return self.state in ("added", "removed", "changed") or self.effect in ("down", "degraded")


@dataclass(frozen=True, slots=True)
class Line:
    """A step of an explaining path, or a relation that is changed itself. `state`: hit, doubt, added, removed or changed."""

    source: str
    target: str
    state: str = "hit"


def strongest(parts: Iterable[Part], most: int = MOST) -> list[Part]:
    """What is shown where there are too many: what is changed first, then what is reached, by score. Of whom is shown, the path is shown."""
    ranked = sorted(parts, key=lambda part: (RANKS[part.state], -part.score, part.distance, part.key))
    return ranked[:most]


def board(parts: Iterable[Part], lines: Iterable[Line], layers: Sequence[str], *, by: str = "type", most: int = MOST) -> dict[str, Any]:
    """What stands where: bands in the order of `layers` (others after them by name), headings, nodes in reading order, edges as pairs of places."""
    everybody = list(parts)
    total: dict[str, int] = defaultdict(int)
    rows: dict[str, list[Part]] = defaultdict(list)
    for part in everybody:
        total[part.layer] += 1
    for part in strongest(everybody, most):
        rows[part.layer].append(part)
    names = [name for name in layers if name in rows] + sorted(set(rows) - set(layers))
    bands, heads, nodes, y = [], [], [], 0
    for name in names:
        cells, height = _flowed(sorted(rows[name], key=lambda part: _place_of(part, by)), by)
        bands.append({"layer": name, "y": y, "height": CHANNEL + height + FOOT, "shown": len(rows[name]), "total": total[name]})
        for what, column, down in cells:
            x, top = LEFT + column * PITCH, y + CHANNEL + down
            if isinstance(what, Part):
                nodes.append(_node(what, x, top))
            else:
                heads.append({"x": x, "y": top, "name": what})
        y += CHANNEL + height + FOOT
    place = {node["key"]: number for number, node in enumerate(nodes)}
    edges = [[place[line.source], place[line.target], line.state] for line in _drawable(lines, place)]
    return {
        "width": WIDTH,
        "height": y,
        "by": by,
        "bands": bands,
        "heads": heads,
        "nodes": nodes,
        "edges": edges,
        "shown": len(nodes),
        "total": len(everybody),
    }


def regrouped(found: dict[str, Any], by: str) -> dict[str, Any]:
    """A stored board under other headings."""
    keys = [node["key"] for node in found["nodes"]]
    parts = [Part(**{name: node[name] for name in Part.__slots__}) for node in found["nodes"]]
    lines = [Line(keys[one], keys[two], state) for one, two, state in found["edges"]]
    totals = {band["layer"]: band["total"] for band in found["bands"]}
    again = board(parts, lines, [band["layer"] for band in found["bands"]], by=by, most=len(parts))
    bands = [band | {"total": totals[band["layer"]]} for band in again["bands"]]
    return again | {"bands": bands, "total": found["total"]}


def _place_of(part: Part, by: str) -> tuple[Any, ...]:
    """Headings by name, what has none last; under them by name and key."""
    head = getattr(part, by)
    return (head == "", head.casefold(), head, part.name.casefold(), part.key)


def _drawable(lines: Iterable[Line], place: dict[str, int]) -> list[Line]:
    """Each pair once, whose ends are shown; a changed relation hides the step of a path over the same two."""
    found: dict[tuple[str, str], Line] = {}
    for line in lines:
        pair = (line.source, line.target)
        if line.source == line.target or line.source not in place or line.target not in place:
            continue
        if pair not in found or found[pair].state in ("hit", "doubt"):
            found[pair] = line
    return sorted(found.values(), key=lambda line: (place[line.source], place[line.target]))


def _node(part: Part, x: int, y: int) -> dict[str, Any]:
    said = {name: getattr(part, name) for name in Part.__slots__}
    return said | {"score": round(part.score, 4), "x": x, "y": y, "h": TALL if part.marked else LOW}


def _flowed(row: Sequence[Part], by: str) -> tuple[list[tuple[Part | str, int, int]], int]:
    """Nodes and headings down the columns of one band, each with column and offset, and how high that is: as low as fits."""
    height = max(LEAST, sum((TALL if part.marked else LOW) + GAP for part in row) // COLUMNS)
    while True:
        cells = list(_columns(row, by, height))
        if cells[-1][1] < COLUMNS:
            return cells, max(down + (_height(what)) for what, _, down in cells)
        height += LOW + GAP


def _height(what: Part | str) -> int:
    return HEAD if isinstance(what, str) else TALL if what.marked else LOW


def _columns(row: Sequence[Part], by: str, height: int) -> Iterator[tuple[Part | str, int, int]]:
    """Down to `height`, then on in the next column, under its heading again; no heading stands alone at the foot."""
    column, down, head = 0, 0, None
    for part in row:
        tall, own = _height(part), getattr(part, by)
        needed = tall + (HEAD if own != head else 0)
        if down and down + needed > height:
            column, down, head = column + 1, 0, None
        if own != head:
            yield own, column, down
            down, head = down + HEAD, own
        yield part, column, down
        down += tall + GAP


def route(one: dict[str, Any], two: dict[str, Any], bands: Sequence[dict[str, Any]], state: str = "hit") -> str:
    """The path of an edge: to the left into the gutter, along the top of the lower band, through the other gutter.

    Lines of one state that go the same way lie on each other.
    """
    beside = BESIDE.get(state, 0)
    start, end = (one["x"], one["y"] + one["h"] // 2), (two["x"], two["y"] + two["h"] // 2)
    out, into = start[0] - GUTTER // 2 + beside, end[0] - GUTTER // 2 + beside
    if out == into:
        points = [start, (out, start[1]), (out, end[1]), end]
    else:
        lower = max(band["y"] for band in bands if band["y"] <= max(start[1], end[1]))
        across = lower + CHANNEL // 2 + beside
        points = [start, (out, start[1]), (out, across), (into, across), (into, end[1]), end]
    return _rounded(points)


def _rounded(points: Sequence[tuple[int, int]]) -> str:
    """A line through points, round at its corners."""
    parts = [f"M{points[0][0]} {points[0][1]}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        come, go = _towards(corner, before), _towards(corner, after)
        parts.append(f"L{come[0]} {come[1]}Q{corner[0]} {corner[1]} {go[0]} {go[1]}")
    return "".join([*parts, f"L{points[-1][0]} {points[-1][1]}"])


def _towards(corner: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """A little way from a corner towards a point on one of the axes."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    near = min(BEND, (abs(dx) + abs(dy)) // 2)
    return corner[0] + near * ((dx > 0) - (dx < 0)), corner[1] + near * ((dy > 0) - (dy < 0))
