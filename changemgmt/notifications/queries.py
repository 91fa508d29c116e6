"""Reads: who has which part in an event, and what stands in somebody's inbox."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from django.db.models import Q, QuerySet

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import manager_of, people_with_role
from changemgmt.approvals.eligibility import involved_persons
from changemgmt.approvals.models import Chain, Guest, Round, RoundLevel, Seat, Vote
from changemgmt.approvals.sitting import able, sitters
from changemgmt.changes.models import Change, Comment
from changemgmt.changes.queries import visible_to
from changemgmt.core.time import parse_instant
from changemgmt.lifecycle.configure_chain import edits_that_wait, may_activate, waits
from changemgmt.preview.drift_cases import owners_of, people_behind
from changemgmt.preview.models import DriftCase, DriftRow

from .models import Notification
from .rules import mentioned, parts_needed

People = Iterable[User]


def inbox(user: User) -> QuerySet[Notification]:
    """What this person was told in the application, without what they may not see any more."""
    mine = Notification.objects.filter(recipient=user, channel=Notification.Channel.APP)
    return mine.filter(Q(change="") | Q(change__in=visible_to(user).values("number")))


def unread_count(user: User) -> int:
    """How much of it is not read yet."""
    return inbox(user).filter(read_at=None).count()


def people_of(event: Mapping[str, Any], change: Change | None) -> dict[str, list[User]]:
    """part → the people who have it in this event (as the API shows it), for the parts somebody is told by.

    Only those who may get anything: active people, and of a change only those who may see it.
    """
    found = {part: list(PARTS[part](event, change)) for part in sorted(parts_needed(event["action"]))}
    asked_by_link = {user.pk for part in ("guests", "guest") for user in found.get(part, ())}
    allowed = who_may(change, {user.pk: user for users in found.values() for user in users}.values(), guests=asked_by_link)
    return {part: [user for user in users if user.pk in allowed] for part, users in found.items()}


def who_may(change: Change | None, users: People, *, guests: Container[int] = ()) -> set[int]:
    """Keys of those among `users` who may be told: active human beings who may see the change; of guests those named."""
    able = [user for user in users if user.is_active and not user.is_service and (not user.is_guest or user.pk in guests)]
    if change is None:
        return {user.pk for user in able}
    return {user.pk for user in able if visible_to(user).filter(pk=change.pk).exists()}


def requester(event: Mapping[str, Any], change: Change) -> People:
    return [change.requester]


def owner(event: Mapping[str, Any], change: Change) -> People:
    return [change.owner] if change.owner else []


def implementers(event: Mapping[str, Any], change: Change) -> People:
    return change.implementers.order_by("username")


def watchers(event: Mapping[str, Any], change: Change) -> People:
    return change.watchers.order_by("username")


def managers(event: Mapping[str, Any], change: Change | None) -> People:
    return people_with_role("change_manager")


def administrators(event: Mapping[str, Any], change: Change | None) -> People:
    return people_with_role("administrator")


def activators(event: Mapping[str, Any], change: Change | None) -> People:
    """The administrators who may put the chain of the event into force, if it waits for that; each is told once of a draft."""
    chain = Chain.objects.filter(pk=event["data"].get("id")).first()
    if chain is None or not waits(chain, now=parse_instant(event["at"], field="at")):
        return []
    before = [key for key in edits_that_wait(chain) if key != event["id"]]
    told = Notification.objects.filter(event__in=before).values("recipient")
    return [user for user in people_with_role("administrator").exclude(pk__in=told) if may_activate(chain, actor=user).allowed]


def owner_or_managers(event: Mapping[str, Any], change: Change) -> People:
    return owner(event, change) or managers(event, change)


def approvers(event: Mapping[str, Any], change: Change) -> People:
    """Those whose vote is asked for now."""
    seats = Seat.objects.filter(level__round__change=change, level__round__outcome=Round.Outcome.PENDING, state=Seat.State.OPEN)
    return User.objects.filter(seats__in=seats).distinct().order_by("username")


def asked(event: Mapping[str, Any], change: Change) -> People:
    """Those whom the level that opened asks, as long as it asks them, and who stands in for them."""
    seats = Seat.objects.filter(level_id=event["data"].get("level_id"), level__round__change=change, state=Seat.State.OPEN)
    people = {user.pk: user for user in User.objects.filter(seats__in=seats)}
    found = sitters(seats.select_related("level__round__change"), now=parse_instant(event["at"], field="at"))
    people |= {one.user.pk: one.user for sitting in found.values() for one in able(sitting, involved_persons(change)) if one.on_behalf_of}
    return sorted(people.values(), key=lambda user: user.username)


def guests(event: Mapping[str, Any], change: Change) -> People:
    """Who was asked at the level without an account before it opened; whoever is later has an event of their own."""
    earlier = Guest.objects.filter(invited_at__lt=parse_instant(event["at"], field="at"), revoked_at=None)
    rows = earlier.filter(seat__level=event["data"].get("level_id"), seat__level__round__change=change)
    return [row.user for row in rows.select_related("user").order_by("pk")]


def guest(event: Mapping[str, Any], change: Change) -> People:
    """The guest of the event, once the level asks."""
    return [
        row.user for row in Guest.objects.filter(pk=event["data"].get("guest"), revoked_at=None, seat__state=Seat.State.OPEN).select_related("user")
    ]


def account(event: Mapping[str, Any], change: Change | None) -> People:
    """Whose account the event is about."""
    return named([event["object"].removeprefix("user:")])


def voters(event: Mapping[str, Any], change: Change) -> People:
    return User.objects.filter(votes__level__round__change=change).distinct().order_by("username")


def voter(event: Mapping[str, Any], change: Change) -> People:
    """Whose vote was superseded, unless by another vote of their own in the same act."""
    again = Vote.objects.filter(level__round__change=change, by__username=event["actor"], at=event["at"], carried_from=None)
    return [] if again.exists() else named([event["actor"]])


def condition_owners(event: Mapping[str, Any], change: Change) -> People:
    return named(row.get("owner") for row in event["data"].get("conditions") or ())


def item_owner(event: Mapping[str, Any], change: Change) -> People:
    return named([event["data"].get("owner")])


def item_setter(event: Mapping[str, Any], change: Change) -> People:
    return named([event["data"].get("set_by")])


def claimer(event: Mapping[str, Any], change: Change) -> People:
    return named([event["data"].get("claimer")])


def reassigned_to(event: Mapping[str, Any], change: Change) -> People:
    return named([event["data"].get("to")])


def watcher(event: Mapping[str, Any], change: Change) -> People:
    return named([event["data"].get("watcher")])


def delegate(event: Mapping[str, Any], change: Change | None) -> People:
    return named([event["data"].get("delegate")])


def delegate_to_be(event: Mapping[str, Any], change: Change | None) -> People:
    """The delegate, unless it begins at once: then they hear that it has begun."""
    return delegate(event, change) if event["data"].get("planned") else []


def delegator(event: Mapping[str, Any], change: Change | None) -> People:
    return named([event["data"].get("delegator")])


def ecab(event: Mapping[str, Any], change: Change) -> People:
    return named(event["data"].get("ecab") or ())


def mentioned_people(event: Mapping[str, Any], change: Change) -> People:
    return named(mentioned(comment_text(event)))


def auditors(event: Mapping[str, Any], change: Change | None) -> People:
    return people_with_role("auditor")


def still_asked(event: Mapping[str, Any], change: Change) -> People:
    """Those whom the event names: whose vote was missing when it happened."""
    return named(event["data"].get("asked") or ())


def level_people(event: Mapping[str, Any], change: Change) -> People:
    """Everybody whom the level of the event asks or asked, and who voted there."""
    level = RoundLevel.objects.filter(pk=event["data"].get("level_id"), round__change=change)
    seats = Seat.objects.filter(level__in=level)
    return User.objects.filter(Q(seats__in=seats) | Q(votes__seat__in=seats)).distinct().order_by("username")


def approver_managers(event: Mapping[str, Any], change: Change) -> People:
    """The managers of those whose vote is missing at the level of the event: of the people it names, or of all whom its open seats ask."""
    people = still_asked(event, change) or asked(event, change)
    return list({boss.pk: boss for user in people if (boss := manager_of(user)) is not None}.values())


def auditors_if_tampered(event: Mapping[str, Any], change: Change | None) -> People:
    if event["data"].get("ok") is not False:
        return []
    return User.objects.filter(groups__name__in=["auditor", "administrator"]).distinct().order_by("username")


def drift_owners(event: Mapping[str, Any], change: Change | None) -> People:
    """The owners of what the event added to its drift case."""
    rows = DriftRow.objects.filter(case=drift_number(event), first_seen=parse_instant(event["at"], field="at"))
    owners = owners_of(row.image for row in rows).values()
    return people_behind(name for names in owners for name in names)


def drift_assignee(event: Mapping[str, Any], change: Change | None) -> People:
    """Who is to put the source back."""
    case = DriftCase.objects.select_related("assignee").filter(pk=drift_number(event)).first()
    return [case.assignee] if case and case.assignee else []


def drift_number(event: Mapping[str, Any]) -> int:
    """The id of the drift case an event is about."""
    return int(event["object"].removeprefix("drift:"))


def named(usernames: Iterable[str | None]) -> People:
    """The people with these usernames; unknown ones are nobody."""
    names = [name for name in usernames if name]
    return User.objects.filter(username__in=names).order_by("username") if names else []


def comment_text(event: Mapping[str, Any]) -> str:
    """What the comment that the event tells of says."""
    return Comment.objects.filter(pk=event["data"].get("comment")).values_list("text", flat=True).first() or ""


PARTS: dict[str, Callable[[Mapping[str, Any], Any], People]] = {
    "requester": requester,
    "owner": owner,
    "implementers": implementers,
    "watchers": watchers,
    "managers": managers,
    "administrators": administrators,
    "activators": activators,
    "owner_or_managers": owner_or_managers,
    "approvers": approvers,
    "asked": asked,
    "guests": guests,
    "guest": guest,
    "account": account,
    "voters": voters,
    "voter": voter,
    "condition_owners": condition_owners,
    "item_owner": item_owner,
    "item_setter": item_setter,
    "claimer": claimer,
    "reassigned_to": reassigned_to,
    "watcher": watcher,
    "delegate": delegate,
    "delegate_to_be": delegate_to_be,
    "delegator": delegator,
    "ecab": ecab,
    "mentioned": mentioned_people,
    "auditors": auditors,
    "still_asked": still_asked,
    "level_people": level_people,
    "approver_managers": approver_managers,
    "auditors_if_tampered": auditors_if_tampered,
    "drift_owners": drift_owners,
    "drift_assignee": drift_assignee,
}
