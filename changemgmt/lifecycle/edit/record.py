"""Creating a change and editing its record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.audit.actions import Personal, record
from changemgmt.changes.actions import next_number, note_author
from changemgmt.changes.documents import write_documents
from changemgmt.changes.fields import MANY, NOT_MATERIAL, clean
from changemgmt.changes.models import Change, Template, Type
from changemgmt.core.diff import Difference
from changemgmt.core.errors import Invalid, NotPermitted
from changemgmt.planning.actions import store_plan
from changemgmt.planning.queries import custom_kinds
from changemgmt.planning.rules import PlanError
from changemgmt.planning.rules import clean as clean_plan
from changemgmt.scheduling.actions import hold_calendar

from ..rights import settle_rights
from .editing import Edit, editing


def create_change(fields: dict[str, Any], *, actor: User, now: datetime) -> Change:
    """A new draft. The requester is the caller, unless a change manager names another."""
    if not has_role(actor, "requester", "change_manager"):
        raise NotPermitted("Only people with the role requester or change_manager can request a change.")
    values = clean(fields, type=str(fields.get("type", Type.NORMAL)))
    template = values.get("template")
    if template:
        values = clean(from_template(template, fields), type=template.type)
    if not values.get("title"):
        raise Invalid.field("title", "A change needs a title.")
    requester = values.pop("requester", actor)
    refuse_other_requester(requester, actor)
    check_span(values, None)
    many = {name: values.pop(name) for name in MANY if name in values}
    plan = plan_from(template)
    with transaction.atomic():
        change = Change(number=next_number(now.year), requester=requester, created_at=now, updated_at=now, **values)
        change.irreversible_steps = sum(step["irreversible"] for step in plan["steps"])
        change.save()
        for name, people in many.items():
            getattr(change, name).set(people)
        write_documents([change.pk])
        if plan["steps"] or plan["gates"]:
            store_plan(change, plan)
        note_author(change, actor)
        note_author(change, requester)
        settle_rights(change, now=now)
        data = {"title": change.title, "type": change.type, "requester": Personal(requester.username)}
        record("change.created", actor=actor.username, object=f"change:{change.number}", change=change.number, now=now, data=data)
    return change


def plan_from(template: Template | None) -> dict[str, Any]:
    """The plan a template brings; an empty one where it brings none."""
    try:
        return clean_plan(template.plan if template else {}, item_ids=(), custom=custom_kinds())
    except PlanError as error:
        raise Invalid("The plan of this template is not right: an administrator has to mend it.", errors={"template": [str(error)]}) from None


def refuse_other_requester(requester: User, actor: User) -> None:
    if requester != actor and not has_role(actor, "change_manager"):
        raise NotPermitted("Only a change manager can request a change for somebody else.")


def from_template(template: Template, fields: dict[str, Any]) -> dict[str, Any]:
    """The given fields with what the template fixes and proposes; a fixed one given otherwise is refused."""
    if not template.active:
        raise Invalid.field("template", "This template is not active.")
    merged, errors = dict(fields), {}
    for name, rule in template.fields.items():
        if rule["mode"] == "fixed" and name in fields and fields[name] != rule.get("value"):
            errors[name] = [f"The template “{template.name}” fixes this field."]
        if rule["mode"] == "fixed" or name not in merged:
            merged[name] = rule.get("value")
    if errors:
        raise Invalid("The template fixes some of these fields.", errors=errors)
    return {"type": template.type, **merged}


def check_span(values: dict[str, Any], change: Change | None) -> None:
    """The requested window has both ends, in order, or none."""
    start = values.get("requested_start", change.requested_start if change else None)
    end = values.get("requested_end", change.requested_end if change else None)
    if (start is None) != (end is None):
        raise Invalid.field("requested_end", "A requested window has a start and an end, or neither.")
    if start and end and end <= start:
        raise Invalid.field("requested_end", "The requested window has to end after it starts.")


def edit_change(number: str, fields: dict[str, Any], *, actor: User, now: datetime, seen: str | None, comment: str = "") -> Change:
    """Write fields of the record. Beyond draft, a material one makes the next version."""
    material = bool(fields.keys() - NOT_MATERIAL)
    with transaction.atomic():
        with editing(number, actor=actor, now=now, seen=seen, material=material, comment=comment) as edit:
            write_fields(edit, fields)
        if "confidential" in fields:
            named_in = Change.objects.filter(Q(parent=edit.change) | Q(copied_from=edit.change))
            write_documents(list(named_in.values_list("pk", flat=True)))
    return edit.change


def write_fields(edit: Edit, fields: dict[str, Any]) -> None:
    """Put the checked fields onto the row of the edit."""
    change = edit.change
    if "parent" in fields:
        hold_calendar()  # one at a time, so that two edits can't close a circle
    values = checked(change, fields)
    if "requester" in values:
        refuse_other_requester(values["requester"], edit.actor)
        edit.authors += [change.requester, values["requester"]]
    for name, value in values.items():
        edit.extra += not_signed(change, name, value)
        if name in MANY:
            getattr(change, name).set(value)
        else:
            setattr(change, name, value)


def checked(change: Change, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as values of the row, or Invalid with what is wrong with them for this change."""
    values = clean(fields, type=change.type)
    check_span(values, change)
    keep_template_rules(change, values)
    above, passed = values.get("parent"), set()
    while above is not None and above.pk not in passed:
        if above == change:
            raise Invalid.field("parent", "A change can't be its own parent, nor the parent of one it is part of.")
        passed.add(above.pk)
        above = above.parent
    return values


def keep_template_rules(change: Change, values: dict[str, Any]) -> None:
    if not change.template_id or change.template is None:
        return
    for name, rule in change.template.fields.items():
        if rule["mode"] == "fixed" and name in values and values[name] not in (rule.get("value"), getattr(change, name)):
            raise Invalid.field(name, f"The template “{change.template.name}” fixes this field.")


def departures(change: Change) -> list[str]:
    """Names of the fields that are not as the template of the change fixes them, however they came to be so."""
    rules = change.template.fields if change.template else {}
    fixed = {name: rule.get("value") for name, rule in rules.items() if rule["mode"] == "fixed"}
    try:
        wanted = clean(fixed, type=change.type)
    except Invalid as error:
        return sorted(error.errors)
    return [name for name, value in wanted.items() if plain_name(current(change, name)) != plain_name(value)]


def not_signed(change: Change, name: str, value: Any) -> list[Difference]:
    """Differences of the fields that no digest covers, so that the record of the edit is whole."""
    if name not in NOT_MATERIAL | {"requester"}:
        return []
    before, after = (plain_name(entry) for entry in (current(change, name), value))
    return [] if before == after else [Difference(name, before, after)]


def current(change: Change, name: str) -> Any:
    return list(getattr(change, name).all()) if name in MANY else getattr(change, name)


def plain_name(value: Any) -> Any:
    match value:
        case User():
            return value.username
        case Change():
            return value.number
        case list():
            return sorted(plain_name(entry) for entry in value) if value and isinstance(value[0], User) else value
    return value
