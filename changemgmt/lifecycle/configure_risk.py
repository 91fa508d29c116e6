"""Weights and thresholds of risk: one administrator proposes them, another puts them into force."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role, same_person
from changemgmt.assessment.models import RiskSettings
from changemgmt.assessment.queries import settings_now
from changemgmt.assessment.rules import Settings
from changemgmt.audit.actions import record
from changemgmt.core.diff import differences
from changemgmt.core.errors import Invalid, NotPermitted, NotPossible


def propose_settings(values: dict[str, Any], *, actor: User, now: datetime) -> RiskSettings:
    """Propose new values; those in force go on until another administrator activates them. Invalid names what is wrong by field."""
    refuse_others(actor)
    unknown = values.keys() - {field.name for field in fields(Settings)}
    if unknown:
        raise Invalid("Some of these settings are not known.", errors={name: ["There is no such setting."] for name in unknown})
    asked = Settings(**{**asdict(settings_now()), **values})
    if mistakes := asked.mistakes():
        raise Invalid("The settings are not right.", errors={name: [message] for name, message in mistakes.items()})
    with transaction.atomic():
        row = locked()
        row.pending, row.pending_by = asdict(asked), actor
        keep(row, actor)
        moved = differences(asdict(row.as_settings()), asdict(asked))
        record("risk_settings.proposed", actor=actor.username, object="risk_settings:1", now=now, differences=moved)
    return row


def activate_settings(*, actor: User, now: datetime) -> RiskSettings:
    """Put the proposed values into force. Assessments already made stay as they are."""
    refuse_others(actor)
    with transaction.atomic():
        row = locked()
        if row.pending is None or row.pending_by is None:
            raise NotPossible("No new risk settings wait to be activated.")
        if same_person(actor, row.pending_by):
            raise NotPermitted("You proposed these settings: another administrator has to activate them.")
        before, asker = asdict(row.as_settings()), row.pending_by.username
        for name, value in row.pending.items():
            setattr(row, name, value)
        row.pending = row.pending_by = None
        keep(row, actor)
        moved = differences(before, asdict(row.as_settings()))
        record("risk_settings.activated", actor=actor.username, object="risk_settings:1", now=now, differences=moved, data={"proposed_by": asker})
    return row


def refuse_others(actor: User) -> None:
    if not has_role(actor, "administrator"):
        raise NotPermitted("Only administrators set how risk is computed.")


def locked() -> RiskSettings:
    """The one row, locked; with the published values when there is none yet."""
    RiskSettings.objects.get_or_create(pk=1)
    return RiskSettings.objects.select_for_update(of=("self",)).get(pk=1)


def keep(row: RiskSettings, actor: User) -> None:
    row._history_user = actor
    row.save()
