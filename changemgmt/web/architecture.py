"""The architecture: browse and search components, see one with its neighbours, its history and the changes that touch it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.architecture.exports import EXPORTS, LIVE
from changemgmt.architecture.graphs import live
from changemgmt.architecture.models import Component, ComponentType, Layer, Relation
from changemgmt.architecture.past import revision_of, source_at
from changemgmt.architecture.places import FOLDER, VIEW, is_place
from changemgmt.architecture.propagation import propagate
from changemgmt.architecture.queries import component as component_of
from changemgmt.architecture.queries import current_revision, history_of, relations_of, search, trusted_since
from changemgmt.architecture.rules import UPDATE, severity
from changemgmt.architecture.trust import trust_of
from changemgmt.changes.models import OPEN, Change, Item, Reach
from changemgmt.changes.queries import visible_to
from changemgmt.core.diff import differences
from changemgmt.core.reading import once
from changemgmt.lifecycle.import_architecture import may_import
from changemgmt.lifecycle.judge_relation import may_judge_rows
from changemgmt.preview.layout import Edge, Vertex, layout

from .architecture_history import history
from .base import PageRequest, names_of, page
from .board import layer_label
from .impact import explained, layer_order

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from django.db.models import QuerySet

    from changemgmt.accounts.models import User

SIZE = 50
LAST_PAGE = 20_000
REACHED = 12
MOST_CHANGES = 20


def choice(label: Any, choices: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, choices=choices, required=False, widget=forms.Select(attrs={"class": "in"}))


def layers() -> list[tuple[str, str]]:
    return [("", _("All layers")), *((name, layer_label(name)) for name in layer_order())]


@once
def used_types() -> list[tuple[str, str]]:
    """Types that some component has."""
    names = ComponentType.objects.filter(components__isnull=False).distinct().values_list("name", flat=True)
    return [("", _("All types")), *((name, name) for name in names)]


class ComponentFilters(forms.Form):
    """Every field narrows the list; an empty one doesn't."""

    q = forms.CharField(
        label=gettext_lazy("Name or key"),
        max_length=300,
        required=False,
        widget=forms.TextInput(attrs={"class": "in", "type": "search", "autocomplete": "off"}),
    )
    layer = choice(gettext_lazy("Layer"), layers)
    type = choice(gettext_lazy("Type"), used_types)
    owner = forms.CharField(
        label=gettext_lazy("Owner"), max_length=200, required=False, widget=forms.TextInput(attrs={"class": "in", "autocomplete": "off"})
    )
    status = choice(gettext_lazy("Status"), [("", gettext_lazy("Any status")), *Component.Status.choices])

    def narrow(self) -> QuerySet[Component]:
        """The components these filters leave."""
        given = self.cleaned_data
        layer, type = ([given[name]] if given[name] else [] for name in ("layer", "type"))
        return search(q=given["q"].strip(), layer=layer, type=type, owner=given["owner"].strip(), status=given["status"])

    @property
    def used(self) -> list[str]:
        """The values that narrow, for the reader."""
        return [str(value) for value in self.cleaned_data.values() if value]


@page()
def architecture(request: PageRequest) -> HttpResponse:
    """Components by name, narrowed by the filters, fifty a page."""
    form = ComponentFilters(request.GET)
    valid = form.is_valid()
    number = page_number(request)
    rows = list(form.narrow()[(number - 1) * SIZE : number * SIZE + 1]) if valid else []
    counts = Layer.objects.annotate(n=Count("components")).values_list("name", "n")
    context = {
        "form": form,
        "used": form.used if valid else [],
        "rows": rows[:SIZE],
        "next": at_page(request, number + 1) if len(rows) > SIZE else None,
        "previous": at_page(request, number - 1) if number > 1 else None,
        "per_layer": [(name, layer_label(name), count) for name, count in counts],
        "total": sum(count for _name, count in counts),
        "relations": Relation.objects.count(),
        "revision": current_revision(),
        "may_import": may_import(request.user),
        "exports": list(EXPORTS),
    }
    return render(request, "architecture/list.html", context, status=200 if valid else 400)


def page_number(request: PageRequest) -> int:
    text = request.GET.get("page", "")
    return min(max(int(text), 1), LAST_PAGE) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def at_page(request: PageRequest, number: int) -> str:
    query = request.GET.copy()
    query["page"] = str(number)
    return f"?{query.urlencode()}"


@page()
def component(request: PageRequest, key: str) -> HttpResponse:
    """One component: what it is, what it is tied to, what a change of it would reach, what happened to it."""
    row = component_of(key)
    relations = relations_of(key)
    since = trusted_since(request.now)
    all_of_it = live()
    weight = severity(UPDATE, weights=all_of_it.weights)
    reached = propagate(all_of_it.graph, {key: weight}, rules=all_of_it.rules, bounds=all_of_it.bounds_at(request.now))
    verdicts = may_judge_rows(relations, actor=request.user)
    order = layer_order()
    history = told(history_of(key), request.user)
    context = {
        "component": row,
        "attributes": flat(row.attributes),
        "folders": [" / ".join(place["path"]) for place in row.external_references if is_place(place) and place["kind"] == FOLDER],
        "views": [place["name"] or place["id"] for place in row.external_references if is_place(place) and place["kind"] == VIEW],
        "needs": sorted(row.needs.items()),
        "ties": [tie(relation, row, since) | {"may": verdicts[relation.key].allowed} for relation in relations],
        "picture": picture_of(row, relations, order),
        "affected": explained([asdict(one) for one in reached[: min(REACHED, reached.sure)]]),
        "affected_total": reached.sure,
        "unsure": len(reached) - reached.sure,
        "here": request.get_full_path(),
        "by_layer": [(layer_label(name), count) for name, count in sorted(reached.by_layer().items(), key=lambda pair: order.index(pair[0]))],
        "history": history,
        "changes": touching(request.user, key),
        "people": names_of(entry["actor"] for entry in history),
    }
    return render(request, "architecture/component.html", context)


