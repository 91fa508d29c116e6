"""Sample changes against ArchiSurance, each brought to its state by the same verbs everybody uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from changemgmt.accounts.models import User
from changemgmt.approvals.models import Seat
from changemgmt.architecture.models import Component
from changemgmt.changes.models import Change
from changemgmt.lifecycle.cancel import cancel
from changemgmt.lifecycle.close import close
from changemgmt.lifecycle.complete import complete
from changemgmt.lifecycle.edit import add_items, create_change, set_plan
from changemgmt.lifecycle.schedule import schedule
from changemgmt.lifecycle.start import start
from changemgmt.lifecycle.steps import finish_step
from changemgmt.lifecycle.submit import submit
from changemgmt.lifecycle.verify_results import record_results
from changemgmt.lifecycle.vote import cast_vote

SYSTEM = "demo"
MOST_VOTES = 50


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: what it says, the components it updates as (name, type, attributes), and how far it goes."""

    slug: str
    until: str
    requester: str
    fields: dict[str, Any]
    updates: tuple[tuple[str, str, dict[str, Any]], ...]


SAMPLES = (
    Sample(
        "portal-login",
        "closed",
        "rita",
        {
            "title": "Ask customers for a second factor in the web portal",
            "description": "Customers sign in to the web portal with a password only. They are asked for a code of their phone as well.",
            "category": "security",
            "business_justification": "Two accounts were taken over this quarter.",
            "testing_evidence": "Forty staff members have used it for two weeks.",
            "compliance_scope": ["gdpr"],
        },
        (("Web portal", "ApplicationComponent", {"second_factor": "totp"}),),
    ),
    Sample(
        "policy-store",
        "scheduled",
        "petra",
        {
            "title": "Give Policy Data Management a newer database driver",
            "description": "The driver in use gets no more fixes from January on.",
            "category": "database",
            "business_justification": "Without fixes we would fail the yearly audit.",
            "rollback_plan": "Put the old driver back and restart.",
            "testing_evidence": "The nightly tests pass with the new driver.",
        },
        (("Policy Data Management", "ApplicationComponent", {"driver": "12.2"}),),
    ),
    Sample(
        "claims-archive",
        "in_review",
        "rita",
        {
            "title": "Move claims older than ten years to the archive",
            "description": "Claim Data Management keeps every claim since 1998, and searching takes a minute.",
            "category": "application",
            "business_justification": "The front office waits for each search.",
            "priority": "medium",
        },
        (("Claim Data Management", "ApplicationComponent", {"retention_years": 10}), ("Damage Claim Data", "DataObject", {"rows": "1.2 million"})),
    ),
    Sample(
        "payments-certificate",
        "in_review",
        "paul",
        {
            "title": "Replace the expired certificate of the financial application",
            "description": "Premiums can't be collected: the bank refuses the connection.",
            "type": "emergency",
            "priority": "critical",
            "category": "security",
            "urgency": "high",
            "impact": "high",
            "business_justification": "No premium was collected since this morning.",
        },
        (("Financial Application", "ApplicationComponent", {"certificate_until": "2027-11-20"}),),
    ),
    Sample(
        "call-center",
        "draft",
        "rita",
        {
            "title": "Let the call center see open claims",
            "description": "Agents ask the back office by phone today.",
            "category": "application",
            "business_justification": "Callers wait four minutes on average.",
        },
        (("Call center application", "ApplicationComponent", {"shows_claims": True}),),
    ),
    Sample(
        "risk-tables",
        "cancelled",
        "petra",
        {
            "title": "Load the risk tables of 2027 early",
            "description": "The actuaries want to compare them with this year's.",
            "category": "application",
            "business_justification": "Prices for spring are calculated in December.",
        },
        (("Risk Assessment", "ApplicationComponent", {"tables": "2027"}),),
    ),
)
PLANS = {
    "implementation_plan": "1. Stop the application.\n2. Apply the change.\n3. Start it and look at its health page.",
    "rollback_plan": "Put the version before back and start again.",
}
REVIEW = {"summary": "Done within the window, nobody noticed.", "lessons": "None.", "issues": "None."}


@dataclass
class Acting:
    """The people by name, and the moment, which moves on a second with every act."""

    people: dict[str, User]
    now: datetime
    seconds: int = field(default=0)

    def tick(self) -> datetime:
        self.seconds += 1
        return self.now + timedelta(seconds=self.seconds)

    def as_(self, name: str) -> dict[str, Any]:
        """Actor and moment of one act."""
        return {"actor": self.people[name], "now": self.tick()}


