"""`manage.py up`: web, worker and scheduler together, until Ctrl-C."""

import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from changemgmt.orchestrator.supervisor import AlreadyRunning, Program, Supervisor, take_lock

THREADS = 8


class Command(BaseCommand):
    help = "Starts web, worker and scheduler together and stops them on Ctrl-C."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        make_folders()
        try:
            lock = take_lock(settings.DATA_DIR / "up.lock")
        except AlreadyRunning as holder:
            raise CommandError(f"It is already running on this data folder, as process {holder}. Stop that one first.") from None
        check_port(host, port)
        address = f"http://{'127.0.0.1' if host in {'', '0.0.0.0'} else host}:{port}"  # noqa: S104 - compared, not bound
        environment = {**os.environ, "BASE_URL": os.environ.get("BASE_URL") or address, "PYTHONUNBUFFERED": "1"}
        supervisor = Supervisor(programs(host, port), say=self.say, environment=environment)
        threading.Thread(target=self.announce, args=(address, supervisor), daemon=True).start()
        with lock:
            supervisor.run()
        self.say("Stopped.")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def announce(self, address: str, supervisor: Supervisor) -> None:
        """Print the address as soon as the web process answers."""
        while not supervisor.stopping.wait(0.1):
            if answers(f"{address}/healthz"):
                self.say(f"\nCountersign is up: {address}/  (Ctrl-C stops it)\n")
                return


def make_folders() -> None:
    """The folders web and worker write to."""
    for name in ("mail", "media"):
        (settings.DATA_DIR / name).mkdir(parents=True, exist_ok=True)
    settings.STATIC_ROOT.mkdir(exist_ok=True)


def check_port(host: str, port: int) -> None:
    """Say it now, in one sentence, when the port is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port}: {error.strerror}. Choose another port, for example: make run PORT={port + 1}"
            ) from None


def programs(host: str, port: int) -> list[Program]:
    """Web, and the worker with the scheduler inside."""
    python = sys.executable
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    web = [
        python,
        "-m",
        "gunicorn",
        "config.wsgi:application",
        "-c",
        "config/gunicorn.py",
        "--bind",
        bind,
        "--workers",
        "1",
        "--threads",
        str(THREADS),
    ]
    # Celery warns at length when root starts it, which is what one does in a container.
    celery = [python, "-W", "ignore:You're running the worker", "-m", "celery", "-q", "-A", "config"]
    worker = [*celery, "worker", "-B", "-P", "threads", "-c", "4", "--loglevel", "WARNING"]
    schedule = ["--schedule", str(settings.DATA_DIR / "beat-schedule"), "--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [Program("web", web), Program("worker", worker + schedule)]


def answers(url: str) -> bool:
    """Whether anything speaks HTTP there yet."""
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own address
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        time.sleep(0.1)
        return False
    return True
