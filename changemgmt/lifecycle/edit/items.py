"""Editing what a change does to the architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.architecture.queries import current_revision
from changemgmt.architecture.validation import CheckedItem, check_item, check_items
from changemgmt.changes.models import Change, Item
from changemgmt.core.errors import Invalid, NotFound
from changemgmt.planning.actions import forget_item

from .editing import editing

WRITTEN = ("operation", "object", "key", "source", "target", "relation_type", "data", "replace")
COLUMNS = (*WRITTEN, "before", "base_revision", "layer")
MOST_ITEMS = 5_000


def add_items(number: str, items: list[dict[str, Any]], *, actor: User, now: datetime, seen: str | None, cascade: bool = False) -> Change:
    """Add items, checked together with those already there. `cascade` adds the deletions of a deleted component's relations.

    The change answered has the new rows as `added_items`.
    """
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        there = list(edit.change.items.all())
        checked = check_items(items, others=there, cascade=cascade).enforce()
        edit.change.added_items = store_items(edit.change, there, checked)
    return edit.change


def store_items(change: Change, there: list[Item], checked: list[CheckedItem]) -> list[Item]:
    """Rows for checked items, after those that are there."""
    if len(there) + len(checked) > MOST_ITEMS:
        raise Invalid.field("items", f"A change has at most {MOST_ITEMS:,} items; this would be {len(there) + len(checked):,}.")
    last = max((item.position for item in there), default=0)
    return Item.objects.bulk_create(Item(change=change, position=position, **columns(item)) for position, item in enumerate(checked, last + 1))


def change_item(number: str, item_id: int, fields: dict[str, Any], *, actor: User, now: datetime, seen: str | None) -> Change:
    """Write fields of one item; it is checked as if it were new, against the architecture as it is now."""
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        item = item_of(edit.change, item_id)
        checked = check_item(written(item) | fields, others=edit.change.items.exclude(pk=item.pk))
        for name, value in columns(checked).items():
            setattr(item, name, value)
        item.save()
    return edit.change


def remove_item(number: str, item_id: int, *, actor: User, now: datetime, seen: str | None) -> Change:
    """Take an item back. What others of the change need can't be taken away from under them."""
    with editing(number, actor=actor, now=now, seen=seen) as edit:
        item = item_of(edit.change, item_id)
        refuse_to_strand(item, edit.change.items.exclude(pk=item.pk))
        forget_item(edit.change, item.pk)
        item.delete()
    return edit.change


def refuse_to_strand(item: Item, others: Iterable[Item]) -> None:
    """Raise Invalid where the other items would be wrong without this one. What is wrong with them anyway is no reason to keep it."""
    left = [written(other) for other in others]
    without = check_items(left)
    before = check_items([*left, written(item)]).errors if without.errors else {}
    if any(without.errors[index] != before.get(index) for index in without.errors):
        without.enforce()


def rewrite_items(change: Change, wanted: Mapping[int, dict[str, Any] | None], further: Sequence[dict[str, Any]] = ()) -> list[Item]:
    """Items by their ids as they should be (None: taken out), and further ones, on the architecture as it is now; they are checked together
    with those that stay. Answers the further rows. Raises Invalid by `object:key`."""
    rows = list(change.items.all())
    kept = [row for row in rows if row.pk not in wanted]
    altered = [row for row in rows if wanted.get(row.pk)]
    proposed = [*(item for row in altered if (item := wanted[row.pk])), *further]
    checked = checked_by_key(proposed, kept)
    for row in rows:
        if row.pk in wanted and not wanted[row.pk]:
            forget_item(change, row.pk)
    change.items.filter(pk__in=[pk for pk, item in wanted.items() if not item]).delete()
    for row, made in zip(altered, checked, strict=False):
        write_over(row, made)
    change.items.filter(pk__in=[row.pk for row in altered]).update(base_revision=current_revision())
    return store_items(change, [*kept, *altered], checked[len(altered) :])


def write_over(row: Item, checked: CheckedItem) -> None:
    """Save an item as checked, where it differs in more than the revision."""
    written = {name: value for name, value in columns(checked).items() if name != "base_revision"}
    if any(getattr(row, name) != value for name, value in written.items()):
        for name, value in written.items():
            setattr(row, name, value)
        row.save(update_fields=list(written))


def checked_by_key(proposed: Sequence[dict[str, Any]], others: Sequence[Item]) -> list[CheckedItem]:
    """The checked items, or Invalid that names each by its object and key."""
    checked = check_items(proposed, others=others)
    if not checked.errors:
        return checked.items
    places = {index: f"{item.get('object')}:{item.get('key')}" for index, item in enumerate(proposed)}
    errors = {
        f"{places[index]} {name}" if index in places else name: messages
        for index, found in checked.errors.items()
        for name, messages in found.items()
    }
    where, messages = next(iter(errors.items()))
    raise Invalid(f"{where}: {messages[0]}", errors=errors)


def item_of(change: Change, item_id: int) -> Item:
    item = change.items.filter(pk=item_id).first()
    if item is None:
        raise NotFound("This change has no item with this id.")
    return item


def written(item: Item) -> dict[str, Any]:
    """An item as somebody would write it."""
    return {name: value for name in WRITTEN if (value := getattr(item, name)) not in ("", None)}


def columns(item: CheckedItem) -> dict[str, Any]:
    """A checked item as the columns of its row."""
    return {name: getattr(item, name) if getattr(item, name) is not None or name == "before" else "" for name in COLUMNS}
