"""Mail that accounts owe: reactions to `user.invited` and `password.reset_requested`."""

from celery import shared_task

from changemgmt.audit.models import Event, PersonalValue

from .mail import send_invitation, send_reset
from .models import User


@shared_task(name="changemgmt.send_invitation")
def mail_invitation(*, event_id: int) -> None:
    """Send the invitation the event tells of. Again after a crash: a second letter with a link as good as the first."""
    username = Event.objects.get(pk=event_id).object.removeprefix("user:")
    for user in User.objects.filter(username=username).exclude(email=""):
        send_invitation(user)


@shared_task(name="changemgmt.send_reset_link")
def mail_reset_link(*, event_id: int) -> None:
    """Send the link to every account that has the address; to nobody when none has."""
    address = PersonalValue.objects.filter(event=event_id, path="data.email").values_list("value", flat=True).first()
    if not address:
        return
    for user in User.objects.filter(email__iexact=address, is_active=True, is_service=False):
        send_reset(user)
