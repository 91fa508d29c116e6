"""The risk of a change as a page: how it came about, what is asked, and a level set by hand."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _

from changemgmt.changes.models import Scale
from changemgmt.changes.queries import visible
from changemgmt.lifecycle import assess
from changemgmt.lifecycle.edit.editing import may_edit

from .base import PageRequest, attempt, done, page, refused_status, said, seen_of
from .change import assessed
from .record_form import STAKES

LIFT = "lift"


@page("GET", "HEAD", "POST")
def risk(request: PageRequest, number: str) -> HttpResponse:
    """The assessment; a POST answers what is asked (`act=answer`) or sets the level by hand (`act=override`)."""
    change = visible(request.user, number)
    refusal, typed = None, said(request, "level", "reason", "revenue", "reputation")
    if request.method == "POST":
        act = overriding if request.POST.get("act") == "override" else answering
        acted, refusal = attempt(request, lambda: act(request, number, typed))
        if acted:
            return done(request, _("The risk is computed with it."), f"/changes/{number}/#risk")
    context = {
        "change": change,
        "assessment": assessed(change),
        "problem": refusal,
        "typed": typed,
        "levels": Scale.choices,
        "stakes": STAKES,
        "revenue": typed["revenue"] or str(change.revenue_at_stake),
        "reputation": typed["reputation"] or str(change.reputation_at_stake),
        "edit": may_edit(change, actor=request.user),
        "override": assess.may_override(change, actor=request.user, reason="?"),
        "lift": LIFT,
    }
    return render(request, "changes/risk.html", context, status=refused_status(request, refusal))


def answering(request: PageRequest, number: str, typed: dict[str, str]) -> Any:
    answers = {name: as_number(typed[name]) for name in ("revenue", "reputation")}
    return assess.answer(number, answers, actor=request.user, now=request.now, seen=seen_of(request))


def as_number(text: str) -> float | str:
    """The number that was chosen; anything else goes on as it is and is refused by the verb."""
    try:
        return float(text)
    except ValueError:
        return text


def overriding(request: PageRequest, number: str, typed: dict[str, str]) -> Any:
    level = None if typed["level"] == LIFT else typed["level"]
    return assess.override(number, level=level, reason=typed["reason"], actor=request.user, now=request.now, seen=seen_of(request))


urlpatterns = [path("changes/<str:number>/risk/", risk, name="change-risk")]
