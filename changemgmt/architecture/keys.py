"""Many texts in order as two arrays, so that they can lie in a memory-mapped file. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Keys(Sequence[str]):
    """Texts in ascending order: `text` is all of them in UTF-8, one after the other, `end` where each ends.

    UTF-8 sorts as its code points do, so the order is Python's.
    """

    text: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[str]) -> Keys:
        """These texts, which have to be in order."""
        draft = Draft()
        for text in texts:
            draft.add(text)
        return draft.done()

    def __len__(self) -> int:
        return len(self.end)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        place = int(place) % len(self)
        start = int(self.end[place - 1]) if place else 0
        return self.text[start : int(self.end[place])].tobytes().decode()

    def spot(self, key: str) -> int:
        """Where the key is, or would be."""
        return bisect_left(self, key)

    def find(self, key: str) -> int | None:
        """The place of this key, if it is there."""
        place = self.spot(key)
        return place if place < len(self) and self[place] == key else None

    def start(self, places: np.ndarray) -> np.ndarray:
        """Where these begin in the text; the place after the last is allowed."""
        return np.concatenate((np.zeros(1, np.int64), self.end))[places] if len(places) else np.zeros(0, np.int64)

    def without(self, places: np.ndarray) -> Keys:
        """All but those at these places (in order)."""
        if not len(places):
            return self
        begins, ends = [0, *self.end[places].tolist()], [*self.start(places).tolist(), len(self.text)]
        kept = [self.text[begin:end] for begin, end in zip(begins, ends, strict=True)]
        lengths = np.diff(self.end, prepend=0)
        return Keys(np.concatenate(kept), np.cumsum(np.delete(lengths, places)))

    def spots(self, texts: Sequence[str]) -> np.ndarray:
        """Where each of these is, or would be."""
        return np.fromiter(map(self.spot, texts), dtype=np.int64, count=len(texts))

    def joined(self, texts: Sequence[str]) -> Keys:
        """With these (in order, and none of them there)."""
        if not texts:
            return self
        spots, coded = self.spots(texts), [text.encode() for text in texts]
        cuts = self.start(spots).tolist()
        pieces = [
            piece
            for begin, cut, text in zip([0, *cuts[:-1]], cuts, coded, strict=True)
            for piece in (self.text[begin:cut], np.frombuffer(text, dtype=np.uint8))
        ]
        lengths = np.insert(np.diff(self.end, prepend=0), spots, [len(text) for text in coded])
        return Keys(np.concatenate([*pieces, self.text[cuts[-1] :]]), np.cumsum(lengths))


class Draft:
    """Keys in the making, text after text, without keeping the texts."""

    def __init__(self) -> None:
        self.text, self.end = bytearray(), array("q")

    def add(self, text: str) -> None:
        self.text += text.encode()
        self.end.append(len(self.text))

    def done(self) -> Keys:
        return Keys(np.frombuffer(bytes(self.text), dtype=np.uint8), np.array(self.end, dtype=np.int64))
