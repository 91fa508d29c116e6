"""Executions: one run of an approved plan, and its tasks."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from changemgmt.changes.models import Change


class Execution(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        WAITING = "waiting", _("waiting")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        ROLLING_BACK = "rolling_back", _("rolling back")
        ROLLED_BACK = "rolled_back", _("rolled back")
        ROLLBACK_FAILED = "rollback_failed", _("rollback failed")
        ABORTED = "aborted", _("aborted")

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="executions")
    digest = models.CharField(max_length=64)
    state = models.CharField(max_length=15, choices=State, default=State.RUNNING)
    waiting_for = models.CharField(max_length=10, blank=True)
    on_failure = models.CharField(max_length=9, default="roll_back")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["change"], condition=Q(state__in=["queued", "running", "paused", "waiting", "rolling_back"]), name="one_open_execution"
            )
        ]


class Task(models.Model):
    """One doing, verifying or undoing of a step. Copied from the plan as approved, so that what is approved is what runs."""

    class Kind(models.TextChoices):
        DO = "do", _("do")
        VERIFY = "verify", _("verify")
        COMPENSATE = "compensate", _("undo")

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        READY = "ready", _("ready")
        LEASED = "leased", _("leased")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("unknown")
        SKIPPED = "skipped", _("skipped")
        COMPENSATING = "compensating", _("being undone")
        COMPENSATED = "compensated", _("undone")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    execution = models.ForeignKey(Execution, on_delete=models.PROTECT, related_name="tasks")
    step = models.CharField(max_length=60)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.DO)
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    agent = models.CharField(max_length=60, default="person")
    action = models.TextField(blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    depends_on = models.JSONField(default=list, blank=True)
    items = models.JSONField(default=list, blank=True)
    irreversible = models.BooleanField(default=False)
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    attempt = models.PositiveIntegerField(default=0)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["execution", "step", "kind"], name="task_once")]
