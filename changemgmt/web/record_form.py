"""The record of a change as forms, part by part: how it is shown, and what of it was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from changemgmt.accounts.models import OrgUnit, User
from changemgmt.accounts.queries import people_with_role
from changemgmt.changes.fields import COMPLIANCE, GROUPS
from changemgmt.changes.models import Category, Change, CustomField, OnWindowEnd, Priority, Scale, Template, Type, Urgency
from changemgmt.core.time import rfc3339

if TYPE_CHECKING:
    from changemgmt.core.errors import DomainError
    from changemgmt.core.labels import Label

STAKES = [("0.0", _("None")), ("0.25", _("A little")), ("0.5", _("Some")), ("0.75", _("Much")), ("1.0", _("Most"))]
COMPLIANCE_NAMES = {
    "sox": "SOX",
    "gdpr": "GDPR",
    "hipaa": "HIPAA",
    "pci": "PCI DSS",
    "cmmi": "CMMI",
    "soc2": "SOC 2",
    "iso27001": "ISO 27001",
    "nist": "NIST",
}
GROUP_LABELS = {
    "technical": _("Success criteria: technical"),
    "process": _("Success criteria: process"),
    "business": _("Success criteria: business"),
    "compliance": _("Success criteria: compliance"),
}


class Long(forms.CharField):
    """Several lines of text, kept as written but for the line ends browsers send."""

    def __init__(self, label: Any, hint: Any = "", rows: int = 4) -> None:
        super().__init__(label=label, help_text=hint, required=False, strip=False, widget=forms.Textarea(attrs={"class": "in", "rows": rows}))

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class Lines(Long):
    """A list, one entry a line."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return split_lines(self.to_python(data)) != (initial or [])


class Words(forms.CharField):
    """A list, separated by commas."""

    def __init__(self, label: Any, hint: Any = "") -> None:
        super().__init__(label=label, help_text=hint, required=False, widget=forms.TextInput(attrs={"class": "in"}))

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return split_words(data) != (initial or [])


class Moment(forms.DateTimeField):
    """A time in the viewer's zone."""

    def __init__(self, label: Any, hint: Any = "", **more: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local", "class": "in"}, format="%Y-%m-%dT%H:%M")
        super().__init__(
            label=label, help_text=hint, required=more.get("required", False), widget=widget, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        )


def short(label: Any, hint: Any = "", limit: int = 300) -> forms.CharField:
    return forms.CharField(label=label, help_text=hint, max_length=limit, required=False, widget=forms.TextInput(attrs={"class": "in"}))


def one_of(label: Any, options: Any, hint: Any = "") -> forms.ChoiceField:
    return forms.ChoiceField(label=label, help_text=hint, choices=options, required=False, widget=forms.Select(attrs={"class": "in"}))


class Stake(forms.ChoiceField):
    """One of the steps between nothing and everything; the verbs take it as a number."""

    def __init__(self, label: Label) -> None:
        super().__init__(label=label, choices=STAKES, required=False, widget=forms.Select(attrs={"class": "in"}))


def yes_no(label: Any, hint: Any = "") -> forms.BooleanField:
    return forms.BooleanField(label=label, help_text=hint, required=False)


def several(label: Any, options: Any, hint: Any = "", boxes: bool = False) -> forms.MultipleChoiceField:
    widget = forms.CheckboxSelectMultiple() if boxes else forms.SelectMultiple(attrs={"class": "in", "data-select": ""})
    return forms.MultipleChoiceField(label=label, help_text=hint, choices=options, required=False, widget=widget)


def split_lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def split_words(text: str | None) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))


def categories() -> list[tuple[str, Label]]:
    return [("", _("None")), *Category.objects.values_list("slug", "name")]


def units() -> list[tuple[str, Label]]:
    return [("", _("None")), *OrgUnit.objects.values_list("slug", "name")]


def templates() -> list[tuple[str, Label]]:
    return [("", _("None: an empty form")), *Template.objects.filter(active=True).values_list("slug", "name")]


def owners() -> list[tuple[str, Label]]:
    return [("", _("Nobody yet")), *((user.username, user.display_name) for user in people_with_role("change_manager"))]


def everybody() -> list[tuple[str, str]]:
    people = User.objects.filter(is_active=True, is_service=False, is_guest=False).order_by("first_name", "username")[:1000]
    return [(user.username, user.display_name) for user in people]


