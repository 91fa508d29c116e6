"""What administrators set up for changes: categories, the demands of each type, custom fields, templates."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from .choices import Type


class Category(models.Model):
    """The administrator's list of categories."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = _("categories")

    def __str__(self) -> str:
        return self.name


class TypePolicy(models.Model):
    """What a change of one type has to bring before it can be submitted and closed."""

    type = models.CharField(max_length=9, choices=Type, unique=True)
    required_fields = models.JSONField(default=list, blank=True)
    required_plans = models.JSONField(default=list, blank=True)
    review_required = models.BooleanField(_("post-implementation review required"), default=False)
    approval_expires_hours = models.PositiveIntegerField(null=True, blank=True)
    history = HistoricalRecords()

    class Meta:
        verbose_name_plural = _("type policies")

    def __str__(self) -> str:
        return self.get_type_display()


class CustomField(models.Model):
    """A field the administrator adds to changes of some types."""

    class Kind(models.TextChoices):
        TEXT = "text", _("text")
        NUMBER = "number", _("number")
        BOOLEAN = "boolean", _("yes or no")
        CHOICE = "choice", _("one of a list")
        DATE = "date", _("date")

    name = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=100)
    kind = models.CharField(max_length=7, choices=Kind, default=Kind.TEXT)
    choices = models.JSONField(default=list, blank=True)
    types = models.JSONField(default=list, blank=True, help_text=_("Change types it belongs to; empty means all."))
    required = models.BooleanField(default=False)

    class Meta:
        ordering = ["label"]

    def __str__(self) -> str:
        return self.label


class Template(models.Model):
    """A catalogued, reusable form; the only source of standard changes."""

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    type = models.CharField(max_length=9, choices=Type, default=Type.NORMAL)
    active = models.BooleanField(default=True)
    fields = models.JSONField(default=dict, blank=True, help_text=_("For each field its mode (fixed, defaulted, open) and value."))
    plan = models.JSONField(default=dict, blank=True)
    item_operations = models.JSONField(default=list, blank=True, help_text=_("Operations items may have; empty allows all."))
    max_items = models.PositiveIntegerField(null=True, blank=True)
    scope = models.JSONField(default=dict, blank=True, help_text=_("Condition that a pre-approved change has to meet."))
    pre_approved = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    uses = models.PositiveIntegerField(default=0, editable=False)
    successes = models.PositiveIntegerField(default=0, editable=False)
    finished = models.PositiveIntegerField(default=0, editable=False)
    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
