"""`manage.py architecture drift list|show|adopt|revert`: what each answers, as data and in words."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.api.drift import shown_all, shown_row
from changemgmt.core.time import parse_instant, utc_now
from changemgmt.lifecycle.decide_drift import adopt_drift, drift_case, revert_drift
from changemgmt.preview.diff_files import as_text
from changemgmt.preview.drift_cases import cases, names_for, requested_of, rows_of
from changemgmt.preview.models import DriftCase


def add_drift(parser: ArgumentParser) -> None:
    """The words of the command."""
    acts = parser.add_subparsers(dest="act", required=True)
    listing = acts.add_parser("list", help="the cases that are not settled, newest first")
    listing.add_argument("--all", action="store_true", help="settled ones too")
    one = acts.add_parser("show", help="one case, field by field")
    adopting = acts.add_parser("adopt", help="make the draft of a change that adopts it")
    reverting = acts.add_parser("revert", help="have somebody put the source back")
    for named in (one, adopting, reverting):
        named.add_argument("id", type=int)
    reverting.add_argument("--assignee", required=True, help="username of who does it")
    reverting.add_argument("--due", required=True, help="by when, such as 2026-12-01T12:00:00Z")
    reverting.add_argument("--note", default="")
    for word in (listing, one, adopting, reverting):
        word.add_argument("--user", help="who asks (default: the first administrator)")
        word.add_argument("--json", action="store_true")


def listed(actor: User, *, all: bool, **options: Any) -> list[dict[str, Any]]:
    return shown_all(cases() if all else cases().filter(state__in=DriftCase.ACTIVE), actor)


def detail(actor: User, *, id: int, **options: Any) -> dict[str, Any]:
    case = drift_case(id)
    asked = requested_of(case, actor)
    names = names_for(asked.values(), actor)
    by = {key: names[change.pk] for key, change in asked.items()}
    return shown_all([case], actor)[0] | {"rows": [shown_row(row, by) for row in rows_of(case)]}


def adopted(actor: User, *, id: int, **options: Any) -> dict[str, Any]:
    made = adopt_drift(id, actor=actor, now=utc_now())
    left_out = [{"key": key, "reason": reason} for key, reason in made.left_out]
    return shown_all([drift_case(id)], actor)[0] | {"left_out": left_out}


def reverted(actor: User, *, id: int, assignee: str, due: str, note: str, **options: Any) -> dict[str, Any]:
    revert_drift(id, actor=actor, now=utc_now(), assignee=assignee, due=parse_instant(due, field="due"), note=note)
    return shown_all([drift_case(id)], actor)[0]


def line(case: Mapping[str, Any]) -> str:
    """A case in one line."""
    decided = f", {case['change']}" if case["change"] else f", {case['assignee']} until {case['due_at']:%Y-%m-%d %H:%M} UTC" if case["due_at"] else ""
    counts = f"{case['added']} added, {case['changed']} changed, {case['removed']} removed"
    return f"{case['id']}  {case['source']}  {case['state']}: {counts}, seen {case['seen_at']:%Y-%m-%d %H:%M} UTC{decided}"


def in_lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(map(line, rows)) or "Nothing differs."


def in_full(case: dict[str, Any]) -> str:
    """A case with its rows, each field as it is live and at the source."""
    lines = [line(case)]
    for row in case["rows"]:
        asked = f"  (requested: {row['requested_by']})" if row["requested_by"] else ""
        lines.append(f"  {row['operation']} {row['object']} {row['key']}{asked}")
        lines += [f"    {found['path']}: {as_text(found['live']) or '–'} | {as_text(found['source']) or '–'}" for found in row["fields"]]
    return "\n".join(lines)


def as_adopted(case: dict[str, Any]) -> str:
    return "\n".join([f"{case['change']} adopts it.", *(f"  left out: {row['key']}: {row['reason']}" for row in case["left_out"])])


ACTS: Mapping[str, Callable[..., Any]] = {"list": listed, "show": detail, "adopt": adopted, "revert": reverted}
WORDS: Mapping[str, Callable[[Any], str]] = {"list": in_lines, "show": in_full, "adopt": as_adopted, "revert": line}
