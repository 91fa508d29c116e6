"""Beginning and renewing a review: preview and assessment first, then the chain that matches, then its round."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.accounts.queries import usernames_with_role
from changemgmt.approvals.actions import close_round, open_round
from changemgmt.approvals.matching import chain_text, chains_for, unfilled
from changemgmt.approvals.models import Round
from changemgmt.audit.actions import record
from changemgmt.audit.models import Event
from changemgmt.changes.actions import seal_version
from changemgmt.changes.facts import facts_of
from changemgmt.changes.models import Change, State, Template
from changemgmt.conditions.rules import Facts, holds
from changemgmt.core.reading import once
from changemgmt.core.verdict import Guard, Verdict
from changemgmt.preview.compute import Computed

from .compute_aside import compute_aside
from .conclude import conclude, type_expiry
from .move import move
from .prepare import at_once, bring_up_to_date, has_preview, is_prepared, prepare
from .rights import settle_rights

WAIT_SECONDS = 20.0
"""For so long a review waits for a preview that somebody else computes; the sweep takes it up after that."""


def review(number: str, *, now: datetime, actor: User | None = None, patience: float = WAIT_SECONDS) -> Change:
    """Carry a submitted or amended change as far as it goes by itself. Asked again, it changes nothing.

    What is missing of its preview is computed first; where somebody computes it already, their result is waited for, up to `patience` seconds.
    """

    def settle(change: Change, computed: Computed | None) -> None:
        if not waits(change):
            return
        if computed:
            prepare(change, now=now, computed=computed)
            change.save()
        if change.state == State.SUBMITTED:
            begin(change, now=now)
        else:
            renew_round(change, actor=actor, now=now, reason="computed", by_task=True)

    compute_aside(number, needed=lambda change: waits(change) and not has_preview(change), settle=settle, now=now, patience=patience)
    return Change.objects.get(number=number)


def waits(change: Change) -> bool:
    """Whether its review is still to begin, or to begin again."""
    return change.state == State.SUBMITTED or (change.state == State.IN_REVIEW and not pending(change))


def begin(change: Change, *, now: datetime) -> None:
    """From submitted to approved (a standard change inside its template's limits) or to in review."""
    bring_up_to_date(change, now=now)
    if change.template_id and not auto_approve_guards(change, now=now):
        close_pending(change, "superseded", now=now)
        seal_version(change, by=change.requester.username, now=now, reason="submitted")
        change.decided_at, change.approval_expires_at = now, type_expiry(change, since=now)
        move(change, "auto_approve", actor=None, now=now, data={"template": change.template_id})
        return
    verdict = may_begin_review(change, now=now)
    if verdict.allowed:
        opened = start_round(change, now=now)
        move(change, "begin_review", actor=None, now=now)
        conclude(change, opened, now=now)
        settle_rights(change, now=now)
    else:
        alarm_blocked(change, verdict, now=now)


def renew_round(change: Change, *, actor: User | None, now: datetime, reason: str, by_task: bool = False, carry: bool = True) -> None:
    """A new round for a locked change whose content or base moved: votes that are still good are carried over, unless `carry` is False."""
    if change.state == State.SUBMITTED:
        if by_task or at_once(change):
            begin(change, now=now)
        return
    if not by_task and not at_once(change):
        close_pending(change, reason, now=now)
        return
    bring_up_to_date(change, now=now)
    verdict = may_begin_review(change, now=now)
    if verdict.allowed:
        conclude(change, start_round(change, now=now, carry=carry), now=now)
    else:
        close_pending(change, reason, now=now)
        alarm_blocked(change, verdict, now=now)
    settle_rights(change, now=now)


def start_round(change: Change, *, now: datetime, retrospective: bool = False, carry: bool = True) -> Round:
    """Sign the content as it is and open the round of the chain that matches."""
    facts = facts_of(change)
    chains = chains_for(change, facts, now=now)
    change.chain = chain_text(chains)
    parts = seal_version(change, by=change.requester.username, now=now)
    change.save()
    return open_round(change, chains=chains, facts=facts, parts=parts, now=now, carry=carry, retrospective=retrospective)


@once
def pending(change: Change) -> Round | None:
    return change.rounds.filter(outcome=Round.Outcome.PENDING).first()


def close_pending(change: Change, why: str, *, now: datetime) -> None:
    """Withdraw what is still open; everything given stays on record."""
    current = pending(change)
    if current:
        close_round(current, outcome=Round.Outcome.WITHDRAWN, now=now, why=why)


def may_begin_review(change: Change, *, now: datetime) -> Verdict:
    """The guards of `begin_review`."""
    guards = []
    if not is_prepared(change):
        guards += [
            Guard("preview_ready", "The preview of this version is not computed yet."),
            Guard("assessment_ready", "The risk is not assessed yet."),
        ]
        return Verdict(guards=tuple(guards))
    facts = facts_of(change)
    chains = chains_for(change, facts, now=now)
    administrators = usernames_with_role("administrator")
    if not chains or not any(level_applies(chain, facts) for chain in chains):
        guards.append(Guard("chain_matched", "No approval chain applies to this change: an administrator has to configure one.", administrators))
    else:
        guards += [
            Guard("approvers_found", f"Nobody can take the seat “{label}”: {why}", administrators)
            for label, why in unfilled(change, chains, facts=facts)
        ]
    return Verdict(guards=tuple(guards))


def level_applies(chain: dict[str, Any], facts: Facts) -> bool:
    return any(holds(level["applies_when"], facts) for level in chain["levels"])


def alarm_blocked(change: Change, verdict: Verdict, *, now: datetime) -> None:
    """Say once, until the change is touched again, that the review can't begin, to those who can mend it."""
    if Event.objects.filter(change=change.number, action="approval.blocked", at__gte=change.updated_at).exists():
        return
    data = {"guards": [guard.guard for guard in verdict.guards], "reason": verdict.reason, "version": change.version}
    record("approval.blocked", actor="", object=f"change:{change.number}", change=change.number, now=now, data=data)


def auto_approve_guards(change: Change, *, now: datetime) -> list[Guard]:
    """What keeps a change from being approved by its template; empty means it is pre-approved."""
    template = change.template
    if change.type != "standard" or template is None or not template.pre_approved:
        return [
            Guard(
                "template_active", "Only a standard change from a pre-approved template is approved by itself.", usernames_with_role("administrator")
            )
        ]
    guards = []
    if not template.active or (template.expires_at and template.expires_at <= now):
        guards.append(Guard("template_active", f"The template “{template.name}” is not active any more.", usernames_with_role("administrator")))
    guards += [Guard("template_limits", message, (change.requester.username,)) for message in beyond_limits(change, template)]
    if change.risk_level != "low":
        guards.append(
            Guard("risk_low", f"The risk is {change.risk_level or 'not assessed'}; a standard change has low risk.", (change.requester.username,))
        )
    return guards


def beyond_limits(change: Change, template: Template) -> list[str]:
    """In which ways a change exceeds what its template pre-approves."""
    found = []
    operations = set(change.items.values_list("operation", flat=True))
    if template.item_operations and operations - set(template.item_operations):
        found.append(f"The template “{template.name}” allows only items that {' or '.join(template.item_operations)}.")
    if template.max_items is not None and change.items.count() > template.max_items:
        found.append(f"The template “{template.name}” allows at most {template.max_items} items.")
    if template.scope and not holds(template.scope, facts_of(change)):
        found.append(f"The change lies outside the scope the template “{template.name}” pre-approves.")
    return found
