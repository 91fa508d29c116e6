"""Policy rules: what administrators add to the checks of every preview. A change of them makes previews fall stale."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.architecture.actions import lock, revise
from changemgmt.audit.actions import record
from changemgmt.core.diff import differences
from changemgmt.core.errors import Invalid, NotFound
from changemgmt.core.verdict import Verdict
from changemgmt.preview.models import PolicyRule
from changemgmt.preview.policies import names_there
from changemgmt.preview.policy_mistakes import FIELDS, mistakes


def may_configure(actor: User) -> Verdict:
    """Administrators only; being a superuser grants nothing."""
    return Verdict(refusal="" if has_role(actor, "administrator") and not actor.is_service else "Only an administrator writes policy rules.")


def save_rule(rule_id: int | None, values: Mapping[str, Any], *, actor: User, now: datetime) -> PolicyRule:
    """Make a rule (`rule_id` None) or write fields of one. Invalid names every mistake with its place."""
    may_configure(actor).enforce()
    with transaction.atomic():
        lock()
        row = PolicyRule() if rule_id is None else locked_rule(rule_id)
        before = shown(row) if row.pk else {}
        refuse_wrong(row, {**shown(row), **values})
        if before == (after := {**shown(row), **values}):
            return row
        for name, value in after.items():
            setattr(row, name, value)
        row._history_user = actor
        row.save()
        told(row, "updated" if before else "created", before, after, actor=actor, now=now)
    return row


def delete_rule(rule_id: int, *, actor: User, now: datetime) -> None:
    """Delete a rule; what it found goes with it."""
    may_configure(actor).enforce()
    with transaction.atomic():
        lock()
        row = locked_rule(rule_id)
        row._history_user = actor
        told(row, "deleted", shown(row), {}, actor=actor, now=now)
        row.delete()


def refuse_wrong(row: PolicyRule, asked: Mapping[str, Any]) -> None:
    """Raise Invalid with every mistake at its place."""
    unknown = {str(name)[:60]: ["There is no field of this name."] for name in asked.keys() - set(FIELDS)}
    found = unknown or mistakes(asked, names_there())
    if not found and PolicyRule.objects.filter(name=asked["name"]).exclude(pk=row.pk).exists():
        found = {"name": [f"There is a policy rule {asked['name']!r} already."]}
    if found:
        raise Invalid(f"The rule is not right: {next(iter(found.values()))[0]}", errors=found)


def told(row: PolicyRule, verb: str, before: dict[str, Any], after: dict[str, Any], *, actor: User, now: datetime) -> None:
    """Put it on the record and, where the rule was or is active, make it a revision, so that previews fall stale."""
    name = f"policyrule:{row.name}"
    if before.get("active") or after.get("active"):
        revise([f"type:{name}"], f"{name} {verb}", actor=actor.username, now=now)
    record(f"policyrule.{verb}", actor=actor.username, object=name, now=now, differences=differences(before, after), data={"id": row.pk})


def locked_rule(rule_id: int) -> PolicyRule:
    row = PolicyRule.objects.select_for_update().filter(pk=rule_id).first()
    if row is None:
        raise NotFound("There is no policy rule with this id.")
    return row


def shown(row: PolicyRule) -> dict[str, Any]:
    """A rule as it is configured, without its id."""
    return {name: getattr(row, name) for name in FIELDS}
