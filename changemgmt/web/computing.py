"""What is computed while nobody has to wait: how far it is, in words and as a bar, and cancelling it."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.changes.queries import visible
from changemgmt.core.verdict import Verdict
from changemgmt.lifecycle.compute_preview import cancel_preview, may_cancel
from changemgmt.preview.queries import preview_of

from .base import PageRequest, done, page

PHASES = {
    "": gettext_lazy("It waits for a worker"),
    "items": gettext_lazy("The items are read"),
    "graph": gettext_lazy("The architecture is read"),
    "propagation": gettext_lazy("What is reached is followed along the relations"),
    "effects": gettext_lazy("What would be down or degraded is found"),
    "difference": gettext_lazy("Before and after are compared"),
    "checks": gettext_lazy("The checks are made"),
    "picture": gettext_lazy("The picture is drawn"),
    "storing": gettext_lazy("The result is stored"),
}


def computing(number: str, shown: dict[str, Any], cancel: Verdict) -> dict[str, Any]:
    """For `changes/_computing.html`: how far a preview is, as `preview_of` tells it."""
    return {
        "what": _("The preview is being computed."),
        "state_url": f"/changes/{number}/preview/state/",
        "phase": PHASES.get(shown.get("phase", ""), PHASES[""]),
        "percent": round(shown.get("progress", 0.0) * 100),
        "may_cancel": cancel.allowed,
    }


@page()
def preview_state(request: PageRequest, number: str) -> HttpResponse:
    """Asked by the page while the preview is computed: how far it is, or load the page again."""
    change = visible(request.user, number)
    shown = preview_of(change, request.user)
    if shown["state"] != "running":
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "parts/progress.html", computing(number, shown, may_cancel(change, actor=request.user)))


@page("POST")
def preview_cancel(request: PageRequest, number: str) -> HttpResponse:
    """Stop computing the preview: what was there before counts again."""
    at_once = cancel_preview(number, actor=request.user, now=request.now)
    return done(request, _("Cancelled.") if at_once else _("It stops at the next step."), f"/changes/{number}/preview/")


urlpatterns = [
    path("changes/<str:number>/preview/state/", preview_state, name="change-preview-state"),
    path("changes/<str:number>/preview/cancel/", preview_cancel, name="change-preview-cancel"),
]
