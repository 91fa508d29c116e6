"""`python -m bench.generate COUNT`: fill an empty database with changes, and print an API token as JSON.

Rows are written in bulk, past the verbs: this is for measuring reads over a large table, never for use.
"""

import json
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import django

BATCH = 2_000
COMPONENTS = 2_000
PEOPLE = 40
STATES = ["draft", "in_review", "approved", "scheduled", "implemented", "closed", "closed", "closed", "closed", "cancelled"]
WORDS = [
    "payments",
    "orders",
    "ledger",
    "gateway",
    "mobile",
    "claims",
    "portal",
    "mail",
    "archive",
    "reports",
    "billing",
    "network",
    "storage",
    "backup",
]
TEXT = "The service is moved to the new version, its settings are carried over, and the old one stays ready for a day. "


def main(count: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.db import connection

    source = random.Random(20261120)
    people = make_people()
    make_components()
    numbers: dict[int, int] = {}
    for start in range(0, count, BATCH):
        make_changes(min(BATCH, count - start), start, count, people, numbers, source)
    finish(numbers)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    print(json.dumps(token_of(people[0])))


def make_people() -> list:
    """Users, each a requester; the first is a change manager too."""
    from django.contrib.auth.models import Group

    from changemgmt.accounts.models import OrgUnit, User

    unit, _ = OrgUnit.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    people = User.objects.bulk_create(User(username=f"person{number:02}", password="!", org_unit=unit) for number in range(PEOPLE))
    Group.objects.get(name="requester").user_set.add(*people)
    Group.objects.get(name="change_manager").user_set.add(people[0])
    return people


def make_components() -> None:
    """Application components to name in the items."""
    from changemgmt.architecture.models import Component, ComponentType

    kind = ComponentType.objects.filter(layer__name="application").first()
    Component.objects.bulk_create(
        Component(key=f"bench/{number:05}", name=f"{WORDS[number % len(WORDS)]}-{number}", type=kind, layer=kind.layer)
        for number in range(COMPONENTS)
    )


def make_changes(size: int, start: int, count: int, people: list, numbers: dict[int, int], source: random.Random) -> None:
    """One batch of changes with one item, an implementer and the rights of their requester each."""
    from django.contrib.auth.models import Permission

    from changemgmt.changes.documents import write_documents
    from changemgmt.changes.models import Change, ChangeRight, Item

    view = Permission.objects.get(codename="view_change", content_type__app_label="changemgmt")
    changes = Change.objects.bulk_create([one(start + number, count, people, numbers, source) for number in range(size)])
    Item.objects.bulk_create(
        Item(change=change, operation="update", object="component", key=f"bench/{source.randrange(COMPONENTS):05}", layer="application",
             data={"attributes": {"version": "2.4"}})
        for change in changes
    )  # fmt: skip
    Change.implementers.through.objects.bulk_create(
        Change.implementers.through(change_id=change.pk, user_id=source.choice(people).pk) for change in changes
    )
    ChangeRight.objects.bulk_create(ChangeRight(content_object=change, user_id=change.requester_id, permission=view) for change in changes)
    write_documents([change.pk for change in changes])


def one(position: int, count: int, people: list, numbers: dict[int, int], source: random.Random):
    """One change; the whole set is spread over three years up to November 2026."""
    from changemgmt.changes.models import Change

    created = datetime(2023, 11, 20, tzinfo=UTC) + timedelta(days=1095) * (position / count)
    numbers[created.year] = numbers.get(created.year, 0) + 1
    state = source.choice(STATES)
    planned = created + timedelta(days=source.randrange(3, 20)) if state not in {"draft", "in_review", "approved"} else None
    done = state in {"implemented", "closed"}
    return Change(
        number=f"CHG-{created.year}-{numbers[created.year]:05d}", title=f"Renew {source.choice(WORDS)} for {source.choice(WORDS)}", description=TEXT * 3,
        type=source.choice(["normal", "normal", "normal", "emergency", "major"]), priority=source.choice(["low", "medium", "high"]), state=state,
        digest=uuid4().hex * 2, requester=source.choice(people), owner=source.choice(people), org_unit_id="bench", category_id="application",
        business_justification=TEXT, implementation_plan=TEXT * 2, rollback_plan=TEXT, tags=source.sample(WORDS, 2), created_at=created, updated_at=created,
        submitted_at=None if state == "draft" else created + timedelta(hours=5), planned_start=planned,
        planned_end=planned + timedelta(hours=2) if planned else None, actual_start=planned if done else None,
        actual_end=planned + timedelta(hours=1) if planned and done else None, closed_at=planned if planned and state == "closed" else None,
        result="successful" if state == "closed" else None, risk_level=source.choice(["low", "medium", "high"]), risk_score=round(source.random(), 4),
        affected_count=source.randrange(200), confidential=position % 500 == 0,
        success_criteria=[{"group": "technical", "text": "No service outage", "met": None}],
        verification_checklist=[{"text": "The health page is green", "done": done}],
    )  # fmt: skip


def finish(numbers: dict[int, int]) -> None:
    """The series go on after the last number given."""
    from changemgmt.changes.models import NumberSeries

    NumberSeries.objects.bulk_create(NumberSeries(year=year, last=last) for year, last in numbers.items())


def token_of(person) -> dict[str, str]:
    from django.db import transaction

    from changemgmt.accounts.actions import make_token
    from changemgmt.changes.models import Change
    from changemgmt.core.time import utc_now

    with transaction.atomic():
        _, key = make_token(person, days=1, scope="write", name="bench", now=utc_now())
    return {"token": key, "number": Change.objects.filter(confidential=False).order_by("pk").last().number}


if __name__ == "__main__":
    main(int(sys.argv[1]))
