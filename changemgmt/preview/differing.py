"""A difference as one reads it when it is long: by element, alike updates folded, ranked, narrowed, under headings, page by page. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from typing import Any

from changemgmt.core.comparing import NEW, SAME, Allowance, steps_between
from changemgmt.core.diff import differences

COMPONENT, RELATION = "component", "relation"
KINDS = {COMPONENT: "components", RELATION: "relations"}
HEADINGS = ("layer", "type", "owner", "none")
HIGH = 4  # a criticality from here on stands before the rest


@dataclass(frozen=True, slots=True)
class Row:
    """One value that differs. `field` is the path as stored; `path` goes on to the element of a list."""

    field: str
    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a component besides the difference: its criticality 1 to 5, and with what score it is changed or reached."""

    name: str = ""
    owner: str = ""
    criticality: int = 0
    score: float = 0.0
    layer: str = ""


NOBODY = Known()


@dataclass(frozen=True, slots=True)
class Thing:
    """One component or relation that differs, with everything it is ranked and narrowed by."""

    object: str
    key: str
    name: str
    operation: str
    type: str
    layer: str
    owner: str
    criticality: int
    score: float
    rows: tuple[Row, ...]

    @property
    def rank(self) -> tuple[Any, ...]:
        """What goes first, then what is highly critical, then by score."""
        return (self.operation != "delete", self.criticality < HIGH, -self.score, -self.criticality, self.object, self.name.casefold(), self.key)