class Part(forms.Form):
    """A part of the record. Fields carry the names of the record; `plain` is what the verbs take."""

    error_css_class = "has-error"

    def plain(self) -> dict[str, Any]:
        """The fields that were changed, as the verbs take them. A field that was not sent is not changed;

        an unticked box sends nothing, so boxes count only when the form says that it came `whole`.
        """
        sent = [name for name in self.changed_data if name in self.data or "whole" in self.data]
        return self.gathered(sent)

    def gathered(self, names: list[str]) -> dict[str, Any]:
        """The named fields as the verbs take them; fields that make up one are put together."""
        values = {name: plain(self.cleaned_data[name], self.fields[name]) for name in names}
        if any(name.startswith("criteria_") for name in values):
            values = {name: value for name, value in values.items() if not name.startswith("criteria_")}
            values["success_criteria"] = [{"group": group, "text": line} for group in GROUPS for line in self.lines_of(f"criteria_{group}")]
        if "verification_checklist" in values:
            values["verification_checklist"] = [{"text": line} for line in values["verification_checklist"]]
        return values

    def lines_of(self, name: str) -> list[str]:
        """The lines of a field as sent, or as they are where it was not sent."""
        return split_lines(self.cleaned_data[name]) if name in self.data else list(self.initial.get(name) or [])

    def take(self, refusal: DomainError | None) -> None:
        """Put a refusal's messages at their fields; what belongs to no field stays for the page to show."""
        for name, messages in (refusal.errors if refusal else {}).items():
            field = "criteria_technical" if name == "success_criteria" else name
            if field in self.fields:
                self.add_error(field, messages)


def plain(value: Any, field: forms.Field) -> Any:
    """One cleaned value as plain data."""
    match field:
        case Lines():
            return split_lines(value)
        case Words():
            return split_words(value)
        case Moment():
            return rfc3339(value)
        case Stake():
            return float(value or 0)
    return None if value == "" and isinstance(field, forms.ChoiceField) else value


class NewChange(Part):
    """What a draft begins with."""

    title = forms.CharField(
        label=_("Title"), help_text=_("Name the thing and what happens to it."), max_length=300, widget=forms.TextInput(attrs={"class": "in"})
    )
    template = one_of(_("Template"), templates, _("A template fills in what is always the same. Standard changes come only from one."))
    type = one_of(_("Type"), Type.choices, _("A template brings its own type."))
    priority = one_of(_("Priority"), Priority.choices)
    category = one_of(_("Category"), categories)
    org_unit = one_of(_("Org unit"), units)
    business_justification = Long(_("Why"), _("What it is good for, and what happens without it."))
    description = Long(_("What"), _("In a few sentences, for somebody who does not know the system. Markdown works."))


