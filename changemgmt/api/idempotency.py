"""The same POST again, with the same `Idempotency-Key`, changes nothing and gets the first answer.

Key, act and answer commit together, so a crash leaves either all of them or none. A refused act
(4xx) keeps no key: nothing happened, and the corrected call may use it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils.translation import gettext as _
from rest_framework.response import Response

from changemgmt.accounts.models import IdempotencyKey
from changemgmt.core.errors import Invalid, KeyReused

from .body import dumps

if TYPE_CHECKING:
    from django.http import HttpResponseBase
    from rest_framework.request import Request

KEPT = timedelta(days=1)
LONGEST = 200
COPIED_HEADERS = ("ETag", "Location")


def once(request: Request, act: Callable[[], HttpResponseBase], *, now: datetime) -> HttpResponseBase:
    """The answer of `act`, run at most once for this user and the request's key."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        return act()
    if len(key) > LONGEST or not key.isprintable():
        raise Invalid(_("An Idempotency-Key is up to %(longest)s printable characters.") % {"longest": LONGEST})
    mark = fingerprint(request)
    with transaction.atomic():
        row, first = claim(request.user, key, mark, now)
        if not first:
            return first_answer(row, mark)
        response = act()
        if response.status_code >= 400 or not isinstance(response, Response):
            row.delete()
        else:
            keep(row, response)
        return response


def claim(user: Any, key: str, mark: str, now: datetime) -> tuple[IdempotencyKey, bool]:
    """The key's row and whether it is new. A second caller waits here until the first has committed."""
    IdempotencyKey.objects.filter(user=user, at__lt=now - KEPT).delete()
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(user=user, key=key, fingerprint=mark, at=now), True
    except IntegrityError:
        return IdempotencyKey.objects.get(user=user, key=key), False


def keep(row: IdempotencyKey, response: Response) -> None:
    """Store the answer beside the key."""
    row.status = response.status_code
    row.headers = {name: response[name] for name in COPIED_HEADERS if name in response}
    row.body = "" if response.data is None else dumps(response.data).decode()
    row.save(update_fields=["status", "headers", "body"])


def first_answer(row: IdempotencyKey, mark: str) -> HttpResponse:
    """What the first call answered; KeyReused when that was another request."""
    if row.fingerprint != mark:
        raise KeyReused(_("This Idempotency-Key was used for another request. Take a new one."))
    headers = {**row.headers, "Idempotent-Replayed": "true", "Cache-Control": "no-store"}
    return HttpResponse(row.body, status=row.status, headers=headers, content_type="application/json")


def fingerprint(request: Request) -> str:
    """A hash of what is asked: method, path, query and the parsed body (files by their content)."""
    body = orjson.dumps(comparable(request), option=orjson.OPT_SORT_KEYS, default=str)
    return hashlib.sha256(b"\n".join([(request.method or "").encode(), request.get_full_path().encode(), body])).hexdigest()


def comparable(request: Request) -> Any:
    if not hasattr(request.data, "lists"):
        return request.data
    return {name: [part_of(value) for value in values] for name, values in request.data.lists()}


def part_of(value: Any) -> Any:
    if not isinstance(value, UploadedFile):
        return value
    digest = hashlib.sha256()
    for chunk in value.chunks():
        digest.update(chunk)
    value.seek(0)
    return [value.name, digest.hexdigest()]
