"""Who holds which right on a change: granted when someone becomes part of it, withdrawn when that ends."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import Permission

from changemgmt.approvals.models import Guest, Seat, Vote
from changemgmt.approvals.sitting import sitters
from changemgmt.changes.models import Change, ChangeRight

OWN = ("view_change", "edit_change", "manage_change", "implement_change")


def settle_rights(change: Change, *, now: datetime) -> None:
    """Make the rows of rights (but for voting, which seats carry) say exactly what the people of the change are now."""
    wanted = wanted_rights(change, now=now)
    rows = ChangeRight.objects.filter(content_object=change, permission__codename__in=OWN).select_related("permission")
    held = {(row.user_id, row.permission.codename): row.pk for row in rows}
    ChangeRight.objects.filter(pk__in=[key for right, key in held.items() if right not in wanted]).delete()
    missing = wanted - held.keys()
    if missing:
        permissions = {row.codename: row for row in Permission.objects.filter(codename__in=OWN, content_type__app_label="changemgmt")}
        ChangeRight.objects.bulk_create(
            ChangeRight(user_id=user, permission=permissions[codename], content_object=change) for user, codename in sorted(missing)
        )


def wanted_rights(change: Change, *, now: datetime) -> set[tuple[int, str]]:
    """(user id, codename) of every right its people should hold; who may vote at an open seat, for others too, may see it."""
    implementers = set(change.implementers.values_list("pk", flat=True))
    wanted = {(change.requester_id, "edit_change")} | {(user, "implement_change") for user in implementers}
    if change.owner_id:
        wanted |= {(change.owner_id, "edit_change"), (change.owner_id, "manage_change")}
    asked = Seat.objects.filter(level__round__change=change).exclude(state=Seat.State.CLOSED, votes__isnull=True)
    people = {user for user, _ in wanted} | set(change.watchers.values_list("pk", flat=True)) | set(asked.values_list("people", flat=True)) - {None}
    guests = set(Guest.objects.filter(seat__level__round__change=change, revoked_at=None).values_list("user_id", flat=True))
    voters = set(Vote.objects.filter(level__round__change=change, superseded=False).values_list("by", flat=True))
    return wanted | {(user, "view_change") for user in people | guests | voters | able_to_sit(change, now=now)}


def able_to_sit(change: Change, *, now: datetime) -> set[int]:
    """Primary keys of everybody who may take an open seat of the change at this moment."""
    seats = Seat.objects.filter(level__round__change=change, state=Seat.State.OPEN).select_related("level__round__change")
    return {sitter.user.pk for found in sitters(seats, now=now).values() for sitter in found}
