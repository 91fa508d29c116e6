"""The register of doors: every way by which somebody could decide about a change, and what leads to it in the code.

`DOORS` are knocked at by the matrix. Whatever path or function has to do with approvals stands either with a door or in
`DECIDES_NOTHING` with its reason; tests in `test_matrix.py` compare both with the URL conf, the commands and the source.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from unittest.mock import patch

from django.conf import settings
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from changemgmt.accounts.actions import make_token
from changemgmt.accounts.models import User
from changemgmt.approvals.links import LENGTH, make_link
from changemgmt.approvals.models import Override
from changemgmt.core.errors import DomainError
from changemgmt.lifecycle.transitions import perform
from changemgmt.lifecycle.vote import cast_vote

from .stage import Stage

V1 = "/api/v1/"
NOT_SIGNED_IN = 401


class Visitor:
    """Somebody before a door, with their token and their session. All of them come by one client, which loads the middleware once."""

    pages, programs = Client(), APIClient()

    def __init__(self, stage: Stage, who: str, *, scope: str = "write") -> None:
        self.stage, self.who, self.user = stage, who, stage.people[who]
        self.key, self.session = "", ""
        if self.user is not None:
            _, self.key = make_token(self.user, days=30, scope=scope, name="test", now=stage.now)
            self.pages.cookies.clear()
            self.pages.force_login(self.user, backend="django.contrib.auth.backends.ModelBackend")
            self.session = self.pages.cookies[settings.SESSION_COOKIE_NAME].value

    @property
    def client(self) -> APIClient:
        """The API's client with this person's token."""
        self.programs.credentials(**({"HTTP_AUTHORIZATION": f"Token {self.key}"} if self.key else {}))
        return self.programs

    @property
    def browser(self) -> Client:
        """The pages' client with this person's session."""
        self.pages.cookies.clear()
        if self.session:
            self.pages.cookies[settings.SESSION_COOKIE_NAME] = self.session
        return self.pages

    def post(self, path: str, body: object) -> int:
        """The status of the API."""
        self.answer = self.client.post(f"{V1}{path}", body, format="json")
        return self.answer.status_code

    def send(self, path: str, fields: dict[str, object]) -> int:
        """The status of a page: a way to the sign-in is 401, any other way on is 200. In review as a plain form, else as htmx sends it."""
        headers = {} if self.stage.fresh().state == "in_review" else {"HX-Request": "true"}
        self.answer = self.browser.post(path, fields, headers=headers)
        status = self.answer.status_code
        if status == 302:
            return NOT_SIGNED_IN if "/login/" in self.answer["Location"] else 200
        return {204: 200, 422: 400}.get(status, status)

    def say(self, *words: str) -> int:
        """The status of `manage.py change …`: of the problem it prints, else 200."""
        out, errors = StringIO(), StringIO()
        environment = {"COUNTERSIGN_TOKEN": self.key}
        try:
            with patch.dict(os.environ, environment):
                call_command("change", *words, "--json", stdout=out, stderr=errors)
        except SystemExit:
            said = json.loads(errors.getvalue() or out.getvalue())
            return int(said["status"] if isinstance(said, dict) else said[0]["problem"]["status"])
        return 200

    def call(self, verb: Callable[..., object], *args: object, **said: object) -> int:
        """The status of a verb called by itself."""
        try:
            verb(*args, actor=self.user, now=self.stage.now, **said)
        except DomainError as error:
            return error.status
        return 200


# --- knocking ---


def by_verb(who: Visitor) -> int:
    return who.call(cast_vote, who.stage.seat.pk, vote="approve", digest=who.stage.digest, comment="Said.")


def by_api(who: Visitor) -> int:
    return who.post(f"approvals/{who.stage.seat.pk}/vote/", {"digest": who.stage.digest, "vote": "approve", "comment": "Said."})


def by_api_bulk(who: Visitor) -> int:
    votes = [{"id": who.stage.seat.pk, "digest": who.stage.digest}]
    status = who.post("approvals/bulk-vote/", {"votes": votes, "vote": "approve", "comment": "Said."})
    return status if status != 200 or (one := who.answer.json()[0])["ok"] else one["problem"]["status"]


def by_api_reconfirm(who: Visitor) -> int:
    return who.post(f"approvals/{who.stage.seat.pk}/reconfirm/", {"digest": who.stage.digest})


def by_page(who: Visitor) -> int:
    return who.send(f"/approvals/{who.stage.seat.pk}/vote/", {"vote": "approve", "digest": who.stage.digest, "read": "on", "comment": "Said."})


def by_page_bulk(who: Visitor) -> int:
    seat = who.stage.seat.pk
    status = who.send("/approvals/bulk/", {"id": [seat], f"digest-{seat}": who.stage.digest, "comment": "Said."})
    left_out = status == 200 and any("was left out" in str(said) for said in get_messages(who.answer.wsgi_request))
    return 409 if left_out else status


def by_page_reconfirm(who: Visitor) -> int:
    return who.send(f"/approvals/{who.stage.seat.pk}/reconfirm/", {"digest": who.stage.digest})


def by_command(who: Visitor) -> int:
    return who.say("vote", who.stage.change.number, "--vote", "approve", "--digest", who.stage.digest, "--comment", "Said.")


SYSTEM = ("approve", "approve_with_conditions", "reject", "auto_approve")
"""Transitions that only the votes make."""


def system_transition(who: Visitor) -> str:
    """One of them, another for each person, so that every door is knocked at for each in each state."""
    return SYSTEM[list(who.stage.people).index(who.who) % len(SYSTEM)]


def by_command_bulk(who: Visitor) -> int:
    return who.say("bulk-vote", f"{who.stage.seat.pk}={who.stage.digest}", "--vote", "approve", "--comment", "Said.")


def by_command_reconfirm(who: Visitor) -> int:
    return who.say("reconfirm", who.stage.change.number, "--seat", str(who.stage.seat.pk), "--digest", who.stage.digest)


def by_transition_verb(who: Visitor) -> int:
    return who.call(perform, who.stage.change.number, system_transition(who), {}, seen="*")


def by_api_transition(who: Visitor) -> int:
    return who.post(f"changes/{who.stage.change.number}/transitions/{system_transition(who)}/", {})


def by_page_transition(who: Visitor) -> int:
    return who.send(f"/changes/{who.stage.change.number}/do/{system_transition(who)}/", {"comment": "Said."})


def by_command_transition(who: Visitor) -> int:
    return who.say("transition", who.stage.change.number, system_transition(who))


def by_admin(who: Visitor) -> int:
    """Running records are there to be looked at: a form of theirs saves nothing."""
    round = who.stage.change.rounds.last()
    status = who.send(f"/admin/changemgmt/round/{round.pk}/change/", {"outcome": "approved"})
    return status if status != 200 else 403 if "/admin/login/" in who.answer["Location"] else 200


def by_writing_the_state(who: Visitor) -> int:
    """Another state than it is in: what a field is already may be said again."""
    change = who.stage.fresh()
    body = {"state": "approved" if change.state != "approved" else "approved_with_conditions"}
    return who.client.patch(f"{V1}changes/{change.number}/", body, format="json").status_code


def by_making_it_approved(who: Visitor) -> int:
    return who.post("changes/", {"title": "Approved already", "state": "approved"})


def by_command_making_it_approved(who: Visitor) -> int:
    return who.say("submit", "--draft", "--title", "Approved already", "--set", "state=approved")


def by_own_link(who: Visitor) -> int:
    """The link of a mail to this person, opened where they are signed in."""
    return who.send(link_for(who, who.user), {"comment": "Said."}) if who.user else who.send(f"/approvals/link/{'x' * LENGTH}/", {})


def by_link_of_an_approver(who: Visitor) -> int:
    """The link of a mail to an approver, which came into this person's hands."""
    return who.send(link_for(who, who.stage.people["approver"]), {"comment": "Said."})


