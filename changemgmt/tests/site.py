"""A real Countersign in processes of its own: set up by the real commands, started by `manage.py up`, on SQLite or PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from .needs import ROOT, postgres_url


@dataclass
class Site:
    """Where it listens, the environment of its commands, and its demo people with passwords and tokens."""

    url: str
    environment: dict[str, str]
    data_dir: Path
    people: dict[str, dict[str, Any]] = field(default_factory=dict)

    def manage(self, *words: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` with these words against the same data."""
        command = [sys.executable, "manage.py", *words]
        answer = subprocess.run(command, cwd=ROOT, env=self.environment | environment, capture_output=True, text=True, timeout=300)
        assert not check or answer.returncode == 0, f"manage.py {' '.join(words)} ended with {answer.returncode}:\n{answer.stdout}\n{answer.stderr}"
        return answer

    def api(self, username: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """One request to the REST API as this person: status, body, headers."""
        data = None if body is None else json.dumps(body).encode()
        token = {"Authorization": f"Token {self.people[username]['token']}"} if username else {}
        wanted = {"Content-Type": "application/json", **token, **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=data, method=method, headers=wanted)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read().decode()
                return answer.status, json.loads(text) if text else None, dict(answer.headers)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            return error.code, json.loads(text) if text else None, dict(error.headers)


@contextlib.contextmanager
def site(folder: Path, *, postgres: bool = False) -> Iterator[Site]:
    """Set up, fill with the demo, start, wait until it answers; stop and clean up afterwards."""
    with database(postgres) as database_url:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        keep = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}}
        settings = {"DATA_DIR": str(folder), "BASE_URL": url, "API_THROTTLE": "off", "LOGIN_THROTTLE": "off", "COUNTERSIGN_ENV": "embedded"}
        made = Site(url, keep | settings | ({"DATABASE_URL": database_url} if database_url else {}), folder)
        made.manage("setup")
        made.people = {person["username"]: person for person in json.loads(made.manage("demo", "--json").stdout)["people"]}
        with running(made, port):
            yield made


@contextlib.contextmanager
def running(made: Site, port: int) -> Iterator[None]:
    where = made.data_dir / "up.log"
    with where.open("ab") as log:
        process = subprocess.Popen([sys.executable, "manage.py", "up", "--port", str(port)], cwd=ROOT, env=made.environment, stdout=log, stderr=log)
        try:
            wait_until_it_answers(made.url, process, where)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, f"it ended by itself:\n{log.read_text()}"
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"no answer from {url} within a minute:\n{log.read_text()}")


@contextlib.contextmanager
def database(postgres: bool) -> Iterator[str]:
    """The URL of a PostgreSQL database that lives as long as the block; empty for SQLite."""
    if not postgres:
        yield ""
        return
    server = postgres_url().rpartition("/")[0]
    name = f"countersign_site_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{server}/{name}"
    finally:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
