"""Choosing a window: five best ones with their reasons, or one's own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.changes.models import Change
from changemgmt.changes.queries import visible
from changemgmt.core.errors import DomainError
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle import transitions
from changemgmt.lifecycle.schedule import may_schedule
from changemgmt.scheduling.queries import conflicts_of, windows_for
from changemgmt.scheduling.rules import LONGEST_SEARCH

from .base import PageRequest, attempt, done, page, refused_status, seen_of
from .record_form import Long, Moment

AHEAD = timedelta(days=28)
# Each factor: its words, what it is multiplied by in the score, and from (or up to) which value it speaks for the window.
FACTORS = {
    "business_impact": (gettext_lazy("Business impact"), "−0.4", lambda value: value <= 40),
    "historical_success": (gettext_lazy("Went well at such times"), "+0.3", lambda value: value >= 60),
    "resource_availability": (gettext_lazy("People are free"), "+0.2", lambda value: value >= 60),
    "dependency_coordination": (gettext_lazy("What it depends on is settled"), "+0.1", lambda value: value >= 60),
    "compliance_penalty": (gettext_lazy("Compliance blackouts"), "−1", lambda value: value == 0),
}
HIGHEST_SCORE = 160


class WindowForm(forms.Form):
    """A window and, if wanted, a word about it."""

    start = Moment(gettext_lazy("Start"), required=True)
    end = Moment(gettext_lazy("End"), required=True)
    comment = Long(gettext_lazy("Comment"), rows=2)


@page("GET", "HEAD", "POST")
def schedule(request: PageRequest, number: str) -> HttpResponse:
    """The windows; a POST sets one. `?start=&end=` asks beforehand what stands in the way."""
    change = visible(request.user, number)
    slot = request.POST.get("slot") or request.GET.get("slot", "")
    data = request.POST if request.method == "POST" else request.GET
    chosen = from_slot(slot)
    form = WindowForm(chosen or data if chosen or data.get("start") else None, initial=proposed(change), auto_id="w-%s")
    refusal: DomainError | None = None
    verdict: Verdict | None = None
    conflicts: list[Any] = []
    valid = form.is_bound and form.is_valid()
    if valid:
        start, end = form.cleaned_data["start"], form.cleaned_data["end"]
        if request.method == "POST" and "check" not in request.POST:
            parameters = {"start": start, "end": end, "comment": request.POST.get("comment", "")}
            moved, refusal = attempt(
                request, lambda: transitions.perform(number, "schedule", parameters, actor=request.user, now=request.now, seen=seen_of(request))
            )
            if moved:
                return done(request, _("The window is set."), change.get_absolute_url())
        verdict, conflicts = checked(change, request, start, end)
    minutes = wanted_minutes(change, data)
    context = {
        "change": change,
        "form": form,
        "problem": refusal,
        "verdict": verdict,
        "conflicts": conflicts,
        "windows": [shown(window) for window in five_best(change, request, minutes)],
        "minutes": minutes,
        "may": may_schedule(change, actor=request.user, now=request.now),
        "slot": slot,
    }
    return render(request, "changes/schedule.html", context, status=400 if form.is_bound and not valid else refused_status(request, refusal))


def from_slot(slot: str) -> dict[str, Any] | None:
    """The times of a proposed window that was picked: "start/end" in RFC 3339."""
    start, _slash, end = slot.partition("/")
    try:
        times = [datetime.fromisoformat(text) for text in (start, end)]
    except ValueError:
        return None
    return {name: timezone.localtime(time).strftime("%Y-%m-%dT%H:%M:%S") for name, time in zip(("start", "end"), times, strict=True) if time.tzinfo}


def proposed(change: Change) -> dict[str, Any]:
    """The window that stands, or the one that was asked for."""
    return {"start": change.planned_start or change.requested_start, "end": change.planned_end or change.requested_end}


def checked(change: Change, request: PageRequest, start: datetime, end: datetime) -> tuple[Verdict | None, list[Any]]:
    """What stands in the way of this window, and what it meets."""
    if end <= start:
        return None, []
    verdict = may_schedule(change, actor=request.user, now=request.now, start=start, end=end)
    return verdict, conflicts_of(change, start, end, now=request.now, viewer=request.user)


def wanted_minutes(change: Change, data: Any) -> int:
    """How long a window has to be: as asked, as the plan's steps, else two hours."""
    text = data.get("minutes", "")
    if text.isdigit() and 5 <= int(text) <= 7 * 1440:
        return int(text)
    plan = getattr(change, "plan", None)
    seconds = sum(step.timeout_seconds for step in plan.steps.all()) if plan else 0
    return max(15, min(1440, round(seconds / 60))) if seconds else 120


def five_best(change: Change, request: PageRequest, minutes: int) -> list[Any]:
    """The five best windows of the next four weeks, or within what was asked for."""
    earliest = max(request.now, change.requested_start or request.now)
    latest = change.requested_end or request.now + AHEAD
    if latest <= earliest:
        return []
    if latest - earliest > LONGEST_SEARCH:
        latest = earliest + LONGEST_SEARCH
    return windows_for(change, earliest=earliest, latest=latest, duration=timedelta(minutes=minutes), limit=5, now=request.now, viewer=request.user)


def shown(window: Any) -> dict[str, Any]:
    """A proposal with its factors in words."""
    one = window.as_dict()
    factors = [
        {"label": label, "weight": weight, "value": one["factors"][name], "good": good(one["factors"][name])}
        for name, (label, weight, good) in FACTORS.items()
    ]
    one["share"] = 100 * one["score"] / HIGHEST_SCORE
    return one | {"factors": factors, "slot": f"{one['start']}/{one['end']}"}