@dataclass(frozen=True, slots=True)
class Group:
    """One thing, or several that are updated alike. `continued`: its first rows stand on the page before."""

    things: tuple[Thing, ...]
    rows: tuple[Row, ...]
    continued: bool = False

    @property
    def first(self) -> Thing:
        return self.things[0]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a difference is narrowed to; what is empty narrows nothing. `field` takes everything below it along."""

    words: str = ""
    operation: str = ""
    layer: str = ""
    field: str = ""
    type: str = ""
    owner: str = ""


def things_of(diff: Mapping[str, Any], known: Mapping[str, Known] | None = None) -> list[Thing]:
    """The components and relations of a stored difference, ranked."""
    allowance = Allowance()
    found = [_thing(kind, entry, known or {}, allowance) for kind, plural in KINDS.items() for entry in diff.get(plural, ())]
    return sorted(found, key=lambda thing: thing.rank)


def _thing(kind: str, entry: Mapping[str, Any], known: Mapping[str, Known], allowance: Allowance) -> Thing:
    rows = tuple(row for one in entry["fields"] for row in expanded(one["path"], one["path"], one["before"], one["after"], allowance))
    type, layer = entry.get("type") or "", entry.get("layer") or ""
    if kind == RELATION:
        ends = [known.get(entry.get(end) or "", NOBODY) for end in ("source", "target")]
        names = [end.name or entry.get(side) or "" for end, side in zip(ends, ("source", "target"), strict=True)]
        name = known.get(entry["key"], NOBODY).name or (f"{names[0]} → {names[1]}" if any(names) else entry["key"])
        most = max(ends, key=lambda end: end.criticality)
        return Thing(kind, entry["key"], name, entry["operation"], type, layer or ends[0].layer, "", most.criticality, ends[0].score, rows)
    said = {row.path: row.after if row.after is not None else row.before for row in rows}
    it = known.get(entry["key"], Known(owner=str(said.get("owner") or ""), criticality=int(said.get("criticality") or 0)))
    name = entry.get("name") or it.name or entry["key"]
    return Thing(kind, entry["key"], name, entry["operation"], type, layer or it.layer, it.owner, it.criticality, it.score, rows)


def expanded(field: str, path: str, before: Any, after: Any, allowance: Allowance) -> Iterator[Row]:
    """A difference by element, where both values are lists; elements that are objects by what differs in them."""
    if not (isinstance(before, list) and isinstance(after, list)):
        yield Row(field, path, before, after)
        return
    steps = steps_between([_text(one) for one in before], [_text(one) for one in after], allowance)
    if steps is None:
        yield Row(field, path, before, after)
        return
    at = {"-": 0, "+": 0}
    for same, run in groupby(steps, key=lambda step: step[0] == SAME):
        entries = list(run)
        if same:
            at = {sign: place + len(entries) for sign, place in at.items()}
            continue
        gone = list(range(at["-"], at["-"] + sum(sign != NEW for sign, _ in entries)))
        new = list(range(at["+"], at["+"] + sum(sign == NEW for sign, _ in entries)))
        at = {"-": at["-"] + len(gone), "+": at["+"] + len(new)}
        for old, fresh in zip_longest(gone, new):
            yield from _element(field, path, before, after, old, fresh, allowance)


def _element(field: str, path: str, before: list[Any], after: list[Any], old: int | None, new: int | None, allowance: Allowance) -> Iterator[Row]:
    here = f"{path}[{old if old is not None else new}]"
    one, two = before[old] if old is not None else None, after[new] if new is not None else None
    if isinstance(one, dict) and isinstance(two, dict):
        for found in differences(one, two, here):
            yield from expanded(field, found.path, found.before, found.after, allowance)
    elif old is not None and new is not None:
        yield from expanded(field, here, one, two, allowance)
    else:
        yield Row(field, here, one, two)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def folded(things: Iterable[Thing], apart: frozenset[str] = frozenset()) -> list[Group]:
    """Components that are updated alike as one group, in the place of the first; those of the keys `apart` stay alone."""
    found: dict[Any, list[Thing]] = {}
    for thing in things:
        alone = thing.operation != "update" or thing.object == RELATION or thing.key in apart
        alike = (thing.object, thing.key) if alone else _text([[row.path, row.before, row.after] for row in thing.rows])
        found.setdefault(alike, []).append(thing)
    return [Group(tuple(alike), alike[0].rows) for alike in found.values()]


def narrowed(things: Iterable[Thing], wanted: Wanted) -> list[Thing]:
    """Those that are wanted, each with those of its rows that are."""
    words = wanted.words.casefold().split()
    found = []
    for thing in things:
        if any(getattr(wanted, name) not in ("", getattr(thing, name)) for name in ("operation", "layer", "type", "owner")):
            continue
        rows = tuple(row for row in thing.rows if not wanted.field or _below(row.path, wanted.field))
        title = f"{thing.name} {thing.key} {thing.type}".casefold()
        rest = [word for word in words if word not in title]
        rows = tuple(row for row in rows if _says(row, rest)) if rest else rows
        if rows or not (wanted.field or rest):
            found.append(replace(thing, rows=rows))
    return found


def _below(path: str, field: str) -> bool:
    return path == field or path.startswith((f"{field}.", f"{field}["))


def _says(row: Row, words: Sequence[str]) -> bool:
    text = f"{row.path} {'' if row.before is None else _plain(row.before)} {'' if row.after is None else _plain(row.after)}".casefold()
    return all(word in text for word in words)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else _text(value)


def headed(groups: Iterable[Group], by: str) -> list[tuple[str, list[Group]]]:
    """Groups under the layer, type or owner of their first thing; the heading with the highest rank first, what has none last."""
    if by not in HEADINGS or by == "none":
        return [("", list(groups))]
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(getattr(group.first, by), []).append(group)
    return sorted(found.items(), key=lambda pair: pair[0] == "")


def page_of(groups: Iterable[Group], number: int, size: int) -> tuple[list[Group], int]:
    """The groups of one page of `size` rows, numbered from 1, and how many pages there are. A long group goes on on the next page."""
    first, last = (number - 1) * size, number * size
    shown, at = [], 0
    for group in groups:
        weight = max(1, len(group.rows))
        if at < last and at + weight > first:
            start = max(0, first - at)
            shown.append(replace(group, rows=group.rows[start : last - at], continued=start > 0))
        at += weight
    return shown, max(1, -(-at // size))


def counted(things: Sequence[Thing]) -> dict[str, Any]:
    """How much differs: things by operation and by layer, values altogether, and the fields that differ most often."""
    fields = Counter(row.field for thing in things if thing.operation == "update" for row in thing.rows)
    return {
        "things": len(things),
        "fields": sum(len(thing.rows) for thing in things),
        "operation": dict(Counter(thing.operation for thing in things)),
        "layer": dict(Counter(thing.layer for thing in things if thing.layer)),
        "field": fields.most_common(8),
    }


def graph_of(things: Iterable[Thing], affected: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """What becomes of the graph: keys of components and relations added, removed and changed, and of components that are affected."""
    names = {"create": "added", "delete": "removed", "update": "changed"}
    found: dict[str, dict[str, list[str]]] = {plural: {name: [] for name in names.values()} for plural in KINDS.values()}
    for thing in things:
        found[KINDS[thing.object]][names[thing.operation]].append(thing.key)
    for lists in found.values():
        for keys in lists.values():
            keys.sort()
    found["components"]["affected"] = list(affected)
    return found
