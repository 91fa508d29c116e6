"""Errors of the domain. Each knows its HTTP status and its problem slug; the API handler and the
web middleware turn them into answers, so that no view catches anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .verdict import Guard

Thing = TypeVar("Thing")


class DomainError(Exception):
    """Something was asked that can't be done. `detail` is a sentence for the person who asked."""

    status = 400
    slug = "invalid"
    title = "The request is not valid"

    def __init__(self, detail: str, *, errors: Mapping[str, Sequence[str]] | None = None, guards: Sequence[Guard] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = {field: list(messages) for field, messages in (errors or {}).items()}
        self.guards = tuple(guards)


class Invalid(DomainError):
    """A value is wrong; `errors` maps each field to its messages."""

    @classmethod
    def field(cls, name: str, message: str) -> Invalid:
        """The error of one field."""
        return cls(message, errors={name: [message]})


class NotPermitted(DomainError):
    """This person may see it and may not do it."""

    status, slug, title = 403, "not-permitted", "You are not permitted to do this"


class NotFound(DomainError):
    """It is not there, or not yours to see: the two are never told apart."""

    status, slug, title = 404, "not-found", "Not found"


def existing(thing: Thing | None, detail: str) -> Thing:
    """The thing that was looked up; raises NotFound with `detail` where there is none."""
    if thing is None:
        raise NotFound(detail)
    return thing


class NotPossible(DomainError):
    """It can't be done now, because of the state it is in."""

    status, slug, title = 409, "not-possible", "Not possible now"


class UnmetGuard(NotPossible):
    """A transition is legal and one or more of its guards are not met."""

    slug, title = "unmet-guard", "A guard is not met"


class Gone(DomainError):
    """It was there and will not be again: used up, expired or taken back."""

    status, slug, title = 410, "gone", "This does not work any more"


class OutOfDate(DomainError):
    """What the caller saw has changed since."""

    status, slug, title = 412, "stale", "This has changed since you read it"


class PreconditionMissing(DomainError):
    """The caller has to say which version it saw."""

    status, slug, title = 428, "precondition-required", "Say which version you saw"


class TooLarge(DomainError):
    status, slug, title = 413, "too-large", "Too large"


class UnsupportedType(DomainError):
    status, slug, title = 415, "unsupported-type", "Unsupported type"


class Throttled(DomainError):
    """Too often within a span; `retry_after` is in seconds."""

    status, slug, title = 429, "throttled", "Too many requests"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class KeyReused(DomainError):
    """An idempotency key came again with another body."""

    status, slug, title = 422, "key-reused", "This idempotency key was used for something else"
