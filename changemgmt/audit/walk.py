"""One walk along one stream, event by event: what does not fit is named. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from .rules import FIRST_HASH, commitment_of, commitments, hash_of, is_commitment

Clears = Mapping[str, tuple[str, str]]


class Row(NamedTuple):
    """An event as its row says it."""

    id: int
    stream: str
    sequence: int
    at: str
    action: str
    object: str
    change: str
    channel: str
    text: str
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its kind, where it shows, a sentence, and for a moved event where it belongs."""

    kind: str
    stream: str
    sequence: int | None
    message: str
    belongs: tuple[str, int] | None = None

    @property
    def place(self) -> str:
        """Stream and sequence as one word, such as `CHG-2026-00001#4`."""
        return self.stream if self.sequence is None else f"{self.stream}#{self.sequence}"


class Walk:
    """Where the walk along one stream stands: the last sequence and hash it met, and the end it should come to."""

    __slots__ = ("expected_head", "head", "length", "matched", "name", "sequence")

    def __init__(self, name: str, length: int, head: str) -> None:
        self.name, self.sequence, self.head = name, 0, FIRST_HASH
        self.expect(length, head)

    def expect(self, length: int, head: str) -> None:
        """The stream should have this length and end in this hash."""
        self.length, self.expected_head = length, head
        self.matched: bool | None = None
        self.compare()

    def compare(self) -> None:
        if self.sequence == self.length:
            self.matched = self.head == self.expected_head

    @property
    def good(self) -> bool:
        """It is at the end, and the end is the right one."""
        return self.sequence == self.length and self.matched is True

    def step(self, row: Row, clears: Clears) -> Iterable[Finding]:
        """Look at the next event. `clears` maps the paths of its personal values to (salt, value)."""
        if not self.fits(row, clears):
            return self.examine(row, clears)
        self.sequence, self.head = row.sequence, row.hash
        self.compare()
        return ()

    def fits(self, row: Row, clears: Clears) -> bool:
        """Is everything about the event right? A million of them pass here, so it is one expression."""
        if row.sequence != self.sequence + 1 or row.previous_hash != self.head or hash_of(self.head, row.text) != row.hash:
            return False
        body = parsed(row.text)
        return (
            body is not None
            and (
                body.get("stream"),
                body.get("sequence"),
                body.get("at"),
                body.get("action"),
                body.get("object"),
                body.get("change"),
                body.get("channel"),
            )
            == (row.stream, row.sequence, row.at, row.action, row.object, row.change, row.channel)
            and (not clears or not any(altered(row, body, clears)))
        )

    def examine(self, row: Row, clears: Clears) -> Iterator[Finding]:
        """Say what is wrong with the event."""
        body = parsed(row.text) if hash_of(row.previous_hash, row.text) == row.hash else None
        if body is not None and (body.get("stream"), body.get("sequence")) != (row.stream, row.sequence):
            yield moved(row, body)
            return
        if row.sequence <= self.sequence:
            yield Finding("inserted", row.stream, row.sequence, "There is more than one event at this place.")
            return
        yield from self.link(row, whole=body is not None)
        if body is None:
            yield Finding("modified", row.stream, row.sequence, "The text does not give the hash that stands beside it.")
        else:
            yield from contradictions(row, body)
            yield from altered(row, body, clears)
        self.sequence, self.head = row.sequence, row.hash
        self.compare()

    def link(self, row: Row, *, whole: bool) -> Iterator[Finding]:
        """Does it come next, and does a whole one hang on the event before it?"""
        if row.sequence != self.sequence + 1:
            yield Finding("deleted", row.stream, self.sequence + 1, f"{events(self.sequence + 1, row.sequence - 1)} gone.")
        elif whole and row.previous_hash != self.head:
            # Each hash is right by itself and the link is not: the earlier event was altered and its hash made to fit.
            at = self.sequence or row.sequence
            yield Finding("modified", row.stream, at, "The next event hangs on another hash: this one was altered and its hash made to fit.")

    def end(self, was_anew: bool) -> Iterator[Finding]:
        """The last event was met: is it the one the stream should end in? `was_anew`: an earlier end was not."""
        if self.sequence < self.length:
            yield Finding(
                "cut_tail", self.name, self.sequence + 1, f"The end of the stream is gone: {events(self.sequence + 1, self.length)} not there."
            )
        elif self.sequence > self.length:
            yield Finding(
                "inserted", self.name, self.length + 1, f"The stream was written {self.length} times, and {self.sequence} events stand in it."
            )
        elif was_anew or not self.matched:
            yield Finding(
                "rechained", self.name, self.sequence, "The stream ends in another hash than the one kept for it: its events were chained anew."
            )


def events(first: int, last: int) -> str:
    """Events from first to last, as the beginning of a sentence about them."""
    return f"event {first} is" if first == last else f"events {first} to {last} are"


def moved(row: Row, body: dict[str, Any]) -> Finding:
    """An event that is no link of the stream it stands in."""
    belongs = (str(body.get("stream")), body["sequence"]) if isinstance(body.get("sequence"), int) else None
    origin = f"{belongs[0]}#{belongs[1]}" if belongs else "no stream"
    return Finding("moved", row.stream, row.sequence, f"The event says of itself that it stands at {origin}.", belongs)


def parsed(text: str) -> dict[str, Any] | None:
    """The text as an object, None when it is not one."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def contradictions(row: Row, body: dict[str, Any]) -> Iterator[Finding]:
    """Do the columns say what the text says?"""
    if body.get("at") != row.at:
        yield disagree(row, "at")
    for name in ("action", "object", "change", "channel"):
        if body.get(name) != getattr(row, name):
            yield disagree(row, name)


def disagree(row: Row, name: str) -> Finding:
    return Finding("modified", row.stream, row.sequence, f"The column {name} does not say what the event's text says.")


def altered(row: Row, body: dict[str, Any], clears: Clears) -> Iterator[Finding]:
    """Do the clear values still open their commitments? Erased ones are fine."""
    for path, (salt, value) in clears.items():
        if promised(body, path) != commitment_of(salt, value):
            yield Finding("modified", row.stream, row.sequence, f"The clear value at {path} is not the one the event was recorded with.")


def promised(body: dict[str, Any], path: str) -> str | None:
    """The commitment that stands in the text at this path, None when there is none."""
    at_top = body.get(path)
    if at_top is not None:
        return at_top["commitment"] if is_commitment(at_top) else None
    return dict(commitments(body)).get(path)
