"""Items of a change, checked as they are written: what each says, and whether all of them together can be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from changemgmt.core.errors import Invalid

from .catalogue import Catalogue
from .fields import Errors, data_errors, key_problem, printable, schema_errors
from .queries import cascade as cascade_relations
from .queries import current_revision, exists, images, like_relations
from .rules import (
    COMPONENT,
    CREATE,
    DELETE,
    OBJECTS,
    OPERATIONS,
    RELATION,
    UPDATE,
    WRITABLE,
    Operation,
    end_of,
    image_after,
    relation_key,
)

ITEM_FIELDS = ("operation", "object", "key", "source", "target", "relation_type", "data", "replace")


@dataclass(frozen=True)
class CheckedItem:
    """An item that may be stored: completed with its key, the image it was written against, and its layer."""

    operation: str
    object: str
    key: str
    source: str | None = None
    target: str | None = None
    relation_type: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    replace: bool = False
    before: dict[str, Any] | None = None
    base_revision: int = 0
    layer: str = ""

    def as_operation(self) -> Operation:
        return Operation(self.operation, self.object, self.key, self.source, self.target, self.relation_type, self.data)


@dataclass(frozen=True)
class Checked:
    """The outcome: items ready to be stored, and what is wrong, as (index of the item, or None for all of them) -> field -> messages."""

    items: list[CheckedItem]
    errors: dict[int | None, Errors]

    def enforce(self) -> list[CheckedItem]:
        """The items, or Invalid. With several items the fields read `items.<index>.<field>`."""
        if not self.errors:
            return self.items
        single = len(self.errors) == 1 and set(self.errors) <= {0, None} and len(self.items) <= 1
        flat: dict[str, list[str]] = {}
        for index, errors in self.errors.items():
            for name, messages in errors.items():
                flat[name if single or index is None else f"items.{index}.{name}"] = messages
        raise Invalid(next(iter(flat.values()))[0], errors=flat)


def check_items(items: Sequence[Any], *, others: Iterable[Any] = (), live: Catalogue | None = None, cascade: bool = False) -> Checked:
    """Check `items` (any JSON) of a change against the live architecture and against its `others` (stored items).

    With `cascade` the deletions of the relations that end on what is deleted are added after them.
    Nothing is raised: read `errors`, or call `enforce()`.
    """
    catalogue = live or Catalogue.load()
    check = _Check(catalogue, [_stored(other) for other in others])
    if not isinstance(items, list | tuple):
        return Checked([], {None: {"items": ["Give a list of items."]}})
    proposed = list(items)
    shapes = [check.shape(index, item) for index, item in enumerate(proposed)]
    if cascade and not check.errors:
        known = {(shape.object, shape.key) for shape in [*shapes, *check.others] if shape}
        gone = [(shape.object, shape.key) for shape in shapes if shape and shape.operation == DELETE]
        extra = [item for item in cascade_items(gone) if (RELATION, item["key"]) not in known]
        shapes += [check.shape(len(proposed) + index, item) for index, item in enumerate(extra)]
    checked = check.against_live([shape for shape in shapes if shape is not None], [index for index, shape in enumerate(shapes) if shape is not None])
    return Checked(checked, check.errors)


def check_item(item: Any, *, others: Iterable[Any] = ()) -> CheckedItem:
    """One item, or Invalid with its fields."""
    return check_items([item], others=others).enforce()[0]


def cascade_items(gone: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """The deletions of every relation that ends on one of these things (object and key), or on such a relation, as items."""
    wanted = list(gone)
    found = {name: None for object in OBJECTS for name in cascade_relations([key for kind, key in wanted if kind == object], object=object)}
    return [{"operation": DELETE, "object": RELATION, "key": key} for key in found]


def _stored(item: Any) -> CheckedItem:
    """A stored item (a row or a mapping) as a value."""

    def read(name: str) -> Any:
        return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)

    return CheckedItem(
        operation=read("operation"),
        object=read("object"),
        key=read("key"),
        source=read("source") or None,
        target=read("target") or None,
        relation_type=read("relation_type") or None,
        data=read("data") or {},
        replace=bool(read("replace")),
        before=read("before"),
        layer=read("layer") or "",
    )


class _Check:
    """One run of the check, gathering errors by index of the item."""

    def __init__(self, catalogue: Catalogue, others: list[CheckedItem]) -> None:
        self.catalogue = catalogue
        self.others = others
        self.errors: dict[int | None, Errors] = {}

    def wrong(self, index: int | None, name: str, message: str) -> None:
        self.errors.setdefault(index, {}).setdefault(name, []).append(message)

    # What one item says, by itself.

    def shape(self, index: int, item: Any) -> CheckedItem | None:
        """The item as a value, or None with its errors noted."""
        if not isinstance(item, dict):
            self.wrong(index, "item", "Give an object.")
            return None
        before = len(self.errors.get(index, {}))
        for name in item.keys() - set(ITEM_FIELDS):
            self.wrong(index, printable(name), f"Not a field of an item. Known: {', '.join(ITEM_FIELDS)}.")
        for name, known in (("operation", OPERATIONS), ("object", OBJECTS)):
            if not isinstance(item.get(name), str) or item[name] not in known:
                self.wrong(index, name, f"Give one of {', '.join(known)}.")
        if not isinstance(item.get("replace", False), bool):
            self.wrong(index, "replace", "Give true or false.")
        if len(self.errors.get(index, {})) > before:
            return None
        found = self._relation(index, item) if item["object"] == RELATION else self._component(index, item)
        return found if found and self._data(index, found) else None

    def _component(self, index: int, item: dict[str, Any]) -> CheckedItem | None:
        for name in ("source", "target", "relation_type"):
            if item.get(name):
                self.wrong(index, name, "Only a relation has this.")
        if problem := key_problem(COMPONENT, item.get("key")):
            self.wrong(index, "key", problem)
        if index in self.errors:
            return None
        return CheckedItem(item["operation"], COMPONENT, item["key"], data=item.get("data") or {}, replace=item.get("replace", False))

    def _relation(self, index: int, item: dict[str, Any]) -> CheckedItem | None:
        triple = [item.get(name) for name in ("source", "relation_type", "target")]
        for name, value in zip(("source", "relation_type", "target"), triple, strict=True):
            self._check_end(index, name, value, needed=item["operation"] == CREATE or (not item.get("key")))
        if item.get("key") and (problem := key_problem(RELATION, item["key"])):
            self.wrong(index, "key", problem)
        if index in self.errors:
            return None
        source, relation_type, target = (value or "" for value in triple)
        key = item.get("key") or self._relation_key(index, item["operation"], source, relation_type, target)
        if not key:
            return None
        return CheckedItem(
            item["operation"],
            RELATION,
            key,
            source or None,
            target or None,
            relation_type or None,
            item.get("data") or {},
            item.get("replace", False),
        )

    def _check_end(self, index: int, name: str, value: Any, *, needed: bool) -> None:
        if value in (None, ""):
            if needed:
                self.wrong(index, name, "Address a relation by its key, or by source, relation_type and target.")
        elif name == "relation_type":
            if not isinstance(value, str) or value not in self.catalogue.relation_types:
                self.wrong(index, name, "There is no relation type of that name.")
        elif not isinstance(value, str) or key_problem(RELATION, value):
            self.wrong(index, name, "Give the key of a component, or relation:<key>.")

    def _relation_key(self, index: int, operation: str, source: str, relation_type: str, target: str) -> str:
        if operation == CREATE:
            return self._free_key(source, relation_type, target)
        found = like_relations(source, relation_type, target)
        if len(found) == 1:
            return found[0]
        if found:
            self.wrong(index, "key", f"Several relations match; name one by its key: {', '.join(found)}.")
        else:
            self.wrong(index, "key", f"There is no {relation_type} relation from {source!r} to {target!r}.")
        return ""

    def _free_key(self, source: str, relation_type: str, target: str) -> str:
        number, taken = 1, {other.key for other in self.others if other.object == RELATION}
        while (key := relation_key(source, relation_type, target, number)) in taken or exists(RELATION, [key]):
            number += 1
        return key

    def _data(self, index: int, item: CheckedItem) -> bool:
        data = item.data
        if item.operation == DELETE:
            if data:
                self.wrong(index, "data", "A deletion carries no data.")
            return index not in self.errors
        found = data_errors(item.object, data, creating=item.operation == CREATE, catalogue=self.catalogue)
        for name, messages in found.items():
            for message in messages:
                self.wrong(index, name, message)
        if item.operation == UPDATE and not data:
            self.wrong(index, "data", f"Say what changes. Known: {', '.join(WRITABLE[item.object])}.")
        return index not in self.errors

    # What they say together, about the live architecture.

    def against_live(self, items: list[CheckedItem], indices: list[int]) -> list[CheckedItem]:
        live = {object: images(object, [item.key for item in items if item.object == object]) for object in OBJECTS}
        revision = current_revision()
        checked, seen = [], {(other.object, other.key) for other in self.others}
        for index, item in zip(indices, items, strict=True):
            if (item.object, item.key) in seen:
                self.wrong(index, "key", f"Another item of this change is about {item.object} {item.key!r} already.")
            seen.add((item.object, item.key))
            before = live[item.object].get(item.key)
            self._presence(index, item, before)
            checked.append(self._completed(index, item, before, revision))
        if not self.errors:
            self._together(checked, indices)
        return checked

    def _presence(self, index: int, item: CheckedItem, before: dict[str, Any] | None) -> None:
        if item.operation == CREATE and before is not None:
            self.wrong(index, "key", f"There is a {item.object} {item.key!r} already.")
        if item.operation != CREATE and before is None:
            self.wrong(index, "key", f"There is no {item.object} {item.key!r}.")
        if before and item.object == RELATION:
            for name, field_name in (("source", "source"), ("target", "target"), ("relation_type", "type")):
                if getattr(item, name) and getattr(item, name) != before[field_name]:
                    self.wrong(index, name, f"The relation {item.key!r} has {before[field_name]!r} here.")

    def _completed(self, index: int, item: CheckedItem, before: dict[str, Any] | None, revision: int) -> CheckedItem:
        after = image_after(item.as_operation(), before) if item.operation == CREATE or before else None
        if after and item.object == COMPONENT:
            after = self.catalogue.completed(after)
            for name, messages in schema_errors(after, self.catalogue).items():
                for message in messages:
                    self.wrong(index, name, message)
        shown = after or before or {}
        ends = {name: shown.get(field_name) for name, field_name in (("source", "source"), ("target", "target"), ("relation_type", "type"))}
        return CheckedItem(
            item.operation,
            item.object,
            item.key,
            data=item.data,
            replace=item.replace,
            before=before,
            base_revision=revision,
            layer=shown.get("layer") or "",
            **(ends if item.object == RELATION else {}),
        )

    def _together(self, items: list[CheckedItem], indices: list[int]) -> None:
        everything = [*items, *self.others]
        gone = {(item.object, item.key) for item in everything if item.operation == DELETE}
        made = {(item.object, item.key) for item in everything if item.operation == CREATE}
        self._ends(items, indices, gone, made)
        self._orphaned(items, indices, gone)
        for other in self.others:
            if other.operation == CREATE and other.object == RELATION and gone & set(_ends(other)):
                self.wrong(None, "items", f"The new relation {other.key!r} would end on something this change deletes.")

    def _ends(self, items: list[CheckedItem], indices: list[int], gone: set[tuple[str, str]], made: set[tuple[str, str]]) -> None:
        """New relations end on what is there or made here, and not on what goes."""
        new = [(index, item) for index, item in zip(indices, items, strict=True) if item.operation == CREATE and item.object == RELATION]
        wanted = {end for _, item in new for end in _ends(item)}
        there = {(object, key) for object in OBJECTS for key in exists(object, [key for kind, key in wanted if kind == object])}
        for index, item in new:
            for name, end in zip(("source", "target"), _ends(item), strict=True):
                if end in gone:
                    self.wrong(index, name, f"This change deletes the {end[0]} {end[1]!r}.")
                elif end not in there and end not in made:
                    self.wrong(index, name, f"There is no {end[0]} {end[1]!r}.")
                elif end == (RELATION, item.key):
                    self.wrong(index, name, "A relation does not end on itself.")

    def _orphaned(self, items: list[CheckedItem], indices: list[int], gone: set[tuple[str, str]]) -> None:
        """What deletes a component (or a relation others end on) deletes those relations as well."""
        for object in OBJECTS:
            keys = sorted(key for kind, key in gone if kind == object)
            for relation in cascade_relations(keys, object=object).values():
                if (RELATION, relation.key) in gone:
                    continue
                blamed = _blamed(relation, items, indices)
                self.wrong(blamed, "key", f"Relation {relation.key!r} would lose an end: delete it as well, or ask for the cascade.")


def _ends(item: CheckedItem) -> tuple[tuple[str, str], tuple[str, str]]:
    return end_of(item.source or ""), end_of(item.target or "")


def _blamed(relation: Any, items: list[CheckedItem], indices: list[int]) -> int | None:
    """The index of the item that takes an end of `relation` away; None when it is none of these."""
    ends = {relation.source and relation.source.key, relation.target and relation.target.key}
    ends |= {relation.source_relation and relation.source_relation.key, relation.target_relation and relation.target_relation.key}
    return next((index for index, item in zip(indices, items, strict=True) if item.operation == DELETE and item.key in ends), None)
