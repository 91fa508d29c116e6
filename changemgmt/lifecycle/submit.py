"""Submit: the requester hands the change in, and it goes as far as it can by itself."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change, CustomField, TypePolicy
from changemgmt.core.verdict import Guard, Verdict

from . import may
from .edit.record import current, departures
from .guards import policy_rules
from .move import check_seen, legal, locked, move
from .prepare import at_once
from .review import begin
from .rights import settle_rights


def may_submit(change: Change, *, actor: User) -> Verdict:
    """Required fields and plans of the type are there, at least one item or a reason for none, and the template's rules are met."""
    refusal = may.requester_or_owner(actor, change)
    if refusal or not legal(change, "submit"):
        return Verdict(refusal=refusal, impossible="Only a draft can be submitted.")
    who = (change.requester.username,)
    policy = TypePolicy.objects.filter(type=change.type).first()
    guards = []
    missing = missing_fields(change, policy)
    if missing:
        guards.append(Guard("required_fields", f"Missing: {', '.join(missing)}.", who))
    plans = [name for name in (policy.required_plans if policy else []) if not getattr(change, name).strip()]
    if plans:
        guards.append(Guard("required_plans", f"Missing: {', '.join(readable(name) for name in plans)}.", who))
    if not change.items.exists() and not change.no_items_reason.strip():
        guards.append(Guard("items_or_reason", "Add at least one change item, or say why there is none.", who))
    guards += [Guard("template_rules", message, who) for message in template_rules(change)]
    guards += policy_rules(change)
    return Verdict(guards=tuple(guards))


def missing_fields(change: Change, policy: TypePolicy | None) -> list[str]:
    """Names of required fields, custom ones included, that are empty."""
    names = policy.required_fields if policy else ["title"]
    missing = [readable(name) for name in names if is_empty(change, name)]
    required = CustomField.objects.filter(required=True)
    return missing + [
        field.label for field in required if (not field.types or change.type in field.types) and change.custom_fields.get(field.name) in (None, "")
    ]


def is_empty(change: Change, name: str) -> bool:
    """Whether nothing is written in this field: blanks are nothing."""
    value = current(change, name) if hasattr(change, name) else None
    return not value.strip() if isinstance(value, str) else value in (None, [], {})


def readable(name: str) -> str:
    return name.replace("_", " ")


def template_rules(change: Change) -> list[str]:
    """A standard change comes from an active template, and what the template fixes is as it fixed it."""
    if change.type == "standard" and change.template is None:
        return ["A standard change comes from a template: choose one, or make it a normal change."]
    if change.template and not change.template.active:
        return [f"The template “{change.template.name}” is not active any more."]
    brought = change.template.name if change.template else ""
    return [f"The template “{brought}” fixes {readable(name)}: write it as the template has it." for name in departures(change)]


def submit(number: str, *, actor: User, now: datetime, seen: str | None = None, comment: str = "") -> Change:
    """Hand a draft in. It ends approved (pre-approved template), in review, or submitted while a large preview is computed."""
    with transaction.atomic():
        change = locked(number, actor)
        may_submit(change, actor=actor).enforce()
        check_seen(change, seen)
        change.submitted_at = change.submitted_at or now
        move(change, "submit", actor=actor, now=now, comment=comment)
        if at_once(change):
            begin(change, now=now)
        settle_rights(change, now=now)
    return change
