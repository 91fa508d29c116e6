"""ONE table: which tasks react to which kind of event. The relay is handed it; an empty line says that nothing reacts.

A reaction can come twice, late or after another: each is idempotent and looks at the database for what is true now.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from celery import shared_task

from changemgmt.accounts.tasks import mail_invitation, mail_reset_link
from changemgmt.audit.relay import DRAIN, drain
from changemgmt.core.time import utc_now
from changemgmt.notifications.tasks import notify
from changemgmt.orchestrator.tasks import (
    answer_asked_impact,
    ask_newcomer,
    carry_on,
    compute_asked_preview,
    finish_queued_import,
    judge_membership,
    judge_stand_in,
    rebase_open_changes,
)
from changemgmt.reporting.tasks import verify_record

NOTHING: tuple[Any, ...] = ()

REACTIONS: dict[str, tuple[Any, ...]] = {
    # The life of a change
    "change.created": NOTHING,
    "change.updated": NOTHING,
    "change.imported": NOTHING,
    "change.copied": NOTHING,
    "change.assessed": NOTHING,
    "change.verified": NOTHING,
    "change.submitted": (carry_on, notify),
    "change.amended": (carry_on, notify),
    "change.review_begun": (notify,),
    "change.review_reopened": (notify,),
    "change.approved": (notify,),
    "change.approved_with_conditions": (notify,),
    "change.rejected": (notify,),
    "change.retrospectively_decided": (notify,),
    "change.revised": (notify,),
    "change.go_ahead_given": (notify,),
    "change.scheduled": (notify,),
    "change.started": (notify,),
    "change.completed": (notify,),
    "change.failed": (notify,),
    "change.rolled_back": (notify,),
    "change.closed": (notify,),
    "change.cancelled": (notify,),
    "preview.asked": (compute_asked_preview,),
    "preview.computed": NOTHING,
    "preview.widened": NOTHING,
    "preview.cancelled": NOTHING,
    "assessment.overridden": (notify,),
    "comment.added": (notify,),
    "watcher.added": (notify,),
    "watcher.removed": NOTHING,
    # Approval
    "approval.level_opened": (notify,),
    "approval.level_decided": NOTHING,
    "approval.closed": NOTHING,
    "approval.no_approver": (notify,),
    "approval.blocked": (notify,),
    "approval.reminded": (notify,),
    "approval.timed_out": (notify,),
    "approval.reassigned": (notify,),
    "approval.silent_consent": (notify,),
    "override.asked": (notify,),
    "override.confirmed": (notify,),
    "override.withdrawn": (notify,),
    "emergency.limit_reached": (notify,),
    "emergency.review_overdue": (notify,),
    "guest.invited": (notify,),
    "guest.revoked": NOTHING,
    "guest.expired": NOTHING,
    "guest.code_sent": NOTHING,
    "mail_link.used": NOTHING,
    "seat.claimed": NOTHING,
    "seat.released": (notify,),
    "seat.reassigned": (notify,),
    "information.requested": (notify,),
    "information.provided": (compute_asked_preview, notify),
    "vote.cast": (notify,),
    "vote.superseded": (notify,),
    "vote.withdrawn": (notify,),
    "condition.evidence_given": (notify,),
    "condition.accepted": (notify,),
    "condition.waived": (notify,),
    "condition.expired": (notify,),
    # Doing it
    "execution.started": NOTHING,
    "execution.held": (notify,),
    "execution.rolling_back": (notify,),
    "execution.rollback_failed": (notify,),
    "task.finished": NOTHING,
    # The architecture
    "architecture.applied": (rebase_open_changes,),
    "architecture.reverted": (rebase_open_changes,),
    **{f"{object}.{what}": (rebase_open_changes,) for object, what in product(("component", "relation"), ("created", "updated", "deleted"))},
    "relation.confirmed": (rebase_open_changes,),
    "relation.refuted": (rebase_open_changes,),
    "impact.asked": (answer_asked_impact,),
    "impact.cancelled": NOTHING,
    "import.requested": (finish_queued_import,),
    "import.applied": (rebase_open_changes,),
    "import.failed": NOTHING,
    "import.cancelled": NOTHING,
    "drift.opened": (notify,),
    "drift.updated": (notify,),
    "drift.adopted": NOTHING,
    "drift.reverted": (notify,),
    "drift.overdue": (notify,),
    "drift.settled": (notify,),
    # Configuration
    "chain.edited": (notify,),
    "chain.activated": NOTHING,
    "chain.removed": NOTHING,
    "risk_settings.proposed": NOTHING,
    "risk_settings.activated": NOTHING,
    "freeze.removed": NOTHING,
    "freeze.loosening_asked": (notify,),
    "maintenance_window.created": NOTHING,
    "maintenance_window.updated": NOTHING,
    "maintenance_window.removed": NOTHING,
    # People
    "user.invited": (mail_invitation,),
    "user.joined": NOTHING,
    "user.deactivated": (judge_membership,),
    "user.reactivated": (ask_newcomer,),
    "role.granted": (ask_newcomer,),
    "role.withdrawn": (judge_membership,),
    "delegation.created": (notify,),
    "delegation.begun": (notify,),
    "delegation.changed": (notify,),
    "delegation.revoked": (judge_stand_in, notify),
    "identity.linked": NOTHING,
    "identity.unlinked": NOTHING,
    "token.created": NOTHING,
    "token.revoked": NOTHING,
    "second_factor.added": (notify,),
    "second_factor.removed": (notify,),
    "second_factor.reset": (notify,),
    "second_factor.throttled": (notify,),
    "password.changed": NOTHING,
    "password.reset_requested": (mail_reset_link,),
    "password.throttled": NOTHING,
    "login.succeeded": NOTHING,
    "login.failed": NOTHING,
    "login.throttled": NOTHING,
    "logout": NOTHING,
    "access.denied": NOTHING,
    # The record itself
    "verification.started": (verify_record,),
    "verification.finished": (notify,),
    "export.made": NOTHING,
}

# A type that conducts otherwise moves what every open change reaches, another rule what its checks find.
REACTIONS |= {
    f"{model}.{what}": (rebase_open_changes,)
    for model, what in product(("layer", "componenttype", "relationtype", "policyrule"), ("updated", "deleted"))
}
REACTIONS |= {f"propagationsettings.{what}": (rebase_open_changes,) for what in ("created", "updated", "deleted")}

REACTIONS["policyrule.created"] = (rebase_open_changes,)

# What is configured in Django admin without a verb of its own: saved there, and that is all.
CONFIGURED = (
    "user", "group", "orgunit", "team", "identity", "apitoken", "category", "typepolicy", "customfield", "template", "layer", "componenttype",
    "relationtype", "propagationsettings", "source", "chain", "maintenancewindow", "freeze", "blackout", "businesscalendar", "risksettings", "riskrule",
)  # fmt: skip
REACTIONS |= {kind: NOTHING for model, what in product(CONFIGURED, ("created", "updated", "deleted")) if (kind := f"{model}.{what}") not in REACTIONS}


@shared_task(name=DRAIN)
def drain_outbox() -> None:
    """Hand over what the outbox holds; rung after every act, and by the clock for what a crash left."""
    while drain(REACTIONS, now=utc_now()):
        pass
