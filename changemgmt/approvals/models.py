"""Approval: chains that administrators configure, and the rounds, seats and votes that happen."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from changemgmt.accounts.models import Delegation
from changemgmt.changes.models import Change

PARTS = ["texts", "items", "impact", "risk", "plan", "window"]


def all_parts() -> list[str]:
    """A level watches every part unless told otherwise."""
    return list(PARTS)


def default_reminders() -> list[int]:
    """Percentages of the time given at which a reminder goes out."""
    return [50, 75, 90]


class RuleKind(models.TextChoices):
    ALL = "all", _("all must approve")
    ANY = "any", _("any one")
    COUNT = "count", _("at least N")
    PERCENT = "percent", _("at least P percent")
    WEIGHT = "weight", _("weight of at least W")


class Power(models.TextChoices):
    VOTER = "voter", _("voter")
    VETO = "veto", _("voter with veto")
    DECIDING = "deciding", _("decides a tie")
    ADVISORY = "advisory", _("advice only")


class Chain(models.Model):
    """Configured: which levels a change has to pass, and for which changes."""

    name = models.CharField(max_length=100, unique=True)
    order = models.PositiveIntegerField(default=100, help_text=_("Chains are tried in this order; the first that applies is used."))
    active = models.BooleanField(
        default=False, help_text=_("Whether it is to be used. Takes effect, like everything here, when another administrator activates it.")
    )
    version = models.PositiveIntegerField(default=0, editable=False, help_text=_("Of the configuration in force; counts activations."))
    in_force = models.JSONField(
        null=True, blank=True, editable=False, help_text=_("The configuration as it was activated; rounds are built from this alone.")
    )
    edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+")
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_to = models.DateTimeField(null=True, blank=True)
    additive = models.BooleanField(default=False, help_text=_("Its levels are added to those of the chain that is used."))
    applies_when = models.JSONField(default=dict, blank=True)
    history = HistoricalRecords(excluded_fields=["in_force"])

    class Meta:
        ordering = ["order", "name"]

    def __str__(self) -> str:
        return self.name


class Level(models.Model):
    """Configured: one level of a chain. Levels with one number run side by side."""

    class OnTimeout(models.TextChoices):
        ESCALATE = "escalate", _("tell the approvers' managers")
        REASSIGN = "reassign", _("ask the approvers' managers instead")
        APPROVE = "approve", _("approve by itself (low risk only)")
        REJECT = "reject", _("reject by itself")

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="levels")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    applies_when = models.JSONField(default=dict, blank=True)
    rule_kind = models.CharField(_("rule"), max_length=7, choices=RuleKind, default=RuleKind.ALL)
    rule_value = models.PositiveIntegerField(_("N, P or W"), null=True, blank=True)
    watches = models.JSONField(default=all_parts, blank=True)
    sla_hours = models.PositiveIntegerField(_("time to decide, hours"), default=48)
    on_timeout = models.CharField(max_length=8, choices=OnTimeout, default=OnTimeout.ESCALATE)
    expires_hours = models.PositiveIntegerField(_("approval expires after, hours"), null=True, blank=True)
    allow_conditions = models.BooleanField(default=True)
    require_comment_on_reject = models.BooleanField(default=True)
    require_signature = models.BooleanField(default=False)
    allow_guests = models.BooleanField(default=False)
    reminders = models.JSONField(default=default_reminders, blank=True)

    class Meta:
        ordering = ["number", "pk"]

    def __str__(self) -> str:
        return f"{self.number}. {self.name}"


class Slot(models.Model):
    """Configured: whom a level asks. A slot that needs k of a group opens k seats."""

    level = models.ForeignKey(Level, on_delete=models.CASCADE, related_name="slots")
    position = models.PositiveIntegerField(default=0)
    label = models.CharField(max_length=100)
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    dynamic = models.CharField(max_length=100, blank=True, help_text=_("requester_manager, manager:2, unit_head, component_owners:4, service_owner"))
    power = models.CharField(max_length=8, choices=Power, default=Power.VOTER)
    weight = models.PositiveIntegerField(default=1)
    required = models.PositiveIntegerField(_("how many"), default=1)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=(Q(group__isnull=False) & Q(user__isnull=True) & Q(dynamic=""))
                | (Q(group__isnull=True) & Q(user__isnull=False) & Q(dynamic=""))
                | (Q(group__isnull=True) & Q(user__isnull=True) & ~Q(dynamic="")),
                name="slot_asks_one_kind",
            ),
            models.CheckConstraint(condition=Q(required__gte=1, weight__gte=1), name="slot_at_least_one"),
        ]

    def __str__(self) -> str:
        return self.label


class Round(models.Model):
    """Running: one pass of a change version through its chain, which is kept as it was."""

    class Outcome(models.TextChoices):
        PENDING = "pending", _("pending")
        APPROVED = "approved", _("approved")
        CONDITIONS = "approved_with_conditions", _("approved with conditions")
        REJECTED = "rejected", _("rejected")
        WITHDRAWN = "withdrawn", _("withdrawn")

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField()
    version = models.PositiveIntegerField(help_text=_("The version of the change it decides on."))
    chain = models.CharField(max_length=200)
    chain_version = models.PositiveIntegerField()
    snapshot = models.JSONField(help_text=_("The chain as it was when the round opened."))
    parts = models.JSONField(help_text=_("Digest of each part of the change when the round opened."))
    digest = models.CharField(max_length=64)
    outcome = models.CharField(max_length=24, choices=Outcome, default=Outcome.PENDING)
    retrospective = models.BooleanField(default=False)
    opened_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["change", "number"], name="round_number_once"),
            models.UniqueConstraint(fields=["change"], condition=Q(outcome="pending"), name="one_pending_round"),
        ]


class RoundLevel(models.Model):
    """Running: a level of a round."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        OPEN = "open", _("open")
        APPROVED = "approved", _("approved")
        CONDITIONS = "approved_with_conditions", _("approved with conditions")
        REJECTED = "rejected", _("rejected")
        SKIPPED = "skipped", _("skipped")
        SUPERSEDED = "superseded", _("superseded")

    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="levels")
    position = models.PositiveIntegerField(help_text=_("Unique within the round; levels of one number stand side by side."))
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    state = models.CharField(max_length=24, choices=State, default=State.WAITING)
    rule_kind = models.CharField(max_length=7, choices=RuleKind)
    rule_value = models.PositiveIntegerField(null=True, blank=True)
    watches = models.JSONField(default=all_parts)
    digest = models.CharField(max_length=64, help_text=_("Digest of the parts this level watches."))
    settings = models.JSONField(default=dict, help_text=_("allow_conditions, require_comment_on_reject and the other switches as configured."))
    opened_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    reminded = models.PositiveSmallIntegerField(default=0, help_text=_("The percentage of the time given at which the last reminder went out."))
    timed_out_at = models.DateTimeField(null=True, blank=True, help_text=_("When what is set for its time-out was done."))

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["round", "position"], name="level_position_once")]


