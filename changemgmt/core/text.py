"""Text that comes from outside: what can be stored, and how much of it is taken."""

from __future__ import annotations

from typing import Any

from .errors import Invalid

LONGEST = 20_000
"""Characters of what people write to each other: comments, questions, reasons."""


def fault_in(value: Any, most: int, *, required: bool = False) -> str:
    """What is wrong with a text of at most `most` characters, in a sentence; empty when nothing is."""
    if not isinstance(value, str):
        return "Give text."
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        return "The text has characters that can't be stored."
    if len(value) > most:
        return f"At most {most:,} characters; this has {len(value):,}."
    if required and not value.strip():
        return "This can't be empty."
    return ""


def given_text(value: Any, field: str, most: int = LONGEST, *, required: bool = False) -> str:
    """The text without white space around it; Invalid at `field` where it can't be taken."""
    if fault := fault_in(value, most, required=required):
        raise Invalid.field(field, fault)
    return str(value).strip()
