"""What is known about a change, as plain values that conditions can be asked of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from changemgmt.accounts.queries import roles_by_user, roles_of, unit_chain, unit_chains
from changemgmt.architecture.impact import trusted
from changemgmt.architecture.models import Component, ComponentType
from changemgmt.conditions.rules import Facts

from .models import Change, Item, Preview

if TYPE_CHECKING:
    from django.db.models import QuerySet

PORTION = 10_000


def facts_of(change: Change) -> Facts:
    """The facts of a change from its record, its items and its stored preview."""
    items = list(change.items.all())
    units = tuple(unit.slug for unit in unit_chain(change.org_unit)) if change.org_unit_id else ()
    return put_together(change, items, direct_components(items), impact_document(change), service_types(), units, roles_of(change.requester))


def facts_of_all(rows: QuerySet[Change]) -> Iterator[tuple[Change, Facts]]:
    """Every change of a query with its facts, in its order; the same as `facts_of`, in a fixed number of queries."""
    changes = list(rows.select_related("requester"))
    keys = rows.order_by().values("pk")
    items: dict[int, list[Item]] = defaultdict(list)
    for item in Item.objects.filter(change__in=keys):
        items[item.change_id].append(item)
    live = {row["key"]: row for row in live_components({key for some in items.values() for key in component_keys(some)})}
    impacts = dict(Preview.objects.filter(change__in=keys).values_list("change_id", "impact"))
    services, roles, above = service_types(), roles_by_user({change.requester_id for change in changes}), unit_chains()
    for change in changes:
        own = items.get(change.pk, [])
        direct = [live[key] for key in sorted(component_keys(own) & live.keys())] + created_components(own)
        units = above.get(change.org_unit_id or "", ())
        yield change, put_together(change, own, direct, impacts.get(change.pk) or {}, services, units, roles.get(change.requester_id, frozenset()))


def put_together(
    change: Change,
    items: Collection[Item],
    direct: Collection[Mapping[str, Any]],
    impact: Mapping[str, Any],
    services: Collection[str],
    units: tuple[str, ...],
    roles: Collection[str],
) -> Facts:
    """The facts from what was read: the components the items name, the stored impact, the types that are services, units and roles."""
    reached = [*direct, *trusted(impact.get("affected", []))]
    return Facts(
        type=change.type,
        category=change.category_id,
        priority=change.priority,
        risk_level=change.risk_level,
        risk_score=change.risk_score,
        impact=change.impact,
        urgency=change.urgency,
        affected_count=change.affected_count,
        max_criticality=max((entry["criticality"] for entry in reached), default=0),
        users=impact.get("users", 0),
        layers=distinct(entry["layer"] for entry in reached),
        components=distinct(entry["key"] for entry in direct),
        component_types=distinct(entry["type"] for entry in direct),
        environments=distinct(entry["environment"] for entry in direct if entry["environment"]),
        services=distinct(entry["key"] for entry in reached if entry["type"] in services),
        org_unit=change.org_unit_id,
        org_unit_chain=units,
        requester_roles=tuple(sorted(roles)),
        cost_estimate=change.cost_estimate,
        tags=tuple(change.tags),
        compliance_scope=tuple(change.compliance_scope),
        template=change.template_id,
        operations=distinct(item.operation for item in items),
        irreversible_steps=change.irreversible_steps,
        custom=change.custom_fields,
    )


def service_types() -> set[str]:
    """Names of the component types that are services."""
    return set(ComponentType.objects.filter(is_service=True).values_list("name", flat=True))


def impact_document(change: Change) -> dict[str, Any]:
    """The stored impact, or nothing where none was computed."""
    return Preview.objects.filter(change=change).values_list("impact", flat=True).first() or {}


def component_keys(items: Collection[Item]) -> set[str]:
    """Components that the items name: themselves, or as an end of a relation."""
    keys = {item.key for item in items if item.object == Item.Object.COMPONENT}
    ends = {end for item in items if item.object == Item.Object.RELATION for end in (item.source, item.target)}
    return keys | {end for end in ends if end and not end.startswith("relation:")}


def direct_components(items: Collection[Item]) -> list[dict[str, Any]]:
    """Key, layer, type, criticality and environment of every component the items name, live or to be created."""
    return live_components(component_keys(items)) + created_components(items)


def live_components(keys: Collection[str]) -> list[dict[str, Any]]:
    """What is known about the components with these keys, by key; asked for in portions that every database takes."""
    wanted, found = sorted(keys), []
    for start in range(0, len(wanted), PORTION):
        rows = Component.objects.filter(key__in=wanted[start : start + PORTION]).order_by("key")
        found += [
            {"key": key, "layer": layer, "type": kind, "criticality": criticality, "environment": environment}
            for key, layer, kind, criticality, environment in rows.values_list("key", "layer__name", "type__name", "criticality", "environment")
        ]
    return found


def created_components(items: Collection[Item]) -> list[dict[str, Any]]:
    """The same of the components the items are to create."""
    created = [item for item in items if item.operation == Item.Operation.CREATE and item.object == Item.Object.COMPONENT]
    return [
        {
            "key": item.key,
            "layer": item.layer,
            "type": item.data.get("type", ""),
            "criticality": item.data.get("criticality", 3),
            "environment": item.data.get("environment", ""),
        }
        for item in created
    ]


def distinct(values: Any) -> tuple[str, ...]:
    return tuple(sorted(set(values)))
