"""The calendar: maintenance windows and freezes. A freeze holds at once; whatever loosens one waits for a second person."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role, same_person
from changemgmt.audit.actions import record
from changemgmt.changes.models import CustomField, Type
from changemgmt.core.diff import differences
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible
from changemgmt.core.time import parse_instant, rfc3339
from changemgmt.scheduling.models import Freeze, MaintenanceWindow, Span
from changemgmt.scheduling.rules import loosens, span_mistakes
from changemgmt.scheduling.shapes import span_shape

Row = TypeVar("Row", bound=Span)
WRITERS = ("change_manager", "administrator")
FIELDS = ("name", "start", "end", "recurrence", "timezone", "scope")
DEFAULTS: dict[str, Any] = {"recurrence": "", "timezone": "UTC", "scope": {}}
FREEZE_FIELDS = (*FIELDS, "allowed_types", "reason")
FREEZE_DEFAULTS = DEFAULTS | {"allowed_types": [], "reason": ""}


def create_window(fields: dict[str, Any], *, actor: User, now: datetime) -> MaintenanceWindow:
    """A maintenance window. From then on what its scope names may only be changed inside one."""
    return create(MaintenanceWindow, DEFAULTS | fields, actor=actor, now=now)


def create_freeze(fields: dict[str, Any], *, actor: User, now: datetime) -> Freeze:
    """A freeze; it holds at once."""
    return create(Freeze, FREEZE_DEFAULTS | fields, actor=actor, now=now)


def create(model: type[Row], fields: dict[str, Any], *, actor: User, now: datetime) -> Row:
    refuse_others(actor)
    values = cleaned(model, fields)
    with transaction.atomic():
        row = model(created_by=actor, **values)
        keep(row, actor)
        tell(row, "created", {}, actor=actor, now=now)
    return row


def edit_window(window: int, fields: dict[str, Any], *, actor: User, now: datetime) -> MaintenanceWindow:
    """Write fields of a maintenance window; it holds at once."""
    refuse_others(actor)
    with transaction.atomic():
        row = locked(MaintenanceWindow, window)
        before = span_shape(row)
        write(row, cleaned(MaintenanceWindow, as_fields(row) | fields))
        keep(row, actor)
        tell(row, "updated", before, actor=actor, now=now)
    return row


def remove_window(window: int, *, actor: User, now: datetime) -> None:
    """Take a maintenance window out of the calendar; its record stays."""
    refuse_others(actor)
    with transaction.atomic():
        row = locked(MaintenanceWindow, window)
        row.removed_at = now
        keep(row, actor)
        tell(row, "removed", span_shape(row), actor=actor, now=now)


def edit_freeze(freeze: int, fields: dict[str, Any], *, actor: User, now: datetime) -> tuple[Freeze, bool]:
    """Write fields of a freeze. What only tightens it holds at once (True); what loosens it waits for another person (False)."""
    refuse_others(actor)
    with transaction.atomic():
        row = locked(Freeze, freeze)
        before, values = span_shape(row), cleaned(Freeze, as_fields(row) | fields)
        if loosens(as_fields(row), values):
            propose(row, plain(values), actor=actor, now=now)
            return row, False
        write(row, values)
        keep(row, actor)
        tell(row, "updated", before, actor=actor, now=now)
    return row, True


def remove_freeze(freeze: int, *, actor: User, now: datetime) -> Freeze:
    """Ask for the end of a freeze; it holds until another person confirms."""
    refuse_others(actor)
    with transaction.atomic():
        row = locked(Freeze, freeze)
        propose(row, {"remove": True}, actor=actor, now=now)
    return row


def confirm_freeze(freeze: int, *, actor: User, now: datetime) -> Freeze:
    """Confirm what another person asked for: the freeze is shortened, altered or removed from now on."""
    refuse_others(actor)
    with transaction.atomic():
        row = locked(Freeze, freeze)
        asked, asker = row.pending, row.pending_by
        if asked is None or asker is None:
            raise NotPossible("Nothing about this freeze waits to be confirmed.")
        if same_person(actor, asker):
            raise NotPermitted("You asked for this: another change manager or administrator has to confirm it.")
        before = span_shape(row)
        if asked.get("remove"):
            row.removed_at = now
        else:
            write(row, cleaned(Freeze, asked))
        row.pending = row.pending_by = None
        keep(row, actor)
        tell(row, "removed" if asked.get("remove") else "updated", before, actor=actor, now=now, asked_by=asker.username)
    return row


def propose(row: Freeze, asked: dict[str, Any], *, actor: User, now: datetime) -> None:
    row.pending, row.pending_by = asked, actor
    keep(row, actor)
    record("freeze.loosening_asked", actor=actor.username, object=f"freeze:{row.pk}", now=now, data={"name": row.name, "asked": asked})


# Parts


def refuse_others(actor: User) -> None:
    if not has_role(actor, *WRITERS):
        raise NotPermitted("Only change managers and administrators write the calendar.")


def locked(model: type[Row], key: int) -> Row:
    row = model._default_manager.select_for_update(of=("self",)).filter(pk=key, removed_at__isnull=True).first()
    if row is None:
        raise NotFound("There is no such entry in the calendar.")
    return row


def cleaned(model: type[Span], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as values for the row, or Invalid with every mistake at its field. `fields` may carry times as text."""
    known = FREEZE_FIELDS if model is Freeze else FIELDS
    errors = {name: ["There is no field of this name."] for name in fields if name not in known}
    values = {name: fields[name] for name in known if name in fields}
    values["recurrence"] = values.get("recurrence") or ""
    errors |= text_mistakes(values)
    values |= instants(values, errors)
    if not errors:
        errors = span_mistakes(*(values[name] for name in FIELDS[1:]), custom=dict(CustomField.objects.values_list("name", "kind")))
    allowed = values.get("allowed_types", [])
    if not isinstance(allowed, list) or any(one not in Type.values for one in allowed):
        errors["allowed_types"] = [f"A list of {', '.join(Type.values)}."]
    if errors:
        raise Invalid("The entry is not right.", errors=errors)
    return values


