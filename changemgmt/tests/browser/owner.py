"""The owner of the database file, or of the database: who can reach past the application."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg

from ..site import Site


class Owner:
    """SQL that no role of the application may run."""

    def __init__(self, site: Site) -> None:
        url = site.environment.get("DATABASE_URL", "")
        self.sqlite = not url
        self.connection: Any = sqlite3.connect(site.data_dir / "db.sqlite3", timeout=30) if self.sqlite else psycopg.connect(url)

    def one(self, sql: str) -> dict[str, Any]:
        cursor = self.connection.execute(sql)
        return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))

    def write(self, text: str, event: int) -> None:
        mark = "?" if self.sqlite else "%s"
        self.connection.execute(f"UPDATE changemgmt_event SET text = {mark} WHERE id = {mark}", (text, event))

    @contextlib.contextmanager
    def without_triggers(self) -> Iterator[None]:
        """The triggers that refuse, taken away and put back, in one transaction."""
        if self.sqlite:
            found = self.connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'changemgmt_event'").fetchall()
            drop, make = [f"DROP TRIGGER {name}" for name, _ in found], [sql for _, sql in found]
        else:
            drop, make = (
                ["ALTER TABLE changemgmt_event DISABLE TRIGGER USER"],
                ["ALTER TABLE changemgmt_event ENABLE ALWAYS TRIGGER changemgmt_event_no_change"],
            )
        for sql in drop:
            self.connection.execute(sql)
        yield
        for sql in make:
            self.connection.execute(sql)
        self.connection.commit()


@contextlib.contextmanager
def tampered(site: Site) -> Iterator[dict[str, Any]]:
    """As the file's owner: the last vote is turned around by SQL; afterwards everything is as it was."""
    owner = Owner(site)
    event = owner.one("SELECT id, stream, sequence, text FROM changemgmt_event WHERE action = 'vote.cast' ORDER BY id DESC LIMIT 1")
    turned = event["text"].replace("approve", "reject")
    assert turned != event["text"]
    with owner.without_triggers():
        owner.write(turned, event["id"])
    try:
        yield event
    finally:
        with owner.without_triggers():
            owner.write(event["text"], event["id"])
        owner.connection.close()
