"""Writes of the architecture: rows, their history and one revision, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.db import connection
from django.db.models import Q, QuerySet

from changemgmt.accounts.models import User
from changemgmt.core.errors import Invalid, NotPossible
from changemgmt.core.rows import insert
from changemgmt.core.time import rfc3339

from .catalogue import Catalogue
from .models import Component, ComponentType, Layer, PropagationSettings, Relation, RelationType, Revision, Source
from .queries import by_key, cascade, confirmed, current_revision, exists, images, portions, trusted_since
from .rules import COMPONENT, CREATE, DELETE, RELATION, UPDATE, Image, Operation, ends, image_after, touched
from .trust import JUDGED, said_now

BATCH = 2000
MOST_TOUCHED = 20_000
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a write did: its revision, and every thing before and after."""

    revision: int
    images: tuple[Image, ...]


def apply_operations(
    operations: Iterable[Operation],
    *,
    actor: str,
    now: datetime,
    change: str = "",
    reason: str = "",
    direct: bool = False,
    create_types: bool = False,
) -> Applied:
    """Do all `operations` in the caller's transaction, as one revision, or raise Invalid or NotPossible and do none.

    `direct` marks writes outside any change in the history. With `create_types` unknown types are made.
    """
    lock()
    wanted = list(operations)
    catalogue = Catalogue.load()
    before = {object: images(object, [step.key for step in wanted if step.object == object]) for object in (COMPONENT, RELATION)}
    steps = said_now([_image(step, before[step.object].get(step.key), catalogue) for step in wanted], rfc3339(now) or "")
    return write(steps, actor=actor, now=now, change=change, reason=reason or ("direct edit" if direct else ""), create_types=create_types)


def _image(step: Operation, before: dict[str, Any] | None, catalogue: Catalogue) -> Image:
    if step.operation == CREATE and before is not None:
        raise NotPossible(f"There is a {step.object} {step.key!r} already.")
    if step.operation != CREATE and before is None:
        raise NotPossible(f"There is no {step.object} {step.key!r} to {step.operation}.")
    after = image_after(step, before)
    if after is not None and step.object == COMPONENT:
        after = catalogue.completed(after)
    return Image(step.object, step.key, before, after)


def lock() -> None:
    """Let one writer at a time at the architecture, until the end of the transaction (SQLite has one writer anyway)."""
    if not connection.features.has_select_for_update:
        return
    first = Revision.objects.order_by("number").values_list("pk", flat=True).first()
    if first:
        Revision.objects.select_for_update().get(pk=first)


def write(
    steps: Sequence[Image],
    *,
    actor: str,
    now: datetime,
    change: str = "",
    reason: str = "",
    create_types: bool = False,
    progress: Progress = lambda done: None,
    also: Sequence[str] = (),
) -> Applied:
    """Turn `before` into `after` for every image, and record the revision. The caller holds the transaction and the lock.

    Nothing to do makes no revision. `also` are keys the revision touched besides those written.
    Raises NotPossible where a relation would lose its end, Invalid for unknown names.
    """
    steps = [step for step in steps if step.before != step.after]
    if not steps:
        return Applied(current_revision(), ())
    catalogue = Catalogue.load()
    if create_types:
        add_types(steps, catalogue)
    _refuse_twice(steps)
    _refuse_dangling(steps)
    number = current_revision() + 1
    writer = _Writer(catalogue, number, now, _user(actor), f"{change} {reason}".strip()[:100], progress)
    writer.write(steps)
    Revision.objects.create(number=number, at=now, actor=actor, change=change, reason=reason[:500], touched=_few([*touched(steps), *also]))
    return Applied(number, tuple(steps))


def _few(keys: list[str]) -> list[str]:
    """The touched keys, or `*` where there are so many that nearly everything was touched."""
    return keys if len(keys) <= MOST_TOUCHED else ["*"]


def _user(username: str) -> User | None:
    return User.objects.filter(username=username).first()


def _refuse_twice(steps: Sequence[Image]) -> None:
    seen: set[tuple[str, str]] = set()
    for step in steps:
        if (step.object, step.key) in seen:
            raise NotPossible(f"The {step.object} {step.key!r} is written twice.")
        seen.add((step.object, step.key))


def _refuse_dangling(steps: Sequence[Image]) -> None:
    """Every relation at something that goes has to go in the same write, or end elsewhere after it."""
    gone = {(step.object, step.key) for step in steps if step.after is None}
    written = {step.key: step.after for step in steps if step.object == RELATION}
    left: list[str] = []
    for object in (COMPONENT, RELATION):
        keys = sorted(key for kind, key in gone if kind == object)
        for relation in cascade(keys, object=object).values():
            if relation.key not in written:
                left.append(relation.key)
    left += [key for key, after in written.items() if after is not None and gone & set(ends(after))]
    if left:
        named = ", ".join(sorted(set(left))[:20])
        raise NotPossible(f"Relations would lose an end: {named}. Delete them as well.", errors={"items": [named]})


