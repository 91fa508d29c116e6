"""Reads of the architecture: revisions, images, things by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import F, Q, QuerySet, Subquery

from changemgmt.accounts.models import OrgUnit
from changemgmt.core.errors import NotFound
from changemgmt.core.time import parse_instant, rfc3339

from .models import Component, ComponentType, Layer, Relation, RelationType, Revision
from .rules import COMPONENT, RELATION, RELATION_END

CHUNK = 500
Row = TypeVar("Row", Component, Relation)
Value = TypeVar("Value")


def current_revision() -> int:
    """The number of the newest revision; 0 before anything was written."""
    return Revision.objects.order_by("-number").values_list("number", flat=True).first() or 0


def architecture_token() -> str:
    """What is another for every state of the architecture, also where a revision was rolled back or another database was put in its place."""
    return str(Revision.objects.order_by("-number").values_list("token", flat=True).first() or "")


def component_image(component: Component) -> dict[str, Any]:
    """Everything a component is, as plain values; its database id and revision are no part of it."""
    return {
        "key": component.key,
        "name": component.name,
        "type": component.type.name,
        "layer": component.layer.name,
        "owner": component.owner,
        "org_unit": component.org_unit.slug if component.org_unit else None,
        "criticality": component.criticality,
        "users": component.users,
        "status": component.status,
        "environment": component.environment,
        "attributes": component.attributes,
        "tags": component.tags,
        "needs": component.needs,
        "external_references": component.external_references,
    }


def relation_image(relation: Relation) -> dict[str, Any]:
    """Everything a relation is, as plain values. An end that is a relation reads `relation:<key>`."""
    return {
        "key": relation.key,
        "source": _end(relation.source, relation.source_relation),
        "target": _end(relation.target, relation.target_relation),
        "type": relation.type.name,
        "attributes": relation.attributes,
        "source_system": relation.source_system,
        "confirmed_at": rfc3339(relation.confirmed_at),
        **_refutation(relation),
    }


def _refutation(relation: Any) -> dict[str, Any]:
    """What an image says of a relation that is refuted, and of no other."""
    return {"refuted_at": rfc3339(relation.refuted_at), "refuted_reason": relation.refuted_reason} if relation.refuted_at else {}


def _end(component: Component | None, relation: Relation | None) -> str:
    if component:
        return component.key
    return f"{RELATION_END}{relation.key}" if relation else ""


def components() -> QuerySet[Component]:
    """Components with all that an image shows."""
    return Component.objects.select_related("type", "layer", "org_unit")


def relations() -> QuerySet[Relation]:
    """Relations with all that an image shows."""
    return Relation.objects.select_related("type", "source", "target", "source_relation", "target_relation").only(
        *("key", "attributes", "source_system", "confirmed_at", "refuted_at", "refuted_reason", "revision", "type__name"),
        *("source__key", "target__key", "source_relation__key", "target_relation__key"),
    )


def image_of(thing: Component | Relation) -> dict[str, Any]:
    """The image of either kind."""
    return component_image(thing) if isinstance(thing, Component) else relation_image(thing)


def rows(object: str) -> QuerySet[Any]:
    """Components or relations, ready to be read as images."""
    return components() if object == COMPONENT else relations()


def images(object: str, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The images of those of `keys` that are there, by key."""
    return {key: image_of(row) for key, row in by_key(rows(object), keys).items()}


def by_key(queryset: QuerySet[Row], keys: Iterable[str]) -> dict[str, Row]:
    """The rows of `queryset` with these keys, by key; asked for in portions that every database takes."""
    found: dict[str, Row] = {}
    for portion in portions(sorted(set(keys))):
        found |= {row.key: row for row in queryset.filter(key__in=portion)}
    return found


