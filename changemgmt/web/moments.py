"""Times as a form field of a browser gives and takes them: where the reader is, to the minute."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from changemgmt.core.errors import Invalid
from changemgmt.core.time import parse_instant, rfc3339


def instant_said(text: str) -> str:
    """What was typed as an instant; what can't be read is handed on as it is, for the verb to refuse."""
    try:
        local = datetime.fromisoformat(text)
        return str(rfc3339(timezone.make_aware(local) if local.tzinfo is None else local))
    except (ValueError, OverflowError):
        return text


def as_typed(text: str) -> str:
    """An instant as the field shows it; what is none stays as it was typed."""
    try:
        return f"{timezone.localtime(parse_instant(text, field='')):%Y-%m-%dT%H:%M}"
    except (Invalid, OverflowError):
        return text
