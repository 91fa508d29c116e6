"""Editing inside the sandbox: what is written there is captured as the items of the change."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from changemgmt.architecture.queries import current_revision, images
from changemgmt.architecture.rules import COMPONENT, OBJECTS, RELATION, Image
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible
from changemgmt.core.errors import DomainError, NotFound, NotPossible
from changemgmt.core.reading import reading
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.edit.capture import Captured, with_what_goes
from changemgmt.lifecycle.edit.editing import may_edit
from changemgmt.preview.sandbox import PARTS, Sandbox, mark_of, names_in, sandbox_of

from .base import PageRequest, attempt, done, page, refused_status, seen_of
from .items import component_names
from .sandbox import LOOKS, address, words_of
from .sandbox_form import RelationForm, SandboxForm

PART = dict(PARTS)


def captured(request: PageRequest, number: str, desired: dict[str, Any]) -> Captured:
    """The desired taken over, on what the form was drawn from."""
    text = request.POST.get("revision", "")
    revision = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    return edit.capture(number, desired, actor=request.user, now=request.now, seen=seen_of(request), revision=revision)


def there(box: Sandbox, object: str, key: str) -> Image:
    """A thing that would be there."""
    image = box.at(object, key)
    if image.after is None:
        raise NotPossible(_("It would be gone: put it back first."))
    return image


@page("GET", "HEAD", "POST")
def component(request: PageRequest, number: str) -> HttpResponse:
    """The form of a component as it would be."""
    change = visible(request.user, number)
    image = there(sandbox_of(change), COMPONENT, request.GET.get("key", ""))
    form = SandboxForm(request.POST or None, image=image.after or {})
    refusal = None
    if request.method == "POST" and form.is_valid():
        saved, refusal = attempt(request, lambda: captured(request, number, {"components": [form.desired()]}))
        if saved:
            return done(request, told(saved), address(change, image.key))
        form.take(refusal)
    invalid = bool(form.errors) and refusal is None
    more = {"form": form, "live": image.after, "back": address(change, image.key)}
    return drawn(request, "edit", change, refusal, more, status=400 if invalid else 0)


def told(saved: Captured) -> str:
    return _("It is part of the change.") if saved.items else _("It is as it is live: the change says nothing of it.")


def drawn(request: PageRequest, name: str, change: Change, refusal: DomainError | None, more: dict[str, Any], *, status: int = 0) -> HttpResponse:
    """A form of the sandbox, with the revision it is drawn from, who may save it, and what was wrong."""
    with reading():
        context = {"change": change, "revision": current_revision(), "may": may_edit(change, actor=request.user), "problem": refusal}
        return render(request, f"sandbox/{name}.html", context | more, status=status or refused_status(request, refusal))


@page("GET", "HEAD", "POST")
def relation(request: PageRequest, number: str) -> HttpResponse:
    """A relation as it would be, and the form of its attributes."""
    change = visible(request.user, number)
    box = sandbox_of(change)
    image = box.at(RELATION, request.GET.get("key", ""))
    shown = image.after or image.before or {}
    form = RelationForm(request.POST or None, image=shown)
    refusal = None
    if request.method == "POST":
        there(box, RELATION, image.key)
        saved, refusal = attempt(request, lambda: captured(request, number, {"relations": [form.desired()]}))
        if saved:
            return done(request, told(saved), address(change, image.key, "relation/"))
    names = component_names({shown["source"], shown["target"]}) | names_in(box)
    mark = mark_of(image)
    more = {
        "form": form,
        "live": shown,
        "gone": image.after is None,
        "mark": mark,
        "what": words_of(mark),
        "look": LOOKS[mark],
        "ends": [end_in_words(change, shown[side], names) for side in ("source", "target")],
    }
    return drawn(request, "relation", change, refusal, more)


def end_in_words(change: Change, end: str, names: dict[str, str]) -> dict[str, str]:
    return {"name": names.get(end) or end, "href": address(change, end) if end in names else ""}


def thing_of(data: Any) -> tuple[str, str]:
    """The thing a form is about."""
    if data.get("object") not in OBJECTS:
        raise NotFound(_("There is nothing here, or it is not yours to see."))
    return data["object"], data.get("key", "")


@page("GET", "HEAD", "POST")
def remove(request: PageRequest, number: str) -> HttpResponse:
    """Removing a component or relation, with what goes along."""
    change = visible(request.user, number)
    object, key = thing_of(request.GET)
    box = sandbox_of(change)
    shown = there(box, object, key).after or {}
    refusal = None
    if request.method == "POST":
        saved, refusal = attempt(request, lambda: captured(request, number, {"removed": {PART[object]: [key]}}))
        if saved:
            return done(request, _("It is gone from the sandbox."), f"/changes/{number}/sandbox/?touched=on")
    going: dict[tuple[str, str], dict[str, Any] | None] = {(object, key): None}
    with_what_goes(going, box)
    more = {
        "object": object,
        "key": key,
        "name": shown.get("name") or key,
        "going": in_words(box, [name for thing, name in going if (thing, name) != (object, key)]),
    }
    return drawn(request, "remove", change, refusal, more)


def in_words(box: Sandbox, keys: list[str]) -> list[dict[str, str]]:
    """Those of these relations that would be there, with their ends by name."""
    live = images(RELATION, [key for key in keys if (RELATION, key) not in box.touched])
    shown = live | {key: image.after for key in keys if (image := box.touched.get((RELATION, key))) and image.after}
    names = component_names({row[side] for row in shown.values() for side in ("source", "target")}) | names_in(box)
    return [{"type": row["type"], **{side: names.get(row[side], row[side]) for side in ("source", "target")}} for _, row in sorted(shown.items())]


@page("POST")
def back(request: PageRequest, number: str) -> HttpResponse:
    """Take back what the change does with a thing: it is as it is live, or, where it is new, it is not made."""
    change = visible(request.user, number)
    object, key = thing_of(request.POST)
    live = sandbox_of(change).at(object, key).before
    captured(request, number, {PART[object]: [live]} if live else {"removed": {PART[object]: [key]}})
    part = "component/" if object == COMPONENT else "relation/"
    return done(request, _("The change says nothing of it any more."), address(change, key, part) if live else f"/changes/{number}/sandbox/")
