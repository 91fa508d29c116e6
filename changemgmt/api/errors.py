"""Every refusal of the API as application/problem+json (RFC 9457). The one place where errors become answers."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import DataError
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.response import Response

from changemgmt.audit.actions import record_refusal
from changemgmt.core.errors import DomainError, Invalid, NotFound, NotPermitted, Throttled, TooLarge, UnsupportedType
from changemgmt.core.time import utc_now

log = logging.getLogger("changemgmt.api")

# Refusals that are put on the record when a known person runs into them.
RECORDED = frozenset({403, 404, 409, 412})


class NotAuthenticated(DomainError):
    """No credentials, or none that hold."""

    status, slug, title = 401, "not-authenticated", "Sign in or send a valid token"


class MethodNotAllowed(DomainError):
    """This path does not take this method."""

    status, slug, title = 405, "method-not-allowed", "Method not allowed"


class TooManyRequests(Throttled):
    """More requests than API_THROTTLE allows."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(_("Too many requests. Wait %(seconds)s s and try again.") % {"seconds": retry_after}, retry_after=retry_after)


class Unexpected(DomainError):
    """A fault of ours; the number in it finds it in the log."""

    status, slug, title = 500, "unexpected", "Something went wrong on our side"


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """The answer to `error`; named in REST_FRAMEWORK as the exception handler."""
    request = context.get("request")
    problem = problem_of(error) or unexpected(error, request)
    remember(problem, request, context.get("view"))
    return answer(problem)


def problem_of(error: Exception) -> DomainError | None:
    """`error` as a DomainError, or None when it is a fault of the program."""
    match error:
        case DomainError():
            return error
        case exceptions.ValidationError():
            return invalid(error.detail)
        case exceptions.AuthenticationFailed() | exceptions.NotAuthenticated():
            return NotAuthenticated(str(error.detail))
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed(str(error.detail))
        case exceptions.UnsupportedMediaType():
            return UnsupportedType(str(error.detail))
        case exceptions.PermissionDenied():
            return NotPermitted(str(error.detail))
        case PermissionDenied():
            return NotPermitted(str(error) or _("You are not permitted to do this."))
        case Http404() | exceptions.NotFound():
            return NotFound(_("There is nothing here, or it is not yours to see."))
        case RequestDataTooBig():
            return TooLarge(_("The body is too large."))
        case exceptions.ParseError():
            return Invalid(str(error.detail))
        case SuspiciousOperation():
            return Invalid(_("The request is malformed."))
        case DataError():
            return Invalid(_("A value is outside what can be stored."))
    return None


def invalid(detail: Any) -> Invalid:
    """DRF's nested validation details as one flat map of dotted field paths."""
    errors: dict[str, list[str]] = {}
    for path, message in leaves(detail):
        errors.setdefault(path or "body", []).append(message)
    first = next(iter(errors.items()), ("body", [_("The request is not valid.")]))
    return Invalid(f"{first[0]}: {first[1][0]}", errors=errors)


def leaves(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every message of a nested validation detail with its dotted path."""
    if isinstance(detail, dict):
        for key, below in detail.items():
            step = "" if key == "non_field_errors" else str(key)
            yield from leaves(below, ".".join(filter(None, [path, step])))
    elif isinstance(detail, (list, tuple)):
        for index, below in enumerate(detail):
            nested = isinstance(below, (dict, list, tuple))
            yield from leaves(below, f"{path}.{index}".lstrip(".") if nested else path)
    else:
        yield path, str(detail)


def unexpected(error: Exception, request: Any) -> Unexpected:
    """Log the fault under an id and say only the id."""
    number = uuid.uuid4().hex[:12]
    log.error("unexpected error %s", number, exc_info=error)
    got_request_exception.send(sender=handle, request=getattr(request, "_request", None))
    return Unexpected(_("Something went wrong on our side. It is noted as %(number)s.") % {"number": number})


def remember(problem: DomainError, request: Any, view: Any) -> None:
    """Put the refusal on the record: a known person's, or a token that does not hold."""
    # After a failed authentication `request.user` would ask again: the kept one is enough.
    user = request.__dict__.get("_user") if request is not None else None
    if problem.status == 401 and request is not None and request.META.get("HTTP_AUTHORIZATION"):
        actor = "unknown"
    elif problem.status in RECORDED and user is not None and user.is_authenticated:
        actor = user.get_username()
    else:
        return
    path = request.path.encode("ascii", "backslashreplace").decode()[:300]
    change = getattr(getattr(view, "change", None), "number", "")
    record_refusal(f"{request.method} {path}", actor=actor, object=f"path:{path}", reason=problem.detail[:300], now=utc_now(), change=change)


def body_of(problem: DomainError) -> dict[str, Any]:
    """The JSON of a problem, exactly as the contract draws it."""
    return {
        "type": f"/problems/{problem.slug}",
        "title": str(problem.title),
        "status": problem.status,
        "detail": str(problem.detail),
        "errors": problem.errors,
        "guards": [
            {"guard": guard.guard, "message": guard.message, "who_can_clear": list(guard.who_can_clear), "clears_at": guard.clears_at}
            for guard in problem.guards
        ],
    }


def answer(problem: DomainError) -> Response:
    """The response that carries the problem."""
    headers = {"Cache-Control": "no-store"}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Token realm="api"'
    if isinstance(problem, Throttled):
        headers["Retry-After"] = str(problem.retry_after)
    return Response(body_of(problem), status=problem.status, headers=headers, content_type="application/problem+json")