def portions(values: Sequence[Value], size: int = CHUNK) -> Iterator[Sequence[Value]]:
    """`values` in lists of at most `size`."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def exists(object: str, keys: Iterable[str]) -> set[str]:
    """Which of `keys` are there."""
    model = Component if object == COMPONENT else Relation
    wanted, found = sorted(set(keys)), set()
    for portion in portions(wanted):
        found |= set(model.objects.filter(key__in=portion).values_list("key", flat=True))
    return found


def relations_at(keys: Iterable[str], *, object: str = COMPONENT) -> QuerySet[Relation]:
    """Relations with an end at one of the components (or relations) of these keys."""
    return relations().filter(_ends_at(keys, object)).order_by("key")


def _ends_at(keys: Iterable[str], object: str = COMPONENT) -> Q:
    """Whether a relation ends on one of these. By ids: an "or" over the keys of both ends has no index, and reads every relation there is."""
    model, one, two = (Component, "source", "target") if object == COMPONENT else (Relation, "source_relation", "target_relation")
    wanted = list(keys)
    if len(wanted) == 1:
        only = Subquery(model.objects.filter(key=wanted[0]).values("pk")[:1])
        return Q(**{one: only}) | Q(**{two: only})
    ids = list(model.objects.filter(key__in=wanted).values_list("pk", flat=True))
    return Q(**{f"{one}__in": ids}) | Q(**{f"{two}__in": ids})


def cascade(keys: Iterable[str], *, object: str = COMPONENT) -> dict[str, Relation]:
    """Every relation that has to go when these components (or relations) go, by key, the outermost first."""
    found: dict[str, Relation] = {}
    wanted = sorted(set(keys))
    while wanted:
        rows = {row.key: row for portion in portions(wanted) for row in relations_at(portion, object=object)}
        fresh = {key: row for key, row in sorted(rows.items()) if key not in found}
        found = fresh | found
        wanted, object = sorted(fresh), RELATION
    return found


def like_relations(source: str, relation_type: str, target: str) -> list[str]:
    """Keys of the relations of this type between these two ends: more than one where they are parallel."""
    found = Relation.objects.filter(type__name=relation_type).filter(_is_end("source", source)).filter(_is_end("target", target))
    return list(found.order_by("key").values_list("key", flat=True)[:20])


def _is_end(side: str, text: str) -> Q:
    if text.startswith(RELATION_END):
        return Q(**{f"{side}_relation__key": text.removeprefix(RELATION_END)})
    return Q(**{f"{side}__key": text})


def component(key: str) -> Component:
    """The component of this key, or NotFound."""
    found = None if "\0" in key else components().filter(key=key).first()  # no database stores a NUL
    if found is None:
        raise NotFound(f"There is no component {key!r}.")
    return found


def relation(key: str) -> Relation:
    """The relation of this key, or NotFound."""
    found = None if "\0" in key else relations().filter(key=key).first()  # no database stores a NUL
    if found is None:
        raise NotFound(f"There is no relation {key!r}.")
    return found


def moved_since(revision: int) -> dict[str, Revision]:
    """What later revisions touched: by key, the newest revision that did."""
    found: dict[str, Revision] = {}
    for step in Revision.objects.filter(number__gt=revision).order_by("number"):
        found |= dict.fromkeys(step.touched, step)
    return found


def search(
    *, q: str = "", layer: Iterable[str] = (), type: Iterable[str] = (), owner: str = "", status: str = "", tag: str = ""
) -> QuerySet[Component]:
    """Components whose name or key contains `q`, of these layers and types, of this owner."""
    found = components().order_by("name", "key")
    if q:
        found = found.filter(Q(name__icontains=q) | Q(key__icontains=q))
    if layers := list(layer):
        found = found.filter(layer__name__in=layers)
    if types := list(type):
        found = found.filter(type__name__in=types)
    if owner:
        found = found.filter(owner=owner)
    if status:
        found = found.filter(status=status)
    if tag:
        found = found.filter(tags__icontains=f'"{tag}"')
    return found


def confirmed(text: str | None) -> Any:
    """The time in an image's `confirmed_at` or `refuted_at`."""
    return parse_instant(text, field="confirmed_at") if text else None


def trusted_since(now: datetime) -> datetime:
    """The moment since which a relation has to be confirmed to be relied upon."""
    return now - timedelta(days=settings.RELATION_TRUST_DAYS)


def relation_owners(keys: Iterable[str]) -> dict[str, set[str]]:
    """The owners (users and teams) of the components at the ends of each relation; ends that are relations lead on to theirs."""
    owners: dict[str, set[str]] = {key: set() for key in keys}
    waiting = {key: {key} for key in owners}
    seen: set[tuple[str, str]] = {(key, key) for key in owners}
    while waiting:
        further: dict[str, set[str]] = {}
        for portion in portions(sorted(waiting)):
            for key, *found in Relation.objects.filter(key__in=portion).values_list(
                "key", "source__owner", "target__owner", "source_relation__key", "target_relation__key"
            ):
                for asked in waiting[key]:
                    owners[asked] |= {owner for owner in found[:2] if owner}
                    fresh = {end for end in found[2:] if end and (asked, end) not in seen}
                    seen |= {(asked, end) for end in fresh}
                    for end in fresh:
                        further.setdefault(end, set()).add(asked)
        waiting = further
    return owners


Names = dict[Any, dict[int, str]]


