"""Rows for tests that need many or odd ones; the usual people stand in `cast.py`."""

from itertools import count

from changemgmt.accounts.models import OrgUnit, User
from changemgmt.changes.models import Change
from changemgmt.core.time import utc_now

from .cast import make_person

_numbers = count(1)


def make_people(how_many: int, *roles: str) -> list[User]:
    """So many people with these roles."""
    return [make_person(f"person{next(_numbers)}", roles) for _ in range(how_many)]


def make_unit(slug: str, parent: OrgUnit | None = None, head: User | None = None) -> OrgUnit:
    return OrgUnit.objects.create(slug=slug, name=slug.capitalize(), parent=parent, head=head)


def make_change(requester: User, **fields) -> Change:
    """A bare row of a change, past every verb: for lists and pages that only read."""
    moment = fields.pop("created_at", None) or utc_now()
    number = fields.pop("number", None) or f"CHG-{moment.year}-{90000 + next(_numbers)}"
    return Change.objects.create(number=number, requester=requester, created_at=moment, updated_at=moment, **{"title": "A change", **fields})
