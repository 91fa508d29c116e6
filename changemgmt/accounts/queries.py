"""Who somebody is: roles, the human being behind accounts, managers and the org tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from changemgmt.core.reading import once

from .models import OrgUnit, User

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser
    from django.db.models import QuerySet


def roles_of(user: User | AnonymousUser) -> frozenset[str]:
    """The names of the user's roles; none for strangers and deactivated people. Being a superuser adds nothing.

    Kept on the instance, so one request asks once.
    """
    if not getattr(user, "is_active", False) or not user.pk:
        return frozenset()
    kept = user.__dict__.get("_roles")
    if kept is None:
        kept = user.__dict__["_roles"] = frozenset(user.groups.values_list("name", flat=True))
    return kept


def has_role(user: User | AnonymousUser, *roles: str) -> bool:
    """Does the user hold at least one of `roles`?"""
    return not roles_of(user).isdisjoint(roles)


def people_with_role(role: str) -> QuerySet[User]:
    """Active human beings' accounts that hold the role, by username."""
    return User.objects.filter(groups__name=role, is_active=True, is_service=False).order_by("username")


@once
def usernames_with_role(role: str) -> tuple[str, ...]:
    """The usernames of `people_with_role`."""
    return tuple(people_with_role(role).values_list("username", flat=True))


def same_person(a: User, b: User) -> bool:
    """Are these two accounts of one human being?"""
    return a.pk == b.pk or a.person == b.person


def persons(users: Iterable[User]) -> set[str]:
    """The human beings behind the accounts, as `User.person` keys."""
    return {user.person for user in users}


def manager_of(user: User, levels: int = 1) -> User | None:
    """The active manager `levels` steps up, or None when the line ends first.

    Deactivated managers are passed over; a circle in the line ends it.
    """
    seen, current, left = {user.pk}, user, levels
    while left > 0:
        above = current.manager
        if above is None or above.pk in seen:
            return None
        seen.add(above.pk)
        left -= above.is_active
        current = above
    return current if current.pk != user.pk else None


def unit_chain(unit: OrgUnit | None) -> list[OrgUnit]:
    """The unit and its ancestors, nearest first; empty for None."""
    chain: list[OrgUnit] = []
    while unit is not None and unit not in chain:
        chain.append(unit)
        unit = unit.parent
    return chain


def roles_by_user(users: Iterable[int]) -> dict[int, frozenset[str]]:
    """`roles_of` for many people at once, by primary key; who has no role is left out."""
    found: dict[int, set[str]] = {}
    for user, role in User.groups.through.objects.filter(user__in=set(users), user__is_active=True).values_list("user_id", "group__name"):
        found.setdefault(user, set()).add(role)
    return {user: frozenset(roles) for user, roles in found.items()}


def unit_chains() -> dict[str, tuple[str, ...]]:
    """The slugs of `unit_chain` of every org unit, by its slug."""
    units = list(OrgUnit.objects.all())
    slugs, parents = {unit.pk: unit.slug for unit in units}, {unit.pk: unit.parent_id for unit in units}
    return {slug: tuple(slugs[step] for step in steps_up(key, parents)) for key, slug in slugs.items()}


def steps_up(key: int, parents: Mapping[int, int | None]) -> list[int]:
    """From `key` up to where the line ends, or would go in a circle."""
    line: list[int] = []
    step: int | None = key
    while step is not None and step not in line:
        line.append(step)
        step = parents.get(step)
    return line
