"""The difference a change makes, field by field: as plain values, as Markdown, and as a page that stands alone."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any

from changemgmt.architecture.rules import COMPONENT, Image
from changemgmt.core.diff import differences

from .words import words

LONG = 40


def diff_of_images(images: Iterable[Image]) -> dict[str, list[dict[str, Any]]]:
    """`{"components": [...], "relations": [...]}`, each with its fields before and after. What does not differ is left out."""
    found: dict[str, list[dict[str, Any]]] = {"components": [], "relations": []}
    for image in images:
        if image.before != image.after:
            found["components" if image.object == COMPONENT else "relations"].append(_entry(image))
    return found


def _entry(image: Image) -> dict[str, Any]:
    side = image.after or image.before or {}
    fields = [
        {"path": field.path, "before": field.before, "after": field.after}
        for field in differences(_said(image.before), _said(image.after))
        if field.path != "key" and not (field.before in EMPTY and field.after in EMPTY)
    ]
    entry = {"key": image.key, "operation": image.operation, "name": side.get("name", ""), "type": side.get("type"), "layer": side.get("layer")}
    if image.object != COMPONENT:
        entry |= {"source": side.get("source"), "target": side.get("target")}
    return entry | {"fields": fields}


EMPTY: tuple[Any, ...] = (None, "", [], {})


def _said(image: dict[str, Any] | None) -> dict[str, Any]:
    return image or {}


def as_text(value: Any) -> str:
    """A value as one reads it: text as it is, everything else as JSON, nothing as nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def markdown(title: str, diff: dict[str, list[dict[str, Any]]]) -> str:
    """The difference as Markdown tables, one per component and relation."""
    lines = [f"# {_plain(title)}", ""]
    for kind in ("components", "relations"):
        for entry in diff.get(kind, []):
            lines += [f"## {entry['operation'].capitalize()} {kind[:-1]} {_code(entry['key'])} {_plain(entry.get('name') or '')}".rstrip(), ""]
            lines += ["| field | before | after |", "|---|---|---|"]
            lines += [f"| {_code(row['path'])} | {_cell(row['before'])} | {_cell(row['after'])} |" for row in entry["fields"]] + [""]
    if len(lines) == 2:
        lines.append("Nothing differs.")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", re.sub(r"\s+", " ", text))


def _code(text: str) -> str:
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    inner = re.sub(r"\s+", " ", text).replace("|", "\\|")
    return f"{ticks}{inner}{ticks}" if text else ""


def _cell(value: Any) -> str:
    return _code(as_text(value))


STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b2027}"
    "table{border-collapse:collapse;width:100%;margin-bottom:2rem}"
    "th,td{border:1px solid #c9c4b9;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "td{overflow-wrap:anywhere}del{background:#f8dcd8}ins{background:#d9efdf;text-decoration:none}code{font-size:.9em}"
)


def page(title: str, diff: dict[str, list[dict[str, Any]]]) -> str:
    """The difference as one HTML page that needs nothing else."""
    name = html.escape(title)
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title><style>{STYLE}</style><h1>{name}</h1>"]
    for kind in ("components", "relations"):
        for entry in diff.get(kind, []):
            name = f" {html.escape(entry['name'])}" if entry.get("name") else ""
            parts.append(f"<h2>{entry['operation'].capitalize()} {kind[:-1]} <code>{html.escape(entry['key'])}</code>{name}</h2>")
            parts.append("<table><thead><tr><th>Field<th>Before<th>After</thead><tbody>")
            parts += [_row(row) for row in entry["fields"]]
            parts.append("</tbody></table>")
    if len(parts) == 1:
        parts.append("<p>Nothing differs.</p>")
    return "".join(parts) + "</html>"


def _row(row: dict[str, Any]) -> str:
    before, after = as_text(row["before"]), as_text(row["after"])
    if row["before"] is not None and row["after"] is not None and max(len(before), len(after)) > LONG:
        pieces = words(before, after)
        old = "".join(html.escape(text) if sign == "=" else f"<del>{html.escape(text)}</del>" for sign, text in pieces if sign != "+")
        new = "".join(html.escape(text) if sign == "=" else f"<ins>{html.escape(text)}</ins>" for sign, text in pieces if sign != "-")
    else:
        old = f"<del>{html.escape(before)}</del>" if before else ""
        new = f"<ins>{html.escape(after)}</ins>" if after else ""
    return f"<tr><td><code>{html.escape(row['path'])}</code><td>{old}<td>{new}"