def add_types(steps: Iterable[Image], catalogue: Catalogue) -> list[str]:
    """Make the layers, component types and relation types that `steps` name and nobody made yet. Answers what was made."""
    made: list[str] = []
    for step in steps:
        if step.after is None:
            continue
        if step.object == COMPONENT:
            made += _add_component_type(step.after, catalogue)
        for name in step.after["needs"] if step.object == COMPONENT else [step.after["type"]]:
            if name not in catalogue.relation_types:
                catalogue.relation_types[name] = RelationType.objects.create(name=name, propagation=RelationType.Propagation.NONE)
                made.append(f"relation type {name}")
    return made


def _add_component_type(image: dict[str, Any], catalogue: Catalogue) -> list[str]:
    made = []
    layer, name = image["layer"], image["type"]
    if layer not in catalogue.layers:
        order = len(catalogue.layers) + 1
        catalogue.layers[layer] = Layer.objects.create(name=layer, order=order).pk
        made.append(f"layer {layer}")
    if name not in catalogue.types:
        catalogue.types[name] = ComponentType.objects.create(name=name, layer_id=catalogue.layers[layer])
        made.append(f"component type {name}")
    return made


@dataclass
class _Writer:
    """One write in progress: what every row of it shares."""

    catalogue: Catalogue
    number: int
    now: datetime
    user: User | None
    reason: str
    progress: Progress
    done: int = 0

    def write(self, steps: Sequence[Image]) -> None:
        def of(object: str, operation: str) -> list[Image]:
            return [step for step in steps if step.object == object and step.operation == operation]

        self._create(Component, [self._component_values(step.after) for step in of(COMPONENT, CREATE) if step.after])
        self._create_relations([step.after for step in of(RELATION, CREATE) if step.after])
        self._update(Relation, of(RELATION, UPDATE))
        self._update(Component, of(COMPONENT, UPDATE))
        self._delete(Relation, of(RELATION, DELETE))
        self._delete(Component, of(COMPONENT, DELETE))

    def _tick(self, count: int) -> None:
        self.done += count
        self.progress(self.done)

    def _component_values(self, image: dict[str, Any]) -> dict[str, Any]:
        plain = ("key", "name", "owner", "criticality", "users", "status", "environment", "attributes", "tags", "needs", "external_references")
        return {name: image[name] for name in plain} | {
            "type_id": _known(self.catalogue.types, image["type"], "component type").pk,
            "layer_id": _known(self.catalogue.layers, image["layer"], "layer"),
            "org_unit_id": _known(self.catalogue.org_units, image["org_unit"], "org unit") if image["org_unit"] else None,
            "revision": self.number,
        }

    def _relation_values(self, image: dict[str, Any], known: dict[tuple[str, str], int]) -> dict[str, Any]:
        values = {
            "key": image["key"],
            "type_id": _known(self.catalogue.relation_types, image["type"], "relation type").pk,
            "attributes": image["attributes"],
            "source_system": image["source_system"],
            "confirmed_at": confirmed(image["confirmed_at"]),
            "refuted_at": confirmed(image.get("refuted_at")),
            "refuted_reason": image.get("refuted_reason", ""),
            "revision": self.number,
        }
        for side, end in zip(("source", "target"), ends(image), strict=True):
            if end not in known:
                raise Invalid.field(side, f"Relation {image['key']!r}: there is no {end[0]} {end[1]!r}.")
            values |= {f"{side}_id": known[end] if end[0] == COMPONENT else None, f"{side}_relation_id": known[end] if end[0] == RELATION else None}
        return values

    def _create(self, model: Any, rows: list[dict[str, Any]]) -> None:
        last = model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        for portion in portions(rows, BATCH):
            insert(model, list(portion[0]), (row.values() for row in portion))
            self._tick(len(portion))
        if rows:
            self._copied_history(model, last)

    def _create_relations(self, wanted: list[dict[str, Any]]) -> None:
        """Relations on components first, then those on relations made before them."""
        while wanted:
            known = ids_of(wanted)
            ready = [image for image in wanted if all(end in known or end[0] == COMPONENT for end in ends(image))] or wanted
            self._create(Relation, [self._relation_values(image, known) for image in ready])
            made = {image["key"] for image in ready}
            wanted = [image for image in wanted if image["key"] not in made]

    def _update(self, model: Any, steps: list[Image]) -> None:
        if not steps:
            return
        rows = by_key(model.objects.all(), [step.key for step in steps])
        known = ids_of([step.after for step in steps if step.after]) if model is Relation else {}
        changed: set[str] = set()
        for step in steps:
            row, after = rows[step.key], step.after or {}
            values = self._relation_values(after, known) if model is Relation else self._component_values(after)
            for name, value in values.items():
                if getattr(row, name) != value:
                    setattr(row, name, value)
                    changed.add(model._meta.get_field(name.removesuffix("_id")).name)
        ordered = [rows[step.key] for step in steps]
        model.objects.bulk_update(ordered, sorted(changed), batch_size=200)
        self._history(model, ordered, "~")
        self._tick(len(steps))

    def _delete(self, model: Any, steps: list[Image]) -> None:
        for portion in portions(steps, 400):
            rows = list(model.objects.filter(key__in=[step.key for step in portion]))
            for row in rows:
                row.revision = self.number
            self._history(model, rows, "-")
            # All relations were seen to before, so the collector's walk over them is skipped.
            model.objects.filter(pk__in=[row.pk for row in rows])._raw_delete(using=model.objects.db)
            self._tick(len(portion))

    def _copied_history(self, model: Any, last: int) -> None:
        """History rows of what was made after the row `last`: the database copies them, which is many times faster than sending them again."""
        historical, quote = model.history.model, connection.ops.quote_name
        columns = [quote(field.column) for field in historical.tracked_fields]
        extra = [quote(historical._meta.get_field(name).column) for name in ("history_date", "history_user", "history_change_reason", "history_type")]
        moment = connection.ops.adapt_datetimefield_value(self.now)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {quote(historical._meta.db_table)} ({', '.join([*columns, *extra])}) "
                f"SELECT {', '.join([*columns, '%s', '%s', '%s', '%s'])} FROM {quote(model._meta.db_table)} "
                f"WHERE revision = %s AND id > %s ORDER BY id",
                [moment, self.user.pk if self.user else None, self.reason, "+", self.number, last],
            )

    def _history(self, model: Any, rows: Sequence[Any], kind: str) -> None:
        """History rows for many at once: bulk writes send no signals, so simple-history would miss them."""
        historical = model.history.model
        names = [field.attname for field in historical.tracked_fields]
        shared = {"history_date": self.now, "history_user": self.user, "history_change_reason": self.reason, "history_type": kind}
        historical.objects.bulk_create(
            [historical(**{name: getattr(row, name) for name in names}, **shared) for row in rows],
            batch_size=BATCH,
        )


