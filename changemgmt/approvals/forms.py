"""The form fields of a chain in the admin: whom a level asks, in rows; no JSON to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.changes.models import CustomField
from changemgmt.conditions.forms import ConditionField

from .chain_check import SWITCHES, chain_findings, level_findings
from .chains import slot_shape
from .models import PARTS, Chain, Level, Power

EXTRA_ROWS, MAX_ROWS = 3, 30
KINDS = (("group", gettext_lazy("group")), ("user", gettext_lazy("person")), ("dynamic", gettext_lazy("found by")))
PART_WORDS = {
    "texts": gettext_lazy("texts"),
    "items": gettext_lazy("items"),
    "impact": gettext_lazy("impact and preview"),
    "risk": gettext_lazy("risk"),
    "plan": gettext_lazy("plan"),
    "window": gettext_lazy("requested window"),
}
FIELD_OF = {"rule": "rule_kind", "rule.kind": "rule_kind", "rule.value": "rule_value"}


def custom_fields() -> dict[str, str]:
    return dict(CustomField.objects.values_list("name", "kind"))


class SeatsWidget(forms.Widget):
    """Rows of place, label, whom to ask, power, weight and how many; three empty ones below those that are there.

    `notes` are findings by row, each with its severity and words; they stand below their row.
    """

    template_name = "approvals/seats_widget.html"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.notes: dict[int, list[dict[str, str]]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> SeatsWidget:
        copied = super().__deepcopy__(memo)
        copied.notes = {}
        return copied

    @property
    def media(self) -> forms.Media:
        scripts = [forms.widgets.Script(path, defer="") for path in ("js/order.js", "js/seats.js")]
        return forms.Media(js=scripts, css={"all": ["css/chain.css"]})  # type: ignore[arg-type]  # the stubs know paths only

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[dict[str, Any]] | None:
        count = data.get(f"{name}-rows")
        if count is None:
            return None
        rows = range(min(int(count), MAX_ROWS) if count.isdecimal() and len(count) < 4 else 0)
        found = sorted((place_in(data, f"{name}-{index}", index), index, row_of(data, f"{name}-{index}")) for index in rows)
        return [row for _place, _index, row in found if row["label"] or row["who"]]

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return f"{name}-rows" not in data

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        rows = [row if "kind" in row else row_of_seat(row) for row in value or []] + [EMPTY_ROW] * EXTRA_ROWS
        context["widget"] |= {
            "rows": [(index, row, self.notes.get(index, []), self.is_wrong(index)) for index, row in enumerate(rows)],
            "count": len(rows),
            "most": MAX_ROWS,
            "kinds": KINDS,
            "powers": Power.choices,
        }
        return context

    def is_wrong(self, index: int) -> bool:
        """Whether a row has an error, not only a warning."""
        return any(note["severity"] == "error" for note in self.notes.get(index, ()))

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        return render_to_string(self.template_name, self.get_context(name, value, attrs))

    def id_for_label(self, id_: str) -> str:
        return f"{id_}-0-label" if id_ else ""


EMPTY_ROW = {"label": "", "kind": "group", "who": "", "power": "voter", "weight": "1", "required": "1"}


def place_in(data: Mapping[str, Any], prefix: str, index: int) -> int:
    """The place written for a row, or the one it has; a row without its place stays behind those that share it."""
    written = str(data.get(f"{prefix}-position", "")).strip()
    return int(written) if written.isascii() and written.isdigit() and len(written) < 5 else index + 1


def row_of(data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """One row as it was typed."""
    return {name: str(data.get(f"{prefix}-{name}", default)).strip()[:200] for name, default in EMPTY_ROW.items()}


def row_of_seat(seat: Mapping[str, Any]) -> dict[str, Any]:
    """A seat of the contract's JSON as a row."""
    kind = next(name for name, _label in KINDS if name in seat)
    return {
        "label": seat["label"],
        "kind": kind,
        "who": seat[kind],
        "power": seat["power"],
        "weight": str(seat["weight"]),
        "required": str(seat["required"]),
    }


