"""The whole picture of a reach on its page: marks and words of every component, the lines between them, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.preview.board import CELL, GROUPINGS, LOW, regrouped, route

if TYPE_CHECKING:
    from .base import PageRequest

VIEWS = ("picture", "table")
# What marks a component, in the order of the key below the picture; what stands first wins.
MARKS = {
    "removed": gettext_lazy("Removed"),
    "added": gettext_lazy("Added"),
    "changed": gettext_lazy("Changed"),
    "down": gettext_lazy("Down"),
    "degraded": gettext_lazy("Degraded"),
    "direct": gettext_lazy("Reached directly"),
    "indirect": gettext_lazy("Reached through others"),
    "unsure": gettext_lazy("Not sure"),
    "context": gettext_lazy("Not reached"),
}
LINES = {
    "hit": gettext_lazy("Path of the reach"),
    "doubt": gettext_lazy("Over a relation nobody confirmed lately"),
    "added": gettext_lazy("Relation added"),
    "removed": gettext_lazy("Relation removed"),
    "changed": gettext_lazy("Relation changed"),
}
SEEDS = ("added", "removed", "changed")
REACHED = ("direct", "indirect", "unsure")
EFFECTS = ("down", "degraded")
NARROW, WIDE = frozenset("ijlftrI.,:;'|()[] -"), frozenset("mwMWQOGDCHNU@%&")


def layer_label(name: str) -> str:
    """A layer's name as a word."""
    return name.replace("-", " ").replace("_", " ").capitalize()


def with_query(request: PageRequest, **changed: str) -> str:
    """The address of this page with these parameters in place of its own; an empty one goes."""
    query = request.GET.copy()
    for name, value in changed.items():
        query.pop(name, None)
        if value:
            query[name] = value
    return f"?{query.urlencode()}"


def board_of(request: PageRequest, found: dict[str, Any] | None, keys: set[str]) -> dict[str, Any] | None:
    """The stored board as the page draws it. What is reached and not among `keys` is faint: it lies beyond the bounds asked for."""
    if not found or not found["nodes"]:
        return None
    by = request.GET.get("by", "type")
    if by in GROUPINGS and by != found["by"]:
        found = regrouped(found, by)
    view = request.GET.get("as", "picture")
    nodes = [node | {"mark": mark_of(node), "what": str(MARKS[node["state"]])} for node in found["nodes"]]
    marks, lines = {node["mark"] for node in nodes}, {state for _one, _two, state in found["edges"]}
    shown = {
        "view": view if view in VIEWS else "picture",
        "views": {name: with_query(request, **{"as": "" if name == "picture" else name}) for name in VIEWS},
        "groupings": {name: with_query(request, by="" if name == "type" else name) for name in GROUPINGS},
    }
    if shown["view"] == "table":
        return found | shown | {"rows": rows_of(nodes, found["edges"])}
    return (
        found
        | shown
        | {
            "bands": [banded(band) for band in found["bands"]],
            "heads": [head | {"text": head["y"] + 14, "label": fitted(head["name"] or _("No owner"), CELL, 6.2)} for head in found["heads"]],
            "nodes_drawn": svg_nodes(nodes, keys),
            "edges_drawn": svg_edges(found),
            "sentence": sentence_of(nodes),
            "key": [(mark, word) for mark, word in MARKS.items() if mark in marks],
            "lines": [(state, word) for state, word in LINES.items() if state in lines],
        }
    )


def svg_nodes(nodes: list[dict[str, Any]], keys: set[str]) -> SafeString:
    """The components as links. By hand, not by a template: five hundred of them cost a page 5 ms, not 60."""
    words = {name: str(word).lower() for name, word in MARKS.items()}
    return mark_safe("\n".join(svg_node(number, node, words, keys) for number, node in enumerate(nodes)))


