"""The change: its record, its items, its state machine, and what was computed about it.

Content is written only by `lifecycle.edit`, the state only by `lifecycle.move`.
"""

import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_fsm import GET_STATE, ConcurrentTransitionMixin, FSMField, transition
from guardian.models import UserObjectPermissionBase

from changemgmt.accounts.models import OrgUnit

from .catalogue import Category, CustomField, Template, TypePolicy  # noqa: F401  read from here, as the others
from .choices import (
    AMENDABLE,
    APPROVED,
    BEFORE_IMPLEMENTING,
    OPEN,  # noqa: F401  read from here, as the others
    UNDER_REVIEW,
    OnWindowEnd,
    Priority,
    Result,
    Scale,
    State,
    Type,
    Urgency,
)


class NumberSeries(models.Model):
    """The last number given in a year; its row is locked while the next is taken, so there are no gaps."""

    year = models.PositiveIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)


class Change(ConcurrentTransitionMixin, models.Model):
    """The record of one proposed modification."""

    number = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=300)
    description = models.TextField(blank=True)
    type = models.CharField(max_length=9, choices=Type, default=Type.NORMAL)
    category = models.ForeignKey(Category, null=True, blank=True, on_delete=models.PROTECT, to_field="slug", db_column="category")
    priority = models.CharField(max_length=8, choices=Priority, default=Priority.MEDIUM)
    state = FSMField(default=State.DRAFT, choices=State.choices, protected=True, db_index=True, max_length=24)
    version = models.PositiveIntegerField(default=1)
    edits = models.PositiveIntegerField(default=1, help_text=_("How many times this version was saved; version.edits is its ETag."))
    digest = models.CharField(max_length=64, blank=True)
    chain = models.CharField(max_length=300, blank=True, help_text=_("Chains and versions its round runs, as signed by its digest."))
    template = models.ForeignKey(Template, null=True, blank=True, on_delete=models.PROTECT, to_field="slug", db_column="template")
    confidential = models.BooleanField(default=False)
    imported = models.BooleanField(default=False)

    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="requested_changes")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="owned_changes")
    org_unit = models.ForeignKey(OrgUnit, null=True, blank=True, on_delete=models.PROTECT, to_field="slug", db_column="org_unit")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    copied_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="copies")

    business_justification = models.TextField(blank=True)
    urgency = models.CharField(max_length=6, choices=Urgency, default=Urgency.NORMAL)
    impact = models.CharField(max_length=9, choices=Scale, default=Scale.LOW)
    cost_estimate = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)])
    revenue_at_stake = models.FloatField(default=0.0, help_text=_("0, 0.25, 0.5, 0.75 or 1, as asked in the assessment."))
    reputation_at_stake = models.FloatField(default=0.0, help_text=_("0, 0.25, 0.5, 0.75 or 1, as asked in the assessment."))
    implementation_plan = models.TextField(blank=True)
    test_plan = models.TextField(blank=True)
    communication_plan = models.TextField(blank=True)
    rollback_plan = models.TextField(blank=True)
    testing_evidence = models.TextField(blank=True)
    rollback_rehearsed = models.BooleanField(default=False)
    verification_checklist = models.JSONField(default=list, blank=True)
    success_criteria = models.JSONField(default=list, blank=True)
    compliance_scope = models.JSONField(default=list, blank=True)
    tags = models.JSONField(default=list, blank=True)
    custom_fields = models.JSONField(default=dict, blank=True)
    external_references = models.JSONField(default=list, blank=True)
    no_items_reason = models.TextField(blank=True)
    on_window_end = models.CharField(max_length=9, choices=OnWindowEnd, default=OnWindowEnd.FINISH)

    requested_start = models.DateTimeField(null=True, blank=True)
    requested_end = models.DateTimeField(null=True, blank=True)
    planned_start = models.DateTimeField(null=True, blank=True)
    planned_end = models.DateTimeField(null=True, blank=True)
    actual_start = models.DateTimeField(null=True, blank=True)
    actual_end = models.DateTimeField(null=True, blank=True)
    expected_downtime_minutes = models.PositiveIntegerField(default=0)
    approval_expires_at = models.DateTimeField(null=True, blank=True)
    retrospective = models.BooleanField(default=False, help_text=_("It runs on an emergency go-ahead; its approval is decided afterwards."))
    go_ahead_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    risk_level = models.CharField(max_length=9, choices=Scale, null=True, blank=True)
    risk_score = models.FloatField(null=True, blank=True)
    affected_count = models.PositiveIntegerField(default=0)
    irreversible_steps = models.PositiveIntegerField(default=0)

    result = models.CharField(max_length=22, choices=Result, null=True, blank=True)
    review = models.JSONField(default=dict, blank=True, help_text=_("Post-implementation review: summary, lessons, issues, criteria."))
    created_at = models.DateTimeField(db_index=True)
    updated_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    implementers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="implementing_changes", blank=True)
    watchers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="watched_changes", blank=True)
    document = models.TextField(
        blank=True, editable=False, help_text=_("The change as the API shows it, written with the row so that reading it costs one column.")
    )

    get_available_state_transitions: Callable[[], Iterator[Any]]
    """The transitions that are legal now; django-fsm makes it."""
    added_items: list["Item"]
    """The rows that `edit.add_items` just wrote, on the change it answers."""

    if TYPE_CHECKING:  # mypy can't read the decorated one of the mixin, and would take the whole class for anything

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    class Meta:
        ordering = ["-created_at", "-pk"]
        permissions = [
            ("edit_change", "May edit the content of this change"),
            ("vote_change", "May vote on this change"),
            ("implement_change", "May implement this change"),
            ("manage_change", "May run the process of this change"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(planned_end__isnull=True) | Q(planned_end__gt=models.F("planned_start")), name="change_planned_span"),
            models.CheckConstraint(
                condition=Q(requested_end__isnull=True) | Q(requested_end__gt=models.F("requested_start")), name="change_requested_span"
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="change_newest"),
            models.Index(fields=["planned_start", "planned_end"], name="change_planned"),
            models.Index(fields=["state", "-created_at"], name="change_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    def get_absolute_url(self) -> str:
        return f"/changes/{self.number}/"

    def save(self, *args: Any, **options: Any) -> None:
        """Save the row, and with it the document that lists and details are answered from."""
        super().save(*args, **options)
        from .documents import write_documents  # reads through queries, which stand on this module

        write_documents([self.pk])

    @property
    def etag(self) -> str:
        """`"<version>.<edits>"` without the quotes."""
        return f"{self.version}.{self.edits}"

    # The transitions say what is legal. Guards are verdicts in `lifecycle`; only `lifecycle.move` calls these.

    @transition(field=state, source=State.DRAFT, target=State.SUBMITTED)
    def submit(self) -> None:
        """The requester hands it in."""

    @transition(field=state, source=State.SUBMITTED, target=State.IN_REVIEW, custom={"by": "system"})
    def begin_review(self) -> None:
        """Preview and assessment are there and a chain matched: its first level opens."""

    @transition(field=state, source=State.SUBMITTED, target=State.APPROVED, custom={"by": "system"})
    def auto_approve(self) -> None:
        """A standard change inside its template's limits needs no chain."""

    @transition(field=state, source=State.IN_REVIEW, target=State.INFO_REQUESTED)
    def request_info(self) -> None:
        """An approver asks; the clocks stop."""

    @transition(field=state, source=State.INFO_REQUESTED, target=State.IN_REVIEW)
    def provide_info(self) -> None:
        """The answer is there; the clocks go on."""

    @transition(field=state, source=State.IN_REVIEW, target=State.APPROVED, custom={"by": "system"})
    def approve(self) -> None:
        """Every level is approved."""

    @transition(field=state, source=State.IN_REVIEW, target=State.APPROVED_WITH_CONDITIONS, custom={"by": "system"})
    def approve_with_conditions(self) -> None:
        """Every level is approved, at least one with conditions."""

    @transition(field=state, source=State.IN_REVIEW, target=State.REJECTED, custom={"by": "system"})
    def reject(self) -> None:
        """A level was rejected."""

    @transition(
        field=state,
        source=AMENDABLE,
        target=GET_STATE(
            lambda self: State.SUBMITTED if self.state == State.SUBMITTED else State.IN_REVIEW, states=[State.SUBMITTED, State.IN_REVIEW]
        ),
        custom={"by": "edit"},
    )
    def amend(self) -> None:
        """A material edit after submission: a new version and a new round."""

    @transition(field=state, source=[*APPROVED, State.SCHEDULED], target=State.IN_REVIEW, custom={"by": "system"})
    def reopen_review(self) -> None:
        """The approval does not hold any more: a new round that carries every vote that is still good."""

    @transition(field=state, source=[*UNDER_REVIEW, State.REJECTED, *APPROVED, State.SCHEDULED], target=State.DRAFT)
    def revise(self) -> None:
        """Taken back whole."""

    @transition(field=state, source=[State.SUBMITTED, State.IN_REVIEW], target=State.SCHEDULED)
    def emergency_go_ahead(self) -> None:
        """It may start before its chain ends."""

    @transition(field=state, source=[*APPROVED, State.SCHEDULED], target=State.SCHEDULED)
    def schedule(self) -> None:
        """It has a window."""

    @transition(field=state, source=State.SCHEDULED, target=State.IMPLEMENTING)
    def start(self) -> None:
        """The work begins."""

    @transition(field=state, source=State.IMPLEMENTING, target=State.IMPLEMENTED)
    def complete(self) -> None:
        """Every step is done and verified."""

    @transition(field=state, source=[State.IMPLEMENTING, State.IMPLEMENTED], target=State.FAILED)
    def fail(self) -> None:
        """It can't be carried on; or it was implemented, and the way back failed."""

    @transition(field=state, source=[State.IMPLEMENTING, State.FAILED, State.IMPLEMENTED], target=State.ROLLED_BACK)
    def roll_back(self) -> None:
        """Everything it did is undone."""

    @transition(field=state, source=[State.IMPLEMENTED, State.ROLLED_BACK, State.FAILED], target=State.CLOSED)
    def close(self) -> None:
        """Reviewed and done with."""

    @transition(field=state, source=BEFORE_IMPLEMENTING, target=State.CANCELLED)
    def cancel(self) -> None:
        """Given up before it began."""


class ChangeRight(UserObjectPermissionBase):
    """guardian's rows for changes, with a real foreign key: they go when the change goes."""

    content_object = models.ForeignKey(Change, on_delete=models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        indexes = [models.Index(fields=["user", "content_object"], name="right_of_user")]


class Authorship(models.Model):
    """Who touched the content of which version."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="authorships")
    version = models.PositiveIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "version", "user"], name="author_once")]


class Version(models.Model):
    """A version of a change as it was, whole."""

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="versions")
    version = models.PositiveIntegerField()
    content = models.JSONField()
    parts = models.JSONField(help_text=_("Digest of each part."))
    digest = models.CharField(max_length=64)
    by = models.CharField(max_length=150)
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["version"]
        constraints = [models.UniqueConstraint(fields=["change", "version"], name="version_once")]


class Item(models.Model):
    """One operation of a change on the architecture."""

    class Operation(models.TextChoices):
        CREATE = "create", _("create")
        UPDATE = "update", _("update")
        DELETE = "delete", _("delete")

    class Object(models.TextChoices):
        COMPONENT = "component", _("component")
        RELATION = "relation", _("relation")

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField(default=0)
    operation = models.CharField(max_length=6, choices=Operation)
    object = models.CharField(max_length=9, choices=Object)
    key = models.CharField(max_length=700, db_index=True)
    source = models.CharField(max_length=710, blank=True, help_text=_("Key of a component, or relation:<key>."))
    target = models.CharField(max_length=710, blank=True)
    relation_type = models.CharField(max_length=100, blank=True)
    data = models.JSONField(default=dict, blank=True)
    before = models.JSONField(null=True, blank=True)
    base_revision = models.PositiveBigIntegerField(default=0)
    layer = models.CharField(max_length=60, blank=True, db_index=True)
    replace = models.BooleanField(default=False)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["change", "object", "key"], name="item_once_per_thing")]


class Preview(models.Model):
    """What was computed about a change: its reach, its overlay, its difference. One row, replaced as it is computed again."""

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        READY = "ready", _("ready")
        CONFLICT = "conflict", _("conflict")
        FAILED = "failed", _("failed")

    change = models.OneToOneField(Change, on_delete=models.CASCADE, related_name="preview")
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    version = models.PositiveIntegerField()
    items_digest = models.CharField(max_length=64, help_text=_("Digest of the items it was computed for."))
    revision = models.PositiveBigIntegerField()
    impact = models.JSONField(default=dict)
    diff = models.JSONField(default=dict)
    summary = models.JSONField(default=dict)
    checks = models.JSONField(default=list)
    drift = models.JSONField(default=list)
    layout = models.JSONField(default=dict)
    further = models.JSONField(default=dict, help_text=_("How much further than is set it is followed: `max_depth`, `min_score`."))
    result_digest = models.CharField(max_length=64, blank=True, help_text=_("Digest of the result within the reach of the change."))
    started_at = models.DateTimeField()
    computed_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)


class Reach(models.Model):
    """One component an open change reaches: what collisions and staleness are found by."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="reach")
    key = models.CharField(max_length=300, db_index=True)
    score = models.FloatField()
    direct = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "key"], name="reach_once")]


