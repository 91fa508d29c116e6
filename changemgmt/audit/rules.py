"""The form of the record, pure: the canonical text of an event, its hash, and the commitments that stand for personal values.

hash       = SHA-256(previous hash + "\\n" + text), lower-case hex, UTF-8
commitment = SHA-256(salt + "\\n" + clear value), lower-case hex, UTF-8
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from changemgmt.core.canonical import canonical, instant

SCHEMA = 1
FIRST_HASH = "0" * 64
MASK = "[masked]"
PATH_LENGTH = 120
OBJECT_LENGTH = 800
SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "secret", "token", "credential", "credentials", "authorization", "cookie", "otp"})
SECRET_PAIRS = frozenset({("key", "hash"), ("api", "key"), ("private", "key"), ("secret", "key"), ("session", "key"), ("recovery", "code")})
ABOUT_A_SECRET = frozenset({"id", "name", "scope", "days", "count"})
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Personal:
    """A value that belongs to a person: the text holds only a salted commitment of it, so that it can be erased later."""

    value: Any


@dataclass(frozen=True, slots=True)
class Clear:
    """The clear value behind one commitment: where it stands in the text, its salt, and the value as text."""

    path: str
    salt: str
    value: str


@dataclass(frozen=True, slots=True)
class Act:
    """What happened, before it has its place in a stream."""

    action: str
    object: str
    at: datetime
    actor: str
    channel: str = "system"
    address: str = ""
    request_id: str = ""
    on_behalf_of: str = ""
    change: str = ""
    differences: tuple[Any, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def hash_of(previous_hash: str, text: str) -> str:
    """The hash of an event: over its predecessor's hash and its own canonical text."""
    return hashlib.sha256(f"{previous_hash}\n{text}".encode()).hexdigest()


def commitment_of(salt: str, value: str) -> str:
    """What stands in the text for a personal value."""
    return hashlib.sha256(f"{salt}\n{value}".encode()).hexdigest()


def clean(text: str) -> str:
    """`text` without what no database or encoding can hold: NUL and half characters become U+FFFD."""
    return UNSTORABLE.sub("\ufffd", text)


def secret(name: str) -> bool:
    """Does a field of this name look as if it held a secret?"""
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
    if words and words[-1] in ABOUT_A_SECRET:
        return False
    singular = {word.removesuffix("s") for word in words}
    return bool(SECRET_WORDS & {*words, *singular}) or bool(SECRET_PAIRS & set(zip(words, words[1:], strict=False)))


def masked(name: str, value: Any) -> Any:
    """`value` as it may be recorded: secrets, at any depth, are replaced; that one was there stays visible."""
    if secret(name) and value not in (None, "", [], {}, False, True):
        return MASK
    match value:
        case Personal():
            return value
        case Mapping():
            return {clean(str(key)): masked(str(key), item) for key, item in value.items()}
        case list() | tuple():
            return [masked("", item) for item in value]
        case str():
            return clean(value)
    return value


def difference(row: Any) -> dict[str, Any]:
    """A difference (a mapping or an object with path, before and after) as it is recorded."""
    path, before, after = (row["path"], row.get("before"), row.get("after")) if isinstance(row, Mapping) else (row.path, row.before, row.after)
    last = str(path).rpartition(".")[2]
    return {"path": clean(str(path)), "before": masked(last, before), "after": masked(last, after)}


def short(path: str) -> str:
    """`path` as it is stored: a long one keeps its beginning and a digest of the whole."""
    if len(path) <= PATH_LENGTH:
        return path
    return f"{path[: PATH_LENGTH - 33]}~{hashlib.sha256(path.encode()).hexdigest()[:32]}"


def commit(value: Any, path: str, new_salt: Callable[[], str]) -> tuple[Any, list[Clear]]:
    """`value` with every Personal inside replaced by its commitment, and the clear values found, with their paths."""
    match value:
        case Personal():
            return committed(value, path, new_salt)
        case Mapping():
            pairs = {key: commit(item, f"{path}.{key}", new_salt) for key, item in value.items()}
            return {key: pair[0] for key, pair in pairs.items()}, [clear for pair in pairs.values() for clear in pair[1]]
        case list() | tuple():
            found = [commit(item, f"{path}.{index}", new_salt) for index, item in enumerate(value)]
            return [pair[0] for pair in found], [clear for pair in found for clear in pair[1]]
    return value, []


def committed(personal: Personal, path: str, new_salt: Callable[[], str]) -> tuple[Any, list[Clear]]:
    """The commitment of one personal value; nothing to hide in an empty one."""
    if personal.value in (None, ""):
        return personal.value, []
    is_text = isinstance(personal.value, str)
    text = clean(personal.value) if is_text else canonical(masked("", personal.value))
    salt = new_salt()
    shown = {"commitment": commitment_of(salt, text), **({} if is_text else {"form": "json"})}
    return shown, [Clear(short(path), salt, text)]


def body_of(act: Act, stream: str, sequence: int) -> dict[str, Any]:
    """The event as plain data, personal values still marked."""
    return {
        "schema": SCHEMA,
        "stream": stream,
        "sequence": sequence,
        "at": instant(act.at),
        "actor": Personal(act.actor),
        "on_behalf_of": Personal(act.on_behalf_of or None),
        "channel": act.channel,
        "address": Personal(act.address or None),
        "request_id": clean(act.request_id),
        "action": act.action,
        "object": clean(act.object)[:OBJECT_LENGTH],
        "change": clean(act.change),
        "differences": [difference(row) for row in act.differences],
        "data": masked("", act.data),
    }


def text_of(act: Act, stream: str, sequence: int, new_salt: Callable[[], str]) -> tuple[str, list[Clear]]:
    """The canonical text of an event at its place, and the clear values behind its commitments.

    `new_salt` gives 32 hex digits, unlike each time.
    """
    shown, clears = {}, []
    for name, value in body_of(act, stream, sequence).items():
        shown[name], found = commit(value, name, new_salt)
        clears += found
    return canonical(shown), clears


def commitments(value: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """(path as stored, commitment) of every commitment in the plain data of a text."""
    if isinstance(value, dict):
        if is_commitment(value):
            yield short(path), value["commitment"]
            return
        for key, item in value.items():
            yield from commitments(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from commitments(item, f"{path}.{index}")


def is_commitment(value: Any) -> bool:
    """Is this the form in which a personal value stands in a text?"""
    return isinstance(value, dict) and "commitment" in value and value.keys() <= {"commitment", "form"}


def reveal(value: Any, clears: Mapping[str, str | None], path: str = "") -> Any:
    """The plain data of a text with its clear values put back; an erased one is None."""
    if is_commitment(value):
        text = clears.get(short(path))
        return json.loads(text) if text is not None and value.get("form") == "json" else text
    if isinstance(value, dict):
        return {key: reveal(item, clears, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item, clears, f"{path}.{index}") for index, item in enumerate(value)]
    return value