def svg_node(number: int, node: Mapping[str, Any], words: Mapping[str, str], keys: set[str]) -> str:
    """One component: its sign, its name as far as it fits, and for what stands out a line of words. Everything is said in its title."""
    x, y, mark = node["x"], node["y"], node["mark"]
    off = " off" if node["state"] in REACHED and node["key"] not in keys else ""
    below = f'<text class="s" x="{x + 21}" y="{y + 29}">{escape(short_of(node, words))}</text>' if node["h"] > LOW else ""
    return (
        f'<a class="b {mark}{off}" href="/architecture/{quote(node["key"])}/" data-n="{number}"><title>{escape(said_of(node, words))}</title>'
        f'<rect x="{x}" y="{y}" width="{CELL}" height="{node["h"]}"/><use href="#m-{mark}" x="{x + 11}" y="{y + 11}"/>'
        f'<text x="{x + 21}" y="{y + 15}">{escape(fitted(node["name"], CELL - 25, 6.4))}</text>{below}</a>'
    )


def svg_edges(found: Mapping[str, Any]) -> SafeString:
    """The lines, each with the places of its ends."""
    nodes, bands = found["nodes"], found["bands"]
    return mark_safe(
        "".join(
            f'<path class="e {state}" data-a="{one}" data-b="{two}" d="{route(nodes[one], nodes[two], bands, state)}"/>'
            for one, two, state in found["edges"]
        )
    )


def mark_of(node: Mapping[str, Any]) -> str:
    """The one sign a component bears: what is done to it, else what becomes of it, else how it is reached."""
    if node["state"] in SEEDS:
        return str(node["state"])
    return str(node["effect"] if node["effect"] in EFFECTS else node["state"])


def said_of(node: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Everything about a component: its name, how it is concerned, what it is, whose it is."""
    parts = [words[node["state"]]]
    parts += [words[node["effect"]]] if node["effect"] in EFFECTS else []
    parts += [_("score %(score)s") % {"score": f"{node['score']:.2f}"}] if node["state"] in REACHED else []
    parts += [node["type"]] if node["type"] else []
    parts += [_("owner %(owner)s") % {"owner": node["owner"]}] if node["owner"] else []
    return f"{node['name']}: {', '.join(parts)}"


def short_of(node: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """The line under the name of what stands out."""
    effect = words[node["effect"]] if node["effect"] in EFFECTS else ""
    if node["state"] in SEEDS:
        return f"{words[node['state']]}, {effect}" if effect else words[node["state"]]
    return f"{effect}, {node['score']:.2f}"


def banded(band: dict[str, Any]) -> dict[str, Any]:
    count = str(band["shown"]) if band["shown"] == band["total"] else _("%(shown)d of %(total)d") % band
    return band | {"label": fitted(layer_label(band["layer"]), 70, 6.2), "text": band["y"] + 28, "count": count, "below": band["y"] + 42}


def rows_of(nodes: list[dict[str, Any]], edges: Iterable[list[Any]]) -> list[dict[str, Any]]:
    """The board as a table: each component with those it is reached from."""
    before: dict[int, list[str]] = {}
    for one, two, _state in edges:
        before.setdefault(two, []).append(nodes[one]["name"])
    return [node | {"layer_label": layer_label(node["layer"]), "before": before.get(number, [])} for number, node in enumerate(nodes)]


def fitted(text: str, width: float, size: float) -> str:
    """The text as far as it goes into `width`, by rough widths of letters of which the middling one is `size` wide."""
    taken = 0.0
    for place, sign in enumerate(text):
        taken += size * (0.55 if sign in NARROW else 1.4 if sign in WIDE else 1.0)
        if taken > width:
            return text[: max(1, place - 1)].rstrip() + "…"
    return text


def sentence_of(nodes: list[dict[str, Any]]) -> str:
    """The picture for those who hear it."""
    changed = sum(node["state"] in SEEDS for node in nodes)
    reached = sum(node["state"] in ("direct", "indirect") for node in nodes)
    return _("Layer picture. Changed: %(changed)d. Reached: %(reached)d. The same stands in the table.") % {"changed": changed, "reached": reached}
