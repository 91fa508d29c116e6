"""What of the findings keeps a change from being submitted and started: errors it brings, by rules an administrator made block."""

from __future__ import annotations

from changemgmt.architecture.catalogue import Catalogue
from changemgmt.architecture.impact import trusted
from changemgmt.changes.models import Change, Preview
from changemgmt.core.reading import once

from .checks import Check
from .compute import overlay_images
from .drift import base_of
from .policies import active_policies, policy_findings


@once
def blocking_findings(change: Change) -> list[Check]:
    """On the architecture and the rules of this moment; what it reaches is taken from its preview."""
    policies = active_policies(blocks=True)
    if not policies:
        return []
    kept = Preview.objects.filter(change=change).values_list("impact", flat=True).first() if any(one.reached for one in policies) else None
    reached = trusted((kept or {}).get("affected", []))
    return [row for row in policy_findings(policies, overlay_images(base_of(change), Catalogue.load()), reached) if row["blocks"]]
