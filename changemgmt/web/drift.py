"""Drift: the cases of what sources show unasked, one of them field by field, and what is done about it."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.architecture.rules import CREATE, DELETE, UPDATE
from changemgmt.lifecycle.decide_drift import LONGEST_NOTE, adopt_drift, drift_case, may_adopt, may_decide, revert_drift
from changemgmt.preview.diff import diff_of_images
from changemgmt.preview.diff_files import markdown, told
from changemgmt.preview.drift_cases import cases, names_for, requested_of, rows_of
from changemgmt.preview.models import DriftCase, DriftRow
from changemgmt.preview.queries import HIDDEN
from changemgmt.preview.sources import turned

from .architecture import at_page, page_number
from .base import PageRequest, attempt, done, page, refused_status
from .diff import groups_of
from .paging import newest_first

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changemgmt.accounts.models import User
    from changemgmt.changes.models import Change
    from changemgmt.core.errors import DomainError

SIZE = 100
RANK = {UPDATE: 0, CREATE: 1, DELETE: 2}
END_OF_DAY = time(23, 59, 59)


class RevertForm(forms.Form):
    """Who puts the source back, and by when."""

    assignee = forms.CharField(
        label=gettext_lazy("Who does it"),
        max_length=150,
        help_text=gettext_lazy("A username."),
        widget=forms.TextInput(attrs={"class": "in", "autocomplete": "off"}),
    )
    due = forms.DateField(
        label=gettext_lazy("Until the end of"),
        help_text=gettext_lazy("A day such as 2026-12-01."),
        widget=forms.DateInput(attrs={"class": "in", "type": "date"}),
    )
    note = forms.CharField(
        label=gettext_lazy("Note"), max_length=LONGEST_NOTE, required=False, widget=forms.Textarea(attrs={"class": "in", "rows": 2})
    )


@page()
def drift(request: PageRequest) -> HttpResponse:
    """The cases, newest first: those that are not settled, or all."""
    everything = request.GET.get("all") == "1"
    found = newest_first(cases() if everything else cases().filter(state__in=DriftCase.ACTIVE), request, field="opened_at")
    shown = shown_changes((case.change for case in found.rows), request.user)
    context = {
        "rows": [{"case": case, "change": shown.get(case.change_id)} for case in found.rows],
        "everything": everything,
        "next": found.next,
        "previous": found.previous,
        "first": found.first,
    }
    return render(request, "drift/list.html", context)


def shown_changes(changes: Iterable[Change | None], viewer: User) -> dict[int | None, dict[str, Any]]:
    """By primary key what a page shows of changes: number and state, or that there is one the viewer may not see."""
    wanted = {change.pk: change for change in changes if change is not None}
    names = names_for(wanted.values(), viewer)
    return {key: {"hidden": HIDDEN} if names[key] == HIDDEN else {"number": row.number, "state": row.state} for key, row in wanted.items()}


@page()
def case(request: PageRequest, number: int) -> HttpResponse:
    """One case: what differs, what of it is requested already, and what can be done."""
    found = drift_case(number)
    known = {"assignee": found.assignee.username, "note": found.note} if found.assignee else {}
    return show(request, found, RevertForm(initial=known))


def show(request: PageRequest, case: DriftCase, form: RevertForm, refusal: DomainError | None = None, status: int = 200) -> HttpResponse:
    asked = requested_of(case, request.user)
    changes = shown_changes([case.change, *asked.values()], request.user)
    context = {
        "case": case,
        "change": changes.get(case.change_id),
        "asked": [(object, key, changes[change.pk]) for (object, key), change in sorted(asked.items())],
        "may_decide": may_decide(case, actor=request.user),
        "may_adopt": may_adopt(case, actor=request.user),
        "form": form,
        "problem": refusal,
        **differences_of(request, case, set(asked)),
    }
    return render(request, "drift/case.html", context, status=status)


def differences_of(request: PageRequest, case: DriftCase, left: set[tuple[str, str]]) -> dict[str, Any]:
    """One page of the rows nobody requested, as the diff shows them: turned round where the source is to be put back."""
    number, back = page_number(request), case.state == DriftCase.State.REVERTING
    places = [key for key, object, name in in_page_order(case) if (object, name) not in left]
    begin = (number - 1) * SIZE
    found = DriftRow.objects.in_bulk(places[begin : begin + SIZE])
    rows = [found[key] for key in places[begin : begin + SIZE]]
    diff = diff_of_images(turned(row.image) if back else row.image for row in rows)
    groups, left_out = groups_of(diff, [], {row["key"]: row["name"] for row in diff["components"] if row["name"]})
    return {
        "groups": groups,
        "left_out": left_out,
        "heads": (_("Source"), _("Put back")) if back else (_("Live"), _("Source")),
        "turned": back,
        "total": len(places),
        "begin": begin + 1,
        "last": min(begin + SIZE, len(places)) if begin < len(places) else 0,
        "next": at_page(request, number + 1) if begin + SIZE < len(places) else None,
        "previous": at_page(request, number - 1) if number > 1 else None,
    }


@page()
def worklist(request: PageRequest, number: int) -> HttpResponse:
    """All of a case as Markdown, for those who put the source back: what is there, and what it is to be."""
    found = drift_case(number)
    rows = [row.image for row in rows_of(found)]
    if found.state == DriftCase.State.REVERTING:
        rows = [turned(row) for row in rows]
    title = _("Put %(source)s back") if found.state == DriftCase.State.REVERTING else _("Drift of %(source)s")
    response = HttpResponse(markdown(told(title % {"source": found.source}, diff_of_images(rows))), content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="drift-{number}.md"'
    return response


def in_page_order(case: DriftCase) -> list[tuple[int, str, str]]:
    """Primary key, kind and key of the rows: components before relations, and of each what moved, came, and went."""
    rows = rows_of(case).values_list("pk", "object", "key", "operation")
    return [(key, object, name) for key, object, name, _operation in sorted(rows, key=lambda row: (row[1], RANK[row[3]], row[2]))]


@page("POST")
def adopt(request: PageRequest, number: int) -> HttpResponse:
    """Make the change that adopts the case, and go there."""
    made, refusal = attempt(request, lambda: adopt_drift(number, actor=request.user, now=request.now))
    if made is None:
        return show(request, drift_case(number), RevertForm(), refusal, refused_status(request, refusal))
    text = _("A draft was made. Read it, complete it, and submit it.")
    if made.left_out:
        text = _("A draft was made. What it leaves out stands in its description.")
    return done(request, text, made.change.get_absolute_url())


@page("POST")
def revert(request: PageRequest, number: int) -> HttpResponse:
    """Have somebody put the source back."""
    form = RevertForm(request.POST)
    if not form.is_valid():
        return show(request, drift_case(number), form, status=400)
    given = form.cleaned_data
    until = timezone.make_aware(datetime.combine(given["due"], END_OF_DAY))
    reverting, refusal = attempt(
        request, lambda: revert_drift(number, actor=request.user, now=request.now, assignee=given["assignee"], due=until, note=given["note"])
    )
    if reverting is None:
        return show(request, drift_case(number), form, refusal, refused_status(request, refusal))
    return done(request, _("They are told."), f"/drift/{number}/")


urlpatterns = [
    path("drift/", drift, name="drift"),
    path("drift/<int:number>/", case, name="drift-case"),
    path("drift/<int:number>/list/", worklist, name="drift-list"),
    path("drift/<int:number>/adopt/", adopt, name="drift-adopt"),
    path("drift/<int:number>/revert/", revert, name="drift-revert"),
]
