"""Saying on the spot whether a relation is so, and what the pages show of a relation that is in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from changemgmt.lifecycle.judge_relation import confirm_relation, may_judge_all, refute_relation

from .base import PageRequest, attempt, done, page, said, sentence_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from changemgmt.accounts.models import User


@page("POST")
def judge(request: PageRequest) -> HttpResponse:
    """Confirm or refute the relation named by the form, and go back to where the form was."""
    given = said(request, "key", "act", "reason", "next")
    to = given["next"] if url_has_allowed_host_and_scheme(given["next"], allowed_hosts=None) else "/architecture/"
    if given["act"] == "refute":
        _row, refusal = attempt(request, lambda: refute_relation(given["key"], actor=request.user, now=request.now, reason=given["reason"]))
        text = _("Refuted. It conducts nothing any more; a change can remove it.")
    else:
        _row, refusal = attempt(request, lambda: confirm_relation(given["key"], actor=request.user, now=request.now))
        text = _("Confirmed.")
    if refusal is None:
        return done(request, text, to)
    messages.error(request, sentence_of(refusal))
    return HttpResponse(status=204, headers={"HX-Redirect": to}) if request.htmx else redirect(to)


def in_doubt(rows: Iterable[Mapping[str, Any]], names: Mapping[str, str], viewer: User) -> list[dict[str, Any]]:
    """The doubtful relations on the paths of these reached components, each once, the one most paths go over first.

    `may` says whether the viewer may confirm or refute it.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for before, step in zip(row["path"], row["path"][1:], strict=False):
            if not step.get("relation_key"):
                continue
            ends = [names.get(node["key"], node["key"]) for node in (before, step)]
            source, target = ends if step["direction"] == "forward" else reversed(ends)
            entry = found.setdefault(
                step["relation_key"],
                {"key": step["relation_key"], "trust": step["trust"], "source": source, "target": target, "type": step["relation"], "count": 0},
            )
            entry["count"] += 1
    verdicts = may_judge_all(found, actor=viewer)
    return [entry | {"may": verdicts[key].allowed} for key, entry in sorted(found.items(), key=lambda pair: (-pair[1]["count"], pair[0]))]


urlpatterns = [path("architecture.relation", judge, name="relation-judge")]