class Seat(models.Model):
    """Running: a place for one person's vote."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        OPEN = "open", _("open")
        VOTED = "voted", _("voted")
        CLOSED = "closed", _("closed")

    level = models.ForeignKey(RoundLevel, on_delete=models.PROTECT, related_name="seats")
    position = models.PositiveIntegerField()
    label = models.CharField(max_length=100)
    power = models.CharField(max_length=8, choices=Power)
    weight = models.PositiveIntegerField(default=1)
    group = models.CharField(max_length=150, blank=True, help_text=_("Name of the group asked, if a group is."))
    explanation = models.CharField(max_length=300, blank=True, help_text=_("Why these people are asked."))
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    people = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="seats", blank=True, help_text=_("Who may take it."))
    claimed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="seats_claimed")
    claimed_until = models.DateTimeField(null=True, blank=True, help_text=_("Until then nobody else of the group votes at it."))
    reassigned_from = models.CharField(max_length=300, blank=True, help_text=_("Whom the chain asked, where a change manager asked somebody else."))

    class Meta:
        ordering = ["level_id", "position"]
        constraints = [models.UniqueConstraint(fields=["level", "position"], name="seat_position_once")]
        indexes = [models.Index(fields=["state"], condition=Q(state="open"), name="seat_open")]


class Vote(models.Model):
    """Running: one person's decision at one seat. Never changed but to mark it superseded."""

    class Kind(models.TextChoices):
        APPROVE = "approve", _("approve")
        REJECT = "reject", _("reject")
        ABSTAIN = "abstain", _("abstain")

    level = models.ForeignKey(RoundLevel, on_delete=models.PROTECT, related_name="votes")
    seat = models.ForeignKey(Seat, on_delete=models.PROTECT, related_name="votes")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="votes")
    on_behalf_of = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    delegation = models.ForeignKey(
        Delegation, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text=_("By which the voter stood in.")
    )
    person = models.CharField(max_length=40, help_text=_("The human being who voted, over all their accounts."))
    printed_name = models.CharField(max_length=200, help_text=_("The name as it was at the vote."))
    vote = models.CharField(max_length=7, choices=Kind)
    comment = models.TextField(blank=True)
    conditions = models.JSONField(default=list)
    signature = models.JSONField(null=True, help_text=_("Of an electronic signature: its meaning, the printed name, the factors that were proven."))
    version = models.PositiveIntegerField()
    digest = models.CharField(max_length=64, help_text=_("The digest that was on the screen."))
    at = models.DateTimeField()
    carried_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    superseded = models.BooleanField(default=False)
    superseded_why = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["seat"], condition=Q(superseded=False), name="one_vote_per_seat"),
            models.UniqueConstraint(fields=["level", "person"], condition=Q(superseded=False), name="one_vote_per_person_and_level"),
        ]

    @property
    def voice(self) -> str:
        """The person whose vote it is, whoever gave it."""
        return (self.on_behalf_of or self.by).person


