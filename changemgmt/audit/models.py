"""The record: append-only events in hash-chained streams, and the outbox of what is to be told."""

from datetime import timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _


class Stream(models.Model):
    """One chain of events; its row holds the head and is locked while an event is appended."""

    name = models.CharField(max_length=80, unique=True)
    length = models.PositiveBigIntegerField(default=0)
    head = models.CharField(max_length=64, default="0" * 64)


class Event(models.Model):
    """One act. `text` is the canonical text exactly as hashed; the other columns repeat what is filtered by.

    The database refuses to change or remove a row; see `triggers`.
    """

    stream = models.CharField(max_length=80)
    sequence = models.PositiveBigIntegerField()
    at = models.DateTimeField(db_index=True)
    action = models.CharField(max_length=60, db_index=True)
    object = models.CharField(max_length=800)
    change = models.CharField(max_length=40, blank=True, db_index=True)
    channel = models.CharField(max_length=8)
    text = models.TextField()
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["stream", "sequence"], name="event_sequence_once")]


class PersonalValue(models.Model):
    """The clear value behind a salted commitment in an event's text. Deleting the row leaves every hash valid."""

    BEGINNING = 150

    event = models.PositiveBigIntegerField()
    path = models.CharField(max_length=120)
    salt = models.CharField(max_length=32)
    value = models.TextField()
    beginning = models.CharField(max_length=BEGINNING, help_text=_("The first characters of the value, by which it is found."))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event", "path"], name="personal_value_once")]
        indexes = [models.Index(fields=["path", "beginning"], name="personal_value_search")]


class OutboxEntry(models.Model):
    """An event that still has to be handed to what reacts to it."""

    event = models.PositiveBigIntegerField(unique=True)
    kind = models.CharField(max_length=60)
    change = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["id"]


class Verification(models.Model):
    """One check of the whole record, and what it found."""

    GIVE_UP = timedelta(hours=1)

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")

    state = models.CharField(max_length=7, choices=State, default=State.RUNNING)
    asked_at = models.DateTimeField()
    at = models.DateTimeField(null=True, blank=True, help_text=_("When it ended."))
    ok = models.BooleanField(null=True)
    events = models.PositiveBigIntegerField(default=0)
    streams = models.PositiveBigIntegerField(default=0)
    first_bad = models.CharField(max_length=120, null=True, blank=True, help_text=_("Stream and sequence of the first event that is wrong."))
    kind = models.CharField(max_length=20, null=True, blank=True)
    message = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["-id"]