def by_link_of_a_guest(who: Visitor) -> int:
    """The link of a mail to a guest, without the code that went another way."""
    return who.send(link_for(who, who.stage.guest), {"comment": "Said."})


def link_for(who: Visitor, user: User) -> str:
    """A new link; the row of it is part of the coming."""
    seat = who.stage.seat
    return make_link(seat, user, "approve", now=who.stage.now, expires_at=who.stage.now + timedelta(hours=72))


def by_asking_an_override(who: Visitor) -> int:
    status = who.post(f"changes/{who.stage.change.number}/override/", {"level": "First", "decision": "approve", "reason": "It can't wait."})
    return 200 if status == 201 else status


def by_confirming_an_override(who: Visitor) -> int:
    row = who.stage.change.overrides.get()
    return who.post(f"changes/{who.stage.change.number}/override/{row.pk}/confirm/", {})


def by_page_asking_an_override(who: Visitor) -> int:
    path = f"/changes/{who.stage.change.number}/override/"
    return who.send(path, {"level": "First", "decision": "approve", "reason": "It can't wait."})


def by_page_confirming_an_override(who: Visitor) -> int:
    return who.send(f"/changes/{who.stage.change.number}/override/{who.stage.change.overrides.get().pk}/", {})


def by_command_asking_an_override(who: Visitor) -> int:
    return who.say("override", who.stage.change.number, "--level", "First", "--decision", "approve", "--reason", "It can't wait.")


