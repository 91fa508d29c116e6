"""Reading YAML safely: plain values only, no bombs, and the line where it goes wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import yaml

from changemgmt.core.errors import Invalid

LARGEST = 10 * 1024 * 1024
MOST_VALUES = 2_000_000
TEXT_OF_A_VALUE = 64  # characters
DEEPEST = 100
MERGE = "<<"
# The one written in C where it is there: much faster, but without a recursion limit, so that depth is looked at before it composes.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(name: str, text: str) -> Iterator[tuple[int, Any]]:
    """Each document of the text with the line it begins on, as plain JSON values. Raises Invalid with the place."""
    if len(text) > LARGEST:
        raise Invalid.field("file", f"{name}: at most {LARGEST // 1024**2} MB of YAML are read; split the file.")
    try:
        refuse_depth(name, text)
        loader = LOADER(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            line = node.start_mark.line + 1
            measure(node, name)
            yield line, plain(loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise Invalid.field("file", f"{name} is no YAML: {error.problem or error.context}{place}.") from None
    except yaml.reader.ReaderError as error:
        line = _line_of(text, error)
        raise Invalid.field("file", f"{name} holds a character YAML does not allow (line {line}).") from None
    except RecursionError:
        raise Invalid.field("file", f"{name} is nested too deep to be read.") from None
    except (ValueError, yaml.YAMLError) as error:
        raise Invalid.field("file", f"{name} can't be read as YAML: {str(error)[:200]}.") from None


def refuse_depth(name: str, text: str) -> None:
    """Refuse what is nested too deep, before anything is built of it."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                line = f" (line {event.start_mark.line + 1})" if event.start_mark else ""
                raise Invalid.field("file", f"{name} is nested more than {DEEPEST} deep{line}.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line_of(text: str, error: yaml.reader.ReaderError) -> int:
    """The line of a character that is not allowed. The loader in C counts in bytes of UTF-8."""
    before = text[: error.position] if LOADER is yaml.SafeLoader else text.encode()[: error.position].decode(errors="ignore")
    return before.count("\n") + 1


def measure(node: yaml.Node, name: str) -> None:
    """Refuse what unfolds to more than two million values, long texts counted as several: aliases let a small file do that. And keys said twice."""
    sizes: dict[int, int | None] = {}  # None while the node is being measured
    waiting: list[tuple[yaml.Node, bool]] = [(node, False)]
    while waiting:
        current, ready = waiting.pop()
        inner = _inner(current)
        if ready:
            sizes[id(current)] = _own_size(current) + sum(sizes[id(child)] or 0 for child in inner)
        elif id(current) not in sizes:
            sizes[id(current)] = None
            _each_key_once(current, name)
            waiting += [(current, True), *((child, False) for child in inner)]
            continue
        if (sizes[id(current)] or MOST_VALUES + 1) > MOST_VALUES:
            raise Invalid.field("file", f"{name} unfolds to more than {MOST_VALUES:,} values, or holds itself (line {current.start_mark.line + 1}).")


def _own_size(node: yaml.Node) -> int:
    return 1 + len(node.value) // TEXT_OF_A_VALUE if isinstance(node, yaml.ScalarNode) else 1


def _each_key_once(node: yaml.Node, name: str) -> None:
    """YAML takes the last of two; whoever wrote both meant both."""
    seen: set[str] = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode) and key.value != MERGE:
            if key.value in seen:
                place = f"line {key.start_mark.line + 1}, column {key.start_mark.column + 1}"
                raise Invalid.field("file", f"{name} has the key {key.value[:60]!r} twice in one object ({place}).")
            seen.add(key.value)


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def plain(value: Any, depth: int = 0) -> Any:
    """What YAML makes of a value, as JSON would hold it: keys are text, dates are text, no NaN."""
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    match value:
        case dict():
            return {str(key): plain(inner, depth + 1) for key, inner in value.items()}
        case list() | tuple() | set():
            return [plain(inner, depth + 1) for inner in value]
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes() | datetime() | date():
            return str(value)
    return value
