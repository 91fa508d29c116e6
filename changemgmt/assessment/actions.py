"""Writes of assessments: each is a new row, none is ever overwritten."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from changemgmt.changes.models import Assessment, Change
from changemgmt.core.canonical import digest

from .queries import inputs_of, last_of, settings_now, success_of
from .rules import Assessment as Result
from .rules import Settings, assess

if TYPE_CHECKING:
    from changemgmt.accounts.models import User

COPIED = ("inputs_digest", "technical", "business", "overall", "level", "risks", "factors", "statements", "success_value", "success_sample")


def assess_change(change: Change, *, now: datetime) -> Assessment:
    """Assess the change as it is stored and set `risk_level` and `risk_score` on it; the caller saves the change.

    The same inputs for the same version keep the last row. An override of this version stays in force.
    """
    inputs, settings = inputs_of(change), settings_now()
    mark = digest({"inputs": asdict(inputs), "settings": asdict(settings)})
    last = last_of(change)
    if last is None or (last.version, last.inputs_digest) != (change.version, mark):
        last = store(change, assess(inputs, settings), settings, mark, last, now=now)
    adopt(change, last)
    return last


def store(change: Change, result: Result, settings: Settings, mark: str, last: Assessment | None, *, now: datetime) -> Assessment:
    value, sample = success_of(change)
    weights = {"technical": settings.technical_weight, "business": settings.business_weight}
    kept = {"override_level": last.override_level, "override_reason": last.override_reason, "override_by": last.override_by} if last else {}
    return Assessment.objects.create(
        change=change,
        version=change.version,
        inputs_digest=mark,
        technical=result.technical,
        business=result.business,
        overall=result.overall,
        level=result.level,
        risks=[risk.as_dict() for risk in result.risks],
        factors={name: asdict(factor) for name, factor in result.factors.items()},
        statements={**result.statements, "lowers": [asdict(rung) for rung in result.lowers], "weights": weights},
        success_value=value,
        success_sample=sample,
        at=now,
        **(kept if last and last.version == change.version else {}),
    )


def store_override(change: Change, level: str, reason: str, *, version: int, by: User, now: datetime) -> Assessment:
    """The last assessment once more, for `version`, with the level a person set; an empty level lifts it."""
    last = last_of(change) or assess_change(change, now=now)
    values = {name: getattr(last, name) for name in COPIED}
    row = Assessment.objects.create(
        change=change, version=version, override_level=level, override_reason=reason, override_by=by if level else None, at=now, **values
    )
    adopt(change, row)
    return row


def adopt(change: Change, row: Assessment) -> None:
    change.risk_level = row.override_level or row.level
    change.risk_score = row.overall
