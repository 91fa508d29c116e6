"""Writing a change: the draft, and each part of its record."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from changemgmt.accounts.queries import has_role
from changemgmt.changes.models import Change, State
from changemgmt.changes.queries import visible
from changemgmt.core.errors import NotFound
from changemgmt.lifecycle import edit, transitions
from changemgmt.lifecycle.edit.editing import may_edit
from changemgmt.planning.queries import plan_of

from .base import PageRequest, attempt, done, page, refused_status, seen_of
from .impact import reach_of
from .items import described
from .record_form import PARTS, NewChange, part_of

ORDER = ("why", "items", "plans", "when", "submit")


@page("GET", "HEAD", "POST")
def new(request: PageRequest) -> HttpResponse:
    """A new draft: enough to begin with. Everything else is written on the draft itself."""
    initial = {
        "type": "normal",
        "priority": "medium",
        "template": request.GET.get("template", ""),
        "org_unit": request.user.org_unit.slug if request.user.org_unit else "",
    }
    form = NewChange(request.POST or None, initial=initial, auto_id="f-%s")
    refusal = None
    if request.method == "POST" and form.is_valid():
        change, refusal = attempt(request, lambda: edit.create_change(begun(form), actor=request.user, now=request.now))
        if change:
            return done(request, _("%(number)s is drafted.") % {"number": change.number}, f"/changes/{change.number}/edit/?part=items")
        form.take(refusal)
    status = (
        refused_status(request, refusal)
        if request.method == "POST" and (refusal or form.is_valid())
        else 422
        if form.errors and request.htmx
        else 400
        if form.errors
        else 200
    )
    may = has_role(request.user, "requester", "change_manager")
    return render(request, "changes/new.html", {"form": form, "problem": refusal, "may": may}, status=status)


def begun(form: NewChange) -> dict[str, Any]:
    """What was given. What a template brings is left to it unless somebody wrote it."""
    values = {name: value for name, value in form.gathered(list(form.fields)).items() if value not in (None, "")}
    if values.get("template"):
        values = {name: value for name, value in values.items() if name in form.changed_data or name == "template"}
    return values


@page("GET", "HEAD", "POST")
def edit_change(request: PageRequest, number: str) -> HttpResponse:
    """The parts of a change, one open. A POST saves the part it names."""
    change = visible(request.user, number)
    name = request.POST.get("part") or request.GET.get("part") or "why"
    if name not in (*ORDER, *PARTS):
        raise NotFound(_("There is no such part."))
    form = refusal = None
    if request.method == "POST" and name in PARTS:
        form = part_of(name, change, request.POST)
        if form.is_valid():
            saved, refusal = attempt(request, lambda: save(request, number, form))
            if saved:
                return done(request, said_of(saved, change), f"/changes/{number}/edit/?part={after(name)}")
            form.take(refusal)
    context = editor_context(request, change, "items" if name == "no-items" else name) | {"problem": refusal}
    if form is not None:
        context["forms"][name] = form
    invalid = form is not None and refusal is None and not form.is_valid()
    return render(request, "changes/edit.html", context, status=400 if invalid else refused_status(request, refusal))


def save(request: PageRequest, number: str, form: Any) -> Change:
    """Write the changed fields; nothing changed is nothing written."""
    fields = form.plain()
    if not fields:
        return visible(request.user, number)
    return edit.edit_change(number, fields, actor=request.user, now=request.now, seen=seen_of(request))


def said_of(saved: Change, before: Change) -> str:
    """What saving did."""
    if saved.version != before.version:
        return _("Saved as version %(version)d. Votes on what did not change still count.") % {"version": saved.version}
    return _("Saved.")


def after(name: str) -> str:
    """The part that comes next."""
    here = "items" if name == "no-items" else name
    return ORDER[min(ORDER.index(here) + 1, len(ORDER) - 1)]


def editor_context(request: PageRequest, change: Change, name: str) -> dict[str, Any]:
    """All that the editor shows of a change."""
    verdict = may_edit(change, actor=request.user)
    answers = transitions.transitions_of(change, actor=request.user, now=request.now)
    return {
        "change": change,
        "open": name,
        "forms": {part: part_of(part, change) for part in PARTS},
        "items": described(change),
        "plan": plan_of(change),
        "verdict": verdict,
        "submit": next((answer for answer in answers if answer.name == "submit"), None),
        "is_draft": change.state == State.DRAFT,
        "reach": reach_of(change),
    }
