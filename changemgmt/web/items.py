"""What a change does to the architecture: choosing components and relations, and saying what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from changemgmt.architecture.models import Component, RelationType
from changemgmt.architecture.queries import cascade, component, component_image, images, relations_at, search
from changemgmt.architecture.rules import RELATION_END
from changemgmt.changes.models import Change, Item
from changemgmt.changes.queries import visible
from changemgmt.core.diff import Difference, differences
from changemgmt.core.errors import NotFound
from changemgmt.core.reading import once
from changemgmt.lifecycle import edit

from .base import PageRequest, attempt, done, page, refused_status, seen_of
from .component_form import ComponentForm

SHOWN = 40


@dataclass(frozen=True)
class Described:
    """An item as the pages show it."""

    row: Item
    name: str
    what: str
    look: str
    fields: list[Difference] = field(default_factory=list)
    editable: bool = False


def described(change: Change) -> list[Described]:
    """The items in words, with what each field was and becomes."""
    items = list(change.items.all())
    names = component_names({key for item in items for key in (item.key, item.source, item.target) if key})
    return [describe(item, names) for item in items]


def component_names(keys: Iterable[str]) -> dict[str, str]:
    """The names of those of the keys that are live components. Within one page each is read once."""
    wanted, known = set(keys), component_names_known()
    missing = wanted - known.keys()
    if missing:
        known.update(dict.fromkeys(missing))
        known.update(Component.objects.filter(key__in=missing).values_list("key", "name"))
    return {key: name for key in wanted if (name := known[key]) is not None}


def learn_component_names(names: dict[str, str]) -> None:
    """Keep the names of components that are here anyway."""
    component_names_known().update(names)


@once
def component_names_known() -> dict[str, str | None]:
    """What was read already for this page; None for what is no live component."""
    return {}


def describe(item: Item, names: dict[str, str]) -> Described:
    look, what = {"create": ("ok", _("Added")), "update": ("acc", _("Updated")), "delete": ("bad", _("Removed"))}[item.operation]
    if item.object == Item.Object.RELATION:
        ends = {"source": names.get(item.source, item.source), "type": item.relation_type, "target": names.get(item.target, item.target)}
        name = _("%(source)s → %(target)s (%(type)s)") % ends if item.source else item.key
        return Described(item, name, what, look)
    name = (item.before or {}).get("name") or item.data.get("name") or names.get(item.key) or item.key
    return Described(item, name, what, look, changed_fields(item), editable=item.operation != Item.Operation.DELETE)


def changed_fields(item: Item) -> list[Difference]:
    """Field by field, what an update or creation writes."""
    if item.operation == Item.Operation.CREATE:
        return differences({}, item.data)
    if item.operation == Item.Operation.DELETE:
        return []
    before = item.before or {}
    return differences(touched(before, item.data), item.data)


def touched(before: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The part of `before` that a merge patch speaks of."""
    return {
        name: touched(before.get(name) or {}, value) if isinstance(value, dict) and isinstance(before.get(name) or {}, dict) else before.get(name)
        for name, value in patch.items()
        if name in before
    }


def back(number: str) -> str:
    return f"/changes/{number}/edit/?part=items"


def inside(request: PageRequest) -> bool:
    """Whether the person came from the sandbox of the change, and goes back there."""
    return request.GET.get("sandbox") == "1"


def after(request: PageRequest, number: str, key: str) -> str:
    """Where it goes on once something is part of the change: to the component in the sandbox, or to the items."""
    if not inside(request):
        return back(number)
    query = urlencode({"key": key})
    return f"/changes/{number}/sandbox/" if key.startswith(RELATION_END) else f"/changes/{number}/sandbox/component/?{query}"


@page()
def add(request: PageRequest, number: str) -> HttpResponse:
    """Search the component to change."""
    change = visible(request.user, number)
    q = request.GET.get("q", "").strip()[:300]
    found = list(search(q=q)[: SHOWN + 1]) if q else []
    context = {"change": change, "q": q, "found": found[:SHOWN], "more": len(found) > SHOWN, "taken": taken(change)}
    return render(request, "changes/_component_results.html" if request.htmx else "changes/item_add.html", context)


def taken(change: Change) -> dict[str, int]:
    """Components that are items already: key to id."""
    return dict(change.items.filter(object=Item.Object.COMPONENT).values_list("key", "pk"))


@page("GET", "HEAD", "POST")
def update(request: PageRequest, number: str) -> HttpResponse:
    """A component's fields as they are now; what is written differently becomes the item."""
    change = visible(request.user, number)
    row = component(request.GET.get("key", ""))
    already = change.items.filter(object=Item.Object.COMPONENT, key=row.key).first()
    return component_page(request, change, component_image(row), already)


@page("GET", "HEAD", "POST")
def change_item(request: PageRequest, number: str, item: int) -> HttpResponse:
    """The same for an item that is there."""
    change = visible(request.user, number)
    row = change.items.filter(pk=item, object=Item.Object.COMPONENT).exclude(operation=Item.Operation.DELETE).first()
    if row is None:
        raise NotFound(_("This change has no such item to edit."))
    live = images("component", [row.key]).get(row.key) if row.operation == Item.Operation.UPDATE else None
    return component_page(request, change, live, row)


@page("GET", "HEAD", "POST")
def create(request: PageRequest, number: str) -> HttpResponse:
    """A component that is not there yet."""
    return component_page(request, visible(request.user, number), None, None)