def flat(attributes: dict[str, Any]) -> list[tuple[str, Any]]:
    """Attributes by path; lists and values as they are."""
    return [(found.path, found.after) for found in differences({}, attributes)]


def tie(relation: Relation, row: Component, since: datetime) -> dict[str, Any]:
    """A relation as its component sees it: in words, what is at the other end, and how far it can be relied upon."""
    outward = relation.source_id == row.pk
    other, further = (relation.target, relation.target_relation) if outward else (relation.source, relation.source_relation)
    words = relation.type.name if outward else relation.type.inverse or relation.type.name
    return {
        "key": relation.key,
        "words": words,
        "outward": outward,
        "other": other,
        "relation": further.key if further else "",
        "name": relation.attributes.get("name", ""),
        "trust": trust_of(relation.confirmed_at, relation.refuted_at, since),
        "confirmed_at": relation.confirmed_at,
        "refuted_reason": relation.refuted_reason,
    }


def picture_of(row: Component, relations: Iterable[Relation], order: list[str]) -> dict[str, Any] | None:
    """The component among its neighbours, by layer."""
    near: dict[str, Component] = {}
    words: dict[str, str] = {}
    edges = []
    for relation in relations:
        if relation.source and relation.target:
            edges.append(Edge(relation.source.key, relation.target.key))
            other = relation.target if relation.source_id == row.pk else relation.source
            if other.pk != row.pk:
                near[other.key] = other
                words.setdefault(other.key, relation.type.name)
    if not near:
        return None
    vertices = [Vertex(row.key, row.name, row.layer.name, "changed", 1.0)]
    vertices += [Vertex(other.key, other.name, other.layer.name, "direct", other.criticality / 10) for other in near.values()]
    drawn = layout(vertices, edges, order)
    nodes = [
        node
        | {
            "look": "chg" if node["key"] == row.key else "",
            "words": _("this component") if node["key"] == row.key else words[node["key"]],
            "tx": node["x"] + 10,
            "ty": node["y"] + 18,
            "sy": node["y"] + 34,
        }
        for node in drawn["nodes"]
    ]
    bands = [band | {"label": layer_label(band["layer"]), "text": band["y"] + 18} for band in drawn["bands"]]
    sentence = _("%(name)s and %(count)d neighbours by layer") % {"name": row.name or row.key, "count": len(near)}
    return drawn | {"nodes": nodes, "bands": bands, "sentence": sentence}


def told(history: list[dict[str, Any]], viewer: User) -> list[dict[str, Any]]:
    """The history with what differs from the step before; changes the viewer may not see are not named."""
    numbers = {entry["change"] for entry in history if entry["change"]}
    seen = set(visible_to(viewer).filter(number__in=numbers).values_list("number", flat=True))
    kinds = {"+": _("Added"), "~": _("Updated"), "-": _("Removed")}
    found = []
    for entry, older in zip(history, [*history[1:], None], strict=True):
        fields = differences(older["image"], entry["image"]) if older and entry["kind"] == "~" else []
        hidden = bool(entry["change"]) and entry["change"] not in seen
        change = "" if hidden else entry["change"]
        found.append(entry | {"fields": fields, "what": kinds.get(entry["kind"], ""), "change": change, "hidden": hidden})
    return found


def touching(viewer: User, key: str) -> list[Change]:
    """Open changes this person may see that write the component (`writes`) or reach it, those that write it first."""
    writes = Item.objects.filter(Q(key=key) | Q(source=key) | Q(target=key), change=OuterRef("pk"))
    reaches = Reach.objects.filter(key=key, change=OuterRef("pk"))
    own = visible_to(viewer).filter(state__in=OPEN).annotate(writes=Exists(writes))
    return list(own.filter(Q(writes=True) | Exists(reaches)).order_by("-writes", "-created_at")[:MOST_CHANGES])


@page()
def export(request: PageRequest) -> HttpResponse:
    """The whole architecture as a file; with `at` as it was then."""
    form = EXPORTS.get(request.GET.get("as", "json"), EXPORTS["json"])
    at = request.GET.get("at", "").strip()
    response = HttpResponse(form.write(source_at(revision_of(at, "at")) if at else LIVE), content_type=form.content_type)
    response["Content-Disposition"] = f'attachment; filename="{form.file_name}"'
    return response


urlpatterns = [
    path("architecture/", architecture, name="architecture"),
    path("architecture.export", export, name="architecture-export"),
    path("architecture.history", history, name="architecture-history"),
    path("architecture/<path:key>/", component, name="component"),
]
