"""Two sequences or two texts compared, in bounded time: what was taken out, what was put in, what stayed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isqrt
from typing import Any

# More edits than this are not looked for: the two are then taken as different from end to end. The work grows with its square.
MOST_EDITS = 300
SAME, GONE, NEW = "=", "-", "+"
Step = tuple[str, Any]


@dataclass
class Allowance:
    """How much may still be spent on comparing, in steps of the search; what is spent is gone for the texts that come after."""

    left: int = 400_000

    @property
    def edits(self) -> int:
        """The most edits that can be looked for with what is left."""
        return min(MOST_EDITS, isqrt(max(0, self.left)))


def steps_between(before: Sequence[Any], after: Sequence[Any], allowance: Allowance | None = None) -> list[Step] | None:
    """The shortest way from one to the other (Myers): each entry with `=`, `-` or `+`. None where it takes more edits than allowed."""
    allowance = allowance or Allowance()
    head, tail = _shared(before, after)
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    middle = _searched(old, new, allowance)
    if middle is None:
        return None
    same = lambda part: [(SAME, entry) for entry in part]  # noqa: E731
    return [*same(before[:head]), *middle, *same(before[len(before) - tail :])]


def _shared(before: Sequence[Any], after: Sequence[Any]) -> tuple[int, int]:
    """How many entries at the head and at the tail are the same."""
    most = min(len(before), len(after))
    head = next((place for place in range(most) if before[place] != after[place]), most)
    most -= head
    return head, next((place for place in range(most) if before[-1 - place] != after[-1 - place]), most)


def _searched(old: Sequence[Any], new: Sequence[Any], allowance: Allowance) -> list[Step] | None:
    if not old or not new:
        return [*((GONE, entry) for entry in old), *((NEW, entry) for entry in new)]
    far: dict[int, int] = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(min(len(old) + len(new), allowance.edits) + 1):
        trace.append(dict(far))
        for line in range(-edits + 2 * max(0, edits - len(new)), edits - 2 * max(0, edits - len(old)) + 1, 2):
            x = far[line + 1] if _downward(far, line, edits) else far[line - 1] + 1
            while x < len(old) and x - line < len(new) and old[x] == new[x - line]:
                x += 1
            far[line] = x
            if x == len(old) and x - line == len(new):
                allowance.left -= edits * edits + len(old)
                return list(_traced(old, new, trace))[::-1]
    allowance.left -= len(trace) ** 2
    return None


def _downward(far: dict[int, int], line: int, edits: int) -> bool:
    """Whether the diagonal is reached by putting something in, rather than by taking something out."""
    return line == -edits or (line != edits and far.get(line - 1, -1) < far.get(line + 1, -1))


def _traced(old: Sequence[Any], new: Sequence[Any], trace: list[dict[int, int]]) -> Iterator[Step]:
    """The way back from the end."""
    x, y = len(old), len(new)
    for edits in range(len(trace) - 1, 0, -1):
        far, line = trace[edits], x - y
        down = _downward(far, line, edits)
        start = far[line + 1] if down else far[line - 1]
        turn = start if down else start + 1
        while x > turn:
            x, y = x - 1, y - 1
            yield SAME, old[x]
        if down:
            y -= 1
            yield NEW, new[y]
        else:
            x -= 1
            yield GONE, old[x]
    while x > 0:
        x -= 1
        yield SAME, old[x]


# Texts: by lines, what differs of them by sentences, what differs of those by words.

# Each character is looked at once: a longest match from every mark on would take the square of the text.
SENTENCE = re.compile(r"[^.;!?]*(?:[.;!?]+\s*)?")
LEVELS: tuple[Callable[[str], list[str]], ...] = (
    lambda text: text.splitlines(keepends=True),
    lambda text: [part for part in SENTENCE.findall(text) if part],
    re.compile(r"\w+\s*|[^\w\s]\s*|\s+").findall,
)
FEW = 4  # words; texts that are shorter are shown whole


def pieces_between(before: str, after: str, allowance: Allowance | None = None) -> list[tuple[str, str]]:
    """Two texts as pieces with `=`, `-` or `+`. Those with `=` and `-` make the one, those with `=` and `+` the other."""
    if len(before.split(None, FEW)) < FEW or len(after.split(None, FEW)) < FEW:
        return [(sign, text) for sign, text in ((GONE, before), (NEW, after)) if text]
    return _joined(_compared(before, after, 0, allowance or Allowance()))


def _compared(before: str, after: str, level: int, allowance: Allowance) -> list[tuple[str, str]]:
    whole = [(sign, text) for sign, text in ((GONE, before), (NEW, after)) if text]
    if level == len(LEVELS) or len(whole) < 2:
        return whole
    steps = steps_between(LEVELS[level](before), LEVELS[level](after), allowance)
    if steps is None:
        return whole
    found: list[tuple[str, str]] = []
    for same, run in groupby(steps, key=lambda step: step[0] == SAME):
        entries = list(run)
        if same:
            found.append((SAME, "".join(text for _sign, text in entries)))
        else:
            old, new = ("".join(text for sign, text in entries if sign == wanted) for wanted in (GONE, NEW))
            found += _compared(old, new, level + 1, allowance)
    return found


def _joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Runs of one sign as one piece."""
    return [(sign, "".join(text for _sign, text in run)) for sign, run in groupby(pieces, key=lambda piece: piece[0])]
