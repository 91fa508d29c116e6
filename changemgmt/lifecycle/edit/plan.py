"""Editing the plan."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.core.errors import Invalid
from changemgmt.planning.actions import store_plan
from changemgmt.planning.queries import custom_kinds, plan_of
from changemgmt.planning.rules import PlanError, clean

from .editing import editing


def set_plan(number: str, plan: dict[str, Any], *, actor: User, now: datetime, seen: str | None) -> Change:
    """Replace the plan whole. Mistakes are named at their place; findings are said when it is read and bind at `schedule`."""
    return alter_plan(number, lambda before: plan, actor=actor, now=now, seen=seen)


def alter_plan(number: str, alter: Callable[[dict[str, Any]], dict[str, Any]], *, actor: User, now: datetime, seen: str | None) -> Change:
    """Replace the plan by what `alter` makes of it; the plan it gets is read under the lock of the edit."""
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        try:
            cleaned = clean(alter(plan_of(edit.change)), item_ids=list(edit.change.items.values_list("pk", flat=True)), custom=custom_kinds())
        except PlanError as error:
            raise Invalid(str(error), errors=error.errors) from None
        stored = store_plan(edit.change, cleaned)
        edit.change.plan = stored
    return edit.change