def by_command_confirming_an_override(who: Visitor) -> int:
    return who.say("override", who.stage.change.number, "--confirm", str(who.stage.change.overrides.get().pk))


def by_go_ahead(who: Visitor) -> int:
    return who.post(f"changes/{who.stage.change.number}/transitions/emergency_go_ahead/", {"reason": "It burns."})


def asked_by_another(stage: Stage) -> None:
    """An override that waits for its second person."""
    level = stage.seat.level
    Override.objects.create(
        change=stage.change,
        level=level,
        decision="approve",
        reason="It can't wait.",
        digest=level.digest,
        asked_by=stage.cast.otto,
        asked_at=stage.now,
    )


@dataclass(frozen=True)
class Door:
    """A way to decide: how it is knocked at, and what it consists of.

    `kind` says what it answers (see the table in `test_matrix.py`); `shut` ones refuse everybody in every state.
    `prepare` sets up what has to be there before.
    """

    knock: Callable[[Visitor], int]
    kind: str
    prepare: Callable[[Stage], None] | None = None
    routes: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()


def door(
    knock: Callable[[Visitor], int],
    kind: str,
    *,
    routes: str = "",
    callers: str = "",
    commands: str = "",
    prepare: Callable[[Stage], None] | None = None,
) -> Door:
    return Door(knock, kind, prepare, frozenset(routes.split()), frozenset(callers.split()), frozenset(commands.split()))


