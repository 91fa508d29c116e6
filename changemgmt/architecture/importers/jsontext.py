"""JSON read strictly: within limits, no key twice in an object, and the line where it goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from changemgmt.core.errors import Invalid

from .files import text_of
from .records import File

# What a file may cost in memory follows from both: its bytes, and how many values it unfolds to (about 100 bytes each).
LARGEST = 128 * 1024 * 1024
MOST_VALUES = 8_000_000
DEEPEST = 100
TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:]', re.DOTALL)
HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


class Fault(ValueError):
    """Something strict reading refuses; the text is searched for its place."""


def of_file(file: File) -> Any:
    """The value of a file. Raises Invalid with the place."""
    return value(text_of(file, LARGEST), file.name)


def value(text: str, name: str) -> Any:
    """The value of a JSON text that is called `name` in messages. Raises Invalid with the place."""
    if sum(text.count(mark) for mark in ",[{") > MOST_VALUES:
        raise Invalid.field("file", f"{name} holds more than {MOST_VALUES:,} values; split it, or give tables (CSV), which have no such limit.")
    try:
        found = json.loads(text, object_pairs_hook=_each_once, parse_constant=_refused)
        if _too_deep(found):
            raise Fault
    except json.JSONDecodeError as error:
        raise Invalid.field("file", f"{name} is no JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from None
    except (Fault, RecursionError):
        raise Invalid.field("file", f"{name} {_fault(text)}.") from None
    except ValueError as error:
        raise Invalid.field("file", f"{name} can't be read as JSON: {str(error)[:100]}.") from None
    if HALF_A_PAIR.search(text) and not _storable(found):
        raise Invalid.field("file", f"{name} holds half a surrogate pair, which can't be stored.")
    return found


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Fault
    return found


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _storable(found: Any) -> bool:
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(found: Any) -> bool:
    """Level by level, so that depth costs no stack."""
    level: Sequence[Any] = [found]
    for _ in range(DEEPEST + 1):
        level = [inner for outer in level for inner in _parts(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _parts(outer: Any) -> Iterable[Any]:
    if isinstance(outer, dict):
        return outer.values()
    return outer if isinstance(outer, list) else ()


def _fault(text: str) -> str:
    """What is wrong with a text that was refused while it was unfolded, and where: the first of the two faults that is met."""
    open_ones: list[set[str] | None] = []
    last = None
    for token in TOKEN.finditer(text):
        mark = token[0]
        if mark == ":" and last is not None and open_ones and open_ones[-1] is not None:
            key = json.loads(last[0], strict=False)
            if key in open_ones[-1]:
                return f"has the key {key[:60]!r} twice in one object ({_place(text, last.start())})"
            open_ones[-1].add(key)
        elif mark in "[{":
            open_ones.append(set() if mark == "{" else None)
            if len(open_ones) > DEEPEST:
                return f"is nested more than {DEEPEST} deep ({_place(text, token.start())})"
        elif mark in "]}" and open_ones:
            open_ones.pop()
        last = token if mark.startswith('"') else None
    return f"is nested more than {DEEPEST} deep"


def _place(text: str, position: int) -> str:
    return f"line {text.count(chr(10), 0, position) + 1}, column {position - text.rfind(chr(10), 0, position)}"
