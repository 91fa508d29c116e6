"""The writable fields of a change: what each accepts, from whatever door a value comes.

`clean` takes plain data (JSON or form values) and answers values for the row, or `Invalid` with every mistake at its field.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator

from changemgmt.accounts.models import OrgUnit, User
from changemgmt.core.errors import Invalid
from changemgmt.core.text import fault_in
from changemgmt.core.time import parse_instant

from .models import Category, Change, CustomField, OnWindowEnd, Priority, Scale, Template, Type, Urgency

GROUPS = ("technical", "process", "business", "compliance")
COMPLIANCE = ("sox", "gdpr", "hipaa", "pci", "cmmi", "soc2", "iso27001", "nist")
STAKES = (0, 0.25, 0.5, 0.75, 1)
LONG = 100_000


class Mistake(ValueError):
    """One value is wrong; the text says what would be right."""


def text(limit: int, *, required: bool = False) -> Callable[[Any], str]:
    def cleaned(value: Any) -> str:
        if fault := fault_in(value, limit, required=required):
            raise Mistake(fault)
        return str(value)

    return cleaned


def choice(*values: str) -> Callable[[Any], str]:
    def cleaned(value: Any) -> str:
        if not isinstance(value, str) or value not in values:
            raise Mistake(f"One of {', '.join(values)}.")
        return value

    return cleaned


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Mistake("True or false.")
    return value


def stake(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in STAKES:
        raise Mistake("One of 0, 0.25, 0.5, 0.75, 1.")
    return float(value)


def whole(low: int, high: int) -> Callable[[Any], int]:
    def cleaned(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Mistake(f"A whole number from {low:,} to {high:,}.")
        return value

    return cleaned


def money(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Mistake("An amount such as 1200.00.")
    try:
        amount = Decimal(str(value)[:40])
        if not amount.is_finite() or not 0 <= amount < Decimal(10) ** 12:
            raise InvalidOperation
    except InvalidOperation:
        raise Mistake("An amount such as 1200.00, from 0 to below 1,000,000,000,000.") from None
    return amount.quantize(Decimal("0.01"))


def instant(value: Any) -> Any:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Mistake("A time such as 2026-11-22T02:00:00Z.")
    try:
        return parse_instant(value, field="")
    except Invalid as error:
        raise Mistake(error.detail) from None


def listed(inner: Callable[[Any], Any], *, most: int = 100) -> Callable[[Any], list[Any]]:
    """A list of distinct values, each cleaned by `inner`."""

    def cleaned(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Mistake("Give a list.")
        if len(value) > most:
            raise Mistake(f"At most {most} entries.")
        return list(dict.fromkeys(inner(entry) for entry in value))

    return cleaned


def user(value: Any) -> User | None:
    """An active person by username; none for null or empty."""
    if value is None or value == "":
        return None
    found = User.objects.filter(username=value, is_active=True, is_guest=False).first() if isinstance(value, str) and "\x00" not in value else None
    if found is None:
        raise Mistake("There is no active user with this name.")
    return found


def person(value: Any) -> User:
    """Like `user`, and there has to be one."""
    found = user(value)
    if found is None:
        raise Mistake("Give a username.")
    return found


def slug_of(model: Any, what: str) -> Callable[[Any], Any]:
    """A row of the administrator's list `model` by its slug; none for null or empty."""

    def cleaned(value: Any) -> Any:
        if value is None or value == "":
            return None
        found = model.objects.filter(slug=value).first() if isinstance(value, str) and "\x00" not in value else None
        if found is None:
            raise Mistake(f"There is no {what} of this name.")
        return found

    return cleaned


def change_number(value: Any) -> Change | None:
    if value is None or value == "":
        return None
    found = Change.objects.filter(number=value, confidential=False).first() if isinstance(value, str) and "\x00" not in value else None
    if found is None:
        raise Mistake("There is no change with this number that you may see.")
    return found


def rows_of(known: dict[str, Callable[[Any], Any]], *, most: int = 100) -> Callable[[Any], list[dict[str, Any]]]:
    """A list of objects with exactly these keys (missing ones are refused only where their cleaner refuses None)."""

    def cleaned(value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list) or len(value) > most:
            raise Mistake(f"Give a list of at most {most} entries.")
        answer = []
        for index, entry in enumerate(value):
            if isinstance(entry, str) and "text" in known:
                entry = {"text": entry}
            if not isinstance(entry, dict) or set(entry) - set(known):
                raise Mistake(f"Entry {index + 1}: an object with {', '.join(known)}.")
            try:
                answer.append({name: inner(entry.get(name)) for name, inner in known.items()})
            except Mistake as mistake:
                raise Mistake(f"Entry {index + 1}: {mistake}") from None
        return answer

    return cleaned


