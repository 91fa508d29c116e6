"""Texts word by word: what two people made of one. Pure."""

from __future__ import annotations

import difflib
import re

LONGEST = 20_000
Cut = tuple[int, int, tuple[str, ...]]
"""Pieces of a text from and to (not included), and what stands there instead."""


def pieces_of(text: str) -> list[str]:
    """Words and what is between them."""
    return re.findall(r"\s+|\S+", text)


def merged_words(base: str, live: str, proposed: str) -> str | None:
    """The text with the edits of both sides, or None where they touch each other or the texts are too long to compare."""
    if max(len(base), len(live), len(proposed)) > LONGEST:
        return None
    old = pieces_of(base)
    cuts = sorted({*_cuts(old, pieces_of(live)), *_cuts(old, pieces_of(proposed))})
    if any(second[0] <= first[1] for first, second in zip(cuts, cuts[1:], strict=False)):
        return None
    for begin, end, instead in reversed(cuts):
        old[begin:end] = instead
    return "".join(old)


def _cuts(old: list[str], new: list[str]) -> list[Cut]:
    found = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [(a, b, tuple(new[c:d])) for tag, a, b, c, d in found if tag != "equal"]
