"""Who may take a seat: the people a slot asks, less everybody who has a part in the change.

People are judged as human beings: all accounts linked to one identity are one person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import F, IntegerField, Q, QuerySet, Value

from changemgmt.accounts.models import Team, User
from changemgmt.accounts.queries import manager_of, unit_chain
from changemgmt.architecture.models import Component, ComponentType
from changemgmt.changes.models import Assessment, Authorship, Change, Item, Reach
from changemgmt.core.reading import keep, once

if TYPE_CHECKING:
    from changemgmt.conditions.rules import Facts

ABLE = Q(is_active=True, is_service=False, is_guest=False)
DYNAMIC = ("requester_manager", "manager", "unit_head", "component_owners", "service_owner", "on_call")


@dataclass(frozen=True)
class Asked:
    """One seat to open: its label, who is asked before anybody is taken out, and why them."""

    label: str
    people: tuple[User, ...]
    why: str


# --- who is taken out ---


@once
def involved_persons(change: Change) -> dict[str, str]:
    """Everybody who can never vote on this change as it is now: the person's key and the reason in words."""
    return involved_in([change])[change.pk]


def involved_in(changes: Iterable[Change]) -> dict[int, dict[str, str]]:
    """`involved_persons` of many changes, in one query. Who has several parts is named by the first of them."""
    changes = list(changes)
    found: dict[int, dict[str, str]] = {change.pk: {} for change in changes}
    parts = involvements(list(found))
    for rank, change, identity, user in parts[0].union(*parts[1:]).order_by("rank"):
        found[change].setdefault(person_key(identity, user), REASONS[rank])
    for one in changes:
        keep(involved_persons, found[one.pk], one)
    return found


REASONS = (
    "requested it",
    "edited its current version",
    "is to implement it",
    "set its risk level by hand",
    "gave the emergency go-ahead",
)


def involvements(keys: list[int]) -> list[QuerySet]:
    """Rows of rank (the place in REASONS), change, identity and user for every kind of part somebody can have."""
    changes = Change.objects.filter(pk__in=keys).order_by()
    authors = Authorship.objects.filter(change__in=keys, version=F("change__version")).order_by()
    overriders = Assessment.objects.filter(change__in=keys, version=F("change__version"), override_by__isnull=False).order_by()
    parts = (
        (changes, "pk", "requester"),
        (authors, "change_id", "user"),
        (changes.filter(implementers__isnull=False), "pk", "implementers"),
        (overriders, "change_id", "override_by"),
        (changes.filter(go_ahead_by__isnull=False), "pk", "go_ahead_by"),
    )
    columns = [
        rows.annotate(rank=Value(rank, IntegerField()), of=F(change), identity=F(f"{person}__identity_id"), who=F(f"{person}__pk"))
        for rank, (rows, change, person) in enumerate(parts)
    ]
    return [rows.values_list("rank", "of", "identity", "who") for rows in columns]


def person_key(identity: int | None, user: int) -> str:
    """The same key as `User.person`, from its columns."""
    return f"identity:{identity}" if identity else f"user:{user}"


# --- who is asked ---


def asked_by(slot: Mapping[str, Any], change: Change, facts: Facts) -> list[Asked]:
    """The seats a configured slot opens: `required` of a group or user, one per distinct owner for the dynamic ones."""
    label = slot["label"]
    if slot.get("group"):
        return [Asked(label, tuple(able_members(slot["group"])), f"member of {slot['group']}")] * slot["required"]
    if slot.get("user"):
        people = tuple(User.objects.filter(ABLE, username=slot["user"]))
        return [Asked(label, people, f"{slot['user']} is named in the chain")] * slot["required"]
    kind, _, argument = slot["dynamic"].partition(":")
    return [Asked(label if len(label) else kind, *rest) for rest in resolve(kind, argument, change, facts)]


def able_members(group: str) -> list[User]:
    """Active people of a group; service accounts are never among them."""
    return list(User.objects.filter(ABLE, groups__name=group).order_by("username"))


