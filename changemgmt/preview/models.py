"""What a change has written into the live architecture, kept so that it can be undone exactly; and the rules administrators add."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from changemgmt.accounts.models import User
from changemgmt.architecture.rules import COMPONENT, RELATION
from changemgmt.changes.models import Change


class AppliedItem(models.Model):
    """One change item that was applied: the images before and after, and the revisions that did and undid it."""

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="applied_items")
    item_id = models.PositiveBigIntegerField()
    step = models.CharField(max_length=60, blank=True)
    object = models.CharField(max_length=9)
    key = models.CharField(max_length=700)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    revision = models.PositiveBigIntegerField()
    reverted_in = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["change", "item_id"], condition=models.Q(reverted_in__isnull=True), name="item_applied_once"),
        ]


class PolicyRule(models.Model):
    """A check that an administrator adds: things of which `applies_when` holds have to meet `must`; where that is null they may not be at all."""

    class About(models.TextChoices):
        COMPONENT = COMPONENT, _("components")
        RELATION = RELATION, _("relations")

    class Severity(models.TextChoices):
        ERROR = "error", _("error")
        WARNING = "warning", _("warning")

    name = models.CharField(_("name"), max_length=100, unique=True)
    about = models.CharField(_("about"), max_length=9, choices=About, default=About.COMPONENT)
    applies_when = models.JSONField(_("holds for"), default=dict, blank=True)
    must = models.JSONField(_("must"), null=True, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True, help_text=_("Tells the requester what to do. Empty: what does not hold."))
    severity = models.CharField(_("severity"), max_length=7, choices=Severity, default=Severity.WARNING)
    blocks = models.BooleanField(
        _("blocks"), default=False, help_text=_("A change that brings such an error is neither submitted nor started. Errors only.")
    )
    reached = models.BooleanField(
        _("also what is reached"), default=False, help_text=_("Not only what a change touches, but every component it reaches.")
    )
    active = models.BooleanField(_("active"), default=True)
    history = HistoricalRecords()

    _history_user: User
    """Who writes it, for the rows of its history."""

    class Meta:
        ordering = ["name"]
        verbose_name = _("policy rule")
        constraints = [
            models.CheckConstraint(condition=models.Q(blocks=False) | models.Q(severity="error"), name="policy_rule_blocks_by_errors"),
            models.CheckConstraint(condition=models.Q(reached=False) | models.Q(about="component"), name="policy_rule_reaches_components"),
        ]

    def __str__(self) -> str:
        return self.name
