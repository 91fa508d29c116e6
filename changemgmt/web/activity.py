"""What happened to a change, in words: events of the record and comments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.audit.queries import representations, visible_events

from .base import names_of

if TYPE_CHECKING:
    from changemgmt.changes.models import Change

MOST = 60
SYSTEM = ("", "system", None)
# action: icon, look, what was done
TOLD: dict[str, tuple[str, str, Any]] = {
    "change.created": ("plus", "", gettext_lazy("drafted it")),
    "change.updated": ("edit", "", gettext_lazy("edited it")),
    "change.submitted": ("check", "", gettext_lazy("submitted it")),
    "change.review_begun": ("users", "", gettext_lazy("The review began")),
    "change.amended": ("edit", "", gettext_lazy("made a new version")),
    "change.review_reopened": ("refresh", "t-warn", gettext_lazy("The review was opened again")),
    "change.approved": ("ccheck", "t-ok", gettext_lazy("It is approved")),
    "change.approved_with_conditions": ("list", "t-warn", gettext_lazy("It is approved with conditions")),
    "change.rejected": ("cx", "t-bad", gettext_lazy("It is rejected")),
    "change.revised": ("undo", "", gettext_lazy("took it back to draft")),
    "change.go_ahead_given": ("bolt", "t-warn", gettext_lazy("gave the emergency go-ahead")),
    "change.scheduled": ("calendar", "", gettext_lazy("scheduled it")),
    "change.started": ("play", "", gettext_lazy("started it")),
    "change.completed": ("ccheck", "t-ok", gettext_lazy("completed it")),
    "change.failed": ("cx", "t-bad", gettext_lazy("said that it failed")),
    "change.rolled_back": ("undo", "t-warn", gettext_lazy("It is rolled back")),
    "change.closed": ("lock", "", gettext_lazy("closed it")),
    "change.cancelled": ("x", "t-bad", gettext_lazy("cancelled it")),
    "change.copied": ("copyplus", "", gettext_lazy("copied it into a new draft")),
    "change.verified": ("checks", "", gettext_lazy("recorded results")),
    "change.assessed": ("scale", "", gettext_lazy("assessed the risk")),
    "assessment.overridden": ("scale", "t-warn", gettext_lazy("set the risk by hand")),
    "information.requested": ("question", "t-info", gettext_lazy("requested information")),
    "information.provided": ("comment", "t-info", gettext_lazy("answered")),
    "vote.superseded": ("history", "", gettext_lazy("A vote counts no more")),
    "vote.withdrawn": ("history", "", gettext_lazy("withdrew a vote")),
    "condition.evidence_given": ("paperclip", "", gettext_lazy("gave evidence for a condition")),
    "condition.accepted": ("ccheck", "t-ok", gettext_lazy("accepted a condition as met")),
    "condition.waived": ("skip", "t-warn", gettext_lazy("waived a condition")),
    "execution.started": ("play", "", gettext_lazy("The execution began")),
    "execution.held": ("pause", "t-warn", gettext_lazy("The execution is on hold")),
    "task.finished": ("check", "", gettext_lazy("finished a step")),
    "architecture.applied": ("layers", "", gettext_lazy("The architecture was changed")),
    "architecture.reverted": ("undo", "t-warn", gettext_lazy("The architecture was changed back")),
    "guest.invited": ("users", "", gettext_lazy("asked a guest")),
    "guest.revoked": ("x", "t-warn", gettext_lazy("took a guest's invitation back")),
    "guest.expired": ("hourglass", "", gettext_lazy("A guest's invitation ran out")),
    "guest.code_sent": ("mail", "", gettext_lazy("got a code")),
    "mail_link.used": ("mail", "", gettext_lazy("used the link of a mail")),
    "seat.claimed": ("pin", "", gettext_lazy("claimed a vote of their group")),
    "seat.released": ("undo", "", gettext_lazy("released a claimed vote")),
    "seat.reassigned": ("swap", "t-warn", gettext_lazy("asked somebody else for a vote")),
    "approval.level_opened": ("users", "", gettext_lazy("A level is open")),
    "approval.level_decided": ("checks", "", gettext_lazy("A level is decided")),
    "preview.computed": ("eye", "", gettext_lazy("computed the preview")),
    "preview.asked": ("hourglass", "", gettext_lazy("asked for the preview")),
    "preview.cancelled": ("x", "", gettext_lazy("cancelled computing the preview")),
    "approval.blocked": ("alert", "t-warn", gettext_lazy("The review can't begin")),
    "approval.reminded": ("bell", "", gettext_lazy("Those who have not voted were reminded")),
    "approval.timed_out": ("clock", "t-warn", gettext_lazy("A level was not decided in time")),
    "approval.reassigned": ("users", "t-warn", gettext_lazy("The managers are asked instead")),
    "approval.silent_consent": ("ccheck", "t-warn", gettext_lazy("A level was approved by silence")),
    "approval.no_approver": ("alert", "t-warn", gettext_lazy("Nobody can decide a level")),
    "override.asked": ("alert", "t-warn", gettext_lazy("asked for an override")),
    "override.confirmed": ("alert", "t-bad", gettext_lazy("confirmed an override")),
    "override.withdrawn": ("undo", "", gettext_lazy("withdrew an override")),
    "condition.expired": ("clock", "t-bad", gettext_lazy("A condition was not met in time")),
    "emergency.limit_reached": ("bolt", "t-bad", gettext_lazy("was stopped from giving another go-ahead")),
    "emergency.review_overdue": ("clock", "t-bad", gettext_lazy("The review is overdue")),
    "watcher.added": ("eye", "", gettext_lazy("A watcher was added")),
    "watcher.removed": ("eye", "", gettext_lazy("A watcher was removed")),
    "comment.added": ("comment", "", gettext_lazy("commented")),
}
VOTES = {
    "approve": ("ccheck", "t-ok", gettext_lazy("approved")),
    "reject": ("cx", "t-bad", gettext_lazy("rejected")),
    "abstain": ("minus", "", gettext_lazy("abstained")),
}
KINDS = {"votes": ("vote.", "information."), "comments": ("comment.",)}


@dataclass(frozen=True)
class Told:
    """One entry of the timeline."""

    at: Any
    who: str
    on_behalf_of: str
    icon: str
    look: str
    what: str
    quote: str
    detail: str
    html: str = ""


def activity_of(change: Change, show: str = "") -> list[Told]:
    """The newest entries, newest first; `show` is votes, comments or nothing for all."""
    rows = visible_events([change.number]).order_by("-id")
    if show in KINDS:
        from django.db.models import Q

        wanted = Q()
        for beginning in KINDS[show]:
            wanted |= Q(action__startswith=beginning)
        rows = rows.filter(wanted)
    events = representations(list(rows[:MOST]))
    names = names_of(name for event in events for name in (event["actor"], event["on_behalf_of"]) if name not in SYSTEM)
    comments = {row.pk: row for row in change.comments.all()} if any(event["action"] == "comment.added" for event in events) else {}
    return [told(event, names, comments) for event in events]


def told(event: dict[str, Any], names: dict[str, str], comments: dict[int, Any]) -> Told:
    """An event in words."""
    data = event["data"] or {}
    sign, look, what = words(event["action"], data)
    comment = comments.get(data.get("comment", 0)) if event["action"] == "comment.added" else None
    quote = "" if comment else quoted(data)
    return Told(
        at=event["at"],
        who="" if event["actor"] in SYSTEM else names.get(event["actor"], event["actor"]),
        on_behalf_of=names.get(event["on_behalf_of"], event["on_behalf_of"] or ""),
        icon=sign,
        look=look,
        what=str(what),
        quote=quote,
        detail=detail(event["action"], data, event["differences"] or []),
        html=comment.text if comment else "",
    )


def words(action: str, data: dict[str, Any]) -> tuple[str, str, Any]:
    """Icon, look and sentence of an action; an unknown one is shown by its name."""
    if action == "vote.cast":
        sign, look, what = VOTES.get(str(data.get("vote")), ("check", "", _("voted")))
        return ("list", "t-warn", _("approved with conditions")) if data.get("conditions") else (sign, look, what)
    if action == "task.finished" and data.get("outcome") == "failed":
        return "cx", "t-bad", _("said that a step failed")
    return TOLD.get(action, ("dot", "", action.replace("_", " ").replace(".", ": ")))


def quoted(data: dict[str, Any]) -> str:
    """What the person wrote."""
    return next(
        (str(data[name]) for name in ("comment", "question", "answer", "reason", "note") if isinstance(data.get(name), str) and data[name].strip()),
        "",
    )


def detail(action: str, data: dict[str, Any], differences: list[dict[str, Any]]) -> str:
    """The figures of an act."""
    if action == "task.finished":
        return str(data.get("step", ""))
    if action in ("change.updated", "change.amended") and differences:
        paths = list(dict.fromkeys(str(difference["path"]).split(".")[-1].replace("_", " ") for difference in differences))
        return ", ".join(paths[:6]) + (" …" if len(paths) > 6 else "")
    if action.startswith("approval.level_"):
        return " · ".join(str(data[name]).replace("_", " ") for name in ("level", "outcome") if isinstance(data.get(name), str))
    if action == "seat.reassigned":
        return _("%(label)s: %(to)s instead of %(from)s") % {name: str(data.get(name, "")) for name in ("label", "to", "from")}
    if action.startswith("seat."):
        return str(data.get("label", ""))
    if "version" in data and action in ("vote.cast", "change.amended", "change.submitted"):
        return _("version %(version)s") % {"version": data["version"]}
    if "revision" in data:
        return _("revision %(revision)s") % {"revision": data["revision"]}
    return ""
