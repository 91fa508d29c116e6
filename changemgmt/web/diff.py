"""Before and after, as the page shows it: equal updates folded, changed words marked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from changemgmt.templatetags.design import plain_value

WORD = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Field:
    """One field that differs; `drift` is how the live value moved since, if it did."""

    path: str
    before: SafeString | None
    after: SafeString | None
    drift: dict[str, Any] | None = None


@dataclass(frozen=True)
class Group:
    """The fields of one component or relation, or of several that change alike."""

    names: list[str]
    keys: list[str]
    what: str
    look: str
    icon: str
    fields: list[Field] = field(default_factory=list)


def groups_of(diff: dict[str, Any], drift: list[dict[str, Any]], names: dict[str, str]) -> list[Group]:
    """The groups of a diff (API shape). `names` gives components their names."""
    moved = {(entry["key"], entry["field"]): entry for entry in drift}
    folded: dict[Any, list[dict[str, Any]]] = {}
    for entry in diff.get("components", []):
        drifting = any(key == entry["key"] for key, _path in moved)
        alike = entry["key"] if drifting or entry["operation"] != "update" else repr((entry["operation"], entry["fields"]))
        folded.setdefault(alike, []).append(entry)
    components = [group(entries, "server", moved, names) for entries in folded.values()]
    return components + [group([entry], "link", moved, names) for entry in diff.get("relations", [])]


def group(entries: list[dict[str, Any]], sign: str, moved: dict[Any, Any], names: dict[str, str]) -> Group:
    """One group of entries with the same differences."""
    first = entries[0]
    look, what = {"create": ("ok", _("Added")), "delete": ("bad", _("Removed"))}.get(
        first["operation"], ("acc", _("Updated") if len(entries) == 1 else _("Updated alike"))
    )
    keys = [entry["key"] for entry in entries]
    fields = [shown(entry, moved.get((first["key"], entry["path"]))) for entry in first["fields"]]
    return Group([names.get(key, key) for key in keys], keys, what, look, sign, fields)


def shown(entry: dict[str, Any], drift: dict[str, Any] | None) -> Field:
    """One difference with its changed words marked."""
    before, after = entry["before"], entry["after"]
    marked = marks(plain_value(before) if before is not None else "", plain_value(after) if after is not None else "")
    return Field(entry["path"], marked[0] if before is not None else None, marked[1] if after is not None else None, drift)


def marks(before: str, after: str) -> tuple[SafeString, SafeString]:
    """Both texts with what was taken out and put in marked: word by word in longer texts, whole in short ones."""
    if len(before.split()) < 4 or len(after.split()) < 4 or len(before) + len(after) > 8000:
        return format_html("<del>{}</del>", before), format_html("<ins>{}</ins>", after)
    old, new = WORD.findall(before), WORD.findall(after)
    left, right = [], []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left.append(("del" if kind != "equal" else "span", "".join(old[a:b])))
        right.append(("ins" if kind != "equal" else "span", "".join(new[c:d])))
    return joined(left), joined(right)


def joined(pieces: list[tuple[str, str]]) -> SafeString:
    """Pieces of text, each in its tag."""
    return format_html_join("", "<{0}>{1}</{0}>", ((mark_safe(tag), text) for tag, text in pieces if text))
