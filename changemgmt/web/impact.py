"""What a change reaches and what it would make of the architecture: picture, list with the path that explains each, preview."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from changemgmt.accounts.queries import has_role
from changemgmt.architecture.impact import trusted
from changemgmt.architecture.models import Layer
from changemgmt.architecture.trust import CONFIRMED
from changemgmt.changes.models import Change, Preview
from changemgmt.changes.queries import visible
from changemgmt.core.errors import Invalid
from changemgmt.core.reading import once, reading
from changemgmt.lifecycle.compute_preview import ask_for_preview, may_cancel, may_compute
from changemgmt.preview.queries import HIDDEN, diff_of, impact_of, layout_of, preview_of, stored
from changemgmt.preview.stacked import stacked_preview

from .base import PageRequest, done, page
from .board import board_of, layer_label, with_query
from .computing import computing
from .diff import SHORT_ROWS, groups_of
from .items import component_names, described, learn_component_names
from .relations import in_doubt

if TYPE_CHECKING:
    from changemgmt.accounts.models import User

# On the page of the change.
SHORT_LIST = 25
LONG_LIST = 500
OWNERS = 8
DEEPEST = 50
# The width of a node, in units of the drawing, from which on it holds the long words.
ROOMY = 126
LOOKS = {"changed": "chg", "added": "chg", "removed": "chg", "direct": "dir", "indirect": "ind", "context": "ctx"}


@once
def layer_order() -> list[str]:
    return list(Layer.objects.values_list("name", flat=True))


def bands_of(row: Preview, counts: dict[str, int]) -> list[str]:
    """The layers in their order: as the stored picture has them, where it has all of them."""
    drawn = [band["layer"] for band in (row.layout or {}).get("bands", ())]
    return drawn if set(counts) <= set(drawn) else layer_order()


def reach_of(change: Change) -> dict[str, Any]:
    """How far the change reaches, in figures: by layer, the highest, how many users."""
    row = stored(change)
    if row is None or not row.impact:
        return {"known": False, "total": 0, "layers": [], "highest": None, "users": 0, "unsure": 0, "stale": False}
    impact = row.impact
    affected = trusted(impact.get("affected", []))
    counts = impact.get("by_layer", {})
    most = max(counts.values(), default=1)
    order = {name: place for place, name in enumerate(bands_of(row, counts))}
    layers = [
        {"name": layer_label(name), "count": count, "share": 100 * count / most}
        for name, count in sorted(counts.items(), key=lambda pair: order.get(pair[0], 99))
    ]
    top = max(affected, key=lambda entry: (entry["criticality"], entry["score"], entry["key"]), default=None)
    highest = {"name": component_names([top["key"]]).get(top["key"], top["key"]), "criticality": top["criticality"]} if top else None
    return {
        "known": True,
        "total": len(affected),
        "layers": layers,
        "highest": highest,
        "users": impact.get("users", 0),
        "unsure": impact.get("untrusted", 0),
        "stale": row.version != change.version,
    }


def keys_shown(impact: dict[str, Any]) -> set[str]:
    """The components that the impact panel names."""
    return keys_of(trusted(impact.get("affected", []))[:SHORT_LIST])


def keys_of(rows: list[dict[str, Any]]) -> set[str]:
    """These reached components, and what lies on their paths."""
    return {step["key"] for row in rows for step in row["path"]} | {row["key"] for row in rows}


def impact_context(change: Change, viewer: User) -> dict[str, Any]:
    """What the impact panel shows: figures, picture, and the strongest of the list."""
    impact = impact_of(change, viewer)
    sure = trusted(impact["affected"])
    return {
        "reach": reach_of(change),
        "picture": picture_of(layout_of(change)),
        "affected": explained(sure[:SHORT_LIST]),
        "affected_total": len(sure),
        "collisions": [row | {"number": "" if row["number"] == HIDDEN else row["number"]} for row in impact["collisions"][:20]],
    }


def picture_of(layout: dict[str, Any]) -> dict[str, Any] | None:
    """The stored layout with classes and words for the template."""
    if not layout or not layout.get("nodes"):
        return None
    nodes = [
        node | {"look": LOOKS.get(node["state"], "ctx"), "words": words_of(node), "tx": node["x"] + 10, "ty": node["y"] + 18, "sy": node["y"] + 34}
        for node in layout["nodes"]
    ]
    bands = [band | {"label": layer_label(band["layer"]), "text": band["y"] + 18} for band in layout["bands"]]
    return layout | {"nodes": nodes, "bands": bands, "sentence": sentence_of(nodes)}


def words_of(node: dict[str, Any]) -> str:
    """How a node is reached, in words."""
    fixed = {"changed": _("changed"), "added": _("added"), "removed": _("removed"), "context": _("not reached")}
    if node["state"] in fixed:
        return fixed[node["state"]]
    score = {"score": f"{node['score']:.2f}"}
    if node["w"] < ROOMY:
        return _("direct, %(score)s") % score if node["state"] == "direct" else _("indirect, %(score)s") % score
    return _("reached directly, %(score)s") % score if node["state"] == "direct" else _("through others, %(score)s") % score


def sentence_of(nodes: list[dict[str, Any]]) -> str:
    """The picture for those who hear it."""
    changed = ", ".join(node["name"] for node in nodes if node["look"] == "chg") or _("nothing")
    reached = sum(node["look"] in ("dir", "ind") for node in nodes)
    return _("Impact graph. Changed: %(changed)s. Reached: %(reached)d.") % {"changed": changed, "reached": reached}


def explained(rows: list[dict[str, Any]], names: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Reached components with names and the path that explains each."""
    names = component_names(keys_of(rows)) if names is None else names
    return [
        row | {"name": names.get(row["key"], row["key"]), "layer_label": layer_label(row["layer"]), "steps": steps_of(row["path"], names)}
        for row in rows
    ]


