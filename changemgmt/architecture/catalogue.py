"""The names the architecture is described with: layers, types, relation types, org units. Read once, asked often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from changemgmt.accounts.models import OrgUnit

from .models import ComponentType, Layer, RelationType

FALLBACK_LAYER = "application"


@dataclass
class Catalogue:
    """Database ids by name, what a component's type says, and the layers that forbid cycles."""

    layers: dict[str, int] = field(default_factory=dict)
    types: dict[str, ComponentType] = field(default_factory=dict)
    relation_types: dict[str, RelationType] = field(default_factory=dict)
    org_units: dict[str, int] = field(default_factory=dict)
    without_cycles: frozenset[str] = frozenset()

    @classmethod
    def load(cls) -> Catalogue:
        """Four queries; the tables are small."""
        layers = list(Layer.objects.values_list("name", "pk", "forbids_cycles"))
        return cls(
            layers={name: pk for name, pk, _ in layers},
            types={row.name: row for row in ComponentType.objects.select_related("layer")},
            relation_types={row.name: row for row in RelationType.objects.all()},
            org_units=dict(OrgUnit.objects.values_list("slug", "pk")),
            without_cycles=frozenset(name for name, _, forbids in layers if forbids),
        )

    def layer_of(self, type_name: str | None) -> str:
        """The layer components of this type belong to unless they say else."""
        known = self.types.get(type_name or "")
        return known.layer.name if known else FALLBACK_LAYER

    def schema_of(self, type_name: str | None) -> dict[str, Any]:
        """The JSON Schema of the attributes of this type; empty allows anything."""
        known = self.types.get(type_name or "")
        return known.schema if known and isinstance(known.schema, dict) else {}

    def completed(self, image: dict[str, Any]) -> dict[str, Any]:
        """A component's image with the layer of its type where it says none."""
        return image if image.get("layer") else image | {"layer": self.layer_of(image.get("type"))}