DOORS: dict[str, Door] = {
    "verb": door(by_verb, "verb", callers="lifecycle.vote:cast_vote"),
    "API": door(by_api, "API", routes="api/v1/approvals/<int:pk>/vote/", callers="api.approvals:CastVote.post"),
    "API, bulk": door(
        by_api_bulk, "API bulk", routes="api/v1/approvals/bulk-vote/",
        callers="api.approvals:BulkVote.post lifecycle.vote:bulk_vote lifecycle.vote:bulk_one",
    ),
    "API, reconfirm": door(
        by_api_reconfirm, "API reconfirm", routes="api/v1/approvals/<int:pk>/reconfirm/",
        callers="api.approvals:Reconfirm.post lifecycle.reconfirm:reconfirm_vote",
    ),
    "page": door(by_page, "page", routes="approvals/<int:seat>/vote/", callers="web.approvals:perform"),
    "page, bulk": door(by_page_bulk, "page bulk", routes="approvals/bulk/", callers="web.queue:bulk"),
    "page, reconfirm": door(by_page_reconfirm, "page reconfirm", routes="approvals/<int:seat>/reconfirm/", callers="web.seats:reconfirm"),
    "command": door(by_command, "command", callers="management.change.approving:give", commands="vote cab-review"),
    "command, bulk": door(by_command_bulk, "command bulk", callers="management.change.queueing:vote_on_several", commands="bulk-vote"),
    "command, reconfirm": door(by_command_reconfirm, "command reconfirm", callers="management.change.approving:reconfirm", commands="reconfirm"),
    "mail link of one's own": door(
        by_own_link, "link", routes="approvals/link/<str:token>/", callers="lifecycle.mail_links:cast_by lifecycle.mail_links:use_link web.links:vote"
    ),
    "mail link of an approver": door(by_link_of_an_approver, "another's link", routes="approvals/link/<str:token>/"),
    "mail link of a guest": door(by_link_of_a_guest, "guest's link", routes="approvals/link/<str:token>/"),
    "override, asked": door(
        by_asking_an_override, "override", routes="api/v1/changes/<str:number>/override/",
        callers="api.overrides:Overrides.post",
    ),
    "override, confirmed": door(
        by_confirming_an_override, "second override", routes="api/v1/changes/<str:number>/override/<int:pk>/confirm/", prepare=asked_by_another,
        callers="lifecycle.override:decide api.overrides:Confirm.post",
    ),
    "page, override asked": door(
        by_page_asking_an_override, "override", routes="changes/<str:number>/override/", callers="web.overrides:asked"
    ),
    "page, override confirmed": door(
        by_page_confirming_an_override, "second override", routes="changes/<str:number>/override/<int:override>/", prepare=asked_by_another,
        callers="web.overrides:override",
    ),
    "command, override asked": door(
        by_command_asking_an_override, "override", callers="management.change.overriding:override", commands="override"
    ),
    "command, override confirmed": door(
        by_command_confirming_an_override, "second override", prepare=asked_by_another, callers="management.change.overriding:override", commands="override"
    ),
    "API, go-ahead": door(by_go_ahead, "go-ahead", routes="api/v1/changes/<str:number>/transitions/<str:name>/", callers="lifecycle.go_ahead:give"),
    "admin": door(by_admin, "admin"),
    "API, state written": door(by_writing_the_state, "field", routes="api/v1/changes/<str:number>/"),
    "API, made as approved": door(by_making_it_approved, "field", routes="api/v1/changes/"),
    "command, made as approved": door(by_command_making_it_approved, "field", commands="submit"),
    "transition": door(by_transition_verb, "shut verb"),
    "API, transition": door(by_api_transition, "shut", routes="api/v1/changes/<str:number>/transitions/<str:name>/"),
    "page, transition": door(by_page_transition, "shut", routes="changes/<str:number>/do/<slug:name>/"),
    "command, transition": door(by_command_transition, "shut command", commands="transition"),
}  # fmt: skip

# --- what stands near a decision and makes none ---

