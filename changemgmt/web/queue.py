"""My approvals: the queue with its filters, the brief beside it, and voting together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changemgmt.accounts.delegations import voting_for
from changemgmt.accounts.second_factor import has_second_factor
from changemgmt.approvals import filters, looks, rules
from changemgmt.approvals.queue import Waiting, boxes_beside, queue_of
from changemgmt.approvals.sitting import visible_seat
from changemgmt.approvals.standing import delegators_of
from changemgmt.changes.models import Priority, Scale, Type
from changemgmt.core.errors import Invalid, NotFound
from changemgmt.core.reading import keep, reading
from changemgmt.lifecycle import vote as verbs

from .base import PageRequest, done, page
from .brief import brief_of
from .looks import since_context, watched
from .roles import role_name, role_of
from .saved_filters import kept

if TYPE_CHECKING:
    from datetime import datetime

    from changemgmt.accounts.models import User
    from changemgmt.approvals.models import Look, Seat

ROWS = 50
MOST_AT_ONCE = 200
PLACES = ("at", "selected", "then")
"""Parameters of the page that are no filters."""
GROUPS = (
    gettext_lazy("Late"),
    gettext_lazy("Due within 8 hours"),
    gettext_lazy("Due within a day"),
    gettext_lazy("Due within three days"),
    gettext_lazy("Later"),
)
CHOICES = {
    "for": (
        gettext_lazy("For whom"),
        [("me", gettext_lazy("Me, by name")), ("group", gettext_lazy("One of my groups")), ("delegated", gettext_lazy("Somebody I stand in for"))],
    ),
    "due": (gettext_lazy("Due"), list(zip(filters.DUE, GROUPS, strict=True))),
    "claimed": (gettext_lazy("Claimed"), [("me", gettext_lazy("By me")), ("nobody", gettext_lazy("By nobody"))]),
    "type": (gettext_lazy("Type"), Type.choices),
    "risk_level": (gettext_lazy("Risk"), Scale.choices),
    "priority": (gettext_lazy("Priority"), Priority.choices),
}
TEXTS = {"chain": gettext_lazy("Chain"), "level": gettext_lazy("Level"), "q": gettext_lazy("Text")}


@page()
def queue(request: PageRequest) -> HttpResponse:
    """Everything that waits for this person's vote, most urgent first; `?selected=` shows the brief of one row.

    `?then=` does so after a vote that was begun here: the focus is on the row, which nobody chose yet.
    """
    with reading():
        return render(request, "approvals/queue.html", queue_context(request))


def queue_context(request: PageRequest) -> dict[str, Any]:
    """What the page shows."""
    standing = list(voting_for(request.user, request.now))
    if settings.DELEGATION_HOPS == 1:
        keep(delegators_of, {row.delegator_id for row in standing}, request.user, request.now)
    everything = request.queue = queue_of(request.user, request.now)
    wanted, wrong = filters.sort_out({name: request.GET.getlist(name) for name in request.GET if name not in PLACES})
    rows = filters.narrow(everything, wanted, now=request.now)
    start = first_shown(request, rows)
    shown = rows[start : start + ROWS]
    levels = boxes_beside(shown, request.user)
    seen = looks.looks_of(request.user, (row.change for row in shown))
    entries = [entry(row, levels, request.now, seen.get(row.change.pk)) for row in shown]
    selected = next((row for row in shown if str(row.seat.pk) == place_of(request)), shown[0] if shown else None)
    context = {
        "entries": entries,
        "groups": grouped(entries),
        "waiting": len(everything),
        "found": len(rows),
        "due": sum(row.is_due(request.now) for row in everything),
        "stands_in_for": sorted({row.delegator.display_name for row in standing}),
        "selected": selected,
        "goes_on": "then" in request.GET,
        "signs": any(one["signed"] for one in entries),
        "second_factor": any(one["signed"] for one in entries) and has_second_factor(request.user),
        "fields": fields_of(wanted, everything),
        "used": in_words(wanted),
        "wrong": wrong,
        "query": urlencode(wanted, doseq=True),
        "saved": kept(request.user, "approvals", urlencode(wanted, doseq=True)),
        **neighbours(wanted, start, len(rows)),
    }
    if selected is None:
        return context
    chosen = "selected" in request.GET
    since = look_at(request, selected) if chosen else looks.since(seen.get(selected.change.pk), selected.level.round, selected.voted)
    return context | peeked_at(request, selected, levels, since, fields=chosen)


def first_shown(request: PageRequest, rows: list[Waiting]) -> int:
    """Where the page begins: as `?at=` says, else where the selected row is."""
    text = request.GET.get("at", "")
    if text.isascii() and text.isdigit() and len(text) < 7:
        return min(int(text) // ROWS * ROWS, max(0, len(rows) - 1) // ROWS * ROWS)
    place = next((index for index, row in enumerate(rows) if str(row.seat.pk) == place_of(request)), 0)
    return place // ROWS * ROWS


def place_of(request: PageRequest) -> str | None:
    """The row that the address names: one that was chosen, or the one that came after a vote."""
    return request.GET.get("selected") or request.GET.get("then")


def begun_here(request: PageRequest) -> bool:
    """Whether the vote was begun in the queue: a fixed word of the link, which the form keeps."""
    return (request.POST.get("next") or request.GET.get("next")) == "queue"


def after_vote(request: PageRequest, seat: Seat) -> str:
    """Where a vote at the seat leads, asked before it is given: to the next row of the queue, of the last to the one before it; else to the change."""
    if not begun_here(request):
        return f"/changes/{seat.level.round.change.number}/"
    keys = [row.seat.pk for row in queue_of(request.user, request.now)]
    place = keys.index(seat.pk) if seat.pk in keys else 0
    left = [*keys[place + 1 :], *reversed(keys[:place])]
    return f"/approvals/?then={left[0]}" if left else "/approvals/"


def neighbours(wanted: dict[str, list[str]], start: int, found: int) -> dict[str, str | None]:
    """The addresses of the pages before and after, for the pager."""

    def at(place: int) -> str:
        return f"?{urlencode({**wanted, 'at': [str(place)]}, doseq=True)}"

    return {"next": at(start + ROWS) if start + ROWS < found else None, "previous": at(start - ROWS) if start else None}


def fields_of(wanted: dict[str, list[str]], rows: list[Waiting]) -> list[dict[str, Any]]:
    """The selects of the filter form, with what is chosen. Chains and levels are those that wait."""
    chains = sorted({row.level.settings.get("chain", "") for row in rows} - {""})
    levels = sorted({row.level.name for row in rows})
    named = {"chain": (TEXTS["chain"], [(name, name) for name in chains]), "level": (TEXTS["level"], [(name, name) for name in levels])}
    return [
        {"name": name, "label": label, "choices": choices, "chosen": wanted.get(name, [])} for name, (label, choices) in (CHOICES | named).items()
    ]


def in_words(wanted: dict[str, list[str]]) -> list[str]:
    """What narrows the queue, for a reader."""
    words = []
    for name, values in wanted.items():
        label, choices = CHOICES.get(name) or (TEXTS[name], [])
        known = dict(choices)
        words.append(f"{label}: {', '.join(str(known.get(value, value)) for value in values)}")
    return words


def entry(row: Waiting, levels: dict[int, list[dict[str, Any]]], now: datetime, seen: Look | None) -> dict[str, Any]:
    """One row of the queue as the template draws it; `seen` is what this person saw last of the change."""
    change = row.change
    template = change.template if change.template_id else None
    return {
        "row": row,
        "seat": row.seat,
        "change": change,
        "level": row.level,
        "levels": levels[row.level.round_id],
        "group": rules.time_left(row.level.due_at, now),
        "start": change.planned_start or change.requested_start,
        "end": change.planned_end or change.requested_end,
        "asked": role_name(row.seat.group),
        "bulk": template.name if template else "",
        "signed": row.level.settings.get("require_signature", False),
        **moved_in(row, seen),
    }


def moved_in(row: Waiting, seen: Look | None) -> dict[str, Any]:
    """What the row says of a content that this person has not seen yet: since their vote or their look, and whether the level watches it."""
    since = looks.since(seen, row.level.round, row.voted) if looks.not_looked_at(seen, row.level.round) else None
    return {"moved": since, **({"watched": watched(row.level, since)} if since else {})}


def grouped(entries: list[dict[str, Any]]) -> list[tuple[Any, list[dict[str, Any]]]]:
    """The rows under their deadlines, in order."""
    return [(GROUPS[rank], rows) for rank in range(len(GROUPS)) if (rows := [one for one in entries if one["group"] == rank])]


def look_at(request: PageRequest, row: Waiting) -> looks.Since | None:
    """What moved since this person looked. Only a row that was chosen counts as looked at, not the first one that is shown anyway."""
    return looks.look(row.change, request.user, now=request.now, round=row.level.round, asked=True)


def peeked_at(
    request: PageRequest, row: Waiting, levels: dict[int, list[dict[str, Any]]], since: looks.Since | None, *, fields: bool = True
) -> dict[str, Any]:
    """What the brief beside the list shows of one row."""
    settings = row.level.settings
    return {
        "peek": row,
        "answers": brief_of(row.change, request.user, now=request.now, approval={"levels": levels[row.level.round_id]}),
        "my_role": role_of(row.seat, row.on_behalf_of),
        "conditions": settings.get("allow_conditions", True),
        "signed": settings.get("require_signature", False),
        **since_context(row.change, since, row.level, fields=fields),
    }


@page()
def peek(request: PageRequest, seat: int) -> HttpResponse:
    """The brief of one row of the queue; without htmx the queue with that row selected."""
    row = waiting_at(request.user, seat, request.now)
    if not request.htmx:
        return redirect(f"/approvals/?selected={seat}")
    return render(request, "approvals/_peek.html", peeked_at(request, row, boxes_beside([row], request.user), look_at(request, row)))


def waiting_at(user: User, seat: int, now: datetime) -> Waiting:
    row = next((row for row in queue_of(user, now) if row.seat.pk == seat), None)
    if row is None:
        raise NotFound(_("This vote does not wait for you."))
    return row


@page("POST")
def bulk(request: PageRequest) -> HttpResponse:
    """The same approval on several changes of one template; each is checked and recorded by itself."""
    chosen = request.POST.getlist("id")
    if len(chosen) > MOST_AT_ONCE or not all(value.isascii() and value.isdigit() and len(value) < 18 for value in chosen):
        raise Invalid.field("id", _("Select at most %(most)d changes of this page.") % {"most": MOST_AT_ONCE})
    votes = [{"id": int(value), "digest": request.POST.get(f"digest-{value}")} for value in chosen]
    if not votes:
        raise Invalid.field("id", _("Select at least one change."))
    factors = {name: request.POST.get(name) or None for name in ("password", "code")}
    answers = verbs.bulk_vote(votes, actor=request.user, now=request.now, vote="approve", comment=request.POST.get("comment", ""), **factors)
    failed = [answer for answer in answers if not answer["ok"]]
    text = ngettext("%(n)d change approved.", "%(n)d changes approved.", len(answers) - len(failed)) % {"n": len(answers) - len(failed)}
    for answer in failed:
        text += " " + left_out(answer, request)
    return done(request, text, "/approvals/")


def left_out(answer: dict[str, Any], request: PageRequest) -> str:
    seat = visible_seat(answer["id"], request.user)
    number = seat.level.round.change.number if seat else answer["id"]
    return _("%(number)s was left out: %(reason)s") % {"number": number, "reason": answer["problem"].detail}


urlpatterns = [
    path("approvals/", queue, name="my-approvals"),
    path("approvals/bulk/", bulk, name="approvals-bulk"),
    path("approvals/<int:seat>/", peek, name="approval-peek"),
]
