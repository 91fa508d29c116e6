"""A limit in words: `600/min`, or `off`."""

import re
from functools import lru_cache

from django.core.exceptions import ImproperlyConfigured

SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}


@lru_cache
def rate(text: str) -> tuple[int, int] | None:
    """`600/min` as (600, 60 seconds); None for `off`. Raises ImproperlyConfigured for anything else."""
    if text.strip().lower() in {"off", ""}:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*/\s*([a-z]+)\s*", text.lower())
    if not match or match[2] not in SECONDS or int(match[1]) < 1:
        raise ImproperlyConfigured(f"A limit is written 600/min or off, not {text!r}.")
    return int(match[1]), SECONDS[match[2]]
