"""What the tests of the preview share: an architecture and changes with items, made without the verbs."""

import pytest

from changemgmt.architecture.validation import check_items
from changemgmt.changes.models import Change, Item

from ..architecture.conftest import DATA, NOW, bring, do, types, write_file  # noqa: F401


@pytest.fixture
def change_of(cast):
    """`change_of(item, …)` makes a draft with these items, checked as the verb checks them."""
    made = []

    def make(*items, cascade=False, **fields):
        values = {"title": "A change", "requester": cast.rita, "created_at": NOW, "updated_at": NOW} | fields
        change = Change.objects.create(number=f"CHG-2026-{len(made) + 1:05}", **values)
        made.append(change)
        for place, item in enumerate(check_items(list(items), cascade=cascade).enforce()):
            values = {name: getattr(item, name) or "" for name in ("source", "target", "relation_type", "layer")}
            Item.objects.create(
                change=change,
                position=place,
                operation=item.operation,
                object=item.object,
                key=item.key,
                data=item.data,
                before=item.before,
                base_revision=item.base_revision,
                replace=item.replace,
                **values,
            )
        return change

    return make


@pytest.fixture
def surance(bring):  # noqa: F811
    """ArchiSurance is the live architecture."""
    return bring(DATA / "archisurance" / "archisurance.archimate", "archi", namespace="archisurance")
