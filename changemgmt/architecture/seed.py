"""The starter pack of the architecture: layers, component types and relation types, with how each relation propagates.

Loading it again adds what is missing and leaves what an administrator changed.
"""

from __future__ import annotations

from datetime import datetime

from .models import ComponentType, Layer, RelationType, Revision

LAYERS = {"business": (1, "#d9a406"), "application": (2, "#2a5499"), "data": (3, "#4a568c"), "technology": (4, "#17653a")}

# ArchiMate's own layers are mapped to the four: strategy, motivation, and implementation and migration are the concern of
# the business; physical things are technology; passive data is data. Grouping and Location go with the business that names them,
# a Junction with the applications whose relations it mostly joins.
ARCHIMATE = {
    "business": (
        "BusinessActor BusinessRole BusinessCollaboration BusinessInterface BusinessProcess BusinessFunction BusinessInteraction BusinessEvent "
        "BusinessService BusinessObject Contract Representation Product "
        "Resource Capability CourseOfAction ValueStream "
        "Stakeholder Driver Assessment Goal Outcome Principle Requirement Constraint Meaning Value "
        "WorkPackage Deliverable ImplementationEvent Plateau Gap Grouping Location"
    ),
    "application": (
        "ApplicationComponent ApplicationCollaboration ApplicationInterface ApplicationFunction ApplicationInteraction ApplicationProcess "
        "ApplicationEvent ApplicationService Junction AndJunction OrJunction"
    ),
    "data": "DataObject",
    "technology": (
        "Node Device SystemSoftware TechnologyCollaboration TechnologyInterface Path CommunicationNetwork TechnologyFunction TechnologyProcess "
        "TechnologyInteraction TechnologyEvent TechnologyService Artifact Equipment Facility DistributionNetwork Material"
    ),
}
# Backstage kinds in small letters (ArchiMate has a Resource and a Location of its own), and the kinds of the shipped data;
# then what Compose files and bills of materials (CycloneDX) are made of.
OTHERS = {
    "business": "domain group user virtual_organization support_center facility",
    "application": "component api system service service_type application framework library",
    "data": "datastore database volume data machine-learning-model",
    "technology": (
        "resource location site resource_group host package "
        "network secret config container platform operating-system device device-driver firmware file cryptographic-asset"
    ),
}
SERVICES = {"BusinessService", "ApplicationService", "TechnologyService", "api", "service", "service_type"}

NONE, FORWARD, BACKWARD = RelationType.Propagation.NONE, RelationType.Propagation.FORWARD, RelationType.Propagation.BACKWARD
# name: (inverse, propagation, weight). Forward: a change to the source reaches the target.
RELATIONS = {
    # ArchiMate
    "serving": ("served by", FORWARD, 0.9),
    "realization": ("realized by", FORWARD, 0.8),
    "assignment": ("assigned from", FORWARD, 0.8),
    "composition": ("composed in", BACKWARD, 0.9),
    "aggregation": ("aggregated in", BACKWARD, 0.6),
    "access": ("accessed by", BACKWARD, 0.7),
    "specialization": ("specialized by", BACKWARD, 0.5),
    "triggering": ("triggered by", FORWARD, 0.5),
    "flow": ("flows from", FORWARD, 0.5),
    "influence": ("influenced by", FORWARD, 0.3),
    "association": ("associated with", NONE, 1.0),
    # Backstage
    "dependsOn": ("dependencyOf", BACKWARD, 0.9),
    "consumesApi": ("apiConsumedBy", BACKWARD, 0.9),
    "partOf": ("hasPart", FORWARD, 0.9),
    "providesApi": ("apiProvidedBy", FORWARD, 0.9),
    "ownedBy": ("ownerOf", NONE, 1.0),
    "memberOf": ("hasMember", NONE, 1.0),
    "childOf": ("parentOf", NONE, 1.0),
    # Debian
    "depends": ("dependency of", BACKWARD, 1.0),
    "pre-depends": ("pre-dependency of", BACKWARD, 1.0),
    "recommends": ("recommended by", NONE, 1.0),
    "suggests": ("suggested by", NONE, 1.0),
    "enhances": ("enhanced by", NONE, 1.0),
    "breaks": ("broken by", NONE, 1.0),
    "conflicts": ("conflicts with", NONE, 1.0),
    "replaces": ("replaced by", NONE, 1.0),
    # The shipped tables. A container is touched by what it contains, weakly, as with aggregation: a site of many resources is not down with one.
    "contains": ("contained in", BACKWARD, 0.6),
    # A kind of service many resources provide does not stop with one of them; Debian's provides conducts nothing either.
    "provides": ("provided by", NONE, 1.0),
    # Ownership and support are about people, not about working.
    "owns": ("owned by", NONE, 1.0),
    "supports": ("supported by", NONE, 1.0),
    # Who uses or calls something feels its changes.
    "uses": ("used by", BACKWARD, 0.9),
    "calls": ("called by", BACKWARD, 0.9),
}


def seed(*, now: datetime) -> None:
    """Add the layers and types that are missing. Idempotent."""
    layers = {name: _layer(name, order, colour) for name, (order, colour) in LAYERS.items()}
    for table in (ARCHIMATE, OTHERS):
        for layer, names in table.items():
            for name in names.split():
                ComponentType.objects.get_or_create(name=name, defaults={"layer": layers[layer], "is_service": name in SERVICES})
    for name, (inverse, propagation, weight) in RELATIONS.items():
        RelationType.objects.get_or_create(name=name, defaults={"inverse": inverse, "propagation": propagation, "weight": weight})
    Revision.objects.get_or_create(number=0, defaults={"at": now, "actor": "system", "reason": "starter pack", "touched": []})


def _layer(name: str, order: int, colour: str) -> Layer:
    return Layer.objects.get_or_create(name=name, defaults={"order": order, "colour": colour})[0]