class Look(models.Model):
    """What somebody who is asked for a vote saw last of a change, so that they are shown what moved since."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="looks")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    version = models.PositiveIntegerField()
    edits = models.PositiveIntegerField()
    parts = models.JSONField(help_text=_("Digest of each part at that moment."))
    at = models.DateTimeField()
    before = models.JSONField(null=True, help_text=_("What they had seen before that, if it was another content: version, parts and time."))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["change", "user"], name="last_look_once")]


class Guest(models.Model):
    """Somebody without an account who is asked at a seat, by a link and a code over a second channel."""

    seat = models.ForeignKey(Seat, on_delete=models.PROTECT, related_name="guests")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", help_text=_("Stands for them; never signs in."))
    name = models.CharField(max_length=200)
    email = models.EmailField()
    second_channel = models.CharField(max_length=200, help_text=_("Where the code goes: another mail address, or a phone number."))
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    invited_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["seat", "email"], condition=Q(revoked_at=None), name="guest_asked_once")]


class MailLink(models.Model):
    """A link in a mail that leads to one decision of one person on one content. Only the hash of its token is kept."""

    token_hash = models.CharField(max_length=64, unique=True)
    seat = models.ForeignKey(Seat, on_delete=models.PROTECT, related_name="links")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=7, choices=Vote.Kind)
    version = models.PositiveIntegerField()
    digest = models.CharField(max_length=64, help_text=_("Of what the mail described."))
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    code_hash = models.CharField(max_length=64, blank=True, help_text=_("Of the code that went over the second channel."))
    code_sent_at = models.DateTimeField(null=True, blank=True)
    code_tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["seat", "user"], name="link_of_person")]


class Override(models.Model):
    """A level decided by two named people instead of its seats: one asks with a reason, another confirms."""

    class Decision(models.TextChoices):
        APPROVE = "approve", _("approve")
        REJECT = "reject", _("reject")

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="overrides")
    level = models.ForeignKey(RoundLevel, on_delete=models.PROTECT, related_name="overrides")
    decision = models.CharField(max_length=7, choices=Decision)
    reason = models.TextField()
    digest = models.CharField(max_length=64, help_text=_("Of what the level covered when it was asked for."))
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["level"], condition=Q(confirmed_at=None, withdrawn_at=None), name="one_open_override_per_level")
        ]


class InformationRequest(models.Model):
    """An approver's question. While one is open the round waits."""

    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="information_requests")
    seat = models.ForeignKey(Seat, on_delete=models.PROTECT, related_name="information_requests")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    question = models.TextField()
    asked_at = models.DateTimeField()
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    answer = models.TextField(blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["asked_at"]


class ActionItem(models.Model):
    """An obligation that came with an approval: it blocks exactly its due point until it is done or waived."""

    class Due(models.TextChoices):
        BEFORE_SCHEDULE = "before_schedule", _("before it is scheduled")
        BEFORE_START = "before_start", _("before it starts")
        DURING = "during", _("during implementation")
        BEFORE_CLOSE = "before_close", _("before it is closed")

    class Evidence(models.TextChoices):
        STATEMENT = "statement", _("a statement")
        FILE = "file", _("a file")
        LINK = "link", _("a link")
        CHECK = "check", _("an automated check")
        VOTE = "vote", _("a second person's word")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        EVIDENCE_GIVEN = "evidence_given", _("evidence given")
        DONE = "done", _("done")
        WAIVED = "waived", _("waived")
        EXPIRED = "expired", _("expired")

    class OnExpiry(models.TextChoices):
        REVIEW = "review", _("the approval is asked for again")
        REJECT = "reject", _("the approval becomes a rejection")

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="action_items")
    vote = models.ForeignKey(Vote, null=True, blank=True, on_delete=models.PROTECT, related_name="action_items")
    text = models.TextField()
    due = models.CharField(max_length=15, choices=Due, default=Due.BEFORE_START)
    evidence_kind = models.CharField(max_length=9, choices=Evidence, default=Evidence.STATEMENT)
    advisory = models.BooleanField(default=False, help_text=_("A recommendation: it blocks nothing."))
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="action_items")
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text=_("Unmet by then, it ends the approval that demanded it."))
    on_expiry = models.CharField(max_length=6, choices=OnExpiry, default=OnExpiry.REVIEW)
    state = models.CharField(max_length=14, choices=State, default=State.OPEN)
    evidence = models.JSONField(default=list, help_text=_("What was given: kind, text or url or attachment, by, at."))
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_comment = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
