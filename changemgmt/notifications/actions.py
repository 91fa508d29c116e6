"""Telling people: one row per event, person and channel, whatever how often it is tried."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext

from changemgmt.accounts.models import Delegation, User
from changemgmt.approvals.models import Override, Round, Vote
from changemgmt.audit.queries import event_shown
from changemgmt.changes.models import Change, Result
from changemgmt.core.errors import NotFound
from changemgmt.core.time import parse_instant
from changemgmt.preview.models import DriftCase

from .models import Notification
from .queries import comment_text, drift_number, inbox, people_of
from .rules import Happened, Message, messages, values_of

CODES: dict[str, Any] = {"result": Result, "vote": Vote.Kind, "outcome": Round.Outcome, "decision": Override.Decision, "settled_as": DriftCase.State}
PEOPLE = ("delegator", "delegate")
PAGES = {"freeze.loosening_asked": "/calendar/", "verification.finished": "/audit/"}
PAGES |= {f"second_factor.{what}": "/profile/second-factor/" for what in ("added", "removed", "reset", "throttled")}
PAGES |= {f"delegation.{what}": "/profile/delegations/" for what in ("created", "begun", "changed", "revoked")}


def tell(event_id: int) -> int:
    """Write down everybody who is told of the event; told again, it changes nothing. Returns how many people."""
    event = event_shown(event_id)
    if event is None:
        return 0
    if event["object"].startswith("delegation:"):
        event["change"] = ""  # it concerns two people, whether or not both see the change that it is for
    change = Change.objects.select_related("requester", "owner").filter(number=event["change"]).first() if event["change"] else None
    if event["change"] and change is None:
        return 0
    people = people_of(event, change)
    told = messages(happened(event, change), {part: [user.username for user in users] for part, users in people.items()}, translate=gettext)
    users = {user.username: user for group in people.values() for user in group}
    rows = [row for username, message in told.items() for row in rows_for(event, users[username], message)]
    Notification.objects.bulk_create(rows, ignore_conflicts=True)
    return len(told)


def happened(event: Mapping[str, Any], change: Change | None) -> Happened:
    """The event with the values its texts may name."""
    actor = event["actor"] or ""
    name = User.objects.filter(username=actor).first()
    more = {"actor": name.display_name if name else actor}
    if change is not None:
        more |= {"number": change.number, "title": change.title, "risk": change.get_risk_level_display() or ""}
    if event["object"].startswith("chain:"):
        more["chain"] = event["object"].removeprefix("chain:")
    more |= names_of(event["data"])
    if event["action"] == "comment.added":
        more["text"] = comment_text(event)
    return Happened(event["action"], actor, values_of(event["data"], **in_words(event["data"]), **more))


def names_of(data: Mapping[str, Any]) -> dict[str, str]:
    """How people are called whom the record knows by username."""
    named = {name: str(data[name]) for name in PEOPLE if data.get(name)}
    users = {user.username: user.display_name for user in User.objects.filter(username__in=named.values())} if named else {}
    return {name: users.get(username, username) for name, username in named.items()}


def scope_in_words(scope: Any) -> str:
    """What a delegation covers: "one chain: Normal change"."""
    if not isinstance(scope, Mapping) or scope.get("kind") not in Delegation.Scope.values:
        return ""
    label = str(Delegation.Scope(scope["kind"]).label)
    return f"{label}: {scope['value']}" if scope.get("value") else label


def in_words(data: Mapping[str, Any]) -> dict[str, str]:
    """What a person reads instead of the codes and times of the record."""
    words = {name: str(choices(data[name]).label) for name, choices in CODES.items() if data.get(name) in choices.values}
    times = {name: parse_instant(data[name], field=name) for name in ("start", "end", "due_at") if data.get(name)}
    words |= {"scope": scope} if (scope := scope_in_words(data.get("scope"))) else {}
    return words | {name: f"{moment:%a} {moment.day} {moment:%b %Y, %H:%M} UTC" for name, moment in times.items()}


def page_of(event: Mapping[str, Any]) -> str:
    """Where what happened is to be seen; empty where no page shows it."""
    if event["change"]:
        return f"/changes/{event['change']}/"
    if event["action"] == "chain.edited":
        return reverse("admin:changemgmt_chain_change", args=[event["data"]["id"]])
    if event["object"].startswith("drift:"):
        return f"/drift/{drift_number(event)}/"
    return PAGES.get(event["action"], "")


def rows_for(event: Mapping[str, Any], user: User, message: Message) -> list[Notification]:
    """One row for the inbox, and one for the mail where there is an address."""
    url = page_of(event)
    channels = [Notification.Channel.APP] + ([Notification.Channel.MAIL] if message.mail and user.email else [])
    if user.is_guest:
        url, channels = "", [Notification.Channel.MAIL]  # they have no inbox, and no page but the one behind their link
    return [
        Notification(
            event=event["id"], recipient=user, channel=channel, change=event["change"], kind=event["action"],
            title=message.title, text=message.text, url=url, created_at=parse_instant(event["at"], field="at"),
        )
        for channel in channels
    ]  # fmt: skip


def mark_read(user: User, key: int, *, now: datetime) -> Notification:
    """This person has read it; NotFound for what is not theirs."""
    row = inbox(user).filter(pk=key).first()
    if row is None:
        raise NotFound("You have no notification with this id.")
    Notification.objects.filter(pk=key, read_at=None).update(read_at=now)
    return row


def mark_all_read(user: User, *, now: datetime, newest: int | None = None) -> int:
    """This person has read everything, as far as `newest`, the last one they were shown; returns how much was unread."""
    unread = Notification.objects.filter(recipient=user, channel=Notification.Channel.APP, read_at=None)
    return (unread if newest is None else unread.filter(pk__lte=newest)).update(read_at=now)
