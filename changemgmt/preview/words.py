"""Texts word by word: what two people made of one. Pure."""

from __future__ import annotations

import re
from itertools import groupby

from changemgmt.core.comparing import NEW, SAME, Allowance, steps_between

LONGEST = 20_000
Cut = tuple[int, int, tuple[str, ...]]
"""Pieces of a text from and to (not included), and what stands there instead."""


def pieces_of(text: str) -> list[str]:
    """Words and what is between them."""
    return re.findall(r"\s+|\S+", text)


def merged_words(base: str, live: str, proposed: str, allowance: Allowance | None = None) -> str | None:
    """The text with the edits of both sides, or None where they touch each other, or differ by more than may be compared (`allowance`)."""
    if max(len(base), len(live), len(proposed)) > LONGEST:
        return None
    old = pieces_of(base)
    allowance = allowance or Allowance()
    sides = [_cuts(old, pieces_of(side), allowance) for side in (live, proposed)]
    if sides[0] is None or sides[1] is None:
        return None
    cuts = sorted({*sides[0], *sides[1]})
    if any(second[0] <= first[1] for first, second in zip(cuts, cuts[1:], strict=False)):
        return None
    for begin, end, instead in reversed(cuts):
        old[begin:end] = instead
    return "".join(old)


def _cuts(old: list[str], new: list[str], allowance: Allowance) -> list[Cut] | None:
    """Where the new text differs from the old; None where that takes more than may be compared."""
    steps = steps_between(old, new, allowance)
    if steps is None:
        return None
    found: list[Cut] = []
    place = 0
    for same, run in groupby(steps, key=lambda step: step[0] == SAME):
        entries = list(run)
        taken = sum(sign != NEW for sign, _ in entries)
        if not same:
            found.append((place, place + taken, tuple(text for sign, text in entries if sign == NEW)))
        place += taken
    return found
