"""Direct edits of the architecture, outside any change: for those with the direct-edit right, each on the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Model, ProtectedError

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import has_role
from changemgmt.architecture.actions import Applied, apply_operations, save_type
from changemgmt.architecture.fields import bad_schema
from changemgmt.architecture.models import ComponentType, Layer, PropagationSettings, RelationType
from changemgmt.architecture.queries import component, relation
from changemgmt.architecture.rules import COMPONENT, CREATE, DELETE, RELATION, UPDATE
from changemgmt.architecture.validation import check_items
from changemgmt.audit.actions import record
from changemgmt.core.diff import differences
from changemgmt.core.errors import Invalid, NotFound, NotPermitted, NotPossible

from .import_architecture import EDITORS, may_import

Row = TypeVar("Row", Layer, ComponentType, RelationType, PropagationSettings)
PROPAGATION = ("max_depth", "min_score", "delete_weight", "update_weight", "interface_weight", "create_weight")

VERBS = {CREATE: "created", UPDATE: "updated", DELETE: "deleted"}


def edit_component(operation: str, key: Any, data: Mapping[str, Any], *, actor: User, now: datetime, cascade: bool = False) -> Applied:
    """Create, update or delete a component. `cascade` deletes its relations as well. Errors are named by field."""
    if operation != CREATE:
        component(key)
    item = {"operation": operation, "object": COMPONENT, "key": key} | ({"data": dict(data)} if operation != DELETE else {})
    return _edit(item, actor=actor, now=now, cascade=cascade)


def edit_relation(operation: str, key: Any, fields: Mapping[str, Any], *, actor: User, now: datetime) -> Applied:
    """Create, update or delete a relation. A new one is given by source, target and type; of an old one the attributes change."""
    item = {"operation": operation, "object": RELATION, "key": key}
    if operation == CREATE:
        item |= {"source": fields.get("source"), "target": fields.get("target"), "relation_type": fields.get("type")}
    else:
        current = relation(key)
        ends = {"source": current.source.key if current.source else None, "target": current.target.key if current.target else None}
        fixed = {"type": current.type.name} | {side: end for side, end in ends.items() if end}
        moved = [name for name, value in fixed.items() if name in fields and fields[name] != value]
        if moved:
            raise Invalid.field(moved[0], "The ends and the type of a relation stay: delete it and make another.")
    if operation != DELETE and "attributes" in fields:
        item["data"] = {"attributes": fields["attributes"]}
    return _edit(item, actor=actor, now=now)


def _edit(item: dict[str, Any], *, actor: User, now: datetime, cascade: bool = False) -> Applied:
    refuse(actor)
    with transaction.atomic():
        checked = check_items([item], cascade=cascade)
        if checked.errors:
            raise _by_field(checked.errors)
        operations = [one.as_operation() for one in checked.items]
        applied = apply_operations(operations, actor=actor.username, now=now, direct=True)
        for image in applied.images:
            record(
                f"{image.object}.{VERBS[image.operation]}",
                actor=actor.username,
                object=f"{image.object}:{image.key}",
                now=now,
                differences=differences(image.before or {}, image.after or {}),
                data={"revision": applied.revision},
            )
    return applied


def _by_field(errors: Mapping[int | None, Mapping[str, list[str]]]) -> Invalid:
    """The errors of an item as those of the body it came from. A conflict with what is there is a matter of the moment, not of form."""
    flat = {name.removeprefix("data.").replace("relation_type", "type"): messages for part in errors.values() for name, messages in part.items()}
    return Invalid(next(iter(flat.values()))[0], errors=flat)


def refuse(actor: User) -> None:
    """Raise NotPermitted without the direct-edit right."""
    if not may_import(actor):
        raise NotPermitted("The architecture is changed by a change. Without one, only administrators and change managers write to it.")


# Layers and types.


def save_layer(name: str | None, fields: Mapping[str, Any], *, actor: User, now: datetime) -> Layer:
    """Make a layer (`name` None) or write fields of one."""
    return _save(Layer, name, fields, {}, actor=actor, now=now)


def save_component_type(name: str | None, fields: Mapping[str, Any], *, actor: User, now: datetime) -> ComponentType:
    """Make a component type or write fields of one; its layer is given by name, its schema has to be a JSON Schema."""
    values = dict(fields)
    if "schema" in values and (problem := bad_schema(values["schema"])):
        raise Invalid.field("schema", problem)
    if "layer" in values:
        values["layer"] = _layer(values["layer"])
    return _save(ComponentType, name, values, {}, actor=actor, now=now)


def save_relation_type(name: str | None, fields: Mapping[str, Any], *, actor: User, now: datetime) -> RelationType:
    """Make a relation type or write fields of one; `layers` are names, empty for all."""
    values = dict(fields)
    layers = [_layer(layer, "layers") for layer in values.pop("layers")] if "layers" in values else None
    return _save(RelationType, name, values, {} if layers is None else {"layers": layers}, actor=actor, now=now)


def save_propagation(fields: Mapping[str, Any], *, actor: User, now: datetime) -> PropagationSettings:
    """Write how far changes are followed; `layers` and `relation_types` are names, empty for all. It decides the risk of every change."""
    if not has_role(actor, "administrator"):
        raise NotPermitted("Only administrators set how far changes are followed.")
    values: dict[str, Any] = dict(fields)
    many: dict[str, list[Any]] = {}
    if "layers" in values:
        many["layers"] = [_layer(name, "layers") for name in values.pop("layers")]
    if "relation_types" in values:
        many["relation_types"] = _relation_types(values.pop("relation_types"))
    there = PropagationSettings.objects.exists()
    return _save(PropagationSettings, PropagationSettings.name if there else None, values, many, actor=actor, now=now)


def _relation_types(names: Sequence[str]) -> list[RelationType]:
    found = list(RelationType.objects.filter(name__in=names))
    if missing := sorted(set(names) - {row.name for row in found}):
        raise Invalid.field("relation_types", f"There is no relation type {missing[0][:60]!r}.")
    return found


def propagation_shown() -> dict[str, Any]:
    """How far changes are followed, as the API shows it: as set, or the published defaults."""
    return shown(PropagationSettings.objects.first() or PropagationSettings())


def _layer(name: Any, field: str = "layer") -> Layer:
    found = Layer.objects.filter(name=name).first() if isinstance(name, str) else None
    if found is None:
        raise Invalid.field(field, f"There is no layer {str(name)[:60]!r}.")
    return found


def _save(model: type[Row], name: str | None, fields: Mapping[str, Any], many: Mapping[str, list[Any]], *, actor: User, now: datetime) -> Row:
    refuse(actor)
    with transaction.atomic():
        row = model() if name is None else _named(model, name)
        _refuse_rename(row, name, fields)
        before = {} if name is None else shown(row)
        for field, value in fields.items():
            setattr(row, field, value)
        _unique(lambda: save_type(row, actor=actor.username, now=now), row)
        for field, values in many.items():
            getattr(row, field).set(values)
        _tell(row, "created" if name is None else "updated", before, shown(row), actor=actor, now=now)
    return row


def _refuse_rename(row: Any, name: str | None, fields: Mapping[str, Any]) -> None:
    if name is not None and fields.get("name", name) != name:
        raise Invalid.field("name", "A name stays: everything else refers to it.")


def _unique(save: Callable[[], Any], row: Any) -> None:
    try:
        with transaction.atomic():
            save()
    except IntegrityError:
        raise Invalid.field("name", f"There is a {type(row)._meta.verbose_name} {row.name!r} already.") from None


def delete_type(model: Any, name: str, *, actor: User, now: datetime) -> None:
    """Delete a layer or type nothing is of."""
    refuse(actor)
    with transaction.atomic():
        row = _named(model, name)
        before = shown(row)
        try:
            save_type(row, actor=actor.username, now=now, delete=True)
        except ProtectedError:
            raise NotPossible(f"There are things of this {model._meta.verbose_name}: it can't be deleted.") from None
        _tell(row, "deleted", before, {}, actor=actor, now=now)


def _named(model: Any, name: str) -> Any:
    if model is PropagationSettings:
        return PropagationSettings.objects.get()
    found = model.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no {model._meta.verbose_name} of this name.")
    return found


def _tell(row: Any, verb: str, before: Mapping[str, Any], after: Mapping[str, Any], *, actor: User, now: datetime) -> None:
    kind = type(row)._meta.model_name
    record(f"{kind}.{verb}", actor=actor.username, object=f"{kind}:{row.name}", now=now, differences=differences(dict(before), dict(after)))


def shown(row: Model) -> dict[str, Any]:
    """A layer or type as the API shows it."""
    match row:
        case Layer():
            return {"name": row.name, "order": row.order, "colour": row.colour, "forbids_cycles": row.forbids_cycles}
        case ComponentType():
            plain = {"name": row.name, "layer": row.layer.name, "icon": row.icon, "schema": row.schema}
            return plain | {"interface_attributes": row.interface_attributes, "is_service": row.is_service}
        case RelationType():
            layers = sorted(layer.name for layer in row.layers.all())
            return {"name": row.name, "inverse": row.inverse, "propagation": row.propagation, "weight": row.weight, "layers": layers}
        case PropagationSettings():
            names = {name: sorted(one.name for one in getattr(row, name).all()) if row.pk else [] for name in ("layers", "relation_types")}
            return {name: getattr(row, name) for name in PROPAGATION} | names
    raise TypeError(type(row).__name__)


__all__ = [
    "EDITORS", "delete_type", "edit_component", "edit_relation", "propagation_shown", "save_component_type", "save_layer", "save_propagation",
    "save_relation_type", "shown",
]  # fmt: skip