def text_mistakes(values: dict[str, Any]) -> dict[str, list[str]]:
    limits = {"name": 200, "recurrence": 500, "timezone": 64, "reason": 300}
    wrong = [name for name, limit in limits.items() if not isinstance(values.get(name, ""), str) or len(values.get(name, "")) > limit]
    errors = {name: [f"Text of at most {limits[name]} characters."] for name in wrong}
    if not errors and not values.get("name", "").strip():
        errors["name"] = ["It needs a name."]
    return errors


def instants(values: dict[str, Any], errors: dict[str, list[str]]) -> dict[str, datetime]:
    found = {}
    for name in ("start", "end"):
        value = values.get(name)
        if isinstance(value, datetime):
            found[name] = value
            continue
        try:
            found[name] = parse_instant(value if isinstance(value, str) else "", field=name)
        except Invalid as error:
            errors |= error.errors
    return found


def as_fields(row: Span) -> dict[str, Any]:
    return {name: getattr(row, name) for name in (FREEZE_FIELDS if isinstance(row, Freeze) else FIELDS)}


def plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in values.items()}


def write(row: Span, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def keep(row: Span, actor: User) -> None:
    row._history_user = actor
    row.save()


def tell(row: Span, what: str, before: dict[str, Any], *, actor: User, now: datetime, asked_by: str = "") -> None:
    """Put it on the record, in the transaction of the act."""
    kind = "freeze" if isinstance(row, Freeze) else "maintenance_window"
    after = {} if what == "removed" else span_shape(row)
    data = {"name": row.name, **({"asked_by": asked_by} if asked_by else {})}
    record(f"{kind}.{what}", actor=actor.username, object=f"{kind}:{row.pk}", now=now, differences=differences(before, after), data=data)
