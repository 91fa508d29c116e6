"""What an approver demands with an approval, as it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from changemgmt.accounts.models import User
from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible_to
from changemgmt.core.errors import Invalid
from changemgmt.core.time import parse_instant, rfc3339

from .models import ActionItem

FIELDS = {"text", "due", "evidence", "owner", "expires_at", "on_expiry"}
MOST, LONGEST = 20, 2000
WAITING = (ActionItem.State.OPEN, ActionItem.State.EVIDENCE_GIVEN)
UNMET = Q(advisory=False) & (Q(state__in=WAITING) | Q(state=ActionItem.State.EXPIRED, vote__superseded=False))
"""Conditions that block their due point. One that expired blocks on as long as the approval that demanded it counts."""


def unmet(item: ActionItem) -> bool:
    """The same of a row that is here, with its vote."""
    expired = item.state == ActionItem.State.EXPIRED and item.vote is not None and not item.vote.superseded
    return not item.advisory and (item.state in WAITING or expired)


@dataclass(frozen=True)
class Condition:
    """One demand: what, by when, shown how, by whom (None: whoever owns it by default), and, where it runs out, when and what follows."""

    text: str
    due: str
    evidence: str
    owner: User | None
    expires_at: datetime | None = None
    on_expiry: str = ActionItem.OnExpiry.REVIEW

    def shape(self) -> dict[str, Any]:
        """As the vote keeps it."""
        shape = {"text": self.text, "due": self.due, "evidence": self.evidence, "owner": self.owner.username if self.owner else None}
        return shape | ({"expires_at": rfc3339(self.expires_at), "on_expiry": self.on_expiry} if self.expires_at else {})


def read_conditions(data: Any, change: Change, *, now: datetime) -> list[Condition]:
    """The conditions of a vote given at `now`, or Invalid with every mistake at its place."""
    if data in (None, ()):
        return []
    if not isinstance(data, list | tuple) or len(data) > MOST:
        raise Invalid.field("conditions", f"Give a list of at most {MOST} conditions.")
    errors: dict[str, list[str]] = {}
    for index, one in enumerate(data):
        errors.update({f"conditions[{index}]{'.' if name else ''}{name}": [message] for name, message in mistakes(one, change, now)})
    if errors:
        raise Invalid("Some conditions are not right.", errors=errors)
    return [condition(one) for one in data]


def condition(data: Mapping[str, Any]) -> Condition:
    owner = User.objects.get(username=data["owner"]) if data.get("owner") else None
    return Condition(
        data["text"].strip(),
        str(data.get("due") or ActionItem.Due.BEFORE_START),
        str(data.get("evidence") or ActionItem.Evidence.STATEMENT),
        owner,
        parse_instant(data["expires_at"], field="expires_at") if data.get("expires_at") else None,
        str(data.get("on_expiry") or ActionItem.OnExpiry.REVIEW),
    )


def mistakes(data: Any, change: Change, now: datetime) -> list[tuple[str, str]]:
    """(field, sentence) of everything wrong in one condition."""
    if not isinstance(data, Mapping):
        return [("", "A condition is an object.")]
    found = [(str(name)[:60], "There is no field of this name.") for name in data.keys() - FIELDS]
    text = data.get("text")
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST or "\x00" in text:
        found.append(("text", f"Say what must be true, in 1 to {LONGEST} characters."))
    if data.get("due") and data["due"] not in tuple(ActionItem.Due.values):
        found.append(("due", f"One of {', '.join(ActionItem.Due.values)}."))
    if data.get("evidence") and data["evidence"] not in tuple(ActionItem.Evidence.values):
        found.append(("evidence", f"One of {', '.join(ActionItem.Evidence.values)}."))
    return found + expiry_mistakes(data, now) + owner_mistakes(data.get("owner"), change)


def expiry_mistakes(data: Mapping[str, Any], now: datetime) -> list[tuple[str, str]]:
    """Of when a condition runs out and what follows."""
    found, ends = [], data.get("expires_at")
    if ends not in (None, ""):
        try:
            ahead = isinstance(ends, str) and parse_instant(ends, field="expires_at") > now
        except Invalid:
            ahead = False
        if not ahead:
            found.append(("expires_at", "Give a time that is ahead, such as 2026-11-30T12:00:00Z."))
    if data.get("on_expiry") not in (None, "", *ActionItem.OnExpiry.values):
        found.append(("on_expiry", f"One of {', '.join(ActionItem.OnExpiry.values)}."))
    elif data.get("on_expiry") and not ends:
        found.append(("expires_at", "Say when it expires, since you say what follows then."))
    return found


def owner_mistakes(owner: Any, change: Change) -> list[tuple[str, str]]:
    if owner in (None, ""):
        return []
    user = User.objects.filter(username=owner, is_active=True, is_guest=False).first() if isinstance(owner, str) and "\x00" not in owner else None
    if user is None or user.is_service:
        return [("owner", "There is nobody with this username who could do it.")]
    if change.confidential and not visible_to(user).filter(pk=change.pk).exists():
        return [("owner", "This person may not see the change.")]
    return []
