"""Generated estates of any size: systems of a thousand components that hang together by three relations each.

What a change of one component reaches is its system, however large the estate is. Rows are written in bulk, past the verbs: this is for
measuring what reads them, never for use.
"""

from collections.abc import Iterator
from itertools import islice
from random import Random

from django.db import connection, transaction

from changemgmt.architecture.models import Component, ComponentType, Relation, RelationType, Revision
from changemgmt.core.time import utc_now

SYSTEM = 1000
PER_COMPONENT = 3
BATCH = 10_000


def key_of(number: int) -> str:
    return f"estate/{number // SYSTEM:05}/{number % SYSTEM:03}"


def relations(count: int) -> Iterator[tuple[int, int]]:
    """From and to of each relation, by number: within the system, and one in a hundred out of it (those conduct nothing)."""
    random = Random(20261120)
    for number in range(count):
        first = number - number % SYSTEM
        size = min(SYSTEM, count - first)
        for turn in range(PER_COMPONENT):
            away = random.random() < 0.01
            # The first of each leads to the one before, so that a system hangs together.
            near = first + (max(number - first - 1, 0) if turn == 0 else random.randrange(size))
            yield number, random.randrange(count) if away and turn else near


def fill(count: int) -> None:
    """An estate of `count` components and three times as many relations, as revision 1."""
    kind = ComponentType.objects.filter(layer__name="application").order_by("pk").first()
    now = utc_now()
    with transaction.atomic():
        rows = (
            Component(key=key_of(number), name=f"Component {number}", type=kind, layer_id=kind.layer_id, users=number % 50, owner="estate")
            for number in range(count)
        )
        in_bulk(Component, rows)
        ids = dict(Component.objects.values_list("key", "pk").iterator(BATCH))
        conducts, other = (RelationType.objects.get(name=name).pk for name in ("serving", "association"))
        in_bulk(
            Relation,
            (
                Relation(
                    key=f"{key_of(one)}|{place}", source_id=ids[key_of(one)], target_id=ids[key_of(two)], confirmed_at=now,
                    type_id=conducts if one // SYSTEM == two // SYSTEM else other,
                )
                for place, (one, two) in enumerate(relations(count))
            ),
        )  # fmt: skip
        number = (Revision.objects.order_by("-number").values_list("number", flat=True).first() or 0) + 1
        Revision.objects.create(number=number, at=now, actor="bench", touched=["*"])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def in_bulk(model: type[Component] | type[Relation], rows: Iterator[Component] | Iterator[Relation]) -> None:
    while portion := list(islice(rows, BATCH)):
        model.objects.bulk_create(portion)