def component_page(request: PageRequest, change: Change, live: dict[str, Any] | None, item: Item | None) -> HttpResponse:
    """The form of one component: `live` is its image (None for a new one), `item` what the change says of it already."""
    form = ComponentForm(request.POST or None, live=live, item=item)
    refusal = None
    if request.method == "POST" and form.is_valid():
        saved, refusal = attempt(request, lambda: write(request, change, form, item))
        if saved:
            return done(request, _("%(name)s is part of the change.") % {"name": form.display_name}, after(request, change.number, form.key))
        form.take(refusal)
    invalid = bool(form.errors) and refusal is None
    context = {
        "change": change,
        "form": form,
        "live": live,
        "item": item,
        "problem": refusal,
        "relations": relations_of(live["key"], change) if live else [],
        "inside": inside(request),
    }
    return render(request, "changes/item_component.html", context, status=400 if invalid else refused_status(request, refusal))


def write(request: PageRequest, change: Change, form: ComponentForm, item: Item | None) -> Change:
    """Add the item, or change the one that is there."""
    written, seen = {"operation": form.operation, "data": form.data_of_item()}, seen_of(request)
    if item is not None:
        return edit.change_item(change.number, item.pk, written, actor=request.user, now=request.now, seen=seen)
    return edit.add_items(change.number, [written | {"object": "component", "key": form.key}], actor=request.user, now=request.now, seen=seen)


def relations_of(key: str, change: Change) -> list[dict[str, Any]]:
    """The relations of a component in words, and whether the change speaks of them already."""
    spoken_of = set(change.items.filter(object=Item.Object.RELATION).values_list("key", flat=True))
    return [in_words(row) | {"outgoing": end(row, "source") == key, "taken": row.key in spoken_of} for row in relations_at([key])[:200]]


def in_words(row: Any) -> dict[str, str]:
    """A relation with its ends by name."""
    return {"key": row.key, "type": row.type.name, "source": name_of(row, "source"), "target": name_of(row, "target")}


def name_of(relation: Any, side: str) -> str:
    """One end: a component's name, or relation:<key>."""
    near = getattr(relation, side)
    return near.name if near else end(relation, side)


def end(relation: Any, side: str) -> str:
    """One end: a component's key, or relation:<key>."""
    near, far = getattr(relation, side), getattr(relation, f"{side}_relation")
    return near.key if near else f"relation:{far.key}" if far else ""


@page("GET", "HEAD", "POST")
def delete_component(request: PageRequest, number: str) -> HttpResponse:
    """Removing a component, with the relations that have to go with it."""
    change = visible(request.user, number)
    key = request.POST.get("key") or request.GET.get("key", "")
    row = component(key)
    refusal = None
    if request.method == "POST":
        item = {"operation": "delete", "object": "component", "key": row.key}
        saved, refusal = attempt(
            request, lambda: edit.add_items(number, [item], actor=request.user, now=request.now, seen=seen_of(request), cascade=True)
        )
        if saved:
            return done(request, _("%(name)s goes with this change, and its relations with it.") % {"name": row.name}, back(number))
    going = [in_words(relation) for relation in cascade([row.key]).values()]
    return render(
        request,
        "changes/item_delete.html",
        {"change": change, "component": row, "going": going, "problem": refusal},
        status=refused_status(request, refusal),
    )


@page("POST")
def delete_relation(request: PageRequest, number: str) -> HttpResponse:
    """Take a relation out of the architecture."""
    item = {"operation": "delete", "object": "relation", "key": request.POST.get("key", "")}
    edit.add_items(number, [item], actor=request.user, now=request.now, seen=seen_of(request))
    return done(request, _("The relation goes with this change."), back(number))


@page("GET", "HEAD", "POST")
def create_relation(request: PageRequest, number: str) -> HttpResponse:
    """A new relation: from, type, to. Each end is searched for, or named by its key."""
    change = visible(request.user, number)
    data = request.POST if request.method == "POST" else request.GET
    chosen = {name: data.get(name, "").strip()[:710] for name in ("source", "relation_type", "target", "source_q", "target_q")}
    refusal = None
    if request.method == "POST":
        item = {
            "operation": "create",
            "object": "relation",
            "source": chosen["source"],
            "target": chosen["target"],
            "relation_type": chosen["relation_type"],
        }
        saved, refusal = attempt(request, lambda: edit.add_items(number, [item], actor=request.user, now=request.now, seen=seen_of(request)))
        if saved:
            return done(request, _("The relation is part of the change."), after(request, number, chosen["source"]))
    context = {
        "change": change,
        "chosen": chosen,
        "inside": inside(request),
        "types": RelationType.objects.all(),
        "ends": [(side, label, ends_for(change, chosen, side)) for side, label in (("source", _("From")), ("target", _("To")))],
        "problem": refusal,
    }
    return render(request, "changes/item_relation.html", context, status=refused_status(request, refusal))


def ends_for(change: Change, chosen: dict[str, str], side: str) -> list[tuple[str, str]]:
    """What may be picked for one end: what is picked, what the change creates, and what the search finds."""
    created = [(item.key, item.data.get("name") or item.key) for item in change.items.filter(object="component", operation="create")]
    q = chosen[f"{side}_q"]
    found = [(row.key, row.name) for row in search(q=q)[:SHOWN]] if q else []
    named = [(key, name) for key, name in component_names({chosen[side]}).items()] if chosen[side] else []
    return list(dict([*named, *created, *found]).items())


@page("POST")
def remove(request: PageRequest, number: str, item: int) -> HttpResponse:
    """Take an item out of the change."""
    edit.remove_item(number, item, actor=request.user, now=request.now, seen=seen_of(request))
    return done(request, _("The item is taken out."), back(number))
