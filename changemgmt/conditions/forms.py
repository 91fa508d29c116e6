"""The form field of a condition: rows of field, operator and value, with and without scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.conditions.checking import check
from changemgmt.conditions.facts import OPERATOR_WORDS, Vocabulary, fields_with
from changemgmt.conditions.rules import describe
from changemgmt.conditions.written import LETTERS, Written, WrittenRow, condition_of, written_of

EXTRA_ROWS = 3
MAX_ROWS = 60
Custom = Mapping[str, str] | Iterable[str] | Callable[[], Mapping[str, str] | Iterable[str]]


class ConditionWidget(forms.Widget):
    """Draws the rows, with the mistake of a row under it.

    `notes` are findings about a condition that is right as written, by row, each with its severity and words.
    `no_rows` says what it means to write none. Where fields come in families, their names are typed, with what is known offered.
    """

    template_name = "conditions/widget.html"

    def __init__(self, attrs: dict[str, Any] | None = None, custom: Custom = ()) -> None:
        super().__init__(attrs)
        self.custom = custom
        self.notes: dict[int, list[dict[str, str]]] = {}
        self.read: Mapping[str, str] | Iterable[str] | None = None
        self.no_rows = gettext_lazy("No row means: always.")

    def __deepcopy__(self, memo: dict[int, Any]) -> ConditionWidget:
        copied = super().__deepcopy__(memo)
        copied.notes, copied.read = {}, None
        return copied

    @property
    def media(self) -> forms.Media:
        script = forms.widgets.Script("js/conditions.js", defer="")
        return forms.Media(js=[script], css={"all": ["css/conditions.css"]})  # type: ignore[list-item]  # the stubs know paths only

    def known_custom(self) -> Mapping[str, str] | Iterable[str]:
        """The custom fields as they are now: an administrator may have added one since the process began. Each form asks once."""
        if self.read is None:
            self.read = self.custom() if callable(self.custom) else self.custom
        return self.read

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Written | None:
        """What was written; None when this form does not hold the field at all."""
        if f"{name}-join" not in data:
            return None
        kept = read_kept(data.get(f"{name}-kept", ""), self.known_custom())
        if kept is not None and not data.get(f"{name}-clear"):
            return Written(kept=kept)
        count = data.get(f"{name}-rows", "0")
        rows = range(min(int(count), MAX_ROWS) if count.isdecimal() and len(count) < 4 else 0)
        join = data[f"{name}-join"] if data[f"{name}-join"] in ("all", "any") else "all"
        return Written(join, tuple(read_row(data, f"{name}-{index}") for index in rows), bare=f"{name}-bare" in data)

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return f"{name}-join" not in data

    def format_value(self, value: Any) -> Written:
        if isinstance(value, Written):
            return value
        return written_of(json.loads(value) if isinstance(value, str) and value else value or {}, self.known_custom())

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        written = self.format_value(value)
        custom = self.known_custom()
        fields = fields_with(custom)
        mistakes = condition_of(written, custom)[1] if isinstance(value, Written) else {}
        shown = [row for row in written.rows if not row.blank]
        errors = [mistakes.get(index, "") for index, row in enumerate(written.rows) if not row.blank]
        shown += [WrittenRow()] * EXTRA_ROWS
        context["widget"] |= {
            "written": written,
            "rows": [
                {"index": index, "row": row, "error": error, "notes": self.notes.get(index, [])}
                for index, (row, error) in enumerate(zip(shown, errors + [""] * EXTRA_ROWS, strict=True))
            ],
            "count": len(shown),
            "fields": [(key, field.label) for key, field in fields.items()],
            "operators": list(OPERATOR_WORDS.items()),
            "letters": LETTERS,
            "kept": json.dumps(written.kept) if written.kept else "",
            "kept_words": describe(written.kept, fields.get) if written.kept else "",
            "typed": isinstance(fields, Vocabulary),
            "no_rows": self.no_rows,
            "vocabulary": json.dumps({key: {"operators": field.operators, "choices": field.choices} for key, field in fields.items()}),
        }
        return context

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        return render_to_string(self.template_name, self.get_context(name, value, attrs))

    def id_for_label(self, id_: str) -> str:
        return f"{id_}-join" if id_ else ""


def read_kept(text: str, custom: Mapping[str, str] | Iterable[str] = ()) -> dict[str, Any] | None:
    try:
        kept = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return kept if isinstance(kept, dict) and not check_shape(kept, custom) else None


def check_shape(condition: dict[str, Any], custom: Mapping[str, str] | Iterable[str]) -> bool:
    """Is a kept condition broken? Custom fields in it are the field's own check."""
    return any("Unknown field" not in finding.message for finding in check(condition, custom=custom))


def read_row(data: Mapping[str, Any], prefix: str) -> WrittenRow:
    row = WrittenRow(
        field=data.get(f"{prefix}-field", "")[:200],
        op=data.get(f"{prefix}-op", "eq")[:20],
        value=data.get(f"{prefix}-value", "")[:5000],
        negated=bool(data.get(f"{prefix}-not")),
    )
    group = data.get(f"{prefix}-group", "")
    return replace(row, group=group) if group in LETTERS else row


class ConditionField(forms.Field):
    """A condition (a dict, `{}` is everything). `custom` names the custom fields: names, a mapping to kinds, or a callable."""

    widget = ConditionWidget

    def __init__(self, *, custom: Custom = (), **options: Any) -> None:
        options.setdefault("required", False)
        # A ModelForm passes these on from the JSONField it stands for.
        options.pop("encoder", None), options.pop("decoder", None)
        super().__init__(**options)
        self.widget.custom = custom
        self.custom = custom

    def clean(self, value: Any) -> dict[str, Any]:
        custom = self.known_custom()
        written = value if isinstance(value, Written) else written_of(value or {}, custom)
        if written.kept is not None:
            return self.checked(dict(written.kept), custom)
        condition, mistakes = condition_of(written, custom)
        if mistakes:
            place = {index: number for number, (index, row) in enumerate(((i, r) for i, r in enumerate(written.rows) if not r.blank), 1)}
            raise ValidationError([_("Row %(row)d: %(mistake)s") % {"row": place[index], "mistake": mistake} for index, mistake in mistakes.items()])
        if self.required and not condition:
            raise ValidationError(self.error_messages["required"], code="required")
        return self.checked(condition, custom)

    def known_custom(self) -> Mapping[str, str] | Iterable[str]:
        return self.custom() if callable(self.custom) else self.custom

    def checked(self, condition: dict[str, Any], custom: Mapping[str, str] | Iterable[str]) -> dict[str, Any]:
        if found := check(condition, custom=custom):
            raise ValidationError([f"{finding.path}: {finding.message}" if finding.path else finding.message for finding in found])
        return condition

    def has_changed(self, initial: Any, data: Any) -> bool:
        if data is None:
            return False
        before = json.loads(initial) if isinstance(initial, str) and initial else initial or {}
        after = (dict(data.kept) if data.kept is not None else condition_of(data, self.known_custom())[0]) if isinstance(data, Written) else data
        return before != after

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data if data is not None else initial
