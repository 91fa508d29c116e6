"""Sending what is owed by mail: taken for a while, sent, marked. A server that is down only delays it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import F, Q
from django.template.loader import render_to_string

from changemgmt.approvals.links import take_back
from changemgmt.audit.models import Event
from changemgmt.changes.models import Change

from .asking import Asking, asking_of, sent
from .models import Notification
from .queries import who_may
from .rules import one_line

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
MOST_ATTEMPTS = 12
LONGEST_WAIT = timedelta(hours=4)
NOT_THEIRS = "not sent: it is not theirs to see any more"


def send_due(*, now: datetime, event_id: int | None = None, limit: int = 100) -> int:
    """Send the mails that are due (of one event, or of all), oldest first; returns how many went out.

    One that fails waits, ever longer, and is given up after twelve attempts with its error beside it.
    """
    rows = claim(now=now, event_id=event_id, limit=limit)
    if not rows:
        return 0
    changes = {change.number: change for change in Change.objects.filter(number__in={row.change for row in rows if row.change})}
    events = Event.objects.in_bulk({row.event for row in rows})
    return sum(deliver(row, changes.get(row.change), events.get(row.event), now=now) for row in rows)


def claim(*, now: datetime, event_id: int | None, limit: int) -> list[Notification]:
    """Take due mails for the length of a lease, so that nobody else sends the same meanwhile."""
    owed = Notification.objects.filter(channel=Notification.Channel.MAIL, sent_at=None, attempts__lt=MOST_ATTEMPTS)
    due = owed.filter(Q(next_attempt_at=None) | Q(next_attempt_at__lte=now))
    if event_id is not None:
        due = due.filter(event=event_id)
    with transaction.atomic():
        rows = list(due.select_related("recipient").order_by("pk").select_for_update(skip_locked=True, of=("self",))[:limit])
        Notification.objects.filter(pk__in=[row.pk for row in rows]).update(attempts=F("attempts") + 1, next_attempt_at=now + LEASE)
    return rows


def deliver(row: Notification, change: Change | None, event: Event | None, *, now: datetime) -> bool:
    """Send one mail and mark what became of it."""
    mine = Notification.objects.filter(pk=row.pk)
    theirs = (change is not None or not row.change) and who_may(change, [row.recipient], guests={row.recipient_id})
    asking = asking_of(row, now=now) if theirs else None
    if not theirs or not (asking.address if asking else row.recipient.email):
        mine.update(attempts=MOST_ATTEMPTS, last_error=NOT_THEIRS)
        return False
    try:
        letter(row, event, asking).send()
    except Exception as error:  # noqa: BLE001  whatever a mail server answers, the mail is owed still
        logger.warning("notification %s could not be mailed: %s", row.pk, error)
        if asking:
            take_back(asking.offer, now=now)
        mine.update(next_attempt_at=now + wait_after(row.attempts + 1), last_error=f"{type(error).__name__}: {error}"[:300])
        return False
    mine.update(sent_at=now, next_attempt_at=None, last_error="")
    if asking:
        sent(asking)
    return True


def wait_after(attempts: int) -> timedelta:
    """How long a mail waits after its n-th failure: 30 s, 1 min, 2 min … up to four hours."""
    return min(timedelta(seconds=30) * 2 ** min(attempts - 1, 12), LONGEST_WAIT)


def letter(row: Notification, event: Event | None, asking: Asking | None = None) -> EmailMultiAlternatives:
    """The mail as text and HTML. Its Message-ID is the same at every attempt, so that a doubled one can be told."""
    host = urlsplit(settings.BASE_URL).hostname or "localhost"
    context = {
        "notification": row, "event": event, "link": f"{settings.BASE_URL}{row.url}" if row.url else settings.BASE_URL,
        "product_name": settings.PRODUCT_NAME, "name": row.recipient.display_name, "asking": asking,
    }  # fmt: skip
    mail = EmailMultiAlternatives(
        one_line(row.title),
        render_to_string("mail/notification.txt", context),
        settings.DEFAULT_FROM_EMAIL,
        [asking.address if asking else row.recipient.email],
        headers={"Message-ID": f"<notification-{row.event}-{row.recipient_id}@{host}>", "Auto-Submitted": "auto-generated", **thread(row, host)},
        connection=get_connection(),
    )
    mail.attach_alternative(render_to_string("mail/notification.html", context), "text/html")
    return mail


def thread(row: Notification, host: str) -> dict[str, str]:
    """What lets a mail program put all mails of one change together."""
    return {"References": f"<{row.change}@{host}>"} if row.change else {}
