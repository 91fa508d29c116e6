"""`make mutation`: are the tests of the approval rules any good? Each mutant is one small mistake put into the code; a test has to notice.

All tests of a module run once with their lines noted. Then every mutant is tried in a forked process, on the tests that run
its line, the quickest first, until one fails: it is killed. Forks share the test database as it stands in memory, so a
mutant costs little more than the test that kills it. Prints killed and survived by module; ends with 1 below `--least` percent.

Not mutated: annotations, docstrings, sentences for people, imports. Options: `--module NAME`, `--lines 10-40`, `--least 90`.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import signal
import sys
import tempfile
import time
import types
from collections import defaultdict
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import pytest
from _pytest.runner import runtestprotocol

from bench.mutants import Mutant, install, mutants

ROOT = Path(__file__).resolve().parent.parent
TESTS = "changemgmt/tests/approvals"
PROCESSES, GROUND, BUDGET, LATE = 2, 40, 120.0, 10
"""Two at a time; so many tests to make sure of the ground; so many seconds of tests per mutant; so many times as long is for ever."""

VERDICTS = tuple(f"{TESTS}/test_{name}.py" for name in ("verdicts", "sitting", "standing"))


class Target(NamedTuple):
    """A module to mutate, the tests that answer for it, and which of its functions (all by default)."""

    module: str
    tests: tuple[str, ...]
    functions: str = ""


TARGETS = {
    "rules": Target("changemgmt.approvals.rules", (f"{TESTS}/test_rules.py", f"{TESTS}/test_rules_at_the_edges.py")),
    "digest": Target("changemgmt.changes.digest", (f"{TESTS}/test_digest.py",)),
    "sitting": Target("changemgmt.approvals.sitting", VERDICTS),
    "standing": Target("changemgmt.approvals.standing", VERDICTS),
    "taking": Target("changemgmt.approvals.taking", VERDICTS),
    "vote": Target("changemgmt.lifecycle.vote", VERDICTS, r"may_|check_|no_seat|repeats|my_vote|question_given|open_question"),
}


@dataclass
class Result:
    """What became of the mutants of a module."""

    killed: int = 0
    endless: int = 0
    survived: list[Mutant] = field(default_factory=list)

    @property
    def share(self) -> float:
        total = self.killed + len(self.survived)
        return 100 * self.killed / total if total else 100.0


class Run:
    """A pytest plugin that runs the mutants where pytest would run the tests."""

    def __init__(self, names: list[str], lines: range | None) -> None:
        self.names, self.lines = names, lines
        self.results: dict[str, Result] = {}
        self.seconds: dict[pytest.Item, float] = {}
        self.touched: dict[tuple[str, int], list[pytest.Item]] = defaultdict(list)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        modules = {name: import_module(TARGETS[name].module) for name in self.names}
        self.look(session.items, {str(module.__file__) for module in modules.values()})
        for name, module in modules.items():
            self.results[name] = self.try_module(TARGETS[name], module, name)
        return True

    def look(self, items: list[pytest.Item], files: set[str]) -> None:
        """Run every test once and note which lines it runs. One that fails by itself is left out."""
        started, sound = time.monotonic(), set()
        watching = coverage.Coverage(data_file=None, include=sorted(files), messages=False)
        watching.start()
        for index, item in enumerate(items):
            watching.switch_context(str(index))
            begun = time.monotonic()
            if run(item):
                sound.add(str(index))
            else:
                print(f"left out, it fails as it is: {item.nodeid}")
            self.seconds[item] = time.monotonic() - begun
        watching.stop()
        for file in files:
            for line, tests in watching.get_data().contexts_by_lineno(file).items():
                self.touched[file, line] = [items[int(test)] for test in tests if test in sound]
        print(f"{len(items)} tests, {time.monotonic() - started:.0f} s with their lines noted", flush=True)

    def try_module(self, target: Target, module: types.ModuleType, name: str) -> Result:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        chosen = [one for one in mutants(tree) if re.search(target.functions, one.where) and (self.lines is None or one.line in self.lines)]
        result, running, started = Result(), {}, time.monotonic()
        self.check_ground(target, module, tree)
        for one in chosen:
            tests = self.tests_for(target, module, one)
            if not tests:
                result.survived.append(one)
                continue
            if len(running) >= PROCESSES:
                settle(running, result)
            running[fork(one, tree, module, tests, self.time_of(tests))] = one
        while running:
            settle(running, result)
        report(name, target, result, time.monotonic() - started)
        return result

    def check_ground(self, target: Target, module: types.ModuleType, tree: ast.Module) -> None:
        """What passes must pass in a fork too, with the module put in as it is: else every mutant would seem to be noticed."""
        nothing = Mutant(0, "nothing", "", True, lambda: None, lambda: None)
        tests = self.tests_for(target, module, nothing)[:GROUND]
        running, result = {fork(nothing, tree, module, tests, self.time_of(tests)): nothing}, Result()
        settle(running, result)
        if not result.survived:
            raise pytest.UsageError(f"The tests of {target.module} fail in a process of their own without any mutant.")

    def time_of(self, tests: list[pytest.Item]) -> float:
        return sum(self.seconds[item] for item in tests)

    def tests_for(self, target: Target, module: types.ModuleType, one: Mutant) -> list[pytest.Item]:
        """The target's tests that run the mutant's line; for what runs at import, those that run any line of the module."""
        file = str(module.__file__)
        found = self.touched.get((file, one.line))
        if one.at_import:
            found = list(dict.fromkeys(item for (path, _), items in self.touched.items() if path == file for item in items))
        mine = [item for item in found or () if item.nodeid.startswith(target.tests)]
        mine.sort(key=lambda item: self.seconds[item])
        return [item for item, spent in zip(mine, accumulate(self.seconds[item] for item in mine), strict=True) if spent < BUDGET or item is mine[0]]


class Between:
    """Stands for the next test: only what the whole run shares, such as the database, is kept for it."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session

    def listchain(self) -> list[Any]:
        return [self.session]


