"""The architecture: layers, types, components, relations, and the revisions that moved them."""

import uuid
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from changemgmt.accounts.models import OrgUnit

no_control_characters = RegexValidator(r"^[^\x00-\x1f\x7f]+$", _("A key is text without control characters."))


def severity_field(words: Any, default: float) -> Any:
    return models.FloatField(words, default=default, validators=[MinValueValidator(0.01), MaxValueValidator(1.0)])


class Layer(models.Model):
    name = models.SlugField(max_length=60, unique=True)
    order = models.PositiveIntegerField(default=0, help_text=_("Layers are drawn in this order, from the top."))
    colour = models.CharField(max_length=20, blank=True)
    forbids_cycles = models.BooleanField(default=False, help_text=_("Its components may not rely on each other in a circle."))

    class Meta:
        ordering = ["order", "name"]

    def __str__(self) -> str:
        return self.name


class ComponentType(models.Model):
    name = models.CharField(max_length=100, unique=True)
    layer = models.ForeignKey(Layer, on_delete=models.PROTECT, related_name="types")
    icon = models.CharField(max_length=40, blank=True)
    schema = models.JSONField(default=dict, blank=True, help_text=_("JSON Schema of the attributes; empty allows anything."))
    interface_attributes = models.JSONField(default=list, blank=True, help_text=_("Attributes others rely on: touching one weighs more."))
    is_service = models.BooleanField(default=False, help_text=_("Components of this type are services to somebody."))

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RelationType(models.Model):
    class Propagation(models.TextChoices):
        NONE = "none", _("does not propagate")
        FORWARD = "forward", _("from source to target")
        BACKWARD = "backward", _("from target to source")
        BOTH = "both", _("both ways")

    name = models.CharField(max_length=100, unique=True)
    inverse = models.CharField(max_length=100, blank=True)
    propagation = models.CharField(max_length=8, choices=Propagation, default=Propagation.NONE)
    weight = models.FloatField(default=1.0, validators=[MinValueValidator(0.000001), MaxValueValidator(1.0)])
    layers = models.ManyToManyField(Layer, blank=True, help_text=_("Propagates only between these layers; none chosen means all."))

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=Q(weight__gt=0, weight__lte=1), name="relation_type_weight")]

    def __str__(self) -> str:
        return self.name


class PropagationSettings(models.Model):
    """The one row that says how far a change is followed and how much each operation weighs. Without it the published defaults hold."""

    max_depth = models.PositiveSmallIntegerField(
        _("steps at most"),
        default=6,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text=_("A path is followed for so many relations."),
    )
    min_score = models.FloatField(
        _("score at least"),
        default=0.05,
        validators=[MinValueValidator(0.0001), MaxValueValidator(1.0)],
        help_text=_("What is reached more weakly is left out."),
    )
    layers = models.ManyToManyField(Layer, blank=True, help_text=_("Only components of these layers are entered; none chosen means all."))
    relation_types = models.ManyToManyField(RelationType, blank=True, help_text=_("Only these are followed; none chosen means all."))
    delete_weight = severity_field(_("severity of a deletion or replacement"), 1.0)
    update_weight = severity_field(_("severity of an update"), 0.8)
    interface_weight = severity_field(_("severity of an update of an interface attribute"), 0.9)
    create_weight = severity_field(_("severity of a creation"), 0.6)

    name = "propagation"

    class Meta:
        verbose_name = verbose_name_plural = _("propagation settings")
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="propagation_settings_one_row")]

    def __str__(self) -> str:
        return str(_("Propagation settings"))

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.pk = 1
        super().save(*args, **kwargs)


class Component(models.Model):
    """One thing of the architecture. Written only through `architecture.actions`, so that history and revision follow."""

    class Status(models.TextChoices):
        PLANNED = "planned", _("planned")
        LIVE = "live", _("live")
        DEPRECATED = "deprecated", _("deprecated")
        RETIRED = "retired", _("retired")

    key = models.CharField(max_length=300, unique=True, validators=[no_control_characters])
    name = models.CharField(max_length=500, db_index=True)
    type = models.ForeignKey(ComponentType, on_delete=models.PROTECT, related_name="components")
    layer = models.ForeignKey(Layer, on_delete=models.PROTECT, related_name="components")
    owner = models.CharField(max_length=200, blank=True, db_index=True, help_text=_("Slug of a team or name of a user."))
    org_unit = models.ForeignKey(OrgUnit, null=True, blank=True, on_delete=models.PROTECT, related_name="components")
    criticality = models.PositiveSmallIntegerField(default=3, validators=[MinValueValidator(1), MaxValueValidator(5)])
    users = models.PositiveIntegerField(default=0, help_text=_("How many people it serves."))
    status = models.CharField(max_length=10, choices=Status, default=Status.LIVE)
    environment = models.CharField(max_length=60, blank=True)
    attributes = models.JSONField(default=dict, blank=True)
    tags = models.JSONField(default=list, blank=True)
    needs = models.JSONField(default=dict, blank=True, help_text=_("How many supporters of a relation type it needs to stay up."))
    external_references = models.JSONField(default=list, blank=True)
    revision = models.PositiveBigIntegerField(default=0)
    history = HistoricalRecords()

    class Meta:
        ordering = ["key"]
        constraints = [models.CheckConstraint(condition=Q(criticality__gte=1, criticality__lte=5), name="component_criticality")]

    def __str__(self) -> str:
        return self.name or self.key


