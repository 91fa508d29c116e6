"""How often one token or one browser session may ask; the figure is the setting API_THROTTLE."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from changemgmt.core.rate import rate

from .errors import TooManyRequests

if TYPE_CHECKING:
    from rest_framework.request import Request


def check_throttle(request: Request) -> None:
    """Count this request against its token or user; TooManyRequests when there are too many."""
    allowed = rate(settings.API_THROTTLE)
    if allowed is None:
        return
    caller = f"token:{request.auth.pk}" if request.auth is not None else f"user:{request.user.pk}"
    wait = too_many(f"api:{caller}", *allowed)
    if wait:
        raise TooManyRequests(wait)


def too_many(key: str, limit: int, seconds: int) -> int:
    """Seconds to wait, 0 while there is room. A span begins with its first request.

    A cache that does not answer limits nobody.
    """
    try:
        if cache.add(key, 1, seconds):
            cache.set(f"{key}:until", time.time() + seconds, seconds)
            return 0
        if cache.incr(key) <= limit:
            return 0
        return max(1, int(cache.get(f"{key}:until", time.time() + seconds) - time.time()) + 1)
    except ValueError:  # the span ended between the two calls
        return 0
    except (RedisError, OSError):
        return 0
