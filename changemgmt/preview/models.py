"""What a change has written into the live architecture, kept so that it can be undone exactly; the rules that administrators add; and
what a source shows unasked."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from changemgmt.accounts.models import User
from changemgmt.architecture.models import ImportRun
from changemgmt.architecture.rules import COMPONENT, RELATION, Image
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


class DriftCase(models.Model):
    """What a controlled source shows and nobody requested: one burst, which the imports of the source keep up to date until it is gone."""

    class State(models.TextChoices):
        OPEN = "open", _("open")
        ADOPTING = "adopting", _("being adopted")
        REVERTING = "reverting", _("being reverted")
        ADOPTED = "adopted", _("adopted")
        REVERTED = "reverted", _("reverted")
        VANISHED = "vanished", _("gone by itself")

    ACTIVE = (State.OPEN, State.ADOPTING, State.REVERTING)

    source = models.CharField(max_length=100)
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    run = models.ForeignKey(ImportRun, on_delete=models.PROTECT, related_name="+", help_text=_("The import that compared last."))
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text=_("When an import compared last."))
    settled_at = models.DateTimeField(null=True, blank=True)
    change = models.ForeignKey(
        Change, null=True, blank=True, on_delete=models.PROTECT, related_name="drift_cases", help_text=_("The last change that adopts it.")
    )
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="drift_to_revert")
    due_at = models.DateTimeField(null=True, blank=True)
    overdue_at = models.DateTimeField(null=True, blank=True, help_text=_("When it was told that it is not put back in time."))
    note = models.TextField(blank=True, help_text=_("What the assignee was told."))

    class Meta:
        ordering = ["-opened_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["source"], condition=Q(state__in=["open", "adopting", "reverting"]), name="drift_one_active_case"),
            models.CheckConstraint(condition=~Q(state="reverting") | Q(assignee__isnull=False, due_at__isnull=False), name="drift_reverting_by"),
        ]

    @property
    def is_active(self) -> bool:
        """Whether a difference was left when an import compared last."""
        return self.state in self.ACTIVE


class DriftRow(models.Model):
    """One thing of a case: how it was live, and how the source shows it. A row whose difference is gone stays on record as gone."""

    case = models.ForeignKey(DriftCase, on_delete=models.CASCADE, related_name="rows")
    object = models.CharField(max_length=9, choices=[("component", _("component")), ("relation", _("relation"))])
    key = models.CharField(max_length=700)
    operation = models.CharField(max_length=6, choices=[("create", _("added")), ("update", _("changed")), ("delete", _("removed"))])
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["object", "key"]
        constraints = [models.UniqueConstraint(fields=["case", "object", "key"], name="drift_row_once")]

    @property
    def image(self) -> Image:
        """Live before, the source's after."""
        return Image(self.object, self.key, self.before, self.after)