DECIDES_NOTHING: dict[str, str] = {
    "It answers what is there.": """
        api/v1/approvals/ api/v1/approvals/coverage/ api/v1/overrides/ api/v1/changes/<str:number>/approval/ api/v1/changes/<str:number>/blockers/
        api/v1/changes/<str:number>/override/<int:pk>/ api/v1/changes/<str:number>/transitions/ api/v1/changes/<str:number>/gate/
        api/v1/changes/<str:number>/diff/ api/v1/changes/<str:number>/preview/stacked/ api/v1/changes/<str:number>/versions/ api/v1/changes/<str:number>/versions/diff/
        api/v1/changes/<str:number>/versions/<int:version>/ api/v1/changes/<str:number>/windows/ api/v1/changes/<str:number>/conflicts/
        api/v1/changes/<str:number>/attachments/<int:pk>/download/ approvals/ approvals/<int:seat>/ approvals/coverage/ audit/overrides/
        changes/<str:number>/ changes/<str:number>/attachments/<uuid:uuid>/ changes/<str:number>/preview/state/ changes/<str:number>/impact/export/
        changes/<str:number>/preview/stacked/ changes/<str:number>/diff/ changes/<str:number>/sandbox/
        changes/<str:number>/sandbox/component/ api/v1/changes/<str:number>/sandbox/
    """,
    "It says who may vote, not what; tests of its own show who may say so.": """
        api/v1/approvals/<int:pk>/claim/ api/v1/approvals/<int:pk>/release/ api/v1/approvals/<int:pk>/reassign/
        approvals/<int:seat>/claim/ approvals/<int:seat>/release/ approvals/<int:seat>/reassign/
        api/v1/changes/<str:number>/guests/ api/v1/changes/<str:number>/guests/<int:pk>/
        changes/<str:number>/guests/ changes/<str:number>/guests/<int:guest>/revoke/
        api/v1/delegations/ api/v1/delegations/<int:pk>/
        profile/delegations/ profile/delegations/back/ profile/delegations/<int:key>/ profile/delegations/<int:key>/revoke/
    """,
    "It takes a decision back or asks before it; it never makes one.": """
        api/v1/approvals/<int:pk>/withdraw/ approvals/<int:seat>/withdraw/ api/v1/approvals/<int:pk>/request-information/
        api/v1/changes/<str:number>/override/<int:pk>/withdraw/ changes/<str:number>/override/<int:override>/withdraw/
    """,
    "It configures chains for changes to come; rounds that run keep the chain they began with.": """
        api/v1/approval-chains/ api/v1/approval-chains/check/ api/v1/approval-chains/dry-run/ api/v1/approval-chains/replay/
        api/v1/approval-chains/<int:pk>/ api/v1/approval-chains/<int:pk>/check/ api/v1/approval-chains/<int:pk>/activate/
        api/v1/approval-chains/<int:pk>/replay/
    """,
    "It meets obligations of approvals that were given.": """
        api/v1/changes/<str:number>/action-items/ api/v1/changes/<str:number>/action-items/<int:pk>/evidence/
        api/v1/changes/<str:number>/action-items/<int:pk>/accept/ api/v1/changes/<str:number>/action-items/<int:pk>/waive/
        changes/<str:number>/conditions/<int:condition>/evidence/ changes/<str:number>/conditions/<int:condition>/accept/
        changes/<str:number>/conditions/<int:condition>/waive/
    """,
    "It keeps a view of a list.": "api/v1/saved-filters/ api/v1/saved-filters/<int:pk>/ filters/ filters/<int:key>/remove/",
    "It writes content, which makes votes fall and never gives one.": """
        api/v1/changes/<str:number>/items/ api/v1/changes/<str:number>/items/import/ api/v1/changes/<str:number>/items/<int:pk>/
        api/v1/changes/<str:number>/plan/ api/v1/changes/<str:number>/plan/steps/ api/v1/changes/<str:number>/plan/steps/<str:step>/
        api/v1/changes/<str:number>/assessment/ api/v1/changes/<str:number>/impact/ api/v1/changes/<str:number>/preview/
        api/v1/changes/<str:number>/preview/cancel/ changes/<str:number>/preview/cancel/
        api/v1/changes/<str:number>/preview/rebase/ changes/<str:number>/preview/rebase/
        api/v1/changes/<str:number>/sandbox/capture/
        changes/<str:number>/sandbox/component/edit/ changes/<str:number>/sandbox/relation/ changes/<str:number>/sandbox/remove/
        changes/<str:number>/sandbox/back/
        api/v1/changes/<str:number>/comments/ api/v1/changes/<str:number>/attachments/ api/v1/changes/<str:number>/attachments/<int:pk>/
        api/v1/changes/<str:number>/links/ api/v1/changes/<str:number>/links/<int:pk>/
        api/v1/changes/<str:number>/watchers/ api/v1/changes/<str:number>/watchers/<str:username>/
        changes/<str:number>/edit/ changes/<str:number>/items/add/ changes/<str:number>/items/component/ changes/<str:number>/items/component/new/
        changes/<str:number>/items/component/delete/ changes/<str:number>/items/relation/new/ changes/<str:number>/items/relation/delete/
        changes/<str:number>/items/<int:item>/ changes/<str:number>/items/<int:item>/remove/ changes/<str:number>/plan/
        changes/<str:number>/impact/ changes/<str:number>/preview/ changes/<str:number>/comments/ changes/<str:number>/watch/
        changes/<str:number>/attachments/ changes/<str:number>/attachments/<int:attachment>/remove/ changes/<str:number>/links/
        changes/<str:number>/links/<int:link>/remove/ changes/<str:number>/risk/
    """,
    "It carries out what was decided, behind guards that ask for the approval.": """
        api/v1/changes/<str:number>/executions/ api/v1/changes/<str:number>/verification/ changes/<str:number>/schedule/
        changes/<str:number>/do/schedule/ changes/<str:number>/results/
    """,
}
NEAR = ("approv", "vote", "overrid", "guest", "link", "claim", "delegat", "decid", "bulk", "filters", "changes/<str:number>/", "/do/")
"""Words of paths that stand near a decision, wherever they are mounted."""

