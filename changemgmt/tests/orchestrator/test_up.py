"""`manage.py up`: one command starts everything and stops everything."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from changemgmt.tests.needs import ROOT

from .test_supervisor import alive, until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def manage(*arguments: str, data: Path) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "BASE_URL", "CI"}}
    environment = kept | {"DATA_DIR": str(data), "COUNTERSIGN_ENV": "embedded"}
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def status(url: str, seconds: float = 30) -> int:
    """The status once anything answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return urllib.request.urlopen(url, timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.1)
    return 0


def group_of(process: subprocess.Popen[str]) -> list[int]:
    """All processes below this one."""
    found, left = [], [process.pid]
    while left:
        pid = left.pop()
        children = Path(f"/proc/{pid}/task/{pid}/children")
        below = [int(child) for child in children.read_text().split()] if children.exists() else []
        found += below
        left += below
    return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    process = manage("up", "--port", str(port), data=tmp_path)
    try:
        yield process, port
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def test_it_answers_refuses_a_second_start_and_stops_cleanly(running: tuple[subprocess.Popen[str], int], tmp_path: Path) -> None:
    process, port = running
    assert status(f"http://127.0.0.1:{port}/healthz") == 200
    time.sleep(1)
    below = group_of(process)
    assert len(below) >= 2
    second = manage("up", "--port", str(free_port()), data=tmp_path)
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"already running on this data folder, as process {process.pid}" in said
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert f"Countersign is up: http://127.0.0.1:{port}/" in output
    assert output.rstrip().endswith("Stopped.")
    assert until(lambda: not any(alive(pid) for pid in below))


def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = manage("up", "--port", str(taken.getsockname()[1]), data=tmp_path)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Cannot listen on" in said
    assert "Traceback" not in said