def web_address(value: Any) -> str | None:
    if value is None or value == "":
        return None
    try:
        URLValidator(schemes=["http", "https"])(value)
    except ValidationError:
        raise Mistake("An address that begins with http:// or https://.") from None
    return text(1000)(value)


def ignored_result(default: Any) -> Callable[[Any], Any]:
    """A result that stands beside a text: written by ticking, so here only its first value is accepted."""

    def cleaned(value: Any) -> Any:
        if value not in (None, default):
            raise Mistake("Results are ticked after the implementation began, not written here.")
        return default

    return cleaned


CHECKLIST = rows_of({"text": text(500, required=True), "done": ignored_result(False)})
CRITERIA = rows_of({"group": choice(*GROUPS), "text": text(500, required=True), "met": ignored_result(None)})
REFERENCES = rows_of({"system": text(60, required=True), "id": text(200, required=True), "url": web_address})

FIELDS: dict[str, Callable[[Any], Any]] = {
    "title": text(300, required=True),
    "description": text(LONG),
    "type": choice(*Type.values),
    "category": slug_of(Category, "category"),
    "priority": choice(*Priority.values),
    "template": slug_of(Template, "template"),
    "confidential": boolean,
    "requester": person,
    "owner": user,
    "implementers": listed(person, most=50),
    "watchers": listed(person, most=200),
    "org_unit": slug_of(OrgUnit, "org unit"),
    "parent": change_number,
    "business_justification": text(LONG),
    "urgency": choice(*Urgency.values),
    "impact": choice(*Scale.values),
    "cost_estimate": money,
    "revenue_at_stake": stake,
    "reputation_at_stake": stake,
    "implementation_plan": text(LONG),
    "test_plan": text(LONG),
    "communication_plan": text(LONG),
    "rollback_plan": text(LONG),
    "testing_evidence": text(LONG),
    "rollback_rehearsed": boolean,
    "verification_checklist": CHECKLIST,
    "success_criteria": CRITERIA,
    "compliance_scope": listed(choice(*COMPLIANCE)),
    "tags": listed(text(60, required=True)),
    "custom_fields": lambda value: value,
    "external_references": REFERENCES,
    "no_items_reason": text(LONG),
    "on_window_end": choice(*OnWindowEnd.values),
    "requested_start": instant,
    "requested_end": instant,
    "expected_downtime_minutes": whole(0, 1_000_000),
}
MANY = ("implementers", "watchers")
NOT_MATERIAL = frozenset({"title", "tags", "watchers", "owner", "external_references", "confidential", "parent"})


def clean(data: dict[str, Any], *, type: str) -> dict[str, Any]:
    """Every given field cleaned. `type` is the type the change has, for its custom fields.

    Raises Invalid with all mistakes at their fields; unknown fields are mistakes.
    """
    errors: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for name, value in data.items():
        cleaner = FIELDS.get(name)
        try:
            values[name] = cleaner(value) if cleaner else unknown(name)
        except Mistake as mistake:
            errors[name] = [str(mistake)]
    if "custom_fields" in values:
        try:
            values["custom_fields"] = clean_custom(values["custom_fields"], type=values.get("type", type))
        except Mistake as mistake:
            errors["custom_fields"] = [str(mistake)]
    if errors:
        raise Invalid("Some fields are not right.", errors=errors)
    return values


def unknown(name: str) -> NoReturn:
    raise Mistake("This field is not known, or can't be written here.")


def clean_custom(value: Any, *, type: str) -> dict[str, Any]:
    """The custom fields of a change of this type, each of its kind."""
    if not isinstance(value, dict):
        raise Mistake("Give an object.")
    known = {field.name: field for field in CustomField.objects.all() if not field.types or type in field.types}
    for name, entry in value.items():
        if name not in known:
            raise Mistake(f"There is no custom field “{str(name)[:60]}” for this type.")
        if entry is not None:
            check_custom(known[name], entry)
    return value


def check_custom(field: CustomField, value: Any) -> None:
    kinds: dict[str, Callable[[Any], bool]] = {
        "text": lambda entry: isinstance(entry, str) and len(entry) <= LONG and "\x00" not in entry,
        "number": lambda entry: isinstance(entry, int | float) and not isinstance(entry, bool),
        "boolean": lambda entry: isinstance(entry, bool),
        "choice": lambda entry: entry in field.choices,
        "date": is_date,
    }
    if not kinds[field.kind](value):
        wanted = f"one of {', '.join(map(str, field.choices))}" if field.kind == "choice" else field.get_kind_display()
        raise Mistake(f"{field.label}: {wanted}.")


def is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(date.fromisoformat(value))
    except ValueError:
        return False
