"""`make bench`: measure Countersign against a bare Django REST framework in the same run, on PostgreSQL.

Prints a table and writes it to docs/benchmarks.md. Options: `--changes`, `--seconds`, `--keep`.
"""

import argparse
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psycopg

from bench.load import Measurement, Request, measure
from changemgmt.tests.needs import postgres_url, why_no_postgres

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
CLIENTS = 16
TURNS = 3


@dataclass
class Server:
    """A gunicorn with two workers."""

    process: subprocess.Popen
    port: int
    seconds_to_answer: float

    def workers(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def memory(self) -> float:
        """MB of resident memory of the largest worker."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers()]
        return max(pages) * os.sysconf("SC_PAGE_SIZE") / 1_000_000

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(application: str, path: str, environment: dict[str, str]) -> Server:
    """Start gunicorn and wait for its first answer at `path`."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", application, "-c", "config/gunicorn.py", "--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).close()
        except urllib.error.HTTPError:
            break
        except OSError:
            if process.poll() is not None:
                sys.exit(f"{application} did not start")
            time.sleep(0.02)
            continue
        break
    return Server(process, port, time.perf_counter() - started)


def run(*arguments: str, environment: dict[str, str]) -> str:
    return subprocess.run([sys.executable, *arguments], env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def drop(admin: str, name: str) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def create(admin: str, name: str) -> None:
    drop(admin, name)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')


def body(number: int) -> bytes:
    return json.dumps(
        {"title": f"Benchmark change {number}", "description": "Made by the benchmark.", "business_justification": "To know how fast it is."}
    ).encode()


def bare_body(number: int) -> bytes:
    return json.dumps(
        {
            "title": f"Record {number}", "description": "Made by the benchmark.", "kind": "normal", "priority": "low", "state": "draft", "requester": "rita",
            "owner": "max", "score": 0.5, "affected": 1, "urgent": False, "created_at": "2026-11-20T09:00:00Z",
        }
    ).encode()  # fmt: skip


def in_turns(pairs: list[tuple[int, Request]], seconds: float) -> list[float]:
    """Requests per second of each, measured one after the other several times; the median counts."""
    rates: list[list[float]] = [[] for _ in pairs]
    for _ in range(TURNS):
        for (port, request), found in zip(pairs, rates, strict=True):
            result = measure(port, request, clients=CLIENTS, seconds=seconds)
            complain(request, result)
            found.append(result.rate)
    return [median(found) for found in rates]


def complain(request: Request, result: Measurement) -> None:
    if result.wrong:
        print(f"{request.method} {request.path}: unexpected answers {result.wrong}", file=sys.stderr)


@dataclass
class Result:
    """Everything that was measured."""

    changes: int
    migrate: float
    start: float
    memory: float
    rates: dict[str, tuple[float, float]]
    latency: dict[str, Measurement]

    def table(self) -> str:
        """The rows of the table: what, ours, bare, target, reached."""
        listed, detail, created = (self.rates[name] for name in ("list", "detail", "create"))
        rows = [
            (
                f"list of 50 of {self.changes:,} changes, {CLIENTS} clients",
                f"{listed[0]:.0f} req/s",
                f"{listed[1]:.0f} req/s",
                "faster than bare",
                listed[0] > listed[1],
            ),
            (f"detail, {CLIENTS} clients", f"{detail[0]:.0f} req/s", f"{detail[1]:.0f} req/s", "≥ 60 % of bare", detail[0] >= 0.6 * detail[1]),
            (f"create, {CLIENTS} clients", f"{created[0]:.0f} req/s", f"{created[1]:.0f} req/s", "–", None),
        ]
        for name, found in self.latency.items():
            middle, tail = found.percentile(0.5), found.percentile(0.99)
            rows.append((f"{name}, one client: p50 / p99", f"{middle:.1f} / {tail:.1f} ms", "–", "p99 ≤ 4 × p50", tail <= 4 * middle))
        rows += [
            ("memory of one web worker", f"{self.memory:.0f} MB", "–", "≤ 180 MB", self.memory <= 180),
            ("start to first answer", f"{self.start:.1f} s", "–", "≤ 2 s", self.start <= 2),
            ("`migrate` from empty", f"{self.migrate:.1f} s", "–", "≤ 40 s", self.migrate <= 40),
        ]
        lines = ["| what | Countersign | bare DRF | target | reached |", "|---|---|---|---|---|"]
        return "\n".join(
            lines
            + [f"| {what} | {ours} | {bare} | {target} | {'–' if ok is None else 'yes' if ok else 'no'} |" for what, ours, bare, target, ok in rows]
        )


def bench(changes: int, seconds: float, database: str, data: str) -> Result:
    """Measure everything on the empty database `database`."""
    environment = {**os.environ, "DATABASE_URL": database, "COUNTERSIGN_ENV": "embedded", "DATA_DIR": data, "API_THROTTLE": "off"}
    environment |= {"DJANGO_SETTINGS_MODULE": "config.settings"}
    for name in ("REDIS_URL", "BASE_URL", "DEBUG", "WEB_THREADS"):
        environment.pop(name, None)
    print("migrating an empty database", flush=True)
    started = time.perf_counter()
    run("manage.py", "migrate", "--verbosity", "0", environment=environment)
    migrate = time.perf_counter() - started
    run("manage.py", "setup", "--no-migrate", environment=environment)
    print(f"generating {changes:,} changes", flush=True)
    made = json.loads(run("-m", "bench.generate", str(changes), environment=environment))
    bare_environment = {**environment, "DJANGO_SETTINGS_MODULE": "bench.bare.settings"}
    run("-m", "bench.bare.fill", environment=bare_environment)
    ours, bare = start("config.wsgi:application", "/healthz", environment), start("bench.bare.wsgi:application", "/records/", bare_environment)
    try:
        return measured(changes, migrate, ours, bare, made, seconds)
    finally:
        ours.stop()
        bare.stop()


def measured(changes: int, migrate: float, ours: Server, bare: Server, made: dict[str, str], seconds: float) -> Result:
    token = (f"Authorization: Token {made['token']}",)
    listed, detail = Request("/api/v1/changes/?page_size=50", headers=token), Request(f"/api/v1/changes/{made['number']}/", headers=token)
    for port, request in ((ours.port, listed), (ours.port, detail), (bare.port, Request("/records/"))):
        complain(request, measure(port, request, clients=4, seconds=2))
    memory, rates = ours.memory(), {}
    print("list", flush=True)
    rates["list"] = tuple(in_turns([(ours.port, listed), (bare.port, Request("/records/"))], seconds))
    print("detail", flush=True)
    rates["detail"] = tuple(in_turns([(ours.port, detail), (bare.port, Request("/records/1/"))], seconds))
    print("one client", flush=True)
    latency = {name: measure(ours.port, request, clients=1, seconds=seconds * 2) for name, request in (("list", listed), ("detail", detail))}
    print("create", flush=True)
    posted = Request("/api/v1/changes/", expected=201, method="POST", headers=token, body=body)
    rates["create"] = tuple(in_turns([(ours.port, posted), (bare.port, Request("/records/", 201, "POST", body=bare_body))], seconds))
    return Result(changes, migrate, ours.seconds_to_answer, memory, rates, latency)


def page(table: str) -> str:
    """docs/benchmarks.md."""
    return f"""# Benchmarks

Measured by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, PostgreSQL on the same
machine, gunicorn with {WORKERS} workers, the load generator included. "Bare" is a Django REST framework `ModelSerializer`
view over a flat table of 50 rows with 12 scalar fields, without authentication, throttle or paging, on the same server,
measured in turns with ours in the same run (`bench/bare/`). Ours: a token, the default representation, `API_THROTTLE=off`.

{table}

Each rate is the median of {TURNS} turns. A ratio within one run holds anywhere; the absolute figures only on this machine.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one measurement")
    parser.add_argument("--keep", action="store_true", help="leave docs/benchmarks.md as it is")
    options = parser.parse_args()
    if reason := why_no_postgres():
        sys.exit(f"make bench needs PostgreSQL: {reason}")
    server, _, name = postgres_url().rpartition("/")
    name = f"{name}_bench"
    create(f"{server}/postgres", name)
    try:
        with tempfile.TemporaryDirectory() as data:
            table = bench(options.changes, options.seconds, f"{server}/{name}", data).table()
    finally:
        drop(f"{server}/postgres", name)
    print(table)
    if not options.keep:
        (ROOT / "docs" / "benchmarks.md").write_text(page(table), encoding="utf-8")


if __name__ == "__main__":
    main()
