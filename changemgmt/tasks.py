"""Celery's door to the tasks: every package's, nothing else."""

from changemgmt.accounts.tasks import mail_invitation, mail_reset_link
from changemgmt.notifications.tasks import notify, send_due_mail
from changemgmt.orchestrator.tasks import (
    answer_asked_impact,
    answer_question,
    ask_newcomer,
    carry_import_on,
    carry_on,
    compute_asked_preview,
    compute_preview,
    finish_queued_import,
    judge_membership,
    judge_stand_in,
    rebase_change,
    rebase_open_changes,
    resume_computations,
    sweep,
)
from changemgmt.reactions import drain_outbox
from changemgmt.reporting.tasks import verify_record
from changemgmt.sla.tasks import act_on_due

__all__ = [
    "act_on_due",
    "answer_asked_impact",
    "answer_question",
    "ask_newcomer",
    "carry_import_on",
    "carry_on",
    "compute_asked_preview",
    "compute_preview",
    "drain_outbox",
    "finish_queued_import",
    "judge_membership",
    "judge_stand_in",
    "mail_invitation",
    "mail_reset_link",
    "notify",
    "rebase_change",
    "rebase_open_changes",
    "resume_computations",
    "send_due_mail",
    "sweep",
    "verify_record",
]
