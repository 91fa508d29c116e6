"""What a test needs besides Python: a pytest plugin, loaded by `pytest.ini`.

A test marked `needs_postgres`, `needs_redis` or `needs_chromium` is skipped with the reason where that does not
answer. With `CI=true` nothing may be skipped: a skip is a failure. `make test` runs the tests on SQLite and then,
where a PostgreSQL answers, those that use a database once more on it (`--database-only`).
"""

import os
import shutil
import sys
import zlib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CI = os.environ.get("CI", "").lower() == "true"
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "django_db_serialized_rollback", "live_server"}


def postgres_url() -> str:
    """Where the tests look for PostgreSQL: `PGHOST`, `PGPORT` and `PGUSER`, by default loopback as `postgres` without a password.

    The database is named after this checkout, so that two of them can run side by side.
    """
    user, password = os.environ.get("PGUSER", "postgres"), os.environ.get("PGPASSWORD", "")
    host, port = os.environ.get("PGHOST", "127.0.0.1"), os.environ.get("PGPORT", "5432")
    secret = f":{password}" if password else ""
    return f"postgres://{user}{secret}@{host}:{port}/countersign_{zlib.crc32(str(ROOT).encode()):08x}"


def redis_url() -> str:
    """Where the tests look for Redis; its database 15 is theirs to empty."""
    return os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")


@cache
def why_no_postgres() -> str:
    """Empty when the PostgreSQL of `postgres_url` answers, else the reason why not."""
    import psycopg

    url = postgres_url().rpartition("/")[0] + "/postgres"
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.Error as error:
        return f"no PostgreSQL answers as {url}: {str(error).strip().splitlines()[-1]}"
    return ""


@cache
def why_no_redis() -> str:
    """Empty when a Redis answers, else the reason why not."""
    import redis

    try:
        redis.Redis.from_url(redis_url(), socket_connect_timeout=2).ping()
    except redis.RedisError as error:
        return f"no Redis answers at {redis_url()}: {error}"
    return ""


@cache
def chromium() -> str:
    """The path of Debian's Chromium, empty where it is not installed."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""


def why_no_chromium() -> str:
    """Empty when Chromium is installed, else the reason why not."""
    return "" if chromium() else "no Chromium is installed (on Debian: apt install chromium)"


def on_postgres() -> bool:
    """Whether this run's Django database is PostgreSQL."""
    return bool(os.environ.get("DATABASE_URL", "").startswith("postgres"))


def rounds() -> int:
    """How often a race is repeated: 20 in `make test`, 200 in `make harness` (`HARNESS_ROUNDS`)."""
    return int(os.environ.get("HARNESS_ROUNDS", "20"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-only", action="store_true", help="leave out the tests that use no database")


def uses_database(item: pytest.Item) -> bool:
    """Whether the test touches Django's database or a server that does."""
    marked = any(item.get_closest_marker(name) for name in ("django_db", "needs_postgres", "needs_chromium"))
    return marked or bool(DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())))


def belongs_here(item: pytest.Item, database_only: bool) -> bool:
    """Whether this run is the one for the test: what needs the other database waits for the run on that one."""
    if item.get_closest_marker("needs_sqlite") and on_postgres():
        return False
    if item.get_closest_marker("needs_postgres") and not on_postgres() and not why_no_postgres():
        return False
    return not database_only or uses_database(item)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    database_only = config.getoption("--database-only")
    left_out = [item for item in items if not belongs_here(item, database_only)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def why_not(item: pytest.Item) -> str:
    """The first reason why this test can't run here."""
    reasons = {
        "needs_postgres": lambda: "" if on_postgres() else why_no_postgres(),
        "needs_redis": why_no_redis,
        "needs_chromium": why_no_chromium,
    }
    return next((reason for name, ask in reasons.items() if item.get_closest_marker(name) and (reason := ask())), "")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if reason := why_not(item):
        pytest.skip(reason)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = (yield).get_result()
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"With CI=true nothing may be skipped, and this was: {report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr}"
        )


def main() -> int:
    """`python -m changemgmt.tests.needs postgres` prints the URL to test on, or says why there is none and ends with 1."""
    reason = why_no_postgres()
    print(reason or postgres_url(), file=sys.stderr if reason else sys.stdout)
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
