"""What the prover finds, put where it belongs in the admin's forms: a field, a row of seats, a row of a condition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from changemgmt.conditions.written import row_at, written_of

from .forms import custom_fields, field_of
from .proof.rules import Finding

LEVEL = re.compile(r"levels\[(\d+)\]\.?")
SEAT = re.compile(r"seats\[(\d+)\]\.?")


def show(findings: Iterable[Finding], chain: forms.BaseForm, levels: Sequence[forms.BaseForm]) -> list[dict[str, str]]:
    """Put each finding at its field; answers them all for the summary, with the words and the id of their place."""
    return [at_place(found, chain, levels) for found in findings]


def at_place(found: Finding, chain: forms.BaseForm, levels: Sequence[forms.BaseForm]) -> dict[str, str]:
    level = LEVEL.match(found.path)
    form = levels[int(level[1])] if level and int(level[1]) < len(levels) else chain
    words = [_("Level “%(name)s”") % {"name": form.initial.get("name", "")}] if form is not chain else []
    return {"severity": found.severity, "message": found.message, **put(form, found.path[level.end() :] if level else found.path, found, words)}


def put(form: forms.BaseForm, path: str, found: Finding, words: list[str]) -> dict[str, str]:
    """Note a finding in one form; answers the words and the id of its place."""
    name = field_of(path) if not path.startswith("seats") else "seats"
    field, note = form.fields.get(name), {"severity": found.severity, "message": found.message}
    if field is None:
        return {"place": ", ".join([*words, *([_("levels")] if name == "levels" else [])]), "id": "levels-group" if name == "levels" else ""}
    row = row_of(form, name, path)
    if row is None:
        field.findings = [*getattr(field, "findings", []), note]  # type: ignore[attr-defined]  # read by the template of the fieldset
    else:
        field.widget.notes.setdefault(row, []).append(note)
    return {
        "place": ", ".join([*words, str(field.label).lower(), *([_("row %(row)d") % {"row": row + 1}] if row is not None else [])]),
        "id": form[name].id_for_label,
    }


def row_of(form: forms.BaseForm, name: str, path: str) -> int | None:
    """The row of seats or of a condition that the path points at, from 0."""
    if name == "seats":
        seat = SEAT.match(path)
        return int(seat[1]) if seat else None
    if not name.endswith("applies_when"):
        return None
    condition: dict[str, Any] = form.initial.get(name) or {}
    inside = path.removeprefix(name).lstrip(".")
    return None if written_of(condition, custom_fields()).kept is not None or not inside else row_at(condition, inside)