def resolve(kind: str, argument: str, change: Change, facts: Facts) -> list[tuple[tuple[User, ...], str]]:
    """The people of a dynamic slot, one entry per seat. An entry without people is somebody who could not be found."""
    match kind:
        case "requester_manager" | "manager":
            steps = int(argument or 1)
            return [(able(manager_of(change.requester, steps)), f"manager of the requester, {steps} up")]
        case "unit_head":
            return [unit_head(change)]
        case "component_owners":
            return owners_of(components_of(change, int(argument or 1)))
        case "service_owner":
            return owners_of(services_of(facts, change))
        case "on_call":
            return [on_call(argument)]
    return [((), f"nobody is found by {kind}")]


def on_call(slug: str) -> tuple[tuple[User, ...], str]:
    """Who is asked of a team at any hour. No duty roster is kept: it is the team's lead, and its members where the lead can't be."""
    team = Team.objects.filter(slug=slug).select_related("lead").prefetch_related("members").first()
    if team is None:
        return (), f"there is no team {slug}"[:300]
    if lead := able(team.lead):
        return lead, f"lead of team {slug}, asked for on call"[:300]
    return team_people(team), f"team {slug}, asked for on call: it has no lead who could"[:300]


def able(user: User | None) -> tuple[User, ...]:
    return (user,) if user is not None and user.is_active and not user.is_service else ()


def unit_head(change: Change) -> tuple[tuple[User, ...], str]:
    """The head of the change's org unit, or of the nearest unit above it that has one."""
    for unit in unit_chain(change.org_unit):
        if unit.head_id:
            return able(unit.head), f"head of {unit.name}"
    return (), "the org unit has no head"


def components_of(change: Change, criticality: int) -> list[tuple[str, str]]:
    """(key, owner) of every component named or reached whose criticality is at least this."""
    items = list(change.items.filter(object=Item.Object.COMPONENT))
    keys = {item.key for item in items} | set(Reach.objects.filter(change=change).values_list("key", flat=True))
    live = list(Component.objects.filter(key__in=keys, criticality__gte=criticality).order_by("key").values_list("key", "owner"))
    created = [item for item in items if item.operation == Item.Operation.CREATE and item.data.get("criticality", 3) >= criticality]
    return live + [(item.key, item.data.get("owner") or "") for item in created]


def services_of(facts: Facts, change: Change) -> list[tuple[str, str]]:
    """(key, owner) of every service the change names or reaches."""
    services = ComponentType.objects.filter(is_service=True).values_list("name", flat=True)
    return list(Component.objects.filter(key__in=facts.services, type__name__in=list(services)).order_by("key").values_list("key", "owner"))


def owners_of(components: list[tuple[str, str]]) -> list[tuple[tuple[User, ...], str]]:
    """One entry per distinct owner, a person or a team, with what they own."""
    owned: dict[str, list[str]] = defaultdict(list)
    for key, owner in components:
        owned[owner].append(key)
    users = {user.username: user for user in User.objects.filter(ABLE, username__in=owned)}
    teams = {team.slug: team for team in Team.objects.filter(slug__in=owned).select_related("lead").prefetch_related("members")}
    return [owner_entry(owner, keys, users, teams) for owner, keys in sorted(owned.items())]


def owner_entry(owner: str, keys: list[str], users: Mapping[str, User], teams: Mapping[str, Team]) -> tuple[tuple[User, ...], str]:
    things = ", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")
    if owner in users:
        return (users[owner],), f"owner of {things}"[:300]
    if owner in teams:
        return team_people(teams[owner]), f"team {owner} owns {things}"[:300]
    return (), (f"the owner {owner} of {things} is neither a person nor a team" if owner else f"{things} has no owner")[:300]


def team_people(team: Team) -> tuple[User, ...]:
    people = {member.pk: member for member in [*team.members.all(), *([team.lead] if team.lead else [])]}
    return tuple(sorted((member for member in people.values() if member.is_active and not member.is_service), key=lambda member: member.username))
