"""Before and after, as the pages show it: ranked, equal updates folded, changed words marked; the whole of it on a page of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible
from changemgmt.core.comparing import GONE, NEW, SAME, Allowance, pieces_between
from changemgmt.core.reading import reading
from changemgmt.preview import differing
from changemgmt.preview.differing import COMPONENT, HEADINGS, Known, Thing, Wanted
from changemgmt.preview.queries import diff_of, known_of, preview_of
from changemgmt.templatetags.design import plain_value

from .base import PageRequest, page
from .board import layer_label, with_query

# On the page of a change, and on a page of the whole difference.
SHORT_ROWS = 60
PAGE_ROWS = 1000
# Of what stayed the same in a long text, so many characters are shown at either side.
AROUND = 120
# A piece that is longer is cut; the files have all of it.
LONGEST_PIECE = 4000
VIEWS = ("side", "unified")
FILES = (("json", "JSON", "json"), ("markdown", "Markdown", "md"), ("html", "HTML", "html"))
WORDS = {"create": gettext_lazy("Added"), "update": gettext_lazy("Updated"), "delete": gettext_lazy("Removed")}
LOOKS = {"create": "ok", "update": "acc", "delete": "bad"}


@dataclass(frozen=True)
class Field:
    """One value that differs: each side, or both in one line. `drift` is how the live value moved since, if it did."""

    path: str
    before: SafeString | None
    after: SafeString | None
    both: SafeString | None = None
    drift: dict[str, Any] | None = None


@dataclass(frozen=True)
class Group:
    """The fields of one component or relation, or of several that change alike. `note` is what else one wants to know of it."""

    names: list[str]
    keys: list[str]
    what: str
    look: str
    icon: str
    note: str = ""
    continued: bool = False
    fields: list[Field] = field(default_factory=list)


def groups_of(diff: Mapping[str, Any], drift: Sequence[dict[str, Any]], names: Mapping[str, str], rows: int = PAGE_ROWS) -> tuple[list[Group], int]:
    """The first groups of a diff (API shape), as many `rows` as are wanted, and how many rows are left. `names` gives components their names."""
    things = differing.things_of(diff, {key: Known(name) for key, name in names.items()})
    folded = differing.folded(things, drifting(drift))
    shown, _pages = differing.page_of(folded, 1, rows)
    return drawn(shown, drift), sum(len(group.rows) for group in folded) - sum(len(group.rows) for group in shown)


def drifting(drift: Iterable[dict[str, Any]]) -> frozenset[str]:
    """The keys of what moved: it stands alone, with the live value beside."""
    return frozenset(entry["key"] for entry in drift)


def drawn(groups: Iterable[differing.Group], drift: Iterable[dict[str, Any]], view: str = "side") -> list[Group]:
    """Groups with their words marked, within one allowance for all of them."""
    moved = {(entry["key"], entry["field"]): entry for entry in drift}
    allowance = Allowance()
    return [group(one, moved, allowance, view) for one in groups]


def group(one: differing.Group, moved: Mapping[tuple[str, str], dict[str, Any]], allowance: Allowance, view: str) -> Group:
    first = one.first
    what = _("Updated alike") if len(one.things) > 1 else str(WORDS[first.operation])
    fields = [shown(row, moved.get((first.key, row.field)), allowance, view) for row in one.rows]
    names, keys = [thing.name for thing in one.things], [thing.key for thing in one.things]
    icon = "server" if first.object == COMPONENT else "link"
    return Group(names, keys, what, LOOKS[first.operation], icon, note_of(first), one.continued, fields)


def note_of(thing: Thing) -> str:
    """What kind of thing it is, and whose."""
    parts = [thing.type, thing.owner, _("criticality %(number)d") % {"number": thing.criticality} if thing.criticality >= differing.HIGH else ""]
    return " · ".join(part for part in parts if part)


def fields_of(entries: Iterable[Mapping[str, Any]]) -> list[Field]:
    """Differences as plain values (path, before, after) with their changed words marked, within one allowance for all of them."""
    allowance = Allowance()
    return [shown(differing.Row(entry["path"], entry["path"], entry["before"], entry["after"]), None, allowance) for entry in entries]


def shown(row: differing.Row, drift: dict[str, Any] | None, allowance: Allowance, view: str = "side") -> Field:
    """One difference with its changed words marked."""
    old, new = (plain_value(value) if value is not None else "" for value in (row.before, row.after))
    pieces = pieces_between(old, new, allowance)
    if view == "unified":
        return Field(row.path, None, None, joined(pieces, (SAME, GONE, NEW)), drift)
    before = joined(pieces, (SAME, GONE)) if row.before is not None else None
    return Field(row.path, before, joined(pieces, (SAME, NEW)) if row.after is not None else None, None, drift)


def joined(pieces: Sequence[tuple[str, str]], signs: Sequence[str]) -> SafeString:
    """Those pieces of a text that have one of the signs, each in its tag; what stayed the same only around what did not."""
    tags = {SAME: mark_safe("span"), GONE: mark_safe("del"), NEW: mark_safe("ins")}
    last = len(pieces) - 1
    return format_html_join(
        "",
        "<{0}>{1}</{0}>",
        (
            (tags[sign], around(text, place == 0, place == last) if sign == SAME else cut(text))
            for place, (sign, text) in enumerate(pieces)
            if sign in signs
        ),
    )


def around(text: str, begins: bool, ends: bool) -> str | SafeString:
    """What stayed the same, without its middle where that is long; at the ends of the text without what is far from a difference."""
    left = len(text) - (0 if begins else AROUND) - (0 if ends else AROUND)
    if left <= AROUND:
        return text
    same = ngettext("%(n)d character the same", "%(n)d characters the same", left) % {"n": left}
    return format_html('{}<i class="same">{}</i>{}', "" if begins else text[:AROUND], f"… {same} …", "" if ends else text[-AROUND:])


def cut(text: str) -> str:
    if len(text) <= LONGEST_PIECE:
        return text
    left = len(text) - LONGEST_PIECE
    return text[:LONGEST_PIECE] + _("… and %(left)d more characters, which the files have.") % {"left": left}


@page()
def diff(request: PageRequest, number: str) -> HttpResponse:
    """The whole difference: narrowed, under headings, side by side or unified; htmx gets the part below the form."""
    with reading():
        change = visible(request.user, number)
        template = "changes/_differences.html" if request.htmx else "changes/diff.html"
        return render(request, template, diff_page(request, change))


def diff_page(request: PageRequest, change: Change) -> dict[str, Any]:
    """What the page shows. Parameters that can't be read narrow nothing."""
    found, preview = diff_of(change), preview_of(change, request.user)
    drift = preview.get("drift") or []
    things = differing.things_of(found, known_of(found, change))
    wanted = Wanted(**{name: request.GET.get(name, "").strip()[:300] for name in ("words", "operation", "layer", "field", "type", "owner")})
    narrowed = differing.narrowed(things, wanted)
    by, view = (choice(request, name, allowed) for name, allowed in (("by", HEADINGS), ("view", VIEWS)))
    sections = differing.headed(differing.folded(narrowed, drifting(drift)), by)
    at = int(text) if (text := request.GET.get("page", "1")).isascii() and text.isdigit() and 0 < len(text) < 6 else 1
    folded = [group for _heading, groups in sections for group in groups]
    groups, pages = differing.page_of(folded, max(1, at), PAGE_ROWS)
    counts = differing.counted(things)
    return {
        "change": change,
        "preview": preview,
        "files": FILES,
        "sections": under(groups, by, drift, view),
        "sums": counts | {"shown": differing.counted(narrowed)},
        "wanted": wanted,
        "is_narrowed": wanted != Wanted(),
        "by": by,
        "view": view,
        "facets": facets(request, counts, wanted),
        "choices": choices(things),
        "views": {name: with_query(request, view="" if name == VIEWS[0] else name) for name in VIEWS},
        "headings": [(name, with_query(request, by="" if name == HEADINGS[0] else name, page="")) for name in HEADINGS],
        "page": at,
        "pages": pages,
        "previous": with_query(request, page=str(at - 1)) if at > 1 else "",
        "next": with_query(request, page=str(at + 1)) if at < pages else "",
    }