class Assessment(models.Model):
    """The risk of a change as computed at one moment; never overwritten."""

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="assessments")
    version = models.PositiveIntegerField()
    inputs_digest = models.CharField(max_length=64)
    technical = models.FloatField()
    business = models.FloatField()
    overall = models.FloatField()
    level = models.CharField(max_length=9, choices=Scale)
    risks = models.JSONField(default=list)
    factors = models.JSONField(default=dict)
    statements = models.JSONField(default=dict, help_text=_("Resources, tests, rollback, dependencies, constraints, in words."))
    success_value = models.FloatField(null=True, blank=True)
    success_sample = models.PositiveIntegerField(default=0)
    override_level = models.CharField(max_length=9, choices=Scale, blank=True)
    override_reason = models.TextField(blank=True)
    override_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["pk"]


class Comment(models.Model):
    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "pk"]


def attachment_path(attachment: "Attachment", name: str) -> str:
    """A name nobody can guess, outside the web root; the original name is only shown."""
    return f"attachments/{attachment.uuid}"


class Attachment(models.Model):
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="attachments")
    file = models.FileField(upload_to=attachment_path, max_length=200)
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    content_type = models.CharField(max_length=100)
    sha256 = models.CharField(max_length=64)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    evidence = models.BooleanField(default=False, help_text=_("Evidence of a condition: not content of the change."))

    class Meta:
        ordering = ["at", "pk"]


class Link(models.Model):
    """A tie to another change or to something in another system."""

    class Kind(models.TextChoices):
        DEPENDS_ON = "depends_on", _("depends on")
        BLOCKS = "blocks", _("blocks")
        RELATED = "related", _("related to")
        INCIDENT = "incident", _("incident")
        PROBLEM = "problem", _("problem")
        SPECIFICATION = "specification", _("specification")
        PULL_REQUEST = "pull_request", _("pull request")

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="links")
    kind = models.CharField(max_length=13, choices=Kind)
    other = models.ForeignKey(Change, null=True, blank=True, on_delete=models.PROTECT, related_name="linked_from")
    target = models.CharField(max_length=300, blank=True, help_text=_("Its id in the other system."))
    system = models.CharField(max_length=60, blank=True)
    url = models.URLField(max_length=1000, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["change", "kind", "other"], condition=Q(other__isnull=False), name="link_once"),
            models.UniqueConstraint(fields=["change", "kind", "system", "target"], condition=Q(other__isnull=True), name="link_outside_once"),
        ]
