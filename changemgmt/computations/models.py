"""Who computes what, and when they last gave a sign of life."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Computation(models.Model):
    """One piece of work by its name, such as `preview:CHG-2026-00012`. `token` is that of whoever does it now; empty when nobody does."""

    class Outcome(models.TextChoices):
        DONE = "done", _("done")
        CANCELLED = "cancelled", _("cancelled")
        FAILED = "failed", _("failed")

    name = models.CharField(max_length=120, unique=True)
    token = models.UUIDField(null=True, blank=True)
    begun_at = models.DateTimeField(null=True, blank=True)
    beat_at = models.DateTimeField(null=True, blank=True, db_index=True)
    outcome = models.CharField(max_length=9, choices=Outcome, blank=True, help_text=_("How it ended the last time."))
    subject = models.CharField(max_length=200, blank=True, help_text=_("What it was computed for, where it was cancelled."))
