"""The checking of the record that somebody asked for."""

from __future__ import annotations

from celery import shared_task

from changemgmt.audit.actions import report_verification
from changemgmt.audit.models import Event, Verification
from changemgmt.core.time import utc_now

from . import record


@shared_task(name="changemgmt.verify_record")
def verify_record(*, event_id: int) -> None:
    """Do the check that the event asked for, unless it was done already."""
    key = int(Event.objects.get(pk=event_id).object.removeprefix("verification:"))
    run = Verification.objects.filter(pk=key, state=Verification.State.RUNNING).first()
    if run is not None:
        report = record.verify_record(now=utc_now())
        report_verification(run, report, now=utc_now())