def choice(request: PageRequest, name: str, allowed: Sequence[str]) -> str:
    given = request.GET.get(name, "")
    return given if given in allowed else allowed[0]


def under(groups: Sequence[differing.Group], by: str, drift: Sequence[dict[str, Any]], view: str) -> list[dict[str, Any]]:
    """The groups of a page under their headings, in their order."""
    found: dict[str, dict[str, Any]] = {}
    for one, ready in zip(groups, drawn(groups, drift, view), strict=True):
        heading = "" if by == "none" else getattr(one.first, by)
        section = found.setdefault(heading, {"label": heading_of(heading, by), "groups": [], "things": 0})
        section["groups"].append(ready)
        section["things"] += len(one.things)
    return list(found.values())


def heading_of(name: str, by: str) -> str:
    if by == "none":
        return _("Strongest first")
    empty = {"layer": _("Without a layer"), "type": _("Without a type"), "owner": _("No owner")}
    return (layer_label(name) if by == "layer" else name) or empty[by]


def facets(request: PageRequest, counts: Mapping[str, Any], wanted: Wanted) -> list[list[dict[str, Any]]]:
    """The counts as links: each narrows to what it counts, or takes that back."""

    def link(name: str, value: str, label: str, count: int) -> dict[str, Any]:
        on = getattr(wanted, name) == value
        return {"label": label, "count": count, "on": on, "href": with_query(request, **{name: "" if on else value, "page": ""})}

    operations = [
        link("operation", name, str(WORDS[name]), counts["operation"][name]) for name in ("delete", "create", "update") if name in counts["operation"]
    ]
    layers = [link("layer", name, layer_label(name), count) for name, count in counts["layer"].items()]
    fields = [link("field", name, name, count) for name, count in counts["field"]]
    return [operations, layers, fields]


def choices(things: Sequence[Thing]) -> dict[str, list[tuple[str, str]]]:
    """What the form offers to narrow to."""
    return {
        "operation": [(name, str(word)) for name, word in WORDS.items()],
        "layer": [(name, layer_label(name)) for name in dict.fromkeys(thing.layer for thing in things if thing.layer)],
        "type": [(name, name) for name in sorted({thing.type for thing in things if thing.type})],
        "owner": [(name, name) for name in sorted({thing.owner for thing in things if thing.owner})],
    }
