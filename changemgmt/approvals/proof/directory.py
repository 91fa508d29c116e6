"""The directory as the prover asks it: people, groups, teams, managers, the org tree and owners. Each part is read once, when asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from django.contrib.auth.models import Group

from changemgmt.accounts.models import OrgUnit, Team, User
from changemgmt.approvals.eligibility import team_people
from changemgmt.architecture.models import Component, ComponentType, Layer
from changemgmt.changes.models import Category, CustomField, Template

COLUMNS = ("username", "identity", "is_active", "is_service", "is_guest")


def able(user: User | None, *, guests: bool = False) -> bool:
    """Could this account ever vote, guests only where they are allowed?"""
    return user is not None and user.is_active and not user.is_service and (guests or not user.is_guest)


class Directory:
    """What is there now."""

    def __init__(self, groups: Iterable[str], users: Iterable[str]) -> None:
        self.asked_groups = sorted({*groups, "requester", "implementer"})
        self.asked_users = sorted(set(users))

    @cached_property
    def members(self) -> Mapping[str, list[User]]:
        """Every account in the groups asked, also those that can never vote."""
        found: dict[str, list[User]] = defaultdict(list)
        links = User.groups.through.objects.filter(group__name__in=self.asked_groups).values_list("group__name", "user_id")
        accounts = User.objects.only(*COLUMNS).in_bulk({user for _, user in links})
        for group, user in links:
            found[group].append(accounts[user])
        return found

    @cached_property
    def users(self) -> Mapping[str, User]:
        return {user.username: user for user in User.objects.only(*COLUMNS).filter(username__in=self.asked_users)}

    @cached_property
    def names(self) -> Mapping[str, str]:
        """A username for each person known here."""
        known = [user for users in self.members.values() for user in users] + list(self.users.values())
        return {user.person: user.username for user in sorted(known, key=lambda user: user.username, reverse=True)}

    def persons(self, group: str) -> frozenset[str]:
        """The human beings of a group who could act."""
        return frozenset(user.person for user in self.members[group] if able(user)) if group in self.members else frozenset()

    @cached_property
    def teams(self) -> Mapping[str, tuple[User, ...]]:
        """Everybody of each team who could vote, its lead included."""
        rows = Team.objects.select_related("lead").prefetch_related("members")
        return {team.slug: tuple(user for user in team_people(team) if able(user)) for team in rows}

    @cached_property
    def accounts(self) -> Mapping[int, User]:
        """Every account with its manager, for the lines above requesters."""
        return User.objects.only(*COLUMNS, "manager").in_bulk()

    @cached_property
    def units(self) -> Mapping[str, OrgUnit]:
        return {unit.slug: unit for unit in OrgUnit.objects.select_related("head")}

    @cached_property
    def unit_lines(self) -> Mapping[str, tuple[str, ...]]:
        """Each unit with itself and those above it, nearest first; a circle ends where it closes."""
        by_key = {unit.pk: unit for unit in self.units.values()}
        return {slug: tuple(one.slug for one in line_of(unit, by_key)) for slug, unit in self.units.items()}

    @cached_property
    def circle_units(self) -> list[str]:
        """Units whose line upwards comes back to itself."""
        by_key = {unit.pk: unit for unit in self.units.values()}
        return sorted(slug for slug, unit in self.units.items() if closes(unit, by_key))

    @cached_property
    def components(self) -> list[tuple[str, int, bool, str]]:
        """Key, criticality, whether it is a service, and owner of every component."""
        return list(Component.objects.order_by("key").values_list("key", "criticality", "type__is_service", "owner"))

    @cached_property
    def owners(self) -> frozenset[str]:
        """What counts as an owner: usernames of people who could vote, and teams that have one."""
        named = {owner for _, _, _, owner in self.components}
        people = {user.username for user in User.objects.only(*COLUMNS).filter(username__in=named) if able(user)}
        return frozenset(people | {slug for slug, team in self.teams.items() if team})

    @cached_property
    def values(self) -> Mapping[str, frozenset[str]]:
        """The values there are, for fields that take them from a list."""
        return {
            "org_unit": frozenset(self.units),
            "layers": frozenset(Layer.objects.values_list("name", flat=True)),
            "component_types": frozenset(ComponentType.objects.values_list("name", flat=True)),
            "requester_roles": frozenset(Group.objects.values_list("name", flat=True)),
            "category": frozenset(Category.objects.values_list("slug", flat=True)),
            "template": frozenset(Template.objects.values_list("slug", flat=True)),
        }

    @cached_property
    def custom(self) -> Mapping[str, str]:
        return dict(CustomField.objects.values_list("name", "kind"))


def line_of(unit: OrgUnit, by_key: Mapping[int, OrgUnit]) -> list[OrgUnit]:
    line: list[OrgUnit] = []
    current: OrgUnit | None = unit
    while current is not None and current not in line:
        line.append(current)
        current = by_key.get(current.parent_id or 0)
    return line


def closes(unit: OrgUnit, by_key: Mapping[int, OrgUnit]) -> bool:
    return line_of(unit, by_key)[-1].parent_id is not None
