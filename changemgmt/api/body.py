"""JSON in and out: a parser that refuses what could not be stored or meant, and a fast renderer."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

import orjson
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from changemgmt.core.errors import Invalid, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rest_framework.request import Request

DEPTH = 50
BODY_LIMIT = 2 * 1024 * 1024
LARGEST = 2**63 - 1
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class JSONParser(BaseParser):
    """application/json, at most `BODY_LIMIT` bytes, 50 levels, no duplicate keys, no NaN, 64-bit integers."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        return parse(stream.read(BODY_LIMIT + 1))


def parse(body: bytes) -> Any:
    """The plain value of a JSON text, or Invalid / TooLarge."""
    if len(body) > BODY_LIMIT:
        raise TooLarge(_("The body is larger than %(limit)s bytes.") % {"limit": BODY_LIMIT})
    check_depth(body)
    try:
        value = json.loads(body.decode(), object_pairs_hook=once, parse_constant=refuse_constant, parse_int=integer, parse_float=number)
    except UnicodeDecodeError:
        raise Invalid(_("The body is not UTF-8.")) from None
    except json.JSONDecodeError as error:
        raise Invalid(_("The body is not JSON: line %(line)s, column %(column)s.") % {"line": error.lineno, "column": error.colno}) from None
    if b"\\u" in body:
        check_text(value)
    return value


def check_depth(body: bytes) -> None:
    """Refuse what is nested deeper than 50 before anything walks it."""
    if body.count(b"[") + body.count(b"{") <= DEPTH:
        return
    depth = 0
    for sign in re.findall(rb"[\[\]{}]", STRING.sub(b"", body)):
        depth += 1 if sign in b"[{" else -1
        if depth > DEPTH:
            raise Invalid(_("The body is nested deeper than %(depth)s levels.") % {"depth": DEPTH})


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid.field(shown(twice), _("This key stands twice in one object."))
    return found


def refuse_constant(name: str) -> None:
    raise Invalid(_("%(name)s is not a number.") % {"name": name})


def integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > LARGEST:
        raise Invalid(_("The number %(number)s… is too large.") % {"number": text[:20]})
    return int(text)


def number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Invalid(_("The number %(number)s is too large.") % {"number": text[:20]})
    return value


def check_text(value: Any, path: str = "") -> None:
    """Refuse NUL and lone surrogates, which no database stores."""
    if isinstance(value, str):
        if "\0" in value or not storable(value):
            raise Invalid.field(path or "body", _("The text holds a character that can't be stored (NUL or half a surrogate pair)."))
    elif isinstance(value, dict):
        for key, below in value.items():
            check_text(key, path)
            check_text(below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            check_text(below, f"{path}.{index}".lstrip("."))


def storable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)


def shown(text: str) -> str:
    """`text` fit to be put in an answer."""
    return text.encode("utf-8", "replace").decode()[:100]


class JSONRenderer(BaseRenderer):
    """Plain values as JSON; times as RFC 3339 in UTC."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None) -> bytes:
        return b"" if data is None else dumps(data)


def dumps(data: Any) -> bytes:
    """`data` as JSON bytes."""
    return orjson.dumps(data, default=plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def plain(value: Any) -> Any:
    if isinstance(value, (Decimal, Promise)):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not plain")


class OnlyJSON(BaseContentNegotiation):
    """The API speaks JSON whatever `Accept` says; the parser is chosen by `Content-Type`."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        wanted = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type
