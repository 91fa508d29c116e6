"""gunicorn's settings, the same everywhere; address, workers and threads are given on the command line or here by the environment."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from gunicorn.workers.base import Worker

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
worker_class = "gthread"
timeout = 60
graceful_timeout = 10
keepalive = 15
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True


def post_worker_init(worker: Worker) -> None:
    """Answer once before the first caller does, then take what is loaded out of the garbage collector's sight.

    A full collection over the loaded code would stop a request several times longer than the request takes.
    """
    warm_up(worker.wsgi)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def warm_up(application: WSGIApplication) -> None:
    """One request to the health page, which loads the URL conf, the middleware and the views."""
    from django.conf import settings
    from django.test import RequestFactory

    host = next((host for host in settings.ALLOWED_HOSTS if host and not host.startswith(("*", "."))), "localhost")
    environ = RequestFactory().get("/healthz", HTTP_HOST=host, secure=getattr(settings, "HTTPS", False)).environ
    body = application(environ, lambda status, headers, exc_info=None: lambda data: None)
    for _ in body:
        pass
    if close := getattr(body, "close", None):
        close()
