"""The inbox: what this person was told, newest first."""

from __future__ import annotations

from django.db.models import Max
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _

from changemgmt.notifications.actions import mark_all_read, mark_read
from changemgmt.notifications.queries import inbox, unread_count

from .base import PageRequest, done, page
from .paging import newest_first


@page()
def notifications(request: PageRequest) -> HttpResponse:
    """What this person was told; `?unread=1` only what is not read yet."""
    rows, only_unread = inbox(request.user), request.GET.get("unread") == "1"
    shown = newest_first(rows.filter(read_at=None) if only_unread else rows, request)
    context = {"page": shown, "only_unread": only_unread, "unread": unread_count(request.user), "newest": rows.aggregate(newest=Max("pk"))["newest"]}
    return render(request, "notifications/list.html", context)


@page("POST")
def read(request: PageRequest, key: int) -> HttpResponse:
    """Mark one as read and go to what it tells of, or stay with `stay=1`."""
    row = mark_read(request.user, key, now=request.now)
    return redirect("/notifications/" if request.POST.get("stay") or not row.url else row.url)


@page("POST")
def read_all(request: PageRequest) -> HttpResponse:
    """Mark everything this person was shown as read."""
    newest = request.POST.get("newest", "")
    mark_all_read(request.user, now=request.now, newest=int(newest) if newest.isascii() and newest.isdigit() and len(newest) < 19 else None)
    return done(request, _("Everything is marked as read."), "/notifications/")


urlpatterns = [
    path("notifications/", notifications, name="notifications"),
    path("notifications/read/", read_all, name="notifications-read"),
    path("notifications/<int:key>/read/", read, name="notification-read"),
]
