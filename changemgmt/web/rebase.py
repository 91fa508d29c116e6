"""The three-way re-base: at each conflict what was, what is live, what is proposed, and which of them it is to be."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible
from changemgmt.core.errors import DomainError
from changemgmt.core.reading import reading
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.edit.editing import may_edit
from changemgmt.preview.queries import rebase_of
from changemgmt.preview.rebasing import LIVE, MERGED, PROPOSED, VALUE

from .base import PageRequest, attempt, done, page, refused_status, seen_of
from .component_form import read_value, written_value
from .diff import fields_of
from .items import component_names

LONG = 80


@page("GET", "HEAD", "POST")
def rebase(request: PageRequest, number: str) -> HttpResponse:
    """Every conflict with its choices. A POST writes them, and the change stands on what is live now."""
    refusal = None
    if request.method == "POST":
        shown = rebase_of(visible(request.user, number), request.user)["conflicts"]
        saved, refusal = attempt(request, lambda: write(request, number, shown))
        if saved:
            return done(request, _("The change stands on the live architecture as it is now."), f"/changes/{number}/preview/")
    with reading():
        return shown_page(request, visible(request.user, number), refusal)


def shown_page(request: PageRequest, change: Change, refusal: DomainError | None) -> HttpResponse:
    """The form as things are now; what was chosen stays where it is about the same."""
    found = rebase_of(change, request.user)
    context = {
        "change": change,
        "found": found,
        "things": things_of(found["conflicts"], request.POST if request.POST.get("digest") == found["digest"] else {}),
        "may": may_edit(change, actor=request.user),
        "problem": refusal,
    }
    return render(request, "changes/rebase.html", context, status=refused_status(request, refusal))


def write(request: PageRequest, number: str, conflicts: list[dict[str, Any]]) -> Change:
    """The choices of the form; their places are those of the conflicts, which the digest holds to what was shown."""
    return edit.rebase_items(
        number,
        actor=request.user,
        now=request.now,
        seen=seen_of(request),
        choices=choices_of(request.POST, conflicts),
        everything=request.POST.get("all", ""),
        digest=request.POST.get("digest", ""),
    )


def choices_of(data: Any, conflicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was chosen: at each conflict, else for its whole thing; nothing of it where a button takes one side for all."""
    if data.get("all"):
        return []
    found = []
    for number, group in enumerate(by_thing(conflicts)):
        if take := data.get(f"thing-{number}"):
            found.append({"object": group[0][1]["object"], "key": group[0][1]["key"], "take": take})
        else:
            found += [choice for n, conflict in group if (choice := choice_at(n, conflict, data))]
    return found


def by_thing(conflicts: list[dict[str, Any]]) -> list[list[tuple[int, dict[str, Any]]]]:
    """The conflicts with their numbers, those of one component or relation together."""
    numbered = enumerate(conflicts)
    return [list(group) for _thing, group in groupby(numbered, key=lambda entry: (entry[1]["object"], entry[1]["key"]))]


def choice_at(n: int, conflict: dict[str, Any], data: Any) -> dict[str, Any] | None:
    """What was chosen at one conflict."""
    take = data.get(f"take-{n}")
    more = {"value": value_of(conflict, data.get(f"value-{n}", ""))} if take == VALUE else {}
    return {name: conflict[name] for name in ("object", "key", "field")} | {"take": take} | more if take else None


def value_of(conflict: dict[str, Any], text: str) -> Any:
    """What was typed, as a value of the kind that stands there."""
    like = conflict["live"] if conflict["live"] is not None else conflict["proposed"]
    return read_value(text.replace("\r\n", "\n"), like)


def things_of(conflicts: list[dict[str, Any]], typed: Any) -> list[dict[str, Any]]:
    """The conflicts by the component or relation they are about, with their choices in words."""
    names = component_names({conflict["key"] for conflict in conflicts})
    return [
        {
            **{name: group[0][1][name] for name in ("object", "key")},
            "n": number,
            "name": names.get(group[0][1]["key"], group[0][1]["key"]),
            "takes": len(group) > 1,
            "take": typed.get(f"thing-{number}", ""),
            "rows": [row_of(n, conflict, typed) for n, conflict in group],
        }
        for number, group in enumerate(by_thing(conflicts))
    ]


def row_of(n: int, conflict: dict[str, Any], typed: Any) -> dict[str, Any]:
    chosen = typed.get(f"take-{n}") or (MERGED if conflict["merged"] is not None else "")
    text = typed.get(f"value-{n}", written_value(conflict["proposed"]))
    options = [{"take": take, "id": f"take-{n}-{take}", "checked": take == chosen, **option_of(take, conflict)} for take in conflict["takes"]]
    return conflict | {"n": n, "title": title_of(conflict), "options": options, "text": text, "long": len(text) > LONG or "\n" in text}


def title_of(conflict: dict[str, Any]) -> str:
    """What has to be decided, in words."""
    return {
        "field": conflict["field"],
        "gone": _("It was deleted since"),
        "there": _("Somebody made it since"),
        "changed": _("It was changed since, and this change deletes it"),
        "end": _("The end of this new relation is gone: %(field)s") % {"field": conflict["field"]},
        "relations": _("It has new relations, and this change deletes it"),
    }[conflict["kind"]]


def option_of(take: str, conflict: dict[str, Any]) -> dict[str, Any]:
    """One choice: what it does, and the value it takes."""
    words = WORDS[conflict["kind"], take]()
    if conflict["kind"] != "field" or take == VALUE:
        return {"words": words, "value": ""}
    return {"words": words, "value": value_shown(conflict, take), "shown": True}


def value_shown(conflict: dict[str, Any], take: str) -> str:
    """A value, with what differs from the base marked."""
    value = conflict[take]
    if not isinstance(conflict["base"], str) or not isinstance(value, str):
        return written_value(value)
    (marked,) = fields_of([{"path": "", "before": conflict["base"], "after": value}])
    return marked.after or ""


WORDS = {
    ("field", LIVE): lambda: _("Keep what is live"),
    ("field", PROPOSED): lambda: _("Take what is proposed"),
    ("field", MERGED): lambda: _("Take both, word by word"),
    ("field", VALUE): lambda: _("Write another value"),
    ("gone", LIVE): lambda: _("Let it be gone: the item is dropped"),
    ("gone", PROPOSED): lambda: _("Make it again, with what this change writes"),
    ("there", LIVE): lambda: _("Leave it as it was made: the item is dropped"),
    ("there", PROPOSED): lambda: _("Update it to what is proposed"),
    ("changed", LIVE): lambda: _("Keep it: the deletion is dropped"),
    ("changed", PROPOSED): lambda: _("Delete it anyway"),
    ("end", LIVE): lambda: _("Drop the new relation"),
    ("end", PROPOSED): lambda: _("Keep it: this change makes its end again"),
    ("end", VALUE): lambda: _("End it elsewhere: the key of a component, or relation:<key>"),
    ("relations", LIVE): lambda: _("Keep it: the deletion is dropped"),
    ("relations", PROPOSED): lambda: _("Delete these relations, too"),
}
