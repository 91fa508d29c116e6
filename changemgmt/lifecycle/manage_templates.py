"""The catalogue of templates: an administrator's, and every alteration on the record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.audit.actions import record
from changemgmt.changes import fields
from changemgmt.changes.models import CustomField, Item, Template, Type
from changemgmt.conditions.rules import check
from changemgmt.core.diff import differences
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible
from changemgmt.core.time import rfc3339
from changemgmt.planning.rules import PlanError
from changemgmt.planning.rules import clean as clean_plan

MODES = ("fixed", "defaulted", "open")
FIELDS = ("slug", "name", "description", "type", "active", "fields", "plan", "item_operations", "max_items", "scope", "pre_approved", "expires_at")
NOT_IN_TEMPLATES = {"template", "requester", "parent", "watchers", "requested_start", "requested_end"}


def refuse_others(actor: User) -> None:
    if not has_role(actor, "administrator"):
        raise NotPermitted("Only an administrator writes templates.")


def create_template(values: dict[str, Any], *, actor: User, now: datetime) -> Template:
    """A new template; `values` maps FIELDS, slug and name are needed."""
    refuse_others(actor)
    template = Template(**checked({"slug": "", "name": "", **values}))
    with transaction.atomic():
        if Template.objects.filter(slug=template.slug).exists():
            raise Invalid.field("slug", "There is a template of this slug already.")
        template.save()
        told("template.created", template, {}, actor=actor, now=now)
    return template


def edit_template(slug: str, values: dict[str, Any], *, actor: User, now: datetime) -> Template:
    """Write fields of a template. Its slug stays: changes name it."""
    refuse_others(actor)
    with transaction.atomic():
        template = locked_template(slug)
        before = shape(template)
        cleaned = checked(values)
        if cleaned.pop("slug", slug) != slug:
            raise Invalid.field("slug", "The slug of a template stays as it is.")
        for name, value in cleaned.items():
            setattr(template, name, value)
        template.save()
        told("template.updated", template, before, actor=actor, now=now)
    return template


def delete_template(slug: str, *, actor: User, now: datetime) -> None:
    """Take a template that no change came from out of the catalogue."""
    refuse_others(actor)
    with transaction.atomic():
        template = locked_template(slug)
        try:
            template.delete()
        except ProtectedError:
            raise NotPossible("Changes came from this template: make it inactive instead.") from None
        record("template.deleted", actor=actor.username, object=f"template:{slug}", now=now)


def locked_template(slug: str) -> Template:
    template = Template.objects.select_for_update().filter(slug=slug).first()
    if template is None:
        raise NotFound("There is no template of this slug.")
    return template


def told(action: str, template: Template, before: dict[str, Any], *, actor: User, now: datetime) -> None:
    record(action, actor=actor.username, object=f"template:{template.slug}", now=now, differences=differences(before, shape(template)))


def shape(template: Template) -> dict[str, Any]:
    """A template as the API shows it and the record keeps it."""
    return {**{name: getattr(template, name) for name in FIELDS}, "expires_at": rfc3339(template.expires_at)}


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """The given fields cleaned; raises Invalid with every mistake at its field."""
    cleaned, errors = {}, {}
    for name, value in values.items():
        try:
            if name not in CLEANERS:
                fields.unknown(name)
            cleaned[name] = CLEANERS[name](value)
        except fields.Mistake as mistake:
            errors[name] = [str(mistake)]
        except PlanError as error:
            errors |= {f"plan.{place}": messages for place, messages in error.errors.items()}
        except Invalid as error:
            errors |= {f"{name}.{place}": messages for place, messages in error.errors.items()}
    if errors:
        raise Invalid("The template is not right.", errors=errors)
    return cleaned


def slug(value: Any) -> str:
    cleaned = fields.text(100, required=True)(value)
    if not all(character.isascii() and (character.isalnum() or character in "-_") for character in cleaned):
        raise fields.Mistake("Letters, digits, - and _.")
    return cleaned


def modes(value: Any) -> dict[str, Any]:
    """For each field of a change its mode and, unless it is open, a value that field can have."""
    if not isinstance(value, dict):
        raise fields.Mistake("An object: for each field its mode and value.")
    errors = {}
    for name, rule in value.items():
        if name not in fields.FIELDS or name in NOT_IN_TEMPLATES:
            errors[str(name)[:60]] = ["A template can't set this field."]
        elif not isinstance(rule, dict) or rule.get("mode") not in MODES or rule.keys() - {"mode", "value"}:
            errors[name] = [f"An object with a mode of {', '.join(MODES)} and a value."]
    if errors:
        raise Invalid("The fields of the template are not right.", errors=errors)
    told_values = {name: rule["value"] for name, rule in value.items() if rule["mode"] != "open" and "value" in rule}
    fields.clean(told_values, type=str(told_values.get("type", Type.NORMAL)))
    return value


def plan(value: Any) -> dict[str, Any]:
    if value:
        clean_plan(value, item_ids=())
    return value or {}


def scope(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise fields.Mistake("A condition is an object; {} is always true.")
    findings = check(value, custom=dict(CustomField.objects.values_list("name", "kind")))
    if findings:
        raise Invalid("The condition is not right.", errors={finding.path or "condition": [finding.message] for finding in findings})
    return value


def count(value: Any) -> int | None:
    return None if value is None else fields.whole(0, 5_000)(value)


CLEANERS = {
    "slug": slug,
    "name": fields.text(200, required=True),
    "description": fields.text(fields.LONG),
    "type": fields.choice(*Type.values),
    "active": fields.boolean,
    "fields": modes,
    "plan": plan,
    "item_operations": fields.listed(fields.choice(*Item.Operation.values)),
    "max_items": count,
    "scope": scope,
    "pre_approved": fields.boolean,
    "expires_at": fields.instant,
}
