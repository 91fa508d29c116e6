"""`make bench-architecture`: what the architecture costs at the size of real estates, on SQLite and PostgreSQL.

Generated estates of 10,000, 100,000 and 1,000,000 components (`--sizes`) and the Debian graph (`--debian FOLDER`). Prints tables and writes
them to docs/benchmarks-architecture.md. Each step runs in a process of its own, so that times and memory are its own.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.run import ROOT, create, drop
from changemgmt.tests.needs import postgres_url, why_no_postgres

DEBIAN = ROOT / "data" / "dependency-graph-debian"
Figures = dict[str, float]


@dataclass
class Place:
    """A database to measure on: its environment."""

    name: str
    environment: dict[str, str]

    def run(self, *arguments: str) -> Figures:
        """The last line that the command prints, as JSON."""
        answer = subprocess.run([sys.executable, *arguments], env=self.environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        lines = answer.stdout.strip().splitlines()
        return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def place(name: str, database: str, data: str) -> Place:
    environment = {**os.environ, "COUNTERSIGN_ENV": "embedded", "DATA_DIR": data, "DJANGO_SETTINGS_MODULE": "config.settings"}
    for unwanted in ("REDIS_URL", "BASE_URL", "DEBUG", "DATABASE_URL"):
        environment.pop(unwanted, None)
    found = Place(name, environment | ({"DATABASE_URL": database} if database else {}))
    found.run("manage.py", "migrate", "--verbosity", "0")
    found.run("manage.py", "setup", "--no-migrate")
    return found


def estate(where: Place, size: int) -> Figures:
    """Everything measured of one generated estate."""
    print(f"{where.name}: {size:,} components", flush=True)
    figures: Figures = {}
    for step in ("fill", "first", "shared", "preview", "write"):
        figures |= where.run("-m", "bench.architecture_steps", step, str(size))
    return figures


def debian(where: Place, folder: Path) -> Figures:
    """Everything measured of the Debian graph."""
    print(f"{where.name}: the Debian graph", flush=True)
    figures = where.run("-m", "bench.architecture_steps", "import", str(folder))
    again = where.run("-m", "bench.architecture_steps", "import", str(folder))
    figures |= {"again": again["import"], "moved": again["written"]}
    return figures | where.run("-m", "bench.architecture_steps", "libc6", "0")


ROWS = (
    ("fill", "rows written in bulk (no figure to reach)", "s"),
    ("first", "first graph ever, from all rows", "s"),
    ("first_memory", "memory of the process that builds it", "MB"),
    ("load", "first graph of a process, from the files", "ms"),
    ("idle", "memory of a process before a graph is used", "MB"),
    ("used", "and after a propagation, shared pages included", "MB"),
    ("reach", "components reached", ""),
    ("propagate", "propagation, warm, scores and paths as arrays", "ms"),
    ("spelled", "the same with every path written out", "ms"),
    ("preview", "preview of a change of 100 items", "ms"),
    ("revised", "graph after a revision: one attribute", "ms"),
    ("rebuilt", "graph after a revision: components and relations come and go", "ms"),
    ("apply", "applying 1,000 items", "s"),
    ("revert", "reverting them", "s"),
)
DEBIAN_ROWS = (
    ("import", "import", "s", "≤ 60"),
    ("memory", "memory of the import", "MB", "≤ 1,024"),
    ("again", "the same again", "s", ""),
    ("moved", "things written by the second import", "", "0"),
    ("components", "components", "", "63,436"),
    ("relations", "relations with both ends", "", "317,520"),
    ("skipped", "records left out and reported", "", "97,151"),
    ("reach", "reached from libc6, without bounds", "", "48,665"),
    ("propagate", "propagation, warm, scores and paths as arrays", "ms", "≤ 150"),
    ("spelled", "the same with every path written out", "ms", ""),
    ("revised", "propagation after a revision that changes the graph", "ms", "≤ 1,000"),
    ("used", "memory of the process", "MB", "≤ 500"),
)


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    digits = 1 if unit in {"s", "ms"} and value < 100 else 0
    return f"{value:,.{digits}f} {unit}".strip()


def tables(sizes: list[int], found: dict[str, dict[int, Figures]], real: dict[str, Figures]) -> str:
    """The tables as Markdown."""
    parts = []
    for name, columns in found.items():
        lines = [
            f"### Generated estates, {name}",
            "",
            "| what | " + " | ".join(f"{size:,}" for size in sizes) + " |",
            "|---" * (len(sizes) + 1) + "|",
        ]
        lines += [f"| {words} | " + " | ".join(shown(columns[size].get(row), unit) for size in sizes) + " |" for row, words, unit in ROWS]
        ratio = columns[sizes[-1]]["preview"] / columns[sizes[0]]["preview"]
        lines += ["", f"Preview at {sizes[-1]:,} components ÷ at {sizes[0]:,}: **{ratio:.2f}** (to reach: ≤ 1.5, and within 200 ms)."]
        parts.append("\n".join(lines))
    if real:
        lines = ["### The Debian graph", "", "| what | " + " | ".join(real) + " | to reach |", "|---" * (len(real) + 2) + "|"]
        lines += [
            f"| {words} | " + " | ".join(shown(one.get(row), unit) for one in real.values()) + f" | {aim} |" for row, words, unit, aim in DEBIAN_ROWS
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def page(text: str) -> str:
    """docs/benchmarks-architecture.md."""
    return f"""# Benchmarks of the architecture

Measured by `make bench-architecture` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, the databases on
the same machine. A generated estate is made of systems of 1,000 components with three relations each (`bench/estate.py`), so that a
change reaches its system, however large the estate is. Warm figures are the median of several runs in one process.

{text}

A ratio within one run holds anywhere; the absolute figures only on this machine.
"""


def measured(sizes: list[int], folder: Path | None) -> str:
    found: dict[str, dict[int, Figures]] = {}
    real: dict[str, Figures] = {}
    server, _, base = postgres_url().rpartition("/")
    for name in ("SQLite", *(() if why_no_postgres() else ("PostgreSQL",))):
        for job in (*sizes, *([0] if folder else [])):
            with tempfile.TemporaryDirectory() as data:
                database = f"{base}_bench_{job}" if name == "PostgreSQL" else ""
                if database:
                    create(f"{server}/postgres", database)
                try:
                    where = place(name, f"{server}/{database}" if database else "", data)
                    if job:
                        found.setdefault(name, {})[job] = estate(where, job)
                    elif folder:
                        real[name] = debian(where, folder)
                finally:
                    if database:
                        drop(f"{server}/postgres", database)
    return tables(sizes, found, real)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--debian", type=Path, default=DEBIAN, help="the folder with the nodes and edges of the Debian graph")
    parser.add_argument("--only", choices=("estates", "debian"), help="measure a part, and leave the page as it is")
    parser.add_argument("--keep", action="store_true", help="leave the page in docs/ as it is")
    options = parser.parse_args()
    text = measured([] if options.only == "debian" else sorted(options.sizes), None if options.only == "estates" else options.debian)
    print(text)
    if not options.keep and not options.only:
        (ROOT / "docs" / "benchmarks-architecture.md").write_text(page(text), encoding="utf-8")


if __name__ == "__main__":
    main()
