"""The brief: seven answers, always in this order and under these words. One that can't be given shows the gap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changemgmt.approvals.queries import approval_of
from changemgmt.architecture.impact import trusted
from changemgmt.changes.models import Change, Item, Preview
from changemgmt.core.markdown import to_text
from changemgmt.preview.queries import stored
from changemgmt.templatetags.design import shown, span

from .items import component_names

if TYPE_CHECKING:
    from datetime import datetime

    from changemgmt.accounts.models import User


@dataclass(frozen=True)
class Line:
    """A smaller line of an answer; `look` is a class, `href` and `link` lead on."""

    text: str | SafeString
    look: str = "muted"
    icon: str = ""
    href: str = ""
    link: str = ""


@dataclass(frozen=True)
class Answer:
    """One of the seven. `gap` says what is missing; `levels` are drawn as seats."""

    question: str
    icon: str
    lead: str | SafeString = ""
    lines: list[Line] = field(default_factory=list)
    gap: str = ""
    wide: bool = False
    levels: list[dict[str, Any]] | None = None
    me: str = ""


def brief_of(change: Change, viewer: User, *, now: datetime, approval: dict[str, Any] | None = None) -> list[Answer]:
    """The seven answers about a change, for this person. Pass the `approval` (API shape) where it is known already."""
    preview = stored(change)
    items = list(change.items.all())
    approval = approval if approval is not None else approval_of(change, viewer, now=now)
    return [
        Answer(
            _("What"), "changes", to_text(change.description), gap="" if change.description.strip() else _("Nothing says what is done."), wide=True
        ),
        Answer(
            _("Why"),
            "bulb",
            to_text(change.business_justification),
            gap="" if change.business_justification.strip() else _("No justification."),
            wide=True,
        ),
        what_could_break(change, preview),
        who_approved(approval, viewer),
        what_differs(change, items, preview),
        at_which_time(change, now),
        how_to_undo(change),
    ]


def what_could_break(change: Change, preview: Preview | None) -> Answer:
    """What is reached, the strongest business components by name, and how many users that is."""
    question, href = _("What could break"), f"/changes/{change.number}/impact/"
    if preview is None or preview.state not in (Preview.State.READY, Preview.State.CONFLICT):
        return Answer(question, "alert", gap=_("The impact is not computed yet."))
    affected = trusted(preview.impact.get("affected", []))
    if not affected:
        return Answer(question, "alert", _("Nothing else is reached."), lines=downtime(change))
    strongest = sorted(affected, key=lambda entry: (entry["layer"] != "business", -entry["score"], entry["key"]))[:3]
    known = component_names(entry["key"] for entry in strongest)
    names = ", ".join(known.get(entry["key"]) or entry["key"] for entry in strongest)
    reached = ngettext("%(n)d component reached.", "%(n)d components reached.", len(affected)) % {"n": len(affected)}
    users = preview.impact.get("users", 0)
    lines = [Line(reached, href=href, link=_("See why"))]
    if users:
        lines.append(Line(ngettext("About %(n)d user.", "About %(n)d users.", users) % {"n": users}))
    return Answer(question, "alert", names, lines=lines + downtime(change))


def downtime(change: Change) -> list[Line]:
    if not change.expected_downtime_minutes:
        return []
    minutes = change.expected_downtime_minutes
    return [Line(ngettext("%(n)d minute of downtime.", "%(n)d minutes of downtime.", minutes) % {"n": minutes}, look="t-warn", icon="alert")]


def who_approved(approval: dict[str, Any], viewer: User) -> Answer:
    """The seats, and the votes counted."""
    votes = [vote for level in approval["levels"] for vote in level["votes"] if not vote["superseded"]]
    if not approval["levels"]:
        return Answer(_("Who approved"), "users", gap=_("Nobody was asked yet."))
    count = {
        "for": sum(vote["vote"] == "approve" for vote in votes),
        "conditions": sum(bool(vote["conditions"]) for vote in votes),
        "against": sum(vote["vote"] == "reject" for vote in votes),
    }
    words = _("For: %(for)d, of these with conditions: %(conditions)d. Against: %(against)d.") % count
    return Answer(_("Who approved"), "users", lines=[Line(words)], levels=approval["levels"], me=viewer.username)


def what_differs(change: Change, items: list[Item], preview: Preview | None) -> Answer:
    """How many things are added, changed and removed, and what moved underneath."""
    if not items:
        reason = change.no_items_reason.strip()
        return Answer(_("What differs"), "diff", to_text(reason) if reason else "", gap="" if reason else _("It has no items."))
    counts = {name: sum(item.operation == name for item in items) for name in ("create", "update", "delete")}
    lead = _("Added: %(create)d. Changed: %(update)d. Removed: %(delete)d.") % counts
    lines = []
    moved = len(preview.drift) if preview else 0
    if moved:
        text = ngettext("%(n)d live value moved since the draft.", "%(n)d live values moved since the draft.", moved) % {"n": moved}
        lines.append(Line(text, look="t-warn", icon="alert"))
    return Answer(_("What differs"), "diff", lead, lines=[*lines, Line("", href=f"{change.get_absolute_url()}#diff", link=_("Before and after"))])


def at_which_time(change: Change, now: datetime) -> Answer:
    """Its window, or the one that is asked for."""
    if change.planned_start:
        return Answer(_("When"), "calendar", span(change.planned_start, change.planned_end), wide=True)
    if change.requested_start:
        return Answer(
            _("When"),
            "calendar",
            span(change.requested_start, change.requested_end),
            lines=[Line(_("Asked for; a window is set after the approval."))],
            wide=True,
        )
    if change.actual_start:
        return Answer(_("When"), "calendar", shown(change.actual_start, "full", now), wide=True)
    return Answer(_("When"), "calendar", gap=_("No window yet. One is chosen after the approval."), wide=True)


def how_to_undo(change: Change) -> Answer:
    """The rollback plan, whether it was rehearsed, and what can't be undone."""
    lines = [Line(_("Rehearsed."), look="t-ok", icon="ccheck")] if change.rollback_rehearsed else []
    if change.irreversible_steps:
        n = change.irreversible_steps
        lines.append(Line(ngettext("%(n)d step can't be undone.", "%(n)d steps can't be undone.", n) % {"n": n}, look="t-bad", icon="flag"))
    return Answer(
        _("How to undo"),
        "undo",
        to_text(change.rollback_plan),
        lines=lines,
        gap="" if change.rollback_plan.strip() else _("No rollback plan."),
        wide=True,
    )