def run(item: pytest.Item) -> bool:
    """Run one test; whether it passed."""
    reports = runtestprotocol(item, nextitem=Between(item.session), log=False)  # type: ignore[arg-type]  # all that is asked of it
    return not any(report.failed for report in reports)


def fork(one: Mutant, tree: ast.Module, module: types.ModuleType, tests: list[pytest.Item], seconds: float) -> int:
    """Try a mutant in a process of its own: it ends with 0 when all tests passed, so that the mutant survived."""
    one.put()
    key = os.fork()
    if key:
        one.undo()
        return key
    try:
        signal.alarm(30 + int(LATE * seconds))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1), os.dup2(silence, 2)
        install(module, tree)
        os._exit(0 if all(run(item) for item in tests) else 1)
    except BaseException:  # noqa: BLE001  a mutant that can't even be put in is noticed
        os._exit(2)


def settle(running: dict[int, Mutant], result: Result) -> None:
    """Wait for one of the mutants; a run that never ends was killed by its alarm."""
    key, status = os.wait()
    one = running.pop(key)
    if status == 0:
        result.survived.append(one)
    else:
        result.killed += 1
        result.endless += os.WIFSIGNALED(status)


def report(name: str, target: Target, result: Result, seconds: float) -> None:
    for one in sorted(result.survived, key=lambda one: one.line):
        print(f"  survived  {target.module}:{one.line} {one.where}: {one.words}")
    endless = f" ({result.endless} ran for ever)" if result.endless else ""
    print(f"{name}: {result.killed} killed{endless}, {len(result.survived)} survived, {result.share:.1f} % in {seconds:.0f} s", flush=True)


def main() -> int:
    """Run the mutants of the modules asked for; 1 where fewer than `--least` percent were killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--module", action="append", choices=TARGETS, help="only this one; may be given several times")
    parser.add_argument("--lines", help="only mutants of these lines, such as 10-40")
    parser.add_argument("--least", type=float, default=90.0, help="percentage of every module that has to be killed")
    asked = parser.parse_args()
    os.environ |= {"DATA_DIR": tempfile.mkdtemp(), "DJANGO_SETTINGS_MODULE": "config.settings", "COUNTERSIGN_ENV": "embedded"}
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    prepare_hypothesis()
    names = asked.module or [name for name, target in TARGETS.items() if find_spec(target.module)]
    first, _, last = (asked.lines or "").partition("-")
    runner = Run(names, range(int(first), int(last or first) + 1) if first else None)
    tests = sorted({test for name in names for test in TARGETS[name].tests})
    code = pytest.main([*tests, "--nomigrations", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore"], plugins=[runner])
    found = list(runner.results.values())
    weak = [name for name, result in runner.results.items() if result.share < asked.least]
    killed, survived = (sum(counts) for counts in ([one.killed for one in found], [len(one.survived) for one in found]))
    print(f"all: {killed} killed, {survived} survived, {100 * killed / (killed + survived or 1):.1f} %")
    if weak:
        print(f"Below {asked.least:g} %: {', '.join(weak)}")
    return 1 if weak or code not in (0, 5) or not found else 0


def prepare_hypothesis() -> None:
    """The same examples in every run, and no search for smaller ones: it is enough that there is one."""
    import hypothesis

    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", derandomize=True, database=None, deadline=None, phases=phases)
    hypothesis.settings.load_profile("mutation")


if __name__ == "__main__":
    sys.exit(main())
