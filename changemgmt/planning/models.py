"""Plans: what will be executed, step by step, with how to verify and how to undo each step."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from changemgmt.changes.models import Change


class Plan(models.Model):
    """The plan of a change. It is content: written only through `lifecycle.edit`."""

    class Strategy(models.TextChoices):
        ALL_AT_ONCE = "all_at_once", _("all at once")
        ROLLING = "rolling", _("rolling")
        BLUE_GREEN = "blue_green", _("blue/green")
        CANARY = "canary", _("canary")

    class OnFailure(models.TextChoices):
        ROLL_BACK = "roll_back", _("roll back")
        HOLD = "hold", _("hold and call a person")

    change = models.OneToOneField(Change, on_delete=models.PROTECT, related_name="plan")
    strategy = models.CharField(max_length=11, choices=Strategy, default=Strategy.ALL_AT_ONCE)
    on_failure = models.CharField(max_length=9, choices=OnFailure, default=OnFailure.ROLL_BACK)
    gates = models.JSONField(default=list, blank=True)


class Step(models.Model):
    """One step. `items` are ids of the change items that are applied when it is done."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="steps")
    step_id = models.SlugField(max_length=60)
    position = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    agent = models.CharField(max_length=60, default="person")
    action = models.TextField(blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    depends_on = models.JSONField(default=list, blank=True)
    timeout_seconds = models.PositiveIntegerField(default=3600)
    retries = models.PositiveIntegerField(default=3)
    manual = models.BooleanField(default=True)
    irreversible = models.BooleanField(default=False)
    items = models.JSONField(default=list, blank=True)
    verification = models.JSONField(default=dict, blank=True)
    compensation = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["plan", "step_id"], name="step_id_once")]
