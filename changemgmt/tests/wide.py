"""Architectures and changes of a known size: one that reaches exactly so many components, one that differs in exactly so many fields.

`estate` is a document as the JSON import reads it; the items are as the API takes them. The same call gives the same answer.
"""

from __future__ import annotations

from typing import Any

WHAT = ("Policy", "Claims", "Customer", "Premium", "Broker", "Payment", "Renewal", "Fraud", "Risk", "Document", "Partner", "Contract", "Quote")
# Layer, its share of the reach, and by type what its components are called.
SHAPE = (
    ("technology", 0.12, {"Node": ("host", "cluster"), "SystemSoftware": ("database", "queue", "runtime")}),
    ("data", 0.14, {"DataObject": ("record", "ledger", "archive")}),
    (
        "application",
        0.42,
        {"ApplicationComponent": ("engine", "portal"), "ApplicationService": ("service", "lookup"), "ApplicationInterface": ("API",)},
    ),
    ("business", 0.32, {"BusinessProcess": ("handling", "review"), "BusinessFunction": ("management",), "BusinessService": ("advice", "desk")}),
)
OWNERS = ("platform", "claims-it", "customer-it", "finance-it", "")
TEXT = (
    "The cluster is moved to the new version while the old one stays ready. Every node is drained, upgraded and brought back. "
    "Who is on duty watches the replication and calls the vendor when it lags by more than a minute.\n"
)


def thing(key: str, name: str, type: str, layer: str, place: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "key": key,
        "name": name,
        "type": type,
        "layer": layer,
        "owner": OWNERS[place % len(OWNERS)],
        "criticality": 1 + place % 5,
        "users": 10 * (place % 7),
    } | fields


def relation(source: str, type: str, target: str) -> dict[str, Any]:
    return {"key": f"{source}>{target}", "source": source, "type": type, "target": target}


def estate(reach: int) -> dict[str, list[dict[str, Any]]]:
    """A root from which `reach` components are reached over four layers, a gateway that serves some of them, and a bystander."""
    base = f"wide-{reach}"
    components = [thing(f"{base}/root", "Data centre North", "Node", "technology"), thing(f"{base}/gateway", "Legacy gateway", "Node", "technology")]
    components.append(thing(f"{base}/bystander", "Bystander", "Node", "technology"))
    relations: list[dict[str, Any]] = []
    below, left = [f"{base}/root"], reach
    for number, (layer, share, types) in enumerate(SHAPE):
        count = left if number == len(SHAPE) - 1 else round(reach * share)
        made = [one(base, layer, types, place) for place in range(count)]
        for place, row in enumerate(made):
            relations.append(relation(below[place % len(below)], "realization" if layer == "data" else "serving", row["key"]))
        components, left = [*components, *made], left - count
        below = [row["key"] for row in made] if layer != "data" else below
    for place, row in enumerate([row for row in components if row["layer"] == "application"][:9]):
        relations.append(relation(f"{base}/gateway", "serving", row["key"]))
        row["needs"] = {"serving": 2} if place < 3 else {}
    return {"components": components, "relations": relations}


def one(base: str, layer: str, types: dict[str, tuple[str, ...]], place: int) -> dict[str, Any]:
    """One component of a layer, with a name of its own."""
    kinds = [(type, word) for type, words in types.items() for word in words]
    type, word = kinds[place % len(kinds)]
    again = place // (len(kinds) * len(WHAT))
    name = f"{WHAT[place % len(WHAT)]} {word}{f' {again + 1}' if again else ''}"
    return thing(f"{base}/{layer}-{place}", name, type, layer, place)


def reaching(reach: int) -> list[dict[str, Any]]:
    """Items of a change that reaches exactly `reach` components of `estate(reach)`: something updated, removed and added."""
    base = f"wide-{reach}"
    served = [row["target"] for row in estate(reach)["relations"] if row["source"] == f"{base}/gateway"]
    new = {
        "operation": "create",
        "object": "component",
        "key": f"{base}/gateway-2",
        "data": {"name": "Gateway 2", "type": "Node", "owner": "platform"},
    }
    ties = [
        {"operation": "create", "object": "relation", "source": f"{base}/gateway-2", "relation_type": "serving", "target": target}
        for target in served[3:6]
    ]
    return [
        {"operation": "update", "object": "component", "key": f"{base}/root", "data": {"attributes": {"power": "B feed"}}},
        *({"operation": "delete", "object": "relation", "key": f"{base}/gateway>{target}"} for target in served),
        {"operation": "delete", "object": "component", "key": f"{base}/gateway"},
        new,
        *ties,
    ]


def fields_estate(fields: int) -> dict[str, list[dict[str, Any]]]:
    """Components to be altered by `many_fields(fields)`, twenty fields each."""
    parts = []
    for place in range(fields // 20):
        layer, _, types = SHAPE[place % 4]
        settings = {"timeout": 30, "retries": 3, "pool": {"min": 2, "max": 10 + (0 if alike(place, fields) else place)}} | {
            f"option-{number}": number for number in range(11)
        }
        attributes = {"settings": settings, "runbook": TEXT * 3, "ports": [80, 443, 8080], "version": "15.8"}
        part = one(f"fields-{fields}", layer, types, place)
        parts.append(part | {"attributes": attributes})
    return {"components": parts, "relations": []}


def alike(place: int, fields: int) -> bool:
    """Whether the component is one of the last tenth, which are all updated alike."""
    return place >= fields // 20 * 9 // 10


def many_fields(fields: int) -> list[dict[str, Any]]:
    """Items that differ in exactly `fields` fields: nested settings, a long text, an array, a version; the last tenth all alike."""
    items = []
    for place, part in enumerate(fields_estate(fields)["components"]):
        grown = 7 if alike(place, fields) else 7 + place
        settings = {"timeout": 60, "retries": 5, "pool": {"min": grown, "max": 500 + grown}} | {
            f"option-{number}": number + grown for number in range(11)
        }
        text = TEXT + TEXT.replace("a minute", f"{grown} minutes") + TEXT
        attributes = {"settings": settings, "runbook": text, "ports": [80, 8443, 8080, 9090], "version": "16.6"}
        data = {"attributes": attributes, "environment": "production", "tags": ["renewed"]}
        items.append({"operation": "update", "object": "component", "key": part["key"], "data": data})
    return items
