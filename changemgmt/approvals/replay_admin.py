"""The page of the admin that replays a chain over past months: a form, the table of what moves, and the changes that move."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from changemgmt.accounts.admin_base import actor_of
from changemgmt.accounts.queries import has_role
from changemgmt.core.errors import DomainError
from changemgmt.core.time import utc_now

from .models import Chain
from .replay import LISTED, draft_to_replay, period_of, replay

MONTHS = 3


def replay_view(admin: ModelAdmin, request: HttpRequest, key: str) -> HttpResponse:
    """What the saved configuration of this chain would have meant. Administrators only, as in the API."""
    chain = Chain.objects.filter(pk=key).first() if key.isascii() and key.isdigit() and len(key) < 10 else None
    actor = actor_of(request)
    if chain is None or not has_role(actor, "administrator"):
        raise Http404
    now, found, errors = utc_now(), None, {}
    asked = {name: request.GET.get(name, "").strip()[:20] for name in ("from", "to", "offset")}
    if asked["from"] or asked["to"]:
        try:
            period = period_of(asked["from"], asked["to"])
            found = replay(draft_to_replay(chain), period, now=now, viewer=actor, offset=offset_of(asked["offset"]))
        except DomainError as error:
            errors = {name: " ".join(words) for name, words in error.errors.items()}
    else:
        asked |= {"from": (now - timedelta(days=MONTHS * 30)).date().isoformat(), "to": now.date().isoformat()}
    context: dict[str, Any] = {
        "title": _("Replay %(chain)s over past changes") % {"chain": chain.name},
        "opts": admin.opts, "chain": chain, "asked": asked, "found": found, "errors": errors, "listed": LISTED,
        "previous": max(offset_of(asked["offset"]) - LISTED, 0) if offset_of(asked["offset"]) else None,
    }  # fmt: skip
    return TemplateResponse(request, "admin/changemgmt/chain/replay.html", {**admin.admin_site.each_context(request), **context})


def offset_of(text: str) -> int:
    """How many moved changes to leave out; what is no such number is none."""
    return int(text) if text.isascii() and text.isdigit() else 0
