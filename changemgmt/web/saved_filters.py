"""Saved filters on the pages: links to what was kept, a form to keep what is shown, and one to forget."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.utils.translation import gettext as _

from changemgmt.accounts.models import SavedFilter, User
from changemgmt.lifecycle import saved_filters as verbs

from .base import PageRequest, done, page, said

PAGES = {SavedFilter.Page.APPROVALS: "/approvals/", SavedFilter.Page.CHANGES: "/changes/"}


def kept(user: User, name: str, query: str) -> dict[str, Any]:
    """What the part of a list page needs that shows this person's filters; `query` is what narrows the list now."""
    rows = list(SavedFilter.objects.filter(user=user, page=name))
    return {"rows": rows, "page": name, "path": PAGES[SavedFilter.Page(name)], "query": query, "known": any(row.query == query for row in rows)}


@page("POST")
def keep(request: PageRequest) -> HttpResponse:
    """Keep the filter that the form carries, and go to it."""
    row = verbs.save_filter(said(request, "name", "page", "query"), actor=request.user, now=request.now)
    return done(request, _("The filter “%(name)s” is kept.") % {"name": row.name}, f"{PAGES[SavedFilter.Page(row.page)]}?{row.query}")


@page("POST")
def forget(request: PageRequest, key: int) -> HttpResponse:
    """Forget one of one's own filters."""
    row = verbs.remove_filter(key, actor=request.user)
    return done(request, _("The filter “%(name)s” is removed.") % {"name": row.name}, PAGES[SavedFilter.Page(row.page)])


urlpatterns = [
    path("filters/", keep, name="filter-keep"),
    path("filters/<int:key>/remove/", forget, name="filter-forget"),
]
