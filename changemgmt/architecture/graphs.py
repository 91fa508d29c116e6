"""The graph of a revision. The live one is kept per process and, where it is large, in files that all processes of the machine share."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Collate

from . import graph_files
from .graph import ComponentRow, Graph, RelationRow, Rule, assembled, build
from .models import Component, PropagationSettings, Relation, RelationType, Revision
from .overlay import Bounds
from .queries import confirmed, images_at, portions, trusted_since
from .revised import revised
from .rules import COMPONENT, RELATION, RELATION_END, SEVERITY, Severity
from .trust import seconds

IN_FILES = 20_000
"""From so many components and relations on, a graph is kept in files."""
FAR = "type:propagationsettings:propagation"
MOST_REVISED = 50_000
"""After so many touched keys it is built anew."""


class Newest(NamedTuple):
    """The newest revision: its number, and a token that no other revision ever had. 0 and nothing before the first."""

    number: int
    token: str


class Live(NamedTuple):
    """The live architecture as propagation takes it: who touches whom, how each relation type conducts by name, how far a change is
    followed, and how much each operation weighs. Trust is looked at by `bounds_at` only."""

    graph: Graph
    rules: dict[str, Rule]
    bounds: Bounds
    weights: Severity

    def bounds_at(self, now: datetime) -> Bounds:
        """The bounds at this moment, which says which relations count as confirmed."""
        return replace(self.bounds, confirmed_since=seconds(trusted_since(now)))


_kept: dict[str, Live] = {}
_finding = threading.Lock()


def live() -> Live:
    """The live architecture. It is kept until the next revision, and that is made from it: what decides propagation moves by revisions only."""
    asked = newest()
    if not asked.token:
        return Live(_from_live(asked.number), current_rules(), *_far())
    with _finding:
        while asked.token not in _kept:
            found, read = Live(_found(asked), current_rules(), *_far()), asked
            asked = newest()
            # Rows are read one after the other: what a revision wrote meanwhile may be among them in part.
            if asked == read:
                _kept.clear()
                _kept[asked.token] = found
        return _kept[asked.token]


def graph_at(revision: int | None = None) -> Graph:
    """The graph of a revision (None: the live one)."""
    if revision is None or revision == newest().number:
        return live().graph
    return _from_history(revision)


def newest() -> Newest:
    """The newest revision of the live architecture."""
    number, token = Revision.objects.order_by("-number").values_list("number", "token").first() or (0, "")
    return Newest(number, str(token))


def _found(asked: Newest) -> Graph:
    """The graph of the newest revision: from its files, from an earlier one, or from all rows."""
    root = settings.DATA_DIR / "graphs"
    if graph := graph_files.load(root, asked.token):
        return graph
    with graph_files.alone(root):
        if graph := graph_files.load(root, asked.token):
            return graph
        base = _base(root, asked)
        graph = _revised(base[1], asked) if base else None
        if graph is None:
            base, graph = None, _from_live(asked.number)
        large = graph.size + len(graph.relation_keys) >= IN_FILES
        return graph_files.save(root, asked.token, graph, base) if large else graph


def _base(root: Any, asked: Newest) -> tuple[str, Graph] | None:
    """The newest earlier graph at hand, with its token."""
    there = [*_kept, *graph_files.tokens(root)]
    found = Revision.objects.filter(token__in=there, number__lt=asked.number).order_by("-number").values_list("token", flat=True).first()
    token = str(found or "")
    graph = _kept[token].graph if token in _kept else graph_files.load(root, token)
    return (token, graph) if graph else None


def _revised(base: Graph, asked: Newest) -> Graph | None:
    """The base with what was touched since; None where that is not known one by one, or too much."""
    since = Revision.objects.filter(number__gt=base.revision, number__lte=asked.number).values_list("touched", flat=True)
    touched = {key for keys in since for key in keys}
    # Types and layers give the arrays their names; how far is looked is not among them.
    named_anew = any(key.startswith("type:") and key != FAR for key in touched)
    if len(touched) > MOST_REVISED or "*" in touched or named_anew:
        return None
    return revised(base, asked.number, touched, *rows_of(sorted(touched)))


def rows_of(keys: Sequence[str]) -> tuple[list[ComponentRow], list[RelationRow]]:
    """The live components and relations of these keys."""
    parts = [row for portion in portions(keys) for row in _component_rows(Component.objects.filter(key__in=portion))]
    return parts, [row for portion in portions(keys) for row in _relation_rows(Relation.objects.filter(key__in=portion))]


def _from_live(revision: int) -> Graph:
    # Keys are compared by their bytes here; PostgreSQL sorts by its locale unless it is told otherwise.
    by_key = Collate("key", "C") if connection.vendor == "postgresql" else "key"
    return assembled(revision, _component_rows(Component.objects.order_by(by_key)), _relation_rows(Relation.objects.order_by(by_key)))


def _component_rows(rows: QuerySet[Component]) -> Iterator[ComponentRow]:
    yield from rows.values_list("key", "layer__name", "type__name", "criticality", "users", "needs").iterator(5000)


def _relation_rows(rows: QuerySet[Relation]) -> Iterator[RelationRow]:
    ends = ("source__key", "source_relation__key", "target__key", "target_relation__key")
    for key, type_name, *sides, confirmed_at, refuted_at in rows.values_list("key", "type__name", *ends, "confirmed_at", "refuted_at").iterator(5000):
        yield key, type_name, _end(*sides[:2]), _end(*sides[2:]), confirmed_at, refuted_at


def _end(component: str | None, relation: str | None) -> str:
    return component if component is not None else f"{RELATION_END}{relation}"


def _from_history(revision: int) -> Graph:
    """The same from the images of back then."""
    parts, links = images_at(COMPONENT, revision), images_at(RELATION, revision)
    return build(
        revision,
        [(key, row["layer"], row["type"], row["criticality"], row["users"], row["needs"]) for key, row in parts.items()],
        [
            (key, row["type"], row["source"], row["target"], confirmed(row["confirmed_at"]), confirmed(row.get("refuted_at")))
            for key, row in links.items()
        ],
    )


def current_rules() -> dict[str, Rule]:
    """How each relation type conducts now, by name."""
    types = RelationType.objects.prefetch_related("layers")
    return {row.name: Rule(row.propagation, row.weight, frozenset(layer.name for layer in row.layers.all())) for row in types}


def _far() -> tuple[Bounds, Severity]:
    """How far a change is followed and how much each operation weighs, as the administrators set it."""
    row = PropagationSettings.objects.prefetch_related("layers", "relation_types").first()
    if row is None:
        return Bounds(), SEVERITY
    layers, types = (frozenset(one.name for one in chosen.all()) or None for chosen in (row.layers, row.relation_types))
    return Bounds(row.max_depth, row.min_score, layers, types), Severity(
        row.delete_weight, row.update_weight, row.interface_weight, row.create_weight
    )
