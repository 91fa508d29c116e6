"""A difference as a file: Markdown, a page that stands alone, and what JSON says besides the fields. Under the headings of the page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from changemgmt.core.comparing import GONE, NEW, SAME, Allowance, pieces_between

from .differing import Group, Known, Row, Thing, counted, folded, graph_of, headed, things_of

DONE = {"create": "Added", "update": "Updated", "delete": "Removed"}


@dataclass(frozen=True)
class Told:
    """A difference with everything a file of it says. `affected` are the keys of the components it reaches."""

    title: str
    things: Sequence[Thing]
    affected: tuple[str, ...] = ()

    @property
    def sections(self) -> list[tuple[str, list[Group]]]:
        return headed(folded(self.things), "layer")


def told(title: str, diff: Mapping[str, Any], known: Mapping[str, Known] | None = None, affected: Iterable[str] = ()) -> Told:
    return Told(title, things_of(diff, known), tuple(affected))


def extras(it: Told) -> dict[str, Any]:
    """What JSON says besides the fields: counts, the difference of the graph, and the groups in the order of the page."""
    groups = [
        {
            "layer": heading,
            "operation": group.first.operation,
            "object": group.first.object,
            "type": group.first.type,
            "owner": group.first.owner,
            "keys": [thing.key for thing in group.things],
        }
        for heading, found in it.sections
        for group in found
    ]
    counts = counted(it.things)
    summary = {name: counts[name] for name in ("things", "fields", "operation", "layer")}
    return {"summary": summary, "graph": graph_of(it.things, it.affected), "groups": groups}


def as_text(value: Any) -> str:
    """A value as one reads it: text as it is, everything else as JSON, nothing as nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def in_words(it: Told) -> str:
    """How much differs, in one line."""
    counts = counted(it.things)
    parts = [
        f"{count} {DONE[operation].lower()}" for operation, count in sorted(counts["operation"].items(), key=lambda pair: list(DONE).index(pair[0]))
    ]
    return ", ".join([f"{counts['things']} things, {counts['fields']} fields", *parts, *([f"{len(it.affected)} reached"] if it.affected else [])])


# Markdown.


def markdown(it: Told) -> str:
    """Tables, one for each component or relation, or for several that are updated alike; at the end what becomes of the graph."""
    lines = [f"# {_plain(it.title)}", ""]
    if not it.things:
        return "\n".join([*lines, "Nothing differs."]) + "\n"
    lines += [f"{in_words(it)}.", ""]
    for heading, groups in it.sections:
        lines += [f"## {_plain(heading)}" if heading else "## Without a layer", ""]
        for group in groups:
            lines += list(_group_lines(group))
    return "\n".join([*lines, *_graph_lines(it)]) + "\n"


def _group_lines(group: Group) -> Iterator[str]:
    first = group.first
    alike = f" and {len(group.things) - 1} more alike" if len(group.things) > 1 else ""
    yield f"### {DONE[first.operation]} {first.object} {_code(first.key)} {_plain(first.name if first.name != first.key else '')}".rstrip() + alike
    yield ""
    if alike:
        yield from [f"All of: {', '.join(_code(thing.key) for thing in group.things)}.", ""]
    yield from ["| field | before | after |", "|---|---|---|"]
    yield from (f"| {_code(row.path)} | {_cell(row.before)} | {_cell(row.after)} |" for row in group.rows)
    yield ""


def _graph_lines(it: Told) -> Iterator[str]:
    yield from ["## The graph", ""]
    for plural, lists in graph_of(it.things, it.affected).items():
        for name, keys in lists.items():
            if keys:
                yield from [f"### {plural.capitalize()} {name} ({len(keys)})", "", *(f"- {_code(key)}" for key in keys), ""]


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", re.sub(r"\s+", " ", text))


def _code(text: str) -> str:
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    inner = re.sub(r"\s+", " ", text).replace("|", "\\|")
    space = " " if inner.startswith("`") or inner.endswith("`") else ""
    return f"{ticks}{space}{inner}{space}{ticks}" if text else ""


def _cell(value: Any) -> str:
    return _code(as_text(value))


# A page that stands alone.

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1b2027;background:#fff}"
    "h2{border-bottom:2px solid #c9c4b9;margin-top:2.5rem}h3{font-size:1rem;margin:1.5rem 0 .4rem}"
    "table{border-collapse:collapse;width:100%;table-layout:fixed}th:first-child{width:24%}"
    "th,td{border:1px solid #c9c4b9;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "td{overflow-wrap:anywhere;white-space:pre-wrap}th{font-weight:600;background:#f5f4f0}"
    "del{background:#f8dcd8}ins{background:#d9efdf;text-decoration:none}code{font-size:.9em;overflow-wrap:anywhere}"
    "section>div{content-visibility:auto;contain-intrinsic-size:auto 12rem}.what{font-weight:400;color:#474f59}"
    "ul{columns:18rem;padding-left:1.2rem}@media print{section>div{break-inside:avoid}}"
)


def page(it: Told) -> str:
    """One HTML page that needs nothing else: no script, no other file."""
    name = html.escape(it.title)
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>{name}</title>"]
    parts.append(f"<style>{STYLE}</style><h1>{name}</h1><p>{html.escape(in_words(it)) if it.things else 'Nothing differs'}.</p>")
    allowance = Allowance(4_000_000)
    for heading, groups in it.sections if it.things else []:
        parts.append(f"<section><h2>{html.escape(heading) or 'Without a layer'}</h2>")
        parts += [_group(group, allowance) for group in groups]
        parts.append("</section>")
    return "".join([*parts, *(_graph(it) if it.things else ()), "</html>"])


def _group(group: Group, allowance: Allowance) -> str:
    first = group.first
    names = ", ".join(f"{html.escape(thing.name)} <code>{html.escape(thing.key)}</code>" for thing in group.things)
    rows = "".join(_row(row, allowance) for row in group.rows)
    table = f"<table><thead><tr><th>Field<th>Before<th>After</thead><tbody>{rows}</table>" if rows else ""
    return f"<div><h3>{names} <span class=what>{DONE[first.operation]} {first.object} {html.escape(first.type)}</span></h3>{table}</div>"


def _row(row: Row, allowance: Allowance) -> str:
    pieces = pieces_between(as_text(row.before), as_text(row.after), allowance)
    old, new = ("".join(_marked(sign, text) for sign, text in pieces if sign in (SAME, side)) for side in (GONE, NEW))
    return f"<tr><td><code>{html.escape(row.path)}</code><td>{old}<td>{new}"


def _marked(sign: str, text: str) -> str:
    tag = {GONE: "del", NEW: "ins"}.get(sign)
    return f"<{tag}>{html.escape(text)}</{tag}>" if tag else html.escape(text)


def _graph(it: Told) -> Iterator[str]:
    yield "<h2>The graph</h2>"
    for plural, lists in graph_of(it.things, it.affected).items():
        for name, keys in lists.items():
            if keys:
                entries = "".join(f"<li><code>{html.escape(key)}</code>" for key in keys)
                yield f"<h3>{plural.capitalize()} {name} ({len(keys)})</h3><ul>{entries}</ul>"