def seat_of_row(row: Mapping[str, str]) -> dict[str, Any]:
    """A row as a seat of the contract's JSON; what is no number stays text, and the check names it."""
    kind = row["kind"] if row["kind"] in dict(KINDS) else "group"
    numbers = {name: int(row[name]) if row[name].isdecimal() and len(row[name]) < 6 else row[name] for name in ("weight", "required")}
    return {"label": row["label"], kind: row["who"], "power": row["power"], **numbers}


class SeatsField(forms.Field):
    """The seats of a level, as the contract's JSON."""

    widget = SeatsWidget

    def clean(self, value: Any) -> list[dict[str, Any]]:
        if not value:
            raise ValidationError(_("Say whom this level asks: write at least one row."))
        return [seat_of_row(row) if "kind" in row else row for row in value]

    def has_changed(self, initial: Any, data: Any) -> bool:
        before = [row_of_seat(seat) for seat in initial or []]
        return data is not None and before != data

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data if data is not None else initial


class RemindersField(forms.Field):
    """Percentages of the time given, written with commas between them."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[int]:
        parts = [part.strip().removesuffix("%").strip() for part in str(value or "").split(",")]
        if any(part and not (part.isascii() and part.isdigit() and len(part) < 4 and 1 <= int(part) <= 100) for part in parts):
            raise ValidationError(_("Write whole percentages from 1 to 100 with commas between them, such as 50, 75, 90."))
        return [int(part) for part in parts if part]

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.to_python(data) != (initial or [])
        except ValidationError:
            return True


class ChainForm(forms.ModelForm):
    """A chain without its levels."""

    applies_when = ConditionField(
        custom=custom_fields,
        label=gettext_lazy("Applies when"),
        help_text=gettext_lazy("Changes this chain is for. Chains are tried in their order."),
    )

    class Meta:
        model = Chain
        fields = ("name", "order", "active", "additive", "valid_from", "valid_to", "applies_when")
        help_texts = {
            "valid_from": gettext_lazy("Empty: from its activation on. UTC."),
            "valid_to": gettext_lazy("Not used any more from this moment on. Empty: without end. UTC."),
        }

    def clean(self) -> dict[str, Any]:
        super().clean()
        data = self.cleaned_data
        if data.get("valid_from") and data.get("valid_to") and data["valid_from"] >= data["valid_to"]:
            self.add_error("valid_to", _("It ends before it begins."))
        return data


class LevelForm(forms.ModelForm):
    """One level with whom it asks, checked as the contract's JSON is. `beside`: the names of those it runs side by side with."""

    beside: list[str]

    applies_when = ConditionField(
        custom=custom_fields, label=gettext_lazy("Applies when"), help_text=gettext_lazy("The level is skipped where this does not hold.")
    )
    watches = forms.MultipleChoiceField(
        choices=[(part, PART_WORDS[part]) for part in PARTS],
        widget=forms.CheckboxSelectMultiple,
        initial=list(PARTS),
        label=gettext_lazy("Watches"),
        help_text=gettext_lazy("A vote falls when one of these parts is edited. All are watched unless you take some away."),
    )
    seats = SeatsField(
        required=False,
        label=gettext_lazy("Asks"),
        help_text=gettext_lazy(
            "One row per seat, in this order. “Found by”: requester_manager, manager:2 (two up), unit_head, component_owners:4 "
            "(of criticality 4 or more), service_owner or on_call:team (its lead, else its members)."
        ),
    )

    reminders = RemindersField(
        required=False,
        initial=[50, 75, 90],
        widget=forms.TextInput(attrs={"inputmode": "numeric", "class": "vTextField"}),
        label=gettext_lazy("Reminders, percent"),
        help_text=gettext_lazy("How much of the time to decide is gone when a reminder goes out, such as 50, 75, 90. Empty: none."),
    )

    class Meta:
        model = Level
        fields = (
            "number", "name", "rule_kind", "rule_value", "sla_hours", "expires_hours", "on_timeout", "reminders", "applies_when", "watches", *SWITCHES,
        )  # fmt: skip
        help_texts = {
            "number": gettext_lazy("Levels run in this order; levels of one number run side by side."),
            "rule_value": gettext_lazy("N, P or W of the rule; empty for “all” and “any”."),
            "sla_hours": gettext_lazy("From opening to decision."),
            "expires_hours": gettext_lazy("Empty: the approval does not expire. Otherwise the work has to start within this time of the decision."),
            "on_timeout": gettext_lazy(
                "What is done when the time to decide is over. Approving by itself is for low risk only: the condition must say so."
            ),
            "allow_conditions": gettext_lazy("Approvers may approve with conditions."),
            "require_comment_on_reject": gettext_lazy("A rejection needs a reason."),
            "require_signature": gettext_lazy(
                "Each vote is signed: the password, and a code where the person has set one up, are asked for at the vote."
            ),
            "allow_guests": gettext_lazy("People without an account may be asked by a one-time link."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["seats"] = [slot_shape(slot) for slot in self.instance.slots.all()]

    def as_level(self) -> dict[str, Any]:
        """The level as the contract's JSON."""
        data = self.cleaned_data
        same = {name: data[name] for name in (*LevelForm.Meta.fields, "seats") if name in data and name not in ("rule_kind", "rule_value")}
        return same | {"rule": {"kind": data.get("rule_kind"), "value": data.get("rule_value")}}

    def clean(self) -> dict[str, Any]:
        """The check of the shape too, of what the fields themselves let through: everything in one round."""
        super().clean()
        wrong = set(self.errors)
        for found in level_findings(self.as_level(), ""):
            path = found.path.lstrip(".")
            if field_of(path) in wrong or (path.startswith("rule") and wrong & {"rule_kind", "rule_value"}):
                continue
            self.add_error(*place_of(path, found.message))
            self.note_at_row(path, found.message)
        return self.cleaned_data

    def note_at_row(self, path: str, message: str) -> None:
        """Say it at the row of the seat as well."""
        if path.startswith("seats["):
            row = int(path.removeprefix("seats[").partition("]")[0])
            self.fields["seats"].widget.notes.setdefault(row, []).append({"severity": "error", "message": message})


def place_of(path: str, message: str) -> tuple[str | None, str]:
    """The form field a mistake of the shape stands at, and its words with the row it is about."""
    if path.startswith("seats["):
        row, _dot, column = path.removeprefix("seats[").partition("]")
        return "seats", _("Row %(row)d%(column)s: %(message)s") % {"row": int(row) + 1, "column": column.replace(".", ", "), "message": message}
    name = field_of(path)
    return (name if name in LevelForm.base_fields else None), message


def field_of(path: str) -> str:
    """The form field of a path within a level."""
    return FIELD_OF.get(path, path.partition(".")[0].partition("[")[0])


class LevelFormSet(BaseInlineFormSet):
    """The levels of a chain: at least one, each with a name of its own."""

    def add_fields(self, form: Any, index: int | None) -> None:
        """A new level comes with the number after those there are; the script gives it to those that it adds."""
        super().add_fields(form, index)
        stored = [level.number for level in self.get_queryset()]
        if index is not None and index >= len(stored):
            form.fields["number"].initial = max(stored, default=0) + 1 + index - len(stored)

    def levels(self) -> list[dict[str, Any]]:
        """The levels as the contract's JSON, by number."""
        kept = [form for form in self.forms if isinstance(form, LevelForm) and (form.has_changed() or form.instance.pk)]
        gone = self._should_delete_form  # type: ignore[attr-defined]  # Django's own, and not among the stubs
        found = [form.as_level() for form in kept if not (self.can_delete and gone(form))]
        return sorted(found, key=lambda level: level.get("number") or 0)

    def clean(self) -> None:
        super().clean()
        levels = self.levels()
        named = [level for level in levels if level.get("name")]
        if levels and not named:
            return
        given = {"name": "chain", "applies_when": {}, "levels": named}
        mistakes = [found.message for found in chain_findings(given) if found.path == "levels" or found.path.endswith("].name")]
        if mistakes:
            raise ValidationError(mistakes)