def make_changes(*, now: datetime, progress: Callable[[str], None] = lambda title: None) -> list[str]:
    """Make the samples that are not there; answers the numbers of all."""
    names = {sample.requester for sample in SAMPLES} | {"max", "ian"}
    acting = Acting({user.username: user for user in User.objects.filter(username__in=names)}, now)
    known = known_samples()
    for sample in SAMPLES:
        if sample.slug not in known:
            progress(sample.fields["title"])
            known[sample.slug] = play(sample, acting)
    return [known[sample.slug] for sample in SAMPLES]


def known_samples() -> dict[str, str]:
    """Slug to number of the samples that are there."""
    rows = Change.objects.exclude(external_references=[]).filter(imported=False).values_list("number", "external_references")
    return {reference["id"]: number for number, references in rows for reference in references if reference.get("system") == SYSTEM}


def play(sample: Sample, acting: Acting) -> str:
    """Bring one sample as far as it goes."""
    number = draft(sample, acting)
    if sample.until == "cancelled":
        cancel(number, reason="The actuaries compare them on paper.", **acting.as_(sample.requester))
    elif sample.until != "draft":
        submit(number, **acting.as_(sample.requester))
        if sample.until in {"scheduled", "closed"}:
            approve(number, acting)
            carry_out(number, sample, acting)
    return number


def draft(sample: Sample, acting: Acting) -> str:
    """The record, its items, and a plan of one step for each."""
    references = [{"system": SYSTEM, "id": sample.slug, "url": None}]
    fields = {**PLANS, "org_unit": "claims", "owner": "max", "implementers": ["ian"], **sample.fields, "external_references": references}
    number = create_change(fields, **acting.as_(sample.requester)).number
    items = [item(name, kind, attributes) for name, kind, attributes in sample.updates]
    change = add_items(number, items, seen=None, **acting.as_(sample.requester))
    steps = [
        {
            "id": f"step-{position}",
            "name": f"Change {name}",
            "manual": True,
            "items": [row.pk],
            "verification": {"action": "The health page is green.", "parameters": {}},
            "compensation": {"action": "Put the version before back.", "parameters": {}},
        }
        for position, (row, (name, _, _)) in enumerate(zip(change.items.all(), sample.updates, strict=True), 1)
    ]
    set_plan(number, {"steps": steps}, seen=None, **acting.as_(sample.requester))
    return number


def item(name: str, kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """The update of a component's attributes, as somebody would write it."""
    component = Component.objects.filter(name=name, type__name=kind).order_by("key")[0]
    return {"operation": "update", "object": "component", "key": component.key, "data": {"attributes": attributes}}


def approve(number: str, acting: Acting) -> None:
    """Every open seat is taken by somebody who may, until the chain has decided."""
    for _ in range(MOST_VOTES):
        seat = open_seat(number)
        if seat is None:
            return
        person = seat.people.order_by("pk").first() or User.objects.filter(groups__name=seat.group, is_active=True).order_by("pk")[0]
        cast_vote(seat.pk, actor=person, now=acting.tick(), vote="approve", digest=seat.level.digest)


def open_seat(number: str) -> Seat | None:
    """The next seat that waits for a vote and counts."""
    return (
        Seat.objects.filter(level__round__change__number=number, level__round__outcome="pending", level__state="open", state="open")
        .exclude(power="advisory")
        .select_related("level")
        .order_by("pk")
        .first()
    )


def carry_out(number: str, sample: Sample, acting: Acting) -> None:
    """Schedule it for a night soon, or at once and do it."""
    at_once = sample.until == "closed"
    begin = acting.tick() + timedelta(minutes=5) if at_once else (acting.now + timedelta(days=3)).replace(hour=22, minute=0, second=0, microsecond=0)
    schedule(number, start=begin, end=begin + timedelta(hours=2), seen=seen(number), **acting.as_("max"))
    if not at_once:
        return
    start(number, seen=seen(number), **acting.as_("ian"))
    do_steps(number, acting)
    record_results(number, met(number), **acting.as_("ian"))
    complete(number, seen=seen(number), **acting.as_("ian"))
    close(number, result="successful", review=REVIEW, seen=seen(number), **acting.as_("max"))


def do_steps(number: str, acting: Acting) -> None:
    """Mark every task of the execution done, in its order."""
    execution = Change.objects.get(number=number).executions.get()
    for task in execution.tasks.exclude(kind="compensate").order_by("position", "pk"):
        finish_step(execution.pk, task.step, kind=task.kind, note="Done.", **acting.as_("ian"))


def met(number: str) -> dict[str, Any]:
    """Every success criterion met, every check ticked."""
    change = Change.objects.get(number=number)
    return {
        "checklist": [{"index": index, "done": True} for index in range(len(change.verification_checklist))],
        "success_criteria": [{"index": index, "met": True} for index in range(len(change.success_criteria))],
    }


def seen(number: str) -> str:
    """The ETag of the change as it is."""
    return Change.objects.get(number=number).etag
