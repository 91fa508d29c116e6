"""What a change has written into the live architecture, kept so that it can be undone exactly."""

from django.db import models

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
