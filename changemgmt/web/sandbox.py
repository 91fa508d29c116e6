"""The sandbox of a change: the architecture as it would be, searched and looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.architecture.rules import COMPONENT
from changemgmt.changes.queries import visible
from changemgmt.core.diff import differences
from changemgmt.core.reading import reading
from changemgmt.lifecycle.edit.editing import may_edit
from changemgmt.preview.layout import Edge, Vertex, layout
from changemgmt.preview.sandbox import ADDED, CHANGED, MOST_RELATIONS, REMOVED, Row, Tie, Wanted, listed, mark_of, sandbox_of, ties_of

from .architecture import SIZE, ComponentFilters, at_page, page_number
from .base import PageRequest, page
from .board import layer_label
from .impact import layer_order

if TYPE_CHECKING:
    from changemgmt.changes.models import Change

RELATION_WORDS = {ADDED: lambda: _("new relation"), CHANGED: lambda: _("relation changed"), REMOVED: lambda: _("relation removed")}
LOOKS = {ADDED: "ok", CHANGED: "acc", REMOVED: "bad", "": ""}


def words_of(mark: str) -> str:
    return {ADDED: _("Added"), CHANGED: _("Changed"), REMOVED: _("Removed"), "": ""}[mark]


def address(change: Change, key: str, part: str = "component/") -> str:
    """Where a component is looked at in the sandbox."""
    return f"/changes/{change.number}/sandbox/{part}?{urlencode({'key': key})}"


class SandboxFilters(ComponentFilters):
    """As in the live architecture, and whether only what the change touches is shown."""

    touched = forms.BooleanField(label=gettext_lazy("Only what this change touches"), required=False)

    @property
    def used(self) -> list[str]:
        return [str(self.fields[name].label) if value is True else str(value) for name, value in self.cleaned_data.items() if value]

    def wanted(self) -> Wanted:
        given = self.cleaned_data
        return Wanted(given["q"].strip(), given["layer"], given["type"], given["owner"].strip(), given["status"], given["touched"])


@page()
def sandbox(request: PageRequest, number: str) -> HttpResponse:
    """Components as they would be: those the change touches first, narrowed by the filters, fifty a page."""
    with reading():
        change = visible(request.user, number)
        form = SandboxFilters(request.GET)
        at = page_number(request)
        valid = form.is_valid()
        found = listed(sandbox_of(change), form.wanted(), start=(at - 1) * SIZE, size=SIZE) if valid else None
        context = {
            "change": change,
            "form": form,
            "rows": [shown(change, row) for row in found.rows] if found else [],
            "next": at_page(request, at + 1) if found and found.more else None,
            "previous": at_page(request, at - 1) if at > 1 else None,
            "used": form.used if valid else [],
            "may": may_edit(change, actor=request.user),
        }
        return render(request, "sandbox/list.html", context, status=200 if valid else 400)


def shown(change: Change, row: Row) -> dict[str, Any]:
    """A component of a list, with where it is looked at and what becomes of it."""
    layer = layer_label(row.image["layer"])
    return {**row.image, "layer": layer, "href": address(change, row.image["key"]), "what": words_of(row.mark), "look": LOOKS[row.mark]}


@page()
def component(request: PageRequest, number: str) -> HttpResponse:
    """One component as it would be: its values, its relations, its neighbours."""
    with reading():
        change = visible(request.user, number)
        box = sandbox_of(change)
        image = box.at(COMPONENT, request.GET.get("key", ""))
        ties = ties_of(box, image.key)
        now, mark = image.after or image.before or {}, mark_of(image)
        context = {
            "change": change,
            "component": now,
            "layer": layer_label(now["layer"]),
            "mark": mark,
            "what": words_of(mark),
            "look": LOOKS[mark],
            "fields": differences(image.before, image.after) if mark == CHANGED else [],
            "attributes": sorted(now["attributes"].items()),
            "ties": [told(change, tie) for tie in ties],
            "cut": len(ties) >= MOST_RELATIONS,
            "picture": picture_of(change, Row(now, mark), ties),
            "live": image.before is not None,
            "gone": image.after is None,
            "may": may_edit(change, actor=request.user),
        }
        return render(request, "sandbox/component.html", context)


def told(change: Change, tie: Tie) -> dict[str, Any]:
    """A relation in words."""
    end = tie.image["target" if tie.outward else "source"]
    other = tie.other.image if tie.other else None
    return {
        "key": tie.image["key"],
        "type": tie.image["type"],
        "outward": tie.outward,
        "name": (other["name"] or other["key"]) if other else end,
        "href": address(change, other["key"]) if other else "",
        "edit": address(change, tie.image["key"], "relation/"),
        "mark": tie.mark,
        "what": words_of(tie.mark),
        "look": LOOKS[tie.mark],
    }


def picture_of(change: Change, row: Row, ties: list[Tie]) -> dict[str, Any] | None:
    """The component among its neighbours as they would be, by layer; what would go is drawn, too."""
    near = {tie.other.image["key"]: tie for tie in ties if tie.other and tie.other.image["key"] != row.image["key"]}
    if not near:
        return None
    vertices = [vertex(row, "changed"), *(vertex(tie.other, "direct") for tie in near.values() if tie.other)]
    edges = [edge(row.image["key"], tie) for tie in near.values()]
    drawn = layout(vertices, edges, layer_order())
    nodes = [node_of(change, node, near.get(node["key"])) for node in drawn["nodes"]]
    bands = [band | {"label": layer_label(band["layer"]), "text": band["y"] + 18} for band in drawn["bands"]]
    sentence = _("%(name)s and %(count)d neighbours by layer") % {"name": row.image["name"] or row.image["key"], "count": len(near)}
    return drawn | {"nodes": nodes, "bands": bands, "sentence": sentence}


def vertex(row: Row, state: str) -> Vertex:
    return Vertex(row.image["key"], row.image["name"], row.image["layer"], state)


def edge(key: str, tie: Tie) -> Edge:
    """A line from or to the component; what stays as it is recedes."""
    other = tie.other.image["key"] if tie.other else key
    source, target = (key, other) if tie.outward else (other, key)
    return Edge(source, target, tie.mark or "context")


def node_of(change: Change, node: dict[str, Any], tie: Tie | None) -> dict[str, Any]:
    """A node with its words, and where it leads; what becomes of a neighbour goes before what becomes of the relation to it."""
    becomes = words_of(tie.other.mark) if tie and tie.other else ""
    words = becomes or (RELATION_WORDS[tie.mark]() if tie and tie.mark else tie.image["type"] if tie else _("this component"))
    places = {"tx": node["x"] + 10, "ty": node["y"] + 18, "sy": node["y"] + 34}
    return node | places | {"look": "chg" if tie is None or becomes else "", "words": words, "href": address(change, node["key"])}
