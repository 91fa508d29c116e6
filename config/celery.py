"""The Celery application. Tasks carry ids; the database holds what is owed."""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_init
from django.core.exceptions import ImproperlyConfigured

from . import broker  # noqa: F401  folder:// is known from here on

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("countersign")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# The outbox keeps what could not be announced: nobody waits for a broker that is away.
app.conf.task_publish_retry = False
# A tick that came late is dropped, since the next does the same.
app.conf.beat_schedule = {
    "drain the outbox": {"task": "changemgmt.drain_outbox", "schedule": 5.0, "options": {"expires": 5}},
    "send mail that is owed": {"task": "changemgmt.send_due_mail", "schedule": 30.0, "options": {"expires": 30}},
    "what is due by the clock": {"task": "changemgmt.sla.tasks.act_on_due", "schedule": 60.0, "options": {"expires": 60}},
    "what a dead worker left undone": {"task": "changemgmt.orchestrator.tasks.resume_computations", "schedule": 10.0, "options": {"expires": 10}},
    "what a lost message left undone": {"task": "changemgmt.orchestrator.tasks.sweep", "schedule": 60.0, "options": {"expires": 60}},
}


@worker_init.connect
@beat_init.connect
def refuse_an_unguarded_record(**_: Any) -> None:
    """Production does not start on an audit record that can be changed. Celery only logs other errors of a receiver."""
    from changemgmt.audit.triggers import require_in_production

    try:
        require_in_production()
    except ImproperlyConfigured as refusal:
        raise SystemExit(str(refusal)) from None
