"""Answers that are kept for a while, under all that they depend on: they fall stale by themselves, since nobody asks for the old key again."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import orjson

from changemgmt.core.canonical import digest

from .queries import shared

KEPT_SECONDS = 600
MOST_BYTES = 512 * 1024
"""A larger answer is not kept, so that the cache stays bounded."""


def kept(kind: str, about: Any, answer: Callable[[], Any]) -> Any:
    """What `answer` gives, a plain value that JSON can hold; computed once in ten minutes for the same `about`, which has to hold all it depends on."""
    key = f"{kind}:{digest(about)}"
    packed = shared().get(key)
    if packed is not None:
        return orjson.loads(zlib.decompress(packed))
    found = orjson.dumps(answer())
    packed = zlib.compress(found, 1)
    if len(packed) <= MOST_BYTES:
        shared().set(key, packed, KEPT_SECONDS)
    return orjson.loads(found)
