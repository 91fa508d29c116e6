"""ArchiSurance as the demo's architecture, with values the model does not have: who owns what, how much hangs on it, whom it serves.

The model comes from `data/archisurance`; the values below are made up for the demo and stand on a revision of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from changemgmt.accounts.models import User
from changemgmt.architecture.actions import apply_operations
from changemgmt.architecture.importers.files import of_path
from changemgmt.architecture.models import Component, Source
from changemgmt.architecture.rules import Operation
from changemgmt.audit.actions import record
from changemgmt.core.diff import differences
from changemgmt.lifecycle.configure_policy import save_rule
from changemgmt.lifecycle.import_architecture import import_architecture
from changemgmt.preview.models import PolicyRule
from changemgmt.preview.seed import OWNED

SOURCE = "archisurance"
FILE = "archisurance.archimate"

# (type, name): (criticality, users, org unit). How many people it serves is made up, in the sizes of a small insurer.
VALUES: dict[tuple[str, str], tuple[int, int, str]] = {
    ("BusinessService", "Claim Registration Service"): (5, 3200, "claims"),
    ("BusinessService", "Claims Payment Service"): (5, 1800, "claims"),
    ("BusinessService", "Insurance Application Service"): (4, 2600, "customer-relations"),
    ("BusinessService", "Premium Payment Service"): (5, 9800, "finance"),
    ("BusinessService", "Customer Information Service"): (4, 5200, "customer-relations"),
    ("BusinessService", "Customer data mutation Service"): (3, 900, "customer-relations"),
    ("BusinessProcess", "Handle Claim"): (5, 140, "claims"),
    ("BusinessProcess", "Register"): (4, 60, "claims"),
    ("BusinessProcess", "Accept"): (4, 35, "claims"),
    ("BusinessProcess", "Valuate"): (4, 40, "claims"),
    ("BusinessProcess", "Pay"): (5, 25, "claims"),
    ("BusinessProcess", "Close Contract"): (4, 80, "customer-relations"),
    ("BusinessProcess", "Create Contract"): (4, 80, "customer-relations"),
    ("BusinessProcess", "Collect Premium"): (5, 20, "finance"),
    ("BusinessProcess", "Inform Customer"): (3, 120, "customer-relations"),
    ("BusinessFunction", "Claims Handling"): (5, 140, "claims"),
    ("BusinessFunction", "Contracting"): (4, 80, "customer-relations"),
    ("BusinessFunction", "Financial Handling"): (5, 30, "finance"),
    ("BusinessFunction", "Asset Management"): (3, 12, "finance"),
    ("BusinessFunction", "Maintaining Customer Relations"): (3, 120, "customer-relations"),
    ("BusinessFunction", "Maintaining Intermediary Relations"): (2, 15, "customer-relations"),
    ("ApplicationComponent", "CRM System"): (4, 320, "it-development"),
    ("ApplicationComponent", "Web portal"): (4, 5200, "it-development"),
    ("ApplicationComponent", "Call center application"): (3, 120, "it-development"),
    ("ApplicationComponent", "Financial Application"): (5, 45, "it-development"),
    ("ApplicationComponent", "Policy Data Management"): (5, 260, "it-development"),
    ("ApplicationComponent", "Claim Data Management"): (5, 200, "it-development"),
    ("ApplicationComponent", "Customer Data Access"): (4, 320, "it-development"),
    ("ApplicationComponent", "Home & Away Policy Administration"): (4, 90, "it-development"),
    ("ApplicationComponent", "Risk Assessment"): (3, 25, "it-development"),
}
# Layer: the team that owns its components, and their org unit where none is given above.
OWNERS = {
    "application": ("applications", "it-development"),
    "data": ("applications", "it-development"),
    "technology": ("infrastructure", "it-operations"),
}


def load_architecture(*, now: datetime, progress: Callable[[str], None] = lambda what: None) -> int:
    """Import ArchiSurance and give it the values above, and switch on the rule that finds most there, once. Answers how many components there are."""
    progress("ArchiSurance")
    if not Source.objects.filter(name=SOURCE).exists():
        actor = User.objects.get(username="ada")
        import_architecture(
            of_path(settings.BASE_DIR / "data" / SOURCE / FILE), actor=actor, now=now, format="archi", source=SOURCE, mode="apply", file_name=FILE
        )
        write_values(actor, now=now)
        save_rule(PolicyRule.objects.get(name=OWNED).pk, {"active": True}, actor=actor, now=now)
    return Component.objects.count()


@transaction.atomic
def write_values(actor: User, *, now: datetime) -> None:
    """All values as one revision outside of any change, each on the record."""
    applied = apply_operations(operations(), actor=actor.username, now=now, reason="Values for the demo", direct=True)
    for image in applied.images:
        found = differences(image.before, image.after)
        record(
            "component.updated",
            actor=actor.username,
            object=f"component:{image.key}",
            now=now,
            differences=found,
            data={"revision": applied.revision},
        )


def operations() -> Iterable[Operation]:
    """One update for each component the demo has values for."""
    for component in Component.objects.select_related("type", "layer").order_by("key"):
        data = values_of(component)
        if data:
            yield Operation(operation="update", object="component", key=component.key, data=data)


def values_of(component: Component) -> dict[str, Any]:
    """What the demo says about one component; empty for most of the business layer."""
    data: dict[str, Any] = {}
    if component.layer.name in OWNERS:
        data["owner"], data["org_unit"] = OWNERS[component.layer.name]
    if value := VALUES.get((component.type.name, component.name)):
        data["criticality"], data["users"], data["org_unit"] = value
    return data
