"""What a reader finds, in the words of the file it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any


@dataclass(frozen=True, slots=True)
class FoundComponent:
    """A component the file speaks of. `fields` holds only what the file says; `where` is its place in the file.

    `places`: the folders and views it is in (see `architecture.places`); None where the file says nothing of that.
    """

    key: str
    fields: Mapping[str, Any]
    where: str
    places: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class FoundRelation:
    """A relation the file speaks of. Without a key of its own it is named after its ends. Ends are keys as the file gives them.

    `record`: what an export of ours says of where it came from and who confirmed or refuted it when.
    """

    key: str
    source: str
    target: str
    type: str
    attributes: Mapping[str, Any]
    where: str
    record: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that was left out, where it is and why. `key`: what it was about, if that much is known."""

    where: str
    reason: str
    key: str = ""


Record = FoundComponent | FoundRelation | Skipped


@dataclass(frozen=True, slots=True)
class File:
    """One file of an import: its name and how to open it as bytes."""

    name: str
    open: Callable[[], IO[bytes]]
    size: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """How to read: the mapping of CSV columns, and whom to tell how far we are (records so far)."""

    mapping: Mapping[str, Any] = field(default_factory=dict)
    progress: Callable[[int], None] = lambda done: None


Reader = Callable[[Sequence[File], Options], Iterator[Record]]