class Relation(models.Model):
    """A typed, directed link. Each end is a component or, as ArchiMate allows, another relation."""

    key = models.CharField(max_length=700, unique=True, validators=[no_control_characters])
    type = models.ForeignKey(RelationType, on_delete=models.PROTECT, related_name="relations")
    source = models.ForeignKey(Component, null=True, blank=True, on_delete=models.PROTECT, related_name="outgoing")
    source_relation = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="outgoing")
    target = models.ForeignKey(Component, null=True, blank=True, on_delete=models.PROTECT, related_name="incoming")
    target_relation = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="incoming")
    attributes = models.JSONField(default=dict, blank=True)
    source_system = models.CharField(max_length=100, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True, help_text=_("When a source or an owner last said that it is so."))
    refuted_at = models.DateTimeField(null=True, blank=True, help_text=_("When an owner said that it is not so; it conducts nothing since."))
    refuted_reason = models.CharField(max_length=500, blank=True)
    revision = models.PositiveBigIntegerField(default=0)
    history = HistoricalRecords()

    class Meta:
        ordering = ["key"]
        constraints = [
            models.CheckConstraint(
                condition=(Q(source__isnull=True) ^ Q(source_relation__isnull=True)) & (Q(target__isnull=True) ^ Q(target_relation__isnull=True)),
                name="relation_two_ends",
            )
        ]

    def __str__(self) -> str:
        return self.key


class Revision(models.Model):
    """One step of the live architecture. `number` is monotone; `change` is the number of the change that made it, if one did."""

    number = models.PositiveBigIntegerField(unique=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    change = models.CharField(max_length=40, blank=True, db_index=True)
    reason = models.CharField(max_length=500, blank=True)
    touched = models.JSONField(default=list, help_text=_("Keys of components and relations this revision wrote."))
    # A rolled-back transaction gives its number back; what was cached under the token can't be taken for another revision.
    token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)

    class Meta:
        ordering = ["-number"]


class Source(models.Model):
    """A system whose imports feed the architecture."""

    name = models.CharField(max_length=100, unique=True)
    controlled = models.BooleanField(default=False, help_text=_("Later imports open a drift case instead of applying."))
    confirms = models.BooleanField(
        default=True, help_text=_("An import confirms the relations it speaks of. Off for guesses: their relations wait for an owner.")
    )

    def __str__(self) -> str:
        return self.name


class Claim(models.Model):
    """A source says this component or relation exists. A thing goes only when no source claims it any more."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="claims")
    object = models.CharField(max_length=9, choices=[("component", "component"), ("relation", "relation")])
    key = models.CharField(max_length=700)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "object", "key"], name="claim_once")]
        indexes = [models.Index(fields=["object", "key"], name="claim_thing")]


class ImpactQuestion(models.Model):
    """What somebody asked about the reach of many components, and the answer. Kept for a day."""

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    key = models.CharField(max_length=64, db_index=True, help_text=_("Digest of the question and of the architecture it was asked of."))
    question = models.JSONField()
    by = models.CharField(max_length=150)
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)


class ImportRun(models.Model):
    """One import, previewed or applied, with its counts and everything it left out."""

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    state = models.CharField(max_length=9, choices=State, default=State.RUNNING)
    mode = models.CharField(max_length=7, choices=[("preview", _("preview")), ("apply", _("apply"))])
    format = models.CharField(max_length=20)
    source = models.CharField(max_length=100)
    options = models.JSONField(default=dict, blank=True)
    file = models.FileField(upload_to="imports/", blank=True)
    file_name = models.CharField(max_length=255, blank=True)
    by = models.CharField(max_length=150)
    cancelled_by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    progress = models.FloatField(default=0)
    components = models.JSONField(default=dict)
    relations = models.JSONField(default=dict)
    skipped = models.JSONField(default=list, help_text=_("The first ten thousand records that were left out, with place and reason."))
    skipped_total = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    revision = models.PositiveBigIntegerField(null=True, blank=True)
    drift_case = models.PositiveBigIntegerField(
        null=True, blank=True, help_text=_("The drift case it opened or brought up to date, writing nothing.")
    )

    class Meta:
        ordering = ["-started_at"]
