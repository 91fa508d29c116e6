"""Short ways to put changes, windows and freezes into the database."""

from datetime import timedelta
from itertools import count

from changemgmt.architecture.models import Component, ComponentType, Layer
from changemgmt.changes.models import Change, Item, State

HOUR = timedelta(hours=1)
numbers = count(1)


def component(key, *, layer="application", type="app", **fields):
    """A live component, with its layer and type."""
    row, _ = Layer.objects.get_or_create(name=layer)
    kind, _ = ComponentType.objects.get_or_create(name=type, defaults={"layer": row})
    return Component.objects.get_or_create(key=key, defaults={"name": key, "layer": row, "type": kind, **fields})[0]


def change_of(requester, now, *keys, number=None, implementers=(), **fields):
    """A change that updates the components of these keys."""
    number = number or f"CHG-{now.year}-{90000 + next(numbers):05d}"
    change = Change.objects.create(number=number, title=fields.pop("title", number), requester=requester, created_at=now, updated_at=now, **fields)
    for key in keys:
        component(key)
        Item.objects.create(change=change, operation="update", object="component", key=key, layer="application", data={"attributes": {"a": 1}})
    change.implementers.set(implementers)
    return change


def scheduled(requester, now, start, end, *keys, **fields):
    """A change that has a window."""
    return change_of(requester, now, *keys, state=State.SCHEDULED, planned_start=start, planned_end=end, **fields)
