"""The reactions that tell people, and the sweep for mails that are owed."""

from __future__ import annotations

from celery import shared_task

from changemgmt.core.time import utc_now

from . import actions, mail


@shared_task(name="changemgmt.notify")
def notify(*, event_id: int) -> None:
    """Tell everybody whom the event concerns, in the application and by mail. Run twice it tells once."""
    actions.tell(event_id)
    mail.send_due(now=utc_now(), event_id=event_id)


@shared_task(name="changemgmt.send_due_mail")
def send_due_mail() -> None:
    """Send what is owed: what failed before, or what a crash left."""
    mail.send_due(now=utc_now())
