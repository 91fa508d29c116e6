"""A flat table of 12 scalar fields."""

from django.db import models


class Record(models.Model):
    title = models.CharField(max_length=200)
    description = models.TextField()
    kind = models.CharField(max_length=20)
    priority = models.CharField(max_length=20)
    state = models.CharField(max_length=20)
    requester = models.CharField(max_length=100)
    owner = models.CharField(max_length=100)
    score = models.FloatField()
    affected = models.IntegerField()
    urgent = models.BooleanField()
    created_at = models.DateTimeField()
