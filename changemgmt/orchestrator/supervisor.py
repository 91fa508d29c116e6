"""One process that keeps several others running: start, watch, restart with back-off, stop together.

It knows nothing of Django. Its children die with it: each asks the kernel for a SIGTERM when the supervisor is gone.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

GRACE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
PR_SET_PDEATHSIG = 1


class AlreadyRunning(Exception):
    """Another supervisor holds the lock; its process id is the message."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a name for the log, and the command."""

    name: str
    command: Sequence[str]


@dataclass(slots=True)
class Child:
    """A program with its process and its restarts."""

    program: Program
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS
    start_again_at: float = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


def next_pause(pause: float, ran: float) -> float:
    """Seconds to wait before a restart: doubled each time up to half a minute, from the start again after a steady minute."""
    return FIRST_PAUSE_SECONDS if ran >= STEADY_SECONDS else min(pause * 2, LONGEST_PAUSE_SECONDS)


def take_lock(path: Path) -> IO[str]:
    """Hold `path` as long as this process lives. Raises AlreadyRunning with the holder's process id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        raise AlreadyRunning(file.read().strip() or "unknown") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def die_with_parent() -> None:
    """Runs in the child before its program: a SIGTERM as soon as the parent is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Supervisor:
    """Runs the programs until `stop()` or a signal. Lines of theirs go to `say` with the program's name."""

    programs: Sequence[Program]
    say: Callable[[str], None] = print
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    stopping: threading.Event = field(default_factory=threading.Event)
    children: list[Child] = field(default_factory=list)

    def run(self, once_started: Callable[[], None] = lambda: None) -> int:
        """Run everything until told to stop; calls `once_started` after the first start. Answers the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stop())
        self.children = [Child(program) for program in self.programs]
        try:
            for child in self.children:
                self.start(child)
            once_started()
            while not self.stopping.wait(0.5):
                self.look()
        finally:
            self.end()
        return 0

    def stop(self) -> None:
        """Ask `run` to stop everything and return."""
        self.stopping.set()

    def look(self) -> None:
        """Start again what has ended, each when its pause is over."""
        now = time.monotonic()
        for child in self.children:
            if child.process is not None and not child.running:
                self.ended(child, child.process, now)
            if child.process is None and now >= child.start_again_at:
                self.start(child)

    def start(self, child: Child) -> None:
        """Start the program in a process group of its own, so that Ctrl-C reaches only the supervisor."""
        child.process = subprocess.Popen(  # noqa: S603 - our own programs
            child.program.command,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        child.started = time.monotonic()
        threading.Thread(target=self.relay, args=(child.program.name, child.process), daemon=True).start()

    def relay(self, name: str, process: subprocess.Popen[str]) -> None:
        """Pass on what the program writes, line by line."""
        for line in process.stdout or ():
            self.say(f"{name:6} | {line.rstrip()}")

    def ended(self, child: Child, process: subprocess.Popen[str], now: float) -> None:
        """A program ended by itself: clear what is left of its group and plan the restart."""
        self.signal_group(process, signal.SIGKILL)
        self.say(f"{child.program.name} ended with code {process.returncode}; starting it again in {child.pause:g} s")
        child.start_again_at = now + child.pause
        child.pause = next_pause(child.pause, now - child.started)
        child.process = None

    def end(self) -> None:
        """Stop all programs: a SIGTERM each, and after a grace period a SIGKILL for the rest of their groups."""
        processes = [child.process for child in self.children if child.process is not None]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        self.wait(processes)
        for process in processes:
            self.signal_group(process, signal.SIGKILL)

    @staticmethod
    def wait(processes: Iterable[subprocess.Popen[str]]) -> None:
        """Wait until all have ended, at most the grace period."""
        deadline = time.monotonic() + GRACE_SECONDS
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                sys.stderr.write(f"process {process.pid} did not stop in time and is ended\n")

    @staticmethod
    def signal_group(process: subprocess.Popen[str], number: int) -> None:
        """Signal the whole group of a process; one that is gone is no error."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