def cut(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The head of a ranked list: until the score falls below where noise begins, and no more than one reads."""
    clear = next((place for place, row in enumerate(rows) if row["score"] < settings.IMPACT_LIST_SCORE), len(rows))
    return rows[: min(clear, settings.IMPACT_LIST_LENGTH)]


def listed(rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """One page of the whole list, or its head where no page is asked for (0)."""
    return rows[(number - 1) * LONG_LIST : number * LONG_LIST] if number else cut(rows)


def by_layer(rows: list[dict[str, Any]], whole: list[dict[str, Any]], names: dict[str, str], order: list[str]) -> list[dict[str, Any]]:
    """The shown rows under their layers, in the order of the layers, each with how many the whole list has of it."""
    counts = Counter(row["layer"] for row in whole)
    shown: dict[str, list[dict[str, Any]]] = {}
    for row in explained(rows, names):
        shown.setdefault(row["layer"], []).append(row)
    places = {name: place for place, name in enumerate(order)}
    return [
        {"name": name, "label": layer_label(name), "count": counts[name], "rows": shown[name]}
        for name in sorted(shown, key=lambda name: (places.get(name, len(places)), name))
    ]


def steps_of(path: list[dict[str, Any]], names: dict[str, str]) -> list[dict[str, str]]:
    """A path as names, each with the relation that leads to it."""
    return [
        {"name": names.get(step["key"], step["key"])} | {name: step.get(name, "") for name in ("relation", "direction", "trust")} for step in path
    ]


@page()
def impact(request: PageRequest, number: str) -> HttpResponse:
    """The explorer: narrowed by depth, score, layer and words; ranked, by layer, and what is not sure apart."""
    with reading():
        return render(request, "changes/impact.html", impact_page(request, visible(request.user, number)))


def impact_page(request: PageRequest, change: Change) -> dict[str, Any]:
    """What the explorer shows."""
    prefetch_related_objects([change], "items")
    board = layout_of(change).get("board")
    learn_component_names({node["key"]: node["name"] for node in board["nodes"]} if board else {})
    whole = impact_of(change, request.user)
    depth, score, layer, q = wanted(request, whole.get("bounds") or {})
    found = [
        row
        for row in whole["affected"]
        if row["distance"] <= depth and row["score"] >= score and (not layer or row["layer"] == layer) and (not q or q.lower() in row["key"].lower())
    ]
    sure = trusted(found)
    unsure = [row for row in found if row.get("trust", CONFIRMED) != CONFIRMED]
    at = page_asked(request)
    rows, doubts = listed(sure, at), listed(unsure, at)
    names = component_names(keys_of([*rows, *doubts]))
    order = [band["layer"] for band in board["bands"]] if board else layer_order()
    left, left_unsure = len(sure) - len(rows), len(unsure) - len(doubts)
    keys = {row["key"] for row in found} | set(whole["direct"])
    return {
        "change": change,
        "impact": whole,
        "board": board_of(request, board, keys),
        "groups": by_layer(rows, sure, names, order),
        "owners": list(whole["by_owner"].items())[:OWNERS],
        "owners_left": max(len(whole["by_owner"]) - OWNERS, 0),
        "criticality": list(whole["by_criticality"].items()),
        "shown": len(rows),
        "found": len(sure),
        "unsure": explained(doubts, names),
        "unsure_found": len(unsure),
        "in_doubt": in_doubt(doubts, names, request.user),
        "left": left,
        "left_unsure": left_unsure,
        "page": at,
        "whole": at_page(request, 1) if left + left_unsure and not at else None,
        "previous": at_page(request, at - 1) if at > 1 else None,
        "next": at_page(request, at + 1) if at and at * LONG_LIST < max(len(sure), len(unsure)) else None,
        "here": request.get_full_path(),
        "depth": depth,
        "score": f"{score:g}",
        "layer": layer,
        "q": q,
        "layers": [(name, layer_label(name)) for name in order],
        "kept": [(name, request.GET[name]) for name in ("as", "by") if name in request.GET],
        "collisions": [row | {"number": "" if row["number"] == HIDDEN else row["number"]} for row in whole["collisions"][:50]],
        "may_compute": may_compute(change, actor=request.user).allowed,
        **(computing(change.number, preview_of(change, request.user), may_cancel(change, actor=request.user)) if whole["state"] == "running" else {}),
    }


def page_asked(request: PageRequest) -> int:
    """The page of the whole list that is asked for; 0 for its head."""
    text = request.GET.get("page", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def at_page(request: PageRequest, number: int) -> str:
    return with_query(request, page=str(number))


def wanted(request: PageRequest, bounds: dict[str, Any]) -> tuple[int, float, str, str]:
    """Depth, score, layer and words of the explorer; what can't be read narrows nothing, and nor does what is not there."""
    depth, text = request.GET.get("depth", ""), request.GET.get("score", "")
    furthest, weakest = bounds.get("max_depth") or DEEPEST, bounds.get("min_score", 0.0)
    try:
        score = max(weakest, min(1.0, float(text))) if text else weakest
    except ValueError:
        score = weakest
    return (
        int(depth) if depth.isascii() and depth.isdigit() and len(depth) < 4 and 0 < int(depth) <= furthest else furthest,
        score if score == score else weakest,
        request.GET.get("layer", "")[:60],
        request.GET.get("q", "").strip()[:300],
    )


def further_asked(request: PageRequest) -> dict[str, Any]:
    """How much further the form asks to follow the change; Invalid for what is no number."""
    given = {name: request.POST.get(name, "").strip().replace(",", ".") for name in ("max_depth", "min_score")}
    try:
        return {name: float(text) if name == "min_score" else int(text) for name, text in given.items() if text}
    except ValueError:
        raise Invalid.field("max_depth", "Give steps as a whole number, and the score as a number such as 0.02.") from None


@page("GET", "HEAD", "POST")
def preview(request: PageRequest, number: str) -> HttpResponse:
    """The architecture as it would be: summary, checks, drift, differences. A POST computes it again."""
    if request.method == "POST":
        ready = ask_for_preview(number, actor=request.user, now=request.now, further=further_asked(request))
        text = _("The preview is computed.") if ready else _("The preview is being computed. You can leave; load the page again to see it.")
        return done(request, text, f"/changes/{number}/{'impact' if request.POST.get('next') == 'impact' else 'preview'}/")
    change = visible(request.user, number)
    shown = preview_of(change, request.user)
    diff = diff_of(change)
    items = described(change)
    names = {item.row.key: item.name for item in items} | component_names([entry["key"] for entry in diff.get("components", [])])
    groups, rows_left = groups_of(diff, shown.get("drift") or [], names, SHORT_ROWS)
    context = {
        "change": change,
        "preview": shown,
        "groups": groups,
        "rows_left": rows_left,
        "items": items,
        "names": names,
        "picture": picture_of(layout_of(change)),
        "reach": reach_of(change),
        "may_compute": may_compute(change, actor=request.user).allowed,
        "administers": has_role(request.user, "administrator"),
        **computing(number, shown, may_cancel(change, actor=request.user)),
    }
    return render(request, "changes/preview.html", context)


@page()
def stacked(request: PageRequest, number: str) -> HttpResponse:
    """The change on top of what is approved and not done yet."""
    change = visible(request.user, number)
    administers = has_role(request.user, "administrator")
    return render(request, "changes/stacked.html", {"change": change, "stack": stacked_preview(change, request.user), "administers": administers})
