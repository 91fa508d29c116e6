"""`manage.py delegations …`: who stands in for whom, and on which days a seat has nobody."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable

from changemgmt.accounts.delegations import delegation_shape, delegations_seen_by, standing_of
from changemgmt.accounts.models import Delegation
from changemgmt.accounts.queries import has_role
from changemgmt.approvals import coverage
from changemgmt.core.errors import Invalid, NotPermitted
from changemgmt.lifecycle import delegate as verbs
from changemgmt.management.acting import ActingCommand
from changemgmt.management.change.call import HOW, Call


class Command(ActingCommand):
    name = "delegations"
    help = f"Stands in, ends standing in, and looks ahead, through the same rules as the pages and the API. {HOW}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act_name", required=True, metavar="ACT")

        def act(name: str, run: Callable[[Call], None], words: str) -> ArgumentParser:
            made = acts.add_parser(name, help=words, description=words)
            made.set_defaults(run=run)
            made.add_argument("--as", dest="username", metavar="USER", help="who acts; the password is asked for (instead of COUNTERSIGN_TOKEN)")
            made.add_argument("--json", action="store_true", help="answer as JSON")
            return made

        act("list", show, "those you gave and those you hold; all of them for administrators and auditors")
        give = act("add", add, "let somebody vote for you")
        give.add_argument("delegate", metavar="USER", help="who votes")
        give.add_argument("--until", required=True, metavar="TIME", help="up to when, such as 2026-12-01 or 2026-12-01T17:00:00Z")
        give.add_argument("--from", dest="since", metavar="TIME", help="from when on (now)")
        give.add_argument(
            "--scope", default="all", metavar="KIND[=VALUE]", help=f"one of {', '.join(Delegation.Scope.values)}, such as type=emergency (all)"
        )
        give.add_argument("--for", dest="delegator", metavar="USER", help="whose votes, said by an administrator (your own)")
        give.add_argument("--reason", default="")
        give.add_argument("--out-of-office", action="store_true", help="you are away: it ends when you say that you are back")
        other = act("change", change, "another end, or another reason")
        other.add_argument("id", type=int)
        other.add_argument("--until", metavar="TIME")
        other.add_argument("--reason")
        end = act("revoke", revoke, "end one at once; its record stays")
        end.add_argument("id", type=int)
        ahead = act("coverage", forecast, "the coming days on which a seat has nobody")
        ahead.add_argument("--days", type=int, default=coverage.DAYS, help=f"how many, 1 to {coverage.MOST_DAYS} ({coverage.DAYS})")


def show(call: Call) -> None:
    rows = list(delegations_seen_by(call.person[0]))
    call.answer([delegation_shape(row, call.now) for row in rows], [line(row, call) for row in rows] or "None.")


def add(call: Call) -> None:
    kind, _equals, value = call.scope.partition("=")
    row = verbs.delegate(
        call.delegate,
        starts_at=call.moment("since"),
        ends_at=call.moment("until") or call.now,
        scope=(kind, value),
        delegator=call.delegator,
        reason=call.reason,
        out_of_office=call.out_of_office,
        **call.acting,
    )
    call.answer(delegation_shape(row, call.now), line(row, call))


def change(call: Call) -> None:
    row = verbs.change_delegation(call.id, ends_at=call.moment("until"), reason=call.options["reason"], **call.acting)
    call.answer(delegation_shape(row, call.now), line(row, call))


def revoke(call: Call) -> None:
    row = verbs.revoke_delegation(call.id, **call.acting)
    call.answer(delegation_shape(row, call.now), line(row, call))


def forecast(call: Call) -> None:
    if not has_role(call.person[0], *coverage.READERS):
        raise NotPermitted(f"This needs one of these roles: {', '.join(coverage.READERS)}.")
    if not 1 <= call.days <= coverage.MOST_DAYS:
        raise Invalid.field("days", f"Give a whole number from 1 to {coverage.MOST_DAYS}.")
    gaps = coverage.gaps(now=call.now, days=call.days)
    lines = [f"{gap.date}  {gap.chain}, {gap.level}: {gap.seat}" for gap in gaps]
    call.answer([gap.shape() for gap in gaps], lines or f"Every seat has somebody on each of the coming {call.days} days.")


def line(row: Delegation, call: Call) -> str:
    """One delegation for a reader."""
    scope = f"{row.scope_kind}={row.scope_value}" if row.scope_value else row.scope_kind
    times = f"{row.starts_at:%Y-%m-%d %H:%M} to {row.ends_at:%Y-%m-%d %H:%M} UTC"
    return f"{row.pk}  {row.delegate.username} votes for {row.delegator.username}, {times}, {scope}, {standing_of(row, call.now)}"
