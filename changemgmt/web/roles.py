"""In which role somebody votes, said in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changemgmt.approvals.models import Power, Seat

if TYPE_CHECKING:
    from changemgmt.accounts.models import User

POWERS = {
    Power.VOTER: gettext_lazy("You vote as {label}."),
    Power.VETO: gettext_lazy("You vote as {label}. You hold a veto: rejecting ends the approval at once."),
    Power.DECIDING: gettext_lazy("You vote as {label}. In a tie your approval decides."),
    Power.ADVISORY: gettext_lazy("You advise as {label}. Your vote is shown and not counted."),
}


def role_of(seat: Seat, on_behalf_of: User | None) -> str:
    """What this person is at the seat, and for whom."""
    role = POWERS[Power(seat.power)].format(label=seat.label)
    if on_behalf_of is None:
        return role
    return f"{role} {_('You stand in for {name}: both names stand on record.').format(name=on_behalf_of.display_name)}"
