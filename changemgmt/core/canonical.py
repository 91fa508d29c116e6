"""The one canonical text of a plain value: what is hashed anywhere is hashed in this form."""

import hashlib
import json
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def canonical(value: Any) -> str:
    """`value` as JSON with sorted keys, no white space, NFC text, UTC times and no floats.

    Floats become decimal strings of at most 9 significant digits, so that the text is the same everywhere.
    Raises TypeError for anything that is not plain data.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """`value` made of dict, list, str, int, bool and None only."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return unicodedata.normalize("NFC", value)
        case float():
            return format(value, ".9g")
        case Decimal():
            return format(value.normalize(), "f")
        case datetime():
            return instant(value)
        case date():
            return value.isoformat()
        case dict():
            return {plain(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted(plain(item) for item in value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def instant(moment: datetime) -> str:
    """`moment` as RFC 3339 in UTC with microseconds."""
    from .time import as_utc

    return as_utc(moment).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def digest(value: Any) -> str:
    """SHA-256 of the canonical text, lower-case hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
