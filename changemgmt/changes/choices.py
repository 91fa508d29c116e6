"""The words a change is described with: its type, priority, state and result."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Type(TextChoices):
    STANDARD = "standard", _("Standard")
    NORMAL = "normal", _("Normal")
    EMERGENCY = "emergency", _("Emergency")
    MAJOR = "major", _("Major")


class Priority(TextChoices):
    CRITICAL = "critical", _("Critical")
    HIGH = "high", _("High")
    MEDIUM = "medium", _("Medium")
    LOW = "low", _("Low")


class Scale(TextChoices):
    LOW = "low", _("Low")
    MEDIUM = "medium", _("Medium")
    HIGH = "high", _("High")
    VERY_HIGH = "very_high", _("Very high")


class Urgency(TextChoices):
    LOW = "low", _("Low")
    NORMAL = "normal", _("Normal")
    HIGH = "high", _("High")


class Result(TextChoices):
    SUCCESSFUL = "successful", _("Successful")
    ISSUES = "successful_with_issues", _("Successful with issues")
    FAILED = "failed", _("Failed")
    ROLLED_BACK = "rolled_back", _("Rolled back")
    CANCELLED = "cancelled", _("Cancelled")


class OnWindowEnd(TextChoices):
    FINISH = "finish", _("Finish")
    PAUSE = "pause", _("Pause")
    ROLL_BACK = "roll_back", _("Roll back")


class State(TextChoices):
    DRAFT = "draft", _("Draft")
    SUBMITTED = "submitted", _("Submitted")
    IN_REVIEW = "in_review", _("In review")
    INFO_REQUESTED = "info_requested", _("Information requested")
    APPROVED = "approved", _("Approved")
    APPROVED_WITH_CONDITIONS = "approved_with_conditions", _("Approved with conditions")
    REJECTED = "rejected", _("Rejected")
    SCHEDULED = "scheduled", _("Scheduled")
    IMPLEMENTING = "implementing", _("Implementing")
    IMPLEMENTED = "implemented", _("Implemented")
    FAILED = "failed", _("Failed")
    ROLLED_BACK = "rolled_back", _("Rolled back")
    CLOSED = "closed", _("Closed")
    CANCELLED = "cancelled", _("Cancelled")


APPROVED = [State.APPROVED, State.APPROVED_WITH_CONDITIONS]
BEFORE_IMPLEMENTING = [State.DRAFT, State.SUBMITTED, State.IN_REVIEW, State.INFO_REQUESTED, *APPROVED, State.REJECTED, State.SCHEDULED]
UNDER_REVIEW = [State.SUBMITTED, State.IN_REVIEW, State.INFO_REQUESTED]
AMENDABLE = [*UNDER_REVIEW, *APPROVED, State.SCHEDULED]
OPEN = [*BEFORE_IMPLEMENTING, State.IMPLEMENTING, State.IMPLEMENTED, State.FAILED]