def _known(table: dict[str, Any], name: str | None, what: str) -> Any:
    if name not in table:
        raise Invalid.field(what.replace(" ", "_"), f"There is no {what} {name!r}.")
    return table[name]


def ids_of(relations: Iterable[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Database ids of everything these relations end on, as far as it is there."""
    wanted = {end for image in relations for end in ends(image)}
    found: dict[tuple[str, str], int] = {}
    for object, model in ((COMPONENT, Component), (RELATION, Relation)):
        keys = sorted(key for kind, key in wanted if kind == object)
        for portion in portions(keys):
            found |= {(object, key): pk for key, pk in model.objects.filter(key__in=portion).values_list("key", "pk")}
    return found


def save_type(row: Layer | ComponentType | RelationType | PropagationSettings, *, actor: str, now: datetime, delete: bool = False) -> int:
    """Save or delete a layer or type. What propagates may change by it, so it is a revision like any other; answers its number."""
    lock()
    name = f"{type(row)._meta.model_name}:{row.name}"
    if delete:
        row.delete()
    else:
        row.save()
    number = current_revision() + 1
    Revision.objects.create(number=number, at=now, actor=actor, reason=f"{name} {'deleted' if delete else 'saved'}"[:500], touched=[f"type:{name}"])
    return number


def confirm_claimed(source: Source, *, actor: str, now: datetime, dated: Collection[str] = ()) -> int:
    """A source said again what it claims: its relations are confirmed `now`, except those an owner refuted. Answers the revision.

    `dated`: those whose date the source gave itself, which is theirs already.

    Where that makes something trusted which was not, it is a revision, so that previews fall stale. Else only the date moves,
    which is no revision; the newest one gets another token, so that nobody goes on with the old dates.
    """
    lock()
    turned: list[tuple[str | None, ...]] = []
    moved = 0
    for rows in _claimed(source, dated):
        mine = rows.filter(refuted_at=None).exclude(confirmed_at=now)
        doubtful = mine.filter(Q(confirmed_at=None) | Q(confirmed_at__lt=trusted_since(now)))
        turned += doubtful.values_list("key", "source__key", "target__key")[: MOST_TOUCHED + 1]
        moved += mine.update(confirmed_at=now)
    if not moved:
        return current_revision()
    if turned:
        keys = {name for key, *ends in turned for name in (key, f"{JUDGED}{key}", *ends) if name}
        return revise(sorted(keys), f"import of {source.name} confirmed relations", actor=actor, now=now)
    number = current_revision()
    Revision.objects.filter(number=number).update(token=uuid4())
    return number


def _claimed(source: Source, besides: Collection[str]) -> list[QuerySet[Relation]]:
    """The relations a source claims, without some of them."""
    claimed = source.claims.filter(object=RELATION)
    if not besides:
        return [Relation.objects.filter(key__in=claimed.values("key"))]
    left = sorted(set(claimed.values_list("key", flat=True)).difference(besides))
    return [Relation.objects.filter(key__in=portion) for portion in portions(left)]


def revise(keys: list[str], reason: str, *, actor: str, now: datetime) -> int:
    """A revision that wrote no thing of its own."""
    number = current_revision() + 1
    Revision.objects.create(number=number, at=now, actor=actor, reason=reason[:500], touched=_few(keys))
    return number


def missing(object: str, keys: Iterable[str]) -> list[str]:
    """Those of `keys` that are not there."""
    wanted = set(keys)
    return sorted(wanted - exists(object, wanted))
