"""The roles in words, and in which one somebody votes, said in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.approvals.models import Power, Seat

if TYPE_CHECKING:
    from changemgmt.accounts.models import User

ROLES = {
    "requester": gettext_lazy("Requester"),
    "approver": gettext_lazy("Approver"),
    "cab_member": gettext_lazy("CAB member"),
    "change_manager": gettext_lazy("Change manager"),
    "implementer": gettext_lazy("Implementer"),
    "auditor": gettext_lazy("Auditor"),
    "viewer": gettext_lazy("Viewer"),
    "administrator": gettext_lazy("Administrator"),
    "agent": gettext_lazy("Agent"),
    "technical_lead": gettext_lazy("Technical lead"),
    "operations_lead": gettext_lazy("Operations lead"),
    "business_lead": gettext_lazy("Business lead"),
    "security_lead": gettext_lazy("Security lead"),
    "quality_lead": gettext_lazy("Quality lead"),
    "customer_representative": gettext_lazy("Customer representative"),
    "ecab": gettext_lazy("ECAB"),
    "architect": gettext_lazy("Architect"),
    "stakeholder": gettext_lazy("Stakeholder"),
    "senior_management": gettext_lazy("Senior management"),
}
"""The roles that are brought along, as people read them."""
POWERS = {
    Power.VOTER: gettext_lazy("You vote as {label}."),
    Power.VETO: gettext_lazy("You vote as {label}. You hold a veto: rejecting ends the approval at once."),
    Power.DECIDING: gettext_lazy("You vote as {label}. In a tie your approval decides."),
    Power.ADVISORY: gettext_lazy("You advise as {label}. Your vote is shown and not counted."),
}


def role_name(group: str) -> str:
    """The name of a group for people. One that an administrator made is called what they called it."""
    return str(ROLES.get(group, group))


def role_of(seat: Seat, on_behalf_of: User | None) -> str:
    """What this person is at the seat, and for whom."""
    role = POWERS[Power(seat.power)].format(label=seat.label)
    if on_behalf_of is None:
        return role
    return f"{role} {_('You stand in for {name}: both names stand on record.').format(name=on_behalf_of.display_name)}"
