"""A component as a form. Only what is written differently from the live component goes into the item."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changemgmt.accounts.models import OrgUnit
from changemgmt.architecture.models import Component, ComponentType, Layer
from changemgmt.architecture.rules import merge_patch
from changemgmt.core.reading import once
from changemgmt.preview.capture import patch_between

from .record_form import Words, one_of, short, split_words

if TYPE_CHECKING:
    from changemgmt.changes.models import Item
    from changemgmt.core.errors import DomainError
    from changemgmt.core.labels import Label

PLAIN = ("name", "type", "layer", "owner", "org_unit", "criticality", "users", "status", "environment", "tags")
SPARE_ROWS = 2


@once
def component_types() -> list[tuple[str, str]]:
    return [(name, name) for name in ComponentType.objects.values_list("name", flat=True)]


@once
def layers() -> list[tuple[str, Label]]:
    return [("", _("As its type says")), *((name, name) for name in Layer.objects.values_list("name", flat=True))]


@once
def units() -> list[tuple[str, Label]]:
    return [("", _("None")), *OrgUnit.objects.values_list("slug", "name")]


class ComponentForm(forms.Form):
    """The fields of a component and a row for each attribute."""

    new_key = short(_("Key"), _("How other systems name it. It never changes."))
    name = short(_("Name"), limit=500)
    type = one_of(_("Type"), component_types)
    layer = one_of(_("Layer"), layers)
    owner = short(_("Owner"), _("Slug of a team or name of a user."), limit=200)
    org_unit = one_of(_("Org unit"), units)
    criticality = forms.TypedChoiceField(
        label=_("Criticality"),
        choices=[(n, n) for n in range(1, 6)],
        coerce=int,
        required=False,
        empty_value=3,  # type: ignore[arg-type]  # any value may stand for an empty one; the stubs know text only
        widget=forms.Select(attrs={"class": "in"}),
    )
    users = forms.IntegerField(label=_("Users"), required=False, min_value=0, widget=forms.NumberInput(attrs={"class": "in"}))
    status = one_of(_("Status"), Component.Status.choices)
    environment = short(_("Environment"), limit=60)
    tags = Words(_("Tags"), _("Separated by commas."))

    def __init__(self, data: Any, *, live: dict[str, Any] | None, item: Item | None) -> None:
        self.live, self.item = live, item
        self.creating = live is None
        self.shown = shown_image(live, item)
        initial = {name: self.shown.get(name) if self.shown.get(name) is not None else "" for name in PLAIN} | {"new_key": item.key if item else ""}
        super().__init__(data, initial=initial, auto_id="c-%s")
        if not self.creating or item:
            del self.fields["new_key"]
        self.rows = attribute_rows(self.shown.get("attributes") or {}, (live or {}).get("attributes") or {}, data)

    @property
    def operation(self) -> str:
        return "create" if self.creating else "update"

    @property
    def key(self) -> str:
        return self.cleaned_data["new_key"] if self.live is None else self.live["key"]

    @property
    def display_name(self) -> str:
        return self.cleaned_data.get("name") or (self.live or {}).get("name") or (self.item.key if self.item else self.key)

    def written(self) -> dict[str, Any]:
        """All the fields as they were written."""
        values = {name: self.cleaned_data[name] for name in PLAIN}
        values["tags"] = split_words(values["tags"])
        values["org_unit"] = values["org_unit"] or None
        values["users"] = values["users"] or 0
        return values | {"attributes": {row["name"]: row["parsed"] for row in self.rows if row["name"] and not row["gone"]}}

    def data_of_item(self) -> dict[str, Any]:
        """What the item says: everything that is set for a new component, the merge patch for a live one."""
        values = self.written()
        if self.live is None:
            return {name: value for name, value in values.items() if value not in ("", None, [], {})}
        base = {name: self.live.get(name) for name in values} | {"org_unit": self.live.get("org_unit") or None}
        return patch_between(base, values)

    def clean(self) -> dict[str, Any]:
        super().clean()
        names = [row["name"] for row in self.rows if row["name"] and not row["gone"]]
        if len(names) != len(set(names)):
            raise forms.ValidationError(_("Two attributes have the same name."))
        if not self.errors and self.says_nothing():
            raise forms.ValidationError(_("Nothing differs from how it is now: change a field."))
        return self.cleaned_data

    def says_nothing(self) -> bool:
        """Whether there would be no item by it."""
        return not self.creating and not self.data_of_item()

    def take(self, refusal: DomainError | None) -> None:
        """Put the verb's messages at their fields and rows."""
        for place, messages in (refusal.errors if refusal else {}).items():
            name = {"key": "new_key"}.get(place, place.removeprefix("data."))
            if name in self.fields:
                self.add_error(name, messages)
            for row in self.rows:
                if row["name"] and name in (f"attributes.{row['name']}", "attributes"):
                    row["errors"] = messages


def shown_image(live: dict[str, Any] | None, item: Item | None) -> dict[str, Any]:
    """The component as the change would have it."""
    if live is None:
        return {"status": "live", "criticality": 3, "users": 0} | (item.data if item else {})
    return merge_patch(live, item.data) if item and item.operation == "update" else live


def attribute_rows(shown: dict[str, Any], live: dict[str, Any], data: Any) -> list[dict[str, Any]]:
    """One row for each attribute, live or new, and some to spare; what was typed stays."""
    names = list(dict.fromkeys([*live, *shown]))
    if data is not None:
        count = min(500, sum(key.startswith("attr-name-") for key in data))
        return [typed_row(data, n, live) for n in data_numbers(data, count)]
    known = [row(n, name, live.get(name), shown.get(name, live.get(name)), name not in shown, name in live) for n, name in enumerate(names)]
    return known + [row(len(known) + n, "", None, None, False, False) for n in range(SPARE_ROWS)]


def data_numbers(data: Any, count: int) -> list[int]:
    """The numbers of the rows that were sent."""
    tails = [key.removeprefix("attr-name-") for key in data if key.startswith("attr-name-")]
    return sorted(int(tail) for tail in tails if tail.isdigit())[:count]


def typed_row(data: Any, n: int, live: dict[str, Any]) -> dict[str, Any]:
    """A row as it was typed."""
    name = data.get(f"attr-name-{n}", "").strip()[:200]
    text = data.get(f"attr-value-{n}", "").replace("\r\n", "\n")
    gone = bool(data.get(f"attr-gone-{n}"))
    made = row(n, name, live.get(name), None, gone, name in live)
    return made | {"text": text, "lines": lines_of(text), "parsed": read_value(text, live.get(name)) if name in live else read_value(text, "")}


def row(n: int, name: str, now: Any, value: Any, gone: bool, known: bool) -> dict[str, Any]:
    text = written_value(value)
    lines = lines_of(text)
    return {"n": n, "name": name, "now": now, "text": text, "lines": lines, "parsed": value, "gone": gone, "known": known, "errors": []}


def lines_of(text: str) -> int:
    """How many lines a field for this text has: one line would lose the ends of the others."""
    return min(text.count("\n") + 1, 12)


def written_value(value: Any) -> str:
    """An attribute value as text for a field: text as it is, everything else as JSON."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_value(text: str, like: Any) -> Any:
    """The text as a value of the kind that stands there now; text where it can't be read as that."""
    if isinstance(like, str):
        return text
    if text == "":
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
