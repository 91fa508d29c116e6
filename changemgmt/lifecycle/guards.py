"""Guards that several transitions share. Each answers the guards that are not met; none means it may happen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.approvals.conditions import UNMET
from changemgmt.approvals.models import ActionItem, Round
from changemgmt.changes.digest import digest_of, parts_of
from changemgmt.changes.facts import facts_of
from changemgmt.changes.models import Change, Link, Result, State
from changemgmt.changes.queries import visible_to
from changemgmt.conditions.rules import holds
from changemgmt.core.verdict import Guard
from changemgmt.planning.models import Plan
from changemgmt.planning.queries import findings_of, plan_of
from changemgmt.preview.blocking import blocking_findings
from changemgmt.preview.queries import drift_of, masked

from .may import managers

EARLY = timedelta(minutes=15)
DONE = (State.IMPLEMENTED, State.CLOSED)
UNSEEN = "a change you may not see"


def conditions(change: Change, due: Iterable[str], name: str) -> list[Guard]:
    """Obligations whose due point is one of `due` and that are neither done nor waived."""
    unmet = change.action_items.filter(UNMET, due__in=list(due))
    return [Guard(name, f"Condition “{item.text}” is not met: {lacks(item)}.", (clearer(item),)) for item in unmet.select_related("owner", "set_by")]


def lacks(item: ActionItem) -> str:
    """What is missing of a condition that is not met."""
    late = " and its time is over" if item.state == ActionItem.State.EXPIRED else ""
    return ("its evidence waits to be accepted" if item.evidence else "it has no evidence yet") + late


def clearer(item: ActionItem) -> str:
    """Who moves it on: its owner until there is evidence, then who set it."""
    return item.set_by.username if item.evidence else item.owner.username


def plan_complete(change: Change) -> list[Guard]:
    """No finding of the plan is an error."""
    errors = [finding for finding in findings_of(change, plan_of(change)) if finding.severity == "error"]
    who = (change.requester.username,)
    return [Guard("plan_complete", f"Step “{error.step}”: {error.message}" if error.step else error.message, who) for error in errors]


def inside_window(change: Change, *, now: datetime) -> list[Guard]:
    """From 15 minutes before the planned start to the planned end."""
    if change.planned_start is None or change.planned_end is None:
        return [Guard("inside_window", "It has no window.", managers(change))]
    if now < change.planned_start - EARLY:
        opens = change.planned_start - EARLY
        return [
            Guard("inside_window", f"Its window opens on {stamp(change.planned_start)}; it can start from {stamp(opens)}.", managers(change), opens)
        ]
    if now > change.planned_end:
        return [Guard("inside_window", f"Its window ended on {stamp(change.planned_end)}: choose another.", managers(change))]
    return []


def stamp(moment: datetime) -> str:
    return f"{moment:%a %d %b %Y, %H:%M} UTC"


def approval_valid(change: Change, *, now: datetime) -> list[Guard]:
    """Its last round approved it and has not expired; or a go-ahead or a template's pre-approval stands in."""
    if change.approval_expires_at and change.approval_expires_at <= now:
        return [
            Guard("approval_valid", f"The approval expired on {stamp(change.approval_expires_at)}: it has to be reviewed again.", managers(change))
        ]
    late = change.action_items.filter(UNMET, expires_at__lte=now).select_related("owner").first()
    if late is not None:
        message = f"Condition “{late.text}” was not met by {stamp(late.expires_at or now)}: the approval that demanded it does not hold any more."
        return [Guard("approval_valid", message, managers(change))]
    last = change.rounds.last()
    approved = last is not None and last.outcome in {Round.Outcome.APPROVED, Round.Outcome.CONDITIONS}
    rejected = last is not None and last.outcome == Round.Outcome.REJECTED
    if approved or (change.retrospective and not rejected) or (change.chain == "" and change.template_id and change.decided_at):
        return []
    return [Guard("approval_valid", "It is not approved.", managers(change))]


