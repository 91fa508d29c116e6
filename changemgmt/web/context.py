"""What the shell of every page shows: the product's name, the way around, and what waits."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from changemgmt.accounts.queries import has_role, roles_of
from changemgmt.approvals.queue import queue_of
from changemgmt.core.time import utc_now
from changemgmt.notifications.queries import unread_count

if TYPE_CHECKING:
    from changemgmt.accounts.models import User
    from changemgmt.core.labels import Label


@dataclass(frozen=True)
class Place:
    """One entry of the navigation: where, its icon, its label, which count it carries, and for whom."""

    path: str
    icon: str
    label: Label
    short: Label = ""
    count: str = ""
    roles: tuple[str, ...] = ()


WORK = (
    Place("/", "brief", _("My work"), _("Home")),
    Place("/approvals/", "inbox", _("My approvals"), _("Approvals"), "approvals"),
    Place("/changes/", "changes", _("Changes"), _("Changes")),
    Place("/calendar/", "calendar", _("Calendar"), _("Calendar")),
    Place("/cab/", "gavel", _("CAB meetings"), _("CAB")),
    Place("/architecture/", "graph", _("Architecture"), _("Architecture")),
)
BACK = (
    Place("/dashboard/", "dash", _("Dashboard")),
    Place("/reports/", "trend", _("Reports")),
    Place("/audit/", "audit", _("Audit"), roles=("auditor", "administrator", "change_manager")),
)


@functools.cache
def mounted(path: str) -> bool:
    """Whether a page answers there."""
    try:
        return bool(resolve(path))
    except Resolver404:
        return False


def counts_of(user: User, request: HttpRequest) -> dict[str, int]:
    """What waits for this person: votes (and how many of them are due within a day), and unread notifications."""
    now = getattr(request, "now", None) or utc_now()
    waiting = getattr(request, "queue", None)
    if waiting is None:
        waiting = queue_of(user, now)
    return {
        "approvals": len(waiting),
        "due": sum(row.is_due(now) for row in waiting),
        "unread": unread_count(user),
    }


def here(request: HttpRequest, places: tuple[Place, ...]) -> list[Place]:
    """The places that answer and that this person may open."""
    return [place for place in places if mounted(place.path) and (not place.roles or has_role(request.user, *place.roles))]


def current(path: str) -> str:
    """The place a path belongs to."""
    return next((place.path for place in (*WORK[1:], *BACK) if path.startswith(place.path)), "/" if path == "/" else "")


def shell(request: HttpRequest) -> dict[str, object]:
    """The context of `base.html`. Counts are asked for only when the shell is drawn."""
    common = {"product_name": settings.PRODUCT_NAME, "server_now": utc_now(), "zone_name": timezone.get_current_timezone_name()}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return common
    return common | {
        "roles": SimpleLazyObject(lambda: roles_of(user)),
        "counts": SimpleLazyObject(lambda: counts_of(user, request)),
        "nav_work": here(request, WORK),
        "nav_back": here(request, BACK),
        "nav_current": current(request.path),
        "search_path": "/search/" if mounted("/search/") else "/changes/",
        "has_profile": mounted("/profile/"),
        "has_notifications": mounted("/notifications/"),
    }
