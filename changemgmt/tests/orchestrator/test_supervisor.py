"""The supervisor that keeps web and worker running."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from changemgmt.orchestrator.supervisor import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, AlreadyRunning, next_pause, take_lock
from changemgmt.tests.needs import ROOT

SUPERVISED = """
import sys
sys.path.insert(0, {root!r})
from changemgmt.orchestrator.supervisor import Program, Supervisor
lines = lambda line: print(line, flush=True)
Supervisor([Program("child", [sys.executable, "-u", "-c", {child!r}])], say=lines).run()
print("ended cleanly", flush=True)
"""
SLEEPER = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"


def supervise(child: str) -> subprocess.Popen[str]:
    script = textwrap.dedent(SUPERVISED.format(root=str(ROOT), child=child))
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    """Whether the process is there and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def child_pid(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    return int(process.stdout.readline().split()[-1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_children_and_then_the_supervisor(number: signal.Signals) -> None:
    process = supervise(SLEEPER)
    pid = child_pid(process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "ended cleanly" in output
    assert not alive(pid)


def test_a_child_that_ends_is_started_again() -> None:
    process = supervise("import os; print('pid', os.getpid(), flush=True)")
    assert process.stdout
    seen = [process.stdout.readline() for _ in range(4)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert sum("pid" in line for line in seen) >= 2
    assert any("starting it again" in line for line in seen)


def test_the_children_die_with_a_killed_supervisor() -> None:
    process = supervise(SLEEPER)
    pid = child_pid(process)
    process.kill()
    process.communicate(timeout=20)
    assert until(lambda: not alive(pid))


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    with take_lock(tmp_path / "up.lock"):
        with pytest.raises(AlreadyRunning, match=str(os.getpid())):
            take_lock(tmp_path / "up.lock")
    take_lock(tmp_path / "up.lock").close()


def test_pauses_grow_and_start_over_after_a_steady_minute() -> None:
    pauses = [FIRST_PAUSE_SECONDS]
    for _ in range(10):
        pauses.append(next_pause(pauses[-1], ran=1))
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert next_pause(LONGEST_PAUSE_SECONDS, ran=61) == FIRST_PAUSE_SECONDS