def names_by_id() -> Names:
    """What layers, types, relation types and org units are called, by model and id."""
    names: Names = {model: dict(model.objects.values_list("pk", "name")) for model in (Layer, ComponentType, RelationType)}
    return names | {OrgUnit: dict(OrgUnit.objects.values_list("pk", "slug"))}


def images_at(object: str, revision: int, keys: Sequence[str] | None = None, names: Names | None = None) -> dict[str, dict[str, Any]]:
    """The architecture as it was at a revision: every component (or relation) of back then by key, or those of `keys`, read from the history."""
    names = names or names_by_id()
    if object == COMPONENT:
        return {row.key: _past_component(row, names) for row in _past(Component, revision, keys)}
    then = _past(Relation, revision, keys)
    components = _past_keys(Component, {end for row in then for end in (row.source_id, row.target_id) if end})
    relations = _past_keys(Relation, {end for row in then for end in (row.source_relation_id, row.target_relation_id) if end})
    return {row.key: _past_relation(row, names, components, relations) for row in then}


def _past(model: type[Component] | type[Relation], revision: int, keys: Sequence[str] | None = None) -> list[Any]:
    """The last history row of each thing up to a revision, without those that were deleted by then; in key order."""
    rows = model.history.filter(revision__lte=revision).order_by("id", "history_id")
    parts = [rows] if keys is None else [rows.filter(key__in=portion) for portion in portions(sorted(set(keys)))]
    last = {row.id: row for part in parts for row in part.iterator(5000)}
    return sorted((row for row in last.values() if row.history_type != "-"), key=lambda row: row.key)


def _past_keys(model: type[Component] | type[Relation], ids: set[int]) -> dict[int, str]:
    """The keys of things by their ids, of those that are gone too; a key never changes."""
    return {pk: key for portion in portions(sorted(ids)) for pk, key in model.history.filter(id__in=portion).values_list("id", "key")}


def _past_component(row: Any, names: Names) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in ("key", "name", "owner", "criticality", "users", "status", "environment")},
        **{name: getattr(row, name) for name in ("attributes", "tags", "needs", "external_references")},
        "type": names[ComponentType].get(row.type_id, ""),
        "layer": names[Layer].get(row.layer_id, ""),
        "org_unit": names[OrgUnit].get(row.org_unit_id or 0),
    }


def _past_relation(row: Any, names: Names, components: dict[int, str], keys: dict[int, str]) -> dict[str, Any]:
    def end(component: int | None, relation: int | None) -> str:
        return components.get(component, "") if component else f"{RELATION_END}{keys.get(relation or 0, '')}"

    return {
        "key": row.key,
        "source": end(row.source_id, row.source_relation_id),
        "target": end(row.target_id, row.target_relation_id),
        "type": names[RelationType].get(row.type_id, ""),
        "attributes": row.attributes,
        "source_system": row.source_system,
        "confirmed_at": rfc3339(row.confirmed_at),
        **_refutation(row),
    }


HISTORY = ("key", "name", "owner", "criticality", "users", "status", "environment", "attributes", "tags", "needs", "external_references")


def history_of(key: str, most: int = 20) -> list[dict[str, Any]]:
    """What happened to a component, newest first: revision, moment, kind (+ ~ -), who, change, and its image after."""
    names = {"type": F("type__name"), "layer": F("layer__name"), "org_unit": F("org_unit__slug")}
    columns = {f"shown_{name}": column for name, column in names.items()}
    rows = list(
        Component.history.filter(key=key).order_by("-history_id").values(*HISTORY, "revision", "history_date", "history_type", **columns)[:most]
    )
    steps = {step.number: step for step in Revision.objects.filter(number__in=[row["revision"] for row in rows]).defer("touched")}
    return [
        {
            "revision": row["revision"],
            "at": row["history_date"],
            "kind": row["history_type"],
            "actor": steps[row["revision"]].actor if row["revision"] in steps else "",
            "change": steps[row["revision"]].change if row["revision"] in steps else "",
            "reason": steps[row["revision"]].reason if row["revision"] in steps else "",
            "image": {name: row[name] for name in HISTORY} | {name: row[f"shown_{name}"] for name in names},
        }
        for row in rows
    ]


def relations_of(key: str, most: int = 300) -> list[Relation]:
    """The relations of a component with the other ends, in the order of their types."""
    found = Relation.objects.filter(_ends_at([key])).order_by("type__name", "key")
    return list(
        found.select_related("type", "source__layer", "source__type", "target__layer", "target__type", "source_relation", "target_relation")[:most]
    )
