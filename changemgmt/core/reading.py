"""Reading a thing once: within one page or answer, the same question is asked of the database a single time.

A door that only shows opens a `reading()`. Verbs never do: what they decide on is read afresh, under their lock.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")
_answers: ContextVar[dict[Any, Any] | None] = ContextVar("answers", default=None)


@contextmanager
def reading() -> Iterator[None]:
    """Until it ends, what `once` functions answered is kept. One inside another changes nothing."""
    if _answers.get() is not None:
        yield
        return
    token = _answers.set({})
    try:
        yield
    finally:
        _answers.reset(token)


def once(function: Callable[Parameters, Answer]) -> Callable[Parameters, Answer]:
    """Within a `reading()` the function runs once for the same arguments; outside of one, every time."""

    @functools.wraps(function)
    def answer(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        kept = _answers.get()
        if kept is None:
            return function(*args, **kwargs)
        key = key_of(function, args, kwargs)
        if key not in kept:
            kept[key] = function(*args, **kwargs)
        found: Answer = kept[key]
        return found

    return answer


def active() -> bool:
    """Whether a `reading()` is going on."""
    return _answers.get() is not None


def keep(function: Callable[..., Any], value: Any, *args: Any, **kwargs: Any) -> None:
    """Tell what a `once` function would answer to these arguments, where it was read on the way. Outside of a reading it is forgotten."""
    kept = _answers.get()
    if kept is not None:
        kept.setdefault(key_of(getattr(function, "__wrapped__", function), args, kwargs), value)


def key_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function, args, tuple(sorted(kwargs.items()))