COMMANDS_DECIDE_NOTHING: dict[str, str] = {
    "It answers what is there.": "list show export preview impact windows gate assess queue blockers",
    "It says who may vote, not what.": "claim release reassign guests",
    "It takes a decision back; it never makes one.": "withdraw",
    "It writes content.": "items plan rebase sandbox",
    "It meets obligations.": "evidence accept",
    "It carries out what was decided.": "schedule execute step review",
}

RECOUNTS: dict[str, str] = {
    "The function of every door itself, and what it is made of.": """
        lifecycle.vote:cast_vote lifecycle.vote:bulk_vote lifecycle.vote:bulk_one lifecycle.reconfirm:reconfirm_vote approvals.casting:record_vote
    """,
    "A vote that still covers the content goes along into the next round, by the same person and at the same seat.": """
        approvals.actions:open_round approvals.carrying:carry_votes approvals.carrying:carry_level approvals.carrying:carry_vote
    """,
    "Who may sit, or what is asked, has changed: the votes that are there are counted again.": """
        lifecycle.claim:reassign_seat lifecycle.delegate:settle_again lifecycle.invite_guest:after lifecycle.membership:judge_again
        lifecycle.review:begin lifecycle.review:renew_round lifecycle.reopen_review:ask_afterwards_again
    """,
    "A go-ahead opens a round that decides afterwards; the door is in the matrix.": "lifecycle.go_ahead:give",
    "A level whose time is over does what its chain says; never an approval where the risk is not low.": """
        lifecycle.time_out:carry_out lifecycle.time_out:consent lifecycle.time_out:turn_down
    """,
    "A condition nobody met in time ends the approval that demanded it.": "lifecycle.expire:turn_down",
    "Two named people instead of the seats; both doors are in the matrix.": "lifecycle.override:decide",
    "The demonstration casts its votes through the same function.": "management.demo.changes:approve",
}
DECIDERS = {
    "cast_vote", "bulk_vote", "bulk_one", "reconfirm_vote", "record_vote", "decide_otherwise", "conclude", "carry_votes", "carry_vote", "carry_level",
    "use_link", "cast_by", "ask_override", "confirm_override",
}  # fmt: skip
"""Functions by which a change comes nearer to a decision: whoever names one of them stands with a door or in `RECOUNTS`."""


def words_of(table: dict[str, str]) -> set[str]:
    return {word for words in table.values() for word in words.split()}
