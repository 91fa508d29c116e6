"""The fixed cast of the tests: one person for every role and every seat of the seeded chains."""

from dataclasses import dataclass, fields

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group

from changemgmt.accounts.models import OrgUnit, User

PASSWORD = "a walk through the hills"

ROLES = {
    "rita": ("requester",),
    "max": ("change_manager", "cab_member"),
    "tina": ("technical_lead", "cab_member"),
    "omar": ("operations_lead", "cab_member"),
    "bea": ("business_lead", "cab_member"),
    "sam": ("security_lead", "cab_member"),
    "quinn": ("quality_lead", "cab_member"),
    "cara": ("customer_representative",),
    "ian": ("implementer",),
    "vera": ("viewer",),
    "olga": (),
    "ada": ("administrator",),
    "otto": ("administrator",),
    "aud": ("auditor",),
    "petra": ("approver", "requester"),
    "paul": ("approver", "requester"),
    "eva": ("ecab",),
    "emil": ("ecab",),
    "arno": ("architect",),
    "stella": ("stakeholder",),
    "selma": ("senior_management",),
}


@dataclass(frozen=True)
class Cast:
    """Who plays whom; see ROLES. `selma` is everybody's manager but her own."""

    rita: User
    max: User
    tina: User
    omar: User
    bea: User
    sam: User
    quinn: User
    cara: User
    ian: User
    vera: User
    olga: User
    ada: User
    otto: User
    aud: User
    petra: User
    paul: User
    eva: User
    emil: User
    arno: User
    stella: User
    selma: User

    def everybody(self) -> list[User]:
        return [getattr(self, field.name) for field in fields(self)]


def make_cast() -> Cast:
    """All of them, with `PASSWORD`, in the unit "payments" below "company"; idempotent."""
    password = make_password(PASSWORD)
    people = {name: make_person(name, roles, password) for name, roles in ROLES.items()}
    company, _ = OrgUnit.objects.get_or_create(slug="company", defaults={"name": "Company", "head": people["selma"]})
    payments, _ = OrgUnit.objects.get_or_create(slug="payments", defaults={"name": "Payments", "parent": company, "head": people["selma"]})
    for person in people.values():
        person.org_unit = payments
        person.manager = people["selma"] if person.username != "selma" else None
        person.save(update_fields=["org_unit", "manager"])
    return Cast(**people)


def make_person(username: str, roles: tuple[str, ...] = (), password: str = "", **fields) -> User:
    """An active account with these roles and the cast's password."""
    defaults = {
        "first_name": username.capitalize(),
        "email": f"{username}@example.org",
        "email_verified": True,
        "is_staff": "administrator" in roles,
        "password": password or make_password(PASSWORD),
        **fields,
    }
    user, _ = User.objects.get_or_create(username=username, defaults=defaults)
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in roles])
    return user
