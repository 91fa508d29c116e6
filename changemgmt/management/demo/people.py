"""Demo people: one for each seat of the seeded chains and for each role, with generated passwords and tokens.

Both are shown once and kept in a file only its owner can read, so that the walk in the README can be followed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from changemgmt.accounts.models import OrgUnit, Team, User
from changemgmt.audit.actions import record
from changemgmt.lifecycle.manage_people import accept_invitation, create_token, invite

TOKEN_DAYS = 365
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
HEADER = "# Demo people of Countersign. The passwords and tokens were generated on this machine. Delete this file when it is not needed."
FIRST = "ada"

# username: (name, unit, roles)
PEOPLE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    FIRST: ("Ada Adler", "it-operations", ("administrator",)),
    "otto": ("Otto Ortner", "it-operations", ("administrator",)),
    "selma": ("Selma Stern", "archisurance", ("senior_management",)),
    "max": ("Max Moser", "it-operations", ("change_manager", "cab_member")),
    "tina": ("Tina Thaler", "it-development", ("technical_lead", "cab_member")),
    "omar": ("Omar Osman", "it-operations", ("operations_lead", "cab_member")),
    "bea": ("Bea Berger", "claims", ("business_lead", "cab_member")),
    "sam": ("Sam Seidl", "it-operations", ("security_lead", "cab_member")),
    "quinn": ("Quinn Quast", "it-development", ("quality_lead", "cab_member")),
    "cara": ("Cara Conti", "customer-relations", ("customer_representative",)),
    "arno": ("Arno Auer", "it-development", ("architect",)),
    "stella": ("Stella Stolz", "customer-relations", ("stakeholder",)),
    "eva": ("Eva Ernst", "it-operations", ("ecab",)),
    "emil": ("Emil Egger", "it-operations", ("ecab",)),
    "petra": ("Petra Pichler", "it-development", ("approver", "requester")),
    "paul": ("Paul Pohl", "it-development", ("approver", "requester")),
    "rita": ("Rita Rossi", "claims", ("requester",)),
    "ian": ("Ian Irving", "it-operations", ("implementer",)),
    "vera": ("Vera Vogel", "finance", ("viewer",)),
    "aud": ("Aud Andersen", "finance", ("auditor",)),
}
# slug: (name, parent, head)
UNITS = {
    "archisurance": ("ArchiSurance", None, "selma"),
    "claims": ("Claims", "archisurance", "bea"),
    "customer-relations": ("Customer Relations", "archisurance", "stella"),
    "finance": ("Finance", "archisurance", "selma"),
    "it-development": ("IT Development", "archisurance", "arno"),
    "it-operations": ("IT Operations", "archisurance", "omar"),
}
# slug: (name, unit, lead, members)
TEAMS = {
    "applications": ("Applications", "it-development", "tina", ("petra", "paul", "quinn")),
    "infrastructure": ("Infrastructure", "it-operations", "omar", ("ian", "sam")),
}


@dataclass(frozen=True, slots=True)
class Person:
    """What a reader of the demo needs to know of a demo person."""

    username: str
    password: str
    token: str
    roles: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "name": PEOPLE[self.username][0], "roles": list(self.roles)}


def make_people(file: Path, *, now: datetime, progress: Callable[[str], None] = lambda username: None) -> list[Person]:
    """Make the demo people that are not there, add them to `file`, and answer all that the file knows."""
    known = {person.username: person for person in read_people(file)}
    make_units()
    for username in PEOPLE:
        progress(username)
        if not User.objects.filter(username=username).exists():
            known[username] = make_person(username, now=now)
            write_people(file, list(known.values()))
    tie_people()
    return [known[username] for username in PEOPLE if username in known]


def make_units() -> None:
    """The org units as a tree."""
    for slug, (name, parent, _) in UNITS.items():
        OrgUnit.objects.get_or_create(slug=slug, defaults={"name": name, "parent": OrgUnit.objects.filter(slug=parent).first()})


@transaction.atomic
def make_person(username: str, *, now: datetime) -> Person:
    """One person as if they had been invited and had joined. The first administrator comes from nowhere, as everywhere."""
    name, unit, roles = PEOPLE[username]
    password = generated_password()
    first_name, last_name = name.split()
    email = f"{username}@archisurance.example"
    if username == FIRST:
        user = User.objects.create_user(username, email, first_name=first_name, last_name=last_name, is_staff=True)
        user.groups.add(Group.objects.get(name="administrator"))
        record("role.granted", actor="", object=f"user:{username}", now=now, data={"role": "administrator"})
    else:
        user = invite(username, actor=User.objects.get(username=FIRST), now=now, email=email, first_name=first_name, last_name=last_name, roles=roles)
    user = accept_invitation(user, now=now, password=password)
    User.objects.filter(pk=user.pk).update(org_unit=OrgUnit.objects.get(slug=unit))
    _, key = create_token(user, actor=user, now=now, days=TOKEN_DAYS, scope="write", name="demo")
    return Person(username, password, key, roles)


def tie_people() -> None:
    """Heads, managers and teams, where nobody set others."""
    users = {user.username: user for user in User.objects.filter(username__in=PEOPLE)}
    for slug, (_, _, head) in UNITS.items():
        OrgUnit.objects.filter(slug=slug, head=None).update(head=users[head])
    for username, (_, unit, _) in PEOPLE.items():
        superior = users[UNITS[unit][2]]
        manager = superior if superior.username != username else users["selma"]
        if username != "selma":
            User.objects.filter(username=username, manager=None).update(manager=manager)
    for slug, (name, unit, lead, members) in TEAMS.items():
        team, made = Team.objects.get_or_create(slug=slug, defaults={"name": name, "org_unit": OrgUnit.objects.get(slug=unit), "lead": users[lead]})
        if made:
            team.members.set([users[lead], *(users[member] for member in members)])


def generated_password() -> str:
    """Fifteen letters in three groups, easy to type, 74 bits."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(5)) for _ in range(3))


def table(people: list[Person]) -> list[str]:
    """The people in columns."""
    rows = [("username", "password", "token", "roles"), *((p.username, p.password, p.token, ",".join(p.roles)) for p in people)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(value.ljust(width) for value, width in zip(row, widths, strict=False)), row[3]]) for row in rows]


def write_people(file: Path, people: list[Person]) -> None:
    """Write the file anew, readable by its owner only, whole or not at all."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as out:
        out.write("\n".join([HEADER, *table(people)]) + "\n")
    draft.replace(file)


def read_people(file: Path) -> list[Person]:
    """The people in the file, as far as they are demo people; none when it is not there."""
    if not file.exists():
        return []
    rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [Person(row[0], row[1], row[2], tuple(row[3].split(","))) for row in rows if len(row) == 4 and row[0] in PEOPLE]
