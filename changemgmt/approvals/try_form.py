"""The form that tries chains out in the admin: the number of a change, or attributes typed into a field each."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.accounts.models import User
from changemgmt.changes.facts import facts_of
from changemgmt.changes.models import CustomField
from changemgmt.changes.queries import visible
from changemgmt.conditions.facts import Field, Kind, fields_with
from changemgmt.conditions.written import typed
from changemgmt.core.errors import DomainError

from .dry_run import dry_run, facts_from
from .models import Chain

DASH = ("", "–")
YES_NO = (DASH, ("yes", gettext_lazy("yes")), ("no", gettext_lazy("no")))


class TryForm(forms.Form):
    """Either a change or at least one attribute. `chain` is tried as it is saved, in the place of what is in force of it."""

    change = forms.CharField(
        required=False,
        max_length=40,
        label=gettext_lazy("Number of a change"),
        widget=forms.TextInput(attrs={"placeholder": "CHG-2026-00001"}),
    )

    def __init__(self, data: Mapping[str, Any] | None = None, *, chain: Chain | None = None) -> None:
        super().__init__(data)
        self.chain = chain
        self.asked = fields_with(dict(CustomField.objects.values_list("name", "kind")))
        for name, field in self.asked.items():
            self.fields[f"with-{name}"] = one_field(field)

    def attributes(self) -> list[Any]:
        """The fields of the attributes, to be drawn."""
        return [self[f"with-{name}"] for name in self.asked]

    def given(self) -> dict[str, Any]:
        """The attributes that were filled in, as conditions know them."""
        texts = {name: str(self.cleaned_data.get(f"with-{name}") or "").strip() for name in self.asked}
        return {name: value_of(text, self.asked[name]) for name, text in texts.items() if text}

    def clean(self) -> dict[str, Any]:
        super().clean()
        if not self.errors and bool(self.cleaned_data.get("change")) == bool(self.given()):
            self.add_error("change", _("Give either the number of a change or at least one attribute."))
        return self.cleaned_data

    def tried(self, actor: User, *, now: datetime) -> dict[str, Any] | None:
        """The dry run; None where there is nothing to try, with the reason at its field."""
        try:
            number = self.cleaned_data["change"].strip()
            change = visible(actor, number) if number else None
            return dry_run(facts_of(change) if change else facts_from(self.given()), now=now, change=change, draft=self.chain)
        except DomainError as error:
            for path, words in error.errors.items() or [("change", [error.detail])]:
                name = f"with-{path.removeprefix('attributes.')}"
                self.add_error(name if name in self.fields else "change", " ".join(words))
        return None


def one_field(field: Field) -> forms.Field:
    """A field to type one attribute into."""
    if field.kind is Kind.BOOLEAN:
        return forms.ChoiceField(required=False, label=field.label, choices=YES_NO)
    if field.choices and field.kind is not Kind.TEXTS:
        return forms.ChoiceField(required=False, label=field.label, choices=[DASH, *((one, one) for one in field.choices)])
    hint = _("commas between several") if field.kind is Kind.TEXTS else ""
    return forms.CharField(required=False, max_length=500, label=field.label, widget=forms.TextInput(attrs={"placeholder": hint} if hint else {}))


def value_of(text: str, field: Field) -> Any:
    if field.kind is Kind.TEXTS:
        return [part.strip() for part in next(csv.reader([text], skipinitialspace=True), []) if part.strip()]
    return typed(text, field)
