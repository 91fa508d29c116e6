"""The plan of a change: read, and edited row by row."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from changemgmt.changes.queries import visible
from changemgmt.lifecycle import edit
from changemgmt.lifecycle.edit.editing import may_edit
from changemgmt.planning.models import Plan
from changemgmt.planning.queries import plan_of

from .base import PageRequest, attempt, done, page, refused_status, seen_of
from .items import described

SPARE_STEPS = 3
MOST = 500


@page("GET", "HEAD", "POST")
def plan(request: PageRequest, number: str) -> HttpResponse:
    """The steps in order, each with the items it applies, its verification and its compensation."""
    change = visible(request.user, number)
    stored, refusal = plan_of(change), None
    rows = [row_of(step, n) for n, step in enumerate(stored["steps"])]
    if request.method == "POST":
        rows = typed_rows(request.POST)
        wanted = plan_from(request.POST, rows, stored)
        saved, refusal = attempt(request, lambda: edit.set_plan(number, wanted, actor=request.user, now=request.now, seen=seen_of(request)))
        if saved:
            return done(
                request, _("The plan is saved."), f"/changes/{number}/plan/" if "stay" in request.POST else f"/changes/{number}/edit/?part=plans"
            )
    verdict = may_edit(change, actor=request.user)
    context = {
        "change": change,
        "plan": stored,
        "rows": rows + [empty_row(len(rows) + n) for n in range(SPARE_STEPS if verdict.allowed else 0)],
        "blank": empty_row("__n__"),
        "next": len(rows) + SPARE_STEPS,
        "items": described(change),
        "verdict": verdict,
        "strategies": Plan.Strategy.choices,
        "on_failure": Plan.OnFailure.choices,
        "problem": refusal,
    }
    return render(request, "changes/plan.html", context, status=refused_status(request, refusal))


def row_of(step: dict[str, Any], n: int) -> dict[str, Any]:
    """A stored step as a row of the form."""
    return {
        "n": n,
        "id": step["id"],
        "name": step["name"],
        "action": step["action"],
        "minutes": max(1, round(step["timeout_seconds"] / 60)),
        "depends_on": ", ".join(step["depends_on"]),
        "items": step["items"],
        "irreversible": step["irreversible"],
        "verification": step["verification"].get("action", ""),
        "compensation": step["compensation"].get("action", ""),
        "kept": step,
    }


def empty_row(n: Any) -> dict[str, Any]:
    return {
        "n": n,
        "id": "",
        "name": "",
        "action": "",
        "minutes": "",
        "depends_on": "",
        "items": [],
        "irreversible": False,
        "verification": "",
        "compensation": "",
        "kept": None,
    }


def typed_rows(data: Any) -> list[dict[str, Any]]:
    """The rows as they were typed, in order; rows without a name are dropped."""
    numbers = sorted(int(key[10:]) for key in data if key.startswith("step-name-") and key[10:].isdigit())[:MOST]
    rows = [typed_row(data, n) for n in numbers]
    return renumbered(sorted((row for row in rows if row["name"] and not row["gone"]), key=lambda row: (row["position"], row["n"])))


def typed_row(data: Any, n: int) -> dict[str, Any]:
    def text(name: str) -> str:
        return data.get(f"step-{name}-{n}", "").replace("\r\n", "\n").strip()

    position = text("position")
    return {
        "n": n,
        "id": text("id"),
        "name": text("name"),
        "action": text("action"),
        "minutes": text("minutes"),
        "depends_on": text("depends_on"),
        "items": [int(value) for value in data.getlist(f"step-items-{n}") if value.isdigit()],
        "irreversible": bool(data.get(f"step-irreversible-{n}")),
        "verification": text("verification"),
        "compensation": text("compensation"),
        "gone": bool(data.get(f"step-gone-{n}")),
        "position": int(position) if position.isdigit() else 10_000 + n,
    }


def renumbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with places counted anew and an id for each that has none."""
    taken = {row["id"] for row in rows if row["id"]}
    for n, row in enumerate(rows):
        row["n"] = n
        if not row["id"]:
            row["id"] = new_id(row["name"], taken)
            taken.add(row["id"])
    return rows


def new_id(name: str, taken: set[str]) -> str:
    """A short id made of the step's name."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "step"
    n, made = 1, base
    while made in taken:
        n, made = n + 1, f"{base}-{n + 1}"
    return made


def plan_from(data: Any, rows: list[dict[str, Any]], stored: dict[str, Any]) -> dict[str, Any]:
    """The whole plan as the verb takes it; what the form does not show is kept as it was."""
    before = {step["id"]: step for step in stored["steps"]}
    return {
        "strategy": data.get("strategy") or stored["strategy"],
        "on_failure": data.get("on_failure") or stored["on_failure"],
        "gates": stored["gates"],
        "steps": [step_from(row, before.get(row["id"], {})) for row in rows],
    }


def step_from(row: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    minutes = int(row["minutes"]) if row["minutes"].isdigit() else 60
    return kept | {
        "id": row["id"],
        "name": row["name"],
        "action": row["action"],
        "agent": kept.get("agent", "person"),
        "manual": kept.get("manual", True),
        "timeout_seconds": minutes * 60,
        "depends_on": [word.strip() for word in row["depends_on"].split(",") if word.strip()],
        "items": row["items"],
        "irreversible": row["irreversible"],
        "verification": act(row["verification"], kept.get("verification")),
        "compensation": act(row["compensation"], kept.get("compensation")),
    }


def act(text: str, kept: dict[str, Any] | None) -> dict[str, Any]:
    """An act by its text; empty text is no act."""
    return {**(kept or {}), "action": text} if text else {}