class Why(Part):
    """What and why, and by whom."""

    title = forms.CharField(
        label=_("Title"), help_text=_("Name the thing and what happens to it."), max_length=300, widget=forms.TextInput(attrs={"class": "in"})
    )
    description = Long(_("What"), _("In a few sentences, for somebody who does not know the system. Markdown works."))
    business_justification = Long(_("Why"), _("What it is good for, and what happens without it."))
    type = one_of(_("Type"), Type.choices)
    priority = one_of(_("Priority"), Priority.choices)
    category = one_of(_("Category"), categories)
    org_unit = one_of(_("Org unit"), units)
    owner = one_of(_("Owner"), owners, _("The change manager who runs it."))
    implementers = several(_("Implementers"), everybody, _("Who does it. They can't vote on it."))
    urgency = one_of(_("Urgency"), Urgency.choices)
    impact = one_of(_("Impact, in your judgement"), Scale.choices)
    cost_estimate = forms.DecimalField(
        label=_("Cost estimate"), required=False, min_value=0, max_digits=14, decimal_places=2, widget=forms.NumberInput(attrs={"class": "in"})
    )
    revenue_at_stake = Stake(_("Revenue at stake"))
    reputation_at_stake = Stake(_("Reputation at stake"))
    compliance_scope = several(_("Compliance scope"), [(name, COMPLIANCE_NAMES[name]) for name in COMPLIANCE], boxes=True)
    tags = Words(_("Tags"), _("Separated by commas."))
    confidential = yes_no(_("Confidential"), _("Only its people, its approvers and auditors see it."))

    def __init__(self, *args: Any, change: Change, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for custom in CustomField.objects.all():
            if not custom.types or change.type in custom.types:
                self.fields[f"custom_{custom.name}"] = custom_field(custom)

    def gathered(self, names: list[str]) -> dict[str, Any]:
        mine = [name for name in names if not name.startswith("custom_")]
        values = super().gathered(mine)
        if mine != names:
            every = [name for name in self.fields if name.startswith("custom_")]
            values["custom_fields"] = {name.removeprefix("custom_"): plain_custom(self.cleaned_data[name]) for name in every}
        if "cost_estimate" in values and values["cost_estimate"] is not None:
            values["cost_estimate"] = str(values["cost_estimate"])
        return values


def custom_field(custom: CustomField) -> forms.Field:
    """The form field of an administrator's field."""
    match custom.kind:
        case CustomField.Kind.NUMBER:
            return forms.FloatField(label=custom.label, required=False, widget=forms.NumberInput(attrs={"class": "in", "step": "any"}))
        case CustomField.Kind.BOOLEAN:
            return forms.BooleanField(label=custom.label, required=False)
        case CustomField.Kind.CHOICE:
            return one_of(custom.label, [("", _("None")), *((value, value) for value in custom.choices)])
        case CustomField.Kind.DATE:
            return forms.DateField(
                label=custom.label, required=False, widget=forms.DateInput(attrs={"type": "date", "class": "in"}, format="%Y-%m-%d")
            )
    return short(custom.label, limit=10_000)


def plain_custom(value: Any) -> Any:
    """A custom value as JSON holds it."""
    return value.isoformat() if hasattr(value, "isoformat") else None if value == "" else value


class Plans(Part):
    """How it is done, undone, tested and told of, and what done means."""

    implementation_plan = Long(_("How it is done"), _("In words. The steps are written on a page of their own."))
    rollback_plan = Long(_("How to undo it"), _("Until when, how, and how long it takes."))
    rollback_rehearsed = yes_no(_("The rollback was rehearsed"))
    test_plan = Long(_("How it is tested"))
    testing_evidence = Long(_("Test evidence"), _("What was tested already, and with what result."))
    communication_plan = Long(_("Who is told, and when"))
    verification_checklist = Lines(_("Verification checklist"), _("One check a line. They are ticked after the implementation."))
    criteria_technical = Lines(GROUP_LABELS["technical"], _("One a line."), rows=3)
    criteria_process = Lines(GROUP_LABELS["process"], rows=3)
    criteria_business = Lines(GROUP_LABELS["business"], rows=3)
    criteria_compliance = Lines(GROUP_LABELS["compliance"], rows=3)


class When(Part):
    """The window that is asked for. Approvers sign it: a later schedule lies inside it."""

    requested_start = Moment(_("Not before"), _("Leave both empty when any window will do."))
    requested_end = Moment(_("Done by"))
    expected_downtime_minutes = forms.IntegerField(
        label=_("Downtime, minutes"),
        help_text=_("0 when the service stays up."),
        required=False,
        min_value=0,
        widget=forms.NumberInput(attrs={"class": "in"}),
    )
    on_window_end = one_of(_("When the window ends before the work"), OnWindowEnd.choices)

    def gathered(self, names: list[str]) -> dict[str, Any]:
        values = super().gathered(names)
        if "expected_downtime_minutes" in values:
            values["expected_downtime_minutes"] = values["expected_downtime_minutes"] or 0
        return values


class NoItems(Part):
    """Why nothing of the architecture changes."""

    no_items_reason = Long(_("Why it has no items"), _("Needed only when the change alters nothing of the architecture."), rows=2)


PARTS: dict[str, type[Part]] = {"why": Why, "plans": Plans, "when": When, "no-items": NoItems}


def stored(change: Change) -> dict[str, Any]:
    """The record as the forms show it."""
    values = {name: getattr(change, name) for part in PARTS.values() for name in part.base_fields if hasattr(change, name)}
    values |= {name: str(float(getattr(change, name))) for name in ("revenue_at_stake", "reputation_at_stake")}
    values |= {
        "category": change.category_id or "",
        "org_unit": change.org_unit_id or "",
        "owner": change.owner.username if change.owner else "",
        "implementers": list(change.implementers.values_list("username", flat=True)),
        "verification_checklist": [entry["text"] for entry in change.verification_checklist],
    }
    for group in GROUPS:
        values[f"criteria_{group}"] = [entry["text"] for entry in change.success_criteria if entry["group"] == group]
    return values | {f"custom_{name}": value for name, value in change.custom_fields.items()}


def part_of(name: str, change: Change, data: Any = None) -> Part:
    """The form of one part, showing what is stored."""
    initial = stored(change)
    form = Why(data, change=change, initial=initial, auto_id="f-%s") if name == "why" else PARTS[name](data, initial=initial, auto_id="f-%s")
    owner = form.fields.get("owner")
    if isinstance(owner, forms.ChoiceField) and change.owner and not owner.valid_value(change.owner.username):
        owner.choices = [*owners(), (change.owner.username, change.owner.display_name)]
    return form
