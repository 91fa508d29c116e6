"""The seeded roles, and the groups the seeded chains ask."""

from datetime import datetime

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet

ROLES = ("requester", "approver", "cab_member", "change_manager", "implementer", "auditor", "viewer", "administrator", "agent")
BOARDS = (
    "technical_lead",
    "operations_lead",
    "business_lead",
    "security_lead",
    "quality_lead",
    "customer_representative",
    "ecab",
    "architect",
    "stakeholder",
    "senior_management",
)
# Rights on one change are given per object by the verbs, never to a role.
PER_OBJECT = ("edit_change", "vote_change", "implement_change", "manage_change")


def seed(*, now: datetime) -> None:
    """Make the role groups and let administrators use the admin. Idempotent; keeps groups an administrator made."""
    for name in (*ROLES, *BOARDS):
        Group.objects.get_or_create(name=name)
    Group.objects.get(name="administrator").permissions.set(admin_permissions())


def admin_permissions() -> QuerySet[Permission]:
    """What the administrator role may open in the Django admin."""
    ours = Q(content_type__app_label="changemgmt") & ~Q(codename__in=PER_OBJECT)
    return Permission.objects.filter(ours | Q(content_type__app_label="auth", content_type__model="group"))
