"""What a page says of somebody who is away: who votes for them, and the way to say that they are back."""

from __future__ import annotations

from typing import Any

from django import template

from changemgmt.accounts.delegations import away_by

register = template.Library()


@register.inclusion_tag("accounts/_away_note.html", takes_context=True)
def away_note(context: Any) -> dict[str, Any]:
    """The out-of-office notes of who looks, while they run."""
    return {"away": list(away_by(context["user"], context["server_now"])), "csrf_token": context.get("csrf_token")}