def digest_matches(change: Change) -> list[Guard]:
    """What was approved is what would run: the digest of the stored content is the one that was signed."""
    if digest_of(parts_of(change)) == change.digest:
        return []
    return [Guard("digest_matches", "The content is not what was approved: take the change back and submit it again.", (change.requester.username,))]


def entry_gates(change: Change) -> list[Guard]:
    """Gates that have to hold when it starts."""
    return gates(change, "entry_gates", lambda gate: gate["kind"] == "entry")


def step_gates(change: Change, step: str) -> list[Guard]:
    """Gates that have to hold before this step is done."""
    return gates(change, "entry_gates", lambda gate: gate["before"] == step)


def exit_gates(change: Change) -> list[Guard]:
    """Gates that have to hold when it is completed."""
    return gates(change, "verification_passed", lambda gate: gate["kind"] != "entry" and gate["before"] is None)


def gates(change: Change, name: str, wanted: Callable[[dict[str, Any]], bool]) -> list[Guard]:
    plan = Plan.objects.filter(change=change).first()
    chosen = [gate for gate in (plan.gates if plan else []) if wanted(gate)]
    if not chosen:
        return []
    facts = facts_of(change)
    return [
        Guard(name, f"The {gate['kind']} gate “{gate['name']}” does not hold.", managers(change))
        for gate in chosen
        if not holds(gate["criteria"], facts)
    ]


def base_current(change: Change, *, viewer: User | None) -> list[Guard]:
    """The live architecture did not move under the change, or was re-based clean."""
    who = (change.requester.username,)
    conflicts = masked([row for row in drift_of(change) if row["conflict"]], viewer)
    return [
        Guard("base_current", f"{row['key']}: {row['field']} was {row['base']} when drafted and is {row['live']} now{by(row)}.", who)
        for row in conflicts
    ]


def policy_rules(change: Change) -> list[Guard]:
    """It brings no error by a rule that blocks. A go-ahead stands in: what is an emergency runs, on the record, and is decided afterwards."""
    if change.retrospective:
        return []
    who = (change.requester.username,)
    return [
        Guard("policy_rules", f"{row['key']} would break the rule “{row['policy']['name']}”: {row['message']}", who)
        for row in blocking_findings(change)
    ]


def by(row: dict[str, Any]) -> str:
    return f" ({row['moved_by']})" if row["moved_by"] else ""


def dependencies_done(change: Change, *, viewer: User | None) -> list[Guard]:
    """Every change it depends on is implemented."""
    links = Link.objects.filter(change=change, kind=Link.Kind.DEPENDS_ON).exclude(other__state__in=DONE, other__result__isnull=True)
    waiting = [
        link.other
        for link in links.exclude(other__state__in=DONE, other__result__in=[Result.SUCCESSFUL, Result.ISSUES]).select_related("other__owner")
    ]
    return [
        Guard("dependencies_done", f"It depends on {name(other, viewer)}, which is not implemented.", people_of(other, viewer))
        for other in waiting
        if other
    ]


def not_blocked(change: Change, *, viewer: User | None) -> list[Guard]:
    """No open change blocks it."""
    links = Link.objects.filter(other=change, kind=Link.Kind.BLOCKS).exclude(change__state__in=[*DONE, State.CANCELLED, State.ROLLED_BACK])
    blockers = [link.change for link in links.select_related("change__owner")]
    return [Guard("not_blocked", f"It is blocked by {name(other, viewer)}.", people_of(other, viewer)) for other in blockers]


def may_see(change: Change, viewer: User | None) -> bool:
    return viewer is None or visible_to(viewer).filter(pk=change.pk).exists()


def name(change: Change, viewer: User | None) -> str:
    """Its number, or words that give nothing away to who may not see it."""
    return change.number if may_see(change, viewer) else UNSEEN


def people_of(change: Change, viewer: User | None) -> tuple[str, ...]:
    return managers(change) if may_see(change, viewer) else ()
