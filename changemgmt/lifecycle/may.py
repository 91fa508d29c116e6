"""Who may do what with a change, by the part they have in it. Each answer is an empty string or the sentence of the refusal."""

from __future__ import annotations

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role, usernames_with_role
from changemgmt.changes.models import Change
from changemgmt.changes.queries import has_right
from changemgmt.core.reading import once


def is_manager(user: User, change: Change) -> bool:
    """Its owner, or any change manager."""
    return change.owner_id == user.pk or has_role(user, "change_manager")


def managers(change: Change) -> tuple[str, ...]:
    """Usernames of those who run its process: the owner, else the change managers."""
    return (change.owner.username,) if change.owner else usernames_with_role("change_manager")


def requester_or_owner(user: User, change: Change) -> str:
    if user.pk in {change.requester_id, change.owner_id} or has_right(user, "edit", change):
        return ""
    return "Only its requester or owner may do this."


def owner_or_manager(user: User, change: Change) -> str:
    return "" if is_manager(user, change) else "Only its owner or a change manager may do this."


@once
def implementer_keys(change: Change) -> frozenset[int]:
    """Primary keys of those who are to do it."""
    return frozenset(change.implementers.values_list("pk", flat=True))


def implementer(user: User, change: Change) -> str:
    if not user.is_service and user.pk in implementer_keys(change):
        return ""
    return "Only an implementer of this change may do this."


def implementer_or_manager(user: User, change: Change) -> str:
    return "" if not implementer(user, change) or is_manager(user, change) else "Only an implementer of this change or a change manager may do this."


def requester_owner_or_manager(user: User, change: Change) -> str:
    if not requester_or_owner(user, change) or is_manager(user, change):
        return ""
    return "Only its requester, its owner or a change manager may do this."
