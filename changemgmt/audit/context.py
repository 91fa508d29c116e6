"""Through which door an act comes: set once by the door, read when the act is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

CHANNELS = frozenset({"web", "api", "cli", "mail", "system", "agent"})


@dataclass(frozen=True, slots=True)
class Context:
    """Channel, address and request id of what is being done."""

    channel: str = "system"
    address: str = ""
    request_id: str = ""


_current: ContextVar[Context] = ContextVar("acting")


def current() -> Context:
    """The context of the act under way; the system itself when no door set one."""
    return _current.get(Context())


@contextmanager
def acting(*, channel: str | None = None, address: str | None = None, request_id: str | None = None) -> Iterator[Context]:
    """Within it, acts are recorded as coming through this door. What is not given stays as it was."""
    if channel is not None and channel not in CHANNELS:
        raise ValueError(f"no such channel: {channel}")
    given = {"channel": channel, "address": address, "request_id": request_id}
    context = replace(current(), **{name: value for name, value in given.items() if value is not None})
    mark = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(mark)
